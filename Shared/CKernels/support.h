// What the kernels share: splitting work over threads, 16-wide vectors and exp.
#pragma once
#include "support_system.h"
#ifdef LK_AVX512
#include <immintrin.h>
#endif

#define LK_INLINE static inline __attribute__((always_inline))

/// Element-wise work is cut into pieces of this many floats.
enum { LK_GRAIN = 16384 };

/// Sixteen floats: one AVX-512 register, two AVX2 registers. `lk_v16u` is the same at any address.
typedef float lk_v16 __attribute__((vector_size(64)));
typedef float lk_v16u __attribute__((vector_size(64), aligned(4)));
typedef int32_t lk_i16 __attribute__((vector_size(64)));

LK_INLINE lk_v16 lk_load(const float *p) { return *(const lk_v16u *)p; }
LK_INLINE void lk_store(float *p, lk_v16 v) { *(lk_v16u *)p = v; }
/// The first `count` floats, then zeros.
LK_INLINE lk_v16 lk_load_few(const float *p, size_t count) {
    if (count == 16) return lk_load(p);
    float few[16] = {0};
    memcpy(few, p, count * sizeof(float));
    return lk_load(few);
}
/// Only the first `count` floats.
LK_INLINE void lk_store_few(float *p, lk_v16 v, size_t count) {
    if (count == 16) return lk_store(p, v);
    float few[16];
    lk_store(few, v);
    memcpy(p, few, count * sizeof(float));
}
LK_INLINE lk_v16 lk_splat(float x) { return (lk_v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
LK_INLINE lk_v16 lk_select(lk_i16 mask, lk_v16 a, lk_v16 b) {
    return (lk_v16)((mask & (lk_i16)a) | (~mask & (lk_i16)b));
}
LK_INLINE lk_v16 lk_vmax(lk_v16 a, lk_v16 b) { return lk_select(a > b, a, b); }
LK_INLINE lk_v16 lk_vmin(lk_v16 a, lk_v16 b) { return lk_select(a < b, a, b); }
LK_INLINE float lk_hsum(lk_v16 v) {
    float s = 0;
    for (int i = 0; i < 16; i++) s += v[i];
    return s;
}
LK_INLINE float lk_hmax(lk_v16 v) {
    v = lk_vmax(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    v = lk_vmax(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
    float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
}

/// Which of `blocks` a piece belongs to, and which of the block's `parts` it is. Threads that take pieces by turns find one
/// block each, and stay with it for all its parts.
LK_INLINE void lk_place(size_t piece, size_t blocks, size_t parts, size_t *block, size_t *part) {
    const size_t turn = (size_t)lk_threads(), start = piece / (turn * parts) * turn;
    const size_t some = lk_min(turn, blocks - start), i = piece - start * parts;
    *block = start + i % some, *part = i / some;
}

/// What will be read next: `lines` cache lines of each of some rows. It is asked for bit by bit, and products hide the wait.
typedef struct {
    const void *row;
    size_t stride, lines, line, left; // bytes between rows; the next line of this row; lines still to be asked for
} lk_next;

LK_INLINE void lk_expect(lk_next *next, size_t count) {
    for (size_t i = lk_min(count, next->left); i > 0; i--, next->left--) {
        __builtin_prefetch((const char *)next->row + next->line * 64, 0, 1);
        if (++next->line == next->lines) next->line = 0, next->row = (const char *)next->row + next->stride;
    }
}

/// 1/x to about 1 unit in the last place, or to 6e-5 if that is `rough`: a division takes as long as the rest of an
/// activation.
LK_INLINE lk_v16 lk_reciprocal(lk_v16 x, const bool rough) {
#ifdef LK_AVX512
    lk_v16 y = (lk_v16)_mm512_rcp14_ps((__m512)x);
    return rough ? y : y + y * (1.0f - x * y); // Newton's step
#else
    return 1.0f / x;
#endif
}

/// e^x to about 2 units in the last place: x = n ln 2 + r, |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7.
/// Below -87 the answer is that of -87 (1.6e-38); above 88 that of 88.
LK_INLINE lk_v16 lk_exp(lk_v16 x) {
    x = lk_vmin(lk_vmax(x, lk_splat(-87.0f)), lk_splat(88.0f));
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    lk_v16 n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    lk_v16 r = x - n * 0.693359375f - n * -2.12194440e-4f;
    lk_v16 p = lk_splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    lk_i16 exponent = (__builtin_convertvector(n, lk_i16) + 127) << 23;
    return p * (lk_v16)exponent;
}

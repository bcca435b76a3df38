// Numbers as they lie in memory: of 32 bits, or of 16, as checkpoints have them and products of bfloat16 read them.

LK_INLINE size_t lk_bytes(lk_format format) { return format == LK_F32 ? sizeof(float) : sizeof(uint16_t); }

/// The number `index` of an array.
LK_INLINE const void *lk_at(const void *numbers, size_t index, lk_format format) {
    return (const char *)numbers + index * lk_bytes(format);
}

#ifdef LK_BFLOAT
typedef uint16_t lk_b16 __attribute__((vector_size(32)));
typedef uint32_t lk_w16 __attribute__((vector_size(64)));
typedef uint32_t lk_w16u __attribute__((vector_size(64), aligned(4)));

/// Sixteen numbers, rounded to nearest, ties to even.
LK_INLINE lk_b16 lk_round(lk_v16 x) { return (lk_b16)_mm512_cvtneps_pbh((__m512)x); }

/// Thirty-two numbers one after the other.
LK_INLINE lk_v16 lk_round_two(lk_v16 x, lk_v16 next) {
    return (lk_v16)_mm512_cvtne2ps_pbh((__m512)next, (__m512)x);
}

/// Sixteen words (bfloat.h), of numbers and those that come next in depth.
LK_INLINE lk_v16 lk_paired(lk_v16 numbers, lk_v16 next) {
    lk_w16 low = __builtin_convertvector(lk_round(numbers), lk_w16);
    lk_w16 high = __builtin_convertvector(lk_round(next), lk_w16);
    return (lk_v16)(low | high << 16);
}

/// 2^x to 8e-5, of which rounding leaves nothing to see; 0 for minus infinity.
LK_INLINE lk_v16 lk_exp2_rough(lk_v16 x) {
    lk_v16 r = (lk_v16)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); // x - round(x)
    lk_v16 p = lk_splat(5.517167e-2f);
    p = p * r + 0.24261113f;
    p = p * r + 0.69326099f;
    p = p * r + 0.99992807f;
    return (lk_v16)_mm512_scalef_ps((__m512)p, (__m512)(x - r));
}

/// Words of up to three parts, `stride` floats apart: each is the nearest to the rest. The word i is of numbers[i] and of
/// next[i].
LK_INLINE void lk_round_parts(float *to, size_t stride, lk_v16 numbers, lk_v16 next, size_t parts) {
    for (size_t part = 0; part < parts; part++, to += stride) {
        lk_w16 words = (lk_w16)lk_paired(numbers, next);
        lk_store(to, (lk_v16)words);
        numbers -= (lk_v16)(words << 16), next -= (lk_v16)(words & 0xffff0000);
    }
}

/// Sixteen numbers from the at-th on, of floats or of bfloat16.
LK_INLINE lk_v16 lk_get(const void *x, const lk_format format, size_t at) {
    if (format == LK_F32) return lk_load((const float *)x + at);
    lk_b16 numbers;
    memcpy(&numbers, (const uint16_t *)x + at, sizeof numbers);
    return (lk_v16)(__builtin_convertvector(numbers, lk_w16) << 16);
}

/// Words of three parts, `stride` floats apart, whose sum the numbers are: each is what the first 8 bits of the rest say.
/// The word i is of numbers[i] and of next[i].
LK_INLINE void lk_cut_parts(float *to, size_t stride, lk_v16 numbers, lk_v16 next) {
    const uint32_t first = 0xffff0000;
    for (int part = 0; part < 3; part++, to += stride) {
        lk_w16 low = (lk_w16)numbers & first, high = (lk_w16)next & first;
        lk_store(to, (lk_v16)(low >> 16 | high));
        numbers -= (lk_v16)low, next -= (lk_v16)high;
    }
}

/// Rounds `count` numbers.
static void lk_round_row(void *to, const float *from, size_t count) {
    uint16_t *y = to;
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        lk_v16 numbers = lk_round_two(lk_load(from + i), lk_load(from + i + 16));
        memcpy(y + i, &numbers, sizeof numbers);
    }
    for (size_t few; i < count; i += few) {
        few = lk_min(16, count - i);
        lk_b16 numbers = lk_round(lk_load_few(from + i, few));
        memcpy(y + i, &numbers, few * sizeof(uint16_t));
    }
}
#endif

/// The first `count` of 16 numbers become those from the at-th on of an array of floats or of bfloat16.
LK_INLINE void lk_put_few(void *y, lk_format format, size_t at, lk_v16 numbers, size_t count) {
#ifdef LK_BFLOAT
    if (format == LK_BF16) {
        lk_b16 rounded = lk_round(numbers);
        if (count == 16) memcpy((uint16_t *)y + at, &rounded, sizeof rounded);
        else memcpy((uint16_t *)y + at, &rounded, count * sizeof(uint16_t));
        return;
    }
#endif
    lk_store_few((float *)y + at, numbers, count);
}

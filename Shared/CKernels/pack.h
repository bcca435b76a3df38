// Rows of numbers, as weights and keys lie in memory, become panels of 16 columns, which products read; numbers of 16 bits
// are widened on the way.

typedef float lk_v8 __attribute__((vector_size(32)));
typedef float lk_v8u __attribute__((vector_size(32), aligned(4)));

/// Eight numbers of any format.
LK_INLINE lk_v8 load8(const void *p, size_t at, lk_format format) {
    if (format == LK_F32) return *(const lk_v8u *)((const float *)p + at);
    typedef uint16_t u8 __attribute__((vector_size(16)));
    typedef uint32_t w8 __attribute__((vector_size(32)));
    u8 few;
    memcpy(&few, (const uint16_t *)p + at, sizeof few);
#ifdef LK_F16C
    typedef short s8 __attribute__((vector_size(16)));
    if (format == LK_F16) return (lk_v8)__builtin_ia32_vcvtph2ps256((s8)few);
#endif
    w8 bits = __builtin_convertvector(few, w8);
    if (format == LK_BF16) return (lk_v8)(bits << 16);
    // Multiplying moves the exponent's bias from 15 to 127, and makes subnormal numbers normal.
    w8 magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    lk_v8 value = (lk_v8)magnitude * 0x1p112f;
    w8 special = (w8)(magnitude >= 0x7c00u << 13) & 0x7f800000; // infinity, NaN
    return (lk_v8)((w8)value | special | sign);
}

/// Eight rows of eight become eight columns.
LK_INLINE void transpose8(lk_v8 r[8]) {
    lk_v8 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            r[i + 2 * k] = __builtin_shufflevector(t[i + k], t[i + 2 + k], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * k + 1] = __builtin_shufflevector(t[i + k], t[i + 2 + k], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

LK_INLINE float load1(const void *p, size_t at, lk_format format) {
    if (format == LK_F32) return ((const float *)p)[at];
    uint16_t eight[8] = {((const uint16_t *)p)[at]};
    return load8(eight, 0, format)[0];
}

/// `count` of 16 rows of `length` numbers, `stride` apart, become a panel [length][16]; rows that are not there are zeros.
LK_INLINE void pack_panel_of(
    float *to, const void *from, size_t stride, size_t count, size_t length, const lk_format format) {
    for (size_t half = 0; half < 16; half += 8) {
        size_t rows = half < count ? lk_min(8, count - half) : 0, k = 0;
        for (; k + 8 <= length; k += 8) {
            lk_v8 r[8] = {0};
            if (rows == 8) {
#pragma clang loop unroll(full)
                for (size_t i = 0; i < 8; i++) r[i] = load8(from, (half + i) * stride + k, format);
            } else {
                for (size_t i = 0; i < rows; i++) r[i] = load8(from, (half + i) * stride + k, format);
            }
            transpose8(r);
#pragma clang loop unroll(full)
            for (int i = 0; i < 8; i++) *(lk_v8u *)(to + (k + i) * 16 + half) = r[i];
        }
        for (; k < length; k++)
            for (size_t i = 0; i < 8; i++)
                to[k * 16 + half + i] = i < rows ? load1(from, (half + i) * stride + k, format) : 0;
    }
}

static void lk_pack_panel(
    float *to, const void *from, lk_format format, size_t stride, size_t count, size_t length) {
    switch (format) { // so that each loop knows its format
    case LK_F32: pack_panel_of(to, from, stride, count, length, LK_F32); break;
    case LK_F16: pack_panel_of(to, from, stride, count, length, LK_F16); break;
    case LK_BF16: pack_panel_of(to, from, stride, count, length, LK_BF16); break;
    }
}

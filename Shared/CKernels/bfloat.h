// Products of bfloat16 numbers with sums in 32 bits, by AVX-512 BF16's VDPBF16PS here (on AMD's Zen 4 twice the rate of
// 32-bit products) or by AMX in tiles.h; they read half of what 32-bit numbers take. Two neighbouring numbers of the depth
// share a word of 32 bits, the earlier one in the low half, so that rows and panels of words move as those of floats do.
#ifdef LK_BFLOAT
/// Words of numbers of any format: as many as fit eight lanes.
LK_INLINE lk_v8 load8_words(const void *p, size_t at, lk_format format) {
    lk_v8 words;
    if (format == LK_BF16) {
        memcpy(&words, (const uint16_t *)p + at, sizeof words);
    } else if (format == LK_F32) {
        words = (lk_v8)lk_round(lk_load((const float *)p + at));
    } else {
        lk_v8 low = load8(p, at, format), high = load8(p, at + 8, format);
        words = (lk_v8)lk_round(
            __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    }
    return words;
}

/// `count` of 16 rows of `words` words, of numbers `stride` apart, become a panel [words][16]; missing rows are zeros.
LK_INLINE void pack_words_of(
    float *to, const void *from, size_t stride, size_t count, size_t words, const lk_format format) {
    for (size_t half = 0; half < 16; half += 8) {
        size_t rows = half < count ? lk_min(8, count - half) : 0;
        for (size_t k = 0; k < words; k += 8) {
            size_t some = lk_min(8, words - k);
            lk_v8 r[8] = {0};
            for (size_t i = 0; i < rows; i++) {
                size_t at = (half + i) * stride + 2 * k;
                if (some == 8) {
                    r[i] = load8_words(from, at, format);
                } else {
                    char few[64] = {0};
                    memcpy(few, lk_at(from, at, format), 2 * some * lk_bytes(format));
                    r[i] = load8_words(few, 0, format);
                }
            }
            transpose8(r);
            for (size_t i = 0; i < some; i++) *(lk_v8u *)(to + (k + i) * 16 + half) = r[i];
        }
    }
}

static void lk_pack_words(float *to, const void *from, lk_format format, size_t stride, size_t count, size_t words) {
    switch (format) { // so that each loop knows its format
    case LK_F32: pack_words_of(to, from, stride, count, words, LK_F32); break;
    case LK_F16: pack_words_of(to, from, stride, count, words, LK_F16); break;
    case LK_BF16: pack_words_of(to, from, stride, count, words, LK_BF16); break;
    }
}

#ifndef LK_TILES // which multiply them faster (tiles.h)
#define LK_VECTORS_OF_WORDS
LK_INLINE lk_v16 lk_add_products(lk_v16 sum, lk_w16 a, lk_w16 b) {
    return (lk_v16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

/// c[rows, 16] (+)= a[rows, words] b[words, 16]; b is contiguous.
LK_INLINE void lk_row_words(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t words, bool add, const int rows) {
    lk_v16 sum[12];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) sum[r] = add ? lk_load(c + r * ldc) : lk_splat(0);
    for (size_t k = 0; k < words; k++) {
        lk_w16 row = *(const lk_w16u *)(b + k * 16);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            lk_w16 word = (lk_w16)_mm512_set1_epi32(((const int *)a)[r * lda + k]);
            sum[r] = lk_add_products(sum[r], row, word); // the word last: it is read and repeated by the product itself
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) lk_store(c + r * ldc, sum[r]);
}

/// lk_panel_product of words: c[m, 16] (+)= a[m, words] b[words, 16].
static void lk_panel_words(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t m, size_t words, bool add) {
    size_t groups = lk_pieces(m, 12);
    for (size_t group = 0, row = 0; group < groups; group++) {
        size_t rows = (m - row + groups - group - 1) / (groups - group);
#define CASE(count)                                                                                                    \
    case count: lk_row_words(c + row * ldc, ldc, a + row * lda, lda, b, words, add, count); break;
        switch (rows) {
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
        }
#undef CASE
        row += rows;
    }
}

/// c[m, 8] += a[m, words] b[words, 8], for the last columns of heads that 16 does not divide.
static void lk_half_panel_words(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t m, size_t words) {
    for (size_t row = 0; row < m; row += 8) {
        size_t rows = lk_min(8, m - row);
        // Fewer than eight rows: the last one again.
        const float *from[8];
        for (size_t r = 0; r < 8; r++) from[r] = a + (row + lk_min(r, rows - 1)) * lda;
        __m256 sum[8] = {0};
        for (size_t k = 0; k < words; k++) {
            __m256bh line = (__m256bh)_mm256_loadu_ps(b + k * 8);
#pragma clang loop unroll(full)
            for (int r = 0; r < 8; r++)
                sum[r] = _mm256_dpbf16_ps(sum[r], line, (__m256bh)_mm256_set1_epi32(((const int *)from[r])[k]));
        }
        for (size_t r = 0; r < rows; r++) {
            lk_v8u *to = (lk_v8u *)(c + (row + r) * ldc);
            *to = *to + (lk_v8)sum[r];
        }
    }
}
#endif // LK_TILES
#endif

// The inner loop of every matrix product: a few rows of a times a panel of 16 columns, sums in registers.

#ifndef LK_ROWS
#define LK_ROWS 6 // 12 of AVX2's 16 registers hold sums
#endif

/// c[rows, 16] (+)= a[rows, depth] b[depth, 16]; b is contiguous.
LK_INLINE void lk_row_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t depth, bool add, const int rows) {
    lk_v16 sum[LK_ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) sum[r] = add ? lk_load(c + r * ldc) : lk_splat(0);
    for (size_t k = 0; k < depth; k++) {
        lk_v16 row = lk_load(b + k * 16);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) sum[r] += a[r * lda + k] * row;
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) lk_store(c + r * ldc, sum[r]);
}

/// c[m, 16] (+)= a[m, depth] b[depth, 16], in groups of nearly equal size of at most LK_ROWS rows.
static void lk_panel_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t m, size_t depth, bool add) {
    size_t groups = lk_pieces(m, LK_ROWS);
    for (size_t group = 0, row = 0; group < groups; group++) {
        size_t rows = (m - row + groups - group - 1) / (groups - group);
#define CASE(count)                                                                                                    \
    case count: lk_row_product(c + row * ldc, ldc, a + row * lda, lda, b, depth, add, count); break;
        switch (rows) {
            CASE(1)
            CASE(2)
#if LK_ROWS > 2
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
#endif
#if LK_ROWS > 6
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
#endif
        }
#undef CASE
        row += rows;
    }
}

/// c[m, 8] += a[m, depth] b[depth, 8], for the last columns of heads that 16 does not divide.
static void lk_half_panel_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t m, size_t depth) {
    typedef float v8 __attribute__((vector_size(32)));
    typedef float v8u __attribute__((vector_size(32), aligned(4)));
    for (size_t row = 0; row < m; row += 8) {
        size_t rows = lk_min(8, m - row);
        // Fewer than eight rows: the last one again.
        const float *from[8];
        for (size_t r = 0; r < 8; r++) from[r] = a + (row + lk_min(r, rows - 1)) * lda;
        v8 sum[8] = {0};
        for (size_t k = 0; k < depth; k++) {
            v8 line = *(const v8u *)(b + k * 8);
#pragma clang loop unroll(full)
            for (int r = 0; r < 8; r++) sum[r] += from[r][k] * line;
        }
        for (size_t r = 0; r < rows; r++) {
            v8u *to = (v8u *)(c + (row + r) * ldc);
            *to = *to + sum[r];
        }
    }
}

// The inner loop of every matrix product: a few rows of a times a panel of 16 columns, sums in registers.

#ifndef LK_ROWS
#define LK_ROWS 6 // 12 of AVX2's 16 registers hold sums
#endif

/// c[rows, 16 panels] (+)= a[rows, depth] b[depth, 16 panels], of one or two panels, each contiguous and `gap` floats apart.
LK_INLINE void lk_row_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, size_t depth, bool add,
    const int rows, const int panels) {
    lk_v16 sum[2][LK_ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) sum[p][r] = add ? lk_load(c + r * ldc + p * 16) : lk_splat(0);
    for (size_t k = 0; k < depth; k++) {
        lk_v16 row = lk_load(b + k * 16), next = panels > 1 ? lk_load(b + gap + k * 16) : row;
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            lk_v16 number = lk_splat(a[r * lda + k]);
            sum[0][r] += number * row;
            if (panels > 1) sum[1][r] += number * next;
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) lk_store(c + r * ldc + p * 16, sum[p][r]);
}

/// c[m, 16 panels] (+)= a[m, depth] b[depth, 16 panels], in groups of nearly equal size of at most LK_ROWS rows.
LK_INLINE void lk_panel_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, size_t m, size_t depth, bool add,
    const int panels) {
    size_t groups = lk_pieces(m, LK_ROWS);
    for (size_t group = 0, row = 0; group < groups; group++) {
        size_t rows = (m - row + groups - group - 1) / (groups - group);
#define CASE(count)                                                                                                    \
    case count:                                                                                                        \
        lk_row_product(c + row * ldc, ldc, a + row * lda, lda, b, gap, depth, add, count, panels);                     \
        break;
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

static void lk_one_panel_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t m, size_t depth, bool add) {
    lk_panel_product(c, ldc, a, lda, b, 0, m, depth, add, 1);
}

#ifdef LK_AVX512 // whose registers hold the sums of two: each number of a is read once for both
static void lk_two_panels_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, size_t m, size_t depth, bool add) {
    lk_panel_product(c, ldc, a, lda, b, gap, m, depth, add, 2);
}
#endif

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

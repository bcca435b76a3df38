// One product of floats or of words (bfloat.h), where vectors multiply both.

/// c[m, 16 panels] (+)= a[m, depth] b[depth, 16 panels], of floats or of words; b's panels are `gap` floats apart.
LK_INLINE void lk_products(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, size_t panels, size_t m, size_t depth,
    bool add, const bool words) {
    size_t panel = 0;
#ifdef LK_AVX512
    for (; !words && panel + 2 <= panels; panel += 2)
        lk_two_panels_product(c + panel * 16, ldc, a, lda, b + panel * gap, gap, m, depth, add);
#endif
    for (; panel < panels; panel++) {
#ifdef LK_VECTORS_OF_WORDS
        if (words) {
            lk_panel_words(c + panel * 16, ldc, a, lda, b + panel * gap, m, depth, add);
            continue;
        }
#endif
        lk_one_panel_product(c + panel * 16, ldc, a, lda, b + panel * gap, m, depth, add);
    }
}

// One product of floats or of words (bfloat.h), by whatever this variant multiplies words with.

/// Panels of 16 columns that had better be multiplied at once.
#ifdef LK_TILES
enum { LK_PANELS = 2 };
#else
enum { LK_PANELS = 1 };
#endif

/// c[m, 16 panels] (+)= a[m, depth] b[depth, 16 panels], of floats or of words; b's panels are `gap` floats apart.
LK_INLINE void lk_products(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, size_t panels, size_t m, size_t depth,
    bool add, const bool words) {
#ifdef LK_TILES
    if (words) return lk_tile_products(c, ldc, a, lda, b, gap, panels, m, depth, add);
#endif
    for (size_t panel = 0; panel < panels; panel++, c += 16, b += gap) {
#ifdef LK_VECTORS_OF_WORDS
        if (words) {
            lk_panel_words(c, ldc, a, lda, b, m, depth, add);
            continue;
        }
#endif
        lk_panel_product(c, ldc, a, lda, b, m, depth, add);
    }
}

// The rate that nothing exceeds: products in registers alone, on all threads. Where there are tiles, products of floats are
// six of theirs (linear_parts.h).

#ifdef LK_TILES
enum { LK_TILED = true };
#else
enum { LK_TILED = false };
#endif

typedef struct {
    size_t rounds;
    float *results;
} peak;

static void peak_piece(void *context, size_t piece) {
    const peak *j = context;
    lk_v16 sum[LK_ROWS], factor = lk_splat(0.999f), offset = lk_splat(0.001f);
    for (int r = 0; r < LK_ROWS; r++) sum[r] = lk_splat((float)r);
    for (size_t i = 0; i < j->rounds; i++)
#pragma clang loop unroll(full)
        for (int r = 0; r < LK_ROWS; r++) sum[r] = sum[r] * factor + offset;
    for (int r = 1; r < LK_ROWS; r++) sum[0] += sum[r];
    j->results[piece] = lk_hsum(sum[0]);
}

#ifdef LK_BFLOAT
/// The same of words.
static void peak_piece_of_words(void *context, size_t piece) {
    const peak *j = context;
    float words[16 * 16] = {0};
#ifdef LK_TILES
    lk_shape_tiles(16, 16, 16);
    _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
    _tile_loadd(4, words, 64), _tile_loadd(5, words, 64), _tile_loadd(6, words, 64), _tile_loadd(7, words, 64);
    for (size_t i = 0; i < j->rounds; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, words, 64);
    _tile_release();
    j->results[piece] = words[0];
#else
    lk_v16 sum[LK_ROWS];
    lk_w16 row = (lk_w16)lk_load(words), factor = row;
    for (int r = 0; r < LK_ROWS; r++) sum[r] = lk_splat(0);
    for (size_t i = 0; i < j->rounds; i++)
#pragma clang loop unroll(full)
        for (int r = 0; r < LK_ROWS; r++) sum[r] = lk_add_products(sum[r], row, factor);
    for (int r = 1; r < LK_ROWS; r++) sum[0] += sum[r];
    j->results[piece] = lk_hsum(sum[0]);
#endif
}
#endif

void LK(peak)(double *flops, size_t rounds, bool bf16) {
    size_t threads = (size_t)lk_threads();
    float *results = lk_scratch(threads);
    peak j = {rounds, results};
    void (*piece)(void *, size_t) = peak_piece;
    size_t each = 2 * 16 * LK_ROWS;
#ifdef LK_BFLOAT
    if (bf16 || LK_TILED) piece = peak_piece_of_words, each *= 2;
    if (LK_TILED) each = 2 * 4 * 16 * 16 * 32;
#endif
    lk_parallel(threads, piece, &j);
    *flops = results[0] >= 0 ? (double)(each * rounds * threads) / (LK_TILED && !bf16 ? 6 : 1) : 0;
    free(results);
}

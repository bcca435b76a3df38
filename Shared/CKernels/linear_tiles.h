// Linear layers of words by tiles (tiles.h), whose unit works beside the vectors' one: what follows the sums of one
// product is done, bit by bit, while the next ones are multiplied.
//
//     pack the piece's panels, all of the depth                   [panels][words][16]
//     for each 192 rows of x
//         for each step of the depth
//             for each 32 rows: x in L1
//                 for each two panels, from L2
//                     c (+)= x panels;  in the last step, meanwhile, y = finish(the c before)
#ifdef LK_TILES

/// Numbers of words: a depth that is one step; that of a step where it is not. The core's cache holds a step's panels.
enum { LINEAR_WHOLE_DEPTH = 320, LINEAR_STEP = 160, LINEAR_WHOLE_PANELS = 40, LINEAR_STEP_PANELS = 20 };
enum { LINEAR_GROUP = 192, LINEAR_STRIP = 32, LINEAR_SUMS = LINEAR_STRIP * 32 };

/// Sums that wait to be finished: `rows` rows of two panels, or of one and its gates; the next row to be done.
typedef struct {
    const float *c;
    size_t row, panel, panels;
    size_t next, rows;
} linear_sums;

/// Finishes `count` more rows of sums.
LK_INLINE void linear_finish_some(
    const linear *j, linear_sums *s, size_t count, const lk_finish finish, const bool rough) {
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    static const float zeros[32] = {0};
    size_t end = lk_min(s->next + count, s->rows), o = s->panel * 16, width = j->width;
    if (o + (gated ? 16 : 32) > width) {
        for (; s->next < end; s->next++)
            linear_finish_row(j, s->c + s->next * 32, s->row + s->next, s->panel, s->panels, finish, rough);
        return;
    }
    const float *c = s->c + s->next * 32, *bias = t->bias ? t->bias + o : zeros, *residual = t->residual;
    const float *next_bias = !t->bias ? zeros : gated ? bias + width : bias + 16;
    size_t at = (s->row + s->next) * width + o;
    for (size_t r = s->next; r < end; r++, c += 32, at += width) {
        lk_v16 y = lk_load(c) + lk_load(bias), next = lk_load(c + 16) + lk_load(next_bias);
        y = linear_finish(t, y, next, finish, rough);
        if (!gated) next = linear_finish(t, next, next, finish, rough);
        if (residual) {
            y += lk_load(residual + at);
            if (!gated) next += lk_load(residual + at + 16);
        }
        if (gated) {
            lk_put_few(t->y, rough ? LK_BF16 : LK_F32, at, y, 16);
        } else if (rough) {
            lk_store((float *)((uint16_t *)t->y + at), lk_round_two(y, next));
        } else {
            lk_store((float *)t->y + at, y);
            lk_store((float *)t->y + at + 16, next);
        }
    }
    s->next = end;
}

/// c [32, 32] (+)= a b, of `tiles` (1, 2) tiles of rows and `chunks` times 16 words of depth. b's panels are `gap` floats
/// apart. Meanwhile `before` is finished.
LK_INLINE void linear_multiply(
    float *c, const float *a, size_t lda, const float *b, size_t gap, size_t chunks, bool add, const int tiles,
    const linear *j, linear_sums *before, const lk_finish finish, const bool rough) {
    enum { NEXT = 16, LOWER = 16 * 32, ROW = 32 * sizeof(float) };
    if (add) {
        _tile_loadd(0, c, ROW);
        _tile_loadd(1, c + NEXT, ROW);
        if (tiles > 1) _tile_loadd(2, c + LOWER, ROW);
        if (tiles > 1) _tile_loadd(3, c + LOWER + NEXT, ROW);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        if (tiles > 1) _tile_zero(2);
        if (tiles > 1) _tile_zero(3);
    }
    size_t each = lk_pieces(before->rows - before->next, chunks);
    for (size_t i = 0; i < chunks; i++, a += 16, b += 16 * 16) {
        _tile_loadd(4, a, lda * sizeof(float));
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + gap, 64);
        _tile_dpbf16ps(1, 4, 7);
        if (tiles > 1) {
            _tile_loadd(5, a + 16 * lda, lda * sizeof(float));
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        linear_finish_some(j, before, each, finish, rough);
    }
    _tile_stored(0, c, ROW);
    _tile_stored(1, c + NEXT, ROW);
    if (tiles > 1) _tile_stored(2, c + LOWER, ROW);
    if (tiles > 1) _tile_stored(3, c + LOWER + NEXT, ROW);
}

LK_INLINE void linear_tiles_piece_of(const linear *j, size_t piece, const lk_finish finish, const bool rough) {
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    const size_t words = t->inputs / 2, depth = lk_pieces(words, 16) * 16;
    size_t first = piece % j->blocks * j->each, panels = lk_min(j->each, j->panels - first);
    size_t start = piece / j->blocks * j->band, end = lk_min(start + j->band, t->rows);
    size_t pairs = gated ? panels : lk_pieces(panels, 2);
    bool whole = j->depth >= depth; // then only the sums that are made and those that are finished are kept
    bool in_place = t->x_format == LK_BF16 && words == depth;
    size_t lda = in_place ? words : depth + 16, sums = whole ? 2 : pairs * LINEAR_GROUP / LINEAR_STRIP;
    float *c = lk_piece_scratch(sums * LINEAR_SUMS + pairs * 32 * depth + (in_place ? 0 : LINEAR_GROUP * lda));
    float *b = c + sums * LINEAR_SUMS, *copy = b + pairs * 32 * depth;
    for (size_t i = 0; i < panels; i++) linear_pack_outputs(j, b, i, first + i, depth, true);

    linear_sums before = {0};
    size_t shaped = 0, number = 0;
    for (size_t row = start; row < end; row += LINEAR_GROUP) {
        size_t rows = lk_min(LINEAR_GROUP, end - row);
        const float *x = in_place ? lk_at(t->x, row * t->inputs, LK_BF16) : copy;
        for (size_t r = 0; r < rows && !in_place; r++) {
            linear_copy(copy + r * lda, t, (row + r) * t->inputs, words, true);
            memset(copy + r * lda + words, 0, (depth - words) * sizeof(float));
        }
        for (size_t k = 0, step; k < depth; k += step) {
            step = lk_min(j->depth, depth - k);
            for (size_t strip = 0; strip < rows; strip += LINEAR_STRIP) {
                size_t some = lk_min(LINEAR_STRIP, rows - strip);
                if (shaped != some) lk_shape_tiles(lk_min(16, some), some > 16 ? some - 16 : 0, 16);
                shaped = some;
                for (size_t pair = 0; pair < pairs; pair++) {
                    size_t place = whole ? number++ % 2 : strip / LINEAR_STRIP * pairs + pair;
                    float *to = c + place * LINEAR_SUMS;
                    const float *from = x + strip * lda + k, *columns = b + pair * 32 * depth + k * 16;
                    size_t there = gated ? 1 : lk_min(2, panels - 2 * pair), gap = gated || there == 2 ? depth * 16 : 0;
                    if (some > 16)
                        linear_multiply(to, from, lda, columns, gap, step / 16, k > 0, 2, j, &before, finish, rough);
                    else
                        linear_multiply(to, from, lda, columns, gap, step / 16, k > 0, 1, j, &before, finish, rough);
                    if (k + step == depth)
                        before = (linear_sums){
                            to, row + strip, first + (gated ? pair : 2 * pair), there, 0, some};
                }
            }
        }
        linear_finish_some(j, &before, before.rows, finish, rough); // its place is wanted
    }
    _tile_release();
}

static void linear_tiles_piece(void *context, size_t piece) {
    const linear *j = context;
    bool rough = j->args->y_format == LK_BF16;
    switch (j->args->finish) { // so that the inner loop knows what it is for
#define CASE(finish)                                                                                                   \
    case finish:                                                                                                       \
        if (rough) linear_tiles_piece_of(j, piece, finish, true);                                                      \
        else linear_tiles_piece_of(j, piece, finish, false);                                                           \
        break;
        CASE(LK_PLAIN)
        CASE(LK_ACTIVATED)
        CASE(LK_GATED)
#undef CASE
    }
}

static void linear_by_tiles(const lk_linear_args *args) {
    size_t depth = lk_pieces(args->inputs / 2, 16) * 16;
    bool whole = depth <= LINEAR_WHOLE_DEPTH;
    linear j = linear_job(args, whole ? LINEAR_WHOLE_PANELS : LINEAR_STEP_PANELS);
    j.depth = whole ? depth : lk_pieces(depth / 16, lk_pieces(depth, LINEAR_STEP)) * 16;
    lk_parallel(j.blocks * j.bands, linear_tiles_piece, &j);
}
#endif

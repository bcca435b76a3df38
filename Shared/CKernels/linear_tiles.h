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
    const linear *j;
    const float *c;
    size_t row, panel, panels;
    size_t next, rows, each; // each: how many at once
} linear_sums;

/// Finishes some more rows of sums.
LK_INLINE void linear_finish_some(linear_sums *s, const lk_finish finish, const bool rough) {
    const linear *j = s->j;
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    static const float zeros[32] = {0};
    const size_t all = gated ? 1 : 2; // panels of a pair
    size_t end = lk_min(s->next + s->each, s->rows), o = s->panel * 16, width = j->width;
    if (s->panels < all || o + all * 16 > width) { // what follows is another piece's, or not there
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

/// Tiles for `some` rows, unless they are shaped so already.
LK_INLINE void linear_shape(size_t *shaped, size_t some) {
    if (*shaped != some) lk_shape_tiles(lk_min(16, some), some > 16 ? some - 16 : 0, 16);
    *shaped = some;
}

/// The sums of a pair of a block's `panels` panels, which have the number `first` and on: they wait to be finished.
LK_INLINE linear_sums linear_await(
    const linear *j, const float *c, size_t row, size_t rows, size_t first, size_t pair, size_t panels, bool gated) {
    const size_t at = gated ? pair : 2 * pair, there = gated ? 1 : lk_min(2, panels - at);
    return (linear_sums){.j = j, .c = c, .row = row, .panel = first + at, .panels = there, .rows = rows};
}

LK_INLINE void linear_tiles_piece_of(
    const linear *j, size_t piece, const lk_finish finish, lk_meanwhile *const finish_some) {
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    const size_t words = t->inputs / 2, depth = lk_pieces(words, 16) * 16;
    size_t block, band;
    lk_place(piece, j->blocks, j->bands, &block, &band);
    size_t first = block * j->each, panels = lk_min(j->each, j->panels - first);
    size_t start = band * j->band, end = lk_min(start + j->band, t->rows);
    size_t pairs = gated ? panels : lk_pieces(panels, 2);
    bool whole = j->depth >= depth; // then only the sums that are made and those that are finished are kept
    bool in_place = t->x_format == LK_BF16 && words == depth;
    size_t lda = in_place ? words : depth + 16, sums = whole ? 2 : pairs * LINEAR_GROUP / LINEAR_STRIP;
    float *c = lk_piece_scratch(sums * LINEAR_SUMS + pairs * 32 * depth + (in_place ? 0 : LINEAR_GROUP * lda));
    float *b = c + sums * LINEAR_SUMS, *copy = b + pairs * 32 * depth;
    const size_t missing = linear_holds(j, block) ? 0 : panels;
    for (size_t i = 0; i < missing; i++) linear_pack_outputs(j, b, i, first + i, depth, true);

    linear_sums before = {.j = j};
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
                linear_shape(&shaped, some);
                for (size_t pair = 0; pair < pairs; pair++) {
                    size_t place = whole ? number++ % 2 : strip / LINEAR_STRIP * pairs + pair;
                    float *to = c + place * LINEAR_SUMS;
                    const float *from = x + strip * lda + k, *columns = b + pair * 32 * depth + k * 16;
                    size_t gap = gated || 2 * pair + 1 < panels ? depth * 16 : 0;
                    before.each = lk_pieces(before.rows, step / 16);
                    if (some > 16)
                        lk_tile_product(
                            to, 32, from, lda, columns, gap, lk_depth(step), k > 0, 2, 2, finish_some, &before);
                    else
                        lk_tile_product(
                            to, 32, from, lda, columns, gap, lk_depth(step), k > 0, 1, 2, finish_some, &before);
                    if (k + step == depth) before = linear_await(j, to, row + strip, some, first, pair, panels, gated);
                }
            }
        }
        before.each = before.rows;
        finish_some(&before); // its place is wanted
    }
    _tile_release();
}

// For each kind its own, so that the inner loop knows what it is for.
#define KIND(name, finish, rough)                                                                                      \
    LK_INLINE void linear_finish_##name(void *sums) { linear_finish_some(sums, finish, rough); }                       \
    static void linear_tiles_##name(void *context, size_t piece) {                                                     \
        linear_tiles_piece_of(context, piece, finish, linear_finish_##name);                                           \
    }
KIND(plain, LK_PLAIN, false)
KIND(plain_rough, LK_PLAIN, true)
KIND(activated, LK_ACTIVATED, false)
KIND(activated_rough, LK_ACTIVATED, true)
KIND(gated, LK_GATED, false)
KIND(gated_rough, LK_GATED, true)
#undef KIND

#include "linear_parts.h"

static void linear_by_tiles(const lk_linear_args *args) {
    size_t depth = lk_pieces(args->inputs / 2, 16) * 16;
    bool whole = depth <= LINEAR_WHOLE_DEPTH;
    linear j = linear_job(args, whole ? LINEAR_WHOLE_PANELS : LINEAR_STEP_PANELS);
    j.depth = whole ? depth : lk_pieces(depth / 16, lk_pieces(depth, LINEAR_STEP)) * 16;
    static void (*const kinds[][2])(void *, size_t) = {
        [LK_PLAIN] = {linear_tiles_plain, linear_tiles_plain_rough},
        [LK_ACTIVATED] = {linear_tiles_activated, linear_tiles_activated_rough},
        [LK_GATED] = {linear_tiles_gated, linear_tiles_gated_rough},
    };
    lk_parallel(j.blocks * j.bands, kinds[args->finish][args->y_format == LK_BF16], &j);
}
#endif

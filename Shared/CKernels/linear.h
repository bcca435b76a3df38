// Linear layers: y = x W^T + bias, then an activation, or half of it gating the other half (GEGLU), then + residual.
//
// Weights are read as the checkpoint has them, [O, D] in 32 or 16 bits a number, and widened on the way into panels of
// 16 outputs: a mapped file needs no second copy, and what a pass reads from memory is as small as the file. A piece of
// work is some rows of x and some panels (the blocking is that of Goto and van de Geijn 2008, doi 10.1145/1356052.1356053):
//
//     pack its panels, all of the depth                     [panels][D][16]
//     for each 96 rows of x
//         for each 384 of the depth
//             copy x                                        [rows][depth], in a stride that crowds no set of the cache
//             c (+)= x panel, for each panel                a panel in L1, x in L2
//         y = finish(c)
//
// Tiles have an order of their own (linear_tiles.h).

enum { LINEAR_ROWS = 96, LINEAR_DEPTH = 384, LINEAR_PANELS = 26, LINEAR_MOST_ROWS = 1024 };

typedef struct {
    const lk_linear_args *args;
    size_t width;              // of y
    size_t panels, blocks;     // of 16 outputs in all; pieces side by side
    size_t each, bands, band;  // panels of a piece; pieces one below the other, and rows of each
    size_t depth;              // of a step
    size_t call;               // this one's number
} linear;

/// Whether the calling thread's scratch still holds the block's panels; from now on it does.
static bool linear_holds(const linear *j, size_t block) {
    static _Thread_local size_t call, held;
    bool holds = call == j->call && held == block;
    call = j->call, held = block;
    return holds;
}

/// What follows sums and their biases.
LK_INLINE lk_v16 linear_finish(
    const lk_linear_args *t, lk_v16 y, lk_v16 gate, const lk_finish finish, const bool rough) {
    if (finish == LK_GATED) return y * gelu(gate, rough);
    return finish == LK_ACTIVATED ? activate(y, t->activation, rough) : y;
}

/// A row of y, `panels` of 16 numbers from `first` on, from the sums (and, for GEGLU, those of the gates).
LK_INLINE void linear_finish_row(
    const linear *j, const float *c, size_t row, size_t first, size_t panels, const lk_finish finish,
    const bool rough) {
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    for (size_t panel = 0; panel < panels; panel++, c += gated ? 32 : 16) {
        size_t o = (first + panel) * 16, few = lk_min(16, j->width - o), at = row * j->width + o;
        lk_v16 y = lk_load(c), gate = gated ? lk_load(c + 16) : y;
        if (t->bias) y += lk_load_few(t->bias + o, few);
        if (t->bias && gated) gate += lk_load_few(t->bias + j->width + o, few);
        y = linear_finish(t, y, gate, finish, rough);
        if (t->residual) y += lk_load_few(t->residual + at, few);
        lk_put_few(t->y, rough ? LK_BF16 : LK_F32, at, y, few);
    }
}

LK_INLINE void linear_pack(
    float *to, const lk_linear_args *t, size_t row, size_t few, size_t depth, const bool words) {
    const void *from = lk_at(t->weights, row * t->inputs, t->format);
#ifdef LK_BFLOAT
    if (words) return lk_pack_words(to, from, t->format, t->inputs, few, depth);
#endif
    lk_pack_panel(to, from, t->format, t->inputs, few, depth);
}

/// The i-th panel of `to`, of 16 outputs, and of GEGLU's gates beside them; the depth that is not there is zeros.
LK_INLINE void linear_pack_outputs(
    const linear *j, float *to, size_t i, size_t panel, size_t depth, const bool words) {
    const lk_linear_args *t = j->args;
    const size_t gates = t->finish == LK_GATED ? 2 : 1, there = words ? t->inputs / 2 : t->inputs;
    size_t from = panel * 16, few = lk_min(16, j->width - from);
    for (size_t gate = 0; gate < gates; gate++) {
        float *outputs = to + (gates * i + gate) * 16 * depth;
        linear_pack(outputs, t, gate * j->width + from, few, there, words);
        memset(outputs + there * 16, 0, (depth - there) * 16 * sizeof(float));
    }
}

/// `step` floats or words, of x from the at-th number on.
LK_INLINE void linear_copy(float *to, const lk_linear_args *t, size_t at, size_t step, const bool words) {
    const void *from = lk_at(t->x, at, t->x_format);
#ifdef LK_BFLOAT
    if (words && t->x_format == LK_F32) return lk_round_row(to, from, 2 * step);
#endif
    memcpy(to, from, step * sizeof(float));
}

/// `words`: numbers are rounded to bfloat16, two to a float's place, and so are half as many.
LK_INLINE void linear_piece_of(const linear *j, size_t piece, const bool words) {
    const lk_linear_args *t = j->args;
    bool gated = t->finish == LK_GATED;
    size_t depth = words ? t->inputs / 2 : t->inputs, stride = j->depth + 16;
    size_t block, band;
    lk_place(piece, j->blocks, j->bands, &block, &band);
    size_t first = block * j->each, panels = lk_min(j->each, j->panels - first);
    size_t row = band * j->band, end = lk_min(row + j->band, t->rows);
    size_t columns = panels * (gated ? 2 : 1), ldc = columns * 16;
    float *b = lk_piece_scratch(columns * 16 * depth + LINEAR_ROWS * (stride + ldc));
    float *copy = b + columns * 16 * depth, *c = copy + LINEAR_ROWS * stride;
    const size_t unit = words ? 2 : 1;
    bool rough = t->y_format == LK_BF16;
    const size_t missing = linear_holds(j, block) ? 0 : panels;
    for (size_t i = 0; i < missing; i++) linear_pack_outputs(j, b, i, first + i, depth, words);
    size_t groups = lk_pieces(end - row, LINEAR_ROWS);
    for (size_t group = 0; group < groups; group++) {
        size_t rows = (end - row + groups - group - 1) / (groups - group);
        rows = lk_min(lk_pieces(rows, LK_ROWS) * LK_ROWS, end - row);
        for (size_t k = 0; k < depth; k += j->depth) {
            size_t step = lk_min(j->depth, depth - k);
            for (size_t r = 0; r < rows; r++)
                linear_copy(copy + r * stride, t, (row + r) * t->inputs + k * unit, step, words);
            bool last = k + step == depth;
            size_t next_row = last ? row + rows : row, next_k = last ? 0 : k + step;
            size_t next_rows = lk_min(rows, end - next_row), next = lk_min(j->depth, depth - next_k);
            lk_next expected = {
                lk_at(t->x, next_row * t->inputs + next_k * unit, t->x_format), t->inputs * lk_bytes(t->x_format),
                lk_pieces(next * unit * lk_bytes(t->x_format), 64), 0, 0};
            expected.left = next_rows * expected.lines;
            const size_t share = lk_pieces(expected.left, columns);
            for (size_t i = 0, some; i < columns; i += some) {
                some = lk_min(2, columns - i);
                lk_expect(&expected, share * some);
                lk_products(
                    c + i * 16, ldc, copy, stride, b + (i * depth + k) * 16, depth * 16, some, rows, step, k > 0, words);
            }
        }
        for (size_t r = 0; r < rows; r++) { // row by row: whole lines of memory one after another
            const float *sums = c + r * ldc; // so that each loop knows what it is for
            if (gated && rough) linear_finish_row(j, sums, row + r, first, panels, LK_GATED, true);
            else if (gated) linear_finish_row(j, sums, row + r, first, panels, LK_GATED, false);
            else if (rough) linear_finish_row(j, sums, row + r, first, panels, t->finish, true);
            else linear_finish_row(j, sums, row + r, first, panels, t->finish, false);
        }
        row += rows;
        if (row == end) break;
    }
}

static void linear_piece(void *context, size_t piece) { linear_piece_of(context, piece, false); }

#ifdef LK_VECTORS_OF_WORDS
static void linear_piece_of_words(void *context, size_t piece) { linear_piece_of(context, piece, true); }
#endif

/// Cuts the work into pieces of at most `panels` panels.
static linear linear_job(const lk_linear_args *args, size_t panels) {
    static _Atomic size_t calls = 0;
    bool gated = args->finish == LK_GATED;
    linear j = {.args = args, .width = gated ? args->outputs / 2 : args->outputs, .call = ++calls};
    j.panels = lk_pieces(j.width, 16);
    j.bands = lk_pieces(args->rows, LINEAR_MOST_ROWS);
    j.band = lk_pieces(args->rows, j.bands);
    j.blocks = lk_pieces(j.panels, gated ? panels / 2 : panels);
    if (j.blocks > 1 && j.blocks * j.bands % 2) j.blocks++; // cores come in even numbers
    j.each = lk_pieces(j.panels, j.blocks);
    j.blocks = lk_pieces(j.panels, j.each);
    return j;
}

#include "linear_tiles.h"

void LK(linear)(const lk_linear_args *args) {
    if (args->rows == 0 || args->outputs == 0) return;
    size_t depth = args->inputs;
#ifdef LK_TILES
    if (args->bf16 && depth % 2 == 0) return linear_by_tiles(args);
    return linear_by_parts(args);
#endif
    linear j = linear_job(args, LINEAR_PANELS);
#ifdef LK_VECTORS_OF_WORDS
    if (args->bf16 && depth % 2 == 0) {
        depth /= 2;
        j.depth = lk_pieces(lk_pieces(depth, lk_pieces(depth, LINEAR_DEPTH)), 16) * 16;
        return lk_parallel(j.blocks * j.bands, linear_piece_of_words, &j);
    }
#endif
    j.depth = lk_pieces(depth, lk_pieces(depth, LINEAR_DEPTH));
    lk_parallel(j.blocks * j.bands, linear_piece, &j);
}

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

enum { LINEAR_ROWS = 96, LINEAR_DEPTH = 384, LINEAR_PANELS = 20, LINEAR_MOST_ROWS = 1024 };

typedef struct {
    const lk_linear_args *args;
    size_t width;              // of y
    size_t panels, blocks;     // of 16 outputs in all; pieces side by side
    size_t each, bands, band;  // panels of a piece; pieces one below the other, and rows of each
    size_t depth;              // of a step
} linear;

LK_INLINE const void *weight_row(const lk_linear_args *t, size_t row) {
    return (const char *)t->weights + row * t->inputs * (t->format == LK_F32 ? 4 : 2);
}

/// y of `rows` rows and one panel, from the sums (and, for GEGLU, those of the gates).
LK_INLINE void linear_finish(
    const linear *j, const float *c, size_t ldc, size_t row, size_t rows, size_t panel, const bool gated) {
    const lk_linear_args *t = j->args;
    size_t first = panel * 16, few = lk_min(16, j->width - first);
    lk_v16 bias = lk_splat(0), gate_bias = bias;
    if (t->bias) bias = lk_load_few(t->bias + first, few);
    if (t->bias && gated) gate_bias = lk_load_few(t->bias + j->width + first, few);
    for (size_t r = 0; r < rows; r++) {
        lk_v16 y = lk_load(c + r * ldc) + bias;
        if (gated) y *= gelu(lk_load(c + r * ldc + 16) + gate_bias);
        if (t->finish == LK_ACTIVATED) y = activate(y, t->activation);
        size_t at = (row + r) * j->width + first;
        if (t->residual) y += lk_load_few(t->residual + at, few);
        lk_store_few(t->y + at, y, few);
    }
}

static void linear_piece(void *context, size_t piece) {
    const linear *j = context;
    const lk_linear_args *t = j->args;
    bool gated = t->finish == LK_GATED;
    size_t depth = t->inputs, stride = j->depth + 16;
    size_t first = piece % j->blocks * j->each, panels = lk_min(j->each, j->panels - first);
    size_t row = piece / j->blocks * j->band, end = lk_min(row + j->band, t->rows);
    size_t columns = panels * (gated ? 2 : 1), ldc = columns * 16;
    float *b = lk_piece_scratch(columns * 16 * depth + LINEAR_ROWS * (stride + ldc)), *a = b + columns * 16 * depth;
    float *c = a + LINEAR_ROWS * stride;
    for (size_t i = 0; i < panels; i++) {
        size_t from = (first + i) * 16, few = lk_min(16, j->width - from);
        if (gated) { // a panel and its gates side by side
            lk_pack_panel(b + 2 * i * 16 * depth, weight_row(t, from), t->format, depth, few, depth);
            lk_pack_panel(b + (2 * i + 1) * 16 * depth, weight_row(t, j->width + from), t->format, depth, few, depth);
        } else {
            lk_pack_panel(b + i * 16 * depth, weight_row(t, from), t->format, depth, few, depth);
        }
    }
    size_t groups = lk_pieces(end - row, LINEAR_ROWS);
    for (size_t group = 0; group < groups; group++) {
        size_t rows = (end - row + groups - group - 1) / (groups - group);
        rows = lk_min(lk_pieces(rows, LK_ROWS) * LK_ROWS, end - row);
        for (size_t k = 0; k < depth; k += j->depth) {
            size_t step = lk_min(j->depth, depth - k);
            for (size_t r = 0; r < rows; r++)
                memcpy(a + r * stride, t->x + (row + r) * depth + k, step * sizeof(float));
            for (size_t i = 0; i < columns; i++)
                lk_panel_product(c + i * 16, ldc, a, stride, b + (i * depth + k) * 16, rows, step, k > 0);
        }
        for (size_t i = 0; i < panels; i++) {
            if (gated) {
                linear_finish(j, c + i * 32, ldc, row, rows, first + i, true);
            } else {
                linear_finish(j, c + i * 16, ldc, row, rows, first + i, false);
            }
        }
        row += rows;
        if (row == end) break;
    }
}

void LK(linear)(const lk_linear_args *args) {
    if (args->rows == 0 || args->outputs == 0) return;
    linear j = {.args = args, .width = args->finish == LK_GATED ? args->outputs / 2 : args->outputs};
    j.depth = lk_pieces(args->inputs, lk_pieces(args->inputs, LINEAR_DEPTH));
    j.panels = lk_pieces(j.width, 16);
    size_t most = args->finish == LK_GATED ? LINEAR_PANELS / 2 : LINEAR_PANELS;
    j.blocks = lk_pieces(j.panels, most);
    j.each = lk_pieces(j.panels, j.blocks);
    j.blocks = lk_pieces(j.panels, j.each);
    j.bands = lk_pieces(args->rows, LINEAR_MOST_ROWS);
    j.band = lk_pieces(args->rows, j.bands);
    lk_parallel(j.blocks * j.bands, linear_piece, &j);
}

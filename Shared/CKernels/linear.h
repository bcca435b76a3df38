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

enum { LINEAR_ROWS = 96, LINEAR_DEPTH = 384, LINEAR_PANELS = 26, LINEAR_MOST_ROWS = 1024 };
/// Of words, where tiles multiply them: half as large and read so fast that rounding x for each piece counts.
enum { LINEAR_TILES_PANELS = 40 };

typedef struct {
    const lk_linear_args *args;
    size_t width;              // of y
    size_t panels, blocks;     // of 16 outputs in all; pieces side by side
    size_t each, bands, band;  // panels of a piece; pieces one below the other, and rows of each
    size_t depth;              // of a step
} linear;

/// A row of y, `panels` of 16 numbers from `first` on, from the sums (and, for GEGLU, those of the gates).
LK_INLINE void linear_finish(
    const linear *j, const float *c, size_t row, size_t first, size_t panels, const bool gated, const bool rough) {
    const lk_linear_args *t = j->args;
    for (size_t panel = 0; panel < panels; panel++) {
        size_t o = (first + panel) * 16, few = lk_min(16, j->width - o), at = row * j->width + o;
        lk_v16 y = lk_load(c + panel * (gated ? 32 : 16));
        if (t->bias) y += lk_load_few(t->bias + o, few);
        if (gated) {
            lk_v16 gate = lk_load(c + panel * 32 + 16);
            if (t->bias) gate += lk_load_few(t->bias + j->width + o, few);
            y *= gelu(gate, rough);
        }
        if (t->finish == LK_ACTIVATED) y = activate(y, t->activation, rough);
        if (t->residual) y += lk_load_few(t->residual + at, few);
        lk_put_few(t->y, t->y_format, at, y, few);
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

/// `step` floats or words, of x from the at-th number on.
LK_INLINE void linear_copy(float *to, const lk_linear_args *t, size_t at, size_t step, const bool words) {
    const void *from = lk_at(t->x, at, t->x_format);
#ifdef LK_BFLOAT
    if (words && t->x_format == LK_F32) return lk_round_row(to, from, 2 * step);
#endif
    memcpy(to, from, step * sizeof(float));
}

/// What comes next of x, `lines` cache lines of each row; it is asked for bit by bit, and products hide the wait.
typedef struct {
    const char *x;
    size_t stride, lines, line, left; // bytes between rows
} linear_next;

LK_INLINE void linear_expect(linear_next *next, size_t count) {
    for (size_t i = lk_min(count, next->left); i > 0; i--, next->left--) {
        __builtin_prefetch(next->x + next->line * 64, 0, 2);
        if (++next->line == next->lines) next->line = 0, next->x += next->stride;
    }
}

/// `words`: numbers are rounded to bfloat16, two to a float's place, and so are half as many.
LK_INLINE void linear_piece_of(const linear *j, size_t piece, const bool words) {
    const lk_linear_args *t = j->args;
    bool gated = t->finish == LK_GATED;
    size_t depth = words ? t->inputs / 2 : t->inputs, stride = j->depth + 16;
    size_t first = piece % j->blocks * j->each, panels = lk_min(j->each, j->panels - first);
    size_t row = piece / j->blocks * j->band, end = lk_min(row + j->band, t->rows);
    size_t columns = panels * (gated ? 2 : 1), ldc = columns * 16;
    float *b = lk_piece_scratch(columns * 16 * depth + LINEAR_ROWS * (stride + ldc));
    float *copy = b + columns * 16 * depth, *c = copy + LINEAR_ROWS * stride;
    const bool in_place = words && LK_PANELS > 1 && t->x_format == LK_BF16; // tiles do not mind their rows' distance
    const size_t unit = words ? 2 : 1, y_bytes = lk_bytes(t->y_format);
    bool rough = t->y_format == LK_BF16;
    for (size_t i = 0; i < panels; i++) {
        size_t from = (first + i) * 16, few = lk_min(16, j->width - from);
        if (gated) { // a panel and its gates side by side
            linear_pack(b + 2 * i * 16 * depth, t, from, few, depth, words);
            linear_pack(b + (2 * i + 1) * 16 * depth, t, j->width + from, few, depth, words);
        } else {
            linear_pack(b + i * 16 * depth, t, from, few, depth, words);
        }
    }
    size_t groups = lk_pieces(end - row, LINEAR_ROWS);
    for (size_t group = 0; group < groups; group++) {
        size_t rows = (end - row + groups - group - 1) / (groups - group);
        rows = lk_min(lk_pieces(rows, LK_ROWS) * LK_ROWS, end - row);
        for (size_t k = 0; k < depth; k += j->depth) {
            size_t step = lk_min(j->depth, depth - k);
            const float *a = in_place ? (const float *)lk_at(t->x, row * t->inputs + k * 2, LK_BF16) : copy;
            if (!in_place)
                for (size_t r = 0; r < rows; r++)
                    linear_copy(copy + r * stride, t, (row + r) * t->inputs + k * unit, step, words);
            bool last = k + step == depth;
            size_t next_row = last ? row + rows : row, next_k = last ? 0 : k + step;
            size_t next_rows = lk_min(rows, end - next_row), next = lk_min(j->depth, depth - next_k);
            linear_next expected = {
                lk_at(t->x, next_row * t->inputs + next_k * unit, t->x_format), t->inputs * lk_bytes(t->x_format),
                lk_pieces(next * unit * lk_bytes(t->x_format), 64), 0, 0};
            expected.left = next_rows * expected.lines;
            const size_t share = lk_pieces(expected.left, columns);
            for (size_t i = 0, some; i < columns; i += some) {
                some = words ? lk_min(LK_PANELS, columns - i) : 1;
                linear_expect(&expected, share * some);
                if (last)
                    for (size_t r = 0; r < rows; r++)
                        __builtin_prefetch(
                            (char *)t->y + ((row + r) * j->width + (first + i * panels / columns) * 16) * y_bytes, 1, 2);
                lk_products(
                    c + i * 16, ldc, a, in_place ? depth : stride, b + (i * depth + k) * 16, depth * 16, some, rows, step, k > 0, words);
            }
        }
        for (size_t r = 0; r < rows; r++) { // row by row: whole lines of memory one after another
            const float *sums = c + r * ldc; // so that each loop knows what it is for
            if (gated && rough) linear_finish(j, sums, row + r, first, panels, true, true);
            else if (gated) linear_finish(j, sums, row + r, first, panels, true, false);
            else if (rough) linear_finish(j, sums, row + r, first, panels, false, true);
            else linear_finish(j, sums, row + r, first, panels, false, false);
        }
        row += rows;
        if (row == end) break;
    }
}

static void linear_piece(void *context, size_t piece) { linear_piece_of(context, piece, false); }

#ifdef LK_BFLOAT
static void linear_piece_of_words(void *context, size_t piece) { linear_piece_of(context, piece, true); }
#endif

void LK(linear)(const lk_linear_args *args) {
    if (args->rows == 0 || args->outputs == 0) return;
    bool words = false;
#ifdef LK_BFLOAT
    words = args->bf16 && args->inputs % 2 == 0;
#endif
    size_t depth = words ? args->inputs / 2 : args->inputs;
    linear j = {.args = args, .width = args->finish == LK_GATED ? args->outputs / 2 : args->outputs};
    j.depth = lk_pieces(depth, lk_pieces(depth, LINEAR_DEPTH));
    if (words) j.depth = lk_pieces(j.depth, 16) * 16;
    j.panels = lk_pieces(j.width, 16);
    size_t most = words && LK_PANELS > 1 ? LINEAR_TILES_PANELS : LINEAR_PANELS;
    j.blocks = lk_pieces(j.panels, args->finish == LK_GATED ? most / 2 : most);
    j.each = lk_pieces(j.panels, j.blocks);
    j.blocks = lk_pieces(j.panels, j.each);
    j.bands = lk_pieces(args->rows, LINEAR_MOST_ROWS);
    j.band = lk_pieces(args->rows, j.bands);
#ifdef LK_BFLOAT
    if (words) return lk_parallel(j.blocks * j.bands, linear_piece_of_words, &j);
#endif
    lk_parallel(j.blocks * j.bands, linear_piece, &j);
}

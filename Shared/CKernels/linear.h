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

typedef float lk_v8 __attribute__((vector_size(32)));
typedef float lk_v8u __attribute__((vector_size(32), aligned(4)));

/// Eight numbers of any format.
LK_INLINE lk_v8 load8(const void *p, size_t at, lk_format format) {
    if (format == LK_F32) return *(const lk_v8u *)((const float *)p + at);
    typedef uint16_t u8 __attribute__((vector_size(16)));
    typedef uint32_t w8 __attribute__((vector_size(32)));
    u8 few;
    memcpy(&few, (const uint16_t *)p + at, sizeof few);
#ifdef LK_F16C
    typedef short s8 __attribute__((vector_size(16)));
    if (format == LK_F16) return (lk_v8)__builtin_ia32_vcvtph2ps256((s8)few);
#endif
    w8 bits = __builtin_convertvector(few, w8);
    if (format == LK_BF16) return (lk_v8)(bits << 16);
    // Multiplying moves the exponent's bias from 15 to 127, and makes subnormal numbers normal.
    w8 magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    lk_v8 value = (lk_v8)magnitude * 0x1p112f;
    w8 special = (w8)(magnitude >= 0x7c00u << 13) & 0x7f800000; // infinity, NaN
    return (lk_v8)((w8)value | special | sign);
}

/// Eight rows of eight become eight columns.
LK_INLINE void transpose8(lk_v8 r[8]) {
    lk_v8 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            r[i + 2 * k] = __builtin_shufflevector(t[i + k], t[i + 2 + k], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * k + 1] = __builtin_shufflevector(t[i + k], t[i + 2 + k], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

LK_INLINE float load1(const void *p, size_t at, lk_format format) {
    if (format == LK_F32) return ((const float *)p)[at];
    uint16_t eight[8] = {((const uint16_t *)p)[at]};
    return load8(eight, 0, format)[0];
}

/// `count` of 16 rows of `length` numbers, `stride` apart, become a panel [length][16]; rows that are not there are zeros.
LK_INLINE void pack_panel_of(
    float *to, const void *from, size_t stride, size_t count, size_t length, const lk_format format) {
    for (size_t half = 0; half < 16; half += 8) {
        size_t rows = half < count ? lk_min(8, count - half) : 0, k = 0;
        for (; k + 8 <= length; k += 8) {
            lk_v8 r[8] = {0};
            if (rows == 8) {
#pragma clang loop unroll(full)
                for (size_t i = 0; i < 8; i++) r[i] = load8(from, (half + i) * stride + k, format);
            } else {
                for (size_t i = 0; i < rows; i++) r[i] = load8(from, (half + i) * stride + k, format);
            }
            transpose8(r);
#pragma clang loop unroll(full)
            for (int i = 0; i < 8; i++) *(lk_v8u *)(to + (k + i) * 16 + half) = r[i];
        }
        for (; k < length; k++)
            for (size_t i = 0; i < 8; i++)
                to[k * 16 + half + i] = i < rows ? load1(from, (half + i) * stride + k, format) : 0;
    }
}

static void lk_pack_panel(
    float *to, const void *from, lk_format format, size_t stride, size_t count, size_t length) {
    switch (format) { // so that each loop knows its format
    case LK_F32: pack_panel_of(to, from, stride, count, length, LK_F32); break;
    case LK_F16: pack_panel_of(to, from, stride, count, length, LK_F16); break;
    case LK_BF16: pack_panel_of(to, from, stride, count, length, LK_BF16); break;
    }
}

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
    float *b = lk_scratch(columns * 16 * depth + LINEAR_ROWS * (stride + ldc)), *a = b + columns * 16 * depth;
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
    free(b);
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

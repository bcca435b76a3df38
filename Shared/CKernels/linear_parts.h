// Linear layers of floats by tiles, as sums of products of their parts (tiles.h). A weight of 16 bits has fewer parts: of
// half precision two, of bfloat16 one. x is cut and weights are rounded, so that the products left out lean to neither side.
//
//     pack the piece's panels                                     [panels][parts][words][16]
//     for each 384 rows of x
//         for each step of the depth
//             for each 32 rows: x's parts in L1                   [32][3][step]
//                 for each two panels: c (+)= x0 panel2 + ...;  in the last step, meanwhile, y = finish(the c before)

enum { LINEAR_PARTS_STEP = 64, LINEAR_PARTS_PANELS = 20, LINEAR_PARTS_GROUP = 384 };

LK_INLINE size_t linear_parts(lk_format format) { return format == LK_F32 ? 3 : format == LK_F16 ? 2 : 1; }

/// 16 outputs' weights as words of each part, `depth` words apart.
static void linear_pack_parts(float *to, const lk_linear_args *t, size_t output, size_t few, size_t depth) {
    enum { SOME = 64 }; // whose numbers stay in L1
    float numbers[SOME * 16];
    const size_t parts = linear_parts(t->format);
    for (size_t k = 0; k < 2 * depth; k += SOME) {
        size_t end = lk_min(2 * depth, k + SOME), there = k < t->inputs ? lk_min(t->inputs, end) - k : 0;
        lk_pack_panel(numbers, lk_at(t->weights, output * t->inputs + k, t->format), t->format, t->inputs, few, there);
        memset(numbers + there * 16, 0, (end - k - there) * 16 * sizeof(float));
        for (size_t i = 0; i < end - k; i += i % 32 == 15 ? 17 : 1) { // words as lk_cut_parts has them
            float *word = to + (k / 2 + i / 32 * 16 + i % 16) * 16;
            lk_round_parts(word, depth * 16, lk_load(numbers + i * 16), lk_load(numbers + (i + 16) * 16), parts);
        }
    }
}

/// A row of x, `count` numbers of it and then zeros, becomes `step` words of each part.
LK_INLINE void linear_split_row(float *to, const float *x, size_t count, size_t step) {
    for (size_t i = 0; i < 2 * step; i += 32) {
        size_t few = i < count ? lk_min(16, count - i) : 0, more = i + 16 < count ? lk_min(16, count - i - 16) : 0;
        lk_cut_parts(to + i / 2, step, lk_load_few(x + i, few), lk_load_few(x + i + 16, more));
    }
}

LK_INLINE void linear_parts_piece_of(const linear *j, size_t piece, const lk_finish finish, lk_meanwhile *const finish_some) {
    const lk_linear_args *t = j->args;
    const bool gated = finish == LK_GATED;
    const size_t depth = lk_pieces(t->inputs, 32) * 16, parts = linear_parts(t->format), panel = parts * depth * 16;
    size_t block, band;
    lk_place(piece, j->blocks, j->bands, &block, &band);
    const size_t first = block * j->each, panels = lk_min(j->each, j->panels - first);
    const size_t start = band * j->band, end = lk_min(start + j->band, t->rows);
    const size_t pairs = gated ? panels : lk_pieces(panels, 2), lda = LK_PARTS * j->depth + 16;
    float *c = lk_piece_scratch(pairs * LINEAR_PARTS_GROUP / LINEAR_STRIP * LINEAR_SUMS + LINEAR_STRIP * lda + pairs * 2 * panel);
    float *copy = c + pairs * LINEAR_PARTS_GROUP / LINEAR_STRIP * LINEAR_SUMS, *b = copy + LINEAR_STRIP * lda;
    const size_t missing = linear_holds(j, block) ? 0 : panels;
    for (size_t i = 0; i < missing; i++) {
        size_t output = (first + i) * 16, few = lk_min(16, j->width - output);
        linear_pack_parts(b + (gated ? 2 * i : i) * panel, t, output, few, depth);
        if (gated) linear_pack_parts(b + (2 * i + 1) * panel, t, j->width + output, few, depth);
    }

    lk_tile_segment segments[LK_PART_PRODUCTS * LINEAR_PARTS_STEP / 16];
    size_t shaped = 0;
    linear_sums before = {.j = j};
    for (size_t row = start; row < end; row += LINEAR_PARTS_GROUP) {
        size_t group = lk_min(LINEAR_PARTS_GROUP, end - row);
        for (size_t k = 0, step; k < depth; k += step) {
            step = lk_min(j->depth, depth - k);
            size_t count = 0;
            for (size_t chunk = 0; chunk < step; chunk += 16)
                for (size_t i = 0; i < LK_PART_PRODUCTS; i++) {
                    const uint8_t *of = lk_part_products[i];
                    if (of[1] >= parts) continue;
                    segments[count++] = (lk_tile_segment){
                        (uint32_t)(of[0] * step + chunk), (uint32_t)((of[1] * depth + k + chunk) * 16)};
                }
            for (size_t strip = 0; strip < group; strip += LINEAR_STRIP) {
                size_t some = lk_min(LINEAR_STRIP, group - strip), there = lk_min(2 * step, t->inputs - 2 * k);
                for (size_t r = 0; r < some; r++)
                    linear_split_row(copy + r * lda, (const float *)t->x + (row + strip + r) * t->inputs + 2 * k, there, step);
                linear_shape(&shaped, some);
                for (size_t pair = 0; pair < pairs; pair++) {
                    float *to = c + (strip / LINEAR_STRIP * pairs + pair) * LINEAR_SUMS;
                    const float *from = b + pair * 2 * panel;
                    size_t gap = gated || 2 * pair + 1 < panels ? panel : 0;
                    before.each = lk_pieces(before.rows, count);
                    if (some > 16)
                        lk_tile_products(
                            to, 32, copy, lda, from, gap, segments, count, k > 0, 2, 2, finish_some, &before);
                    else
                        lk_tile_products(
                            to, 32, copy, lda, from, gap, segments, count, k > 0, 1, 2, finish_some, &before);
                    if (k + step == depth) before = linear_await(j, to, row + strip, some, first, pair, panels, gated);
                }
            }
        }
        before.each = before.rows;
        finish_some(&before); // its place is wanted
    }
    _tile_release();
}

#define KIND(name, finish)                                                                                             \
    static void linear_parts_##name(void *context, size_t piece) {                                                     \
        linear_parts_piece_of(context, piece, finish, linear_finish_##name);                                           \
    }
KIND(plain, LK_PLAIN)
KIND(activated, LK_ACTIVATED)
KIND(gated, LK_GATED)
#undef KIND

static void linear_by_parts(const lk_linear_args *args) {
    const size_t depth = lk_pieces(args->inputs, 32) * 16;
    linear j = linear_job(args, LINEAR_PARTS_PANELS);
    j.depth = lk_pieces(depth / 16, lk_pieces(depth, LINEAR_PARTS_STEP)) * 16;
    static void (*const kinds[])(void *, size_t) = {
        [LK_PLAIN] = linear_parts_plain, [LK_ACTIVATED] = linear_parts_activated, [LK_GATED] = linear_parts_gated};
    lk_parallel(j.blocks * j.bands, kinds[args->finish], &j);
}

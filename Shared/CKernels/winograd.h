// 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2015, arXiv 1509.09308):
//
//     y = A^T [ sum over channels of (G g G^T) ∘ (B^T d B) ] A        d: 6x6 pixels -> y: 4x4 pixels
//
// 36 multiplications where the sum itself takes 144. The interpolation points are 0, ±1/√2, ±√2 and infinity: their
// rounding error is 0.4 of that of the usual 0, ±1, ±2.
//
// With bfloat16 ("words": two numbers in a float's place, see bfloat.h), where there are no tiles (direct.h), it is
// F(2x2, 3x3), d: 4x4 pixels -> y: 2x2, points 0, ±1 and infinity: V and U are rounded, which that makes 1.5 times as bad
// as it is without Winograd; F(4x4, 3x3) would make it 5 times as bad.
//
//     for each stretch of tiles, as many as LK_V_FLOATS of transformed pixels
//         V = B^T d B                                      pieces: rows of tiles; vectors of 16 channels
//         for each block of at most 80 output channels     pieces
//             for each 256 input channels
//                 U = G g G^T                              made again for each stretch and call: that is cheaper than
//                                                          reading (and keeping) four times as many weights
//                 M[p] += V[p] U[p], p = 0 ..< 36          matrix products; U[p] stays in the cache for all tiles
//             y = A^T M A + bias + ...

enum { POINTS = 36, SIDE = 6, STEP = 4, TILES = 48, MOST_PANELS = 5, DEPTH = 256 };
enum { WORDS_POINTS = 16, WORDS_SIDE = 4, WORDS_STEP = 2, WORDS_PANELS = 8 };
/// Of V, in a core's own cache, and of U, in the last cache, for words: 416 KB and 16 MB.
enum { WORDS_V_FLOATS = 104 << 10, WORDS_U_FLOATS = 4 << 20 };
/// Transformed pixels held at a time, in floats (96 MB): more tiles at once make better use of the transformed filters.
enum { LK_V_FLOATS = 24 << 20 };

static const float WA = 0.70710678118654752f, WB = 1.41421356237309505f; // a and b; a² = 1/2, b² = 2

typedef struct {
    const lk_convolution_args *args;
    size_t down, across;         // tiles of a picture
    size_t lines;                // rows of tiles in a stretch
    size_t first, tiles, blocks; // the stretch: first tile, number of tiles, number of blocks of TILES
    size_t row, plane, block;    // floats between tiles, points and blocks in v
    size_t panels;               // of 16 output channels in a piece
    size_t depth;                // input channels, or words of two
    size_t each;                 // tiles of a piece, where that has all of U; else 0
    float *v;
} winograd;

/// y = B^T x of one line.
LK_INLINE void winograd_input(lk_v16 y[SIDE], const lk_v16 x[SIDE], const bool words) {
    if (words) {
        y[0] = x[0] - x[2];
        y[1] = x[1] + x[2];
        y[2] = x[2] - x[1];
        y[3] = x[1] - x[3];
        return;
    }
    lk_v16 even = x[4] - 2.0f * x[2], odd = WA * (x[3] - 2.0f * x[1]);
    lk_v16 even2 = x[4] - 0.5f * x[2], odd2 = WB * (x[3] - 0.5f * x[1]);
    y[0] = x[0] - 2.5f * x[2] + x[4];
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x[1] - 2.5f * x[3] + x[5];
}

/// y = G x of one line of three. 1/N of the points: 1, 1/(2a²(a²-b²)) = -2/3, 1/(2b²(b²-a²)) = 1/6; or 1, 1/2.
LK_INLINE void winograd_filter(lk_v16 y[SIDE], lk_v16 x0, lk_v16 x1, lk_v16 x2, const bool words) {
    if (words) {
        lk_v16 even = 0.5f * (x0 + x2), odd = 0.5f * x1;
        y[0] = x0;
        y[1] = even + odd;
        y[2] = even - odd;
        y[3] = x2;
        return;
    }
    lk_v16 even = (-2.0f / 3) * x0 + (-1.0f / 3) * x2, odd = (-2.0f / 3 * WA) * x1;
    lk_v16 even2 = (1.0f / 6) * x0 + (1.0f / 3) * x2, odd2 = (1.0f / 6 * WB) * x1;
    y[0] = x0;
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x2;
}

/// y = A^T x of one line.
LK_INLINE void winograd_output(lk_v16 y[STEP], const lk_v16 x[SIDE], const bool words) {
    if (words) {
        y[0] = x[0] + x[1] + x[2];
        y[1] = x[1] - x[2] - x[3];
        return;
    }
    lk_v16 sum = x[1] + x[2], difference = WA * (x[1] - x[2]), sum2 = x[3] + x[4], difference2 = WB * (x[3] - x[4]);
    y[0] = x[0] + sum + sum2;
    y[1] = difference + difference2;
    y[2] = 0.5f * sum + 2.0f * sum2;
    y[3] = 0.5f * difference + 2.0f * difference2 + x[5];
}

/// Sixteen numbers to the place of their channels in v; of words half as many floats.
LK_INLINE void winograd_keep(float *v, size_t channel, lk_v16 numbers, const bool words) {
#ifdef LK_VECTORS_OF_WORDS
    if (words) {
        lk_b16 rounded = lk_round(numbers);
        memcpy(v + channel / 2, &rounded, sizeof rounded);
        return;
    }
#endif
    lk_store(v + channel, numbers);
}

/// One tile's V = B^T d B; v's points are `plane` apart.
LK_INLINE void winograd_input_tile(const winograd *j, float *v, size_t plane, size_t tile, const bool words) {
    const lk_convolution_args *t = j->args;
    const size_t side = words ? WORDS_SIDE : SIDE, step = words ? WORDS_STEP : STEP;
    size_t line = tile / j->across, n = line / j->down, top = line % j->down * step, left = tile % j->across * step;
    static const float zeros[16] = {0};
    const float *at[POINTS];
    size_t moves[POINTS]; // 1: the pointer goes along the channels; 0: it stays at zeros, outside the picture
    for (size_t i = 0; i < side; i++)
        for (size_t k = 0; k < side; k++) {
            size_t py = top + i - t->pad_top, px = left + k - t->pad_left; // wraps below 0
            bool inside = py < t->h && px < t->w;
            at[i * side + k] = inside ? (const float *)t->x + ((n * t->h + py) * t->w + px) * t->channels : zeros;
            moves[i * side + k] = inside;
        }
    for (size_t c = 0; c < t->channels; c += 16) {
        lk_v16 half[SIDE][SIDE], out[SIDE];
        for (size_t k = 0; k < side; k++) {
            lk_v16 x[SIDE];
            for (size_t i = 0; i < side; i++) {
                const float *from = at[i * side + k] + c * moves[i * side + k];
                x[i] = lk_load_few(from, lk_min(16, t->channels - c));
            }
            winograd_input(out, x, words);
            for (size_t i = 0; i < side; i++) half[i][k] = out[i];
        }
        for (size_t i = 0; i < side; i++) {
            winograd_input(out, half[i], words);
            for (size_t k = 0; k < side; k++) winograd_keep(v + (i * side + k) * plane, c, out[k], words);
        }
    }
}

/// One row of tiles of the stretch: pixels to V.
LK_INLINE void winograd_input_line(const winograd *j, size_t piece, const bool words) {
    for (size_t column = 0; column < j->across; column++) {
        size_t tile = piece * j->across + column;
        float *v = j->v + tile / TILES * j->block + tile % TILES * j->row;
        winograd_input_tile(j, v, j->plane, j->first + tile, words);
    }
}

/// The filters of one input channel, [9][16], become side * side numbers for each output channel.
LK_INLINE void winograd_points(lk_v16 u[SIDE][SIDE], const float *g, const bool words) {
    const size_t side = words ? WORDS_SIDE : SIDE;
    lk_v16 half[SIDE][3], out[SIDE];
    for (size_t k = 0; k < 3; k++) {
        winograd_filter(out, lk_load(g + k * 16), lk_load(g + (3 + k) * 16), lk_load(g + (6 + k) * 16), words);
        for (size_t i = 0; i < side; i++) half[i][k] = out[i];
    }
    for (size_t i = 0; i < side; i++) winograd_filter(u[i], half[i][0], half[i][1], half[i][2], words);
}

/// U of one panel of 16 output channels from `o` on and `depth` input channels: [points][depth][16], points `plane` apart;
/// or [points][words][16].
LK_INLINE void winograd_filters(
    float *u, size_t plane, const lk_convolution_args *t, size_t o, size_t first_channel, size_t depth,
    const bool words) {
    enum { CHANNELS = 32 }; // whose filters stay in L1
    const size_t side = words ? WORDS_SIDE : SIDE;
    float filters[CHANNELS * 9 * 16];
    for (size_t from = 0; from < depth; from += CHANNELS) {
        size_t some = lk_min(CHANNELS, depth - from), row = 9 * t->channels;
        const void *weights = lk_at(t->weights, o * row + (first_channel + from) * 9, t->format);
        lk_pack_panel(filters, weights, t->format, row, lk_min(16, t->outputs - o), some * 9);
        for (size_t c = 0; c < some; c += words ? 2 : 1) {
            lk_v16 points[SIDE][SIDE];
            winograd_points(points, filters + c * 9 * 16, words);
#ifdef LK_VECTORS_OF_WORDS
            if (words) {
                lk_v16 next[SIDE][SIDE];
                winograd_points(next, filters + (c + 1) * 9 * 16, words);
                for (size_t i = 0; i < side; i++)
                    for (size_t k = 0; k < side; k++) points[i][k] = lk_paired(points[i][k], next[i][k]);
            }
#endif
            float *to = u + (from + c) / (words ? 2 : 1) * 16;
            for (size_t i = 0; i < side; i++)
                for (size_t k = 0; k < side; k++) lk_store(to + (i * side + k) * plane, points[i][k]);
        }
    }
}

/// One tile's y = A^T M A for 16 output channels from `o` on; m's points are `plane` apart.
LK_INLINE void winograd_output_tile(
    const winograd *j, const float *m, size_t plane, size_t tile, size_t o, const bool words) {
    const lk_convolution_args *t = j->args;
    const size_t side = words ? WORDS_SIDE : SIDE, step = words ? WORDS_STEP : STEP;
    size_t line = tile / j->across, n = line / j->down, top = line % j->down * step, left = tile % j->across * step;
    size_t few = lk_min(16, t->outputs - o);
    lk_v16 half[STEP][SIDE], out[STEP], offset = lk_splat(0);
    if (t->bias) offset += lk_load_few(t->bias + o, few);
    if (t->per_picture) offset += lk_load_few(t->per_picture + n * t->outputs + o, few);
    for (size_t k = 0; k < side; k++) {
        lk_v16 x[SIDE];
        for (size_t i = 0; i < side; i++) x[i] = lk_load(m + (i * side + k) * plane);
        winograd_output(out, x, words);
        for (size_t i = 0; i < step; i++) half[i][k] = out[i];
    }
    for (size_t i = 0; i < step && top + i < t->oh; i++) {
        winograd_output(out, half[i], words);
        size_t at = ((n * t->oh + top + i) * t->ow + left) * t->outputs + o;
        for (size_t k = 0; k < step && left + k < t->ow; k++, at += t->outputs) {
            lk_v16 y = out[k] + offset;
            if (t->residual) y += lk_load_few(t->residual + at, few);
            lk_store_few((float *)t->y + at, y, few);
        }
    }
}

/// One block of output channels, for all tiles of the stretch.
LK_INLINE void winograd_output_block(const winograd *j, size_t piece, const bool words) {
    const lk_convolution_args *t = j->args;
    const size_t points = words ? WORDS_POINTS : POINTS, unit = words ? 2 : 1;
    size_t first_panel = piece * j->panels, panels = lk_min(j->panels, lk_pieces(t->outputs, 16) - first_panel);
    size_t plane = panels * lk_min(DEPTH, j->depth) * 16 + 16, m_plane = j->tiles * panels * 16 + 16;
    float *u = lk_piece_scratch((plane + m_plane) * points), *m = u + plane * points;
    for (size_t from = 0; from < j->depth; from += DEPTH) {
        size_t depth = lk_min(DEPTH, j->depth - from);
        for (size_t panel = 0; panel < panels; panel++)
            winograd_filters(
                u + panel * depth * 16, plane, t, (first_panel + panel) * 16, from * unit, depth * unit, words);
        for (size_t p = 0; p < points; p++) // u[p] stays in the cache for all tiles
            for (size_t block = 0; block < j->blocks; block++)
                lk_products(
                    m + p * m_plane + block * TILES * panels * 16, panels * 16,
                    j->v + block * j->block + p * j->plane + from, j->row, u + p * plane, depth * 16, panels,
                    lk_min(TILES, j->tiles - block * TILES), depth, from > 0, words);
    }
    for (size_t i = 0; i < j->tiles; i++)
        for (size_t panel = 0; panel < panels; panel++)
            winograd_output_tile(
                j, m + (i * panels + panel) * 16, m_plane, j->first + i, (first_panel + panel) * 16, words);
}

static void winograd_input_piece(void *context, size_t piece) { winograd_input_line(context, piece, false); }
static void winograd_output_piece(void *context, size_t piece) { winograd_output_block(context, piece, false); }

#ifdef LK_VECTORS_OF_WORDS
// Where all of U stays in the last cache, it is made once, and a piece of work is a few tiles through all of it: their V
// and M never leave the core's own cache.

/// U of one panel, for all points.
static void winograd_filter_piece_of_words(void *context, size_t piece) {
    const winograd *j = context;
    size_t panels = lk_pieces(j->args->outputs, 16);
    winograd_filters(
        j->v + piece * j->depth * 16, panels * j->depth * 16, j->args, piece * 16, 0, j->args->channels, true);
}

static void winograd_tiles_piece_of_words(void *context, size_t piece) {
    const winograd *j = context;
    size_t first = piece * j->each, tiles = lk_min(j->each, j->tiles - first);
    size_t panels = lk_pieces(j->args->outputs, 16), plane = tiles * j->row + 16, m_plane = tiles * WORDS_PANELS * 16 + 16;
    float *v = lk_piece_scratch((plane + m_plane) * WORDS_POINTS), *m = v + plane * WORDS_POINTS;
    for (size_t i = 0; i < tiles; i++) winograd_input_tile(j, v + i * j->row, plane, first + i, true);
    for (size_t from = 0; from < panels; from += WORDS_PANELS) {
        size_t some = lk_min(WORDS_PANELS, panels - from);
        for (size_t p = 0; p < WORDS_POINTS; p++)
            lk_products(
                m + p * m_plane, WORDS_PANELS * 16, v + p * plane, j->row, j->v + (p * panels + from) * j->depth * 16,
                j->depth * 16, some, tiles, j->depth, false, true);
        for (size_t i = 0; i < tiles; i++)
            for (size_t panel = 0; panel < some; panel++)
                winograd_output_tile(
                    j, m + (i * WORDS_PANELS + panel) * 16, m_plane, first + i, (from + panel) * 16, true);
    }
}

static void winograd_input_piece_of_words(void *context, size_t piece) { winograd_input_line(context, piece, true); }
static void winograd_output_piece_of_words(void *context, size_t piece) { winograd_output_block(context, piece, true); }
#endif

LK_INLINE bool winograd_has_words(const lk_convolution_args *args) {
#ifdef LK_VECTORS_OF_WORDS
    return args->bf16 && args->channels % 2 == 0;
#endif
    return false;
}

static winograd winograd_job(const lk_convolution_args *args) {
    bool words = winograd_has_words(args);
    size_t step = words ? WORDS_STEP : STEP, points = words ? WORDS_POINTS : POINTS;
    winograd j = {
        .args = args, .down = lk_pieces(args->oh, step), .across = lk_pieces(args->ow, step), .v = args->scratch};
    j.depth = words ? args->channels / 2 : args->channels;
    j.row = lk_pieces(j.depth, 16) * 16 + 16; // not a multiple of 4 KiB, which would crowd one set of the cache
    j.plane = TILES * j.row + 16;
    j.block = points * j.plane;
    size_t all = lk_pieces(args->outputs, 16), pieces = lk_pieces(all, MOST_PANELS);
    j.panels = lk_pieces(all, pieces + pieces % 2); // an even number of pieces: cores come in even numbers
    if (words) {
        size_t tiles = args->n * j.down * j.across, few = WORDS_V_FLOATS / (points * j.row) / 12 * 12;
        bool fits = points * all * 16 * j.depth <= WORDS_U_FLOATS;
        if (fits && few > 0 && tiles >= 8 * few) {
            j.each = lk_min(few, 48);
            j.tiles = tiles;
            return j;
        }
    }
    // Whole rows of tiles, as many as fit.
    size_t most = LK_V_FLOATS / (points * j.row) / j.across;
    j.lines = lk_min(most > 0 ? most : 1, args->n * j.down);
    return j;
}

void LK(convolve_3x3_scratch)(size_t *floats, const lk_convolution_args *args) {
#ifdef LK_TILES
    if (direct_multiplies(args)) {
        *floats = direct_scratch(args);
        return;
    }
#endif
    winograd j = winograd_job(args);
    *floats = lk_pieces(j.lines * j.across, TILES) * j.block;
#ifdef LK_VECTORS_OF_WORDS
    if (j.each) *floats = WORDS_POINTS * lk_pieces(args->outputs, 16) * 16 * j.depth;
#endif
}

void LK(convolve_3x3)(const lk_convolution_args *args) {
#ifdef LK_TILES
    if (direct_multiplies(args)) return direct_convolve(args);
#endif
    winograd j = winograd_job(args);
    size_t lines = args->n * j.down, all = lk_pieces(args->outputs, 16);
#ifdef LK_VECTORS_OF_WORDS
    if (j.each) {
        lk_parallel(all, winograd_filter_piece_of_words, &j);
        return lk_parallel(lk_pieces(j.tiles, j.each), winograd_tiles_piece_of_words, &j);
    }
#endif
    for (size_t line = 0; line < lines; line += j.lines) {
        size_t now = lk_min(j.lines, lines - line);
        j.first = line * j.across;
        j.tiles = now * j.across;
        j.blocks = lk_pieces(j.tiles, TILES);
#ifdef LK_VECTORS_OF_WORDS
        if (winograd_has_words(args)) {
            lk_parallel(now, winograd_input_piece_of_words, &j);
            lk_parallel(lk_pieces(all, j.panels), winograd_output_piece_of_words, &j);
            continue;
        }
#endif
        lk_parallel(now, winograd_input_piece, &j);
        lk_parallel(lk_pieces(all, j.panels), winograd_output_piece, &j);
    }
}

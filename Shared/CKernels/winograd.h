// 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2015, arXiv 1509.09308):
//
//     y = A^T [ sum over channels of (G g G^T) ∘ (B^T d B) ] A        d: 6x6 pixels -> y: 4x4 pixels
//
// 36 multiplications where the sum itself takes 144. The interpolation points are 0, ±1/√2, ±√2 and infinity: their
// rounding error is 0.4 of that of the usual 0, ±1, ±2.
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
    float *v;
} winograd;

/// y = B^T x of one line of six.
LK_INLINE void winograd_input(lk_v16 y[SIDE], lk_v16 x0, lk_v16 x1, lk_v16 x2, lk_v16 x3, lk_v16 x4, lk_v16 x5) {
    lk_v16 even = x4 - 2.0f * x2, odd = WA * (x3 - 2.0f * x1);
    lk_v16 even2 = x4 - 0.5f * x2, odd2 = WB * (x3 - 0.5f * x1);
    y[0] = x0 - 2.5f * x2 + x4;
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x1 - 2.5f * x3 + x5;
}

/// y = G x of one line of three. 1/N of the points: 1, 1/(2a²(a²-b²)) = -2/3, 1/(2b²(b²-a²)) = 1/6.
LK_INLINE void winograd_filter(lk_v16 y[SIDE], lk_v16 x0, lk_v16 x1, lk_v16 x2) {
    lk_v16 even = (-2.0f / 3) * x0 + (-1.0f / 3) * x2, odd = (-2.0f / 3 * WA) * x1;
    lk_v16 even2 = (1.0f / 6) * x0 + (1.0f / 3) * x2, odd2 = (1.0f / 6 * WB) * x1;
    y[0] = x0;
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x2;
}

/// y = A^T x of one line of six.
LK_INLINE void winograd_output(lk_v16 y[STEP], lk_v16 x0, lk_v16 x1, lk_v16 x2, lk_v16 x3, lk_v16 x4, lk_v16 x5) {
    lk_v16 sum = x1 + x2, difference = WA * (x1 - x2), sum2 = x3 + x4, difference2 = WB * (x3 - x4);
    y[0] = x0 + sum + sum2;
    y[1] = difference + difference2;
    y[2] = 0.5f * sum + 2.0f * sum2;
    y[3] = 0.5f * difference + 2.0f * difference2 + x5;
}

/// One row of tiles of the stretch: pixels to V.
static void winograd_input_piece(void *context, size_t piece) {
    const winograd *j = context;
    const lk_convolution_args *t = j->args;
    size_t line = j->first / j->across + piece;
    size_t n = line / j->down, top = line % j->down * STEP;
    static const float zeros[16] = {0};
    for (size_t column = 0; column < j->across; column++) {
        size_t tile = line * j->across + column - j->first;
        float *v = j->v + tile / TILES * j->block + tile % TILES * j->row;
        const float *at[POINTS];
        size_t moves[POINTS]; // 1: the pointer goes along the channels; 0: it stays at zeros, outside the picture
        for (size_t i = 0; i < SIDE; i++)
            for (size_t k = 0; k < SIDE; k++) {
                size_t py = top + i - t->pad_top, px = column * STEP + k - t->pad_left; // wraps below 0
                bool inside = py < t->h && px < t->w;
                at[i * SIDE + k] = inside ? t->x + ((n * t->h + py) * t->w + px) * t->channels : zeros;
                moves[i * SIDE + k] = inside;
            }
        for (size_t c = 0; c < t->channels; c += 16) {
            lk_v16 half[SIDE][SIDE], out[SIDE];
            for (size_t k = 0; k < SIDE; k++) {
                lk_v16 x[SIDE];
                for (size_t i = 0; i < SIDE; i++) {
                    const float *from = at[i * SIDE + k] + c * moves[i * SIDE + k];
                    x[i] = lk_load_few(from, lk_min(16, t->channels - c));
                }
                winograd_input(out, x[0], x[1], x[2], x[3], x[4], x[5]);
                for (size_t i = 0; i < SIDE; i++) half[i][k] = out[i];
            }
            for (size_t i = 0; i < SIDE; i++) {
                winograd_input(out, half[i][0], half[i][1], half[i][2], half[i][3], half[i][4], half[i][5]);
                for (size_t k = 0; k < SIDE; k++) lk_store(v + (i * SIDE + k) * j->plane + c, out[k]);
            }
        }
    }
}

/// U of one panel of 16 output channels from `o` on and `depth` input channels: [36][depth][16], points `plane` apart.
static void winograd_filters(
    float *u, size_t plane, const lk_convolution_args *t, size_t o, size_t first_channel, size_t depth) {
    enum { CHANNELS = 32 }; // whose filters stay in L1
    float filters[CHANNELS * 9 * 16];
    for (size_t from = 0; from < depth; from += CHANNELS) {
        size_t some = lk_min(CHANNELS, depth - from), row = 9 * t->channels;
        const char *weights = t->weights;
        weights += (o * row + (first_channel + from) * 9) * (t->format == LK_F32 ? sizeof(float) : sizeof(uint16_t));
        lk_pack_panel(filters, weights, t->format, row, lk_min(16, t->outputs - o), some * 9);
        for (size_t c = 0; c < some; c++) {
            const float *g = filters + c * 9 * 16;
            float *to = u + (from + c) * 16;
            lk_v16 half[SIDE][3], out[SIDE];
            for (size_t k = 0; k < 3; k++) {
                winograd_filter(out, lk_load(g + k * 16), lk_load(g + (3 + k) * 16), lk_load(g + (6 + k) * 16));
                for (size_t i = 0; i < SIDE; i++) half[i][k] = out[i];
            }
            for (size_t i = 0; i < SIDE; i++) {
                winograd_filter(out, half[i][0], half[i][1], half[i][2]);
                for (size_t k = 0; k < SIDE; k++) lk_store(to + (i * SIDE + k) * plane, out[k]);
            }
        }
    }
}

/// One tile's y = A^T M A for 16 output channels from `o` on; m's points are `plane` apart.
LK_INLINE void winograd_output_tile(const winograd *j, const float *m, size_t plane, size_t tile, size_t o) {
    const lk_convolution_args *t = j->args;
    size_t line = tile / j->across, n = line / j->down, top = line % j->down * STEP, left = tile % j->across * STEP;
    size_t few = lk_min(16, t->outputs - o);
    lk_v16 half[STEP][SIDE], out[STEP], offset = lk_splat(0);
    if (t->bias) offset += lk_load_few(t->bias + o, few);
    if (t->per_picture) offset += lk_load_few(t->per_picture + n * t->outputs + o, few);
    for (size_t k = 0; k < SIDE; k++) {
        const float *p = m + k * plane;
        winograd_output(
            out, lk_load(p), lk_load(p + 6 * plane), lk_load(p + 12 * plane), lk_load(p + 18 * plane),
            lk_load(p + 24 * plane), lk_load(p + 30 * plane));
        for (size_t i = 0; i < STEP; i++) half[i][k] = out[i];
    }
    for (size_t i = 0; i < STEP && top + i < t->oh; i++) {
        winograd_output(out, half[i][0], half[i][1], half[i][2], half[i][3], half[i][4], half[i][5]);
        size_t at = ((n * t->oh + top + i) * t->ow + left) * t->outputs + o;
        for (size_t k = 0; k < STEP && left + k < t->ow; k++, at += t->outputs) {
            lk_v16 y = out[k] + offset;
            if (t->residual) y += lk_load_few(t->residual + at, few);
            lk_store_few(t->y + at, y, few);
        }
    }
}

/// One block of output channels, for all tiles of the stretch.
static void winograd_output_piece(void *context, size_t piece) {
    const winograd *j = context;
    const lk_convolution_args *t = j->args;
    size_t first_panel = piece * j->panels, panels = lk_min(j->panels, lk_pieces(t->outputs, 16) - first_panel);
    size_t plane = panels * lk_min(DEPTH, t->channels) * 16 + 16, m_plane = j->tiles * panels * 16 + 16;
    float *u = lk_piece_scratch((plane + m_plane) * POINTS), *m = u + plane * POINTS;
    for (size_t from = 0; from < t->channels; from += DEPTH) {
        size_t depth = lk_min(DEPTH, t->channels - from);
        for (size_t panel = 0; panel < panels; panel++)
            winograd_filters(u + panel * depth * 16, plane, t, (first_panel + panel) * 16, from, depth);
        for (size_t p = 0; p < POINTS; p++) // u[p] stays in the cache for all tiles
            for (size_t block = 0; block < j->blocks; block++)
                for (size_t panel = 0; panel < panels; panel++)
                    lk_panel_product(
                        m + p * m_plane + (block * TILES * panels + panel) * 16, panels * 16,
                        j->v + block * j->block + p * j->plane + from, j->row, u + p * plane + panel * depth * 16,
                        lk_min(TILES, j->tiles - block * TILES), depth, from > 0);
    }
    for (size_t i = 0; i < j->tiles; i++)
        for (size_t panel = 0; panel < panels; panel++)
            winograd_output_tile(
                j, m + (i * panels + panel) * 16, m_plane, j->first + i, (first_panel + panel) * 16);
}

static winograd winograd_job(const lk_convolution_args *args) {
    winograd j = {
        .args = args, .down = lk_pieces(args->oh, STEP), .across = lk_pieces(args->ow, STEP), .v = args->scratch};
    j.row = lk_pieces(args->channels, 16) * 16 + 16; // not a multiple of 4 KiB, which would crowd one set of the cache
    j.plane = TILES * j.row + 16;
    j.block = POINTS * j.plane;
    size_t all = lk_pieces(args->outputs, 16), pieces = lk_pieces(all, MOST_PANELS);
    j.panels = lk_pieces(all, pieces + pieces % 2); // an even number of pieces: cores come in even numbers
    // Whole rows of tiles, as many as fit.
    size_t most = LK_V_FLOATS / (POINTS * j.row) / j.across;
    j.lines = lk_min(most > 0 ? most : 1, args->n * j.down);
    return j;
}

void LK(convolve_3x3_scratch)(size_t *floats, const lk_convolution_args *args) {
    winograd j = winograd_job(args);
    *floats = lk_pieces(j.lines * j.across, TILES) * j.block;
}

void LK(convolve_3x3)(const lk_convolution_args *args) {
    winograd j = winograd_job(args);
    size_t lines = args->n * j.down, all = lk_pieces(args->outputs, 16);
    for (size_t line = 0; line < lines; line += j.lines) {
        size_t now = lk_min(j.lines, lines - line);
        j.first = line * j.across;
        j.tiles = now * j.across;
        j.blocks = lk_pieces(j.tiles, TILES);
        lk_parallel(now, winograd_input_piece, &j);
        lk_parallel(lk_pieces(all, j.panels), winograd_output_piece, &j);
    }
}

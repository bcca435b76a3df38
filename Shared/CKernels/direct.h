// 3x3 convolution of stride 1 as the sum of nine matrix products, in tiles (tiles.h): they multiply so much faster than
// vectors add that Winograd's fewer products would not pay for their transforms, and round more.
//
//     round the picture to words, with its zeros around it                       [N, lines, L, words]
//     pack the filters                                                           [panels][steps][9][words][16]
//     for each block of lines, for each 64 output channels                       pieces
//         for each 64 input channels                                             filters of two panels in L1
//             c (+)= sum over the nine places of (pixels, moved there) (filters)
//         y = c + bias + ...
//
// A line has L = width + 1 places: the zero after it is also the one before the next. So all pixels of a block are rows
// of one matrix, one stride apart; the sums at the zeros' places are thrown away.
#ifdef LK_TILES

enum { DIRECT_WORDS = 32, DIRECT_PANELS = 4, DIRECT_ROWS = 512 };

typedef struct {
    const lk_convolution_args *args;
    size_t words, row;              // of a pixel; floats between pixels
    size_t places, lines;           // L; of a picture with its zeros
    size_t band, bands, groups;     // lines of a piece; pieces of a picture; pieces of the output channels
    size_t panels;                  // of 16 output channels in all
    size_t filters, pixels;         // floats of scratch
    float *packed, *rounded;
} direct;

static bool direct_multiplies(const lk_convolution_args *args) { return args->bf16 && args->channels % 2 == 0; }

static direct direct_job(const lk_convolution_args *args) {
    direct j = {.args = args, .words = args->channels / 2, .lines = args->oh + 2, .panels = lk_pieces(args->outputs, 16)};
    // A zero that two lines share must be one for both.
    bool shared = args->pad_left == 1 && args->w <= args->ow;
    j.places = args->ow + (shared ? 1 : 2);
    j.row = lk_pieces(j.words, 16) * 16;
    if (j.row % 64 == 0) j.row += 16; // pixels one above the other would crowd a few sets of the cache
    j.band = lk_min(lk_pieces(DIRECT_ROWS, j.places), args->oh);
    j.bands = lk_pieces(args->oh, j.band);
    j.band = lk_pieces(args->oh, j.bands);
    j.groups = lk_pieces(j.panels, DIRECT_PANELS);
    j.filters = j.panels * 9 * j.words * 16;
    j.pixels = (args->n * j.lines * j.places + 2) * j.row; // the last line's sums at zeros read two places more
    j.packed = args->scratch;
    j.rounded = j.packed + j.filters;
    return j;
}

/// How many words belong to the step that begins at `start`: tiles are of 16 words, the last ones perhaps of fewer.
LK_INLINE size_t direct_step(const direct *j, size_t start) {
    size_t left = j->words - start;
    return left >= DIRECT_WORDS ? DIRECT_WORDS : left >= 16 ? 16 : left;
}

/// One line of all pictures: pixels to words, zeros around them.
static void direct_round_line(void *context, size_t piece) {
    const direct *j = context;
    const lk_convolution_args *t = j->args;
    size_t n = piece / j->lines, y = piece % j->lines - t->pad_top; // wraps below 0
    float *to = j->rounded + piece * j->places * j->row;
    for (size_t place = 0; place < j->places; place++, to += j->row) {
        size_t x = place - t->pad_left;
        if (y < t->h && x < t->w) {
            lk_round_row(to, t->x + ((n * t->h + y) * t->w + x) * t->channels, t->channels);
        } else {
            memset(to, 0, j->words * sizeof(float));
        }
    }
}

/// One panel of filters.
static void direct_pack_panel(void *context, size_t panel) {
    enum { CHANNELS = 32 }; // whose filters stay in L1
    const direct *j = context;
    const lk_convolution_args *t = j->args;
    float filters[CHANNELS * 9 * 16];
    size_t line = 9 * t->channels, size = t->format == LK_F32 ? sizeof(float) : sizeof(uint16_t);
    for (size_t from = 0; from < t->channels; from += CHANNELS) {
        size_t some = lk_min(CHANNELS, t->channels - from);
        const char *weights = (const char *)t->weights + (panel * 16 * line + from * 9) * size;
        lk_pack_panel(filters, weights, t->format, line, lk_min(16, t->outputs - panel * 16), some * 9);
        for (size_t c = 0; c < some; c += 2) {
            size_t word = (from + c) / 2, start = word / DIRECT_WORDS * DIRECT_WORDS;
            if (word - start >= direct_step(j, start)) start += 16;
            size_t words = direct_step(j, start);
            float *to = j->packed + (panel * 9 * j->words + 9 * start + word - start) * 16;
            for (size_t place = 0; place < 9; place++) {
                const float *numbers = filters + (c * 9 + place) * 16;
                lk_store(to + place * words * 16, lk_paired(lk_load(numbers), lk_load(numbers + 9 * 16)));
            }
        }
    }
}

/// A row of y, as far as this piece's panels go, from its sums.
LK_INLINE void direct_finish(const direct *j, const float *c, size_t n, size_t at, size_t first, size_t panels) {
    const lk_convolution_args *t = j->args;
    for (size_t panel = 0; panel < panels; panel++) {
        size_t o = (first + panel) * 16, few = lk_min(16, t->outputs - o);
        lk_v16 y = lk_load(c + panel * 16);
        if (t->bias) y += lk_load_few(t->bias + o, few);
        if (t->per_picture) y += lk_load_few(t->per_picture + n * t->outputs + o, few);
        if (t->residual) y += lk_load_few(t->residual + at * t->outputs + o, few);
        lk_store_few(t->y + at * t->outputs + o, y, few);
    }
}

static void direct_piece(void *context, size_t piece) {
    const direct *j = context;
    const lk_convolution_args *t = j->args;
    size_t group = piece % j->groups, band = piece / j->groups % j->bands, n = piece / j->groups / j->bands;
    size_t first = group * DIRECT_PANELS, panels = lk_min(DIRECT_PANELS, j->panels - first), ldc = panels * 16;
    size_t top = band * j->band, lines = lk_min(j->band, t->oh - top), rows = lines * j->places;
    const float *pixels = j->rounded + (n * j->lines + top) * j->places * j->row;
    float *c = lk_piece_scratch(rows * ldc);
    size_t jumps[9];
    for (size_t place = 0; place < 9; place++) jumps[place] = (place / 3 * j->places + place % 3) * j->row;
    for (size_t from = 0, words; from < j->words; from += words) {
        words = direct_step(j, from);
        const float *filters = j->packed + (first * j->words + from) * 9 * 16;
        lk_tile_depth depth = {jumps, 9, lk_pieces(words, 16), lk_min(words, 16)};
        lk_multiply_tiles(
            c, ldc, pixels + from, j->row, filters, 9 * j->words * 16, panels, rows, depth, from > 0);
    }
    for (size_t line = 0; line < lines; line++)
        for (size_t x = 0; x < t->ow; x++)
            direct_finish(
                j, c + (line * j->places + x) * ldc, n, (n * t->oh + top + line) * t->ow + x, first, panels);
}

static void direct_convolve(const lk_convolution_args *args) {
    direct j = direct_job(args);
    memset(j.rounded + args->n * j.lines * j.places * j.row, 0, 2 * j.row * sizeof(float));
    lk_parallel(args->n * j.lines, direct_round_line, &j);
    lk_parallel(j.panels, direct_pack_panel, &j);
    lk_parallel(args->n * j.bands * j.groups, direct_piece, &j);
}
#endif

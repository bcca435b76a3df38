// 3x3 convolution of stride 1 as the sum of nine matrix products, in tiles (tiles.h): they multiply so much faster than
// vectors add that Winograd's fewer products would not pay for their transforms, and round more.
//
//     for each band of lines, for each 128 output channels                       pieces
//         round the band's pixels to words, with zeros around the picture        [lines + 2, L, words], in L2
//         for each 64 input channels, for each 32 output channels                their filters in L1
//             c (+)= sum over the nine places of (pixels, moved there) (filters)
//         y = c + bias + ...
//
// A thread that takes several pieces of one band rounds its pixels once. Filters are packed before, all of them, to
// [panels][steps][9][words][16]; but if the pictures are so small that one piece can take all bands of all of them, it
// packs its filters step by step, and they never leave the cache: deep layers, whose filters are most of a UNet.
//
// A line has L = width + 1 places: the zero after it is also the one before the next. So all pixels of a block are rows
// of one matrix, one stride apart; the sums at the zeros' places are thrown away.
#ifdef LK_TILES

enum { DIRECT_WORDS = 32, DIRECT_PANELS = 8 };
/// Floats of a band's pixels; rows of its sums; rows of all bands, if a piece is to take them; numbers of y that are many.
enum { DIRECT_FLOATS = 352 << 10, DIRECT_ROWS = 2048, DIRECT_ALL_ROWS = 1280, DIRECT_FAR = 12 << 20 };
enum { DIRECT_AHEAD = 12 }; // pixels whose residual is asked for before it is added

typedef struct {
    const lk_convolution_args *args;
    size_t words, row;      // of a pixel; floats between pixels
    size_t places;          // L
    size_t band, bands;     // lines of a band; bands of a picture
    size_t all, each;       // bands in all; of a piece
    size_t panels, groups;  // of 16 output channels in all; pieces of the output channels
    size_t pixels, sums;    // floats of a band's
    size_t call;            // this one's number
    float *packed;          // or NULL
} direct;

static bool direct_multiplies(const lk_convolution_args *args) { return args->bf16 && args->channels % 2 == 0; }

static direct direct_job(const lk_convolution_args *args) {
    direct j = {.args = args, .words = args->channels / 2, .panels = lk_pieces(args->outputs, 16)};
    // A zero that two lines share must be one for both.
    bool shared = args->pad_left == 1 && args->w <= args->ow;
    j.places = args->ow + (shared ? 1 : 2);
    j.row = lk_pieces(j.words, 16) * 16;
    if (j.row % 64 == 0) j.row += 16; // pixels one above the other would crowd a few sets of the cache
    size_t most = DIRECT_FLOATS / (j.places * j.row); // with the lines above and below
    j.band = lk_min(most > 3 ? most - 2 : 1, DIRECT_ROWS / j.places > 0 ? DIRECT_ROWS / j.places : 1);
    j.bands = lk_pieces(args->oh, j.band);
    j.band = lk_pieces(args->oh, j.bands);
    j.all = args->n * j.bands;
    bool few = j.all * j.band * j.places <= DIRECT_ALL_ROWS;
    j.each = few ? j.all : 1;
    j.packed = few ? NULL : args->scratch;
    j.groups = lk_pieces(j.panels, DIRECT_PANELS);
    j.pixels = ((j.band + 2) * j.places + 2) * j.row; // the last line's sums at zeros read two places more
    j.sums = j.band * j.places * DIRECT_PANELS * 16;
    return j;
}

static size_t direct_scratch(const lk_convolution_args *args) {
    direct j = direct_job(args);
    return j.each == j.all ? 0 : j.panels * 9 * j.words * 16;
}

/// How many words belong to the step that begins at `start`: tiles are of 16 words, the last ones perhaps of fewer.
LK_INLINE size_t direct_step(const direct *j, size_t start) {
    size_t left = j->words - start;
    return left >= DIRECT_WORDS ? DIRECT_WORDS : left >= 16 ? 16 : left;
}

/// The band's number `band` of all: its picture, its first line, how many there are.
LK_INLINE size_t direct_lines(const direct *j, size_t band, size_t *n, size_t *top) {
    *n = band / j->bands, *top = band % j->bands * j->band;
    return *top < j->args->oh ? lk_min(j->band, j->args->oh - *top) : 0;
}

/// What a band reads: pixels to words, zeros around them.
static void direct_round_band(const direct *j, float *to, size_t band) {
    const lk_convolution_args *t = j->args;
    size_t n, top, lines = direct_lines(j, band, &n, &top);
    for (size_t line = 0; line < lines + 2; line++) {
        size_t y = top + line - t->pad_top; // wraps below 0
        for (size_t place = 0; place < j->places; place++, to += j->row) {
            size_t x = place - t->pad_left;
            if (y < t->h && x < t->w) {
                const void *pixel = lk_at(t->x, ((n * t->h + y) * t->w + x) * t->channels, t->x_format);
                if (t->x_format == LK_BF16) memcpy(to, pixel, j->words * sizeof(float));
                else lk_round_row(to, pixel, t->channels);
            } else {
                memset(to, 0, j->words * sizeof(float));
            }
        }
    }
    memset(to, 0, 2 * j->row * sizeof(float));
}

/// A panel's filters of one step: [9][words][16]. A word's two channels are nine numbers apart, so one is the lower half of
/// some two neighbours in memory and the other the upper half of some other two.
static void direct_pack(const direct *j, float *to, size_t panel, size_t from, size_t words) {
    enum { CHANNELS = 32 }; // whose filters stay in L1
    const lk_convolution_args *t = j->args;
    float numbers[CHANNELS * 9 / 2 * 16];
    size_t line = 9 * t->channels;
    for (size_t c = 0; c < 2 * words; c += CHANNELS) {
        size_t some = lk_min(CHANNELS, 2 * words - c);
        const void *weights = lk_at(t->weights, panel * 16 * line + (2 * from + c) * 9, t->format);
        lk_pack_words(numbers, weights, t->format, line, lk_min(16, t->outputs - panel * 16), some * 9 / 2);
        for (size_t i = 0; i < some; i += 2)
            for (size_t place = 0; place < 9; place++) {
                size_t at = i * 9 + place;
                lk_w16 two = (lk_w16)lk_load(numbers + at / 2 * 16), next = (lk_w16)lk_load(numbers + (at + 9) / 2 * 16);
                lk_w16 word = at % 2 ? two >> 16 | next << 16 : (two & 0xffff) | (next & 0xffff0000);
                lk_store(to + (place * words + (c + i) / 2) * 16, (lk_v16)word);
            }
    }
}

static void direct_pack_panel(void *context, size_t panel) {
    const direct *j = context;
    for (size_t from = 0, words; from < j->words; from += words) {
        words = direct_step(j, from);
        direct_pack(j, j->packed + (panel * j->words + from) * 9 * 16, panel, from, words);
    }
}

/// A row of y, as far as this piece's panels go, from its sums.
LK_INLINE void direct_finish(
    const direct *j, const float *c, size_t n, size_t at, size_t first, size_t panels, bool far) {
    const lk_convolution_args *t = j->args;
    for (size_t panel = 0; panel < panels; panel++) {
        size_t o = (first + panel) * 16, few = lk_min(16, t->outputs - o);
        lk_v16 y = lk_load(c + panel * 16);
        if (t->bias) y += lk_load_few(t->bias + o, few);
        if (t->per_picture) y += lk_load_few(t->per_picture + n * t->outputs + o, few);
        if (t->residual) y += lk_load_few(t->residual + at * t->outputs + o, few);
        float *to = t->y + at * t->outputs + o;
        if (far && few == 16 && (uintptr_t)to % 64 == 0) _mm512_stream_ps(to, (__m512)y);
        else lk_store_few(to, y, few);
    }
}

/// Filters that the next step packs; while tiles multiply they come nearer, `each` lines at once.
typedef struct {
    lk_next filters;
    size_t each;
} direct_next;

LK_INLINE void direct_expect(void *context) {
    direct_next *next = context;
    lk_expect(&next->filters, next->each);
}

/// What belongs to the step from `from` on, if a piece packs that itself; expected during `products` steps of the depth.
static direct_next direct_after(const direct *j, size_t first, size_t panels, size_t from, size_t products) {
    const lk_convolution_args *t = j->args;
    if (j->packed || from >= j->words) return (direct_next){0};
    size_t stride = 9 * t->channels * lk_bytes(t->format), lines = lk_pieces(direct_step(j, from) * 18 * lk_bytes(t->format), 64);
    const void *filters = lk_at(t->weights, (first * 16 * t->channels + 2 * from) * 9, t->format);
    size_t all = lines * lk_min(panels * 16, t->outputs - first * 16);
    return (direct_next){{filters, stride, lines, 0, all}, lk_pieces(all, products)};
}

/// c (+)= pixels filters, of one panel or two and `places` rows, in tiles of 32.
LK_INLINE void direct_multiply(
    float *c, size_t ldc, const float *pixels, size_t row, const float *filters, size_t gap, size_t panels,
    size_t places, lk_tile_depth depth, bool add, lk_meanwhile *const meanwhile, void *context) {
    for (size_t place = 0, now; place < places; place += now, c += now * ldc, pixels += now * row) {
        now = lk_min(32, places - place);
        if (place == 0 || now < 32) lk_shape_tiles(lk_min(16, now), now > 16 ? now - 16 : 0, depth.words);
        if (now > 16) {
            if (panels > 1) lk_tile_product(c, ldc, pixels, row, filters, gap, depth, add, 2, 2, meanwhile, context);
            else lk_tile_product(c, ldc, pixels, row, filters, gap, depth, add, 2, 1, meanwhile, context);
        } else {
            if (panels > 1) lk_tile_product(c, ldc, pixels, row, filters, gap, depth, add, 1, 2, meanwhile, context);
            else lk_tile_product(c, ldc, pixels, row, filters, gap, depth, add, 1, 1, meanwhile, context);
        }
    }
    _tile_release();
}

/// The call and first band whose pixels the calling thread's scratch begins with.
static _Thread_local size_t direct_call, direct_band;

static void direct_piece(void *context, size_t piece) {
    const direct *j = context;
    const lk_convolution_args *t = j->args;
    size_t start = piece / j->groups * j->each, bands = lk_min(j->each, j->all - start);
    size_t first = piece % j->groups * DIRECT_PANELS, panels = lk_min(DIRECT_PANELS, j->panels - first);
    size_t own = j->packed ? 0 : DIRECT_PANELS * 9 * DIRECT_WORDS * 16, ldc = panels * 16;
    float *pixels = lk_piece_scratch(j->each * (j->pixels + j->sums) + own);
    float *c = pixels + j->each * j->pixels, *packed = c + j->each * j->sums;
    if (direct_call != j->call || direct_band != start) {
        for (size_t i = 0; i < bands; i++) direct_round_band(j, pixels + i * j->pixels, start + i);
        direct_call = j->call, direct_band = start;
    }
    size_t jumps[9], n, top;
    for (size_t place = 0; place < 9; place++) jumps[place] = (place / 3 * j->places + place % 3) * j->row;
    for (size_t from = 0, words; from < j->words; from += words) {
        words = direct_step(j, from);
        size_t gap = 9 * (j->packed ? j->words : words) * 16;
        const float *filters = j->packed ? j->packed + (first * j->words + from) * 9 * 16 : packed;
        for (size_t panel = 0; !j->packed && panel < panels; panel++)
            direct_pack(j, packed + panel * gap, first + panel, from, words);
        lk_tile_depth depth = {jumps, 9, lk_pieces(words, 16), lk_min(words, 16)};
        size_t products = lk_pieces(panels, 2) * bands * lk_pieces(j->band * j->places, 32) * 9 * depth.chunks;
        direct_next next = direct_after(j, first, panels, from + words, products);
        for (size_t panel = 0; panel < panels; panel += 2)
            for (size_t i = 0; i < bands; i++) {
                float *to = c + i * j->sums + panel * 16;
                const float *x = pixels + i * j->pixels + from, *b = filters + panel * gap;
                size_t rows = direct_lines(j, start + i, &n, &top) * j->places, some = lk_min(2, panels - panel);
                if (j->packed) direct_multiply(to, ldc, x, j->row, b, gap, some, rows, depth, from > 0, NULL, NULL);
                else direct_multiply(to, ldc, x, j->row, b, gap, some, rows, depth, from > 0, direct_expect, &next);
            }
    }
    // Results that caches cannot keep until they are read go past them, which saves reading their lines to write them.
    bool far = t->n * t->oh * t->ow * t->outputs >= DIRECT_FAR;
    for (size_t i = 0; i < bands; i++) {
        size_t lines = direct_lines(j, start + i, &n, &top);
        for (size_t line = 0; line < lines; line++)
            for (size_t x = 0; x < t->ow; x++) {
                const float *sums = c + i * j->sums + (line * j->places + x) * ldc;
                size_t at = (n * t->oh + top + line) * t->ow + x;
                for (size_t panel = 0; t->residual && panel < panels; panel++)
                    __builtin_prefetch(t->residual + (at + DIRECT_AHEAD) * t->outputs + (first + panel) * 16, 0, 3);
                direct_finish(j, sums, n, at, first, panels, far);
            }
    }
}

static void direct_convolve(const lk_convolution_args *args) {
    static _Atomic size_t calls = 0;
    direct j = direct_job(args);
    j.call = ++calls;
    if (j.packed) lk_parallel(j.panels, direct_pack_panel, &j);
    lk_parallel(lk_pieces(j.all, j.each) * j.groups, direct_piece, &j);
}
#endif

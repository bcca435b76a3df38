// 3x3 convolution of stride 1 or 2 as the sum of nine matrix products, in tiles (tiles.h): they multiply so much faster
// than vectors add that Winograd's fewer products would not pay for their transforms, and round more.
//
//     for each block of lines and columns, for each 128 output channels          pieces
//         round the block's pixels to words, with zeros around the picture       [lines + 2, L, words], in L2
//         for each 64 input channels, for each 32 output channels                their filters in L1
//             c (+)= sum over the nine places of (pixels, moved there) (filters)
//         y = c + bias + ...
//
// What stands before a convolution is done to the pixels as a block reads them: GroupNorm with SiLU, whose result never
// lies in memory (direct_pixels.h). The next GroupNorm's sums are taken of y as it is written (direct_results.h).
//
// A thread rounds the pixels of its next block while it multiplies those of one, so that vectors and memory work beside the
// tiles; several pieces of one block in a row use them as they are. Filters are packed before, all of them, to
// [phases][panels][steps][places][words][16]. But if the pictures are so small that one piece can take all blocks of all of
// them, it packs its filters step by step, and they never leave the cache: deep layers, whose filters are most of a UNet.
// Then the pixels are rounded before, and shared.
//
// A line has L = width + 1 places: the zero after it is also the one before the next. So all pixels of a block are rows
// of one matrix, one stride apart; the sums at the zeros' places are thrown away.
//
// After nearest-neighbour upsampling three neighbouring pixels are only two different ones. Each of the four that a pixel
// becomes (a phase) is a sum over 2x2 pixels, with sums of the nine filters: 4 products for 9 (direct_filters.h).
#ifdef LK_TILES

enum { DIRECT_WORDS = 32, DIRECT_PANELS = 8 };
/// Floats of a block's pixels; rows of its sums; columns of one that had few lines otherwise; rows of all blocks, if a
/// piece is to take them; pixels of a picture whose phases are worth their filters.
enum { DIRECT_FLOATS = 352 << 10, DIRECT_ROWS = 1056, DIRECT_COLUMNS = 64, DIRECT_ALL_ROWS = 1280 };
enum { DIRECT_PHASES = 1024 };

typedef struct {
    const lk_convolution_args *args;
    size_t words, row;            // of a pixel; floats between pixels
    size_t upscale, phases, taps; // of the pixels as they are read; 1 of 9 places, or 4 of 4
    size_t height, width;         // of a picture's sums, in each phase
    size_t lines, columns;        // of a block
    size_t places;                // L
    size_t down, across, all;     // blocks of a picture; in all
    size_t panels, groups;        // of 16 output channels; pieces of them, in each phase
    size_t planes, halo;          // of pixels (direct_pixels.h); lines of one besides those of the sums
    size_t plane, pixels, sums;   // floats of a plane's pixels, of a block's, of its sums
    bool few;                     // one piece takes all blocks
    _Atomic size_t next;          // piece that is not taken yet
    float *shared;                // the filters, packed; or the pixels of all blocks
    double *chunks;               // of each block and phase: sums and sums of squares [2][panels][16]
} direct;

static bool direct_multiplies(const lk_convolution_args *args) { return args->bf16 && args->channels % 2 == 0; }

/// Only who does what depends on how many pictures there are; so a picture's bits do not.
static direct direct_job(const lk_convolution_args *args) {
    direct j = {.args = args, .words = args->channels / 2, .panels = lk_pieces(args->outputs, 16)};
    bool phases = args->upscale == 2 && args->oh * args->ow >= DIRECT_PHASES;
    j.upscale = phases ? 1 : args->upscale, j.phases = phases ? 4 : 1, j.taps = phases ? 4 : 9;
    j.height = phases ? args->h : args->oh, j.width = phases ? args->w : args->ow;
    j.row = lk_pieces(j.words, 16) * 16;
    if (j.row % 64 == 0) j.row += 16; // pixels one above the other would crowd a few sets of the cache
    j.planes = args->stride * args->stride, j.halo = args->stride == 1 ? 2 : 1;
    // A zero that two lines share must be one for both.
    bool shared = args->pad_left == 1 && args->w * j.upscale <= j.width;
    size_t most;
    for (j.columns = j.width;; j.columns = lk_pieces(j.columns, 2)) {
        j.places = j.columns + (args->stride == 1 && !(shared && j.columns == j.width) ? 2 : 1);
        most = DIRECT_FLOATS / (j.places * j.row * j.planes);
        most = lk_min(most > j.halo ? most - j.halo : 1, DIRECT_ROWS / j.places > 0 ? DIRECT_ROWS / j.places : 1);
        if (most >= lk_min(j.height, DIRECT_COLUMNS / 4) || j.columns <= DIRECT_COLUMNS) break;
    }
    j.down = lk_pieces(j.height, most), j.across = lk_pieces(j.width, j.columns);
    j.lines = lk_pieces(j.height, j.down);
    j.all = args->n * j.down * j.across;
    j.groups = lk_pieces(j.panels, DIRECT_PANELS);
    j.plane = ((j.lines + j.halo) * j.places + 2) * j.row; // the last line's sums at zeros read two places more
    j.pixels = j.planes * j.plane;
    j.sums = j.lines * j.places * DIRECT_PANELS * 16;
    j.few = !phases && j.across == 1 && j.all * j.lines * j.places <= DIRECT_ALL_ROWS;
    j.shared = args->scratch;
    return j;
}

static size_t direct_shared(const direct *j) {
    return j->few ? j->all * j->pixels : j->phases * j->panels * j->taps * j->words * 16;
}

static size_t direct_scratch(const lk_convolution_args *args) {
    direct j = direct_job(args);
    return direct_shared(&j) + (args->sums ? j.all * j.phases * 2 * j.panels * 16 * 2 : 0);
}

/// How many words belong to the step that begins at `start`: tiles are of 16 words, the last ones perhaps of fewer.
LK_INLINE size_t direct_step(const direct *j, size_t start) {
    size_t left = j->words - start;
    return left >= DIRECT_WORDS ? DIRECT_WORDS : left >= 16 ? 16 : left;
}

/// Where a block is.
typedef struct {
    size_t n, top, left, lines, columns;
} direct_block;

LK_INLINE direct_block direct_at(const direct *j, size_t number) {
    size_t n = number / (j->down * j->across), i = number % (j->down * j->across);
    size_t top = i / j->across * j->lines, left = i % j->across * j->columns;
    size_t lines = top < j->height ? lk_min(j->lines, j->height - top) : 0;
    return (direct_block){n, top, left, lines, lk_min(j->columns, j->width - left)};
}

#include "direct_filters.h"
#include "direct_pixels.h"
#include "direct_results.h"

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
    if (!j->few || from >= j->words) return (direct_next){0};
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

/// The blocks `start` and on of a piece, its panels from `first` on. Pixels begin at `pixels`, `own` is for filters.
static void direct_multiply_blocks(
    const direct *j, size_t start, size_t blocks, size_t phase, size_t first, const float *pixels, float *c, float *own,
    direct_rounding *rounding) {
    const size_t panels = lk_min(DIRECT_PANELS, j->panels - first), ldc = panels * 16;
    size_t jumps[9];
    direct_jumps(j, phase, jumps);
    for (size_t from = 0, words; from < j->words; from += words) {
        words = direct_step(j, from);
        size_t gap = j->taps * (j->few ? words : j->words) * 16;
        const float *filters = own;
        if (!j->few) filters = j->shared + ((phase * j->panels + first) * j->words + from) * j->taps * 16;
        for (size_t panel = 0; j->few && panel < panels; panel++)
            direct_pack(j, own + panel * gap, first + panel, from, words);
        lk_tile_depth depth = {jumps, j->taps, lk_pieces(words, 16), lk_min(words, 16)};
        size_t products = lk_pieces(panels, 2) * blocks * lk_pieces(j->lines * j->places, 32) * j->taps * depth.chunks;
        direct_next next = direct_after(j, first, panels, from + words, products);
        for (size_t panel = 0; panel < panels; panel += 2)
            for (size_t i = 0; i < blocks; i++) {
                float *to = c + i * j->sums + panel * 16;
                const float *x = pixels + i * j->pixels + from, *b = filters + panel * gap;
                size_t rows = direct_at(j, start + i).lines * j->places, some = lk_min(2, panels - panel);
                if (j->few) direct_multiply(to, ldc, x, j->row, b, gap, some, rows, depth, from > 0, direct_expect, &next);
                else direct_multiply(to, ldc, x, j->row, b, gap, some, rows, depth, from > 0, direct_round_some, rounding);
            }
    }
    bool whole = panels == DIRECT_PANELS && (first + panels) * 16 <= j->args->outputs;
    for (size_t i = 0; i < blocks; i++) {
        const float *sums = c + i * j->sums;
        if (whole) direct_finish(j, sums, start + i, phase, first, panels, true);
        else direct_finish(j, sums, start + i, phase, first, panels, false);
    }
}

/// All blocks, some panels.
static void direct_piece_of_all(void *context, size_t piece) {
    const direct *j = context;
    float *c = lk_piece_scratch(j->all * j->sums + DIRECT_PANELS * 9 * DIRECT_WORDS * 16);
    direct_multiply_blocks(j, 0, j->all, 0, piece * DIRECT_PANELS, j->shared, c, c + j->all * j->sums, NULL);
}

/// Some panels of a block.
typedef struct {
    size_t block, phase, first;
} direct_task;

/// The next piece.
static bool direct_take(direct *j, direct_task *task) {
    const size_t groups = j->groups * j->phases;
    size_t piece = atomic_fetch_add(&j->next, 1), block, group;
    if (piece >= j->all * groups) return false;
    lk_place(piece, j->all, groups, &block, &group);
    *task = (direct_task){block, group / j->groups, group % j->groups * DIRECT_PANELS};
    return true;
}

/// Takes pieces until there are no more. While the tiles multiply one block's pixels, the next one's are rounded.
static void direct_work(void *context, size_t number) {
    (void)number;
    direct *j = context;
    direct_task task, next;
    if (!direct_take(j, &task)) return;
    float *c = lk_piece_scratch(j->sums + 2 * j->pixels), *pixels = c + j->sums, *others = pixels + j->pixels;
    direct_rounding rounding = direct_begin(j, pixels, task.block);
    direct_round(&rounding, SIZE_MAX);
    for (bool more = true; more; task = next) {
        more = direct_take(j, &next);
        bool same = !more || next.block == task.block;
        rounding = same ? (direct_rounding){0} : direct_begin(j, others, next.block);
        direct_multiply_blocks(j, task.block, 1, task.phase, task.first, pixels, c, NULL, &rounding);
        direct_round(&rounding, SIZE_MAX);
        if (same) continue;
        float *swap = pixels;
        pixels = others, others = swap;
    }
}

static void direct_convolve(const lk_convolution_args *args) {
    direct j = direct_job(args);
    j.chunks = (double *)(j.shared + direct_shared(&j));
    if (j.few) {
        lk_parallel(j.all, direct_round_piece, &j);
        lk_parallel(j.groups, direct_piece_of_all, &j);
    } else {
        lk_parallel(j.panels, direct_pack_panel, &j);
        lk_parallel((size_t)lk_threads(), direct_work, &j);
    }
    if (args->sums)
        lk_add_chunks(args->sums, j.chunks, args->n, j.down * j.across * j.phases, args->outputs, j.panels * 16);
}
#endif

// Products of words (bfloat.h) by AMX: TDPBF16PS multiplies a tile of 16 rows by 16 words of depth with one of 16 words by
// 16 columns, in 16 cycles; 8 times the rate of vectors. A panel of words lies in memory as such a tile wants it.
//
// Of the eight tiles, four hold sums of two times two tiles (0 ... 3), two rows (4, 5) and two columns (6, 7): each tile
// that is loaded is used twice.
#ifdef LK_TILES

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; // of a row
    uint8_t rows[16];
} lk_tile_shapes;

/// Shapes for `upper` and `lower` rows of sums (the latter may be 0) and `words` of depth.
LK_INLINE void lk_shape_tiles(size_t upper, size_t lower, size_t words) {
    lk_tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 4; i++) shapes.bytes[i] = 64, shapes.rows[i] = (uint8_t)(i < 2 ? upper : lower);
    for (int i = 4; i < 6; i++) shapes.bytes[i] = (uint16_t)(4 * words), shapes.rows[i] = (uint8_t)(i < 5 ? upper : lower);
    for (int i = 6; i < 8; i++) shapes.bytes[i] = 64, shapes.rows[i] = (uint8_t)words;
    for (int i = 0; i < 8; i++) // a tile that is not there
        if (shapes.rows[i] == 0) shapes.bytes[i] = 0;
    _tile_loadconfig(&shapes);
}

/// Depth: for each of `segments`, `chunks` times what the tiles are shaped for. Rows of a segment begin `jumps` floats
/// further; b goes on where it was.
typedef struct {
    const size_t *jumps;
    size_t segments, chunks, words;
} lk_tile_depth;

/// Depth without jumps.
LK_INLINE lk_tile_depth lk_depth(size_t words) {
    static const size_t none = 0;
    return (lk_tile_depth){&none, 1, words / 16, 16};
}

/// What the vectors do while tiles multiply: called once for each step of the depth.
typedef void lk_meanwhile(void *context);

/// The sums of one or two tiles of rows and of columns begin as zeros, or where they were.
LK_INLINE void lk_begin_sums(const float *c, size_t ldc, bool add, const int rows, const int columns) {
    const float *lower = c + 16 * ldc;
    const size_t c_step = ldc * sizeof(float);
    if (add) {
        _tile_loadd(0, c, c_step);
        if (columns > 1) _tile_loadd(1, c + 16, c_step);
        if (rows > 1) _tile_loadd(2, lower, c_step);
        if (rows > 1 && columns > 1) _tile_loadd(3, lower + 16, c_step);
    } else {
        _tile_zero(0);
        if (columns > 1) _tile_zero(1);
        if (rows > 1) _tile_zero(2);
        if (rows > 1 && columns > 1) _tile_zero(3);
    }
}

LK_INLINE void lk_end_sums(float *c, size_t ldc, const int rows, const int columns) {
    float *lower = c + 16 * ldc;
    const size_t c_step = ldc * sizeof(float);
    _tile_stored(0, c, c_step);
    if (columns > 1) _tile_stored(1, c + 16, c_step);
    if (rows > 1) _tile_stored(2, lower, c_step);
    if (rows > 1 && columns > 1) _tile_stored(3, lower + 16, c_step);
}

/// c (+)= a b, of one or two tiles of rows and of columns; b's panels are `gap` floats apart.
LK_INLINE void lk_tile_product(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, lk_tile_depth depth, bool add,
    const int rows, const int columns, lk_meanwhile *const meanwhile, void *context) {
    const size_t a_step = lda * sizeof(float);
    lk_begin_sums(c, ldc, add, rows, columns);
    for (size_t segment = 0; segment < depth.segments; segment++) {
        const float *from = a + depth.jumps[segment];
        for (size_t chunk = 0; chunk < depth.chunks; chunk++, from += depth.words, b += depth.words * 16) {
            _tile_loadd(4, from, a_step);
            _tile_loadd(6, b, 64);
            _tile_dpbf16ps(0, 4, 6);
            if (columns > 1) {
                _tile_loadd(7, b + gap, 64);
                _tile_dpbf16ps(1, 4, 7);
            }
            if (rows > 1) {
                _tile_loadd(5, from + 16 * lda, a_step);
                _tile_dpbf16ps(2, 5, 6);
                if (columns > 1) _tile_dpbf16ps(3, 5, 7);
            }
            if (meanwhile) meanwhile(context);
        }
    }
    lk_end_sums(c, ldc, rows, columns);
}

// Products of floats: a float is the sum of three parts of 8 bits, x = x0 + x1 + x2, each the nearest bfloat16 to the rest or
// cut off from it. Of the products of parts six are added; the other three are below the last bit (Henry, Tang and Heinecke
// 2019, arXiv 1904.06376). Six products in tiles still take less time than one of floats, and a tile rounds its sums less
// often than vectors do.

enum { LK_PARTS = 3, LK_PART_PRODUCTS = 6 };
/// Parts of a and of b, so ordered that most follow one that has a part in common.
static const uint8_t lk_part_products[LK_PART_PRODUCTS][2] = {{0, 2}, {0, 1}, {1, 1}, {1, 0}, {2, 0}, {0, 0}};

/// A product of 16 words of depth: how many floats further its rows and its columns begin.
typedef struct {
    uint32_t a, b;
} lk_tile_segment;

/// c (+)= the sum of `count` products, of one or two tiles of rows and of columns; b's panels are `gap` floats apart. What
/// the product before has loaded is not loaded again.
LK_INLINE void lk_tile_products(
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t gap, const lk_tile_segment *segments,
    size_t count, bool add, const int rows, const int columns, lk_meanwhile *const meanwhile, void *context) {
    const size_t a_step = lda * sizeof(float);
    lk_begin_sums(c, ldc, add, rows, columns);
    lk_tile_segment held = {UINT32_MAX, UINT32_MAX};
    for (size_t i = 0; i < count; i++) {
        const lk_tile_segment now = segments[i];
        if (now.a != held.a) {
            _tile_loadd(4, a + now.a, a_step);
            if (rows > 1) _tile_loadd(5, a + now.a + 16 * lda, a_step);
        }
        if (now.b != held.b) {
            _tile_loadd(6, b + now.b, 64);
            if (columns > 1) _tile_loadd(7, b + now.b + gap, 64);
        }
        held = now;
        _tile_dpbf16ps(0, 4, 6);
        if (columns > 1) _tile_dpbf16ps(1, 4, 7);
        if (rows > 1) _tile_dpbf16ps(2, 5, 6);
        if (rows > 1 && columns > 1) _tile_dpbf16ps(3, 5, 7);
        if (meanwhile) meanwhile(context);
    }
    lk_end_sums(c, ldc, rows, columns);
}
#endif

// Moving floats about: transposition, concatenation, nearest-neighbour upsampling.

typedef struct {
    float *y;
    const float *x, *z;
    size_t n, a, b, h, w, c, oh, ow;
} layout_job;

enum { TILE = 32, COPY_ROWS = 64 };

static void transpose_piece(void *context, size_t piece) {
    const layout_job *j = context;
    size_t strips = lk_pieces(j->a, TILE), n = piece / strips, a0 = piece % strips * TILE, a1 = lk_min(a0 + TILE, j->a);
    const float *x = j->x + n * j->a * j->b;
    float *y = j->y + n * j->a * j->b;
    for (size_t b0 = 0; b0 < j->b; b0 += TILE)
        for (size_t b = b0, b1 = lk_min(b0 + TILE, j->b); b < b1; b++)
            for (size_t a = a0; a < a1; a++) y[b * j->a + a] = x[a * j->b + b];
}

void LK(transpose)(float *y, const float *x, size_t n, size_t a, size_t b) {
    layout_job j = {.y = y, .x = x, .n = n, .a = a, .b = b};
    lk_parallel(n * lk_pieces(a, TILE), transpose_piece, &j);
}

static void concat_piece(void *context, size_t piece) {
    const layout_job *j = context;
    for (size_t r = piece * COPY_ROWS, end = lk_min(r + COPY_ROWS, j->n); r < end; r++) {
        memcpy(j->y + r * (j->a + j->b), j->x + r * j->a, j->a * sizeof(float));
        memcpy(j->y + r * (j->a + j->b) + j->a, j->z + r * j->b, j->b * sizeof(float));
    }
}

void LK(concat)(float *y, const float *x, const float *z, size_t rows, size_t a, size_t b) {
    layout_job j = {.y = y, .x = x, .z = z, .n = rows, .a = a, .b = b};
    lk_parallel(lk_pieces(rows, COPY_ROWS), concat_piece, &j);
}

static void upsample_piece(void *context, size_t piece) {
    const layout_job *j = context;
    size_t n = piece / j->oh, y = piece % j->oh, from = y * j->h / j->oh;
    for (size_t x = 0; x < j->ow; x++)
        memcpy(j->y + ((n * j->oh + y) * j->ow + x) * j->c,
               j->x + ((n * j->h + from) * j->w + x * j->w / j->ow) * j->c, j->c * sizeof(float));
}

void LK(upsample_nearest)(float *y, const float *x, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow) {
    layout_job j = {.y = y, .x = x, .h = h, .w = w, .c = c, .oh = oh, .ow = ow};
    lk_parallel(n * oh, upsample_piece, &j);
}

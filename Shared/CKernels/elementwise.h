// Element-wise kernels. Each has a loop over one piece (cloned for each instruction set) and a launcher.

typedef struct {
    float *y;
    const float *x, *z;
    size_t count, d, period;
    float a, b;
    lk_activation kind;
} job;

// `rough`: of results that will be rounded to bfloat16 at once; right to 3e-4 of them.

LK_INLINE lk_v16 exponential(lk_v16 x, const bool rough) {
#ifdef LK_BFLOAT
    if (rough) return lk_exp2_rough(x * 1.44269504f);
#endif
    return lk_exp(x);
}

LK_INLINE lk_v16 sigmoid(lk_v16 x, const bool rough) { return lk_reciprocal(1.0f + exponential(-x, rough), rough); }

/// erf by Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
LK_INLINE lk_v16 erf16(lk_v16 x, const bool rough) {
    lk_i16 sign = (lk_i16)x & (int32_t)0x80000000;
    lk_v16 a = (lk_v16)((lk_i16)x & 0x7fffffff);
    lk_v16 t = lk_reciprocal(1.0f + 0.3275911f * a, rough);
    lk_v16 p = lk_splat(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    lk_v16 y = 1.0f - p * t * exponential(-a * a, rough);
    return (lk_v16)((lk_i16)y | sign);
}

LK_INLINE lk_v16 gelu(lk_v16 x, const bool rough) { return 0.5f * x * (1.0f + erf16(x * 0.70710678f, rough)); }

LK_INLINE lk_v16 activate(lk_v16 x, lk_activation kind, const bool rough) {
    switch (kind) {
    case LK_SILU: return x * sigmoid(x, rough);
    case LK_GELU_ERF: return gelu(x, rough);
    case LK_QUICK_GELU: return x * sigmoid(1.702f * x, rough);
    case LK_RELU: return lk_vmax(x, lk_splat(0));
    }
    return x;
}

/// Runs `expression` of x and z on 16 floats at a time, the last ones through a padded copy.
#define ELEMENTWISE(first, last, expression)                                                                          \
    do {                                                                                                              \
        size_t i = (first);                                                                                           \
        for (; i + 16 <= (last); i += 16) {                                                                           \
            lk_v16 x = lk_load(j->x + i), z = j->z ? lk_load(j->z + i) : x;                                           \
            (void)z;                                                                                                  \
            lk_store(j->y + i, expression);                                                                           \
        }                                                                                                             \
        if (i < (last)) {                                                                                             \
            float xs[16] = {0}, zs[16] = {0};                                                                         \
            memcpy(xs, j->x + i, ((last) - i) * sizeof(float));                                                       \
            if (j->z) memcpy(zs, j->z + i, ((last) - i) * sizeof(float));                                             \
            lk_v16 x = lk_load(xs), z = lk_load(zs);                                                                  \
            (void)z;                                                                                                  \
            lk_store(xs, expression);                                                                                 \
            memcpy(j->y + i, xs, ((last) - i) * sizeof(float));                                                       \
        }                                                                                                             \
    } while (0)

#define PIECE size_t first = piece * LK_GRAIN, last = lk_min(first + LK_GRAIN, j->count)

static void activate_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    switch (j->kind) { // outside the loop, so that each loop is one straight vector loop
    case LK_SILU: ELEMENTWISE(first, last, activate(x, LK_SILU, false)); break;
    case LK_GELU_ERF: ELEMENTWISE(first, last, activate(x, LK_GELU_ERF, false)); break;
    case LK_QUICK_GELU: ELEMENTWISE(first, last, activate(x, LK_QUICK_GELU, false)); break;
    case LK_RELU: ELEMENTWISE(first, last, activate(x, LK_RELU, false)); break;
    }
}

static void blend_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    ELEMENTWISE(first, last, j->a * x + j->b * z);
}

static void affine_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    ELEMENTWISE(first, last, j->a * x + j->b);
}

static void multiply_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    ELEMENTWISE(first, last, x * z);
}

static void clamp_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    ELEMENTWISE(first, last, lk_vmin(lk_vmax(x, lk_splat(j->a)), lk_splat(j->b)));
}

static void launch(job j, void (*body)(void *, size_t)) { lk_parallel(lk_pieces(j.count, LK_GRAIN), body, &j); }

void LK(activate)(float *y, const float *x, size_t count, lk_activation kind) {
    launch((job){.y = y, .x = x, .count = count, .kind = kind}, activate_piece);
}
void LK(blend)(float *y, const float *x, const float *z, size_t count, float a, float b) {
    launch((job){.y = y, .x = x, .z = z, .count = count, .a = a, .b = b}, blend_piece);
}
void LK(affine)(float *y, const float *x, size_t count, float a, float b) {
    launch((job){.y = y, .x = x, .count = count, .a = a, .b = b}, affine_piece);
}
void LK(multiply)(float *y, const float *x, const float *z, size_t count) {
    launch((job){.y = y, .x = x, .z = z, .count = count}, multiply_piece);
}
void LK(clamp)(float *y, const float *x, size_t count, float low, float high) {
    launch((job){.y = y, .x = x, .count = count, .a = low, .b = high}, clamp_piece);
}

// Row-wise kernels: a piece is a few rows.
enum { ROWS = 16 };

static void geglu_piece(void *context, size_t piece) {
    const job *all = context;
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, all->count); r < end; r++) {
        job row = {.y = all->y + r * all->d, .x = all->x + r * 2 * all->d, .z = all->x + r * 2 * all->d + all->d};
        const job *j = &row;
        ELEMENTWISE(0, all->d, x * gelu(z, false));
    }
}

void LK(geglu)(float *y, const float *x, size_t rows, size_t d) {
    job j = {.y = y, .x = x, .count = rows, .d = d};
    lk_parallel(lk_pieces(rows, ROWS), geglu_piece, &j);
}

static void add_rows_piece(void *context, size_t piece) {
    const job *all = context;
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, all->count); r < end; r++) {
        job row = {.y = all->y + r * all->d, .x = all->x + r * all->d, .z = all->z + r % all->period * all->d};
        const job *j = &row;
        ELEMENTWISE(0, all->d, x + z);
    }
}

void LK(add_rows)(float *y, const float *x, const float *z, size_t rows, size_t d, size_t period) {
    job j = {.y = y, .x = x, .z = z, .count = rows, .d = d, .period = period};
    lk_parallel(lk_pieces(rows, ROWS), add_rows_piece, &j);
}

void LK(add_per_channel)(float *y, const float *x, const float *z, size_t n, size_t pixels, size_t channels) {
    for (size_t i = 0; i < n; i++)
        LK(add_rows)(y + i * pixels * channels, x + i * pixels * channels, z + i * channels, pixels, channels, 1);
}

// Number formats of checkpoints. The compiler vectorises these with F16C or AVX-512 where there is any.
typedef struct {
    float *y;
    const uint16_t *x;
    size_t count;
} conversion;

static void half_piece(void *context, size_t piece) {
    const conversion *c = context;
    for (size_t i = piece * LK_GRAIN, end = lk_min(i + LK_GRAIN, c->count); i < end; i++) {
        uint32_t bits = c->x[i], sign = (bits & 0x8000) << 16, magnitude = bits & 0x7fff, f;
        float value;
        if (magnitude >= 0x7c00) { // infinity, NaN
            f = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
            memcpy(&value, &f, 4);
        } else if (magnitude >= 0x0400) { // normal: move the exponent's bias from 15 to 127
            f = sign | ((magnitude << 13) + ((127 - 15) << 23));
            memcpy(&value, &f, 4);
        } else { // subnormal: a multiple of 2^-24
            value = (float)magnitude * 5.9604644775390625e-8f;
            if (sign) value = -value;
        }
        c->y[i] = value;
    }
}

static void bfloat_piece(void *context, size_t piece) {
    const conversion *c = context;
    for (size_t i = piece * LK_GRAIN, end = lk_min(i + LK_GRAIN, c->count); i < end; i++) {
        uint32_t f = (uint32_t)c->x[i] << 16;
        memcpy(c->y + i, &f, 4);
    }
}

void LK(half_to_float)(float *y, const uint16_t *x, size_t count) {
    conversion c = {y, x, count};
    lk_parallel(lk_pieces(count, LK_GRAIN), half_piece, &c);
}
void LK(bfloat_to_float)(float *y, const uint16_t *x, size_t count) {
    conversion c = {y, x, count};
    lk_parallel(lk_pieces(count, LK_GRAIN), bfloat_piece, &c);
}

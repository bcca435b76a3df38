// GroupNorm (channels last, with SiLU), LayerNorm and softmax.

// GroupNorm: y = (x - mean_g) / sqrt(var_g + eps) * weight_c + bias_c, mean and variance over P pixels and C/G channels.
// Pass 1 sums each channel over chunks of pixels, in double, unless who made x has done so; a short middle step makes it
// y = x * a_c + b_c; pass 2 applies that, unless who reads y does.
enum { PIXELS = 128, RUN = 16 }; // of a piece; of those whose sums stay in registers

typedef float lk_f8u __attribute__((vector_size(32), aligned(4)));
typedef double lk_d8 __attribute__((vector_size(64)));
typedef double lk_d8u __attribute__((vector_size(64), aligned(8)));

typedef struct {
    void *y;
    const float *x, *scale_shift;
    size_t n, pixels, channels, chunks;
    double *sums; // [N, chunks, 2, C]
    bool silu;
    lk_format format; // of y
} channels_job;

static void sum_piece(void *context, size_t piece) {
    const channels_job *g = context;
    size_t n = piece / g->chunks, first = piece % g->chunks * PIXELS, last = lk_min(first + PIXELS, g->pixels);
    double *sum = g->sums + piece * 2 * g->channels, *square = sum + g->channels;
    memset(sum, 0, 2 * g->channels * sizeof(double));
    for (size_t from = first; from < last; from += RUN) {
        size_t count = lk_min(RUN, last - from), c = 0;
        const float *x = g->x + (n * g->pixels + from) * g->channels;
        for (; c + 8 <= g->channels; c += 8) {
            lk_d8 s = *(lk_d8u *)(sum + c), q = *(lk_d8u *)(square + c);
            for (size_t p = 0; p < count; p++) {
                lk_d8 v = __builtin_convertvector(*(const lk_f8u *)(x + p * g->channels + c), lk_d8);
                s += v;
                q += v * v;
            }
            *(lk_d8u *)(sum + c) = s;
            *(lk_d8u *)(square + c) = q;
        }
        for (; c < g->channels; c++)
            for (size_t p = 0; p < count; p++) {
                double v = x[p * g->channels + c];
                sum[c] += v;
                square[c] += v * v;
            }
    }
}

/// sums [N, 2, C]: those of `count` chunks [2][stride] of each picture.
static void lk_add_chunks(double *sums, const double *chunks, size_t n, size_t count, size_t channels, size_t stride) {
    memset(sums, 0, n * 2 * channels * sizeof(double));
    for (size_t i = 0; i < n * count; i++, chunks += 2 * stride) {
        double *sum = sums + i / count * 2 * channels, *square = sum + channels;
        for (size_t c = 0; c < channels; c++) sum[c] += chunks[c], square[c] += chunks[stride + c];
    }
}

void LK(channel_sums)(double *sums, const float *x, size_t n, size_t pixels, size_t channels) {
    size_t chunks = lk_pieces(pixels, PIXELS);
    channels_job g = {.x = x, .n = n, .pixels = pixels, .channels = channels, .chunks = chunks};
    g.sums = (double *)lk_scratch(n * chunks * 2 * channels * 2);
    lk_parallel(n * chunks, sum_piece, &g);
    lk_add_chunks(sums, g.sums, n, chunks, channels, channels);
    free(g.sums);
}

/// The mean of a group's numbers and 1 over their deviation, from the sums of its channels in a picture's [2, C].
static void group_moments(
    const double *sums, size_t channels, size_t width, double count, float eps, double *mean, double *inverse) {
    double sum = 0, square = 0;
    for (size_t c = 0; c < width; c++) sum += sums[c], square += sums[channels + c];
    *mean = sum / count;
    double variance = square / count - *mean * *mean;
    *inverse = 1 / sqrt((variance > 0 ? variance : 0) + eps);
}

void LK(group_scales)(float *scale_shift, const double *sums, const float *weight, const float *bias, size_t n,
                   size_t pixels, size_t channels, size_t groups, float eps) {
    size_t width = channels / groups;
    double count = (double)width * (double)pixels;
    for (size_t group = 0; group < n * groups; group++) {
        size_t first = group % groups * width, row = group / groups * 2 * channels;
        double mean, inverse;
        group_moments(sums + row + first, channels, width, count, eps, &mean, &inverse);
        for (size_t c = first; c < first + width; c++) {
            scale_shift[row + c] = (float)(inverse * weight[c]);
            scale_shift[row + channels + c] = (float)(bias[c] - mean * inverse * weight[c]);
        }
    }
}

static void scale_piece(void *context, size_t piece) {
    const channels_job *g = context;
    piece = g->n * g->chunks - 1 - piece; // what was read last is read first: caches still hold it
    size_t n = piece / g->chunks, first = piece % g->chunks * PIXELS, last = lk_min(first + PIXELS, g->pixels);
    const float *a = g->scale_shift + n * 2 * g->channels, *b = a + g->channels;
    bool rough = g->format == LK_BF16;
    for (size_t p = first; p < last; p++) {
        size_t at = (n * g->pixels + p) * g->channels;
        for (size_t c = 0; c < g->channels; c += 16) {
            size_t few = lk_min(16, g->channels - c);
            lk_v16 v = lk_load_few(g->x + at + c, few) * lk_load_few(a + c, few) + lk_load_few(b + c, few);
            if (g->silu) v = rough ? activate(v, LK_SILU, true) : activate(v, LK_SILU, false);
            lk_put_few(g->y, g->format, at + c, v, few);
        }
    }
}

void LK(scale_channels)(void *y, lk_format format, const float *x, const float *scale_shift, size_t n, size_t pixels,
                   size_t channels, bool silu) {
    size_t chunks = lk_pieces(pixels, PIXELS);
    channels_job g = {y, x, scale_shift, n, pixels, channels, chunks, NULL, silu, format};
    lk_parallel(n * chunks, scale_piece, &g);
}

typedef struct {
    void *y;
    lk_format format; // of y
    const float *x, *weight, *bias;
    size_t rows, d;
    float eps;
} row_job;

// In two passes, so that squares are of differences from the mean: sixteen sums of floats lose nothing then.
static void layer_norm_piece(void *context, size_t piece) {
    const row_job *j = context;
    const size_t d = j->d, whole = d / 16 * 16;
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, j->rows); r < end; r++) {
        const float *x = j->x + r * d;
        lk_v16 sums = lk_splat(0), squares = lk_splat(0);
        for (size_t i = 0; i < whole; i += 16) sums += lk_load(x + i);
        float sum = lk_hsum(sums);
        for (size_t i = whole; i < d; i++) sum += x[i];
        const float mean = sum / (float)d;
        for (size_t i = 0; i < whole; i += 16) {
            lk_v16 difference = lk_load(x + i) - mean;
            squares += difference * difference;
        }
        float square = lk_hsum(squares);
        for (size_t i = whole; i < d; i++) square += (x[i] - mean) * (x[i] - mean);
        const float inverse = 1 / sqrtf(square / (float)d + j->eps);
        for (size_t i = 0; i < d; i += 16) {
            size_t few = lk_min(16, d - i);
            lk_v16 y = (lk_load_few(x + i, few) - mean) * inverse;
            y = y * lk_load_few(j->weight + i, few) + lk_load_few(j->bias + i, few);
            lk_put_few(j->y, j->format, r * d + i, y, few);
        }
    }
}

void LK(layer_norm)(void *y, lk_format format, const float *x, const float *weight, const float *bias, size_t rows,
                   size_t d, float eps) {
    row_job j = {y, format, x, weight, bias, rows, d, eps};
    lk_parallel(lk_pieces(rows, ROWS), layer_norm_piece, &j);
}

static void softmax_piece(void *context, size_t piece) {
    const row_job *j = context;
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, j->rows); r < end; r++) {
        const float *x = j->x + r * j->d;
        float *y = (float *)j->y + r * j->d, top = x[0];
        double sum = 0;
        for (size_t i = 1; i < j->d; i++) top = x[i] > top ? x[i] : top;
        for (size_t i = 0; i < j->d; i++) sum += y[i] = expf(x[i] - top);
        for (size_t i = 0; i < j->d; i++) y[i] = (float)(y[i] / sum);
    }
}

void LK(softmax)(float *y, const float *x, size_t rows, size_t d) {
    row_job j = {.y = y, .x = x, .rows = rows, .d = d};
    lk_parallel(lk_pieces(rows, ROWS), softmax_piece, &j);
}

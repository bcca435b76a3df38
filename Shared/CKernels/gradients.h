// Backward passes: each kernel takes dy, the loss's gradient by the forward kernel's output, and gives the gradient by
// its input. Forward values are recomputed from the inputs where that is cheaper than keeping them.

// ---- element-wise

/// f'(x) of every activation.
LK_INLINE lk_v16 slope(lk_v16 x, lk_activation kind) {
    switch (kind) {
    case LK_SILU: {
        lk_v16 s = sigmoid(x, false);
        return s * (1.0f + x * (1.0f - s));
    }
    case LK_GELU_ERF: // Phi(x) + x phi(x)
        return 0.5f * (1.0f + erf16(x * 0.70710678f, false)) + x * 0.39894228f * lk_exp(-0.5f * x * x);
    case LK_QUICK_GELU: {
        lk_v16 s = sigmoid(1.702f * x, false);
        return s * (1.0f + 1.702f * x * (1.0f - s));
    }
    case LK_RELU: return lk_select(x > lk_splat(0), lk_splat(1), lk_splat(0));
    }
    return x;
}

static void activate_backward_piece(void *context, size_t piece) {
    const job *j = context;
    PIECE;
    ELEMENTWISE(first, last, (z * slope(x, j->kind)));
}

void LK(activate_backward)(float *dx, const float *x, const float *dy, size_t count, lk_activation kind) {
    job j = {.y = dx, .x = x, .z = dy, .count = count, .kind = kind};
    lk_parallel(lk_pieces(count, LK_GRAIN), activate_backward_piece, &j);
}

static void geglu_backward_piece(void *context, size_t piece) {
    const job *j = context; // y: dx [R, 2D], x: x [R, 2D], z: dy [R, D]
    size_t d = j->d;
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, j->count); r < end; r++) {
        const float *a = j->x + r * 2 * d, *g = a + d, *dy = j->z + r * d;
        float *da = j->y + r * 2 * d, *dg = da + d;
        for (size_t i = 0; i < d; i += 16) {
            float as[16] = {0}, gs[16] = {0}, ds[16] = {0};
            size_t width = lk_min(16, d - i);
            const float *ap = a + i, *gp = g + i, *dp = dy + i;
            if (width < 16) {
                memcpy(as, ap, width * sizeof(float));
                memcpy(gs, gp, width * sizeof(float));
                memcpy(ds, dp, width * sizeof(float));
                ap = as, gp = gs, dp = ds;
            }
            lk_v16 gv = lk_load(gp), dv = lk_load(dp);
            lk_v16 left = dv * gelu(gv, false), right = dv * lk_load(ap) * slope(gv, LK_GELU_ERF);
            memcpy(da + i, &left, width * sizeof(float));
            memcpy(dg + i, &right, width * sizeof(float));
        }
    }
}

void LK(geglu_backward)(float *dx, const float *x, const float *dy, size_t rows, size_t d) {
    job j = {.y = dx, .x = x, .z = dy, .count = rows, .d = d};
    lk_parallel(lk_pieces(rows, ROWS), geglu_backward_piece, &j);
}

// ---- sums

enum { SUM_ROWS = 128 };

typedef struct {
    float *y;
    const float *x;
    size_t outer, inner, d, chunks;
    double *partial; // [outer, chunks, D]
} sum_job;

static void sum_rows_piece(void *context, size_t piece) {
    const sum_job *j = context;
    size_t outer = piece / j->chunks, first = piece % j->chunks * SUM_ROWS, last = lk_min(first + SUM_ROWS, j->inner);
    double *sum = j->partial + piece * j->d;
    memset(sum, 0, j->d * sizeof(double));
    for (size_t r = first; r < last; r++) {
        const float *x = j->x + (outer * j->inner + r) * j->d;
        for (size_t c = 0; c < j->d; c++) sum[c] += x[c];
    }
}

void LK(sum_rows)(float *y, const float *x, size_t outer, size_t inner, size_t d) {
    sum_job j = {y, x, outer, inner, d, lk_pieces(inner, SUM_ROWS), NULL};
    j.partial = malloc((outer * j.chunks * d + 1) * sizeof(double));
    if (!j.partial) abort();
    lk_parallel(outer * j.chunks, sum_rows_piece, &j);
    for (size_t o = 0; o < outer; o++)
        for (size_t c = 0; c < d; c++) {
            double sum = 0;
            for (size_t k = 0; k < j.chunks; k++) sum += j.partial[(o * j.chunks + k) * d + c];
            y[o * d + c] = (float)sum;
        }
    free(j.partial);
}

// ---- GroupNorm: z = (x - mean) r w + b, y = z or silu(z)
//
// With A_c = sum dz, B_c = sum dz (x - mean) r over a row's pixels, S1 = sum_group w A, S2 = sum_group w B, m numbers a
// group:  dx = r w dz - r S1 / m - r^2 (x - mean) S2 / m;  dw = sum_n B;  db = sum_n A.

typedef struct {
    channels_job forward;
    const float *dy;
    double *products;    // [N, chunks, 2, C]: sums of dz and dz x
    float *coefficients; // [N, 3, C]: dx = p dz + q x + s
} group_norm_gradient;

LK_INLINE lk_v16 norm_slope(const group_norm_gradient *g, lk_v16 z, lk_v16 dy) {
    return g->forward.silu ? dy * slope(z, LK_SILU) : dy;
}

// Sums over a piece's pixels are kept in float, 16 channels at a time; pieces are added up in double.
static void norm_products_piece(void *context, size_t piece) {
    const group_norm_gradient *g = context;
    const channels_job *f = &g->forward;
    size_t n = piece / f->chunks, first = piece % f->chunks * PIXELS, last = lk_min(first + PIXELS, f->pixels);
    const float *a = f->scale_shift + n * 2 * f->channels, *b = a + f->channels;
    double *sum = g->products + piece * 2 * f->channels, *product = sum + f->channels;
    for (size_t c = 0; c < f->channels; c += 16) {
        size_t width = lk_min(16, f->channels - c);
        lk_v16 av = lk_load_few(a + c, width), bv = lk_load_few(b + c, width), s = lk_splat(0), t = lk_splat(0);
        for (size_t p = first; p < last; p++) {
            size_t at = (n * f->pixels + p) * f->channels + c;
            lk_v16 x = lk_load_few(f->x + at, width);
            lk_v16 dz = norm_slope(g, x * av + bv, lk_load_few(g->dy + at, width));
            s += dz;
            t += dz * x;
        }
        for (size_t i = 0; i < width; i++) {
            sum[c + i] = s[i];
            product[c + i] = t[i];
        }
    }
}

static void norm_gradient_piece(void *context, size_t piece) {
    const group_norm_gradient *g = context;
    const channels_job *f = &g->forward;
    size_t n = piece / f->chunks, first = piece % f->chunks * PIXELS, last = lk_min(first + PIXELS, f->pixels);
    const float *a = f->scale_shift + n * 2 * f->channels, *b = a + f->channels;
    const float *k = g->coefficients + n * 3 * f->channels;
    for (size_t c = 0; c < f->channels; c += 16) {
        size_t width = lk_min(16, f->channels - c);
        lk_v16 av = lk_load_few(a + c, width), bv = lk_load_few(b + c, width), by_dz = lk_load_few(k + c, width),
               by_x = lk_load_few(k + f->channels + c, width), rest = lk_load_few(k + 2 * f->channels + c, width);
        for (size_t p = first; p < last; p++) {
            size_t at = (n * f->pixels + p) * f->channels + c;
            lk_v16 x = lk_load_few(f->x + at, width);
            lk_v16 dz = norm_slope(g, x * av + bv, lk_load_few(g->dy + at, width));
            lk_store_few((float *)f->y + at, by_dz * dz + by_x * x + rest, width);
        }
    }
}

void LK(group_norm_backward)(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                            const float *bias, size_t n, size_t pixels, size_t channels, size_t groups, float eps,
                            bool silu) {
    size_t chunks = lk_pieces(pixels, PIXELS), width = channels / groups;
    double *sums = malloc(n * 2 * channels * sizeof(double));
    float *scale_shift = malloc(n * 2 * channels * sizeof(float));
    group_norm_gradient g = {{dx, x, scale_shift, n, pixels, channels, chunks, NULL, silu, LK_F32}, dy, NULL, NULL};
    g.products = malloc(n * chunks * 2 * channels * sizeof(double));
    g.coefficients = malloc(n * 3 * channels * sizeof(float));
    double *totals = calloc(2 * channels, sizeof(double)); // dw, db
    if (!sums || !scale_shift || !g.products || !g.coefficients || !totals) abort();
    LK(channel_sums)(sums, x, n, pixels, channels);
    LK(group_scales)(scale_shift, sums, weight, bias, n, pixels, channels, groups, eps);
    lk_parallel(n * chunks, norm_products_piece, &g);

    double count = (double)width * (double)pixels;
    for (size_t i = 0; i < n; i++)
        for (size_t group = 0; group < groups; group++) {
            double mean, r, s1 = 0, s2 = 0;
            group_moments(sums + i * 2 * channels + group * width, channels, width, count, eps, &mean, &r);
            for (size_t c = group * width; c < (group + 1) * width; c++) {
                double da = 0, product = 0;
                for (size_t k = 0; k < chunks; k++) {
                    const double *s = g.products + (i * chunks + k) * 2 * channels + c;
                    da += s[0];
                    product += s[channels];
                }
                double normed = r * (product - mean * da);
                totals[c] += normed;
                totals[channels + c] += da;
                s1 += weight[c] * da;
                s2 += weight[c] * normed;
            }
            for (size_t c = group * width; c < (group + 1) * width; c++) {
                float *k = g.coefficients + i * 3 * channels + c;
                k[0] = (float)(r * weight[c]);
                k[channels] = (float)(-r * r * s2 / count);
                k[2 * channels] = (float)(-r * s1 / count + mean * r * r * s2 / count);
            }
        }
    if (dx) lk_parallel(n * chunks, norm_gradient_piece, &g);
    for (size_t c = 0; c < channels; c++) {
        if (dw) dw[c] = (float)totals[c];
        if (db) db[c] = (float)totals[channels + c];
    }
    free(sums);
    free(scale_shift);
    free(g.products);
    free(g.coefficients);
    free(totals);
}

// ---- LayerNorm: y = (x - mean) r w + b
// dx = r (w dy - mean(w dy) - x̂ mean(w dy x̂));  dw = sum dy x̂;  db = sum dy.

typedef struct {
    float *dx;
    const float *x, *weight, *dy;
    size_t rows, d, pieces;
    double *partial; // [pieces, 2, D]
    float eps;
} layer_norm_gradient;

static void layer_norm_backward_piece(void *context, size_t piece) {
#pragma clang fp reassociate(on)
    const layer_norm_gradient *j = context;
    double *dw = j->partial + piece * 2 * j->d, *db = dw + j->d;
    memset(dw, 0, 2 * j->d * sizeof(double));
    for (size_t r = piece * SUM_ROWS, end = lk_min(r + SUM_ROWS, j->rows); r < end; r++) {
        const float *x = j->x + r * j->d, *dy = j->dy + r * j->d;
        double sum = 0, square = 0, s1 = 0, s2 = 0;
        for (size_t i = 0; i < j->d; i++) sum += x[i];
        double mean = sum / (double)j->d;
        for (size_t i = 0; i < j->d; i++) square += (x[i] - mean) * (x[i] - mean);
        double inverse = 1 / sqrt(square / (double)j->d + j->eps);
        for (size_t i = 0; i < j->d; i++) {
            double normed = (x[i] - mean) * inverse;
            dw[i] += dy[i] * normed;
            db[i] += dy[i];
            s1 += (double)dy[i] * j->weight[i];
            s2 += (double)dy[i] * j->weight[i] * normed;
        }
        s1 /= (double)j->d;
        s2 /= (double)j->d;
        if (!j->dx) continue;
        float *dx = j->dx + r * j->d;
        for (size_t i = 0; i < j->d; i++)
            dx[i] = (float)(inverse * ((double)dy[i] * j->weight[i] - s1 - (x[i] - mean) * inverse * s2));
    }
}

void LK(layer_norm_backward)(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                            size_t rows, size_t d, float eps) {
    layer_norm_gradient j = {dx, x, weight, dy, rows, d, lk_pieces(rows, SUM_ROWS), NULL, eps};
    j.partial = malloc((j.pieces * 2 * d + 1) * sizeof(double));
    if (!j.partial) abort();
    lk_parallel(j.pieces, layer_norm_backward_piece, &j);
    for (size_t i = 0; i < d; i++) {
        double w = 0, b = 0;
        for (size_t k = 0; k < j.pieces; k++) {
            w += j.partial[k * 2 * d + i];
            b += j.partial[k * 2 * d + d + i];
        }
        if (dw) dw[i] = (float)w;
        if (db) db[i] = (float)b;
    }
    free(j.partial);
}

// ---- softmax: dx = y (dy - sum y dy)

static void softmax_backward_piece(void *context, size_t piece) {
#pragma clang fp reassociate(on)
    const job *j = context; // x: y, z: dy
    for (size_t r = piece * ROWS, end = lk_min(r + ROWS, j->count); r < end; r++) {
        const float *y = j->x + r * j->d, *dy = j->z + r * j->d;
        double sum = 0;
        for (size_t i = 0; i < j->d; i++) sum += (double)y[i] * dy[i];
        for (size_t i = 0; i < j->d; i++) j->y[r * j->d + i] = y[i] * (dy[i] - (float)sum);
    }
}

void LK(softmax_backward)(float *dx, const float *y, const float *dy, size_t rows, size_t d) {
    job j = {.y = dx, .x = y, .z = dy, .count = rows, .d = d};
    lk_parallel(lk_pieces(rows, ROWS), softmax_backward_piece, &j);
}

// ---- nearest-neighbour upsampling: every source pixel gathers its copies

static void upsample_backward_piece(void *context, size_t piece) {
    const layout_job *j = context; // y: dx [N, H, W, C], x: dy [N, OH, OW, C]
    size_t n = piece / j->h, row = piece % j->h;
    memset(j->y + piece * j->w * j->c, 0, j->w * j->c * sizeof(float));
    for (size_t y = 0; y < j->oh; y++) {
        if (y * j->h / j->oh != row) continue;
        for (size_t x = 0; x < j->ow; x++) {
            float *to = j->y + (piece * j->w + x * j->w / j->ow) * j->c;
            const float *from = j->x + ((n * j->oh + y) * j->ow + x) * j->c;
            for (size_t c = 0; c < j->c; c++) to[c] += from[c];
        }
    }
}

void LK(upsample_backward)(float *dx, const float *dy, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow) {
    layout_job j = {.y = dx, .x = dy, .h = h, .w = w, .c = c, .oh = oh, .ow = ow};
    lk_parallel(n * h, upsample_backward_piece, &j);
}

// AdamW and the norm of gradients.

static void adamw_piece(void *context, size_t piece) {
    const lk_adamw_args *t = context;
    size_t first = piece * LK_GRAIN, last = lk_min(first + LK_GRAIN, t->count);
    float inverse1 = 1 / t->correction1, inverse2 = 1 / t->correction2;
    for (size_t i = first; i < last; i++) {
        float g = t->gradient[i] * t->clip;
        float m = t->beta1 * t->m[i] + (1 - t->beta1) * g, v = t->beta2 * t->v[i] + (1 - t->beta2) * g * g;
        t->m[i] = m;
        t->v[i] = v;
        float p = t->parameter[i] * (1 - t->rate * t->decay);
        t->parameter[i] = p - t->rate * (m * inverse1) / (__builtin_sqrtf(v * inverse2) + t->eps);
    }
}

void LK(adamw)(const lk_adamw_args *args) { lk_parallel(lk_pieces(args->count, LK_GRAIN), adamw_piece, (void *)args); }

typedef struct {
    const float *x;
    size_t count;
    double *partial;
} squares_job;

static void squares_piece(void *context, size_t piece) {
    const squares_job *j = context;
    double lanes[8] = {0};
    size_t first = piece * LK_GRAIN, last = lk_min(first + LK_GRAIN, j->count);
    for (size_t i = first; i < last; i++) lanes[i % 8] += (double)j->x[i] * j->x[i];
    double sum = 0;
    for (int i = 0; i < 8; i++) sum += lanes[i];
    j->partial[piece] = sum;
}

void LK(sum_of_squares)(double *sum, const float *x, size_t count) {
    size_t pieces = lk_pieces(count, LK_GRAIN);
    squares_job j = {x, count, malloc((pieces + 1) * sizeof(double))};
    if (!j.partial) abort();
    lk_parallel(pieces, squares_piece, &j);
    *sum = 0;
    for (size_t i = 0; i < pieces; i++) *sum += j.partial[i];
    free(j.partial);
}

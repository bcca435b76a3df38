// Backward of attention: with P = softmax(scale q k^T), computed again for 96 queries at a time,
//     dV = P^T dO,  dP = dO V^T,  dS = P (dP - rowsum(P dP)),  dQ = scale dS K,  dK = scale dS^T Q.
// One piece of work is one head, so dK and dV need no other thread's sums.

enum { MR = 6, NR = 16 }; // sides of a tile

/// c[6, 16] += a[depth, 6]^T b[depth, 16]
LK_INLINE void tile_transposed(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb,
                               size_t depth) {
    lk_v16 c0 = lk_load(c), c1 = lk_load(c + ldc), c2 = lk_load(c + 2 * ldc), c3 = lk_load(c + 3 * ldc),
           c4 = lk_load(c + 4 * ldc), c5 = lk_load(c + 5 * ldc);
    for (size_t k = 0; k < depth; k++) {
        lk_v16 row = lk_load(b + k * ldb);
        const float *ak = a + k * lda;
        c0 += ak[0] * row;
        c1 += ak[1] * row;
        c2 += ak[2] * row;
        c3 += ak[3] * row;
        c4 += ak[4] * row;
        c5 += ak[5] * row;
    }
    lk_store(c, c0);
    lk_store(c + ldc, c1);
    lk_store(c + 2 * ldc, c2);
    lk_store(c + 3 * ldc, c3);
    lk_store(c + 4 * ldc, c4);
    lk_store(c + 5 * ldc, c5);
}

/// c[rows, columns] += a^T b, a [depth, rows]; rows a multiple of 6, columns of 16.
static void multiply_tiles_transposed(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb,
                                      size_t rows, size_t columns, size_t depth) {
    for (size_t i = 0; i < rows; i += MR)
        for (size_t j = 0; j < columns; j += NR) tile_transposed(c + i * ldc + j, ldc, a + i, lda, b + j, ldb, depth);
}

/// to[i, :] = factor * from[i, :]; rows of `to` are filled up to dp with zeros.
static void scaled_rows(float *to, size_t dp, const float *from, size_t stride, size_t rows, size_t d, float factor) {
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < d; c += NR)
            lk_store(to + i * dp + c, lk_load_few(from + i * stride + c, lk_min(NR, d - c)) * factor);
}

/// A row of scores becomes its softmax, and the row of dP becomes dS; of `padded` keys the first `seen` count.
static void attention_backward_row(float *p, float *ds, size_t seen, size_t padded) {
    for (size_t j = seen; j < padded; j++) p[j] = -INFINITY;
    lk_v16 most = lk_load(p), total = lk_splat(0), product = lk_splat(0);
    for (size_t j = NR; j < padded; j += NR) most = lk_vmax(most, lk_load(p + j));
    float top = lk_hmax(most);
    for (size_t j = 0; j < padded; j += NR) {
        lk_v16 score = lk_load(p + j), e = lk_exp(score - top);
        e = lk_select(score == lk_splat(-INFINITY), lk_splat(0), e);
        total += e;
        product += e * lk_load(ds + j);
        lk_store(p + j, e);
    }
    float inverse = 1 / lk_hsum(total), mean = lk_hsum(product) * inverse;
    for (size_t j = 0; j < padded; j += NR) {
        lk_v16 e = lk_load(p + j) * inverse;
        lk_store(p + j, e);
        lk_store(ds + j, e * (lk_load(ds + j) - mean));
    }
}

static void attention_backward_piece(void *context, size_t piece) {
    const lk_attention_gradient_args *t = context;
    size_t d = t->head_dim, dp = lk_pieces(d, NR) * NR, stride = t->heads * d;
    size_t head = piece % t->heads, batch = piece / t->heads;
    // The transposed tiles read and write up to five keys more than there are panels.
    size_t padded = lk_pieces(t->keys, NR) * NR, tiled = lk_pieces(padded, MR) * MR, kp = padded + NR;
    const float *q = t->q + batch * t->queries * stride + head * d;
    const float *k = t->k + batch * t->keys * stride + head * d, *v = t->v + batch * t->keys * stride + head * d;
    const float *grad = t->d_o + batch * t->queries * stride + head * d;

    // kt and vt: a panel [d, 16] for each 16 keys; ks: a panel [keys, 16] for each 16 columns.
    size_t floats = 2 * d * padded + dp * padded + 2 * tiled * dp + 2 * QUERIES * kp + 3 * QUERIES * dp;
    float *scratch = lk_piece_scratch(floats);
    float *kt = scratch, *vt = kt + d * padded, *ks = vt + d * padded, *dk = ks + dp * padded, *dv = dk + tiled * dp,
          *p = dv + tiled * dp, *ds = p + QUERIES * kp, *qs = ds + QUERIES * kp, *os = qs + QUERIES * dp,
          *dq = os + QUERIES * dp;
    memset(dk, 0, (2 * tiled * dp + 2 * QUERIES * kp) * sizeof(float));
    for (size_t j = 0; j < t->keys; j += NR) {
        lk_pack_panel(kt + j * d, k + j * stride, LK_F32, stride, lk_min(NR, t->keys - j), d);
        lk_pack_panel(vt + j * d, v + j * stride, LK_F32, stride, lk_min(NR, t->keys - j), d);
    }
    for (size_t c = 0; c < d; c += NR)
        scaled_rows(ks + c * padded, NR, k + c, stride, t->keys, lk_min(NR, d - c), 1);

    for (size_t first = 0; first < t->queries; first += QUERIES) {
        size_t rows = lk_min(QUERIES, t->queries - first);
        scaled_rows(qs, dp, q + first * stride, stride, rows, d, t->scale);
        scaled_rows(os, dp, grad + first * stride, stride, rows, d, t->weight);
        lk_products(p, kp, qs, dp, kt, NR * d, padded / NR, rows, d, false, false);
        lk_products(ds, kp, os, dp, vt, NR * d, padded / NR, rows, d, false, false);
        for (size_t i = 0; i < rows; i++)
            attention_backward_row(
                p + i * kp, ds + i * kp, t->causal ? lk_min(t->keys, first + i + 1) : t->keys, padded);
        multiply_tiles_transposed(dv, dp, p, kp, os, dp, tiled, dp, rows);
        multiply_tiles_transposed(dk, dp, ds, kp, qs, dp, tiled, dp, rows);
        lk_products(dq, dp, ds, kp, ks, NR * padded, dp / NR, rows, t->keys, false, false);
        for (size_t i = 0; i < rows; i++) {
            float *to = t->dq + (batch * t->queries + first + i) * stride + head * d;
            for (size_t c = 0; c < d; c += NR) {
                size_t few = lk_min(NR, d - c);
                lk_v16 value = lk_load(dq + i * dp + c) * t->scale;
                lk_store_few(to + c, t->accumulate_q ? lk_load_few(to + c, few) + value : value, few);
            }
        }
    }
    for (size_t j = 0; j < t->keys; j++) {
        size_t at = (batch * t->keys + j) * stride + head * d;
        memcpy(t->dk + at, dk + j * dp, d * sizeof(float));
        memcpy(t->dv + at, dv + j * dp, d * sizeof(float));
    }
}

void LK(attention_backward)(const lk_attention_gradient_args *args) {
    lk_parallel(args->batch * args->heads, attention_backward_piece, (void *)args);
}

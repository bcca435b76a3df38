// Backward of attention: with P = softmax(scale q k^T), computed again for 96 queries at a time,
//     dV = P^T dO,  dP = dO V^T,  dS = P (dP - rowsum(P dP)),  dQ = scale dS K,  dK = scale dS^T Q.
// One piece of work is one head, so dK and dV need no other thread's sums.

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

/// c[rows, columns] += a b; rows a multiple of 6, columns of 16.
static void multiply_tiles(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t rows,
                           size_t columns, size_t depth) {
    for (size_t i = 0; i < rows; i += MR)
        for (size_t j = 0; j < columns; j += NR) tile(c + i * ldc + j, ldc, a + i * lda, lda, b + j, ldb, depth);
}

/// c[rows, columns] += a^T b, a [depth, rows].
static void multiply_tiles_transposed(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb,
                                      size_t rows, size_t columns, size_t depth) {
    for (size_t i = 0; i < rows; i += MR)
        for (size_t j = 0; j < columns; j += NR) tile_transposed(c + i * ldc + j, ldc, a + i, lda, b + j, ldb, depth);
}

static void attention_backward_piece(void *context, size_t piece) {
    const lk_attention_gradient_args *t = context;
    size_t d = t->head_dim, dp = (d + NR - 1) / NR * NR, stride = t->heads * d;
    size_t head = piece % t->heads, batch = piece / t->heads;
    size_t kp = (t->keys + 47) / 48 * 48; // a multiple of both tile sides
    const float *q = t->q + batch * t->queries * stride + head * d;
    const float *k = t->k + batch * t->keys * stride + head * d, *v = t->v + batch * t->keys * stride + head * d;
    const float *grad = t->d_o + batch * t->queries * stride + head * d;

    size_t floats = 2 * d * kp + 3 * kp * dp + 2 * QUERIES * kp + 3 * QUERIES * dp;
    float *scratch = lk_piece_scratch(floats);
    memset(scratch, 0, floats * sizeof(float));
    float *kt = scratch, *vt = kt + d * kp, *ks = vt + d * kp, *dk = ks + kp * dp, *dv = dk + kp * dp, *p = dv + kp * dp,
          *ds = p + QUERIES * kp, *qs = ds + QUERIES * kp, *os = qs + QUERIES * dp, *dq = os + QUERIES * dp;
    for (size_t j = 0; j < t->keys; j++)
        for (size_t c = 0; c < d; c++) {
            kt[c * kp + j] = k[j * stride + c];
            vt[c * kp + j] = v[j * stride + c];
            ks[j * dp + c] = k[j * stride + c];
        }

    for (size_t first = 0; first < t->queries; first += QUERIES) {
        size_t rows = lk_min(QUERIES, t->queries - first), padded = (rows + MR - 1) / MR * MR;
        memset(p, 0, 2 * QUERIES * kp * sizeof(float));
        memset(qs, 0, 3 * QUERIES * dp * sizeof(float));
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < d; c++) {
                qs[i * dp + c] = q[(first + i) * stride + c] * t->scale;
                os[i * dp + c] = grad[(first + i) * stride + c] * t->weight;
            }
        multiply_tiles(p, kp, qs, dp, kt, kp, padded, kp, d);
        multiply_tiles(ds, kp, os, dp, vt, kp, padded, kp, d);
        for (size_t i = 0; i < rows; i++) {
            float *pi = p + i * kp, *di = ds + i * kp;
            size_t seen = t->causal ? lk_min(t->keys, first + i + 1) : t->keys;
            float top = pi[0];
            for (size_t j = 1; j < seen; j++) top = pi[j] > top ? pi[j] : top;
            for (size_t j = seen; j < kp; j++) pi[j] = -INFINITY;
            lk_v16 total = lk_splat(0), product = lk_splat(0);
            for (size_t j = 0; j < kp; j += NR) {
                lk_v16 score = lk_load(pi + j), e = lk_exp(score - top);
                e = lk_select(score == lk_splat(-INFINITY), lk_splat(0), e);
                total += e;
                product += e * lk_load(di + j);
                lk_store(pi + j, e);
            }
            float inverse = 1 / lk_hsum(total), mean = lk_hsum(product) * inverse;
            for (size_t j = 0; j < kp; j += NR) {
                lk_v16 e = lk_load(pi + j) * inverse;
                lk_store(pi + j, e);
                lk_store(di + j, e * (lk_load(di + j) - mean));
            }
        }
        for (size_t i = rows; i < padded; i++) {
            memset(p + i * kp, 0, kp * sizeof(float));
            memset(ds + i * kp, 0, kp * sizeof(float));
        }
        multiply_tiles_transposed(dv, dp, p, kp, os, dp, kp, dp, rows);
        multiply_tiles_transposed(dk, dp, ds, kp, qs, dp, kp, dp, rows);
        multiply_tiles(dq, dp, ds, kp, ks, dp, padded, dp, t->keys);
        for (size_t i = 0; i < rows; i++) {
            float *to = t->dq + (batch * t->queries + first + i) * stride + head * d;
            for (size_t c = 0; c < d; c++) {
                float value = dq[i * dp + c] * t->scale;
                to[c] = t->accumulate_q ? to[c] + value : value;
            }
        }
    }
    for (size_t j = 0; j < t->keys; j++)
        for (size_t c = 0; c < d; c++) {
            size_t at = (batch * t->keys + j) * stride + head * d + c;
            t->dk[at] = dk[j * dp + c];
            t->dv[at] = dv[j * dp + c];
        }
}

void LK(attention_backward)(const lk_attention_gradient_args *args) {
    lk_parallel(args->batch * args->heads, attention_backward_piece, (void *)args);
}

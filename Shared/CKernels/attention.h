// Fused attention: o = softmax(scale * q k^T) v, tile by tile with a running maximum and sum (the online softmax of
// Milakov and Gimelshein 2018, as FlashAttention uses it), so that the Q x K scores never leave the cache.
//
// One piece of work is one head and 96 queries:
//     for each tile of 128 keys
//         s = q k^T                      [96, 128]  6x16 register tiles over the packed, transposed keys
//         m' = max(m, rowmax s)
//         p = exp(s - m');  l = l e^(m-m') + rowsum p;  o = o e^(m-m') + p v
//     o /= l

enum { QUERIES = 96, KEYS = 128, MR = 6, NR = 16 };

/// c[6, 16] += a[6, depth] * b[depth, 16]
LK_INLINE void tile(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t depth) {
    lk_v16 c0 = lk_load(c), c1 = lk_load(c + ldc), c2 = lk_load(c + 2 * ldc), c3 = lk_load(c + 3 * ldc),
           c4 = lk_load(c + 4 * ldc), c5 = lk_load(c + 5 * ldc);
    for (size_t k = 0; k < depth; k++) {
        lk_v16 row = lk_load(b + k * ldb);
        c0 += a[k] * row;
        c1 += a[lda + k] * row;
        c2 += a[2 * lda + k] * row;
        c3 += a[3 * lda + k] * row;
        c4 += a[4 * lda + k] * row;
        c5 += a[5 * lda + k] * row;
    }
    lk_store(c, c0);
    lk_store(c + ldc, c1);
    lk_store(c + 2 * ldc, c2);
    lk_store(c + 3 * ldc, c3);
    lk_store(c + 4 * ldc, c4);
    lk_store(c + 5 * ldc, c5);
}

typedef struct {
    const lk_attention_args *args;
    size_t blocks, padded; // query blocks of a head; head_dim rounded up to 16
} attention;

static void attention_piece(void *context, size_t piece) {
    const attention *job = context;
    const lk_attention_args *t = job->args;
    size_t d = t->head_dim, dp = job->padded;
    size_t block = piece % job->blocks, head = piece / job->blocks % t->heads, batch = piece / job->blocks / t->heads;
    size_t first = block * QUERIES, rows = lk_min(QUERIES, t->queries - first), padded_rows = (rows + MR - 1) / MR * MR;
    const float *q = t->q + (batch * t->queries + first) * t->q_stride + head * d;
    const float *k = t->k + batch * t->keys * t->k_stride + head * d;
    const float *v = t->v + batch * t->keys * t->v_stride + head * d;

    // Scratch of this piece: queries, transposed keys, values, scores, output, running maximum and sum.
    size_t floats = QUERIES * dp + d * KEYS + KEYS * dp + QUERIES * KEYS + QUERIES * dp + 2 * QUERIES;
    float *scratch = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
    if (!scratch) abort();
    float *qs = scratch, *kt = qs + QUERIES * dp, *vs = kt + d * KEYS, *s = vs + KEYS * dp, *o = s + QUERIES * KEYS,
          *top = o + QUERIES * dp, *sum = top + QUERIES;

    memset(qs, 0, QUERIES * dp * sizeof(float));
    memset(o, 0, QUERIES * dp * sizeof(float));
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < d; c++) qs[i * dp + c] = q[i * t->q_stride + c] * t->scale;
    for (size_t i = 0; i < QUERIES; i++) {
        top[i] = -INFINITY;
        sum[i] = 0;
    }

    size_t end = t->causal ? lk_min(t->keys, first + rows) : t->keys;
    for (size_t start = 0; start < end; start += KEYS) {
        size_t width = lk_min(KEYS, end - start), padded_width = (width + NR - 1) / NR * NR;
        // Pack this tile's keys transposed and its values padded to whole vectors.
        for (size_t j = 0; j < width; j++) {
            const float *kj = k + (start + j) * t->k_stride, *vj = v + (start + j) * t->v_stride;
            for (size_t c = 0; c < d; c++) kt[c * KEYS + j] = kj[c];
            memcpy(vs + j * dp, vj, d * sizeof(float));
            memset(vs + j * dp + d, 0, (dp - d) * sizeof(float));
        }
        for (size_t j = width; j < padded_width; j++)
            for (size_t c = 0; c < d; c++) kt[c * KEYS + j] = 0;

        for (size_t i = 0; i < padded_rows; i += MR)
            for (size_t j = 0; j < padded_width; j += NR) {
                for (size_t r = 0; r < MR; r++) lk_store(s + (i + r) * KEYS + j, lk_splat(0));
                tile(s + i * KEYS + j, KEYS, qs + i * dp, dp, kt + j, KEYS, d);
            }

        for (size_t i = 0; i < padded_rows; i++) {
            float *si = s + i * KEYS;
            size_t allowed = width;
            if (t->causal) { // query first+i sees keys 0 ... first+i
                size_t seen = first + i + 1;
                allowed = seen <= start ? 0 : lk_min(width, seen - start);
            }
            for (size_t j = allowed; j < padded_width; j++) si[j] = -INFINITY;
            if (allowed == 0) {
                memset(si, 0, padded_width * sizeof(float));
                continue;
            }
            lk_v16 m16 = lk_load(si);
            for (size_t j = NR; j < padded_width; j += NR) m16 = lk_vmax(m16, lk_load(si + j));
            float m = lk_hmax(m16);
            m = m > top[i] ? m : top[i];
            float keep = top[i] == -INFINITY ? 0 : expf(top[i] - m);
            lk_v16 total = lk_splat(0);
            for (size_t j = 0; j < padded_width; j += NR) {
                lk_v16 score = lk_load(si + j), p = lk_exp(score - m);
                p = lk_select(score == lk_splat(-INFINITY), lk_splat(0), p);
                total += p;
                lk_store(si + j, p);
            }
            sum[i] = sum[i] * keep + lk_hsum(total);
            top[i] = m;
            if (keep != 1)
                for (size_t c = 0; c < dp; c += NR) lk_store(o + i * dp + c, lk_load(o + i * dp + c) * keep);
        }

        for (size_t i = 0; i < padded_rows; i += MR)
            for (size_t c = 0; c < dp; c += NR) tile(o + i * dp + c, dp, s + i * KEYS, KEYS, vs + c, dp, width);
    }

    float *out = t->o + (batch * t->queries + first) * t->o_stride + head * d;
    for (size_t i = 0; i < rows; i++) {
        float factor = t->weight / sum[i];
        for (size_t c = 0; c < d; c++) {
            float value = o[i * dp + c] * factor;
            out[i * t->o_stride + c] = t->accumulate ? out[i * t->o_stride + c] + value : value;
        }
    }
    free(scratch);
}

void LK(attention)(const lk_attention_args *args) {
    attention job = {args, lk_pieces(args->queries, QUERIES), (args->head_dim + NR - 1) / NR * NR};
    lk_parallel(args->batch * args->heads * job.blocks, attention_piece, &job);
}

// Fused attention: o = softmax(scale * q k^T) v, tile by tile with a running maximum and sum (the online softmax of
// Milakov and Gimelshein 2018, as FlashAttention uses it), so that the Q x K scores never leave the cache.
//
// Keys and values are packed once for each head. Then a piece of work is one head and 96 queries:
//     for each tile of 128 keys
//         s = q k^T                      [96, 128]
//         m' = m if max of the row of s <= m + 8, else that
//         p = 2^(s - m');  l = l 2^(m-m') + p;  o = o 2^(m-m') + p v
//     o /= sum of l
// with s times the scale and log2(e). m need not be the maximum itself: any number near it keeps p within a float's
// range, and one that stays spares o the correction. l holds 16 sums, side by side.
//
// With bfloat16 ("words": two numbers in a float's place, see bfloat.h) q, k, v and p are rounded before they are
// multiplied, unless they come so; scores, sums and the o that is worked on stay floats. Tiles multiply them in an order of
// their own (attention_tiles.h).

enum { QUERIES = 96, KEYS = 128 };

typedef struct {
    const lk_attention_args *args;
    size_t blocks, keys, padded; // query blocks of a head; keys rounded up to 16; head_dim rounded up to 8
    float *kt, *v; // [B, H, keys/16, d, 16]; [B, H, keys * padded]: panels of 16 columns, the last perhaps of 8
    size_t unit;   // numbers in a float's place: 2 of words, along d in q and kt, along the keys in p and v
} attention;

/// 2^r on -1/2 ... 1/2: the polynomial of its degree with the least largest relative error, 9e-8.
LK_INLINE lk_v16 exp2_polynomial(lk_v16 r) {
    lk_v16 p = lk_splat(1.32647273e-3f);
    p = p * r + 9.67151299e-3f;
    p = p * r + 5.55073358e-2f;
    p = p * r + 0.240222424f;
    p = p * r + 0.693147004f;
    return p * r + 1.0f;
}

/// 2^x for x <= 9, to about 2 units in the last place; below -126 the answer is that of -126.
LK_INLINE lk_v16 exp2_small(lk_v16 x) {
    x = lk_vmax(x, lk_splat(-126.0f));
    lk_v16 shifted = x + 12582912.0f, r = x - (shifted - 12582912.0f); // 1.5 * 2^23 rounds to the nearest integer
    return (lk_v16)((lk_i16)exp2_polynomial(r) + ((lk_i16)shifted << 23)); // it is in the last bits of `shifted`
}

/// Whether one of the numbers is greater.
LK_INLINE bool any_greater(lk_v16 numbers, float than) {
#ifdef LK_AVX512
    return _mm512_cmp_ps_mask((__m512)numbers, _mm512_set1_ps(than), _CMP_GT_OQ) != 0;
#else
    return lk_hmax(numbers) > than;
#endif
}

/// The `few` numbers of an array from the at-th on, widened.
LK_INLINE lk_v16 attention_load(const void *from, lk_format format, size_t at, size_t few) {
    if (format == LK_F32) return lk_load_few((const float *)from + at, few);
    uint16_t numbers[16] = {0};
    memcpy(numbers, lk_at(from, at, format), few * sizeof(uint16_t));
    lk_v16 wide;
    for (int half = 0; half < 2; half++) ((lk_v8 *)&wide)[half] = load8(numbers, 8 * half, format);
    return wide;
}

/// One row of a panel of values, or two, word by word; `at`: of the first value's number.
LK_INLINE void attention_value_row(
    float *to, const lk_attention_args *t, size_t at, size_t j, size_t width, size_t few, const bool words) {
    lk_v16 row = lk_splat(0), next = row;
    if (j < t->keys) row = attention_load(t->v, t->v_format, at + j * t->v_stride, few);
#ifdef LK_BFLOAT
    if (words) {
        if (j + 1 < t->keys) next = attention_load(t->v, t->v_format, at + (j + 1) * t->v_stride, few);
        row = lk_paired(row, next);
    }
#endif
    memcpy(to, &row, width * sizeof(float));
}

LK_INLINE void attention_pack(const attention *job, size_t piece, const bool words) {
    const lk_attention_args *t = job->args;
    size_t d = t->head_dim, head = piece % t->heads, batch = piece / t->heads;
    size_t k = batch * t->keys * t->k_stride + head * d, v = batch * t->keys * t->v_stride + head * d;
    float *kt = job->kt + piece * job->keys * (d / job->unit);
    float *vs = job->v + piece * (job->keys / job->unit) * job->padded;
    for (size_t j = 0; j < t->keys; j += 16) {
        size_t few = lk_min(16, t->keys - j);
        const void *from = lk_at(t->k, k + j * t->k_stride, t->k_format);
#ifdef LK_BFLOAT
        if (words) {
            lk_pack_words(kt + j * d / 2, from, t->k_format, t->k_stride, few, d / 2);
            continue;
        }
#endif
        lk_pack_panel(kt + j * d, from, t->k_format, t->k_stride, few, d);
    }
    for (size_t c = 0; c < job->padded; c += 16) {
        size_t width = lk_min(16, job->padded - c), few = lk_min(width, d - c);
        for (size_t j = 0; j < job->keys; j += job->unit)
            attention_value_row(vs + (c * job->keys + j * width) / job->unit, t, v + c, j, width, few, words);
    }
}

/// A row of scores becomes 2^(scale s - m), without the keys from `allowed` on; o and the sums follow where m changes.
/// Words are written over the scores, two in place of one.
LK_INLINE void attention_row(
    float *s, float scale, float *o, size_t dp, float *top, float *sums, size_t allowed, size_t padded,
    const bool words) {
    for (size_t j = allowed; j < padded; j++) s[j] = -INFINITY;
    lk_v16 most = lk_load(s);
    for (size_t j = 16; j < padded; j += 16) most = lk_vmax(most, lk_load(s + j));
    lk_v16 total = lk_load(sums);
    if (any_greater(most * scale, *top + 8)) {
        float highest = lk_hmax(most) * scale, keep = exp2f(*top - highest); // 0 the first time
        *top = highest;
        total *= keep;
        for (size_t c = 0; c < dp; c++) o[c] *= keep;
    }
#ifdef LK_BFLOAT
    for (size_t j = 0; words && j < padded; j += 32) {
        lk_v16 p = lk_exp2_rough(lk_load(s + j) * scale - *top), next = lk_splat(0);
        if (j + 16 < padded) next = lk_exp2_rough(lk_load(s + j + 16) * scale - *top);
        total += p + next;
        lk_store(s + j / 2, lk_round_two(p, next));
    }
#endif
    for (size_t j = 0; !words && j < padded; j += 16) {
        lk_v16 p = exp2_small(lk_load(s + j) * scale - *top);
        if (j + 16 > allowed) {
            lk_store(s + j, p);
            for (size_t r = allowed > j ? allowed - j : 0; r < 16; r++) s[j + r] = 0;
            p = lk_load(s + j);
        }
        total += p;
        lk_store(s + j, p);
    }
    lk_store(sums, total);
}

/// A query's result, from the at-th number of o on: what was summed over the sum of the weights.
LK_INLINE void attention_write(const lk_attention_args *t, const float *o, float sum, size_t at) {
    float factor = t->weight / sum;
    for (size_t c = 0; c < t->head_dim; c += 16) {
        size_t few = lk_min(16, t->head_dim - c);
        lk_v16 value = lk_load_few(o + c, few) * factor;
        if (t->accumulate) value += lk_load_few((const float *)t->o + at + c, few);
        lk_put_few(t->o, t->o_format, at + c, value, few);
    }
}

LK_INLINE void attention_queries(const attention *job, size_t piece, const bool words) {
    const lk_attention_args *t = job->args;
    size_t d = t->head_dim, dp = job->padded;
    size_t block = piece % job->blocks, head = piece / job->blocks % t->heads, batch = piece / job->blocks / t->heads;
    size_t first = block * QUERIES, rows = lk_min(QUERIES, t->queries - first);
    size_t q = (batch * t->queries + first) * t->q_stride + head * d;
    size_t unit = words ? 2 : 1, step = d / unit;
    const float *kt = job->kt + (batch * t->heads + head) * job->keys * step;
    const float *v = job->v + (batch * t->heads + head) * (job->keys / unit) * dp;

    // Scratch of this piece: queries, scores, output, running maximum and sums.
    float *qs = lk_piece_scratch(QUERIES * (d + KEYS + dp + 17));
    float *s = qs + QUERIES * d, *o = s + QUERIES * KEYS, *sums = o + QUERIES * dp, *top = sums + QUERIES * 16;
    float scale = t->scale * 1.44269504f;
    for (size_t i = 0; i < rows; i++) {
        const void *from = lk_at(t->q, q + i * t->q_stride, t->q_format);
        top[i] = -INFINITY;
#ifdef LK_BFLOAT
        if (words && t->q_format == LK_F32) {
            lk_round_row(qs + i * step, from, d);
            continue;
        }
#endif
        memcpy(qs + i * step, from, step * sizeof(float));
    }
    memset(o, 0, rows * dp * sizeof(float));
    memset(sums, 0, rows * 16 * sizeof(float));

    size_t end = t->causal ? lk_min(t->keys, first + rows) : t->keys;
    for (size_t start = 0; start < end; start += KEYS) {
        size_t width = lk_min(KEYS, end - start), padded = (width + 15) / 16 * 16;
        lk_products(s, KEYS, qs, step, kt + start * step, step * 16, padded / 16, rows, step, false, words);
        for (size_t i = 0; i < rows; i++) {
            size_t allowed = width;
            if (t->causal) { // query first+i sees keys 0 ... first+i
                size_t seen = first + i + 1;
                allowed = seen <= start ? 0 : lk_min(width, seen - start);
            }
            if (allowed == 0) {
                memset(s + i * KEYS, 0, padded * sizeof(float));
            } else {
                attention_row(s + i * KEYS, scale, o + i * dp, dp, top + i, sums + i * 16, allowed, padded, words);
            }
        }
        lk_products(
            o, dp, s, KEYS, v + start * 16 / unit, job->keys * 16 / unit, dp / 16, rows, padded / unit, true, words);
        if (dp % 16) {
            size_t c = dp - 8;
            const float *half = v + (c * job->keys + start * 8) / unit;
#ifdef LK_VECTORS_OF_WORDS
            if (words) {
                lk_half_panel_words(o + c, dp, s, KEYS, half, rows, padded / 2);
                continue;
            }
#endif
            lk_half_panel_product(o + c, dp, s, KEYS, half, rows, padded);
        }
    }

    size_t out = (batch * t->queries + first) * t->o_stride + head * d;
    for (size_t i = 0; i < rows; i++) attention_write(t, o + i * dp, lk_hsum(lk_load(sums + i * 16)), out + i * t->o_stride);
}

static void attention_pack_piece(void *context, size_t piece) { attention_pack(context, piece, false); }
static void attention_piece(void *context, size_t piece) { attention_queries(context, piece, false); }

#ifdef LK_VECTORS_OF_WORDS
static void attention_pack_piece_of_words(void *context, size_t piece) { attention_pack(context, piece, true); }
static void attention_piece_of_words(void *context, size_t piece) { attention_queries(context, piece, true); }
#endif

static attention attention_job(const lk_attention_args *args) {
    attention job = {
        .args = args, .blocks = lk_pieces(args->queries, QUERIES), .keys = lk_pieces(args->keys, 16) * 16,
        .padded = lk_pieces(args->head_dim, 8) * 8, .kt = args->scratch, .unit = 1};
#ifdef LK_VECTORS_OF_WORDS
    if (args->bf16 && args->head_dim % 2 == 0) job.unit = 2;
#endif
    return job;
}

#include "attention_tiles.h"

void LK(attention_scratch)(size_t *floats, const lk_attention_args *args) {
#ifdef LK_TILES
    if (attention_has_tiles(args)) {
        *floats = tile_attention_scratch(args);
        return;
    }
#endif
    attention job = attention_job(args);
    *floats = args->batch * args->heads * job.keys * (args->head_dim + job.padded) / job.unit;
}

void LK(attention)(const lk_attention_args *args) {
#ifdef LK_TILES
    if (attention_has_tiles(args)) return attention_by_tiles(args);
#endif
    attention job = attention_job(args);
    size_t heads = args->batch * args->heads;
    job.v = job.kt + heads * job.keys * args->head_dim / job.unit;
#ifdef LK_VECTORS_OF_WORDS
    if (job.unit == 2) {
        lk_parallel(heads, attention_pack_piece_of_words, &job);
        return lk_parallel(heads * job.blocks, attention_piece_of_words, &job);
    }
#endif
    lk_parallel(heads, attention_pack_piece, &job);
    lk_parallel(heads * job.blocks, attention_piece, &job);
}

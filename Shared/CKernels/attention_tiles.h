// Attention of words by tiles (tiles.h). A piece of work is one head and 256 queries:
//
//     for each 32 queries
//         m = what keeps the weights in range
//         for each group of 256 keys
//             for each 32 keys:  s = q k^T, [32, 32], while p = 2^(scores before - m), rounded to words
//             o (+)= p v
//         o /= sum of weights
//
// with scores times the scale and log2(e). As a float's range is 2^±126, m is 0 where Cauchy and Schwarz' inequality shows
// all scores to be small enough; only where it does not, the greatest score of each query is found first.
//
// The sum of weights is that of their products with ones, which stand beside the values.
#ifdef LK_TILES

enum { STRIP_QUERIES = 32, STEP_KEYS = 32, GROUP_KEYS = 256, PIECE_QUERIES = 256 };
enum { STEP_SCORES = STRIP_QUERIES * STEP_KEYS, STEP_WEIGHTS = STEP_SCORES / 2 };
/// Scores whose weights are in range without an m: 2^100, and 2^27 for the sum of many and for values.
enum { SMALL_SCORES = 100 };

typedef struct {
    const lk_attention_args *args;
    size_t blocks;      // of queries of a head
    size_t keys, words; // keys rounded up to 32; words of a query, rounded up to 16
    size_t padded;      // head_dim and one number more, rounded up to 16
    float *kt, *v;      // [B, H, keys/16, words, 16]; [B, H, padded/16, keys/2, 16]
    float *longest;     // [B, H]: the greatest sum of squares of a key
} tile_attention;

/// 2^(x / 128 - 127) of 32 numbers, rounded to bfloat16, to 0.26 % (exact rounding: 0.17 %); 0 where x is not above 0, and
/// of NaN. Taken as bits, x rounded is the line that touches 2^x at whole exponents; what lacks between them is looked up,
/// by 5 bits of the mantissa. While tiles multiply, vectors have one port for products, and this needs few.
/// Words come in the order of `attention_key`.
LK_INLINE lk_v16 attention_exp2(lk_v16 x, lk_v16 next) {
    // The mean of 128 (2^(m / 128) - 1) - m over four m.
    static const int16_t lacking[32] = {0,   -2,  -3,  -4,  -5,  -6,  -7,  -7,  -8,  -9,  -9,  -10, -10, -10, -11, -11,
                                        -11, -11, -11, -11, -10, -10, -10, -9,  -8,  -8,  -7,  -6,  -5,  -4,  -2,  -1};
    __m512i bits = _mm512_packus_epi32(_mm512_cvtps_epi32((__m512)x), _mm512_cvtps_epi32((__m512)next));
    __m512i table = _mm512_loadu_si512(lacking), lack = _mm512_permutexvar_epi16(_mm512_srli_epi16(bits, 2), table);
    return (lk_v16)_mm512_add_epi16(bits, lack);
}

/// The key whose weight is the first of the number `word` of 16 words; the next key's is the second.
LK_INLINE size_t attention_key(size_t word) { return word / 4 * 4 + word % 4 / 2 * 16 + word % 2 * 2; }

/// Scores [32, 32] that become weights [32, 16] row by row: 2^((factor * s + offset of the row) / 128 - 127).
typedef struct {
    const float *s, *offsets;
    float *p, factor;
    size_t next, each; // rows: the next one; how many at once
} attention_weights;

LK_INLINE void attention_weigh(void *context) {
    attention_weights *w = context;
    size_t end = lk_min(w->next + w->each, STRIP_QUERIES);
    float factor = w->factor;
    for (size_t row = w->next; row < end; row++) {
        const float *s = w->s + row * STEP_KEYS;
        lk_v16 x = lk_load(s) * factor + w->offsets[row], next = lk_load(s + 16) * factor + w->offsets[row];
        lk_store(w->p + row * 16, attention_exp2(x, next));
    }
    w->next = end;
}

/// Keys that are not there and, with a causal mask, those after a query are not to be seen.
LK_INLINE void attention_hide(const lk_attention_args *t, float *s, size_t first, size_t start) {
    if (start + STEP_KEYS <= t->keys && !(t->causal && start + STEP_KEYS > first + 1)) return;
    for (size_t row = 0; row < STRIP_QUERIES; row++, s += STEP_KEYS) {
        size_t end = t->causal ? lk_min(t->keys, first + row + 1) : t->keys;
        uint32_t seen = end <= start ? 0 : end - start >= STEP_KEYS ? ~0u : (1u << (end - start)) - 1;
        _mm512_mask_storeu_ps(s, (uint16_t)~seen, _mm512_set1_ps(-INFINITY));
        _mm512_mask_storeu_ps(s + 16, (uint16_t)(~seen >> 16), _mm512_set1_ps(-INFINITY));
    }
}

static void attention_tiles_pack(void *context, size_t piece) {
    const tile_attention *job = context;
    const lk_attention_args *t = job->args;
    const uint32_t two_ones = 0x3f803f80;
    size_t d = t->head_dim, head = piece % t->heads, batch = piece / t->heads;
    size_t k = batch * t->keys * t->k_stride + head * d, v = batch * t->keys * t->v_stride + head * d;
    float *kt = job->kt + piece * job->keys * job->words, *vs = job->v + piece * job->keys / 2 * job->padded;
    lk_v16 longest = lk_splat(0);
    for (size_t j = 0; j < job->keys; j += 16, kt += job->words * 16) {
        size_t few = j < t->keys ? lk_min(16, t->keys - j) : 0;
        lk_pack_words(kt, lk_at(t->k, k + j * t->k_stride, t->k_format), t->k_format, t->k_stride, few, d / 2);
        memset(kt + d / 2 * 16, 0, (job->words - d / 2) * 16 * sizeof(float));
        __m512 squares = _mm512_setzero_ps();
        for (size_t i = 0; i < d / 2; i++) {
            __m512bh words = (__m512bh)lk_load(kt + i * 16);
            squares = _mm512_dpbf16_ps(squares, words, words);
        }
        longest = lk_vmax(longest, (lk_v16)squares);
    }
    job->longest[piece] = lk_hmax(longest);
    for (size_t c = 0; c < job->padded; c += 16)
        for (size_t j = 0; j < job->keys; j += 2, vs += 16) {
            size_t key = j / 32 * 32 + attention_key(j % 32 / 2);
            attention_value_row(vs, t, v + c, key, 16, c < d ? lk_min(16, d - c) : 0, true);
            if (c <= d && d < c + 16) memcpy(vs + d - c, &two_ones, sizeof two_ones);
        }
}

/// Queries to words; returns the greatest sum of squares of one.
LK_INLINE float attention_load_queries(const tile_attention *job, float *to, size_t lda, size_t from, size_t rows) {
    const lk_attention_args *t = job->args;
    size_t d = t->head_dim;
    float longest = 0;
    for (size_t i = 0; i < STRIP_QUERIES; i++, to += lda) {
        const void *query = lk_at(t->q, from + lk_min(i, rows - 1) * t->q_stride, t->q_format);
        __m512 squares = _mm512_setzero_ps();
        for (size_t k = 0; k < job->words; k += 16) {
            size_t few = lk_min(32, d > 2 * k ? d - 2 * k : 0);
            lk_v16 words;
            if (t->q_format == LK_F32) {
                const float *numbers = (const float *)query + 2 * k;
                size_t half = lk_min(16, few);
                words = lk_round_two(lk_load_few(numbers, half), lk_load_few(numbers + half, few - half));
            } else {
                words = (lk_v16)_mm512_maskz_loadu_ps((uint16_t)((1u << few / 2) - 1), (const float *)query + k);
            }
            lk_store(to + k, words);
            squares = _mm512_dpbf16_ps(squares, (__m512bh)words, (__m512bh)words);
        }
        longest = fmaxf(longest, _mm512_reduce_add_ps(squares));
    }
    return longest;
}

/// What is added to the scores of each query times `factor`, so that its greatest one becomes `most`.
static void attention_find_greatest(
    const tile_attention *job, float *offsets, float *s, const float *q, size_t lda, const float *kt, size_t first,
    size_t end, float factor, float most) {
    lk_v16 greatest[STRIP_QUERIES];
    for (size_t i = 0; i < STRIP_QUERIES; i++) greatest[i] = lk_splat(-INFINITY);
    for (size_t start = 0; start < end; start += STEP_KEYS) {
        lk_tile_product(
            s, STEP_KEYS, q, lda, kt + start * job->words, job->words * 16, lk_depth(job->words), false, 2, 2, NULL, NULL);
        attention_hide(job->args, s, first, start);
        for (size_t i = 0; i < STRIP_QUERIES; i++) {
            const float *row = s + i * STEP_KEYS;
            greatest[i] = lk_vmax(greatest[i], lk_vmax(lk_load(row) * factor, lk_load(row + 16) * factor));
        }
    }
    for (size_t i = 0; i < STRIP_QUERIES; i++) offsets[i] = most - lk_hmax(greatest[i]);
}

static void attention_tiles_piece(void *context, size_t piece) {
    const tile_attention *job = context;
    const lk_attention_args *t = job->args;
    size_t d = t->head_dim, padded = job->padded, words = job->words, lda = words + 16;
    size_t block = piece % job->blocks, number = piece / job->blocks, head = number % t->heads, batch = number / t->heads;
    size_t queries = lk_min((block + 1) * PIECE_QUERIES, t->queries);
    const float *kt = job->kt + number * job->keys * words, *v = job->v + number * job->keys / 2 * padded;
    float scale = t->scale * 1.44269504f;

    // Scratch: queries, o, two steps' scores, a group's weights, what is added to scores.
    float *q = lk_piece_scratch(
        STRIP_QUERIES * (lda + padded + 1) + 2 * STEP_SCORES + GROUP_KEYS / STEP_KEYS * STEP_WEIGHTS);
    float *o = q + STRIP_QUERIES * lda, *scores = o + STRIP_QUERIES * padded, *p = scores + 2 * STEP_SCORES;
    float *offsets = p + GROUP_KEYS / STEP_KEYS * STEP_WEIGHTS;
    size_t jumps[GROUP_KEYS / STEP_KEYS];
    for (size_t i = 0; i < GROUP_KEYS / STEP_KEYS; i++) jumps[i] = i * STEP_WEIGHTS;

    lk_shape_tiles(16, 16, 16);
    for (size_t first = block * PIECE_QUERIES; first < queries; first += STRIP_QUERIES) {
        size_t rows = lk_min(STRIP_QUERIES, queries - first), from = batch * t->queries + first;
        size_t end = t->causal ? lk_min(t->keys, first + STRIP_QUERIES) : t->keys;
        float longest = attention_load_queries(job, q, lda, from * t->q_stride + head * d, rows);
        for (size_t i = 0; i < STRIP_QUERIES; i++) offsets[i] = 127 * 128;
        if (!(sqrtf(longest * job->longest[number]) * fabsf(scale) <= SMALL_SCORES))
            attention_find_greatest(job, offsets, scores, q, lda, kt, first, end, scale * 128, 127 * 128);
        attention_weights weights = {.offsets = offsets, .factor = scale * 128, .next = STRIP_QUERIES};
        for (size_t group = 0; group < end; group += GROUP_KEYS) {
            size_t steps = lk_pieces(lk_min(GROUP_KEYS, end - group), STEP_KEYS);
            weights.each = lk_pieces(STRIP_QUERIES, words / 16);
            for (size_t i = 0; i < steps; i++) {
                size_t start = group + i * STEP_KEYS;
                float *s = scores + i % 2 * STEP_SCORES;
                lk_tile_product(
                    s, STEP_KEYS, q, lda, kt + start * words, words * 16, lk_depth(words), false, 2, 2,
                    attention_weigh, &weights);
                attention_hide(t, s, first, start);
                weights.s = s, weights.p = p + i * STEP_WEIGHTS, weights.next = 0;
            }
            weights.each = STRIP_QUERIES; // the last ones
            attention_weigh(&weights);
            const float *values = v + group * 8;
            lk_tile_depth depth = {jumps, steps, 1, 16};
            for (size_t c = 0; c < padded; c += 32, values += 32 * job->keys / 2) {
                if (c + 16 < padded)
                    lk_tile_product(o + c, padded, p, 16, values, job->keys * 8, depth, group > 0, 2, 2, NULL, NULL);
                else
                    lk_tile_product(o + c, padded, p, 16, values, job->keys * 8, depth, group > 0, 2, 1, NULL, NULL);
            }
        }
        for (size_t i = 0; i < rows; i++)
            attention_write(t, o + i * padded, o[i * padded + d], (from + i) * t->o_stride + head * d);
    }
    _tile_release();
}

/// Most numbers of a head whose parts attention_parts.h has room for.
enum { PARTS_DEPTH = 512 };
#include "attention_parts.h"

static bool attention_has_tiles(const lk_attention_args *args) {
    return args->head_dim % 2 == 0 && (args->bf16 || args->head_dim <= PARTS_DEPTH);
}

static tile_attention tile_attention_job(const lk_attention_args *args) {
    const size_t heads = args->batch * args->heads, products = args->bf16 ? 1 : LK_PART_PRODUCTS, parts = args->bf16 ? 1 : LK_PARTS;
    tile_attention job = {
        .args = args, .blocks = lk_pieces(args->queries, PIECE_QUERIES), .keys = lk_pieces(args->keys, 32) * 32,
        .words = lk_pieces(products * args->head_dim / 2, 16) * 16, .padded = lk_pieces(args->head_dim + 1, 16) * 16};
    job.kt = args->scratch;
    job.v = job.kt + heads * job.keys * job.words;
    job.longest = job.v + heads * parts * job.keys / 2 * job.padded;
    return job;
}

static size_t tile_attention_scratch(const lk_attention_args *args) {
    tile_attention job = tile_attention_job(args);
    return (size_t)(job.longest - job.kt) + args->batch * args->heads;
}

static void attention_by_tiles(const lk_attention_args *args) {
    tile_attention job = tile_attention_job(args);
    size_t heads = args->batch * args->heads;
    lk_parallel(heads, args->bf16 ? attention_tiles_pack : attention_parts_pack, &job);
    lk_parallel(heads * job.blocks, args->bf16 ? attention_tiles_piece : attention_parts_piece, &job);
}
#endif

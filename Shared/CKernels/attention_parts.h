// Attention of floats by tiles, as sums of products of their parts (tiles.h). A piece of work is one head and 256 queries:
//
//     for each group of 128 keys, for each 32 queries
//         for each 32 keys:  s = q k^T, [32, 32], while p = 2^(scores before - m), as parts
//         o (+)= p v
//     o /= sum of weights
//
// with an m as for words (attention_tiles.h). The depth of q k^T is all products of parts, one after the other.

enum { PARTS_KEYS = 128 };

static void attention_parts_pack(void *context, size_t piece) {
    const tile_attention *job = context;
    const lk_attention_args *t = job->args;
    const size_t d = t->head_dim, half = d / 2, head = piece % t->heads, batch = piece / t->heads;
    size_t k = batch * t->keys * t->k_stride + head * d, v = batch * t->keys * t->v_stride + head * d;
    float *kt = job->kt + piece * job->keys * job->words, *vs = job->v + piece * LK_PARTS * job->keys / 2 * job->padded;
    lk_v16 longest = lk_splat(0);
    float numbers[PARTS_DEPTH * 16], words[LK_PARTS * 16];
    for (size_t j = 0; j < job->keys; j += 16, kt += job->words * 16) {
        size_t few = j < t->keys ? lk_min(16, t->keys - j) : 0;
        lk_pack_panel(numbers, lk_at(t->k, k + j * t->k_stride, t->k_format), t->k_format, t->k_stride, few, d);
        lk_v16 squares = lk_splat(0);
        for (size_t i = 0; i < half; i++) {
            lk_v16 x = lk_load(numbers + 2 * i * 16), next = lk_load(numbers + (2 * i + 1) * 16);
            squares += x * x + next * next;
            lk_round_parts(words, 16, x, next, LK_PARTS);
            for (size_t r = 0; r < LK_PART_PRODUCTS; r++)
                lk_store(kt + (r * half + i) * 16, lk_load(words + lk_part_products[r][1] * 16));
        }
        memset(kt + LK_PART_PRODUCTS * half * 16, 0, (job->words - LK_PART_PRODUCTS * half) * 16 * sizeof(float));
        longest = lk_vmax(longest, squares);
    }
    job->longest[piece] = lk_hmax(longest);
    for (size_t c = 0; c < job->padded; c += 16) // [padded/16][parts][keys/2][16]
        for (size_t word = 0; word < job->keys / 2; word++) {
            size_t few = c < d ? lk_min(16, d - c) : 0, j = word / 16 * 32 + word % 16; // two keys as lk_cut_parts has them
            lk_v16 x = lk_splat(0), next = x;
            if (j < t->keys) x = attention_load(t->v, t->v_format, v + c + j * t->v_stride, few);
            if (j + 16 < t->keys) next = attention_load(t->v, t->v_format, v + c + (j + 16) * t->v_stride, few);
            if (c <= d && d < c + 16) x[d - c] = next[d - c] = 1;
            lk_round_parts(vs + (c / 16 * LK_PARTS * job->keys / 2 + word) * 16, job->keys / 2 * 16, x, next, LK_PARTS);
        }
}

/// A query's parts in the order of the products; returns its sum of squares.
LK_INLINE float attention_load_parts(const tile_attention *job, float *to, size_t from) {
    const lk_attention_args *t = job->args;
    const size_t half = t->head_dim / 2;
    float parts[LK_PARTS][PARTS_DEPTH / 2];
    lk_v16 squares = lk_splat(0);
    for (size_t i = 0; i < half; i += 16) {
        size_t few = lk_min(32, t->head_dim - 2 * i), first = lk_min(16, few);
        lk_v16 x = attention_load(t->q, t->q_format, from + 2 * i, first);
        lk_v16 next = few > 16 ? attention_load(t->q, t->q_format, from + 2 * i + 16, few - 16) : lk_splat(0);
        squares += x * x + next * next;
        for (size_t part = 0; part < LK_PARTS; part++) {
            lk_v16 both = lk_round_two(x, next);
            lk_store(parts[part] + i, both);
            x -= lk_get(&both, LK_BF16, 0), next -= lk_get(&both, LK_BF16, 16);
        }
    }
    memset(to + LK_PART_PRODUCTS * half, 0, (job->words - LK_PART_PRODUCTS * half) * sizeof(float));
    for (size_t r = 0; r < LK_PART_PRODUCTS; r++) memcpy(to + r * half, parts[lk_part_products[r][0]], half * sizeof(float));
    return lk_hsum(squares);
}

/// 2^x to 9e-8 (exp2_small's polynomial); 0 for minus infinity.
LK_INLINE lk_v16 exp2_any(lk_v16 x) {
    lk_v16 r = (lk_v16)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); // x - round(x)
    return (lk_v16)_mm512_scalef_ps((__m512)exp2_polynomial(r), (__m512)(x - r));
}

/// As attention_weigh, exactly: scores [32, 32] become weights [parts][32, 16].
LK_INLINE void attention_weigh_parts(void *context) {
    attention_weights *w = context;
    size_t end = lk_min(w->next + w->each, STRIP_QUERIES);
    for (size_t row = w->next; row < end; row++) {
        const float *s = w->s + row * STEP_KEYS;
        lk_v16 x = exp2_any(lk_load(s) * w->factor + w->offsets[row]);
        lk_v16 next = exp2_any(lk_load(s + 16) * w->factor + w->offsets[row]);
        lk_cut_parts(w->p + row * 16, STEP_WEIGHTS, x, next);
    }
    w->next = end;
}

/// o [32, padded] (+)= p v, of a group of weights.
static void attention_parts_values(
    const tile_attention *job, float *o, const float *p, const float *v, size_t steps, bool add) {
    lk_tile_segment segments[LK_PART_PRODUCTS * PARTS_KEYS / STEP_KEYS];
    const size_t part = job->keys / 2 * 16, panel = LK_PARTS * part;
    size_t count = 0;
    for (size_t i = 0; i < steps; i++)
        for (size_t r = 0; r < LK_PART_PRODUCTS; r++)
            segments[count++] = (lk_tile_segment){
                (uint32_t)((i * LK_PARTS + lk_part_products[r][0]) * STEP_WEIGHTS),
                (uint32_t)(lk_part_products[r][1] * part + i * STEP_KEYS / 2 * 16)};
    for (size_t c = 0; c < job->padded; c += 32, v += 2 * panel) {
        if (c + 16 < job->padded)
            lk_tile_products(o + c, job->padded, p, 16, v, panel, segments, count, add, 2, 2, NULL, NULL);
        else
            lk_tile_products(o + c, job->padded, p, 16, v, panel, segments, count, add, 2, 1, NULL, NULL);
    }
}

static void attention_parts_piece(void *context, size_t piece) {
    const tile_attention *job = context;
    const lk_attention_args *t = job->args;
    const size_t d = t->head_dim, padded = job->padded, words = job->words, lda = words + 16;
    const size_t block = piece % job->blocks, number = piece / job->blocks, head = number % t->heads;
    const size_t start = block * PIECE_QUERIES, count = lk_min(PIECE_QUERIES, t->queries - start);
    const size_t from = number / t->heads * t->queries + start, all = lk_pieces(count, STRIP_QUERIES) * STRIP_QUERIES;
    const float *kt = job->kt + number * job->keys * words, *v = job->v + number * LK_PARTS * job->keys / 2 * padded;
    const float scale = t->scale * 1.44269504f;

    // Scratch: queries, o, two steps' scores, a group's weights, what is added to scores.
    enum { WEIGHTS = PARTS_KEYS / STEP_KEYS * LK_PARTS * STEP_WEIGHTS };
    float *q = lk_piece_scratch(PIECE_QUERIES * (lda + padded + 1) + 2 * STEP_SCORES + WEIGHTS);
    float *o = q + PIECE_QUERIES * lda, *scores = o + PIECE_QUERIES * padded;
    float *p = scores + 2 * STEP_SCORES, *offsets = p + WEIGHTS;

    lk_shape_tiles(16, 16, 16);
    for (size_t first = 0; first < all; first += STRIP_QUERIES) {
        float longest = 0;
        for (size_t i = first; i < first + STRIP_QUERIES; i++) {
            size_t query = from + lk_min(i, count - 1);
            longest = fmaxf(longest, attention_load_parts(job, q + i * lda, query * t->q_stride + head * d));
            offsets[i] = 0;
        }
        size_t end = t->causal ? lk_min(t->keys, start + first + STRIP_QUERIES) : t->keys;
        if (!(sqrtf(longest * job->longest[number]) * fabsf(scale) <= SMALL_SCORES))
            attention_find_greatest(job, offsets + first, scores, q + first * lda, lda, kt, start + first, end, scale, 0);
    }
    attention_weights weights = {.factor = scale, .next = STRIP_QUERIES};
    for (size_t group = 0; group < t->keys; group += PARTS_KEYS)
        for (size_t first = 0; first < all; first += STRIP_QUERIES) {
            size_t end = t->causal ? lk_min(t->keys, start + first + STRIP_QUERIES) : t->keys;
            if (group >= end) continue;
            size_t steps = lk_pieces(lk_min(PARTS_KEYS, end - group), STEP_KEYS);
            weights.offsets = offsets + first, weights.each = lk_pieces(STRIP_QUERIES, words / 16);
            for (size_t i = 0; i < steps; i++) {
                size_t key = group + i * STEP_KEYS;
                float *s = scores + i % 2 * STEP_SCORES;
                lk_tile_product(
                    s, STEP_KEYS, q + first * lda, lda, kt + key * words, words * 16, lk_depth(words), false, 2, 2,
                    attention_weigh_parts, &weights);
                attention_hide(t, s, start + first, key);
                weights.s = s, weights.p = p + i * LK_PARTS * STEP_WEIGHTS, weights.next = 0;
            }
            weights.each = STRIP_QUERIES; // the last ones
            attention_weigh_parts(&weights);
            attention_parts_values(job, o + first * padded, p, v + group * 8, steps, group > 0);
        }
    for (size_t i = 0; i < count; i++)
        attention_write(t, o + i * padded, o[i * padded + d], (from + i) * t->o_stride + head * d);
    _tile_release();
}

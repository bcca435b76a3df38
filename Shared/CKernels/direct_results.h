// What becomes of the sums of convolutions by tiles (direct.h): y, and the sums of each block's channels.

/// Bytes of y that are many; pixels whose residual is asked for before it is added.
enum { DIRECT_FAR = 48 << 20, DIRECT_AHEAD = 12 };

/// y of a block, `panels` of it from the first on, from the sums. `whole`: there are DIRECT_PANELS of them, of 16 channels.
LK_INLINE void direct_finish(
    const direct *j, const float *c, size_t number, size_t phase, size_t first, size_t panels, const bool whole) {
    const lk_convolution_args *t = j->args;
    const direct_block block = direct_at(j, number);
    const size_t scale = j->phases > 1 ? 2 : 1, ldc = panels * 16, count = whole ? DIRECT_PANELS : panels;
    const size_t all = t->n * t->oh * t->ow * t->outputs * lk_bytes(t->y_format);
    // Results that caches cannot keep until they are read go past them, which saves reading their lines to write them.
    const bool far = whole && all >= DIRECT_FAR && (uintptr_t)t->y % 64 == 0 && t->outputs % 32 == 0;
    float added[DIRECT_PANELS * 16] = {0};
    for (size_t k = 0; k < lk_min(count * 16, t->outputs - first * 16); k++) {
        if (t->bias) added[k] += t->bias[first * 16 + k];
        if (t->per_picture) added[k] += t->per_picture[block.n * t->outputs + first * 16 + k];
    }
    double sums[2][DIRECT_PANELS * 16] = {0};
    for (size_t line = 0; line < block.lines; line++) {
        lk_v16 sum[DIRECT_PANELS] = {0}, square[DIRECT_PANELS] = {0}, y[DIRECT_PANELS];
        size_t oy = (block.top + line) * scale + phase / 2, ox = block.left * scale + phase % 2;
        size_t at = ((block.n * t->oh + oy) * t->ow + ox) * t->outputs + first * 16;
        const float *from = c + line * j->places * ldc;
        for (size_t x = 0; x < block.columns; x++, from += ldc, at += scale * t->outputs) {
            for (size_t p = 0; p < count; p++) {
                size_t few = whole ? 16 : lk_min(16, t->outputs - (first + p) * 16);
                y[p] = lk_load(from + p * 16) + lk_load(added + p * 16);
                if (t->residual) {
                    __builtin_prefetch(t->residual + at + DIRECT_AHEAD * t->outputs + p * 16, 0, 3);
                    y[p] += lk_load_few(t->residual + at + p * 16, few);
                }
                sum[p] += y[p], square[p] += y[p] * y[p];
                if (!whole) lk_put_few(t->y, t->y_format, at + p * 16, y[p], few);
            }
            for (size_t p = 0; p < count && whole; p += 2) {
                if (t->y_format == LK_BF16) {
                    __m512 two = (__m512)lk_round_two(y[p], y[p + 1]);
                    float *to = (float *)((uint16_t *)t->y + at + p * 16);
                    if (far) _mm512_stream_ps(to, two);
                    else lk_store(to, (lk_v16)two);
                } else {
                    float *to = (float *)t->y + at + p * 16;
                    if (far) _mm512_stream_ps(to, (__m512)y[p]), _mm512_stream_ps(to + 16, (__m512)y[p + 1]);
                    else lk_store(to, y[p]), lk_store(to + 16, y[p + 1]);
                }
            }
        }
        for (size_t p = 0; p < count && t->sums; p++)
            for (size_t k = 0; k < 16; k++) {
                sums[0][p * 16 + k] += sum[p][k];
                sums[1][p * 16 + k] += square[p][k];
            }
    }
    if (!t->sums) return;
    double *chunk = j->chunks + ((number * j->phases + phase) * 2 * j->panels + first) * 16;
    memcpy(chunk, sums[0], count * 16 * sizeof(double));
    memcpy(chunk + j->panels * 16, sums[1], count * 16 * sizeof(double));
}

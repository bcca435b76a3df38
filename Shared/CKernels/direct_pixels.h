// The pixels of convolutions by tiles (direct.h), as a block reads them: rounded to words, zeros around the picture, if
// asked normalised before.
//
// Of stride 2, even and odd lines and columns lie in four planes, each of which is walked in steps of one pixel.

/// GroupNorm of a pixel, perhaps with SiLU: x * scale + shift of each channel.
LK_INLINE void direct_normalize(
    void *to, const void *from, const float *scale, const float *shift, size_t channels, const lk_format format,
    const bool silu) {
    uint16_t *y = to;
    size_t c = 0;
    for (; c + 32 <= channels; c += 32) {
        lk_v16 two[2];
        for (size_t i = 0; i < 2; i++) {
            size_t at = c + i * 16;
            two[i] = lk_get(from, format, at) * lk_load(scale + at) + lk_load(shift + at);
            if (silu) two[i] = activate(two[i], LK_SILU, true);
        }
        lk_store((float *)(y + c), lk_round_two(two[0], two[1]));
    }
    for (; c < channels; c++) {
        lk_v16 x = lk_splat(load1(from, c, format)) * scale[c] + shift[c];
        if (silu) x = activate(x, LK_SILU, true);
        y[c] = lk_round(x)[0];
    }
}

/// Part of a pixel: `channels` of them.
LK_INLINE void direct_round_part(const direct *j, uint16_t *to, size_t at, size_t n, size_t c, size_t channels) {
    const lk_convolution_args *t = j->args;
    const void *from = lk_at(t->x, at + c, t->x_format);
    if (!t->scale_shift) {
        if (t->x_format == LK_BF16) memcpy(to + c, from, channels * sizeof(uint16_t));
        else lk_round_row(to + c, from, channels);
        return;
    }
    const float *scale = t->scale_shift + n * 2 * t->channels + c, *shift = scale + t->channels;
    if (t->x_format == LK_BF16) {
        if (t->silu) direct_normalize(to + c, from, scale, shift, channels, LK_BF16, true);
        else direct_normalize(to + c, from, scale, shift, channels, LK_BF16, false);
    } else {
        if (t->silu) direct_normalize(to + c, from, scale, shift, channels, LK_F32, true);
        else direct_normalize(to + c, from, scale, shift, channels, LK_F32, false);
    }
}

/// A block's pixels, as far as they are rounded.
typedef struct {
    const direct *j;
    float *to, *pixel;
    direct_block block;
    size_t plane, line, place, c; // where it is
    size_t from;                  // of x; SIZE_MAX outside the picture
} direct_rounding;

LK_INLINE void direct_find(direct_rounding *r) {
    const direct *j = r->j;
    const lk_convolution_args *t = j->args;
    size_t y = (r->block.top + r->line) * t->stride + r->plane / t->stride - t->pad_top; // wraps below 0
    size_t x = (r->block.left + r->place) * t->stride + r->plane % t->stride - t->pad_left;
    bool inside = y < t->h * j->upscale && x < t->w * j->upscale;
    r->from = inside ? ((r->block.n * t->h + y / j->upscale) * t->w + x / j->upscale) * t->channels : SIZE_MAX;
}

static direct_rounding direct_begin(const direct *j, float *to, size_t number) {
    direct_rounding r = {.j = j, .to = to, .pixel = to, .block = direct_at(j, number)};
    direct_find(&r);
    return r;
}

/// Rounds some more, `steps` times 32 channels.
LK_INLINE void direct_round(direct_rounding *r, size_t steps) {
    const direct *j = r->j;
    if (!j) return;
    const size_t channels = j->args->channels;
    for (; steps > 0; steps--) {
        size_t some = lk_min(32, channels - r->c);
        if (r->from != SIZE_MAX) direct_round_part(j, (uint16_t *)r->pixel, r->from, r->block.n, r->c, some);
        else memset((uint16_t *)r->pixel + r->c, 0, some * sizeof(uint16_t));
        r->c += some;
        if (r->c < channels) continue;
        r->c = 0, r->pixel += j->row;
        if (++r->place == j->places) {
            r->place = 0;
            if (++r->line == r->block.lines + j->halo) {
                memset(r->pixel, 0, j->words * sizeof(float)); // the zero after the last line, which no next line brings
                r->line = 0, r->plane++;
                r->pixel = r->to + r->plane * j->plane;
                if (r->plane == j->planes) {
                    r->j = NULL;
                    return;
                }
            }
        }
        direct_find(r);
    }
}

LK_INLINE void direct_round_some(void *rounding) { direct_round(rounding, 1); }

static void direct_round_piece(void *context, size_t number) {
    const direct *j = context;
    direct_rounding rounding = direct_begin(j, j->shared + number * j->pixels, number);
    direct_round(&rounding, SIZE_MAX);
}

/// Where the pixels of each place of a filter begin, in floats from those of the first.
static void direct_jumps(const direct *j, size_t phase, size_t jumps[9]) {
    const size_t side = j->taps == 9 ? 3 : 2, stride = j->args->stride;
    for (size_t place = 0; place < j->taps; place++) {
        size_t y = place / side + phase / 2, x = place % side + phase % 2;
        size_t plane = y % stride * stride + x % stride;
        jumps[place] = plane * j->plane + (y / stride * j->places + x / stride) * j->row;
    }
}

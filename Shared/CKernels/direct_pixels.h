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

static void direct_round_pixel(const direct *j, void *to, const void *from, size_t n) {
    const lk_convolution_args *t = j->args;
    if (!t->scale_shift) {
        if (t->x_format == LK_BF16) memcpy(to, from, j->words * sizeof(float));
        else lk_round_row(to, from, t->channels);
        return;
    }
    const float *scale = t->scale_shift + n * 2 * t->channels, *shift = scale + t->channels;
    if (t->x_format == LK_BF16) {
        if (t->silu) direct_normalize(to, from, scale, shift, t->channels, LK_BF16, true);
        else direct_normalize(to, from, scale, shift, t->channels, LK_BF16, false);
    } else {
        if (t->silu) direct_normalize(to, from, scale, shift, t->channels, LK_F32, true);
        else direct_normalize(to, from, scale, shift, t->channels, LK_F32, false);
    }
}

/// The line-th line of each plane.
static void direct_round_line(const direct *j, float *to, size_t number, size_t line) {
    const lk_convolution_args *t = j->args;
    const direct_block block = direct_at(j, number);
    const size_t halo = t->stride == 1 ? 2 : 1, height = t->h * j->upscale, width = t->w * j->upscale;
    if (line >= block.lines + halo) return;
    for (size_t plane = 0; plane < t->stride * t->stride; plane++) {
        size_t y = (block.top + line) * t->stride + plane / t->stride - t->pad_top; // wraps below 0
        float *pixel = to + plane * j->plane + line * j->places * j->row;
        for (size_t place = 0; place < j->places; place++, pixel += j->row) {
            size_t x = (block.left + place) * t->stride + plane % t->stride - t->pad_left;
            if (y < height && x < width) {
                size_t at = ((block.n * t->h + y / j->upscale) * t->w + x / j->upscale) * t->channels;
                direct_round_pixel(j, pixel, lk_at(t->x, at, t->x_format), block.n);
            } else {
                memset(pixel, 0, j->words * sizeof(float));
            }
        }
        // The zero after the last line, which no next line brings.
        if (line + 1 == block.lines + halo) memset(pixel, 0, j->words * sizeof(float));
    }
}

static void direct_round_piece(void *context, size_t piece) {
    const direct *j = context;
    size_t number = piece / (j->lines + 2), line = piece % (j->lines + 2);
    direct_round_line(j, j->shared + number * j->pixels, number, line);
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

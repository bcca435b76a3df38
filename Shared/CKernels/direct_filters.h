// The filters of convolutions by tiles (direct.h): panels of 16 output channels, of two input channels a word.

/// A panel's filters of one step: [9][words][16]. A word's two channels are nine numbers apart, so one is the lower half of
/// some two neighbours in memory and the other the upper half of some other two.
static void direct_pack(const direct *j, float *to, size_t panel, size_t from, size_t words) {
    enum { CHANNELS = 32 }; // whose filters stay in L1
    const lk_convolution_args *t = j->args;
    float numbers[CHANNELS * 9 / 2 * 16];
    size_t line = 9 * t->channels;
    for (size_t c = 0; c < 2 * words; c += CHANNELS) {
        size_t some = lk_min(CHANNELS, 2 * words - c);
        const void *weights = lk_at(t->weights, panel * 16 * line + (2 * from + c) * 9, t->format);
        lk_pack_words(numbers, weights, t->format, line, lk_min(16, t->outputs - panel * 16), some * 9 / 2);
        for (size_t i = 0; i < some; i += 2)
            for (size_t place = 0; place < 9; place++) {
                size_t at = i * 9 + place;
                lk_w16 two = (lk_w16)lk_load(numbers + at / 2 * 16), next = (lk_w16)lk_load(numbers + (at + 9) / 2 * 16);
                lk_w16 word = at % 2 ? two >> 16 | next << 16 : (two & 0xffff) | (next & 0xffff0000);
                lk_store(to + (place * words + (c + i) / 2) * 16, (lk_v16)word);
            }
    }
}

/// As above, of the four phases of a convolution after upsampling: `gap` floats apart, [4][words][16] each. Of two pixels
/// that a phase reads in a line or column, one stands for one of the three places that the filter has there, the other for
/// two: the even phase's first and the odd phase's second are alone.
static void direct_pack_phases(const direct *j, float *to, size_t gap, size_t panel, size_t from, size_t words) {
    enum { CHANNELS = 32 };
    const lk_convolution_args *t = j->args;
    float numbers[CHANNELS * 9 * 16];
    size_t line = 9 * t->channels;
    for (size_t c = 0; c < 2 * words; c += CHANNELS) {
        size_t some = lk_min(CHANNELS, 2 * words - c);
        const void *weights = lk_at(t->weights, panel * 16 * line + (2 * from + c) * 9, t->format);
        lk_pack_panel(numbers, weights, t->format, line, lk_min(16, t->outputs - panel * 16), some * 9);
        for (size_t i = 0; i < some; i += 2)
            for (size_t phase = 0; phase < 4; phase++)
                for (size_t place = 0; place < 4; place++) {
                    // Lines and columns of the filter that fall on this pixel.
                    size_t y = phase / 2 + place / 2, x = phase % 2 + place % 2;
                    size_t y0 = y == 0 ? 0 : y == 1 ? 1 - phase / 2 : 2, y1 = y == 0 ? 1 : y == 1 ? 3 - phase / 2 : 3;
                    size_t x0 = x == 0 ? 0 : x == 1 ? 1 - phase % 2 : 2, x1 = x == 0 ? 1 : x == 1 ? 3 - phase % 2 : 3;
                    lk_v16 sum = {0}, next = {0};
                    for (size_t at = y0; at < y1; at++)
                        for (size_t k = x0; k < x1; k++) {
                            sum += lk_load(numbers + (i * 9 + at * 3 + k) * 16);
                            next += lk_load(numbers + ((i + 1) * 9 + at * 3 + k) * 16);
                        }
                    lk_store(to + phase * gap + (place * words + (c + i) / 2) * 16, lk_paired(sum, next));
                }
    }
}

static void direct_pack_panel(void *context, size_t panel) {
    const direct *j = context;
    size_t gap = j->panels * j->words * j->taps * 16;
    for (size_t from = 0, words; from < j->words; from += words) {
        words = direct_step(j, from);
        float *to = j->shared + (panel * j->words + from) * j->taps * 16;
        if (j->phases > 1) direct_pack_phases(j, to, gap, panel, from, words);
        else direct_pack(j, to, panel, from, words);
    }
}

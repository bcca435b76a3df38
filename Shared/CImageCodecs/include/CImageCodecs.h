// PNG and JPEG in memory. libpng and libjpeg report errors by longjmp, which must not cross Swift frames, so the
// whole of each conversation with them happens here and ends in a status.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum codec_status {
    CODEC_OK = 0,
    CODEC_DAMAGED = 1,   // `message` says why, in the library's words
    CODEC_TOO_LARGE = 2, // `width` and `height` are set; nothing was allocated for pixels
    CODEC_NO_MEMORY = 3,
};

struct codec_limits {
    uint32_t max_side;   // pixels, each of width and height
    uint64_t max_pixels; // width * height
    int header_only;     // stop after the header: `pixels` stays NULL
};

struct codec_image {
    uint32_t width, height;
    int has_alpha;
    uint8_t *pixels; // RGBA, 8 bits each, width * height * 4 bytes; the caller frees it
    char message[240];
};

struct codec_bytes {
    uint8_t *data; // the caller frees it
    size_t size;
    char message[240];
};

int codec_png_decode(const uint8_t *data, size_t size, struct codec_limits limits, struct codec_image *out);
int codec_jpeg_decode(const uint8_t *data, size_t size, struct codec_limits limits, struct codec_image *out);

// 8-bit RGB. `chunks`, written before the pixels: for each, length (4 bytes, big-endian), type (4 bytes), payload.
int codec_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, const uint8_t *chunks, size_t chunks_size,
                     struct codec_bytes *out);
// Baseline, colour at half resolution (4:2:0); quality 1...100.
int codec_jpeg_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, struct codec_bytes *out);

#include "CImageCodecs.h"
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const uint8_t *data;
    size_t left;
};

static void on_error(png_structp png, png_const_charp message) {
    snprintf(png_get_error_ptr(png), sizeof(((struct codec_image *)0)->message), "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png, (void)message; // what libpng only warns of (an odd colour profile, say) leaves the pixels whole
}

static void read_bytes(png_structp png, png_bytep to, size_t count) {
    struct reader *from = png_get_io_ptr(png);
    if (count > from->left) png_error(png, "the file ends too early");
    memcpy(to, from->data, count);
    from->data += count;
    from->left -= count;
}

// Deflate packs 258 bytes into two bits at best: no file can hold more than 1032 times its size.
enum { best_ratio = 1032 };

// Everything that may longjmp. State that must survive the jump lives behind `out`.
static int read_image(png_structp png, png_infop info, size_t size, struct codec_limits limits,
                      struct codec_image *out) {
    if (setjmp(png_jmpbuf(png))) return CODEC_DAMAGED;
    png_set_chunk_malloc_max(png, size + 65536); // packed texts and colour profiles, which are not used here
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff); // ours come below, with a better message
    png_read_info(png, info);
    out->width = png_get_image_width(png, info);
    out->height = png_get_image_height(png, info);
    out->has_alpha =
        (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    if (out->width > limits.max_side || out->height > limits.max_side ||
        (uint64_t)out->width * out->height > limits.max_pixels)
        return CODEC_TOO_LARGE;
    if (limits.header_only) return CODEC_OK;
    if ((uint64_t)png_get_rowbytes(png, info) * out->height / best_ratio > size)
        png_error(png, "the file is too short for so many pixels");

    png_set_expand(png); // palette to RGB, 1/2/4-bit gray to 8, tRNS to alpha
    png_set_scale_16(png); // rounds v / 257
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t stride = (size_t)out->width * 4;
    if (png_get_rowbytes(png, info) != stride) png_error(png, "unsupported pixel layout");
    out->pixels = calloc(out->height, stride);
    if (!out->pixels) return CODEC_NO_MEMORY;
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < out->height; y++) png_read_row(png, out->pixels + y * stride, NULL);
    png_read_end(png, NULL);
    return CODEC_OK;
}

int codec_png_decode(const uint8_t *data, size_t size, struct codec_limits limits, struct codec_image *out) {
    memset(out, 0, sizeof *out);
    struct reader from = {data, size};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, out->message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    int status = CODEC_NO_MEMORY;
    if (info) {
        png_set_read_fn(png, &from, read_bytes);
        status = read_image(png, info, size, limits, out);
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (status != CODEC_OK) {
        free(out->pixels);
        out->pixels = NULL;
    }
    return status;
}

struct writer {
    struct codec_bytes *to;
    size_t room;
};

static void write_bytes(png_structp png, png_bytep from, size_t count) {
    struct writer *w = png_get_io_ptr(png);
    if (w->to->size + count > w->room) {
        size_t room = (w->to->size + count) * 2;
        uint8_t *grown = realloc(w->to->data, room);
        if (!grown) png_error(png, "out of memory");
        w->to->data = grown;
        w->room = room;
    }
    memcpy(w->to->data + w->to->size, from, count);
    w->to->size += count;
}

static void flush(png_structp png) { (void)png; }

static int write_image(png_structp png, png_infop info, const uint8_t *rgb, uint32_t width, uint32_t height,
                       const uint8_t *chunks, size_t chunks_size) {
    if (setjmp(png_jmpbuf(png))) return CODEC_DAMAGED;
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t at = 0; at + 8 <= chunks_size;) {
        size_t length = png_get_uint_32(chunks + at);
        png_write_chunk(png, chunks + at + 4, chunks + at + 8, length);
        at += 8 + length;
    }
    for (uint32_t y = 0; y < height; y++) png_write_row(png, rgb + (size_t)y * width * 3);
    png_write_end(png, NULL);
    return CODEC_OK;
}

int codec_png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, const uint8_t *chunks, size_t chunks_size,
                     struct codec_bytes *out) {
    memset(out, 0, sizeof *out);
    struct writer to = {out, 0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, out->message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    int status = CODEC_NO_MEMORY;
    if (info) {
        png_set_write_fn(png, &to, write_bytes, flush);
        png_set_compression_level(png, 6);
        status = write_image(png, info, rgb, width, height, chunks, chunks_size);
    }
    png_destroy_write_struct(&png, &info);
    if (status != CODEC_OK) {
        free(out->data);
        out->data = NULL;
    }
    return status;
}

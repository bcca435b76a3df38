#include "CImageCodecs.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

// Progressive files refine the whole picture once per scan; a tiny file with thousands of scans would run for hours.
enum { max_scans = 200 };

struct handler {
    struct jpeg_error_mgr base; // first, so that libjpeg's pointer is ours
    jmp_buf escape;
    char *message;
    size_t message_size;
};

static void on_error(j_common_ptr info) {
    struct handler *handler = (struct handler *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    snprintf(handler->message, handler->message_size, "%s", text);
    longjmp(handler->escape, 1);
}

// libjpeg fills gaps in damaged data with gray and goes on; a half picture must not pass as a photo.
static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION: on_error(info);
    default: break;
    }
}

static void on_progress(j_common_ptr info) {
    if (((j_decompress_ptr)info)->input_scan_number > max_scans) {
        struct handler *handler = (struct handler *)info->err;
        snprintf(handler->message, handler->message_size, "more than %d progressive scans", max_scans);
        longjmp(handler->escape, 1);
    }
}

static void install(struct handler *handler, char *message, size_t size) {
    jpeg_std_error(&handler->base);
    handler->base.error_exit = on_error;
    handler->base.emit_message = on_message;
    handler->message = message;
    handler->message_size = size;
}

// Adobe's convention, which everyone follows: ink is stored inverted, so R = stored C * stored K / 255, rounded.
static void cmyk_to_rgba(uint8_t *row, size_t width) {
    for (uint8_t *p = row; p < row + width * 4; p += 4) {
        unsigned light = p[3];
        for (int channel = 0; channel < 3; channel++) p[channel] = (uint8_t)((p[channel] * light + 127) / 255);
        p[3] = 255;
    }
}

static int read_image(j_decompress_ptr info, struct handler *handler, const uint8_t *data, size_t size,
                      struct codec_limits limits, struct codec_image *out) {
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    if (setjmp(handler->escape)) return CODEC_DAMAGED;
    jpeg_create_decompress(info);
    info->progress = &progress;
    jpeg_mem_src(info, data, size);
    jpeg_read_header(info, TRUE);
    out->width = info->image_width;
    out->height = info->image_height;
    if (out->width > limits.max_side || out->height > limits.max_side ||
        (uint64_t)out->width * out->height > limits.max_pixels)
        return CODEC_TOO_LARGE;
    if (limits.header_only) return CODEC_OK;
    // A Huffman code has at least one bit, and every block of 8 x 8 samples has at least one.
    uint64_t blocks = 0;
    for (int i = 0; i < info->num_components; i++)
        blocks += (uint64_t)info->comp_info[i].width_in_blocks * info->comp_info[i].height_in_blocks;
    if (!info->arith_code && blocks / 8 > size) {
        snprintf(handler->message, handler->message_size, "the file is too short for so many pixels");
        return CODEC_DAMAGED;
    }

    int inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = inks ? JCS_CMYK : JCS_EXT_RGBA;
    info->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(info);
    size_t stride = (size_t)out->width * 4;
    out->pixels = calloc(out->height, stride);
    if (!out->pixels) return CODEC_NO_MEMORY;
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = out->pixels + info->output_scanline * stride;
        jpeg_read_scanlines(info, &row, 1);
        if (inks) cmyk_to_rgba(row, out->width);
    }
    jpeg_finish_decompress(info);
    return CODEC_OK;
}

int codec_jpeg_decode(const uint8_t *data, size_t size, struct codec_limits limits, struct codec_image *out) {
    memset(out, 0, sizeof *out);
    struct handler handler;
    struct jpeg_decompress_struct info;
    memset(&info, 0, sizeof info);
    install(&handler, out->message, sizeof out->message);
    info.err = &handler.base;
    int status = read_image(&info, &handler, data, size, limits, out);
    jpeg_destroy_decompress(&info);
    if (status != CODEC_OK) {
        free(out->pixels);
        out->pixels = NULL;
    }
    return status;
}

static int write_image(j_compress_ptr info, struct handler *handler, const uint8_t *rgb, uint32_t width,
                       uint32_t height, int quality, struct codec_bytes *out, unsigned long *written) {
    if (setjmp(handler->escape)) return CODEC_DAMAGED;
    jpeg_create_compress(info);
    info->image_width = width;
    info->image_height = height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_mem_dest(info, &out->data, written);
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    info->optimize_coding = TRUE;
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < height) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)info->next_scanline * width * 3);
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
    return CODEC_OK;
}

int codec_jpeg_encode(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, struct codec_bytes *out) {
    memset(out, 0, sizeof *out);
    struct handler handler;
    struct jpeg_compress_struct info;
    memset(&info, 0, sizeof info);
    install(&handler, out->message, sizeof out->message);
    info.err = &handler.base;
    unsigned long written = 0;
    int status = write_image(&info, &handler, rgb, width, height, quality, out, &written);
    jpeg_destroy_compress(&info);
    out->size = written;
    // After a failure (only lack of memory) libjpeg may already have freed the buffer it first told us of.
    if (status != CODEC_OK) out->data = NULL;
    return status;
}

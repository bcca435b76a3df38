// Every kernel: name, parameters, arguments. The dispatcher is made from this list (dispatch.c).
#pragma once
#define LK_KERNELS(X) \
    X(activate, (float *y, const float *x, size_t count, lk_activation kind), (y, x, count, kind)) \
    X(blend, (float *y, const float *x, const float *z, size_t count, float a, float b), (y, x, z, count, a, b)) \
    X(affine, (float *y, const float *x, size_t count, float a, float b), (y, x, count, a, b)) \
    X(multiply, (float *y, const float *x, const float *z, size_t count), (y, x, z, count)) \
    X(clamp, (float *y, const float *x, size_t count, float low, float high), (y, x, count, low, high)) \
    X(geglu, (float *y, const float *x, size_t rows, size_t d), (y, x, rows, d)) \
    X(add_per_channel, (float *y, const float *x, const float *z, size_t n, size_t pixels, size_t channels), (y, x, z, n, pixels, channels)) \
    X(add_rows, (float *y, const float *x, const float *z, size_t rows, size_t d, size_t period), (y, x, z, rows, d, period)) \
    X(half_to_float, (float *y, const uint16_t *x, size_t count), (y, x, count)) \
    X(bfloat_to_float, (float *y, const uint16_t *x, size_t count), (y, x, count)) \
    X(channel_sums, (double *sums, const float *x, size_t n, size_t pixels, size_t channels), (sums, x, n, pixels, channels)) \
    X(group_scales, (float *scale_shift, const double *sums, const float *weight, const float *bias, size_t n, size_t pixels, size_t channels, size_t groups, float eps), (scale_shift, sums, weight, bias, n, pixels, channels, groups, eps)) \
    X(scale_channels, (void *y, lk_format format, const float *x, const float *scale_shift, size_t n, size_t pixels, size_t channels, bool silu), (y, format, x, scale_shift, n, pixels, channels, silu)) \
    X(layer_norm, (void *y, lk_format format, const float *x, const float *weight, const float *bias, size_t rows, size_t d, float eps), (y, format, x, weight, bias, rows, d, eps)) \
    X(softmax, (float *y, const float *x, size_t rows, size_t d), (y, x, rows, d)) \
    X(attention_scratch, (size_t *floats, const lk_attention_args *args), (floats, args)) \
    X(attention, (const lk_attention_args *args), (args)) \
    X(linear, (const lk_linear_args *args), (args)) \
    X(convolve_3x3_scratch, (size_t *floats, const lk_convolution_args *args), (floats, args)) \
    X(convolve_3x3, (const lk_convolution_args *args), (args)) \
    X(peak, (double *flops, size_t rounds, bool bf16), (flops, rounds, bf16)) \
    X(transpose, (float *y, const float *x, size_t n, size_t a, size_t b), (y, x, n, a, b)) \
    X(concat, (float *y, const float *x, const float *z, size_t rows, size_t a, size_t b), (y, x, z, rows, a, b)) \
    X(upsample_nearest, (float *y, const float *x, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow), (y, x, n, h, w, c, oh, ow)) \
    X(activate_backward, (float *dx, const float *x, const float *dy, size_t count, lk_activation kind), (dx, x, dy, count, kind)) \
    X(geglu_backward, (float *dx, const float *x, const float *dy, size_t rows, size_t d), (dx, x, dy, rows, d)) \
    X(sum_rows, (float *y, const float *x, size_t outer, size_t inner, size_t d), (y, x, outer, inner, d)) \
    X(group_norm_backward, (float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight, const float *bias, size_t n, size_t pixels, size_t channels, size_t groups, float eps, bool silu), (dx, dw, db, dy, x, weight, bias, n, pixels, channels, groups, eps, silu)) \
    X(layer_norm_backward, (float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight, size_t rows, size_t d, float eps), (dx, dw, db, dy, x, weight, rows, d, eps)) \
    X(softmax_backward, (float *dx, const float *y, const float *dy, size_t rows, size_t d), (dx, y, dy, rows, d)) \
    X(upsample_backward, (float *dx, const float *dy, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow), (dx, dy, n, h, w, c, oh, ow)) \
    X(attention_backward, (const lk_attention_gradient_args *args), (args)) \
    X(adamw, (const lk_adamw_args *args), (args)) \
    X(sum_of_squares, (double *sum, const float *x, size_t count), (sum, x, count))

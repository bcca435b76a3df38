// Likeness' own compute kernels: only what oneDNN and OpenBLAS lack. Pointers and sizes in, no allocation visible to
// the caller, no errors: preconditions are stated here and checked by TensorEngine.
//
// Shape letters: N batch, P pixels (H*W), C channels, G groups, R rows, D features of a row,
// B batch, H heads, Q query tokens, K key tokens, d features of a head.
// Every kernel is compiled for AVX-512, AVX2 and plain x86-64 and chosen at run time by CPU feature, and splits its
// work into pieces whose size does not depend on the number of threads, so results do not either.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// The instruction set in use: amx, avx512bf16, avx512, avx2 or baseline.
const char *lk_variant(void);
/// Whether products of bfloat16 are faster than of floats.
bool lk_multiplies_bf16(void);
/// Whether products of bfloat16 are so much faster (AMX) that a 3x3 convolution is best their plain sum, whatever its size.
bool lk_has_tiles(void);

// ---- threads (parallel.c)

/// Number of threads of every kernel and oneDNN primitive started from now on, by any thread. 0: all cores.
void lk_set_threads(int count);
int lk_threads(void);
/// Makes the calling thread's OpenMP runtime (which oneDNN shares) obey lk_set_threads.
void lk_enter(void);

// ---- memory (memory.c)

/// Activations come and go in the same few sizes; keeping freed blocks in the heap saves the kernel from zeroing fresh
/// pages for each of them, which costs more than many layers do.
void lk_keep_freed_memory(void);
/// Freed blocks go back to the system after all: they are not needed again.
void lk_give_back_freed_memory(void);

/// The computation that the calling thread's tensors belong to (ActivationArena.swift), or null.
void *lk_activations(void);
void lk_set_activations(void *run);

// ---- formats

/// How numbers are stored: 32 bits, or 16 of IEEE half precision or of bfloat16.
typedef enum { LK_F32, LK_F16, LK_BF16 } lk_format;
// Where a kernel names the format of what it reads or writes besides weights, that is LK_F32, or LK_BF16 where
// lk_multiplies_bf16 and rows have an even number of numbers: rounded once by its writer, not again by each reader.

// ---- element-wise (elementwise.h); y may be x

typedef enum { LK_SILU, LK_GELU_ERF, LK_QUICK_GELU, LK_RELU } lk_activation;
void lk_activate(float *y, const float *x, size_t count, lk_activation kind);
/// y = a*x + b*z
void lk_blend(float *y, const float *x, const float *z, size_t count, float a, float b);
/// y = a*x + b
void lk_affine(float *y, const float *x, size_t count, float a, float b);
void lk_multiply(float *y, const float *x, const float *z, size_t count);
void lk_clamp(float *y, const float *x, size_t count, float low, float high);
/// GEGLU: x [R, 2D] -> y [R, D], y = x[:, :D] * gelu(x[:, D:])
void lk_geglu(float *y, const float *x, size_t rows, size_t d);
/// y[n, p, c] = x[n, p, c] + z[n, c]
void lk_add_per_channel(float *y, const float *x, const float *z, size_t n, size_t pixels, size_t channels);
/// y[r, d] = x[r, d] + z[r % period, d]
void lk_add_rows(float *y, const float *x, const float *z, size_t rows, size_t d, size_t period);
void lk_half_to_float(float *y, const uint16_t *x, size_t count);
void lk_bfloat_to_float(float *y, const uint16_t *x, size_t count);

// ---- normalisation (normalization.h)

// GroupNorm over x [N, P, C] (channels last), in three steps; convolutions can do the first for what they write, the last
// for what they read.

/// sums [N, 2, C]: of each channel's numbers and of their squares.
void lk_channel_sums(double *sums, const float *x, size_t n, size_t pixels, size_t channels);
/// scale_shift [N, 2, C]: what each channel is multiplied by and then raised by. C % groups == 0.
void lk_group_scales(float *scale_shift, const double *sums, const float *weight, const float *bias, size_t n,
                     size_t pixels, size_t channels, size_t groups, float eps);
/// y = x * scale + shift, optionally followed by SiLU. `format` is y's.
void lk_scale_channels(void *y, lk_format format, const float *x, const float *scale_shift, size_t n, size_t pixels,
                       size_t channels, bool silu);
/// LayerNorm over the last axis of x [R, D]. `format` is y's.
void lk_layer_norm(void *y, lk_format format, const float *x, const float *weight, const float *bias, size_t rows,
                   size_t d, float eps);
/// Softmax over the last axis of x [R, D].
void lk_softmax(float *y, const float *x, size_t rows, size_t d);

// ---- attention (attention.h)

/// o = softmax(scale * q k^T [+ causal mask]) v for every head, without ever holding the Q x K scores.
/// q [B, Q, H, d], k and v [B, K, H, d], o [B, Q, H, d]; a token's heads lie side by side.
/// strides (in numbers) are between tokens; batches lie tokens*stride apart.
/// accumulate: o += weight * result, else o = weight * result. scale is above 0.
typedef struct {
    void *o;
    const void *q, *k, *v;
    lk_format o_format, q_format, k_format, v_format; // see above; o's is LK_F32 where it accumulates
    size_t batch, heads, queries, keys, head_dim;
    size_t q_stride, k_stride, v_stride, o_stride;
    float scale, weight;
    bool causal, accumulate;
    bool bf16;      // as for linear layers: queries, keys, values and weights of the softmax may be rounded
    float *scratch; // as many floats as lk_attention_scratch says
} lk_attention_args;
void lk_attention_scratch(size_t *floats, const lk_attention_args *args);
void lk_attention(const lk_attention_args *args);

// ---- linear layers (linear.h)

/// What follows the product: nothing, an activation, or GEGLU.
typedef enum { LK_PLAIN, LK_ACTIVATED, LK_GATED } lk_finish;

/// x [R, D], weights [O, D] in `format`, bias [O] -> y [R, O] = finish(x W^T + bias) + residual [R, O].
/// LK_GATED: y [R, O/2] = h[:, :O/2] * gelu(h[:, O/2:]) + residual [R, O/2]. O must then be even.
/// bias and residual may be NULL; y may be residual.
typedef struct {
    void *y;
    const void *x, *weights;
    lk_format y_format, x_format, format;
    const float *bias, *residual;
    lk_finish finish;
    lk_activation activation;
    size_t rows, inputs, outputs;
    bool bf16; // numbers may be rounded to bfloat16 before they are multiplied; ignored where that is not faster
} lk_linear_args;
// Where lk_has_tiles, 32-bit numbers are multiplied as the sum of three of bfloat16 each (linear_parts.h), as exactly; those
// below the least normal number, 1.2e-38, then count as 0. Attention does the same.
void lk_linear(const lk_linear_args *args);

// ---- the machine's peak (peak.h)

/// Multiplies and adds in registers on all threads, which nothing can do faster; says how many operations that were.
/// bf16: products of bfloat16, where there are any; otherwise of 32-bit numbers.
void lk_peak(double *flops, size_t rounds, bool bf16);

// ---- convolution (winograd.h, direct.h)

/// 3x3: x [N, H, W, C] -> y [N, OH, OW, K], with pad_top rows and pad_left columns of zeros before the picture and as many
/// after it as OH and OW need.
/// weights: [K][C][3][3], the checkpoint's order, in `format`.
/// y = convolution + bias[k] + per_picture[n, k] + residual[n, oy, ox, k]; these three may be NULL. y may be residual.
typedef struct {
    void *y;
    const void *x, *weights;
    lk_format y_format, x_format, format;
    const float *bias, *per_picture, *residual;
    size_t n, h, w, channels, oh, ow, outputs, pad_top, pad_left;
    bool bf16;      // as for linear layers; without AMX, of the pixels and filters as Winograd transforms them
    float *scratch; // as many floats as lk_convolve_3x3_scratch says

    // Only where bf16, lk_has_tiles and C is even; elsewhere 1, 1, NULL, NULL, and the formats of x and y LK_F32.
    size_t stride;            // 1, 2
    size_t upscale;           // 2: x is first upsampled to twice its size, nearest; OH = 2H, OW = 2W, one pixel of padding
    const float *scale_shift; // [N, 2, C]: what lk_scale_channels does, with `silu`, is done to x first
    bool silu;
    double *sums;             // where lk_channel_sums of y is to be written
} lk_convolution_args;
void lk_convolve_3x3_scratch(size_t *floats, const lk_convolution_args *args);
void lk_convolve_3x3(const lk_convolution_args *args);

// ---- layout (layout.h)

/// x [N, A, B] -> y [N, B, A]
void lk_transpose(float *y, const float *x, size_t n, size_t a, size_t b);
/// x [R, A], z [R, B] -> y [R, A+B]
void lk_concat(float *y, const float *x, const float *z, size_t rows, size_t a, size_t b);
/// Nearest-neighbour: x [N, H, W, C] -> y [N, OH, OW, C]; source index = floor(destination * in / out).
void lk_upsample_nearest(float *y, const float *x, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow);

// ---- backward passes (gradients.h, attention_gradient.h); dy is the gradient by the output

void lk_activate_backward(float *dx, const float *x, const float *dy, size_t count, lk_activation kind);
/// x and dx [R, 2D], dy [R, D]
void lk_geglu_backward(float *dx, const float *x, const float *dy, size_t rows, size_t d);
/// y[o, d] = sum over i of x[o, i, d], in double.
void lk_sum_rows(float *y, const float *x, size_t outer, size_t inner, size_t d);
/// dx, dw and db may each be NULL.
void lk_group_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                            const float *bias, size_t n, size_t pixels, size_t channels, size_t groups, float eps,
                            bool silu);
/// dx, dw and db may each be NULL.
void lk_layer_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                            size_t rows, size_t d, float eps);
/// Takes the softmax's output y, not its input.
void lk_softmax_backward(float *dx, const float *y, const float *dy, size_t rows, size_t d);
/// dx [N, H, W, C], dy [N, OH, OW, C]
void lk_upsample_backward(float *dx, const float *dy, size_t n, size_t h, size_t w, size_t c, size_t oh, size_t ow);

/// All tensors contiguous, shapes as in lk_attention; accumulate_q adds to dq instead of replacing it.
typedef struct {
    float *dq, *dk, *dv;
    const float *d_o, *q, *k, *v;
    size_t batch, heads, queries, keys, head_dim;
    float scale, weight;
    bool causal, accumulate_q;
} lk_attention_gradient_args;
void lk_attention_backward(const lk_attention_gradient_args *args);

// ---- optimiser (optimizer.h)

/// One AdamW step in place (Loshchilov and Hutter 2019, as torch.optim.AdamW): the decay is decoupled, the moments are
/// corrected by correction1 = 1 - beta1^t and correction2 = 1 - beta2^t; gradients are multiplied by `clip` first.
typedef struct {
    float *parameter, *m, *v;
    const float *gradient;
    size_t count;
    float rate, beta1, beta2, eps, decay, correction1, correction2, clip;
} lk_adamw_args;
void lk_adamw(const lk_adamw_args *args);
/// Sum of squares in double, the same whatever the number of threads.
void lk_sum_of_squares(double *sum, const float *x, size_t count);

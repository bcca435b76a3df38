// What every variant shares, whatever its instruction set.
#pragma once
#include "kernels.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/// Calls body(context, piece) for every piece in 0 ..< pieces, on all threads.
void lk_parallel(size_t pieces, void (*body)(void *context, size_t piece), void *context);

static inline size_t lk_pieces(size_t count, size_t grain) { return (count + grain - 1) / grain; }
static inline size_t lk_min(size_t a, size_t b) { return a < b ? a : b; }

/// Uninitialised memory for one piece of work, until the same thread begins another one; kept for that (memory.c).
float *lk_piece_scratch(size_t floats);

/// Uninitialised memory for a kernel's own use, given back with free.
static inline float *lk_scratch(size_t floats) {
    float *p = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
    if (!p) abort(); // kernels report no errors, and without memory nothing sensible is left to do
    return p;
}

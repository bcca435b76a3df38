// The kernels, compiled for one instruction set. A variant_*.c defines LK_VARIANT (its name) and LK_TARGET (the
// attribute) and includes this file; the system's headers come first so that the attribute touches only our code.
#include "kernel_list.h"
#include "support_system.h"

#define LK_PASTE2(name, variant) lk_##name##_##variant
#define LK_PASTE(name, variant) LK_PASTE2(name, variant)
#define LK(name) LK_PASTE(name, LK_VARIANT)

#pragma clang diagnostic ignored "-Wpsabi" // every function that passes vectors is inlined
#pragma clang attribute push(LK_TARGET, apply_to = function)
#include "support.h"
#include "format.h"
#include "elementwise.h"
#include "normalization.h"
#include "product.h"
#include "pack.h"
#include "bfloat.h"
#include "tiles.h"
#include "products.h"
#include "peak.h"
#include "attention.h"
#include "linear.h"
#include "layout.h"
#include "direct.h"
#include "winograd.h"
#include "gradients.h"
#include "attention_gradient.h"
#include "optimizer.h"
#pragma clang attribute pop

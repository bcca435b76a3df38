#define LK_VARIANT avx512bf16
#define LK_TARGET __attribute__((target("arch=x86-64-v4,avx512bf16")))
#define LK_AVX512
#define LK_ROWS 12 // of 32 registers
#define LK_F16C
#define LK_BFLOAT
#include "variant.h"

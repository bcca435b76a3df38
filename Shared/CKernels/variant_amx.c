#define LK_VARIANT amx
#define LK_TARGET __attribute__((target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16")))
#define LK_AVX512
#define LK_ROWS 12 // of 32 registers
#define LK_F16C
#define LK_BFLOAT
#define LK_TILES
#include "variant.h"

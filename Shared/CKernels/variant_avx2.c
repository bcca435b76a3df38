#define LK_VARIANT avx2
#define LK_TARGET __attribute__((target("arch=x86-64-v3")))
#define LK_F16C
#include "variant.h"

// SSE2, which every x86-64 has.
#define LK_VARIANT baseline
#define LK_TARGET __attribute__((target("arch=x86-64")))
#define LK_ROWS 2 // a row of 16 sums is four registers
#include "variant.h"

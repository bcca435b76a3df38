// Chooses the kernels' variant once, by what this CPU has; LIKENESS_CPU=baseline|avx2|avx512|avx512bf16 asks for a lower one.
#include "kernel_list.h"
#include "support_system.h"
#include <pthread.h>

typedef struct {
#define FIELD(name, parameters, arguments) void(*name) parameters;
    LK_KERNELS(FIELD)
} table;

#define DECLARE(name, parameters, arguments)                                                                          \
    void lk_##name##_avx512bf16 parameters;                                                                           \
    void lk_##name##_avx512 parameters;                                                                               \
    void lk_##name##_avx2 parameters;                                                                                 \
    void lk_##name##_baseline parameters;
LK_KERNELS(DECLARE)

#define AVX512BF16(name, parameters, arguments) lk_##name##_avx512bf16,
#define AVX512(name, parameters, arguments) lk_##name##_avx512,
#define AVX2(name, parameters, arguments) lk_##name##_avx2,
#define BASELINE(name, parameters, arguments) lk_##name##_baseline,
static const table avx512bf16 = {LK_KERNELS(AVX512BF16)}, avx512 = {LK_KERNELS(AVX512)};
static const table avx2 = {LK_KERNELS(AVX2)}, baseline = {LK_KERNELS(BASELINE)};

static const table *chosen;
static const char *chosen_name;

static void choose(void) {
    const char *limit = getenv("LIKENESS_CPU");
    if (!limit) limit = "avx512bf16";
    __builtin_cpu_init();
    int has512 = __builtin_cpu_supports("x86-64-v4"), has2 = __builtin_cpu_supports("x86-64-v3");
    int has_bf16 = has512 && __builtin_cpu_supports("avx512bf16");
    if (has_bf16 && strcmp(limit, "avx512bf16") == 0) {
        chosen = &avx512bf16, chosen_name = "avx512bf16";
    } else if (has512 && strncmp(limit, "avx512", 6) == 0) {
        chosen = &avx512, chosen_name = "avx512";
    } else if (has2 && strcmp(limit, "baseline") != 0) {
        chosen = &avx2, chosen_name = "avx2";
    } else {
        chosen = &baseline, chosen_name = "baseline";
    }
}

static const table *kernels(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return chosen;
}

const char *lk_variant(void) {
    kernels();
    return chosen_name;
}

bool lk_multiplies_bf16(void) { return kernels() == &avx512bf16; }

#define CALL(name, parameters, arguments)                                                                             \
    void lk_##name parameters { kernels()->name arguments; }
LK_KERNELS(CALL)

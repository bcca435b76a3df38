// Chooses the kernels' variant once, by what this CPU has; LIKENESS_CPU=baseline|avx2|avx512|avx512bf16|amx asks for a lower one.
#include "kernel_list.h"
#include "support_system.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
#define FIELD(name, parameters, arguments) void(*name) parameters;
    LK_KERNELS(FIELD)
} table;

#define DECLARE(name, parameters, arguments)                                                                          \
    void lk_##name##_amx parameters;                                                                                  \
    void lk_##name##_avx512bf16 parameters;                                                                           \
    void lk_##name##_avx512 parameters;                                                                               \
    void lk_##name##_avx2 parameters;                                                                                 \
    void lk_##name##_baseline parameters;
LK_KERNELS(DECLARE)

#define AMX(name, parameters, arguments) lk_##name##_amx,
#define AVX512BF16(name, parameters, arguments) lk_##name##_avx512bf16,
#define AVX512(name, parameters, arguments) lk_##name##_avx512,
#define AVX2(name, parameters, arguments) lk_##name##_avx2,
#define BASELINE(name, parameters, arguments) lk_##name##_baseline,
static const table amx = {LK_KERNELS(AMX)}, avx512bf16 = {LK_KERNELS(AVX512BF16)}, avx512 = {LK_KERNELS(AVX512)};
static const table avx2 = {LK_KERNELS(AVX2)}, baseline = {LK_KERNELS(BASELINE)};

static const table *chosen;
static const char *chosen_name;

/// Linux gives a process the tiles' state only if it asks (arch/x86/include/uapi/asm/prctl.h).
static bool tiles_allowed(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static bool has_avx2(void) { return __builtin_cpu_supports("x86-64-v3"); }
static bool has_avx512(void) { return __builtin_cpu_supports("x86-64-v4"); }
static bool has_avx512bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static bool has_amx(void) {
    return has_avx512bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16")
        && tiles_allowed();
}
static bool has_baseline(void) { return true; }

/// Best first.
static const struct {
    const char *name;
    const table *kernels;
    bool (*is_there)(void);
} variants[] = {
    {"amx", &amx, has_amx},          {"avx512bf16", &avx512bf16, has_avx512bf16}, {"avx512", &avx512, has_avx512},
    {"avx2", &avx2, has_avx2},       {"baseline", &baseline, has_baseline},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static void choose(void) {
    __builtin_cpu_init();
    const char *limit = getenv("LIKENESS_CPU");
    size_t i = 0;
    while (limit && i < VARIANTS && strcmp(limit, variants[i].name) != 0) i++;
    if (i == VARIANTS) i = 3; // no such name: avx2 at most
    while (!variants[i].is_there()) i++;
    chosen = variants[i].kernels, chosen_name = variants[i].name;
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

bool lk_multiplies_bf16(void) { return kernels() == &avx512bf16 || lk_has_tiles(); }
bool lk_has_tiles(void) { return kernels() == &amx; }

#define CALL(name, parameters, arguments)                                                                             \
    void lk_##name parameters { kernels()->name arguments; }
LK_KERNELS(CALL)

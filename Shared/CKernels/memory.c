#include "kernels.h"
#include <malloc.h>

void lk_keep_freed_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
}

void lk_give_back_freed_memory(void) { malloc_trim(0); }

static _Thread_local void *activations;
void *lk_activations(void) { return activations; }
void lk_set_activations(void *run) { activations = run; }

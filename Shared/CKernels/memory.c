#include "support_system.h"
#include <malloc.h>
#include <pthread.h>

void lk_keep_freed_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
}

void lk_give_back_freed_memory(void) { malloc_trim(0); }

static _Thread_local void *activations;
void *lk_activations(void) { return activations; }
void lk_set_activations(void *run) { activations = run; }

static pthread_key_t at_thread_end;
static void prepare(void) { pthread_key_create(&at_thread_end, free); }

float *lk_piece_scratch(size_t floats) {
    static _Thread_local float *held;
    static _Thread_local size_t size;
    if (size < floats) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, prepare);
        free(held);
        held = lk_scratch(floats);
        size = floats;
        pthread_setspecific(at_thread_end, held);
    }
    return held;
}

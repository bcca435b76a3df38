// One thread pool for everything: oneDNN's OpenMP runtime (libgomp), called through its stable ABI because the Swift
// toolchain's clang cannot compile OpenMP pragmas for it. libgomp keeps one team for each calling thread, so
// computation should come from one thread at a time (ServiceKit's Compute).
#define _GNU_SOURCE // sched_getaffinity
#include "support_system.h"
#include <sched.h>
#include <stdatomic.h>

extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_in_parallel(void);
extern void omp_set_num_threads(int);

static _Atomic int wanted = 0;

static int available_cores(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return cores > 0 ? cores : 1;
}

void lk_set_threads(int count) { atomic_store(&wanted, count > 0 ? count : available_cores()); }

int lk_threads(void) {
    int count = atomic_load(&wanted);
    if (count == 0) {
        lk_set_threads(0);
        count = atomic_load(&wanted);
    }
    return count;
}

void lk_enter(void) {
    // OpenMP's setting belongs to the calling thread; remember what this thread was last told.
    static _Thread_local int told = 0;
    int count = lk_threads();
    if (told != count) {
        omp_set_num_threads(count);
        told = count;
    }
}

typedef struct {
    void (*body)(void *, size_t);
    void *context;
    size_t pieces;
    _Atomic size_t next;
} work;

static void take_pieces(void *data) {
    work *w = data;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->pieces;) w->body(w->context, i);
}

void lk_parallel(size_t pieces, void (*body)(void *, size_t), void *context) {
    int threads = lk_threads();
    if (pieces <= 1 || threads == 1 || omp_in_parallel()) {
        for (size_t i = 0; i < pieces; i++) body(context, i);
        return;
    }
    work w = {.body = body, .context = context, .pieces = pieces};
    GOMP_parallel(take_pieces, &w, (unsigned)lk_min(pieces, (size_t)threads), 0);
}

// Sees every block of heap memory that the calling thread takes: with AddressSanitizer through its hooks, without through
// glibc's malloc under its other name. Only the executable `malformed` links this.
#include "allocation_watch.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static __thread int watching;
static __thread size_t largest, peak;
static __thread long long held;

static void taken(size_t size) {
    if (!watching) return;
    held += (long long)size;
    if (size > largest) largest = size;
    if (held > 0 && (size_t)held > peak) peak = (size_t)held;
}

static void given_back(size_t size) {
    if (watching) held -= (long long)size;
}

void watch_start(void) {
    largest = peak = 0;
    held = 0;
    watching = 1;
}

struct watch_report watch_stop(void) {
    watching = 0;
    struct watch_report report = {largest, peak};
    return report;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif

#ifdef WITH_SANITIZER
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *);

static void on_malloc(const volatile void *block, size_t size) {
    (void)block;
    taken(size);
}
static void on_free(const volatile void *block) {
    if (watching && block) given_back(__sanitizer_get_allocated_size(block));
}

static int installed;
__attribute__((constructor)) static void install(void) {
    installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
}
int watch_works(void) { return installed; }
#else
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

int watch_works(void) { return 1; }

void *malloc(size_t size) {
    taken(size);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    taken(count * size);
    return __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
    if (block) given_back(malloc_usable_size(block));
    taken(size);
    return __libc_realloc(block, size);
}
void *memalign(size_t alignment, size_t size) {
    taken(size);
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}
void free(void *block) {
    if (block) given_back(malloc_usable_size(block));
    __libc_free(block);
}
#endif

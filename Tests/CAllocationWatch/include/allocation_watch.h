#ifndef ALLOCATION_WATCH_H
#define ALLOCATION_WATCH_H
#include <stddef.h>

/// What a thread asked of malloc and its relatives since `watch_start`, on that thread.
struct watch_report {
    /// Bytes of the largest block.
    size_t largest;
    /// Most bytes held at one time, beyond those held at the start.
    size_t peak;
};

/// Whether allocations are seen at all.
int watch_works(void);
void watch_start(void);
struct watch_report watch_stop(void);

#endif

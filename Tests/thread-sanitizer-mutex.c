// Preloaded under the thread sanitizer. Swift's library is not instrumented, so a Mutex whose lock is contended, and which
// therefore leaves the inlined fast path, does not show that it orders anything: this tells the sanitizer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

// Not there in processes that are not instrumented themselves, such as the build system's.
__attribute__((weak)) void __tsan_acquire(void *);
__attribute__((weak)) void __tsan_release(void *);

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void (*Lock)(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void (*Unlock)(__attribute__((swift_context)) void *);

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((swiftcall)) void lock(uint32_t own, __attribute__((swift_context)) void *self) __asm__(LOCK);
__attribute__((swiftcall)) void lock(uint32_t own, __attribute__((swift_context)) void *self) {
    ((Lock)real(LOCK))(own, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

__attribute__((swiftcall)) void unlock(__attribute__((swift_context)) void *self) __asm__(UNLOCK);
__attribute__((swiftcall)) void unlock(__attribute__((swift_context)) void *self) {
    if (__tsan_release) __tsan_release(self);
    ((Unlock)real(UNLOCK))(self);
}

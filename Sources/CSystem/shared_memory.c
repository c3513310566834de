#define _GNU_SOURCE
#include "shared_memory.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
int lockstep_shared_memory(const char *name, long bytes) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -1;
    if (ftruncate(descriptor, bytes) == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        return descriptor;
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

int lockstep_is_shared_memory(int descriptor) {
    int seals = fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK);
}
#else
int lockstep_shared_memory(const char *name, long bytes) {
    (void)name;
    (void)bytes;
    errno = ENOSYS;
    return -1;
}

int lockstep_is_shared_memory(int descriptor) {
    (void)descriptor;
    return 0;
}
#endif

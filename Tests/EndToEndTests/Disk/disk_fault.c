// Preloaded into a process under test: makes the file system fail, or kills the process, at chosen system calls.
//
//   DISK_FAULT=count:FILE       writes to FILE, at the exit, how many calls touched checkpoints
//   DISK_FAULT=kill:N           SIGKILL in place of the N-th call that touches checkpoints; a write leaves half behind
//   DISK_FAULT=fail:ERRNO:FLAG  while the file FLAG exists, calls that change checkpoints or metrics.jsonl fail, and writes
//                               to the lock of the run folder
//   DISK_FAULT=sync:ERRNO       metrics.jsonl can be written, and not be brought to the disk
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 4096 };
static _Atomic char watched[LIMIT]; // By descriptor: 1 for a checkpoint's file or folder, 2 for the metrics, 3 for the lock.
static _Atomic long calls;

static char kind(const char *path) {
    if (strstr(path, "/checkpoints")) return 1;
    if (strstr(path, "/metrics.jsonl")) return 2;
    return strstr(path, "/.lock") ? 3 : 0;
}

// A full disk keeps nobody from opening the lock, which is there already.
static int changes(const char *path, int flags) { return (flags & O_ACCMODE) != O_RDONLY && kind(path) != 3; }

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

// 0, or the error to answer with. `half` is done before a kill.
static int fault(char what, int changes, int descriptor, const void *bytes, size_t count) {
    const char *plan = getenv("DISK_FAULT");
    if (!plan || !what) return 0;
    if (strncmp(plan, "fail:", 5) == 0) {
        const char *flag = strchr(plan + 5, ':');
        return changes && flag && faccessat(AT_FDCWD, flag + 1, F_OK, 0) == 0 ? atoi(plan + 5) : 0;
    }
    if (what != 1) return 0;
    long call = ++calls;
    if (strncmp(plan, "kill:", 5) == 0 && call == atol(plan + 5)) {
        REAL(write);
        if (bytes && real(descriptor, bytes, count / 2) < 0) _exit(99);
        kill(getpid(), SIGKILL);
    }
    return 0;
}

__attribute__((destructor)) static void report(void) {
    const char *plan = getenv("DISK_FAULT");
    if (!plan || strncmp(plan, "count:", 6) != 0 || calls == 0) return;
    FILE *file = fopen(plan + 6, "w");
    if (!file) return;
    fprintf(file, "%ld\n", (long)calls);
    fclose(file);
}

#define FAIL_IF(error) do { int code = (error); if (code) { errno = code; return -1; } } while (0)

static int note(int descriptor, const char *path) {
    if (descriptor >= 0 && descriptor < LIMIT) watched[descriptor] = kind(path);
    return descriptor;
}

int open(const char *path, int flags, ...) {
    REAL(open);
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    FAIL_IF(fault(kind(path), changes(path, flags), 0, NULL, 0));
    return note(real(path, flags, mode), path);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    FAIL_IF(fault(kind(path), changes(path, flags), 0, NULL, 0));
    return note(real(path, flags, mode), path);
}

static char of(int descriptor) { return descriptor >= 0 && descriptor < LIMIT ? watched[descriptor] : 0; }

ssize_t write(int descriptor, const void *bytes, size_t count) {
    REAL(write);
    FAIL_IF(fault(of(descriptor), 1, descriptor, bytes, count));
    return real(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    REAL(pwrite);
    if (of(descriptor) == 3) FAIL_IF(fault(3, 1, descriptor, bytes, count));
    return real(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
    REAL(fsync);
    const char *plan = getenv("DISK_FAULT");
    FAIL_IF(plan && strncmp(plan, "sync:", 5) == 0 && of(descriptor) == 2 ? atoi(plan + 5) : 0);
    FAIL_IF(fault(of(descriptor), 1, 0, NULL, 0));
    return real(descriptor);
}

int close(int descriptor) {
    REAL(close);
    (void)fault(of(descriptor), 0, 0, NULL, 0);
    if (descriptor >= 0 && descriptor < LIMIT) watched[descriptor] = 0;
    return real(descriptor);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    FAIL_IF(fault(kind(to), 1, 0, NULL, 0));
    return real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    FAIL_IF(fault(kind(path), 1, 0, NULL, 0));
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    FAIL_IF(fault(kind(path), 1, 0, NULL, 0));
    return real(path, mode);
}

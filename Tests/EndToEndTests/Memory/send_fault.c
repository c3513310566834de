// Preloaded into a process under test: SEND_FAULT=N makes its N-th part of a message fail for want of memory, except in a
// worker.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic long parts;
static long failing;

__attribute__((constructor)) static void begin(void) {
    const char *plan = getenv("SEND_FAULT");
    char arguments[4096] = {0};
    FILE *file = fopen("/proc/self/cmdline", "r");
    if (!plan || !file) abort();
    size_t count = fread(arguments, 1, sizeof arguments - 1, file);
    fclose(file);
    const char *command = arguments + strlen(arguments) + 1;
    if (command < arguments + count && strcmp(command, "worker") != 0) failing = atol(plan);
}

static int fails(void) {
    if (++parts != failing) return 0;
    errno = ENOMEM;
    return 1;
}

int zmq_send(void *socket, const void *bytes, size_t count, int flags) {
    static int (*real)(void *, const void *, size_t, int);
    if (!real) real = (int (*)(void *, const void *, size_t, int))dlsym(RTLD_NEXT, "zmq_send");
    return fails() ? -1 : real(socket, bytes, count, flags);
}

int zmq_msg_send(void *message, void *socket, int flags) {
    static int (*real)(void *, void *, int);
    if (!real) real = (int (*)(void *, void *, int))dlsym(RTLD_NEXT, "zmq_msg_send");
    return fails() ? -1 : real(message, socket, flags);
}

// Memory that other processes may map, without a name in any file system.
#ifndef LOCKSTEP_SHARED_MEMORY_H
#define LOCKSTEP_SHARED_MEMORY_H

// Zeroed memory of this many bytes, whose size is final. The name is for /proc.
// Returns its descriptor; -1, with errno, where there is none.
int lockstep_shared_memory(const char *name, long bytes);

// Whether a descriptor is of memory whose size is final: reading what someone could still cut short may end in SIGBUS.
int lockstep_is_shared_memory(int descriptor);

#endif

// What Swift cannot call itself, since it is variadic in C.
#ifndef LOCKSTEP_PROCESSES_H
#define LOCKSTEP_PROCESSES_H

// Has the kernel kill this process, even a stopped one, when the thread that started it ends.
void lockstep_die_with_parent_thread(void);

#endif

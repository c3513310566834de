#include "processes.h"
#if defined(__linux__)
#include <signal.h>
#include <sys/prctl.h>

void lockstep_die_with_parent_thread(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
#else
void lockstep_die_with_parent_thread(void) {}
#endif

#include "build_info.h"

#ifndef LOCKSTEP_COMMIT
#define LOCKSTEP_COMMIT ""
#endif

const char *const lockstep_commit = LOCKSTEP_COMMIT;

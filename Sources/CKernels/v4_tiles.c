// The tiles of v4 without its instructions. In debug builds only: tests pass over v4's loops on any processor with
// AVX2. What v4 loads and stores by masks at the edges only AVX-512 runs.
#if defined(__x86_64__) && defined(LS_TEST_PATHS)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,f16c,lzcnt,movbe"))), apply_to = function)
#define LS_TABLE ls_v4_tiles
#define LS_NAME "v4-tiles"
#define LS_TILE_ROWS 12
#define LS_VECTORS 2
#include "template.h"
#pragma clang attribute pop
#endif

// x86-64-v3: AVX2 and FMA.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,f16c,lzcnt,movbe"))), apply_to = function)
#define LS_TABLE ls_v3
#define LS_NAME "v3"
#define LS_TILE_ROWS 3
#define LS_VECTORS 2
#define LS_ALL_REGISTERS
#include "template.h"
#pragma clang attribute pop
#endif

// x86-64-v4: AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(                                                                                          \
    __attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi,bmi2,f16c,lzcnt,movbe"))),         \
    apply_to = function)
#define LS_TABLE ls_v4
#define LS_NAME "v4"
#define LS_TILE_ROWS 12
#define LS_VECTORS 2
#define LS_MASKED
#include "template.h"
#pragma clang attribute pop
#endif

// Included once for each instruction set, whose file defines:
//   LS_TABLE, LS_NAME   the table's symbol and its name
//   LS_TILE_ROWS        rows of a tile of weight gradients
//   LS_VECTORS          vectors of 16 floats in a panel
//   LS_ALL_REGISTERS    where a tile takes all registers of AVX2
//   LS_MASKED           where some of 16 floats can be loaded and stored, with AVX-512
//
// Virtual vectors of 16 floats fix the order of every horizontal sum, whatever the hardware.
#include "lockstep_kernels.h"
#include <string.h>

#pragma clang diagnostic ignored "-Wpsabi"

typedef float f32x16 __attribute__((ext_vector_type(16), aligned(4)));
typedef float f32x8 __attribute__((ext_vector_type(8), aligned(4)));
typedef uint32_t u32x16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uint8_t u8x16 __attribute__((ext_vector_type(16), aligned(1)));
typedef uint64_t u64x16 __attribute__((ext_vector_type(16), aligned(8)));
typedef double f64x16 __attribute__((ext_vector_type(16), aligned(8)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define WIDTH LS_WIDTH
#define PANEL (LS_VECTORS * WIDTH)
#define TILE LS_TILE_ROWS
// Rows of a product's tile: with AVX-512 one more than of weight gradients, for which a tile has to divide GROUP. 64 rows
// are five tiles, not six, and each has a beginning and an end.
#define PRODUCT_ROWS (TILE > 6 ? TILE + 1 : TILE)

INLINE f32x16 load(const float *p) { return *(const f32x16 *)p; }
INLINE void store(float *p, f32x16 v) { *(f32x16 *)p = v; }
INLINE f32x16 splat(float x) { return (f32x16)(x); }
INLINE f32x16 fma16(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }

// The first n of 16 floats, zeros behind them; n is a constant 16 in the main loops.
INLINE f32x16 load_some(const float *p, long n) {
    if (n >= WIDTH) return load(p);
#ifdef LS_MASKED
    return (f32x16)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    f32x16 v = splat(0);
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
#endif
}
INLINE void store_some(float *p, f32x16 v, long n) {
    if (n >= WIDTH)
        store(p, v);
    else
#ifdef LS_MASKED
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
        memcpy(p, &v, (size_t)n * sizeof(float));
#endif
}

// Where column j of a row stands whose runs of PANEL columns lie `group` floats apart.
INLINE long in_group(long j, long group) { return j / PANEL * group + j % PANEL; }

#include "products.h"
#include "gradients.h"
#include "rows.h"
#include "elementwise.h"

const ls_kernels LS_TABLE = {
    .name = LS_NAME,
    .tile_rows = TILE,
    .panel_width = PANEL,
    .block_rows = BLOCK_ROWS,
    .group_rows = GROUP,
    .pack_transposed = pack_transposed,
    .pack = pack,
    .gemm = gemm,
    .weight_gradient = weight_gradient,
    .table_gradient = table_gradient,
    .cell_forward = cell_forward,
    .cell_backward = cell_backward,
    .dropout_forward = dropout_forward,
    .dropout_backward = dropout_backward,
    .softmax_loss = softmax_loss,
    .loss = loss,
    .adam = adam,
    .rmsprop = rmsprop,
    .sgd = sgd,
    .add = add,
    .sum_of_squares = sum_of_squares,
    .is_finite = is_finite,
    .digest = digest,
    .exponential = exponential,
    .hyperbolic_tangent = hyperbolic_tangent,
    .sigmoid = sigmoid,
    .exponential_of_doubles = exponential_of_doubles,
    .philox = philox,
    .multiply_adds = multiply_adds,
    .read_all = read_all,
};

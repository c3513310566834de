// Included once for each instruction set, which defines LS_TABLE, LS_NAME, LS_TILE_ROWS, LS_VECTORS (vectors of 16
// floats in a panel) and, where a tile takes all registers of AVX2, LS_ALL_REGISTERS. Virtual vectors of 16 floats fix
// the order of every horizontal sum whatever the hardware.
#include "lockstep_kernels.h"
#include <string.h>

#pragma clang diagnostic ignored "-Wpsabi"

typedef float f16 __attribute__((ext_vector_type(16), aligned(4)));
typedef float f8 __attribute__((ext_vector_type(8), aligned(4)));
typedef int32_t i16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uint32_t u16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uint8_t b16 __attribute__((ext_vector_type(16), aligned(1)));
typedef uint64_t w16 __attribute__((ext_vector_type(16), aligned(8)));
typedef double d16 __attribute__((ext_vector_type(16), aligned(8)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define WIDTH 16
#define PANEL (LS_VECTORS * WIDTH)
#define TILE LS_TILE_ROWS

INLINE f16 load(const float *p) { return *(const f16 *)p; }
INLINE void store(float *p, f16 v) { *(f16 *)p = v; }
INLINE f16 splat(float x) { return (f16)(x); }
INLINE f16 fma16(f16 a, f16 b, f16 c) { return __builtin_elementwise_fma(a, b, c); }

// The first n of 16 floats, zeros behind them; n is a constant 16 in the main loops.
INLINE f16 load_some(const float *p, long n) {
    if (n >= WIDTH) return load(p);
    f16 v = splat(0);
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
}
INLINE void store_some(float *p, f16 v, long n) {
    if (n >= WIDTH)
        store(p, v);
    else
        memcpy(p, &v, (size_t)n * sizeof(float));
}

#include "products.h"
#include "gradients.h"
#include "rows.h"
#include "elementwise.h"

const ls_kernels LS_TABLE = {
    LS_NAME,         TILE,        PANEL,           BLOCK_ROWS,       pack_transposed, pack,        gemm,
    pack_rows,       weight_gradient, table_gradient,  cell_forward, cell_backward, dropout_forward,
    dropout_backward, softmax_loss, loss,          adam,             rmsprop,       sgd,
    add,             sum_of_squares, is_finite,    digest,           exponential,   hyperbolic_tangent,
    sigmoid,         exponential_of_doubles, philox, multiply_adds,   read_all,
};

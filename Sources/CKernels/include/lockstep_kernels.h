// The arithmetic of a training step. Every output element is one chain of fused multiply-adds in one fixed order, so
// blocking, threads and instruction set never show in a bit. Written once in template.h, compiled for each
// instruction set, reached through one table.
#ifndef LOCKSTEP_KERNELS_H
#define LOCKSTEP_KERNELS_H
#include <stddef.h>
#include <stdint.h>

// Floats of a virtual vector, of which all is made whatever the instruction set: a cache line.
#define LS_WIDTH 16

// The scalars of an optimizer's update; which ones are read depends on the kernel.
// Each is rounded once from Double, 1 - beta too: in single precision 1 - 0.999 is off by 1e-5.
typedef struct {
    float clip;         // every gradient is multiplied by it first
    float clamp;        // then brought within minus this and this; infinity for no such bound
    float weight_decay; // of the parameter, added to the gradient
    float shrink;       // what the parameter is multiplied by before all else: 1 - rate * decay for AdamW, else 1
    float rate;         // learning rate; for Adam over its first bias correction
    float one_minus_beta1;
    float beta2, one_minus_beta2; // smoothing of squares, and 1 less it; alpha for RMSprop
    float bias_correction2_root;  // of Adam
    float epsilon, momentum;
    float one_minus_dampening;
    int nesterov, is_first;
} ls_update;

// Rows `stride` apart, and the packed weight that they are multiplied with. Each run of panel_width columns begins
// `group` floats behind the one before: panel_width where rows are in one piece. At most LS_PRODUCTS are summed up at
// once.
#define LS_PRODUCTS 2
typedef struct {
    const float *a;
    long stride, group;
    const float *packed;
} ls_product;

// Floats that will be read or written soon.
typedef struct {
    const float *base;
    long count;
} ls_span;

// One operand of a weight gradient: rows (t, r) at base + (t * rows + r) * stride.
typedef struct {
    const float *base;
    long stride;
} ls_rows;

// What the rows of a weight gradient's first operand are multiplied with, in panels: columns [p panel_width, ...) of
// row (t, r) of the node at base + p * panel + t * step + r * panel_width; and where the gradient goes, [n][columns].
typedef struct {
    const float *base;
    long panel, step;
    float *out;
} ls_inputs;

// A one-hot input of the rows of a weight gradient's first operand: the token of each row, and where the gradient goes,
// [n][vocabulary]. `stack` holds the sums so far, from call to call.
typedef struct {
    const uint32_t *tokens;
    long vocabulary;
    float *out, *stack;
} ls_table;

// Shards of one node of the reduction tree that stand side by side in memory: `count` of them, each `rows_per_shard`
// rows, from row `first_row` of `rows` on.
//
// A node may be worked off in several calls, in order: `done` shards are complete already; with `continues` the first
// one goes on from the time step where the call before it stopped, which had `unfinished`; `is_last` completes the node.
typedef struct {
    long rows, time_steps, first_row, rows_per_shard, count, done;
    int continues, unfinished, is_last;
} ls_node;

typedef struct {
    const char *name;
    // Rows of a weight gradient: block_rows are best computed at a time, and at most; any but the last ones are best a
    // multiple of group_rows.
    long tile_rows, panel_width, block_rows, group_rows;

    // Packed weights are whole panels of panel_width columns.
    // W is row-major [n][k]; packs B = W^T for x (k) -> y (n).
    void (*pack_transposed)(long n, long k, const float *w, float *packed);
    // W is row-major [k][n]; packs B = W for x (k) -> y (n).
    void (*pack)(long n, long k, const float *w, float *packed);
    // C[m][n] = start + A[m][k] B + ..., product after product, k ascending in each. Row i begins with the n values at
    // start[i], or, where `start` is null, with those that C holds. Towards the end what `soon` names is fetched; where
    // rows are few, at most three or on v3 a single one, little of it or nothing is.
    void (*gemm)(long m, long n, long k, long count, const ls_product *products, const float *const *start, float *c,
                 long ldc, long spans, const ls_span *soon);

    // Each out[n][columns] for n in [n0, n1), at most block_rows of them: the tree over the node's shards of the sums
    // over (t, r) of g[n] x[column]. The sums of g[n] alone go to out_bias, and those by token to `table`, unless these
    // are null.
    // `block` holds one shard's packed columns of g; `stack` the sums so far, from call to call.
    void (*weight_gradient)(ls_rows g, ls_node node, long n0, long n1, long columns, long inputs, const ls_inputs *x,
                            float *out_bias, const ls_table *table, float *block, float *stack);
    // The sums by token alone.
    void (*table_gradient)(ls_rows g, ls_node node, long n0, long n1, const ls_table *table);

    // One row of an LSTM cell: gates [4H] in (pre-activations) and out (activations). Runs of panel_width units of h lie
    // `group` floats apart.
    void (*cell_forward)(long hidden, float *gates, const float *c_previous, float *c, float *h, long group);
    // gates in: activations, out: their gradients. dc in: from the later step, out: for the earlier one.
    void (*cell_backward)(long hidden, float *gates, const float *c_previous, const float *c, const float *dh,
                          float *dc);

    // Draws the mask of one row and applies it. key: seed; counter: (unit / 8 | layer << 16, time, row, step). Runs of
    // panel_width units of h and of out lie `group` floats apart.
    void (*dropout_forward)(long hidden, uint64_t seed, uint32_t layer, uint32_t time, uint32_t row, uint32_t step,
                            uint32_t threshold, float scale, const float *h, float *out, long group,
                            uint8_t *mask);
    void (*dropout_backward)(long hidden, float scale, const uint8_t *mask, float *dx);

    // Logits of one row in; out: gradient of scale times the loss. Returns the loss in nats.
    double (*softmax_loss)(long vocabulary, float *logits, uint32_t target, float scale);
    // The loss alone; logits stay.
    double (*loss)(long vocabulary, const float *logits, uint32_t target);

    void (*adam)(long count, float *p, const float *g, float *m, float *v, float *v_max, ls_update u);
    void (*rmsprop)(long count, float *p, const float *g, float *square, float *mean, float *buffer, ls_update u);
    void (*sgd)(long count, float *p, const float *g, float *buffer, ls_update u);

    void (*add)(long count, const float *left, const float *right, float *out);
    double (*sum_of_squares)(long count, const float *x);
    // 1 where no float is infinite or NaN.
    int (*is_finite)(long count, const float *x);
    uint64_t (*digest)(long bytes, const void *data);
    void (*exponential)(long count, const float *x, float *y);
    void (*hyperbolic_tangent)(long count, const float *x, float *y);
    void (*sigmoid)(long count, const float *x, float *y);
    // e to the power of each, in place, to about one unit in the last place; infinity above 709.78, 0 below
    // -745.2; a NaN stays as it is.
    void (*exponential_of_doubles)(long count, double *x);
    void (*philox)(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
    // Runs `rounds` rounds of independent multiply-adds; returns the arithmetic done in floating-point operations.
    double (*multiply_adds)(long rounds);
    // Reads all of x, as fast as it comes; returns some sum of it.
    float (*read_all)(long count, const float *x);
} ls_kernels;

extern const ls_kernels ls_baseline;
#if defined(__x86_64__)
extern const ls_kernels ls_v3;
extern const ls_kernels ls_v4;
#ifdef LS_TEST_PATHS
extern const ls_kernels ls_v4_tiles;
#endif
#endif

// The best table that this processor runs, or the named one ("v4", "v3", "baseline"). Null where there is none.
const ls_kernels *ls_kernels_named(const char *name);

// The natural logarithm of a positive normal number; NaN of anything else. Of libm it uses fma alone, whose result IEEE
// 754 fixes.
double ls_log(double x);

// Floats between the tiles of a packed block beyond their own: whole pages between them would evict each other.
#define LS_BLOCK_GAP 16

// Floats that weight_gradient needs for a block of `n` rows: of `block` and, for a node of `shards` shards, of `stack`;
// and the stack of an ls_table for `n` columns.
long ls_weight_block(const ls_kernels *k, ls_node node, long n);
long ls_weight_stack(const ls_kernels *k, long shards, long n, long columns, long inputs);
long ls_table_stack(long shards, long n, long vocabulary);

#endif

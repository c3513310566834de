// Included once for each instruction set, which defines LS_TABLE, LS_NAME, LS_TILE_ROWS and LS_VECTORS (vectors of 16
// floats in a panel). Virtual vectors of 16 floats fix the order of every horizontal sum whatever the hardware.
#include "lockstep_kernels.h"
#include <string.h>

#pragma clang diagnostic ignored "-Wpsabi"

typedef float f16 __attribute__((ext_vector_type(16), aligned(4)));
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

// MARK: Products

INLINE void tile_rows(const int m, long k, const float *a, long lda, const float *b, float *c, long ldc) {
    f16 acc[TILE][LS_VECTORS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        acc[i][j] = load(c + i * ldc + j * WIDTH);
    for (long x = 0; x < k; x++) {
        f16 row[LS_VECTORS];
        UNROLL for (int j = 0; j < LS_VECTORS; j++) row[j] = load(b + x * PANEL + j * WIDTH);
        UNROLL for (int i = 0; i < m; i++) {
            f16 s = splat(a[i * lda + x]);
            UNROLL for (int j = 0; j < LS_VECTORS; j++) acc[i][j] = fma16(s, row[j], acc[i][j]);
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        store(c + i * ldc + j * WIDTH, acc[i][j]);
}

static void tile(long m, long k, const float *a, long lda, const float *b, float *c, long ldc) {
    switch (m) {
    case 1: tile_rows(1, k, a, lda, b, c, ldc); break;
    case 2: tile_rows(2, k, a, lda, b, c, ldc); break;
    case 3: tile_rows(3, k, a, lda, b, c, ldc); break;
    case 4: tile_rows(4, k, a, lda, b, c, ldc); break;
#if LS_TILE_ROWS > 4
    case 5: tile_rows(5, k, a, lda, b, c, ldc); break;
    case 6: tile_rows(6, k, a, lda, b, c, ldc); break;
#endif
#if LS_TILE_ROWS > 6
    case 7: tile_rows(7, k, a, lda, b, c, ldc); break;
    case 8: tile_rows(8, k, a, lda, b, c, ldc); break;
    case 9: tile_rows(9, k, a, lda, b, c, ldc); break;
    case 10: tile_rows(10, k, a, lda, b, c, ldc); break;
    case 11: tile_rows(11, k, a, lda, b, c, ldc); break;
    case 12: tile_rows(12, k, a, lda, b, c, ldc); break;
#endif
    }
}

static void gemm(long m, long n, long k, const float *a, long lda, const float *packed, float *c, long ldc) {
    // Rows in tiles of nearly the same height: a last tile of one row would run at a twelfth of the speed.
    long tiles = (m + TILE - 1) / TILE;
    for (long first = 0; first < n; first += PANEL, packed += k * PANEL) {
        long width = n - first < PANEL ? n - first : PANEL;
        for (long t = 0; t < tiles; t++) {
            long r0 = m * t / tiles, r1 = m * (t + 1) / tiles;
            float *target = c + r0 * ldc + first;
            if (width == PANEL) {
                tile(r1 - r0, k, a + r0 * lda, lda, packed, target, ldc);
                continue;
            }
            float edge[TILE * PANEL];
            memset(edge, 0, sizeof edge);
            for (long i = 0; i < r1 - r0; i++) memcpy(edge + i * PANEL, target + i * ldc, (size_t)width * 4);
            tile(r1 - r0, k, a + r0 * lda, lda, packed, edge, PANEL);
            for (long i = 0; i < r1 - r0; i++) memcpy(target + i * ldc, edge + i * PANEL, (size_t)width * 4);
        }
    }
}

static void pack_transposed(long n, long k, const float *w, float *packed) {
    for (long first = 0; first < n; first += PANEL)
        for (long x = 0; x < k; x++)
            for (long j = 0; j < PANEL; j++) *packed++ = first + j < n ? w[(first + j) * k + x] : 0;
}

static void pack(long n, long k, const float *w, float *packed) {
    for (long first = 0; first < n; first += PANEL) {
        long width = n - first < PANEL ? n - first : PANEL;
        for (long x = 0; x < k; x++, packed += PANEL) {
            memcpy(packed, w + x * n + first, (size_t)width * 4);
            for (long j = width; j < PANEL; j++) packed[j] = 0;
        }
    }
}

// MARK: Weight gradients

static void pack_rows(ls_rows x, ls_node node, long shard, long columns, float *packed) {
    long first_row = node.first_row + shard * node.rows_per_shard;
    for (long first = 0; first < columns; first += PANEL) {
        long width = columns - first < PANEL ? columns - first : PANEL;
        for (long t = 0; t < node.time_steps; t++)
            for (long r = 0; r < node.rows_per_shard; r++, packed += PANEL) {
                memcpy(packed, x.base + (t * node.rows + first_row + r) * x.stride + first, (size_t)width * 4);
                for (long j = width; j < PANEL; j++) packed[j] = 0;
            }
    }
}

// C[TILE][PANEL] += A^T B over `inner` rows; a is [inner][TILE], b is [inner][PANEL].
INLINE void outer_products(long inner, const float *a, const float *b, float *c, long ldc) {
    f16 acc[TILE][LS_VECTORS];
    UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        acc[i][j] = load(c + i * ldc + j * WIDTH);
    for (long x = 0; x < inner; x++, a += TILE, b += PANEL) {
        f16 row[LS_VECTORS];
        UNROLL for (int j = 0; j < LS_VECTORS; j++) row[j] = load(b + j * WIDTH);
        UNROLL for (int i = 0; i < TILE; i++) {
            f16 s = splat(a[i]);
            UNROLL for (int j = 0; j < LS_VECTORS; j++) acc[i][j] = fma16(s, row[j], acc[i][j]);
        }
    }
    UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        store(c + i * ldc + j * WIDTH, acc[i][j]);
}

static void add(long count, const float *left, const float *right, float *out) {
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) store(out + j, load(left + j) + load(right + j));
    for (; j < count; j++) out[j] = left[j] + right[j];
}

// A stack of partial sums, each `size` floats: a binary counter of the shards that are complete.
typedef struct {
    float *base;
    long size, depth;
} stack;

// Where the shard goes on or begins; a new one from zeros.
INLINE float *stack_open(stack *s, long shard, ls_node node) {
    long complete = node.done + shard;
    s->depth = __builtin_popcountl((unsigned long)complete) + 1;
    float *top = s->base + (s->depth - 1) * s->size;
    if (shard > 0 || !node.continues) memset(top, 0, (size_t)s->size * sizeof(float));
    return top;
}

INLINE void stack_join(stack *s) {
    float *left = s->base + (s->depth - 2) * s->size;
    add(s->size, left, left + s->size, left);
    s->depth--;
}

// Complete subtrees meet as soon as they stand; the last shard of a node collapses what is left.
INLINE void stack_close(stack *s, long shard, ls_node node) {
    if (shard + 1 == node.count && node.unfinished) return;
    for (long complete = node.done + shard + 1; !(complete & 1); complete >>= 1) stack_join(s);
    if (shard + 1 == node.count && node.is_last)
        while (s->depth > 1) stack_join(s);
}

// Columns [n0, n1) of one shard's rows of g, as [tile][t, r][TILE].
INLINE void pack_block(ls_rows g, ls_node node, long first_row, long n0, long n1, float *a) {
    long step = node.time_steps * node.rows_per_shard * TILE;
    for (long t = 0; t < node.time_steps; t++)
        for (long r = 0; r < node.rows_per_shard; r++, a += TILE) {
            const float *from = g.base + (t * node.rows + first_row + r) * g.stride;
            float *to = a;
            long n = n0;
            for (; n + TILE <= n1; n += TILE, to += step) memcpy(to, from + n, TILE * sizeof(float));
            if (n == n1) continue;
            memset(to, 0, TILE * sizeof(float));
            memcpy(to, from + n, (size_t)(n1 - n) * sizeof(float));
        }
}

// Rows of B that stay in L1 together with a panel of A.
#define INNER 256

static void weight_gradient(ls_rows g, const float *packed_x, ls_node node, long n0, long n1, long columns, float *out,
                            long ld_out, float *block, float *base) {
    long inner = node.time_steps * node.rows_per_shard;
    long tiles = (n1 - n0 + TILE - 1) / TILE, panels = (columns + PANEL - 1) / PANEL, width = panels * PANEL;
    stack sums = {base, tiles * TILE * width, 0};
    for (long shard = 0; shard < node.count; shard++) {
        pack_block(g, node, node.first_row + shard * node.rows_per_shard, n0, n1, block);
        float *c = stack_open(&sums, shard, node);
        const float *b = packed_x + shard * panels * inner * PANEL;
        for (long p = 0; p < panels; p++, b += inner * PANEL)
            for (long x = 0; x < inner; x += INNER) {
                long length = inner - x < INNER ? inner - x : INNER;
                for (long i = 0; i < tiles; i++)
                    outer_products(length, block + (i * inner + x) * TILE, b + x * PANEL,
                                   c + i * TILE * width + p * PANEL, width);
            }
        stack_close(&sums, shard, node);
    }
    if (!node.is_last) return;
    for (long i = 0; i < n1 - n0; i++) memcpy(out + (n0 + i) * ld_out, base + i * width, (size_t)columns * sizeof(float));
}

static void column_gradient(ls_rows g, const uint32_t *tokens, long vocabulary, ls_node node, long n0, long n1,
                            float *out_w, float *out_bias, float *base) {
    long held = n1 - n0, width = (held + 15) / 16 * 16, lines = (out_w ? vocabulary : 0) + 1;
    stack sums = {base, lines * width, 0};
    for (long shard = 0; shard < node.count; shard++) {
        float *c = stack_open(&sums, shard, node), *bias = c + (lines - 1) * width;
        for (long t = 0; t < node.time_steps; t++)
            for (long r = 0; r < node.rows_per_shard; r++) {
                long row = t * node.rows + node.first_row + shard * node.rows_per_shard + r;
                const float *from = g.base + row * g.stride + n0;
                add(held, bias, from, bias);
                if (!out_w) continue;
                float *line = c + (long)tokens[row] * width;
                add(held, line, from, line);
            }
        stack_close(&sums, shard, node);
    }
    if (!node.is_last) return;
    if (out_bias) memcpy(out_bias + n0, base + (lines - 1) * width, (size_t)held * sizeof(float));
    if (!out_w) return;
    for (long j = 0; j < held; j++)
        for (long v = 0; v < vocabulary; v++) out_w[(n0 + j) * vocabulary + v] = base[v * width + j];
}

// MARK: Gate math

// e^x: Cephes' expf in fused multiply-adds. Saturates at the ends of the normal range; NaN stays NaN.
INLINE f16 exp16(f16 x) {
    x = x < splat(-87.3365f) ? splat(-87.3365f) : x;
    x = x > splat(88.3762f) ? splat(88.3762f) : x;
    f16 magic = splat(12582912.0f);
    f16 t = fma16(x, splat(1.44269504088896341f), magic), n = t - magic;
    f16 r = fma16(n, splat(-0.693359375f), x);
    r = fma16(n, splat(2.12194440e-4f), r);
    f16 p = splat(1.9875691500e-4f);
    p = fma16(p, r, splat(1.3981999507e-3f));
    p = fma16(p, r, splat(8.3334519073e-3f));
    p = fma16(p, r, splat(4.1665795894e-2f));
    p = fma16(p, r, splat(1.6666665459e-1f));
    p = fma16(p, r, splat(5.0000001201e-1f));
    p = fma16(p, r * r, r) + splat(1.0f);
    u16 bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + (u16)(127u << 23);
    f16 scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

INLINE f16 sigmoid16(f16 x) { return splat(1.0f) / (splat(1.0f) + exp16(-x)); }

// tanh x: an odd polynomial (Cephes) below 0.625, where 1 - 2 / (e^2x + 1) would lose digits.
INLINE f16 tanh16(f16 x) {
    f16 size = __builtin_elementwise_abs(x), z = x * x;
    f16 p = splat(-5.70498872745e-3f);
    p = fma16(p, z, splat(2.06390887954e-2f));
    p = fma16(p, z, splat(-5.37397155531e-2f));
    p = fma16(p, z, splat(1.33314422036e-1f));
    p = fma16(p, z, splat(-3.33332819422e-1f));
    f16 small = fma16(p * z, x, x);
    f16 large = splat(1.0f) - splat(2.0f) / (exp16(size + size) + splat(1.0f));
    large = x < splat(0.0f) ? -large : large;
    return size < splat(0.625f) ? small : large;
}

INLINE void cell_forward_some(long n, long hidden, float *g, const float *cp, float *c, float *h) {
    f16 i = sigmoid16(load_some(g, n)), f = sigmoid16(load_some(g + hidden, n));
    f16 u = tanh16(load_some(g + 2 * hidden, n)), o = sigmoid16(load_some(g + 3 * hidden, n));
    f16 state = fma16(f, load_some(cp, n), i * u);
    store_some(g, i, n);
    store_some(g + hidden, f, n);
    store_some(g + 2 * hidden, u, n);
    store_some(g + 3 * hidden, o, n);
    store_some(c, state, n);
    store_some(h, o * tanh16(state), n);
}

static void cell_forward(long hidden, float *gates, const float *cp, float *c, float *h) {
    long j = 0;
    for (; j + WIDTH <= hidden; j += WIDTH) cell_forward_some(WIDTH, hidden, gates + j, cp + j, c + j, h + j);
    if (j < hidden) cell_forward_some(hidden - j, hidden, gates + j, cp + j, c + j, h + j);
}

INLINE void cell_backward_some(long n, long hidden, float *g, const float *cp, const float *c, const float *dh,
                               float *dc) {
    f16 one = splat(1.0f);
    f16 i = load_some(g, n), f = load_some(g + hidden, n), u = load_some(g + 2 * hidden, n);
    f16 o = load_some(g + 3 * hidden, n), t = tanh16(load_some(c, n)), d = load_some(dh, n);
    f16 state = fma16(d * o, one - t * t, load_some(dc, n));
    store_some(g, state * u * i * (one - i), n);
    store_some(g + hidden, state * load_some(cp, n) * f * (one - f), n);
    store_some(g + 2 * hidden, state * i * (one - u * u), n);
    store_some(g + 3 * hidden, d * t * o * (one - o), n);
    store_some(dc, state * f, n);
}

static void cell_backward(long hidden, float *gates, const float *cp, const float *c, const float *dh, float *dc) {
    long j = 0;
    for (; j + WIDTH <= hidden; j += WIDTH) cell_backward_some(WIDTH, hidden, gates + j, cp + j, c + j, dh + j, dc + j);
    if (j < hidden) cell_backward_some(hidden - j, hidden, gates + j, cp + j, c + j, dh + j, dc + j);
}

#define ELEMENTWISE(name, body)                                                                                        \
    static void name(long count, const float *x, float *y) {                                                           \
        for (long j = 0; j < count; j += WIDTH) {                                                                      \
            long n = count - j < WIDTH ? count - j : WIDTH;                                                            \
            store_some(y + j, body(load_some(x + j, n)), n);                                                           \
        }                                                                                                              \
    }
ELEMENTWISE(exponential, exp16)
ELEMENTWISE(hyperbolic_tangent, tanh16)
ELEMENTWISE(sigmoid, sigmoid16)

// MARK: Dropout

// Philox4x32-10 (Salmon et al., 2011) on 16 counters at once, which differ in word 0 only.
INLINE void philox16(u16 c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1, u16 out[4]) {
    u16 x0 = c0, x1 = (u16)(c1), x2 = (u16)(c2), x3 = (u16)(c3);
    for (int round = 0; round < 10; round++) {
        w16 p0 = __builtin_convertvector(x0, w16) * (w16)(0xD2511F53ull);
        w16 p1 = __builtin_convertvector(x2, w16) * (w16)(0xCD9E8D57ull);
        u16 high0 = __builtin_convertvector(p0 >> 32, u16), low0 = __builtin_convertvector(p0, u16);
        u16 high1 = __builtin_convertvector(p1 >> 32, u16), low1 = __builtin_convertvector(p1, u16);
        x0 = high1 ^ x1 ^ (u16)(k0);
        x1 = low1;
        x2 = high0 ^ x3 ^ (u16)(k1);
        x3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    u16 words[4];
    philox16((u16)(counter[0]), counter[1], counter[2], counter[3], key[0], key[1], words);
    for (int i = 0; i < 4; i++) out[i] = words[i][0];
}

#define LANES ((u16){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})

// Where a bit of two bytes of a mask is set: x * scale; else 0.
INLINE f16 masked(uint32_t bits, f16 x, float scale) {
    u16 kept = (u16)(bits) >> LANES & (u16)(1u);
    return kept != (u16)(0u) ? x * splat(scale) : splat(0.0f);
}

INLINE void apply_mask(long hidden, float scale, const uint8_t *mask, const float *x, float *out) {
    long j = 0;
    for (; j + WIDTH <= hidden; j += WIDTH)
        store(out + j, masked((uint32_t)mask[j / 8] | (uint32_t)mask[j / 8 + 1] << 8, load(x + j), scale));
    if (j == hidden) return;
    long n = hidden - j;
    uint32_t bits = mask[j / 8];
    if (n > 8) bits |= (uint32_t)mask[j / 8 + 1] << 8;
    store_some(out + j, masked(bits, load_some(x + j, n), scale), n);
}

static void dropout_forward(long hidden, uint64_t seed, uint32_t layer, uint32_t time, uint32_t row, uint32_t step,
                            uint32_t threshold, float scale, const float *h, float *out, uint8_t *mask) {
    // 16 blocks of 8 units, two units a word.
    for (long first = 0; first < hidden; first += 128) {
        u16 block = (LANES + (u16)((uint32_t)(first / 8))) | (u16)(layer << 16), words[4];
        philox16(block, time, row, step, (uint32_t)seed, (uint32_t)(seed >> 32), words);
        u16 bits = (u16)(0u), limit = (u16)(threshold);
        for (uint32_t j = 0; j < 4; j++) {
            u16 low = words[j] & (u16)(0xFFFFu), high = words[j] >> 16;
            bits |= low >= limit ? (u16)(1u << (2 * j)) : (u16)(0u);
            bits |= high >= limit ? (u16)(2u << (2 * j)) : (u16)(0u);
        }
        b16 bytes = __builtin_convertvector(bits, b16);
        long blocks = (hidden - first + 7) / 8;
        memcpy(mask + first / 8, &bytes, blocks < 16 ? (size_t)blocks : 16);
    }
    apply_mask(hidden, scale, mask, h, out);
}

static void dropout_backward(long hidden, float scale, const uint8_t *mask, float *dx) {
    apply_mask(hidden, scale, mask, dx, dx);
}

// MARK: Loss

INLINE f16 larger(f16 a, f16 b) { return a > b ? a : b; }

INLINE float largest(long count, const float *x) {
    f16 m = splat(x[0]);
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) m = larger(load(x + j), m);
    float lanes[WIDTH], all;
    store(lanes, m);
    for (; j < count; j++) lanes[0] = x[j] > lanes[0] ? x[j] : lanes[0];
    all = lanes[0];
    for (int i = 1; i < WIDTH; i++) all = lanes[i] > all ? lanes[i] : all;
    return all;
}

// The sum of 16 lanes, in pairs.
INLINE double sum_lanes(d16 v) {
    double s[WIDTH];
    memcpy(s, &v, sizeof s);
    for (int width = 8; width >= 1; width /= 2)
        for (int j = 0; j < width; j++) s[j] += s[j + width];
    return s[0];
}

// e^(x - m) of n logits; behind the last of them zeros.
INLINE f16 exponentials(const float *logits, float m, long n) {
    f16 e = exp16(load_some(logits, n) - splat(m));
    if (n >= WIDTH) return e;
    float held[WIDTH];
    store(held, e);
    return load_some(held, n);
}

static double loss(long vocabulary, const float *logits, uint32_t target) {
    float m = largest(vocabulary, logits);
    f16 lanes = splat(0);
    for (long j = 0; j < vocabulary; j += WIDTH)
        lanes += exponentials(logits + j, m, vocabulary - j < WIDTH ? vocabulary - j : WIDTH);
    double sum = sum_lanes(__builtin_convertvector(lanes, d16));
    return ls_log(sum) + ((double)m - (double)logits[target]);
}

static double softmax_loss(long vocabulary, float *logits, uint32_t target, float scale) {
    float m = largest(vocabulary, logits), chosen = logits[target];
    f16 lanes = splat(0);
    for (long j = 0; j < vocabulary; j += WIDTH) {
        long n = vocabulary - j < WIDTH ? vocabulary - j : WIDTH;
        f16 e = exponentials(logits + j, m, n);
        store_some(logits + j, e, n);
        lanes += e;
    }
    double sum = sum_lanes(__builtin_convertvector(lanes, d16));
    float factor = (float)((double)scale / sum);
    for (long j = 0; j < vocabulary; j += WIDTH) {
        long n = vocabulary - j < WIDTH ? vocabulary - j : WIDTH;
        store_some(logits + j, load_some(logits + j, n) * splat(factor), n);
    }
    logits[target] -= scale;
    return ls_log(sum) + ((double)m - (double)chosen);
}

// MARK: Updates, as torch.optim's single-tensor path

INLINE void adam_some(long n, float *p, const float *g, float *m, float *v, float *v_max, ls_update u) {
    f16 w = load_some(p, n) * splat(u.shrink);
    f16 d = load_some(g, n) * splat(u.clip) + w * splat(u.weight_decay);
    f16 first = load_some(m, n);
    first += splat(u.rest1) * (d - first);
    f16 second = load_some(v, n) * splat(u.beta2) + splat(u.rest2) * d * d;
    store_some(m, first, n);
    store_some(v, second, n);
    if (v_max) {
        second = larger(load_some(v_max, n), second);
        store_some(v_max, second, n);
    }
    f16 divisor = __builtin_elementwise_sqrt(second) / splat(u.root) + splat(u.epsilon);
    store_some(p, w - splat(u.rate) * first / divisor, n);
}

INLINE void rmsprop_some(long n, float *p, const float *g, float *square, float *mean, float *buffer, ls_update u) {
    f16 w = load_some(p, n), d = load_some(g, n) * splat(u.clip) + w * splat(u.weight_decay);
    f16 s = load_some(square, n) * splat(u.beta2) + splat(u.rest2) * d * d;
    store_some(square, s, n);
    if (mean) {
        f16 a = load_some(mean, n);
        a += splat(u.rest2) * (d - a);
        store_some(mean, a, n);
        s -= a * a;
    }
    f16 divisor = __builtin_elementwise_sqrt(s) + splat(u.epsilon);
    if (buffer) {
        f16 b = load_some(buffer, n) * splat(u.momentum) + d / divisor;
        store_some(buffer, b, n);
        store_some(p, w - splat(u.rate) * b, n);
    } else {
        store_some(p, w - splat(u.rate) * d / divisor, n);
    }
}

INLINE void sgd_some(long n, float *p, const float *g, float *buffer, ls_update u) {
    f16 w = load_some(p, n), d = load_some(g, n) * splat(u.clip) + w * splat(u.weight_decay);
    if (buffer) {
        f16 b = u.is_first ? d : load_some(buffer, n) * splat(u.momentum) + splat(u.undamped) * d;
        store_some(buffer, b, n);
        d = u.nesterov ? d + splat(u.momentum) * b : b;
    }
    store_some(p, w - splat(u.rate) * d, n);
}

static void adam(long count, float *p, const float *g, float *m, float *v, float *v_max, ls_update u) {
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) adam_some(WIDTH, p + j, g + j, m + j, v + j, v_max ? v_max + j : v_max, u);
    if (j < count) adam_some(count - j, p + j, g + j, m + j, v + j, v_max ? v_max + j : v_max, u);
}

static void rmsprop(long count, float *p, const float *g, float *square, float *mean, float *buffer, ls_update u) {
    for (long j = 0; j < count; j += WIDTH)
        rmsprop_some(count - j < WIDTH ? count - j : WIDTH, p + j, g + j, square + j, mean ? mean + j : mean,
                     buffer ? buffer + j : buffer, u);
}

static void sgd(long count, float *p, const float *g, float *buffer, ls_update u) {
    for (long j = 0; j < count; j += WIDTH)
        sgd_some(count - j < WIDTH ? count - j : WIDTH, p + j, g + j, buffer ? buffer + j : buffer, u);
}

// MARK: Sums and digests

static double sum_of_squares(long count, const float *x) {
    d16 lanes = (d16)(0.0);
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) {
        d16 d = __builtin_convertvector(load(x + j), d16);
        lanes += d * d;
    }
    if (j < count) {
        d16 d = __builtin_convertvector(load_some(x + j, count - j), d16);
        lanes += d * d;
    }
    return sum_lanes(lanes);
}

static int is_finite(long count, const float *x) {
    u16 bad = (u16)(0u), exponent = (u16)(0x7F800000u);
    for (long j = 0; j < count; j += WIDTH) {
        f16 v = load_some(x + j, count - j < WIDTH ? count - j : WIDTH);
        u16 bits;
        memcpy(&bits, &v, sizeof bits);
        bad |= (bits & exponent) == exponent ? (u16)(1u) : (u16)(0u);
    }
    uint32_t any = 0;
    for (int i = 0; i < WIDTH; i++) any |= bad[i];
    return !any;
}

// 32 lanes of 64 bits. Each word passes MurmurHash3's multiply, shift, multiply, which carries every bit to many others
// before the next word comes in: a change is not undone by one of a bit or two further on. Every step is a bijection of
// the lane, so a change within one word always shows. SplitMix64's finaliser joins the lanes.
static uint64_t digest(long bytes, const void *data) {
    const char *from = data;
    w16 lanes[2];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < WIDTH; j++) lanes[i][j] = 0x9E3779B97F4A7C15ull * (uint64_t)(i * WIDTH + j + 1);
    for (long first = 0; first < bytes; first += 256) {
        w16 next[2];
        if (bytes - first >= 256) {
            memcpy(next, from + first, sizeof next);
        } else {
            memset(next, 0, sizeof next);
            memcpy(next, from + first, (size_t)(bytes - first));
        }
        for (int i = 0; i < 2; i++) {
            w16 x = (lanes[i] ^ next[i]) * (w16)(0xFF51AFD7ED558CCDull);
            x ^= x >> 33;
            lanes[i] = x * (w16)(0xC4CEB9FE1A85EC53ull);
        }
    }
    uint64_t h = (uint64_t)bytes;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < WIDTH; j++) {
            h = (h ^ lanes[i][j]) + 0x9E3779B97F4A7C15ull;
            h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9ull;
            h = (h ^ h >> 27) * 0x94D049BB133111EBull;
            h ^= h >> 31;
        }
    return h;
}

// Independent chains: enough to hide the latency of a multiply-add, few enough to stay in registers.
#define CHAINS (LS_TILE_ROWS > 6 ? 12 : 6)

static double multiply_adds(long rounds) {
    f16 a[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) a[i] = splat((float)i);
    f16 x = splat(0.9999f), y = splat(1e-6f);
    for (long r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] = fma16(a[i], x, y);
    }
    volatile float sink = 0;
    for (int i = 0; i < CHAINS; i++)
        for (int j = 0; j < WIDTH; j++) sink = sink + a[i][j];
    return (double)rounds * CHAINS * 2 * WIDTH;
}

const ls_kernels LS_TABLE = {
    LS_NAME,         TILE,        PANEL,           pack_transposed,  pack,          gemm,
    pack_rows,       weight_gradient, column_gradient, cell_forward, cell_backward, dropout_forward,
    dropout_backward, softmax_loss, loss,          adam,             rmsprop,       sgd,
    add,             sum_of_squares, is_finite,    digest,           exponential,   hyperbolic_tangent,
    sigmoid,         philox,      multiply_adds,
};

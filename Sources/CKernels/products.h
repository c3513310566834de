// Part of template.h: products of matrices, and gradients of weights.

// MARK: Products

// Rows of a panel that are fetched into L1 before their turn. A panel is as large as L1, so it comes from L2 for each
// tile, and the hardware's guesses end at each page.
#define NEAR 12
// Beside how many of its own rows a tile fetches one row of the next panel into L2, where it comes from L3.
#define FAR 8

INLINE void fetch_row(const float *row, const int level) {
    UNROLL for (int j = 0; j < LS_VECTORS; j++) {
        if (level == 1)
            __builtin_prefetch(row + j * WIDTH, 0, 3);
        else
            __builtin_prefetch(row + j * WIDTH, 0, 2);
    }
}

// A tile of C: where it lies, and the rows of values that it begins with, from column `column` on; null for C's own.
typedef struct {
    float *c;
    long stride;
    const float *const *start;
    long column;
} target;

INLINE const float *beginning(target to, int row) {
    return to.start ? to.start[row] + to.column : to.c + row * to.stride;
}

INLINE void tile_rows(const int m, long k, const float *a, long lda, const float *b, target to, const float *next) {
    f16 acc[TILE][LS_VECTORS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    for (long x = 0; x < k; x++) {
        f16 row[LS_VECTORS];
        fetch_row(b + (x + NEAR) * PANEL, 1);
        if (x % FAR == 0) fetch_row(next + x / FAR * PANEL, 2);
        UNROLL for (int j = 0; j < LS_VECTORS; j++) row[j] = load(b + x * PANEL + j * WIDTH);
        UNROLL for (int i = 0; i < m; i++) {
            f16 s = splat(a[i * lda + x]);
            UNROLL for (int j = 0; j < LS_VECTORS; j++) acc[i][j] = fma16(s, row[j], acc[i][j]);
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        store(to.c + i * to.stride + j * WIDTH, acc[i][j]);
}

static void tile(long m, long k, const float *a, long lda, const float *b, target to, const float *next) {
    switch (m) {
    case 1: tile_rows(1, k, a, lda, b, to, next); break;
    case 2: tile_rows(2, k, a, lda, b, to, next); break;
    case 3: tile_rows(3, k, a, lda, b, to, next); break;
    case 4: tile_rows(4, k, a, lda, b, to, next); break;
#if LS_TILE_ROWS > 4
    case 5: tile_rows(5, k, a, lda, b, to, next); break;
    case 6: tile_rows(6, k, a, lda, b, to, next); break;
#endif
#if LS_TILE_ROWS > 6
    case 7: tile_rows(7, k, a, lda, b, to, next); break;
    case 8: tile_rows(8, k, a, lda, b, to, next); break;
    case 9: tile_rows(9, k, a, lda, b, to, next); break;
    case 10: tile_rows(10, k, a, lda, b, to, next); break;
    case 11: tile_rows(11, k, a, lda, b, to, next); break;
    case 12: tile_rows(12, k, a, lda, b, to, next); break;
#endif
    }
}

// One to three rows of A against several panels at once: enough chains to hide the latency of a multiply-add, and as
// many streams of B, which is read once only.
INLINE void tile_panels(const int m, const int panels, long k, const float *a, long lda, const float *b, target to) {
    f16 acc[3][4 * LS_VECTORS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < panels * LS_VECTORS; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    for (long x = 0; x < k; x++) {
        f16 s[3];
        UNROLL for (int i = 0; i < m; i++) s[i] = splat(a[i * lda + x]);
        UNROLL for (int p = 0; p < panels; p++) UNROLL for (int j = 0; j < LS_VECTORS; j++) {
            f16 row = load(b + (p * k + x) * PANEL + j * WIDTH);
            UNROLL for (int i = 0; i < m; i++)
                acc[i][p * LS_VECTORS + j] = fma16(s[i], row, acc[i][p * LS_VECTORS + j]);
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < panels * LS_VECTORS; j++)
        store(to.c + i * to.stride + j * WIDTH, acc[i][j]);
}

static void gemm(long m, long n, long k, const float *a, long lda, const float *packed, const float *const *start,
                 float *c, long ldc) {
    // Rows in tiles of nearly the same height: a last tile of one row would run at a twelfth of the speed.
    long tiles = (m + TILE - 1) / TILE, first = 0;
    if (m <= 3) {
        long panels = m == 1 ? 4 : m == 2 ? 3 : 2;
        for (; first + panels * PANEL <= n; first += panels * PANEL, packed += panels * k * PANEL) {
            target to = {c + first, ldc, start, first};
            if (m == 1) tile_panels(1, 4, k, a, lda, packed, to);
            if (m == 2) tile_panels(2, 3, k, a, lda, packed, to);
            if (m == 3) tile_panels(3, 2, k, a, lda, packed, to);
        }
    }
    for (; first < n; first += PANEL, packed += k * PANEL) {
        long width = n - first < PANEL ? n - first : PANEL;
        for (long t = 0; t < tiles; t++) {
            long r0 = m * t / tiles, r1 = m * (t + 1) / tiles;
            target to = {c + r0 * ldc + first, ldc, start ? start + r0 : 0, first};
            const float *next = packed + (k + t * (k / FAR)) * PANEL;
            if (width == PANEL) {
                tile(r1 - r0, k, a + r0 * lda, lda, packed, to, next);
                continue;
            }
            float edge[TILE * PANEL];
            memset(edge, 0, sizeof edge);
            for (int i = 0; i < r1 - r0; i++) memcpy(edge + i * PANEL, beginning(to, i), (size_t)width * 4);
            tile(r1 - r0, k, a + r0 * lda, lda, packed, (target){edge, PANEL, 0, 0}, next);
            for (long i = 0; i < r1 - r0; i++) memcpy(to.c + i * ldc, edge + i * PANEL, (size_t)width * 4);
        }
    }
}

static void pack_transposed(long n, long k, const float *w, float *packed) {
    for (long first = 0; first < n; first += PANEL)
        for (long x = 0; x < k; x++)
            for (long j = 0; j < PANEL; j++) *packed++ = first + j < n ? w[(first + j) * k + x] : 0;
}

// `width` floats of a row of a panel, zeros behind them. The whole row is a copy of known size, which is no call.
INLINE void pack_row(float *packed, const float *from, long width) {
    if (width >= PANEL) {
        memcpy(packed, from, PANEL * sizeof(float));
        return;
    }
    memset(packed, 0, PANEL * sizeof(float));
    memcpy(packed, from, (size_t)width * sizeof(float));
}

static void pack(long n, long k, const float *w, float *packed) {
    for (long first = 0; first < n; first += PANEL)
        for (long x = 0; x < k; x++, packed += PANEL) pack_row(packed, w + x * n + first, n - first);
}

// MARK: Weight gradients

// Rows of the result that come at a time: see WeightGradient.blockTiles.
#define BLOCK_ROWS 96

static void pack_rows(ls_rows x, ls_node node, long shard, long columns, float *packed) {
    long first_row = node.first_row + shard * node.rows_per_shard;
    for (long first = 0; first < columns; first += PANEL)
        for (long t = 0; t < node.time_steps; t++)
            for (long r = 0; r < node.rows_per_shard; r++, packed += PANEL)
                pack_row(packed, x.base + (t * node.rows + first_row + r) * x.stride + first, columns - first);
}

// Floats of the next panel that are fetched beside each row of this one: all of it while a block's tiles pass over it.
#define AHEAD (TILE >= 6 ? PANEL * TILE / BLOCK_ROWS : 1)

// C[TILE][PANEL] += A^T B over `inner` rows; a is [inner][TILE], b is [inner][PANEL].
INLINE void outer_products(long inner, const float *a, const float *b, float *c, long ldc, const float *next) {
    f16 acc[TILE][LS_VECTORS];
    UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        acc[i][j] = load(c + i * ldc + j * WIDTH);
    for (long x = 0; x < inner; x++, a += TILE, b += PANEL) {
        f16 row[LS_VECTORS];
        UNROLL for (int j = 0; j < LS_VECTORS; j++) row[j] = load(b + j * WIDTH);
        if (x % (WIDTH / AHEAD) == 0) __builtin_prefetch(next + x * AHEAD, 0, 2);
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
            // Rows are too far apart for the hardware to guess the next.
            for (long n = n0; n < n1; n += WIDTH) __builtin_prefetch(from + node.rows * g.stride + n, 0, 2);
            float *to = a;
            long n = n0;
            for (; n + TILE <= n1; n += TILE, to += step) memcpy(to, from + n, TILE * sizeof(float));
            if (n == n1) continue;
            memset(to, 0, TILE * sizeof(float));
            memcpy(to, from + n, (size_t)(n1 - n) * sizeof(float));
        }
}

// Rows of B, at most, that stay in L1 together with a panel of A.
#define INNER 288

static void weight_gradient(ls_rows g, const float *packed_x, ls_node node, long n0, long n1, long columns, float *out,
                            long ld_out, float *block, float *base) {
    long inner = node.time_steps * node.rows_per_shard, parts = (inner + INNER - 1) / INNER;
    long tiles = (n1 - n0 + TILE - 1) / TILE, panels = (columns + PANEL - 1) / PANEL, width = panels * PANEL;
    stack sums = {base, tiles * TILE * width, 0};
    for (long shard = 0; shard < node.count; shard++) {
        pack_block(g, node, node.first_row + shard * node.rows_per_shard, n0, n1, block);
        float *c = stack_open(&sums, shard, node);
        const float *b = packed_x + shard * panels * inner * PANEL;
        for (long p = 0; p < panels; p++, b += inner * PANEL)
            for (long part = 0; part < parts; part++) {
                long x = inner * part / parts, length = inner * (part + 1) / parts - x;
                const float *next = b + (x + length) * PANEL;
                for (long i = 0; i < tiles; i++)
                    outer_products(length, block + (i * inner + x) * TILE, b + x * PANEL,
                                   c + i * TILE * width + p * PANEL, width, next + i * length * AHEAD);
            }
        stack_close(&sums, shard, node);
    }
    if (!node.is_last) return;
    for (long i = 0; i < n1 - n0; i++) memcpy(out + (n0 + i) * ld_out, base + i * width, (size_t)columns * sizeof(float));
}

// Adds one shard's rows of g to `vectors` vectors of sums, which stay in registers.
INLINE void add_rows(const int vectors, const float *from, long stride, ls_node node, float *sums) {
    f16 acc[6];
    UNROLL for (int j = 0; j < vectors; j++) acc[j] = load(sums + j * WIDTH);
    for (long t = 0; t < node.time_steps; t++, from += (node.rows - node.rows_per_shard) * stride)
        for (long r = 0; r < node.rows_per_shard; r++, from += stride)
            UNROLL for (int j = 0; j < vectors; j++) acc[j] += load(from + j * WIDTH);
    UNROLL for (int j = 0; j < vectors; j++) store(sums + j * WIDTH, acc[j]);
}

static void column_gradient(ls_rows g, const uint32_t *tokens, long vocabulary, ls_node node, long n0, long n1,
                            float *out_w, float *out_bias, float *base) {
    long held = n1 - n0, width = (held + 15) / 16 * 16, lines = (out_w ? vocabulary : 0) + 1;
    stack sums = {base, lines * width, 0};
    for (long shard = 0; shard < node.count; shard++) {
        float *c = stack_open(&sums, shard, node), *bias = c + (lines - 1) * width;
        long first_row = node.first_row + shard * node.rows_per_shard, j = 0;
        const float *rows = g.base + first_row * g.stride + n0;
        for (; j + 6 * WIDTH <= held; j += 6 * WIDTH) add_rows(6, rows + j, g.stride, node, bias + j);
        for (; j + WIDTH <= held; j += WIDTH) add_rows(1, rows + j, g.stride, node, bias + j);
        for (long t = 0; t < node.time_steps && (j < held || out_w); t++)
            for (long r = 0; r < node.rows_per_shard; r++) {
                const float *from = rows + (t * node.rows + r) * g.stride;
                if (j < held) add(held - j, bias + j, from + j, bias + j);
                if (!out_w) continue;
                float *line = c + (long)tokens[t * node.rows + first_row + r] * width;
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

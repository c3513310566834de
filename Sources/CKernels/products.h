// Part of template.h: products of matrices.

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

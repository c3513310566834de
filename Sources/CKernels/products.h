// Part of template.h: products of matrices.

// Rows of B that a tile multiplies in one round of its loop. What counts a round and finds addresses takes turns from the
// multiply-adds where another thread of the core, or of another machine on it, takes half of them. Tiles of 32 columns do
// enough with one row, and of more the compiler would spill registers.
#define STEPS (LS_VECTORS > 1 ? 1 : 4)
#define THIRDS ((TILE + 2) / 3)

// Rows of a panel that are fetched into L1 before their turn. A panel is as large as L1, so it comes from L2 for each
// tile, and the hardware's guesses end at each page.
#define NEAR 12
// Beside how many of its own rows a tile fetches one row of the next panel into L2, where it comes from L3, and some
// lines of what is needed after this product.
#define FAR 8
#define SOON_LINES 2

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

INLINE const float *beginning(const target *to, int row) {
    return to->start ? to->start[row] + to->column : to->c + row * to->stride;
}

// The products whose sums a tile is: rows of each from `first` on, and the panel from `panel` floats on. Meanwhile the
// lines from `soon` to `soon_end` are fetched.
typedef struct {
    const ls_product *products;
    long count, k, first, panel;
    const float *soon, *soon_end;
} terms;

// acc[i] += a value of row i times a row of B. The values lie `stride` apart; `thirds` are the addresses of the first,
// the fourth and so on, so that an address is a base and once or twice the stride.
INLINE void multiply_row(const int m, f16 acc[TILE][LS_VECTORS], const float *const *thirds, long stride, long at,
                         const float *b) {
    f16 row[LS_VECTORS];
    UNROLL for (int j = 0; j < LS_VECTORS; j++) row[j] = load(b + j * WIDTH);
    UNROLL for (int i = 0; i < m; i++) {
        f16 s = splat(thirds[i / 3][i % 3 * stride + at]);
        UNROLL for (int j = 0; j < LS_VECTORS; j++) acc[i][j] = fma16(s, row[j], acc[i][j]);
    }
}

// `far`: the row of the next panel from which on some are fetched into L2.
INLINE void tile_rows(const int m, const terms *of, const target *to, long far) {
    f16 acc[TILE][LS_VECTORS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    if (to->start)
        UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
            __builtin_prefetch(to->c + i * to->stride + j * WIDTH, 1, 3);
    const long k = of->k;
    const float *soon = of->soon;
    for (const ls_product *p = of->products; p < of->products + of->count; p++) {
        const long lda = p->stride;
        const float *a = p->a + of->first * lda, *b = p->packed + of->panel, *next = b + (k + far) * PANEL;
        const float *thirds[THIRDS];
        UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3] = a + i * lda;
        long x = 0;
        for (; x + STEPS <= k; x += STEPS, b += STEPS * PANEL) {
            if (x % FAR == 0) {
                fetch_row(next + x / FAR * PANEL, 2);
                if (soon < of->soon_end) {
                    UNROLL for (int i = 0; i < SOON_LINES; i++, soon += WIDTH) __builtin_prefetch(soon, 0, 2);
                }
            }
            UNROLL for (int y = 0; y < STEPS; y++) {
                fetch_row(b + (y + NEAR) * PANEL, 1);
                multiply_row(m, acc, thirds, lda, y, b + y * PANEL);
            }
            UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3] += STEPS;
        }
        for (; x < k; x++, b += PANEL) {
            multiply_row(m, acc, thirds, lda, 0, b);
            UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3]++;
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < LS_VECTORS; j++)
        store(to->c + i * to->stride + j * WIDTH, acc[i][j]);
}

// Structures by address: a copy on the stack would be read sooner than it is written.
static void tile(long m, const terms *of, const target *to, long far) {
    switch (m) {
    case 1: tile_rows(1, of, to, far); break;
    case 2: tile_rows(2, of, to, far); break;
    case 3: tile_rows(3, of, to, far); break;
    case 4: tile_rows(4, of, to, far); break;
#if LS_TILE_ROWS > 4
    case 5: tile_rows(5, of, to, far); break;
    case 6: tile_rows(6, of, to, far); break;
#endif
#if LS_TILE_ROWS > 6
    case 7: tile_rows(7, of, to, far); break;
    case 8: tile_rows(8, of, to, far); break;
    case 9: tile_rows(9, of, to, far); break;
    case 10: tile_rows(10, of, to, far); break;
    case 11: tile_rows(11, of, to, far); break;
    case 12: tile_rows(12, of, to, far); break;
#endif
    }
}

// One to three rows of A against several panels at once: enough chains to hide the latency of a multiply-add, and as
// many streams of B, which is read once only.
INLINE void tile_panels(const int m, const int panels, const terms *of, const target *to) {
    f16 acc[3][4 * LS_VECTORS];
    const long k = of->k;
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < panels * LS_VECTORS; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    for (const ls_product *p = of->products; p < of->products + of->count; p++) {
        const float *a = p->a, *b = p->packed + of->panel;
        const long lda = p->stride;
        for (long x = 0; x < k; x++) {
            f16 s[3];
            UNROLL for (int i = 0; i < m; i++) s[i] = splat(a[i * lda + x]);
            UNROLL for (int q = 0; q < panels; q++) UNROLL for (int j = 0; j < LS_VECTORS; j++) {
                f16 row = load(b + (q * k + x) * PANEL + j * WIDTH);
                UNROLL for (int i = 0; i < m; i++)
                    acc[i][q * LS_VECTORS + j] = fma16(s[i], row, acc[i][q * LS_VECTORS + j]);
            }
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < panels * LS_VECTORS; j++)
        store(to->c + i * to->stride + j * WIDTH, acc[i][j]);
}

// What tiles fetch for the time after a product, span by span: only the last ones, so that it is still near.
typedef struct {
    const ls_span *span, *end;
    long at, each, waiting;
} fetching;

// Of the `tiles` of a product, each can fetch `each` floats.
INLINE fetching fetching_of(long spans, const ls_span *soon, long tiles, long each) {
    long needed = 0;
    if (each > 0)
        for (long i = 0; i < spans; i++) needed += (soon[i].count + each - 1) / each;
    return (fetching){soon, each > 0 ? soon + spans : soon, 0, each, tiles > needed ? tiles - needed : 0};
}

// The share of the next tile.
INLINE void fetch_share(fetching *f, terms *of) {
    of->soon = of->soon_end = NULL;
    if (f->waiting-- > 0 || f->span == f->end) return;
    long count = f->span->count - f->at;
    if (count > f->each) count = f->each;
    of->soon = f->span->base + f->at;
    of->soon_end = of->soon + count;
    f->at += count;
    if (f->at < f->span->count) return;
    f->span++;
    f->at = 0;
}

static void gemm(long m, long n, long k, long count, const ls_product *products, const float *const *start, float *c,
                 long ldc, long spans, const ls_span *soon) {
    terms of = {products, count, k, 0, 0, NULL, NULL};
    long first = 0;
    if (m <= 3) {
        long panels = m == 1 ? 4 : m == 2 ? 3 : 2;
        for (; first + panels * PANEL <= n; first += panels * PANEL, of.panel += panels * k * PANEL) {
            target to = {c + first, ldc, start, first};
            if (m == 1) tile_panels(1, 4, &of, &to);
            if (m == 2) tile_panels(2, 3, &of, &to);
            if (m == 3) tile_panels(3, 2, &of, &to);
        }
    }
    // Rows in tiles of nearly the same height: a last tile of one row would run at a twelfth of the speed.
    long tiles = (m + TILE - 1) / TILE, low = m / tiles, higher = m % tiles;
    long all = tiles * ((n - first + PANEL - 1) / PANEL);
    fetching ahead = fetching_of(spans, soon, all, count * (k / FAR) * SOON_LINES * WIDTH);
    for (; first < n; first += PANEL, of.panel += k * PANEL) {
        long width = n - first < PANEL ? n - first : PANEL;
        of.first = 0;
        for (long t = 0; t < tiles; t++) {
            long height = low + (t < higher), far = t * (k / FAR);
            target to = {c + of.first * ldc + first, ldc, start ? start + of.first : 0, first};
            if (!start) {
                // What the next tile begins with; other rows may be another thread's.
                const float *next = t + 1 < tiles ? to.c + height * ldc : c + first + PANEL;
                long next_height = t + 1 < tiles ? low + (t + 1 < higher) : first + PANEL < n ? low + (higher > 0) : 0;
                for (long i = 0; i < next_height; i++)
                    for (long j = 0; j < PANEL; j += WIDTH) __builtin_prefetch(next + i * ldc + j, 1, 3);
            }
            fetch_share(&ahead, &of);
            if (width == PANEL) {
                tile(height, &of, &to, far);
            } else {
                float edge[TILE * PANEL];
                memset(edge, 0, sizeof edge);
                for (int i = 0; i < height; i++) memcpy(edge + i * PANEL, beginning(&to, i), (size_t)width * 4);
                target whole = {edge, PANEL, 0, 0};
                tile(height, &of, &whole, far);
                for (long i = 0; i < height; i++) memcpy(to.c + i * ldc, edge + i * PANEL, (size_t)width * 4);
            }
            of.first += height;
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

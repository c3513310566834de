// Part of template.h: products of matrices.

// Rows of B that a tile multiplies in one round of its loop. What counts a round and finds addresses takes turns from
// the multiply-adds where another thread of the core, or of another machine on it, takes half of them. Tiles of 13 rows
// do enough with one row of B, and of more the compiler would spill registers.
#define STEPS (TILE > 6 ? 1 : 8)
#define THIRDS ((PRODUCT_ROWS + 2) / 3)

// Rows of B, at most, that a tile passes over at once: so many stay in L1 beside the rows of A, and all tiles find them
// there. What 13 rows of A do with a row of B is enough to fetch the next ones meanwhile.
#define PART (TILE > 6 ? 1 << 30 : 6 * PANEL)

// Rows of a panel that are fetched into L1 before their turn, where a panel is larger than L1: it comes from L2 for
// each tile, and the hardware's guesses end at each page.
#define NEAR (TILE > 6 ? 32 : 0)
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
} output_tile;

INLINE const float *beginning(const output_tile *to, int row) {
    return to->start ? to->start[row] + to->column : to->c + row * to->stride;
}

// The products whose sums a tile is: rows of each from `first` on, and `length` rows of a panel. Meanwhile the lines
// from `soon` to `soon_end` are fetched.
typedef struct {
    ls_product products[LS_PRODUCTS];
    long count, length, first;
    const float *soon, *soon_end;
} gemm_operands;

// acc[i] += a value of row i times `vectors` vectors of a row of B. The values lie `stride` apart; `thirds` are the
// addresses of the first, the fourth and so on, so that an address is a base and once or twice the stride.
#ifdef LS_ALL_REGISTERS
INLINE f32x8 multiply_add_in_order(f32x8 a, f32x8 b, f32x8 c) {
    asm volatile("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}

// Twelve sums, three values and a piece of B are all the registers there are. In any order but this one, and the
// compiler does not keep it, some of them are spilled.
INLINE void multiply_row(const int m, const int vectors, f32x16 acc[][LS_VECTORS], const float *const *thirds,
                         long stride, long at, const float *b) {
    f32x8 values[TILE], row;
    UNROLL for (int i = 0; i < m; i++)
        asm volatile("vbroadcastss %1, %0" : "=x"(values[i]) : "m"(thirds[i / 3][i % 3 * stride + at]));
    UNROLL for (int j = 0; j < vectors; j++) {
        asm volatile("vmovups %1, %0" : "=x"(row) : "m"(*(const f32x8 *)(b + j * WIDTH)));
        UNROLL for (int i = 0; i < m; i++) acc[i][j].lo = multiply_add_in_order(values[i], row, acc[i][j].lo);
        asm volatile("vmovups %1, %0" : "=x"(row) : "m"(*(const f32x8 *)(b + j * WIDTH + WIDTH / 2)));
        UNROLL for (int i = 0; i < m; i++) acc[i][j].hi = multiply_add_in_order(values[i], row, acc[i][j].hi);
    }
}
#else
INLINE void multiply_row(const int m, const int vectors, f32x16 acc[][LS_VECTORS], const float *const *thirds,
                         long stride, long at, const float *b) {
    f32x16 row[LS_VECTORS];
    UNROLL for (int j = 0; j < vectors; j++) row[j] = load(b + j * WIDTH);
    UNROLL for (int i = 0; i < m; i++) {
        f32x16 s = splat(thirds[i / 3][i % 3 * stride + at]);
        UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = fma16(s, row[j], acc[i][j]);
    }
}
#endif

// Goes on to a group of columns, if one begins with column x of the sums. The one behind it is fetched: it is too far
// away for the hardware to guess.
INLINE void next_group(const int m, const float **thirds, long stride, long x, long jump) {
    if (jump == 0 || x % PANEL != 0) return;
    UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3] += jump;
    UNROLL for (int i = 0; i < m; i++) fetch_row(thirds[i / 3] + i % 3 * stride + PANEL + jump, 1);
}

// `far`: the row behind this part of the panel from which on some are fetched into L2.
INLINE void tile_rows(const int m, const int vectors, const gemm_operands *of, const output_tile *to, long far) {
    f32x16 acc[PRODUCT_ROWS][LS_VECTORS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < vectors; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    if (to->start)
        UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < vectors; j++)
            __builtin_prefetch(to->c + i * to->stride + j * WIDTH, 1, 3);
    const long length = of->length;
    const float *soon = of->soon;
    for (const ls_product *p = of->products; p < of->products + of->count; p++) {
        const long lda = p->stride, jump = p->group - PANEL;
        const float *a = p->a + of->first * lda, *b = p->packed;
        const float *next = b + (length + far) * PANEL;
        const float *thirds[THIRDS];
        UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3] = a + i * lda - jump;
        long x = 0;
        for (; x + STEPS <= length; x += STEPS, b += STEPS * PANEL) {
            if (x % FAR == 0) {
                next_group(m, thirds, lda, x, jump);
                fetch_row(next + x / FAR * PANEL, 2);
                if (soon < of->soon_end) {
                    UNROLL for (int i = 0; i < SOON_LINES; i++, soon += WIDTH) __builtin_prefetch(soon, 0, 2);
                }
            }
            UNROLL for (int y = 0; y < STEPS; y++) {
                if (NEAR) fetch_row(b + (y + NEAR) * PANEL, 1);
                multiply_row(m, vectors, acc, thirds, lda, y, b + y * PANEL);
            }
            UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3] += STEPS;
        }
        for (; x < length; x++, b += PANEL) {
            next_group(m, thirds, lda, x, jump);
            multiply_row(m, vectors, acc, thirds, lda, 0, b);
            UNROLL for (int i = 0; i < m; i += 3) thirds[i / 3]++;
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < vectors; j++)
        store(to->c + i * to->stride + j * WIDTH, acc[i][j]);
}

// `vectors` of a panel: all, or one at the edge. Structures by address: a copy on the stack would be read sooner than
// it is written.
#define TILE_OF(m)                                                                                                     \
    case m:                                                                                                            \
        if (vectors == LS_VECTORS)                                                                                     \
            tile_rows(m, LS_VECTORS, of, to, far);                                                                     \
        else                                                                                                           \
            tile_rows(m, 1, of, to, far);                                                                              \
        break;
static void tile(long m, long vectors, const gemm_operands *of, const output_tile *to, long far) {
    switch (m) {
        TILE_OF(1)
        TILE_OF(2)
        TILE_OF(3)
#if LS_TILE_ROWS > 3
        TILE_OF(4)
#endif
#if LS_TILE_ROWS > 4
        TILE_OF(5)
        TILE_OF(6)
        TILE_OF(7)
        TILE_OF(8)
        TILE_OF(9)
        TILE_OF(10)
        TILE_OF(11)
        TILE_OF(12)
        TILE_OF(13)
#endif
    }
}

// Few rows of A, at most so many, against several panels at once: enough chains to hide the latency of a multiply-add,
// and as many streams of B, which is read once only.
#define FEW_ROWS (TILE > 3 ? 3 : 1)
#define PANELS_OF_ONE (TILE > 3 ? 4 : 3)

INLINE void tile_panels(const int m, const int panels, const gemm_operands *of, const output_tile *to) {
    f32x16 acc[3][4 * LS_VECTORS];
    const long k = of->length;
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < panels * LS_VECTORS; j++)
        acc[i][j] = load(beginning(to, i) + j * WIDTH);
    for (const ls_product *p = of->products; p < of->products + of->count; p++) {
        const float *a = p->a, *b = p->packed;
        const long lda = p->stride;
        for (long x = 0; x < k; a += p->group - PANEL) {
            const long end = x + PANEL < k ? x + PANEL : k;
            for (; x < end; x++, a++) {
                f32x16 s[3];
                UNROLL for (int i = 0; i < m; i++) s[i] = splat(a[i * lda]);
                UNROLL for (int q = 0; q < panels; q++) UNROLL for (int j = 0; j < LS_VECTORS; j++) {
                    f32x16 row = load(b + (q * k + x) * PANEL + j * WIDTH);
                    UNROLL for (int i = 0; i < m; i++)
                        acc[i][q * LS_VECTORS + j] = fma16(s[i], row, acc[i][q * LS_VECTORS + j]);
                }
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
} prefetch_queue;

// How a product's tiles share what is fetched ahead: there are `tiles` of them, and each can fetch `each` floats.
INLINE prefetch_queue prefetch_queue_of(long spans, const ls_span *soon, long tiles, long each) {
    long needed = 0;
    if (each > 0)
        for (long i = 0; i < spans; i++) needed += (soon[i].count + each - 1) / each;
    return (prefetch_queue){soon, each > 0 ? soon + spans : soon, 0, each, tiles > needed ? tiles - needed : 0};
}

// The share of the next tile.
INLINE void fetch_share(prefetch_queue *f, gemm_operands *of) {
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

// The columns of some panel, at most PANEL of them, of C as gemm has it; from `start` or, where that is null, going on
// from C, which is near in any but the first pass.
INLINE void tile_columns(long m, long width, gemm_operands *of, const float *const *start, float *c, long ldc,
                         long first, int is_first_pass, int is_last, prefetch_queue *ahead) {
    // Rows in tiles of nearly the same height: a last tile of one row would run at a fraction of the speed.
    long tiles = (m + PRODUCT_ROWS - 1) / PRODUCT_ROWS, low = m / tiles, higher = m % tiles;
    long vectors = width > WIDTH ? LS_VECTORS : 1;
    of->first = 0;
    for (long t = 0; t < tiles; t++) {
        long height = low + (t < higher), far = t * (of->length / FAR);
        output_tile to = {c + of->first * ldc + first, ldc, start ? start + of->first : 0, first};
        if (is_first_pass) {
            // What the next tile begins with; other rows may be another thread's.
            int is_lower = t + 1 < tiles;
            long next_height = is_lower ? low + (t + 1 < higher) : is_last ? 0 : low + (higher > 0);
            long next_row = is_lower ? of->first + height : 0, next_column = is_lower ? first : first + PANEL;
            for (long i = next_row; i < next_row + next_height; i++)
                for (long j = next_column; j < next_column + PANEL; j += WIDTH)
                    start ? __builtin_prefetch(start[i] + j, 0, 3) : __builtin_prefetch(c + i * ldc + j, 1, 3);
        }
        fetch_share(ahead, of);
        if (width % WIDTH == 0) {
            tile(height, vectors, of, &to, far);
        } else {
            // Those of a panel's last columns that there are.
            float edge[PRODUCT_ROWS * PANEL];
            for (int i = 0; i < height; i++)
                for (long j = 0; j < vectors * WIDTH; j += WIDTH)
                    store(edge + i * PANEL + j, load_some(beginning(&to, i) + j, width - j));
            output_tile whole = {edge, PANEL, 0, 0};
            tile(height, vectors, of, &whole, far);
            for (long i = 0; i < height; i++)
                for (long j = 0; j < vectors * WIDTH; j += WIDTH)
                    store_some(to.c + i * ldc + j, load(edge + i * PANEL + j), width - j);
        }
        of->first += height;
    }
}

// `count` products, `length` rows of each from row `from`, with which a group begins, of the panel that begins `panel`
// floats on.
INLINE void take(gemm_operands *of, long count, const ls_product *products, long panel, long from, long length) {
    of->count = count;
    of->length = length;
    for (long i = 0; i < count; i++)
        of->products[i] = (ls_product){products[i].a + in_group(from, products[i].group), products[i].stride,
                                       products[i].group, products[i].packed + panel + from * PANEL};
}

static void gemm(long m, long n, long k, long count, const ls_product *products, const float *const *start, float *c,
                 long ldc, long spans, const ls_span *soon) {
    gemm_operands of = {0};
    long first = 0;
    if (m <= FEW_ROWS) {
        long panels = m == 1 ? PANELS_OF_ONE : m == 2 ? 3 : 2;
        for (; first + panels * PANEL <= n; first += panels * PANEL) {
            output_tile to = {c + first, ldc, start, first};
            take(&of, count, products, first * k, 0, k);
            if (m == 1) tile_panels(1, PANELS_OF_ONE, &of, &to);
            if (m == 2) tile_panels(2, 3, &of, &to);
            if (m == 3) tile_panels(3, 2, &of, &to);
        }
    }
    // All products in one pass where together they are no longer than a part; else each by itself, in parts of nearly as
    // many whole groups.
    int together = count * k <= PART;
    long parts = k > PART ? (k + PART - 1) / PART : 1, passes = together ? 1 : count * parts;
    long groups = (k + PANEL - 1) / PANEL, shortest = parts > 1 ? groups / parts * PANEL : k;
    long tiles = (m + PRODUCT_ROWS - 1) / PRODUCT_ROWS * ((n - first + PANEL - 1) / PANEL) * passes;
    long each = (together ? count : 1) * (shortest / FAR) * SOON_LINES * WIDTH;
    prefetch_queue ahead = prefetch_queue_of(spans, soon, tiles, each);
    for (; first < n; first += PANEL) {
        long width = n - first < PANEL ? n - first : PANEL;
        for (long pass = 0; pass < passes; pass++) {
            long part = pass % parts, from = groups * part / parts * PANEL;
            long end = part + 1 == parts ? k : groups * (part + 1) / parts * PANEL;
            if (together)
                take(&of, count, products, first * k, 0, k);
            else
                take(&of, 1, products + pass / parts, first * k, from, end - from);
            tile_columns(m, width, &of, pass == 0 ? start : NULL, c, ldc, first, pass == 0, first + PANEL >= n,
                         &ahead);
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

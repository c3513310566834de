// Part of template.h: gradients of weights, sums over the rows of a shard that meet in the tree over shards.

// Rows of the result that come at a time, at most: more would push their sums out of L2, fewer would read the
// inputs more often.
#define BLOCK_ROWS (TILE > 6 ? 144 : 96)
#define TILE_SIZE (TILE * PANEL)

static void add(long count, const float *left, const float *right, float *out) {
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) store(out + j, load(left + j) + load(right + j));
    for (; j < count; j++) out[j] = left[j] + right[j];
}

// MARK: Where sums are left

// A stack of sums, each `size` floats: a binary counter of the shards that are complete.
//
// A shard's own begin at `top`, from zeros unless it goes on with what an earlier call left there. When they stand they
// meet `joins` complete subtrees, the nearest first, and are left in the place of the last of these.
typedef struct {
    float *base, *top;
    long size, joins;
    int goes_on;
} tree_stack;

INLINE tree_stack tree_stack_of(float *base, long size, ls_node node, long shard) {
    unsigned long complete = (unsigned long)(node.done + shard);
    int is_end = shard + 1 == node.count;
    long depth = __builtin_popcountl(complete), joins = __builtin_ctzl(~complete);
    if (is_end && node.is_last) joins = depth;
    if (is_end && node.unfinished) joins = 0;
    return (tree_stack){base, base + depth * size, size, joins, shard == 0 && node.continues};
}

// Some of the sums, in a pass of their own over them.
INLINE void begin(tree_stack s, long at, long count) {
    if (!s.goes_on) memset(s.top + at, 0, (size_t)count * sizeof(float));
}

INLINE void meet(tree_stack s, long at, long count) {
    float *right = s.top + at;
    for (long i = 0; i < s.joins; i++, right -= s.size) add(count, right - s.size, right, right - s.size);
}

// MARK: The weight of a one-hot input

INLINE long whole_vectors(long n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

// n columns of some rows, each added to the sums of its token.
INLINE void add_by_token(long rows, long n, const float *x, long stride, const uint32_t *tokens, float *sums) {
    for (long r = 0; r < rows; r++) {
        float *line = sums + (long)tokens[r] * whole_vectors(n);
        add(n, line, x + r * stride, line);
    }
}

INLINE tree_stack table_stack_of(const ls_table *table, long n, ls_node node, long shard) {
    return tree_stack_of(table->stack, table->vocabulary * whole_vectors(n), node, shard);
}

static void put_table(const ls_table *table, long n0, long n1) {
    long width = whole_vectors(n1 - n0), vocabulary = table->vocabulary;
    for (long n = n0; n < n1; n++)
        for (long v = 0; v < vocabulary; v++) table->out[n * vocabulary + v] = table->stack[v * width + n - n0];
}

static void table_gradient(ls_rows g, ls_node node, long n0, long n1, const ls_table *table) {
    for (long shard = 0; shard < node.count; shard++) {
        tree_stack s = table_stack_of(table, n1 - n0, node, shard);
        begin(s, 0, s.size);
        for (long t = 0; t < node.time_steps; t++) {
            long first = t * node.rows + node.first_row + shard * node.rows_per_shard;
            add_by_token(node.rows_per_shard, n1 - n0, g.base + first * g.stride + n0, g.stride, table->tokens + first,
                         s.top);
        }
        meet(s, 0, s.size);
    }
    if (node.is_last) put_table(table, n0, n1);
}

// MARK: Weights and biases

// Rows that will be packed next, of each one cache line. Within a time step the rows lie `stride` floats apart, and the
// first row of the next time step lies `step` floats behind that of this one. A tile fetches one line beside each row
// that it multiplies: fetched all at once, they would be waited for.
typedef struct {
    const float *base;
    long stride, step;
} prefetch_stream;

// acc += each of TILE values times a row of B.
INLINE void outer_product(const int vectors, f32x16 acc[TILE][LS_VECTORS], const float *a, const float *b) {
    const float *thirds[THIRDS];
    UNROLL for (int i = 0; i < TILE; i += 3) thirds[i / 3] = a + i;
    multiply_row(TILE, vectors, acc, thirds, 1, 0, b);
}

// Some time steps of one shard, whose rows lie side by side, PANEL floats each.
typedef struct {
    long times, rows;
    // Floats from one time step to the next.
    long step;
} step_range;

// What a tile fetches while it passes: of each time step `rows` rows of the inputs that come next, and beside each row
// one line of `soon`, unless that is null.
typedef struct {
    const float *next;
    long rows;
    const prefetch_stream *soon;
} prefetch_plan;

// A tile of sums, `vectors` of each row: begins at `from`, with zeros where that is null; goes over a, [t, r][TILE], and
// over the rows of some time steps from b on; is left at `to` after meeting the `joins` tiles there and behind, `size`
// apart.
INLINE void outer_products(const int vectors, step_range over, const float *a, const float *b, const float *from,
                           float *to, long joins, long size, prefetch_plan ahead) {
    f32x16 acc[TILE][LS_VECTORS];
    if (from) {
        UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < vectors; j++)
            acc[i][j] = load(from + i * PANEL + j * WIDTH);
    } else {
        UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = splat(0);
    }
    for (long i = 0; i < joins; i++)
        for (long j = 0; j < TILE_SIZE; j += WIDTH) __builtin_prefetch(to + i * size + j, 1, 3);
    // Whole time steps ahead, so that it is the same way from each row.
    const long near = NEAR ? (NEAR + over.rows - 1) / over.rows * over.step : 0;
    const float *line = ahead.soon ? ahead.soon->base : NULL;
    for (long t = 0; t < over.times; t++, b += over.step - over.rows * PANEL) {
        for (long i = 0; i < ahead.rows; i++) fetch_row(ahead.next + t * over.step + i * PANEL, 2);
        long r = 0;
        // Few tiles fetch for the next shard: these do it row by row.
        if (!ahead.soon)
            for (; r + STEPS <= over.rows; r += STEPS, a += STEPS * TILE, b += STEPS * PANEL)
                UNROLL for (int y = 0; y < STEPS; y++) {
                    if (NEAR) fetch_row(b + y * PANEL + near, 1);
                    outer_product(vectors, acc, a + y * TILE, b + y * PANEL);
                }
        for (; r < over.rows; r++, a += TILE, b += PANEL) {
            if (NEAR) fetch_row(b + near, 1);
            outer_product(vectors, acc, a, b);
            if (!ahead.soon) continue;
            __builtin_prefetch(line, 0, 2);
            line += ahead.soon->stride;
        }
        if (ahead.soon) line += ahead.soon->step - over.rows * ahead.soon->stride;
    }
    for (const float *left = to + joins * size; left > to;) {
        left -= size;
        UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < vectors; j++)
            acc[i][j] = load(left + i * PANEL + j * WIDTH) + acc[i][j];
    }
    UNROLL for (int i = 0; i < TILE; i++) UNROLL for (int j = 0; j < vectors; j++)
        store(to + i * PANEL + j * WIDTH, acc[i][j]);
}

// Columns of g that are packed at a time: whole vectors, and whole tiles on every path.
#define GROUP 48
_Static_assert(GROUP % WIDTH == 0 && GROUP % TILE == 0, "a group is whole vectors and whole tiles");
// Time steps ahead of which rows are fetched: too far apart for the hardware to guess, they would be waited for.
#define STEPS_AHEAD 2

// `width` columns of one shard's rows of g from column n on, a constant but where they are the last and odd: as tiles
// `step` apart, [t, r][TILE] each, zeros behind the last column; and their sums, added to `bias`, and to those
// `by_token`, `line` floats each, unless `tokens` is null.
INLINE void pack_group(const long width, ls_rows g, ls_node node, long first_row, long n, long step, float *a,
                       float *bias, const uint32_t *tokens, float *by_token, long line) {
    f32x16 column_sums[GROUP / WIDTH];
    float edge[GROUP] = {0};
    UNROLL for (int j = 0; j < GROUP / WIDTH; j++) column_sums[j] = splat(0);
    memcpy(column_sums, bias, (size_t)width * sizeof(float));
    for (long t = 0; t < node.time_steps; t++) {
        long first = t * node.rows + first_row;
        const float *row = g.base + first * g.stride + n, *later = row + STEPS_AHEAD * node.rows * g.stride;
        for (long r = 0; r < node.rows_per_shard; r++, a += TILE, row += g.stride, later += g.stride) {
            UNROLL for (int j = 0; j < GROUP / WIDTH; j++) __builtin_prefetch(later + j * WIDTH, 0, 3);
            const float *from = width == GROUP ? row : edge;
            if (from == edge)
                UNROLL for (int j = 0; j < GROUP; j += WIDTH)
                    if (j < width) store(edge + j, load_some(row + j, width - j));
            UNROLL for (int j = 0; j < GROUP / WIDTH; j++) column_sums[j] += load(from + j * WIDTH);
            UNROLL for (int i = 0; i < GROUP / TILE; i++)
                if (i * TILE < width) memcpy(a + i * step, from + i * TILE, TILE * sizeof(float));
            if (!tokens) continue;
            float *token_sums = by_token + tokens[first + r] * line;
            add(width, token_sums, from, token_sums);
        }
    }
    memcpy(bias, column_sums, (size_t)width * sizeof(float));
}

// Columns [n0, n1) of one shard's rows of g, as pack_group has them.
#define PACK_GROUP(width) pack_group(width, g, node, first_row, n, step, a, bias, tokens, own, line)
#define PACK_GROUP_OF(width)                                                                                           \
    case width: PACK_GROUP(width); break;
INLINE void pack_block(ls_rows g, ls_node node, long first_row, long n0, long n1, long step, float *a, float *bias,
                       const ls_table *table, float *by_token) {
    const uint32_t *tokens = table ? table->tokens : NULL;
    long line = whole_vectors(n1 - n0);
    for (long n = n0; n < n1; n += GROUP, a += GROUP / TILE * step, bias += GROUP) {
        float *own = tokens ? by_token + n - n0 : NULL;
        long width = n1 - n < GROUP ? n1 - n : GROUP;
        switch (width) {
            PACK_GROUP_OF(GROUP)
            PACK_GROUP_OF(2 * WIDTH)
            PACK_GROUP_OF(WIDTH)
        default: PACK_GROUP(width);
        }
    }
}

// The most rows of B that a tile passes over at once: whole time steps, and at least one, however many rows it has. On
// small tiles so many rows stay in L1 together with a panel of A. On those of AVX-512 that does not pay for what the
// sums cost between two parts, and the rows come from L2.
#define INNER (TILE > 6 ? 1024 : 144)

// One shard's products with one of its inputs. The input has `columns` columns from b on, in panels `panel` floats
// apart. The products are left as [panel][tile][TILE][PANEL], from place `at` of the sums on.
//
// The last `lines` tiles of the shard, over all of its inputs, fetch what is packed next: the first of them line 0 of
// each row of `soon`, the next one line 1, and so on. `after` tiles still come for the inputs behind this one.
static void shard_products(step_range all, long tiles, long columns, const float *block, long block_step,
                           const float *b, long panel, tree_stack s, long at, prefetch_stream soon, long lines,
                           long after) {
    // Sums of a panel between two parts of the time steps.
    float partial[BLOCK_ROWS * PANEL];
    long most = all.rows < INNER ? INNER / all.rows : 1, parts = (all.times + most - 1) / most;
    long panels = (columns + PANEL - 1) / PANEL;
    float *top = s.top + at, *to = top - s.joins * s.size;
    for (long p = 0; p < panels; p++, b += panel, top += tiles * TILE_SIZE, to += tiles * TILE_SIZE)
        for (long part = 0; part < parts; part++) {
            long time = all.times * part / parts, times = all.times * (part + 1) / parts - time;
            int is_first = part == 0, is_last = part + 1 == parts;
            const float *here = b + time * all.step, *next = is_last ? b + panel : here + times * all.step;
            step_range over = {times, all.rows, all.step};
            for (long i = 0; i < tiles; i++) {
                long tile = i * TILE_SIZE, line = lines - (panels - p) * tiles + i - after;
                const float *from = !is_first ? partial + tile : s.goes_on ? top + tile : NULL;
                float *end = is_last ? to + tile : partial + tile;
                const float *a = block + i * block_step + time * all.rows * TILE;
                long joins = is_last ? s.joins : 0, row = all.rows * i / tiles;
                prefetch_stream own = {soon.base + line * WIDTH + time * soon.step, soon.stride, soon.step};
                prefetch_plan ahead = {next + row * PANEL, all.rows * (i + 1) / tiles - row, NULL};
                int narrow = LS_VECTORS > 1 && columns - p * PANEL <= WIDTH;
#define OUTER_PRODUCTS(vectors) outer_products(vectors, over, a, here, from, end, joins, s.size, ahead)
                if (narrow && line < 0) {
                    OUTER_PRODUCTS(1);
                } else if (line < 0) {
                    OUTER_PRODUCTS(LS_VECTORS);
                } else {
                    ahead.soon = &own;
                    if (narrow)
                        OUTER_PRODUCTS(1);
                    else
                        OUTER_PRODUCTS(LS_VECTORS);
                }
            }
        }
}

static void weight_gradient(ls_rows g, ls_node node, long n0, long n1, long columns, long inputs, const ls_inputs *x,
                            float *out_bias, const ls_table *table, float *block, float *stack) {
    long inner = node.time_steps * node.rows_per_shard, held = n1 - n0;
    long tiles = (held + TILE - 1) / TILE, panels = (columns + PANEL - 1) / PANEL, step = inner * TILE + LS_BLOCK_GAP;
    long each = panels * tiles * TILE_SIZE, bias = inputs * each, size = bias + whole_vectors(held);
    for (long shard = 0; shard < node.count; shard++) {
        tree_stack s = tree_stack_of(stack, size, node, shard);
        tree_stack by_token = {0};
        begin(s, bias, held);
        if (table) {
            by_token = table_stack_of(table, held, node, shard);
            begin(by_token, 0, by_token.size);
        }
        pack_block(g, node, node.first_row + shard * node.rows_per_shard, n0, n1, step, block, s.top + bias, table,
                   by_token.top);
        if (table) meet(by_token, 0, by_token.size);
        // The same columns of the next shard.
        prefetch_stream soon = {g.base + (node.first_row + (shard + 1) * node.rows_per_shard) * g.stride + n0,
                                g.stride, node.rows * g.stride};
        long lines = node.is_last && shard + 1 == node.count ? 0 : (held + WIDTH - 1) / WIDTH;
        for (long i = 0; i < inputs; i++) {
            step_range all = {node.time_steps, node.rows_per_shard, x[i].step};
            shard_products(all, tiles, columns, block, step, x[i].base + shard * node.rows_per_shard * PANEL,
                           x[i].panel, s, i * each, soon, lines, (inputs - 1 - i) * panels * tiles);
        }
        meet(s, bias, held);
    }
    if (!node.is_last) return;
    if (table) put_table(table, n0, n1);
    if (out_bias) memcpy(out_bias + n0, stack + bias, (size_t)held * sizeof(float));
    for (long i = 0; i < inputs; i++)
        for (long p = 0; p < panels; p++) {
            long first = p * PANEL, width = columns - first < PANEL ? columns - first : PANEL;
            const float *from = stack + i * each + p * tiles * TILE_SIZE;
            for (long n = n0; n < n1; n++, from += PANEL)
                memcpy(x[i].out + n * columns + first, from, (size_t)width * sizeof(float));
        }
}

// Part of template.h: what is done row by row: gates, dropout, loss.

// MARK: Gate math

// e^x = (1 + q) 2^n, |x - n ln 2| <= ln 2 / 2: Cephes' expf in fused multiply-adds.
typedef struct {
    f32x16 q, scale;
} exp_parts;

INLINE exp_parts exp_parts16(f32x16 x) {
    f32x16 magic = splat(12582912.0f);
    f32x16 t = fma16(x, splat(1.44269504088896341f), magic), n = t - magic;
    f32x16 r = fma16(n, splat(-0.693359375f), x);
    r = fma16(n, splat(2.12194440e-4f), r);
    f32x16 p = splat(1.9875691500e-4f);
    p = fma16(p, r, splat(1.3981999507e-3f));
    p = fma16(p, r, splat(8.3334519073e-3f));
    p = fma16(p, r, splat(4.1665795894e-2f));
    p = fma16(p, r, splat(1.6666665459e-1f));
    p = fma16(p, r, splat(5.0000001201e-1f));
    u32x16 bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + (u32x16)(127u << 23);
    f32x16 scale;
    memcpy(&scale, &bits, sizeof scale);
    return (exp_parts){fma16(p, r * r, r), scale};
}

// Saturates at the ends of the normal range; NaN stays NaN.
INLINE f32x16 exp16(f32x16 x) {
    x = x < splat(-87.3365f) ? splat(-87.3365f) : x;
    x = x > splat(88.3762f) ? splat(88.3762f) : x;
    exp_parts e = exp_parts16(x);
    return (e.q + splat(1.0f)) * e.scale;
}

// e^x = 2^n e^r, |r| <= ln 2 / 2, e^r by Taylor: r^16 / 16! is below 1e-20. 2^n in two factors, so that results below
// the normal range round once.
INLINE f64x16 exp_of_doubles16(f64x16 x) {
    f64x16 near = x < (f64x16)(-746.0) ? (f64x16)(-746.0) : x;
    near = near > (f64x16)(710.0) ? (f64x16)(710.0) : near;
    f64x16 magic = (f64x16)(0x1.8p52);
    f64x16 n = near * (f64x16)(0x1.71547652b82fep0) + magic - magic;
    f64x16 r = __builtin_elementwise_fma(-n, (f64x16)(0x1.62e42fefa3800p-1), near);
    r = __builtin_elementwise_fma(-n, (f64x16)(0x1.ef35793c76730p-45), r);
    f64x16 sum = (f64x16)(1.0);
    UNROLL for (int k = 16; k >= 1; k--) sum = __builtin_elementwise_fma(sum, r / (f64x16)((double)k), (f64x16)(1.0));
    f64x16 half = __builtin_elementwise_floor(n * (f64x16)(0.5));
    f64x16 parts[2] = {half + magic, n - half + magic};
    UNROLL for (int i = 0; i < 2; i++) {
        u64x16 bits;
        memcpy(&bits, &parts[i], sizeof bits);
        bits = (bits << 52) + (u64x16)(1023ull << 52);
        f64x16 scale;
        memcpy(&scale, &bits, sizeof scale);
        sum *= scale;
    }
    sum = x >= (f64x16)(709.782712893384) ? (f64x16)(__builtin_inf()) : sum;
    sum = x <= (f64x16)(-745.2) ? (f64x16)(0.0) : sum;
    // Which of its bits a NaN keeps differs between processors.
    return x != x ? x : sum;
}

static void exponential_of_doubles(long count, double *x) {
    for (long j = 0; j < count; j += WIDTH) {
        size_t bytes = sizeof(double) * (size_t)(count - j < WIDTH ? count - j : WIDTH);
        f64x16 v = (f64x16)(0.0);
        memcpy(&v, x + j, bytes);
        v = exp_of_doubles16(v);
        memcpy(x + j, &v, bytes);
    }
}

INLINE f32x16 sigmoid16(f32x16 x) { return splat(1.0f) / (splat(1.0f) + exp16(-x)); }

// tanh |x| = m / (m + 2) with m = e^2|x| - 1, of which no digits are lost near 0. From 10 on it is 1 in single
// precision.
INLINE f32x16 tanh16(f32x16 x) {
    f32x16 size = __builtin_elementwise_abs(x);
    f32x16 twice = size > splat(10.0f) ? splat(20.0f) : size + size;
    exp_parts e = exp_parts16(twice);
    f32x16 m = fma16(e.q, e.scale, e.scale - splat(1.0f));
    return __builtin_elementwise_copysign(m / (m + splat(2.0f)), x);
}

// `ahead`: how far behind each line one is fetched to be written.
#define ELEMENTWISE(name, body)                                                                                        \
    INLINE void name##_ahead(long count, const float *x, float *y, long ahead) {                                       \
        long j = 0;                                                                                                    \
        for (; j + WIDTH <= count; j += WIDTH) {                                                                       \
            if (ahead) __builtin_prefetch(x + ahead + j, 1, 3);                                                        \
            store(y + j, body(load(x + j)));                                                                           \
        }                                                                                                              \
        if (j < count) store_some(y + j, body(load_some(x + j, count - j)), count - j);                                \
    }                                                                                                                  \
    static void name(long count, const float *x, float *y) { name##_ahead(count, x, y, 0); }
ELEMENTWISE(exponential, exp16)
ELEMENTWISE(hyperbolic_tangent, tanh16)
ELEMENTWISE(sigmoid, sigmoid16)

INLINE void next_state(long n, long hidden, const float *g, const float *cp, float *c) {
    f32x16 i = load_some(g, n), f = load_some(g + hidden, n), u = load_some(g + 2 * hidden, n);
    __builtin_prefetch(cp + hidden, 0, 3);
    __builtin_prefetch(c + hidden, 1, 3);
    store_some(c, fma16(f, load_some(cp, n), i * u), n);
}

INLINE void next_output(long n, const float *o, const float *c, float *h) {
    // The row below's, where these are rows of a panel.
    __builtin_prefetch(h + PANEL, 1, 3);
    store_some(h, load_some(o, n) * tanh16(load_some(c, n)), n);
}

// In passes over a row, which stays in L1: each is short enough for the processor to have several vectors in flight.
// They fetch the row below this one: by the time the products of all units stand, the first are in L3 again. Where rows
// are padded this is a line short.
static void cell_forward(long hidden, float *gates, const float *cp, float *c, float *h, long group) {
    const long row = 4 * hidden;
    sigmoid_ahead(2 * hidden, gates, gates, row);
    hyperbolic_tangent_ahead(hidden, gates + 2 * hidden, gates + 2 * hidden, row);
    sigmoid_ahead(hidden, gates + 3 * hidden, gates + 3 * hidden, row);
    const float *o = gates + 3 * hidden;
    long j = 0;
    for (; j + WIDTH <= hidden; j += WIDTH) next_state(WIDTH, hidden, gates + j, cp + j, c + j);
    if (j < hidden) next_state(hidden - j, hidden, gates + j, cp + j, c + j);
    for (j = 0; j + WIDTH <= hidden; j += WIDTH) next_output(WIDTH, o + j, c + j, h + in_group(j, group));
    if (j < hidden) next_output(hidden - j, o + j, c + j, h + in_group(j, group));
}

INLINE void cell_backward_some(long n, long hidden, float *g, const float *cp, const float *c, const float *dh,
                               float *dc) {
    f32x16 one = splat(1.0f);
    f32x16 i = load_some(g, n), f = load_some(g + hidden, n), u = load_some(g + 2 * hidden, n);
    f32x16 o = load_some(g + 3 * hidden, n), t = tanh16(load_some(c, n)), d = load_some(dh, n);
    // What the row below this one will ask for: it was written long ago, and each of these runs is too short for the
    // hardware to guess the next. Where rows are padded this is a line short.
    for (int gate = 4; gate < 8; gate++) __builtin_prefetch(g + gate * hidden, 0, 3);
    __builtin_prefetch(cp + hidden, 0, 3);
    f32x16 state = fma16(d * o, one - t * t, load_some(dc, n));
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

// MARK: Dropout

// Philox4x32-10 (Salmon et al., 2011) on 16 counters at once, which differ in word 0 only.
INLINE void philox16(u32x16 c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1, u32x16 out[4]) {
    u32x16 x0 = c0, x1 = (u32x16)(c1), x2 = (u32x16)(c2), x3 = (u32x16)(c3);
    for (int round = 0; round < 10; round++) {
        u64x16 p0 = __builtin_convertvector(x0, u64x16) * (u64x16)(0xD2511F53ull);
        u64x16 p1 = __builtin_convertvector(x2, u64x16) * (u64x16)(0xCD9E8D57ull);
        u32x16 high0 = __builtin_convertvector(p0 >> 32, u32x16), low0 = __builtin_convertvector(p0, u32x16);
        u32x16 high1 = __builtin_convertvector(p1 >> 32, u32x16), low1 = __builtin_convertvector(p1, u32x16);
        x0 = high1 ^ x1 ^ (u32x16)(k0);
        x1 = low1;
        x2 = high0 ^ x3 ^ (u32x16)(k1);
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
    u32x16 words[4];
    philox16((u32x16)(counter[0]), counter[1], counter[2], counter[3], key[0], key[1], words);
    for (int i = 0; i < 4; i++) out[i] = words[i][0];
}

#define LANES ((u32x16){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})

// Where a bit of two bytes of a mask is set: x * scale; else 0.
INLINE f32x16 masked(uint32_t bits, f32x16 x, float scale) {
    u32x16 kept = (u32x16)(bits) >> LANES & (u32x16)(1u);
    return kept != (u32x16)(0u) ? x * splat(scale) : splat(0.0f);
}

INLINE void apply_mask(long hidden, float scale, const uint8_t *mask, const float *x, float *out, long group) {
    long j = 0;
    for (; j + WIDTH <= hidden; j += WIDTH) {
        long at = in_group(j, group);
        store(out + at, masked((uint32_t)mask[j / 8] | (uint32_t)mask[j / 8 + 1] << 8, load(x + at), scale));
    }
    if (j == hidden) return;
    long n = hidden - j;
    uint32_t bits = mask[j / 8];
    if (n > 8) bits |= (uint32_t)mask[j / 8 + 1] << 8;
    long at = in_group(j, group);
    store_some(out + at, masked(bits, load_some(x + at, n), scale), n);
}

static void dropout_forward(long hidden, uint64_t seed, uint32_t layer, uint32_t time, uint32_t row, uint32_t step,
                            uint32_t threshold, float scale, const float *h, float *out, long group,
                            uint8_t *mask) {
    // 16 blocks of 8 units, two units a word.
    for (long first = 0; first < hidden; first += 128) {
        u32x16 block = (LANES + (u32x16)((uint32_t)(first / 8))) | (u32x16)(layer << 16), words[4];
        philox16(block, time, row, step, (uint32_t)seed, (uint32_t)(seed >> 32), words);
        u32x16 bits = (u32x16)(0u), limit = (u32x16)(threshold);
        for (uint32_t j = 0; j < 4; j++) {
            u32x16 low = words[j] & (u32x16)(0xFFFFu), high = words[j] >> 16;
            bits |= low >= limit ? (u32x16)(1u << (2 * j)) : (u32x16)(0u);
            bits |= high >= limit ? (u32x16)(2u << (2 * j)) : (u32x16)(0u);
        }
        u8x16 bytes = __builtin_convertvector(bits, u8x16);
        long blocks = (hidden - first + 7) / 8;
        memcpy(mask + first / 8, &bytes, blocks < 16 ? (size_t)blocks : 16);
    }
    apply_mask(hidden, scale, mask, h, out, group);
}

static void dropout_backward(long hidden, float scale, const uint8_t *mask, float *dx) {
    apply_mask(hidden, scale, mask, dx, dx, PANEL);
}

// MARK: Loss

INLINE f32x16 larger(f32x16 a, f32x16 b) { return a > b ? a : b; }

INLINE float largest(long count, const float *x) {
    f32x16 m = splat(x[0]);
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
INLINE double sum_lanes(f64x16 v) {
    double s[WIDTH];
    memcpy(s, &v, sizeof s);
    for (int width = 8; width >= 1; width /= 2)
        for (int j = 0; j < width; j++) s[j] += s[j + width];
    return s[0];
}

// e^(x - m) of n logits; behind the last of them zeros.
INLINE f32x16 exponentials(const float *logits, float m, long n) {
    f32x16 e = exp16(load_some(logits, n) - splat(m));
    if (n >= WIDTH) return e;
    float held[WIDTH];
    store(held, e);
    return load_some(held, n);
}

static double loss(long vocabulary, const float *logits, uint32_t target) {
    float m = largest(vocabulary, logits);
    f32x16 lanes = splat(0);
    for (long j = 0; j < vocabulary; j += WIDTH)
        lanes += exponentials(logits + j, m, vocabulary - j < WIDTH ? vocabulary - j : WIDTH);
    double sum = sum_lanes(__builtin_convertvector(lanes, f64x16));
    return ls_log(sum) + ((double)m - (double)logits[target]);
}

static double softmax_loss(long vocabulary, float *logits, uint32_t target, float scale) {
    float m = largest(vocabulary, logits), chosen = logits[target];
    f32x16 lanes = splat(0);
    for (long j = 0; j < vocabulary; j += WIDTH) {
        long n = vocabulary - j < WIDTH ? vocabulary - j : WIDTH;
        f32x16 e = exponentials(logits + j, m, n);
        store_some(logits + j, e, n);
        lanes += e;
    }
    double sum = sum_lanes(__builtin_convertvector(lanes, f64x16));
    float factor = (float)((double)scale / sum);
    for (long j = 0; j < vocabulary; j += WIDTH) {
        long n = vocabulary - j < WIDTH ? vocabulary - j : WIDTH;
        store_some(logits + j, load_some(logits + j, n) * splat(factor), n);
    }
    logits[target] -= scale;
    return ls_log(sum) + ((double)m - (double)chosen);
}

// Part of template.h: updates of parameters, sums and digests.

// MARK: Updates, as torch.optim's single-tensor path

// The gradient as an update takes it: times the clip coefficient, then each element clamped.
INLINE f32x16 clipped(const float *g, long n, ls_update u) {
    f32x16 d = load_some(g, n) * splat(u.clip);
    d = d > splat(u.clamp) ? splat(u.clamp) : d;
    return d < splat(-u.clamp) ? splat(-u.clamp) : d;
}

INLINE void adam_some(long n, float *p, const float *g, float *m, float *v, float *v_max, ls_update u) {
    f32x16 w = load_some(p, n) * splat(u.shrink);
    f32x16 d = clipped(g, n, u) + w * splat(u.weight_decay);
    f32x16 first = load_some(m, n);
    first += splat(u.one_minus_beta1) * (d - first);
    f32x16 second = load_some(v, n) * splat(u.beta2) + splat(u.one_minus_beta2) * d * d;
    store_some(m, first, n);
    store_some(v, second, n);
    if (v_max) {
        second = larger(load_some(v_max, n), second);
        store_some(v_max, second, n);
    }
    f32x16 divisor = __builtin_elementwise_sqrt(second) / splat(u.bias_correction2_root) + splat(u.epsilon);
    store_some(p, w - splat(u.rate) * first / divisor, n);
}

INLINE void rmsprop_some(long n, float *p, const float *g, float *square, float *mean, float *buffer, ls_update u) {
    f32x16 w = load_some(p, n), d = clipped(g, n, u) + w * splat(u.weight_decay);
    f32x16 s = load_some(square, n) * splat(u.beta2) + splat(u.one_minus_beta2) * d * d;
    store_some(square, s, n);
    if (mean) {
        f32x16 a = load_some(mean, n);
        a += splat(u.one_minus_beta2) * (d - a);
        store_some(mean, a, n);
        s -= a * a;
    }
    f32x16 divisor = __builtin_elementwise_sqrt(s) + splat(u.epsilon);
    if (buffer) {
        f32x16 b = load_some(buffer, n) * splat(u.momentum) + d / divisor;
        store_some(buffer, b, n);
        store_some(p, w - splat(u.rate) * b, n);
    } else {
        store_some(p, w - splat(u.rate) * d / divisor, n);
    }
}

INLINE void sgd_some(long n, float *p, const float *g, float *buffer, ls_update u) {
    f32x16 w = load_some(p, n), d = clipped(g, n, u) + w * splat(u.weight_decay);
    if (buffer) {
        f32x16 b = u.is_first ? d : load_some(buffer, n) * splat(u.momentum) + splat(u.one_minus_dampening) * d;
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
    f64x16 lanes = (f64x16)(0.0);
    long j = 0;
    for (; j + WIDTH <= count; j += WIDTH) {
        f64x16 d = __builtin_convertvector(load(x + j), f64x16);
        lanes += d * d;
    }
    if (j < count) {
        f64x16 d = __builtin_convertvector(load_some(x + j, count - j), f64x16);
        lanes += d * d;
    }
    return sum_lanes(lanes);
}

static int is_finite(long count, const float *x) {
    u32x16 bad = (u32x16)(0u), exponent = (u32x16)(0x7F800000u);
    for (long j = 0; j < count; j += WIDTH) {
        f32x16 v = load_some(x + j, count - j < WIDTH ? count - j : WIDTH);
        u32x16 bits;
        memcpy(&bits, &v, sizeof bits);
        bad |= (bits & exponent) == exponent ? (u32x16)(1u) : (u32x16)(0u);
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
    u64x16 lanes[2];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < WIDTH; j++) lanes[i][j] = 0x9E3779B97F4A7C15ull * (uint64_t)(i * WIDTH + j + 1);
    for (long first = 0; first < bytes; first += 256) {
        u64x16 next[2];
        if (bytes - first >= 256) {
            memcpy(next, from + first, sizeof next);
        } else {
            memset(next, 0, sizeof next);
            memcpy(next, from + first, (size_t)(bytes - first));
        }
        for (int i = 0; i < 2; i++) {
            u64x16 x = (lanes[i] ^ next[i]) * (u64x16)(0xFF51AFD7ED558CCDull);
            x ^= x >> 33;
            lanes[i] = x * (u64x16)(0xC4CEB9FE1A85EC53ull);
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
    f32x16 a[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) a[i] = splat((float)i);
    f32x16 x = splat(0.9999f), y = splat(1e-6f);
    for (long r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] = fma16(a[i], x, y);
    }
    volatile float sink = 0;
    for (int i = 0; i < CHAINS; i++)
        for (int j = 0; j < WIDTH; j++) sink = sink + a[i][j];
    return (double)rounds * CHAINS * 2 * WIDTH;
}

static float read_all(long count, const float *x) {
    f32x16 sums[4];
    UNROLL for (int i = 0; i < 4; i++) sums[i] = splat(0);
    long j = 0;
    for (; j + 4 * WIDTH <= count; j += 4 * WIDTH) {
        UNROLL for (int i = 0; i < 4; i++) sums[i] += load(x + j + i * WIDTH);
    }
    for (; j < count; j++) sums[0] += splat(x[j]);
    f32x16 all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return all[0];
}

#include "lockstep_kernels.h"
#include <string.h>

const ls_kernels *ls_kernels_named(const char *name) {
#if defined(__x86_64__)
    int has_v3 = __builtin_cpu_supports("x86-64-v3") != 0;
    int has_v4 = __builtin_cpu_supports("x86-64-v4") != 0;
    if (!name) return has_v4 ? &ls_v4 : has_v3 ? &ls_v3 : &ls_baseline;
    if (!strcmp(name, "v4")) return has_v4 ? &ls_v4 : NULL;
    if (!strcmp(name, "v3")) return has_v3 ? &ls_v3 : NULL;
#ifdef LS_TEST_PATHS
    if (!strcmp(name, "v4-tiles")) return has_v3 ? &ls_v4_tiles : NULL;
#endif
#endif
    if (!name || !strcmp(name, "baseline")) return &ls_baseline;
    return NULL;
}

// Sums that wait at most while a tree of `count` shards is worked off, one more for the shard in work.
static long levels(long count) {
    long result = 2;
    while (count > 1) {
        count = (count + 1) / 2;
        result++;
    }
    return result;
}

static long round_up(long n, long to) { return (n + to - 1) / to * to; }

long ls_weight_block(const ls_kernels *k, ls_node node, long n) {
    return round_up(n, k->tile_rows) / k->tile_rows *
           (node.time_steps * node.rows_per_shard * k->tile_rows + LS_BLOCK_GAP);
}

long ls_weight_stack(const ls_kernels *k, long shards, long n, long columns, long inputs) {
    long each = round_up(n, k->tile_rows) * round_up(columns, k->panel_width);
    return levels(shards) * (inputs * each + round_up(n, 16));
}

long ls_table_stack(long shards, long n, long vocabulary) { return levels(shards) * vocabulary * round_up(n, 16); }

// log x = e ln 2 + 2 atanh((m - 1) / (m + 1)), the series to s^25: |s| < 0.1716.
double ls_log(double x) {
    if (!(x >= 0x1p-1022 && x <= 0x1.fffffffffffffp1023)) return __builtin_nan("");
    union {
        double value;
        uint64_t bits;
    } u = {x};
    long e = (long)(u.bits >> 52) - 1023;
    u.bits = (u.bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull;
    double m = u.value;
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), z = s * s, sum = 1.0 / 25;
    for (int d = 23; d >= 3; d -= 2) sum = __builtin_fma(sum, z, 1.0 / d);
    double tail = __builtin_fma(2 * s * z, sum, 2 * s);
    return (double)e * 0x1.62e42fefa3800p-1 + __builtin_fma((double)e, 0x1.ef35793c76730p-45, tail);
}

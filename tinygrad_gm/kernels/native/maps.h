/* Elementwise functions: activations and their gradients, exp, log and erf, one pass over memory.
 *
 * NumPy runs a formula step by step, each over all numbers. Here a number is read once, goes through
 * the whole formula in registers, and its result is written once. Arrays lie in memory without holes
 * and in the same order, so they are walked as one row of numbers, whatever their shape; a chunk is
 * a stretch of that row. The loop is left to the compiler, which vectorises it.
 *
 * In a formula x is the number of the array, or of the second of two, and g that of the first: the
 * upstream gradient; a and b are numbers that Python passed. Where a gradient does not flow it is
 * exactly 0, whatever g is: chosen, never multiplied by 0.
 */
#ifndef MAPS_H
#define MAPS_H

/* Numbers of a chunk: 64 KB of floats for each array, and about 5 µs of work. */
enum { MAPPED = 1 << 14 };

typedef struct {
    const void *g, *x;
    void *out;
    Index size;
    double a, b;
} Map;

#endif

#ifdef real

#define MAP(name, formula)                                                                     \
    static void KERNEL(name)(const void *task, Index chunk, void *scratch)                     \
    {                                                                                          \
        (void)scratch;                                                                         \
        const Map *map = task;                                                                 \
        const Index start = chunk * MAPPED, length = least(MAPPED, map->size - start);         \
        const real *restrict xs = (const real *)map->x + start;                                \
        const real *restrict gs = map->g ? (const real *)map->g + start : xs;                  \
        real *restrict out = (real *)map->out + start;                                         \
        const real a = map->a, b = map->b;                                                     \
        (void)a, (void)b;                                                                      \
        for (Index i = 0; i < length; i++) {                                                   \
            const real x = xs[i], g = gs[i];                                                   \
            (void)g;                                                                           \
            out[i] = (formula);                                                                \
        }                                                                                      \
    }

/* ------------------------------------------------------------------------ choices and products
 *
 * with the bits of NumPy's path, of NaN too; hence the direction of the comparisons */

MAP(relu, x <= 0 ? 0 : x)
MAP(relu_backward, x != 0 ? g : 0)               /* x: the result */
MAP(leaky_relu, x > 0 ? x : a * x)               /* a: the slope */
MAP(leaky_relu_backward, x > 0 ? g : a * g)
MAP(hardtanh, (x < a ? a : x) > b ? b : (x < a ? a : x))
MAP(hardtanh_backward, (x != a) & (x != b) ? g : 0) /* x: the result */
MAP(clip_backward, (x >= a) & (x <= b) ? g : 0)
MAP(hardswish, (x < -3 ? -3 : x) * ((x + 3 < 0 ? 0 : x + 3 > 6 ? 6 : x + 3) / 6))
MAP(hardswish_backward, x >= 3 ? g : x > -3 ? g * (x / 3 + (real)0.5) : 0)
MAP(tanh_backward, g * (1 - x * x))              /* x: the result */
MAP(sigmoid_backward, g * (x * (1 - x)))         /* x: the result */

/* ------------------------------------------------------------------------ functions of functions.h */

MAP(exp, EXP(x))
MAP(log, LOG(x))
MAP(erf, ERF(x))
MAP(tanh, TANH(x))
MAP(sigmoid, SIGMOID(x))
MAP(silu, x * SIGMOID(x))

/* The gradient of x·σ(u), with s = σ(u) and `slope` = x·u′. */
INLINE real KERNEL(gated_slope)(real g, real s, real slope) { return ((1 - s) * slope + 1) * s * g; }

MAP(silu_backward, KERNEL(gated_slope)(g, SIGMOID(x), x))

/* x·σ(u) with u = 2·√(2/π)·(x + 0.044715·x³). From |x| = 10 on σ is 0 or 1, and powers of x, which
 * may overflow, are not needed. */
#define SCALE ((real)1.5957691216057308)
#define CUBIC ((real)0.044715 * SCALE)

INLINE real KERNEL(tanh_gelu_of)(real x) { return x * SIGMOID(x * (SCALE + CUBIC * x * x)); }

INLINE real KERNEL(tanh_gelu_slope)(real g, real x)
{
    x = x < -10 ? -10 : x > 10 ? 10 : x;
    const real square = x * x;
    const real s = SIGMOID(x * (SCALE + CUBIC * square));
    return KERNEL(gated_slope)(g, s, x * (SCALE + 3 * CUBIC * square));
}

MAP(tanh_gelu, KERNEL(tanh_gelu_of)(x))
MAP(tanh_gelu_backward, KERNEL(tanh_gelu_slope)(g, x))

#undef SCALE
#undef CUBIC

/* x·Φ(x), and its gradient g·(Φ(x) + x·φ(x)). In float, x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), and from |x| =
 * 12 on Φ is 0 or 1 and φ is 0; in double from 40 on, and Φ(x) = (1 + erf(x/√2))/2. */
#if FLOAT
INLINE float gelu_of(float x)
{
    float a = fabsf(x);
    a = a > 12.0f ? 12.0f : a;
    return (x < 0 ? 0 : x) - a * normal_tail_of(a);
}

INLINE float gelu_slope(float g, float x)
{
    float a = fabsf(x);
    a = a > 12.0f ? 12.0f : a;
    const float density = 0.398942280f * exp_of(-0.5f * a * a), tail = normal_tail_of(a);
    return g * ((x < 0 ? tail : 1.0f - tail) + copysignf(a, x) * density);
}

MAP(gelu, gelu_of(x))
MAP(gelu_backward, gelu_slope(g, x))
#else
INLINE double normal_of(double x) { return (1.0 + erf_of_double(x * 0.7071067811865476)) * 0.5; }

INLINE double gelu_of_double(double x) { return normal_of(x) * (x < -40.0 ? -40.0 : x); }

INLINE double gelu_slope_double(double g, double x)
{
    const double a = x < -40.0 ? -40.0 : x > 40.0 ? 40.0 : x;
    return g * (normal_of(x) + a * (0.3989422804014327 * exp_of_double(-0.5 * a * a)));
}

MAP(gelu, gelu_of_double(x))
MAP(gelu_backward, gelu_slope_double(g, x))
#endif

/* Binary cross-entropy of logits x and targets g: max(x, 0) − x·g + ln(1 + e^−|x|), written with a
 * choice so that an infinite x meets no 0; and its gradient by x, times a. */
MAP(logistic_loss, LOG1P(EXP(-ABS(x))) + x * ((x > 0 ? 1 : 0) - g))
MAP(logistic_loss_backward, (SIGMOID(x) - g) * a)

/* ln(1 + e^(a·x)) / a, and x where a·x > b. */
MAP(softplus, x * a > b ? x : (LOG1P(EXP(-ABS(x * a))) + (x * a < 0 ? 0 : x * a)) / a)
MAP(softplus_backward, x * a > b ? g : g * SIGMOID(x * a))

/* x·n/(n + 2) with n = e² + 2e, e = e^x; beyond 30 and −1000 the quotient is 1 and 0. */
INLINE real KERNEL(mish_of)(real x)
{
    const real e = EXP(x > 30 ? 30 : x), n = e * (e + 2);
    return (x < -1000 ? -1000 : x) * (n / (n + 2));
}

INLINE real KERNEL(mish_slope)(real g, real x)
{
    x = x < -1000 ? -1000 : x > 30 ? 30 : x;
    const real e = EXP(x), n = e * (e + 2), total = n + 2;
    return g * (n / total + 4 * x * (e / total) * ((e + 1) / total));
}

MAP(mish, KERNEL(mish_of)(x))
MAP(mish_backward, KERNEL(mish_slope)(g, x))

#undef MAP

#endif

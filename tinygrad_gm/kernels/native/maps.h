/* Elementwise functions: sums, activations and their gradients, exp, log and erf, one pass over memory.
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

MAP(add, g + x)
MAP(relu, x <= 0 ? 0 : x)
MAP(relu_backward, x != 0 ? g : 0)               /* x: the result */
MAP(leaky_relu, x > 0 ? x : a * x)               /* a: the slope */
MAP(leaky_relu_backward, x > 0 ? g : a * g)
MAP(hardtanh, (x < a ? a : x) > b ? b : (x < a ? a : x))
MAP(hardtanh_backward, (x != a) & (x != b) ? g : 0) /* x: the result */
MAP(tanh_backward, g * (1 - x * x))              /* x: the result */
MAP(sigmoid_backward, g * (x * (1 - x)))         /* x: the result */

#if FLOAT

/* ------------------------------------------------------------------------ functions of functions.h */

MAP(exp, exp_of(x))
MAP(log, log_of(x))
MAP(erf, erf_of(x))
MAP(tanh, tanh_of(x))
MAP(sigmoid, sigmoid_of(x))
MAP(silu, x * sigmoid_of(x))

/* The gradient of x·σ(u), with s = σ(u) and `slope` = x·u′. */
INLINE float gated_slope(float g, float s, float slope)
{
    return ((1.0f - s) * slope + 1.0f) * s * g;
}

MAP(silu_backward, gated_slope(g, sigmoid_of(x), x))

/* x·σ(u) with u = 2·√(2/π)·(x + 0.044715·x³). From |x| = 10 on σ is 0 or 1, and powers of x, which
 * may overflow, are not needed. */
#define SCALE 1.5957691216f
#define CUBIC (0.044715f * SCALE)

INLINE float tanh_gelu_of(float x) { return x * sigmoid_of(x * (SCALE + CUBIC * x * x)); }

INLINE float tanh_gelu_slope(float g, float x)
{
    x = x < -10.0f ? -10.0f : x > 10.0f ? 10.0f : x;
    const float square = x * x;
    const float s = sigmoid_of(x * (SCALE + CUBIC * square));
    return gated_slope(g, s, x * (SCALE + 3.0f * CUBIC * square));
}

MAP(tanh_gelu, tanh_gelu_of(x))
MAP(tanh_gelu_backward, tanh_gelu_slope(g, x))

#undef SCALE
#undef CUBIC

/* x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), and its gradient g·(Φ(x) + x·φ(x)). From |x| = 12 on Φ is 0 or
 * 1 and φ is 0. */
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

/* Binary cross-entropy of logits x and targets g: max(x, 0) − x·g + ln(1 + e^−|x|), written with a
 * choice so that an infinite x meets no 0; and its gradient by x, times a. */
MAP(logistic_loss, log1p_of(exp_of(-fabsf(x))) + x * ((x > 0 ? 1.0f : 0.0f) - g))
MAP(logistic_loss_backward, (sigmoid_of(x) - g) * a)

#endif

#undef MAP

#endif

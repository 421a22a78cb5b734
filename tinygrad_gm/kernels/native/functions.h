/* exp, log, tanh, erf and their relatives, of one float each; those of a double are in
 * double_functions.h. EXP, LOG and so on are the ones of `real`; LOG1P is for numbers from 0 to 1.
 *
 * These are plain formulas without branches, so the compiler vectorises a loop that calls them, and
 * a number has the same bits in the middle of an array and at its end. Each reduces its argument to
 * an interval around 0 and takes a polynomial there. The coefficients are minimax for the relative
 * error of the function (Remez' exchange algorithm, run in 40 digits, then rounded to float), those
 * of erf and of the normal tail are the ones of kernels/erf.py and kernels/activations.py. The error
 * was measured against float64 on every 1,009th float, in units in the last place; where the
 * processor has no fused multiplication and addition (baseline on x86-64) it is the second figure.
 *
 *     exp    1.1  1.1        sigmoid  1.5  1.5        tanh  1.4  1.4
 *     log    0.9  0.9        log1p    1.0  1.6        erf   0.6  0.6
 *
 * NaN gives NaN; infinities, zeros and denormals give what NumPy's functions give. Nothing warns of
 * an overflow or of the logarithm of a negative number.
 */
#if FLOAT

/* a·b + c; with one rounding where the processor can, see vector.h. */
#if VECTOR_BYTES > 16 || defined(__ARM_NEON)
#define FUSED(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

static inline __attribute__((always_inline)) float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline __attribute__((always_inline)) uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2ⁿ for −127 < n < 128. */
static inline __attribute__((always_inline)) float power_of_two(int32_t n)
{
    return as_float((uint32_t)(n + 127) << 23);
}

#endif

/* x = n·ln 2 + r with |r| ≤ ln 2 / 2; returns e^r − 1 = r + r²·P(r). Adding and subtracting 1.5·2²³
 * rounds to an integer, whose bits are then the last ones of the sum. ln 2 is subtracted in two
 * parts, of which the first has few digits, so that its product with n is exact. */
INLINE float reduced_expm1(float x, int32_t *n)
{
    const float rounder = 12582912.0f, per_ln2 = 1.44269504f;
    float shifted = FUSED(x, per_ln2, rounder), whole = shifted - rounder;
    *n = (int32_t)(bits_of(shifted) - bits_of(rounder));
    float r = FUSED(whole, -0.693359375f, x);
    r = FUSED(whole, 2.12194440e-4f, r);
    float p = 0.00138825143f;
    p = FUSED(p, r, 0.00836658012f);
    p = FUSED(p, r, 0.0416672006f);
    p = FUSED(p, r, 0.166665435f);
    p = FUSED(p, r, 0.49999997f);
    return FUSED(r * r, p, r);
}

/* eˣ = 2ⁿ·e^r. The power comes in two factors: the first is exact, and the second rounds once, to a
 * denormal or to infinity too. */
INLINE float exp_of(float x)
{
    x = x < -104.0f ? -104.0f : x; /* e^−104 rounds to 0 */
    x = x > 89.0f ? 89.0f : x;     /* e^89 is infinite */
    int32_t n;
    float p = 1.0f + reduced_expm1(x, &n);
    int32_t half = n >> 1;
    return p * power_of_two(half) * power_of_two(n - half);
}

/* With e = e^−|x|: y = 1/(1 + e), or e/(1 + e) for a negative x. The sum is rounded to d, and so are
 * 1/d and the product; what is missing of y·(1 + e) corrects that. It needs FUSED not to round; else
 * the quotient is one of doubles. */
INLINE float sigmoid_of(float x)
{
    float e = exp_of(-fabsf(x)), over = x < 0.0f ? e : 1.0f;
#if VECTOR_BYTES > 16 || defined(__ARM_NEON)
    float d = 1.0f + e, rest = e - (d - 1.0f), inverse = 1.0f / d, y = over * inverse;
    return FUSED(FUSED(-y, d, over) - y * rest, inverse, y);
#else
    return (double)over / (1.0 + (double)e);
#endif
}

/* x + x³·P(x²) below 0.625, and ±(1 − 2/(e^2|x| + 1)) above; from 9.02 on it is ±1. */
INLINE float tanh_of(float x)
{
    float a = fabsf(x);
    a = a > 10.0f ? 10.0f : a;
    float t = a * a, p = -0.00570502877f;
    p = FUSED(p, t, 0.020639129f);
    p = FUSED(p, t, -0.0537397303f);
    p = FUSED(p, t, 0.133314431f);
    p = FUSED(p, t, -0.333332807f);
    int32_t n;
    float q = reduced_expm1(a + a, &n), power = power_of_two(n);
    float y = a < 0.625f ? FUSED(a * t, p, a) : 1.0f - 2.0f / (FUSED(power, q, power) + 1.0f);
    return copysignf(y, x);
}

/* x = 2ⁿ·m with √½ ≤ m < √2; with f = m − 1, ln m = f − f²/2 + f³·P(f). A denormal is first
 * multiplied by 2²³. */
INLINE float log_of(float x)
{
    const uint32_t root_half = 0x3f3504f3;
    float least = 1.17549435e-38f, y = x < least ? x * 8388608.0f : x;
    uint32_t bits = bits_of(y) - root_half;
    float n = (float)((int32_t)bits >> 23) - (x < least ? 23.0f : 0.0f);
    float f = as_float((bits & 0x7fffff) + root_half) - 1.0f, square = f * f;
    float p = -0.0763480738f;
    p = FUSED(p, f, 0.127616718f);
    p = FUSED(p, f, -0.131600976f);
    p = FUSED(p, f, 0.14201735f);
    p = FUSED(p, f, -0.166233644f);
    p = FUSED(p, f, 0.200012282f);
    p = FUSED(p, f, -0.250008196f);
    p = FUSED(p, f, 0.333333313f);
    float small = FUSED(n, -2.12194440e-4f, f * square * p);
    small = FUSED(square, -0.5f, small);
    float out = FUSED(n, 0.693359375f, f + small);
    out = x < INFINITY ? out : x; /* infinity and NaN themselves */
    out = x == 0.0f ? -INFINITY : out;
    return x < 0.0f ? NAN : out;
}

/* ln(1 + e) for e from 0 to 1: with s = e/(2 + e) it is 2·atanh s = 2s + s³·P(s²). */
INLINE float log1p_of(float e)
{
    float s = e / (2.0f + e), t = s * s;
    float p = 0.280237317f;
    p = FUSED(p, t, 0.279993087f);
    p = FUSED(p, t, 0.400216877f);
    p = FUSED(p, t, 0.666664124f);
    return FUSED(s * t, p, 2.0f * s);
}

/* kernels/erf.py for float32, in double as it is there: x + x·P(x²) below 1, ±(1 − exp(−Q(|x|)))
 * above, ±1 from 4 on. Here exp is the reduction of `exp_of`, and Taylor's polynomial of e^r, whose
 * error is 2e-16 for |r| ≤ ln 2 / 2. */
INLINE float erf_of(float x)
{
    double a = fabsf(x);
    a = a > 4.0 ? 4.0 : a;
    double t = a * a, inner = 7.853849828429409e-05;
    inner = inner * t - 0.0008010202699272506;
    inner = inner * t + 0.005188330482592488;
    inner = inner * t - 0.02685381458207252;
    inner = inner * t + 0.11283585248605635;
    inner = inner * t - 0.376126258374651;
    inner = inner * t + 0.12837916572955937;
    inner = inner * a + a;
    double q = -0.00018637896778031103;
    q = q * a + 0.0029476562273917997;
    q = q * a - 0.021838056177824656;
    q = q * a + 0.10310673914246812;
    q = q * a + 0.638144849572975;
    q = q * a + 1.1270891806127785;
    q = q * a + 0.0003415252439533749;
    const double rounder = 6755399441055744.0; /* 1.5·2⁵² */
    double shifted = q * -1.4426950408889634 + rounder, n = shifted - rounder;
    double r = -q - n * 0.6931471805599453, p = 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 1.0 / 2;
    p = p * r + 1.0;
    p = p * r + 1.0;
    double y = a < 1.0 ? inner : 1.0 - p * (double)power_of_two((int32_t)n);
    return copysignf((float)y, x);
}

/* Φ(−a), the standard normal distribution, for a from 0 to 12, right to 8e-8. */
INLINE float normal_tail_of(float a)
{
    float p = -1.4531549368257402e-06f;
    p = FUSED(p, a, 2.125275022990536e-05f);
    p = FUSED(p, a, -0.00010084435052704066f);
    p = FUSED(p, a, -0.00016160510131157935f);
    p = FUSED(p, a, 0.004980845842510462f);
    p = FUSED(p, a, -0.03644445538520813f);
    p = FUSED(p, a, -0.31828072667121887f);
    p = FUSED(p, a, -0.7978874444961548f);
    p = FUSED(p, a, -0.6931471228599548f);
    return exp_of(p);
}

#undef FUSED

#endif

#undef EXP
#undef LOG
#undef LOG1P
#undef TANH
#undef SIGMOID
#undef ERF
#if FLOAT
#define EXP exp_of
#define LOG log_of
#define LOG1P log1p_of
#define TANH tanh_of
#define SIGMOID sigmoid_of
#define ERF erf_of
#else
#define EXP exp_of_double
#define LOG log_of_double
#define LOG1P log1p_of_double
#define TANH tanh_of_double
#define SIGMOID sigmoid_of_double
#define ERF erf_of_double
#endif

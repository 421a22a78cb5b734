/* The functions of functions.h, of one double each.
 *
 * Again plain formulas without branches. The coefficients of exp and log come from Chebyshev's
 * interpolation, run in 40 digits, whose error is at most 0.04 units in the last place; those of erf
 * are the ones of kernels/erf.py. The error of the results was measured against 80-bit numbers on a
 * million numbers spread over all exponents and over the range where a function bends, in units in
 * the last place; without a fused multiplication and addition it is the second figure.
 *
 *     exp  0.8  0.8        sigmoid  1.8  1.8        tanh  1.3  1.2
 *     log  0.8  0.8        log1p    1.5  1.5        erf   1.1  1.4
 */
#ifndef DOUBLE_FUNCTIONS_H
#define DOUBLE_FUNCTIONS_H

#if VECTOR_BYTES > 16 || defined(__ARM_NEON)
#define FUSED(a, b, c) __builtin_fma(a, b, c)
#else
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif

#define ROUNDER 6755399441055744.0 /* 1.5·2⁵²: added and subtracted, it rounds to an integer */

static inline __attribute__((always_inline)) double as_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline __attribute__((always_inline)) uint64_t bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2ⁿ for a whole n with −1023 < n < 1024: the last bits of the sum are those of n + 1023. */
static inline __attribute__((always_inline)) double double_power_of_two(double n)
{
    return as_double(bits_of_double(n + (ROUNDER + 1023)) << 52);
}

/* x = n·ln 2 + r with |r| ≤ ln 2 / 2. Returns s, the rounded sum of `add` and 2ⁿ·r, where `add` is the
 * larger or r is rounded by nothing, and in `rest` what it lacks of add + 2ⁿ·(e^r − 1): what was
 * rounded off s and off r, and 2ⁿ·r²·P(r). `power` is 2ⁿ, or 1 for the sum 1 + (e^r − 1) itself. */
INLINE double reduced_exp_double(double x, double n, double power, double add, double *rest)
{
    const double high = FUSED(n, -6.93147180369123816490e-01, x); /* 32 digits of ln 2: exact */
    const double low = n * 1.90821492927058770002e-10, r = high - low;
    double p = 2.0914686968086876e-09;
    p = FUSED(p, r, 2.5105217004720745e-08);
    p = FUSED(p, r, 2.75572736431103e-07);
    p = FUSED(p, r, 2.7557255400206422e-06);
    p = FUSED(p, r, 2.4801587325547743e-05);
    p = FUSED(p, r, 0.00019841269874820627);
    p = FUSED(p, r, 0.0013888888888883748);
    p = FUSED(p, r, 0.008333333333326136);
    p = FUSED(p, r, 0.04166666666666667);
    p = FUSED(p, r, 0.1666666666666667);
    p = FUSED(p, r, 0.5);
    const double curve = FUSED(r * r, p, (high - r) - low), s = add + power * r;
    *rest = (add - s) + power * r + power * curve;
    return s;
}

/* The whole number next to x / ln 2. */
INLINE double double_exponent_of(double x) { return FUSED(x, 1.4426950408889634, ROUNDER) - ROUNDER; }

/* eˣ = 2ⁿ·e^r in two factors, as `exp_of`. */
INLINE double exp_of_double(double x)
{
    x = x < -746.0 ? -746.0 : x; /* e^−746 rounds to 0 */
    x = x > 710.0 ? 710.0 : x;   /* e^710 is infinite */
    const double n = double_exponent_of(x), half = FUSED(n, 0.5, ROUNDER) - ROUNDER;
    double rest, s = reduced_exp_double(x, n, 1.0, 1.0, &rest);
    return (s + rest) * double_power_of_two(half) * double_power_of_two(n - half);
}

/* eˣ − 1 = 2ⁿ·(e^r − 1) + (2ⁿ − 1) for |x| ≤ 40, and what is rounded off it. */
INLINE double expm1_of_double(double x, double *low)
{
    const double n = double_exponent_of(x), power = double_power_of_two(n);
    double rest, s = reduced_exp_double(x, n, power, power - 1.0, &rest), y = s + rest;
    *low = (s - y) + rest;
    return y;
}

/* As `sigmoid_of`. */
INLINE double sigmoid_of_double(double x)
{
    double e = exp_of_double(-fabs(x)), over = x < 0.0 ? e : 1.0;
    double d = 1.0 + e, rest = e - (d - 1.0), y = over / d;
    return y - y * rest / d;
}

/* e/(e + 2) with e = e^2|x| − 1, corrected by what is rounded off both; from 19.1 on it is ±1. */
INLINE double tanh_of_double(double x)
{
    const double a = fabs(x);
    double low, e = expm1_of_double(a > 20.0 ? 40.0 : a + a, &low);
    const double d = e + 2.0, y = e / d, lost = e < 2.0 ? e - (d - 2.0) : 2.0 - (d - e);
    return copysign(y + (low - y * (lost + low)) / d, x);
}

/* x = 2ⁿ·m with √½ ≤ m < √2; with f = m − 1 and s = f/(2 + f) it is ln m = 2·atanh s, that is
 * f − f²/2 + s·(f²/2 + s²·R(s²)). A denormal is first multiplied by 2⁵⁴. The exponent becomes a number as
 * the last digits of 2⁵². */
INLINE double log_of_double(double x)
{
    const uint64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
    const double least = 2.2250738585072014e-308, y = x < least ? x * 18014398509481984.0 : x;
    const uint64_t bits = bits_of_double(y) + (one - root_half);
    double n = as_double((bits >> 52) | 0x4330000000000000) - (4503599627370496.0 + 1023.0);
    n -= x < least ? 54.0 : 0.0;
    const double f = as_double((bits & 0xfffffffffffff) + root_half) - 1.0;
    const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double p = 0.14617807153417325;
    p = FUSED(p, z, 0.15331611722055008);
    p = FUSED(p, z, 0.1818289243253687);
    p = FUSED(p, z, 0.22222211089379496);
    p = FUSED(p, z, 0.28571428626253836);
    p = FUSED(p, z, 0.3999999999989889);
    p = FUSED(p, z, 0.666666666666667);
    const double small = FUSED(n, 1.90821492927058770002e-10, s * (half + z * p));
    double out = FUSED(n, 6.93147180369123816490e-01, f - (half - small));
    out = x < INFINITY ? out : x; /* infinity and NaN themselves */
    out = x == 0.0 ? -INFINITY : out;
    return x < 0.0 ? NAN : out;
}

/* ln u + c/u with u = 1 + x, rounded, and c = x − (u − 1), what was rounded off. */
INLINE double log1p_of_double(double x)
{
    const double u = 1.0 + x, y = log_of_double(u), c = (x - (u - 1.0)) / u;
    return x == 0.0 ? x : isfinite(y) ? y + c : y;
}

/* kernels/erf.py for float64: x + x·P(x²) below 1, ±(1 − exp(−Q(|x|))) above, ±1 from 6 on. */
INLINE double erf_of_double(double x)
{
    static const double P[] = {
        0.12837916709551256, -0.3761263890318352, 0.112837916709442, -0.026866170643113415,
        0.005223977606130842, -0.0008548325929766244, 0.0001205529358693695,
        -1.4924712439534814e-05, 1.6447132699786621e-06, -1.6206318752969208e-07,
        1.3710988704190523e-08, -7.779462971761597e-10};
    static const double Q[] = {
        1.797606134749724e-07, 1.128377327807629, 0.6366284959438379, 0.1027472311806311,
        -0.01907811172711307, -0.0002805554400416627, 0.0017690778680732346, -0.0006412420852511847,
        4.487165645217183e-05, 7.033889182209557e-05, -4.5024901550143494e-05, 1.650948320875287e-05,
        -4.32578902622444e-06, 8.503007319427948e-07, -1.256596071312163e-07, 1.3621187373101935e-08,
        -1.025236617262285e-09, 4.793623879365774e-11, -1.0490374821279917e-12};
    double a = fabs(x);
    a = a > 6.0 ? 6.0 : a;
    double t = a * a, inner = P[11], q = Q[18];
#pragma GCC unroll 11
    for (int k = 10; k >= 0; k--)
        inner = FUSED(inner, t, P[k]);
#pragma GCC unroll 18
    for (int k = 17; k >= 0; k--)
        q = FUSED(q, a, Q[k]);
    const double y = a < 1.0 ? FUSED(inner, a, a) : 1.0 - exp_of_double(-q);
    return copysign(y, x);
}

#undef FUSED
#undef ROUNDER

#endif

/* The few words beyond C in which pages are written, for one `real` and one target.
 *
 * ROOT(x): √x. ABS(x): |x|. COPYSIGN(x, y): |x| with the sign of y. LANES: how many numbers a vector
 * holds. KERNEL(vector): that many numbers, with C's operators lane by lane, for loops whose sums must
 * stay in registers; a loop over numbers that do not depend on each other needs none of this, the
 * compiler vectorises it.
 *
 * The compiler may not contract a·b + c by itself (-ffp-contract=off), so that a result does not
 * depend on what it happens to see. A page that wants a single rounding, at half the time, says so:
 * KERNEL(multiply_add)(a, b, c), which is a product and a sum where the processor has no such
 * instruction. KERNEL(total)(a): the sum of its lanes. KERNEL(choose)(a, b, places): a lane of a for each
 * place, or of b, whose places begin with LANES.
 */
#ifndef real
#error "all_pages.h includes vector.h, for one type at a time"
#endif

#undef ROOT
#undef ABS
#undef COPYSIGN
#if FLOAT
#define ROOT sqrtf
#define ABS fabsf
#define COPYSIGN copysignf
#else
#define ROOT sqrt
#define ABS fabs
#define COPYSIGN copysign
#endif

#undef LANES
#define LANES ((Index)(VECTOR_BYTES / sizeof(real)))

/* The number of vector registers of the processor. */
#undef REGISTERS
#if VECTOR_BYTES == 64 || defined(__ARM_NEON)
#define REGISTERS 32
#else
#define REGISTERS 16
#endif

#ifndef UNROLL
#define UNROLL _Pragma("GCC unroll 16")
#endif

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline, unused))
#endif

typedef real KERNEL(vector) __attribute__((vector_size(VECTOR_BYTES)));
typedef real KERNEL(vector_anywhere) /* at the address of any number, not only of a vector */
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

/* A place for each lane, as wide as a number; NUMBERED_LANES: 0, 1, 2 … */
#undef NUMBERED_LANES
#if VECTOR_BYTES / (FLOAT ? 4 : 8) == 16
#define NUMBERED_LANES {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
#elif VECTOR_BYTES / (FLOAT ? 4 : 8) == 8
#define NUMBERED_LANES {0, 1, 2, 3, 4, 5, 6, 7}
#elif VECTOR_BYTES / (FLOAT ? 4 : 8) == 4
#define NUMBERED_LANES {0, 1, 2, 3}
#else
#define NUMBERED_LANES {0, 1}
#endif
#if FLOAT
typedef int32_t KERNEL(places) __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int64_t KERNEL(places) __attribute__((vector_size(VECTOR_BYTES)));
#endif

INLINE KERNEL(vector) KERNEL(choose)(KERNEL(vector) a, KERNEL(vector) b, KERNEL(places) places)
{
#if defined(__clang__)
    KERNEL(vector) out;
    UNROLL for (Index l = 0; l < LANES; l++)
        out[l] = places[l] < LANES ? a[places[l]] : b[places[l] - LANES];
    return out;
#else
    return __builtin_shuffle(a, b, places);
#endif
}

INLINE KERNEL(vector) KERNEL(load)(const real *from)
{
    return *(const KERNEL(vector_anywhere) *)from;
}

/* The first `count` lanes; zeros in the others. */
INLINE KERNEL(vector) KERNEL(load_some)(const real *from, Index count)
{
    if (count == LANES)
        return KERNEL(load)(from);
#if VECTOR_BYTES == 64 && FLOAT
    return (KERNEL(vector))_mm512_maskz_loadu_ps((1u << count) - 1, from);
#elif VECTOR_BYTES == 64
    return (KERNEL(vector))_mm512_maskz_loadu_pd((1u << count) - 1, from);
#else
    KERNEL(vector) value = {0};
    memcpy(&value, from, count * sizeof(real));
    return value;
#endif
}

INLINE void KERNEL(store)(real *to, KERNEL(vector) value)
{
    *(KERNEL(vector_anywhere) *)to = value;
}

/* The number in every lane. */
INLINE KERNEL(vector) KERNEL(spread)(real value)
{
    return value - (KERNEL(vector)){0};
}

/* a·b + c; with one rounding where the processor can. */
INLINE KERNEL(vector) KERNEL(multiply_add)(KERNEL(vector) a, KERNEL(vector) b, KERNEL(vector) c)
{
#if VECTOR_BYTES == 64 && FLOAT
    return (KERNEL(vector))_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VECTOR_BYTES == 64
    return (KERNEL(vector))_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif VECTOR_BYTES == 32 && FLOAT
    return (KERNEL(vector))_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VECTOR_BYTES == 32
    return (KERNEL(vector))_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__ARM_NEON) && FLOAT
    return (KERNEL(vector))vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__ARM_NEON)
    return (KERNEL(vector))vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

/* The sum of the lanes: of their halves, and so on. */
INLINE real KERNEL(total)(KERNEL(vector) value)
{
#if VECTOR_BYTES == 64 && FLOAT
    return _mm512_reduce_add_ps((__m512)value);
#elif VECTOR_BYTES == 64
    return _mm512_reduce_add_pd((__m512d)value);
#else
    real lanes[VECTOR_BYTES / sizeof(real)];
    KERNEL(store)(lanes, value);
    for (Index half = LANES / 2; half; half /= 2)
        for (Index i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
#endif
}

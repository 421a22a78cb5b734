/* Sums and products of two arrays of which one may broadcast: x (N, T, C) · scale (N, 1, C).
 *
 * NumPy starts a loop for each row that repeats, and uses one core. Here the array with all axes, which
 * has no holes, is walked as it lies in memory, row after row: a row is the longest stretch over which
 * the other array either follows number by number or stays at one number. Two arrays of one shape
 * and memory order are one row. The result lies like the array with all axes.
 */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

enum { COMBINED = 1 << 14 }; /* numbers of a chunk */
enum { MOST_OUTER = 8 };

typedef struct {
    const void *x, *y; /* x has all axes */
    void *out;
    Index rows, width;
    int outer;                                  /* axes of the rows, */
    Index shape[MOST_OUTER], steps[MOST_OUTER]; /* and how far y moves along each */
    bool follows;                               /* y along a row; else it stays */
    Index pieces;                               /* a long row is cut into pieces; */
    Index share;                                /* of short ones some are a chunk */
} Combination;

/* Where y is at a row. */
static inline Index place_of(const Combination *c, Index row)
{
    Index place = 0;
    for (int axis = c->outer - 1; axis >= 0; axis--) {
        place += row % c->shape[axis] * c->steps[axis];
        row /= c->shape[axis];
    }
    return place;
}

#endif

#ifdef real

#define COMBINE(name, operator)                                                                \
    static void KERNEL(name)(const void *task, Index chunk, void *scratch)                     \
    {                                                                                          \
        (void)scratch;                                                                         \
        const Combination *c = task;                                                           \
        const Index first = chunk / c->pieces * c->share;                                      \
        const Index start = chunk % c->pieces * COMBINED;                                      \
        const Index count = c->pieces > 1 ? least(COMBINED, c->width - start) : c->width;      \
        for (Index row = first; row < least(first + c->share, c->rows); row++) {               \
            const real *restrict x = (const real *)c->x + row * c->width + start;              \
            const real *restrict y = (const real *)c->y + place_of(c, row);                    \
            real *restrict out = (real *)c->out + row * c->width + start;                      \
            if (c->follows)                                                                    \
                for (Index i = 0; i < count; i++)                                              \
                    out[i] = x[i] operator y[start + i];                                       \
            else                                                                               \
                for (Index i = 0; i < count; i++)                                              \
                    out[i] = x[i] operator *y;                                                 \
        }                                                                                      \
    }

COMBINE(add, +)
COMBINE(multiply, *)

#undef COMBINE

#endif

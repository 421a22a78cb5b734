/* Sums along an axis: x (outer, count, inner) becomes (outer, pieces, inner), by adding up the rows
 * of each piece of the middle axis. The pieces are added up by a second call.
 *
 * Rows of one number, the last axis, are added in vectors that stay in registers. Wider rows are
 * added to a row of sums in the first-level cache, four at a time; rows of a few numbers, such as
 * the channels of a pixel, are taken together as one longer line, whose parts are added at the end.
 *
 * Pairwise summation in two steps: no more than ADDENDS numbers are added to a sum in `real`, four
 * lines at a time or in four sums; then the sums go on in double, together with what each addition
 * rounds off. So the error does not grow with `count`.
 *
 * With a mean, the sums are of ((x − first) − mean)², for the variance: `first` is the first row of
 * an axis, and `mean` that of all x − first, so that equal numbers give exactly 0. Without one, but
 * with `shifted`, they are of x − first.
 */
#ifndef SUMS_H
#define SUMS_H

enum { ADDENDS = 64 };
enum { SUM_WIDTH = 1024 };    /* columns of a block; their sums take 20 KB */
enum { SUM_LINE = 128 };      /* narrower rows are taken together */
enum { SUMMED = 1 << 14 };    /* numbers of a chunk, at least */

typedef struct {
    Index outer, count, inner;
    Index step, pieces;       /* rows of a piece, pieces of an axis */
    Index width, blocks;      /* columns of a block, blocks of a row */
    Index each;               /* blocks of a chunk */
    const void *x, *mean;     /* mean: (outer, inner), or NULL */
    void *out;
    bool shifted, to_float;   /* to_float: the sums are stored as float, not as double */
} Sum;

/* A total and the sum of what was rounded off it (Knuth's exact addition). */
static inline __attribute__((always_inline)) void add_exactly(double *total, double *rest, double x)
{
    const double sum = *total + x, part = sum - *total;
    *rest += (*total - (sum - part)) + (x - part);
    *total = sum;
}

/* Both, where the total is finite; else `rest` is NaN. */
static inline __attribute__((always_inline)) double whole(double total, double rest)
{
    return isfinite(total) ? total + rest : total;
}

#endif

#ifdef real

/* One term of the sums; `power`: 0 for x, 1 for x − first, 2 for its squared distance from a mean. */
#define TERM(x, first, mean)                                                                   \
    (power == 0   ? (x)                                                                        \
     : power == 1 ? (x) - (first)                                                              \
                  : (((x) - (first)) - (mean)) * (((x) - (first)) - (mean)))

INLINE double KERNEL(sum_of_numbers)(const real *x, Index count, real first, real mean, int power)
{
    const KERNEL(vector) firsts = KERNEL(spread)(first), means = KERNEL(spread)(mean);
    double total = 0, rest = 0;
    for (Index i = 0; i < count;) {
        const Index stop = least(i + ADDENDS * LANES, count);
        KERNEL(vector) sums[4] = {{0}};
        for (; i + 4 * LANES <= stop; i += 4 * LANES)
            for (int k = 0; k < 4; k++) {
                const KERNEL(vector) value = KERNEL(load)(x + i + k * LANES);
                sums[k] += TERM(value, firsts, means);
            }
        for (; i + LANES <= stop; i += LANES) {
            const KERNEL(vector) value = KERNEL(load)(x + i);
            sums[0] += TERM(value, firsts, means);
        }
        if (power == 0 && i < stop)
            sums[1] += KERNEL(load_some)(x + i, stop - i);
        add_exactly(&total, &rest, KERNEL(total)((sums[0] + sums[1]) + (sums[2] + sums[3])));
        for (; power && i < stop; i++)
            add_exactly(&total, &rest, TERM(x[i], first, mean));
        i = stop;
    }
    return whole(total, rest);
}

/* The row of sums, and rows as long as a line: what is subtracted, repeated for each of its rows. */
typedef struct {
    real sum[SUM_WIDTH], first[SUM_WIDTH], mean[SUM_WIDTH];
    double total[SUM_WIDTH], rest[SUM_WIDTH];
} KERNEL(Lines);

/* The sums of `rows` rows, of which one begins every `stride` numbers: in total, or, where there are
 * few rows, in sum, which is then returned. */
INLINE bool KERNEL(sum_of_rows)(KERNEL(Lines) *restrict l, const real *restrict x, Index rows,
                                Index width, Index stride, const real *first, const real *mean,
                                int power)
{
    Index together = 1;
    while (width == stride && together * width < SUM_LINE && 8 * together <= rows)
        together *= 2;
    const Index line = together * width, lines = rows / together;
    for (Index i = 0; power && i < line; i++) {
        l->first[i] = first[i % width];
        l->mean[i] = power == 2 ? mean[i % width] : 0;
    }
    memset(l->total, 0, line * sizeof(double));
    memset(l->rest, 0, line * sizeof(double));
    for (Index row = 0; row < lines;) {
        const Index stop = least(row + ADDENDS, lines);
        memset(l->sum, 0, line * sizeof(real));
        for (; row + 4 <= stop; row += 4) {
            const real *a = x + row * together * stride, *b = a + together * stride;
            const real *c = b + together * stride, *d = c + together * stride;
            for (Index i = 0; i < line; i++) {
                const real first_i = l->first[i], mean_i = l->mean[i];
                l->sum[i] += (TERM(a[i], first_i, mean_i) + TERM(b[i], first_i, mean_i)) +
                             (TERM(c[i], first_i, mean_i) + TERM(d[i], first_i, mean_i));
            }
        }
        for (; row < stop; row++) {
            const real *a = x + row * together * stride;
            for (Index i = 0; i < line; i++)
                l->sum[i] += TERM(a[i], l->first[i], l->mean[i]);
        }
        if (together == 1 && lines <= ADDENDS)
            return true;
        for (Index i = 0; i < line; i++)
            add_exactly(&l->total[i], &l->rest[i], l->sum[i]);
    }
    for (Index row = lines * together; row < rows; row++) /* too few for a line */
        for (Index i = 0; i < width; i++)
            add_exactly(&l->total[i], &l->rest[i],
                        TERM(x[row * stride + i], l->first[i], l->mean[i]));
    for (Index half = line / 2; half >= width; half /= 2) { /* fold the line */
        double *restrict total = l->total, *restrict rest = l->rest;
        const double *restrict totals = total + half, *restrict rests = rest + half;
        for (Index i = 0; i < half; i++) {
            rest[i] += rests[i];
            add_exactly(&total[i], &rest[i], totals[i]);
        }
    }
    for (Index i = 0; i < width; i++)
        l->total[i] = whole(l->total[i], l->rest[i]);
    return false;
}

#undef TERM

static void KERNEL(sum)(const void *task, Index chunk, void *scratch)
{
    const Sum *s = task;
    KERNEL(Lines) *l = scratch;
    const Index first_item = chunk * s->each, items = s->outer * s->pieces * s->blocks;
    for (Index item = first_item; item < least(first_item + s->each, items); item++) {
        const Index unit = item / s->blocks, column = item % s->blocks * s->width;
        const Index outer = unit / s->pieces, row = unit % s->pieces * s->step;
        const Index rows = least(s->step, s->count - row);
        const Index width = least(s->width, s->inner - column);
        const real *first = (const real *)s->x + outer * s->count * s->inner + column;
        const real *mean = s->mean ? (const real *)s->mean + outer * s->inner + column : NULL;
        const real *x = first + row * s->inner;
        float *floats = (float *)s->out + unit * s->inner + column;
        double *doubles = (double *)s->out + unit * s->inner + column;
        if (s->inner == 1) {
            const double total = mean         ? KERNEL(sum_of_numbers)(x, rows, *first, *mean, 2)
                                 : s->shifted ? KERNEL(sum_of_numbers)(x, rows, *first, 0, 1)
                                              : KERNEL(sum_of_numbers)(x, rows, 0, 0, 0);
            if (s->to_float)
                *floats = total;
            else
                *doubles = total;
            continue;
        }
        const bool few =
            mean         ? KERNEL(sum_of_rows)(l, x, rows, width, s->inner, first, mean, 2)
            : s->shifted ? KERNEL(sum_of_rows)(l, x, rows, width, s->inner, first, NULL, 1)
                         : KERNEL(sum_of_rows)(l, x, rows, width, s->inner, NULL, NULL, 0);
        if (s->to_float)
            for (Index i = 0; i < width; i++)
                floats[i] = few ? l->sum[i] : l->total[i];
        else
            for (Index i = 0; i < width; i++)
                doubles[i] = few ? l->sum[i] : l->total[i];
    }
}

#endif

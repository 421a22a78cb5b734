/* Layer norm and RMS norm: each row is normalised with its own mean and root mean square.
 *
 * Forward, a row is walked three times: for its mean, for Σ(x − μ)², for the result. Backward, twice
 * or three times: for its share of the gradients of weight and bias, for ⟨h⟩ and ⟨h·x̂⟩, for the
 * gradient of x; the formula is in kernels/norms.py. Memory is read once, as the later walks find
 * the row in the cache.
 *
 * No more than LONGEST numbers are added up in a lane before the sum goes on in double. A chunk is
 * `step` rows, at most as many. The gradients of weight and bias are sums over all rows: each chunk
 * leaves its own, and `add_parts` adds those up in double.
 */
#ifndef ROWS_H
#define ROWS_H

enum { LONGEST = 1024 };
enum { ADDED_COLUMNS = 1024 }; /* of a chunk of `add_parts` */

typedef struct {
    Index rows, width, step;
    const void *x, *weight, *bias; /* weight and bias: NULL for ones and zeros */
    double eps;
    void *out, *mean, *inverse; /* mean: NULL for RMS norm, whose rows keep theirs */
} Rows;

typedef struct {
    Index rows, width, step;
    const void *g, *x, *weight, *mean, *inverse;
    void *out;   /* the gradient of x; NULL: it is not wanted */
    void *parts; /* for each chunk two rows, the gradients of weight and bias; NULL: not wanted */
} RowsBackward;

typedef struct {
    Index count, width; /* of a matrix, whose columns are added up */
    const void *parts;
    void *out;
} Parts;

#endif

#ifdef real

/* Σ (x − mean), or Σ (x − mean)². */
INLINE double KERNEL(sum_of_row)(const real *x, Index width, real mean, bool squared)
{
    enum { SUMS = 4 };
    const KERNEL(vector) center = KERNEL(spread)(mean);
    double total = 0;
    for (Index i = 0; i < width;) {
        const Index stop = least(i + LONGEST * LANES, width);
        KERNEL(vector) sums[SUMS] = {{0}};
        for (; i + SUMS * LANES <= stop; i += SUMS * LANES)
            for (int k = 0; k < SUMS; k++) {
                KERNEL(vector) d = KERNEL(load)(x + i + k * LANES) - center;
                sums[k] = squared ? KERNEL(multiply_add)(d, d, sums[k]) : sums[k] + d;
            }
        for (; i + LANES <= stop; i += LANES) {
            KERNEL(vector) d = KERNEL(load)(x + i) - center;
            sums[0] = squared ? KERNEL(multiply_add)(d, d, sums[0]) : sums[0] + d;
        }
        total += KERNEL(total)((sums[0] + sums[1]) + (sums[2] + sums[3]));
        for (; i < stop; i++) {
            real d = x[i] - mean;
            total += squared ? d * d : d;
        }
    }
    return total;
}

static void KERNEL(normalize_rows)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Rows *t = task;
    const Index width = t->width, stop = least((chunk + 1) * t->step, t->rows);
    const real *restrict weight = t->weight, *restrict bias = t->bias;
    for (Index row = chunk * t->step; row < stop; row++) {
        const real *restrict x = (const real *)t->x + row * width;
        real *restrict out = (real *)t->out + row * width;
        real mean = 0;
        if (t->mean)
            ((real *)t->mean)[row] = mean = KERNEL(sum_of_row)(x, width, 0, false) / width;
        const double variance = KERNEL(sum_of_row)(x, width, mean, true) / width;
        const real inverse = ((real *)t->inverse)[row] = 1 / sqrt(variance + t->eps);
        for (Index i = 0; i < width; i++) {
            real normal = (x[i] - mean) * inverse;
            if (weight)
                normal *= weight[i];
            if (bias)
                normal += bias[i];
            out[i] = normal;
        }
    }
}

/* Σ h and Σ h·x̂ with h = g · weight. */
INLINE void KERNEL(sums_of_slopes)(const real *g, const real *x, const real *weight, Index width,
                                   real mean, real inverse, double *sum, double *sum_with_normal)
{
    const KERNEL(vector) center = KERNEL(spread)(mean), scale = KERNEL(spread)(inverse);
    *sum = *sum_with_normal = 0;
    for (Index i = 0; i < width;) {
        const Index stop = least(i + LONGEST * LANES, width);
        KERNEL(vector) first = {0}, second = {0};
        for (; i + LANES <= stop; i += LANES) {
            KERNEL(vector) h = KERNEL(load)(g + i);
            if (weight)
                h *= KERNEL(load)(weight + i);
            first += h;
            second += h * ((KERNEL(load)(x + i) - center) * scale);
        }
        *sum += KERNEL(total)(first);
        *sum_with_normal += KERNEL(total)(second);
        for (; i < stop; i++) {
            real h = weight ? g[i] * weight[i] : g[i];
            *sum += h;
            *sum_with_normal += h * ((x[i] - mean) * inverse);
        }
    }
}

static void KERNEL(normalize_rows_backward)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const RowsBackward *t = task;
    const Index width = t->width, stop = least((chunk + 1) * t->step, t->rows);
    const real *restrict weight = t->weight;
    real *restrict weight_sum = t->parts ? (real *)t->parts + chunk * 2 * width : NULL;
    real *restrict bias_sum = t->parts ? weight_sum + width : NULL;
    if (t->parts)
        memset(weight_sum, 0, 2 * width * sizeof(real));
    for (Index row = chunk * t->step; row < stop; row++) {
        const real *restrict g = (const real *)t->g + row * width;
        const real *restrict x = (const real *)t->x + row * width;
        const real mean = t->mean ? ((const real *)t->mean)[row] : 0;
        const real inverse = ((const real *)t->inverse)[row];
        if (t->parts)
            for (Index i = 0; i < width; i++) {
                weight_sum[i] += g[i] * ((x[i] - mean) * inverse);
                bias_sum[i] += g[i];
            }
        if (!t->out)
            continue;
        double sum, sum_with_normal;
        KERNEL(sums_of_slopes)(g, x, weight, width, mean, inverse, &sum, &sum_with_normal);
        const real average = t->mean ? sum / width : 0, slope = sum_with_normal / width;
        real *restrict out = (real *)t->out + row * width;
        for (Index i = 0; i < width; i++) {
            real h = weight ? g[i] * weight[i] : g[i];
            out[i] = (h - average - (x[i] - mean) * inverse * slope) * inverse;
        }
    }
}

static void KERNEL(add_parts)(const void *task, Index chunk, void *scratch)
{
    const Parts *t = task;
    const Index start = chunk * ADDED_COLUMNS, width = least(ADDED_COLUMNS, t->width - start);
    double *restrict total = scratch;
    memset(total, 0, width * sizeof(double));
    for (Index k = 0; k < t->count; k++) {
        const real *restrict part = (const real *)t->parts + k * t->width + start;
        for (Index i = 0; i < width; i++)
            total[i] += part[i];
    }
    real *restrict out = (real *)t->out + start;
    for (Index i = 0; i < width; i++)
        out[i] = total[i];
}

#endif

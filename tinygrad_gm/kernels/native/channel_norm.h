/* Batch and group norm, forward, in three kernels: `channel_moments` leaves μ and Σ(x − μ)² of each
 * unit, `channel_factors` the mean and variance of each channel, and with them a factor and a shift,
 * and `scale_channels` writes factor · x + shift. channels.h has the walk and its names.
 *
 * The moments take one walk: they are sums of d and d² with d = x − center, where the center is the
 * mean of a few rows, so that little cancels in Σd² − (Σd)²/n. Then x is read again, as no result is
 * known before the last number was seen. A column with NaN or ∞ gets a mean of its own kind, as in
 * NumPy, and leaves the others alone.
 */
#ifndef CHANNEL_NORM_H
#define CHANNEL_NORM_H

enum { SAMPLES = 16 }; /* rows, at equal distances, whose mean is the center */

typedef struct {
    Channels by;
    const void *x, *weight, *bias; /* weight and bias: NULL for ones and zeros */
    double eps, far;
    double *means, *squares; /* of the columns of each unit: μ and Σ(x − μ)² */
    void *mean, *variance, *inverse;
    void *factor, *shift;    /* for each column of the rows of a set */
    bool *is_far;            /* for each set: whether μ² > far · σ² in some channel */
    void *out;
} ChannelNorm;

#endif

#ifdef real

/* Moments of `vectors` neighbouring vectors of columns; or of `count` columns, fewer than a vector. */
INLINE void KERNEL(moments_of_columns)(const real *x, Index rows, Index width, int vectors,
                                       Index count, double *means, double *squares)
{
    enum { MOST = 4 };
    KERNEL(vector) center[MOST], sum[MOST] = {{0}}, square[MOST] = {{0}};
    const Index distance = ceil_div(rows, SAMPLES) * width;
    for (int k = 0; k < vectors; k++) {
        const real *from = x + k * LANES;
        const KERNEL(vector) first = KERNEL(load_some)(from, count);
        KERNEL(vector) others = {0};
        for (Index at = distance; at < rows * width; at += distance)
            others += KERNEL(load_some)(from + at, count) - first;
        center[k] = first + others / (real)ceil_div(rows * width, distance);
    }
    for (Index r = 0; r < rows; r++)
        for (int k = 0; k < vectors; k++) {
            KERNEL(vector) d = KERNEL(load_some)(x + r * width + k * LANES, count) - center[k];
            sum[k] += d;
            square[k] = KERNEL(multiply_add)(d, d, square[k]);
        }
    for (int k = 0; k < vectors; k++)
        for (Index i = 0; i < count; i++) {
            const double average = sum[k][i] / (double)rows;
            means[k * LANES + i] = center[k][i] + average;
            squares[k * LANES + i] = square[k][i] - average * average * rows;
        }
}

/* The mean of a few numbers of a stretch: of four vectors, or of all if it is shorter than one. */
INLINE real KERNEL(center_of)(const real *x, Index count)
{
    enum { VECTORS = 4 };
    if (count < LANES) {
        real others = 0;
        for (Index i = 1; i < count; i++)
            others += x[i] - x[0];
        return x[0] + others / count;
    }
    KERNEL(vector) sum = {0};
    for (Index k = 0; k < VECTORS; k++)
        sum += KERNEL(load)(x + (count - LANES) * k / (VECTORS - 1)) - x[0];
    return x[0] + KERNEL(total)(sum) / (VECTORS * LANES);
}

/* Moments of numbers that are neighbours. */
INLINE void KERNEL(moments_of_stretch)(const real *x, Index count, double *mean, double *squares)
{
    enum { SUMS = 4 };
    const real center = KERNEL(center_of)(x, count);
    const KERNEL(vector) centers = KERNEL(spread)(center);
    KERNEL(vector) sums[SUMS] = {{0}}, square[SUMS] = {{0}};
    Index i = 0;
    for (; i + SUMS * LANES <= count; i += SUMS * LANES)
        for (int k = 0; k < SUMS; k++) {
            KERNEL(vector) d = KERNEL(load)(x + i + k * LANES) - centers;
            sums[k] += d;
            square[k] = KERNEL(multiply_add)(d, d, square[k]);
        }
    for (; i + LANES <= count; i += LANES) {
        KERNEL(vector) d = KERNEL(load)(x + i) - centers;
        sums[0] += d;
        square[0] = KERNEL(multiply_add)(d, d, square[0]);
    }
    double sum = KERNEL(total)((sums[0] + sums[1]) + (sums[2] + sums[3]));
    double total = KERNEL(total)((square[0] + square[1]) + (square[2] + square[3]));
    for (; i < count; i++) {
        const real d = x[i] - center;
        sum += d;
        total += d * d;
    }
    *mean = center + sum / count;
    *squares = total - sum / count * sum;
}

/* Moments of a column whose squares overflow, or which is not finite. */
static void KERNEL(moments_of_odd)(const real *x, Index rows, Index width, double *mean,
                                   double *squares)
{
    double sum = 0;
    for (Index r = 0; r < rows; r++)
        sum += x[r * width];
    *mean = sum / rows;
    *squares = isfinite(sum) ? INFINITY : NAN;
}

static void KERNEL(channel_moments)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const ChannelNorm *t = task;
    const Channels *by = &t->by;
    const Index width = by->width, stop = least((chunk + 1) * by->each, by->blocks * by->units);
    for (Index number = chunk * by->each; number < stop; number++) {
        const Unit u = unit_at(by, number);
        const real *x = (const real *)t->x + u.start;
        double *means = t->means + u.sums, *squares = t->squares + u.sums;
        if (!by->last)
            KERNEL(moments_of_stretch)(x, u.rows, means, squares);
        else if (width < LANES)
            KERNEL(moments_of_columns)(x, u.rows, width, 1, width, means, squares);
        for (Index c = 0; by->last && width >= LANES && c < width;) {
            const KERNEL(Columns) at = KERNEL(columns_at)(c, width);
            const Index from = at.from;
            if (at.vectors == 4)
                KERNEL(moments_of_columns)
                (x + from, u.rows, width, 4, LANES, means + from, squares + from);
            else
                KERNEL(moments_of_columns)
                (x + from, u.rows, width, 1, LANES, means + from, squares + from);
            c = at.next;
        }
        for (Index c = 0; c < width; c++)
            if (!isfinite(squares[c]))
                KERNEL(moments_of_odd)(x + c, u.rows, width, means + c, squares + c);
    }
}

/* The mean and variance of the channels of a set, and what they make of x. */
static void KERNEL(channel_factors)(const void *task, Index set, void *scratch)
{
    const ChannelNorm *t = task;
    const Channels *by = &t->by;
    const Index channels = by->channels, size = channels / by->groups;
    const double count = (double)by->examples * by->positions / by->sets;
    const double *means = t->means + set * by->entries * channels;
    const double *squares = t->squares + set * by->entries * channels;
    double *restrict mean = scratch, *restrict rest = mean + channels;
    double *restrict square = rest + channels;
    memset(scratch, 0, 3 * channels * sizeof(double));
    for (Index e = 0; e < by->entries; e++) {
        const double share = counted(by, e) / count;
        for (Index c = 0; c < channels; c++)
            mean[c] += share * means[e * channels + c];
    }
    for (Index e = 0; e < by->entries; e++) {
        const double share = counted(by, e) / count;
        for (Index c = 0; c < channels; c++)
            rest[c] += share * (means[e * channels + c] - mean[c]);
    }
    for (Index c = 0; c < channels; c++)
        mean[c] = KERNEL(refined)(mean[c], rest[c]);
    KERNEL(share)(mean, channels, size);
    for (Index e = 0; e < by->entries; e++) {
        const double rows = counted(by, e);
        for (Index c = 0; c < channels; c++) {
            const double d = means[e * channels + c] - mean[c];
            square[c] += squares[e * channels + c] + rows * d * d;
        }
    }
    KERNEL(share)(square, channels, size);

    real *restrict means_out = (real *)t->mean + set * channels;
    real *restrict variance = (real *)t->variance + set * channels;
    real *restrict inverse = (real *)t->inverse + set * channels;
    real *restrict factor = (real *)t->factor + set * by->columns;
    real *restrict shift = (real *)t->shift + set * by->columns;
    const real *restrict weight = t->weight, *restrict bias = t->bias;
    bool is_far = false;
    for (Index c = 0; c < channels; c++) {
        means_out[c] = mean[c];
        real odd = 0 * (means_out[c] * means_out[c]); /* NaN where NumPy's ⟨x²⟩ − μ² is ∞ − ∞ */
        variance[c] = square[c] / count + odd;
        inverse[c] = 1 / sqrt(square[c] / count + odd + t->eps);
        is_far |= mean[c] * mean[c] > t->far * square[c] / count;
    }
    for (Index c = 0; c < channels; c++) {
        factor[c] = weight ? inverse[c] * weight[c] : inverse[c];
        shift[c] = (bias ? bias[c] : 0) - means_out[c] * factor[c];
    }
    t->is_far[set] = is_far;
    KERNEL(repeat)(factor, channels, by->columns);
    KERNEL(repeat)(shift, channels, by->columns);
}

static void KERNEL(scale_channels)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const ChannelNorm *t = task;
    const Channels *by = &t->by;
    const Index width = by->width, stop = least((chunk + 1) * by->each, by->blocks * by->units);
    for (Index number = chunk * by->each; number < stop; number++) {
        const Unit u = unit_at(by, number);
        const real *restrict x = (const real *)t->x + u.start;
        const real *restrict factor = (const real *)t->factor + u.factors;
        const real *restrict shift = (const real *)t->shift + u.factors;
        real *restrict out = (real *)t->out + u.start;
        if (by->last)
            for (Index r = 0; r < u.rows; r++)
                for (Index c = 0; c < width; c++)
                    out[r * width + c] = x[r * width + c] * factor[c] + shift[c];
        else
            for (Index i = 0; i < u.rows; i++)
                out[i] = x[i] * *factor + *shift;
    }
}

#endif

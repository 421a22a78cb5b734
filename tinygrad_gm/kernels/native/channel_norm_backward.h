/* Batch and group norm, backward, in three kernels like those of channel_norm.h: `channel_slopes`
 * leaves Σ g and Σ g·(x − μ) of each unit, `slope_factors` makes of them the gradients of weight and
 * bias and the numbers of each channel in factor · g + slope · x + shift, which `scale_slopes` writes;
 * the formula is in kernels/norms.py. Both g and x are read twice.
 *
 * In Σ g·(x − μ) most of the differences would be rounded in one direction, as they have the low bits of
 * μ. So the sum is taken about a center near μ with few bits, from which numbers differ exactly, and
 * then moved to μ.
 */
#ifndef CHANNEL_NORM_BACKWARD_H
#define CHANNEL_NORM_BACKWARD_H

typedef struct {
    Channels by;
    const void *g, *x, *weight, *mean, *inverse;
    const void *mean_gradient, *variance_gradient; /* NULL for zeros; else there is one set */
    bool far;                /* whether |μ| is many σ in some channel */
    double *totals, *steeps; /* of the columns of each unit: Σ g and Σ g·(x − μ) */
    void *parts;             /* for each set two rows of channels: the gradients of weight and bias */
    void *factor, *slope, *shift; /* for each column of the rows of a set */
    void *out;
} ChannelNormBackward;

#endif

#ifdef real

/* Sums of `vectors` neighbouring vectors of columns; or of `count` columns, fewer than a vector. */
INLINE void KERNEL(slopes_of_columns)(const real *g, const real *x, const real *center, Index rows,
                                      Index width, int vectors, Index count, double *totals,
                                      double *steeps)
{
    enum { MOST = 4 };
    KERNEL(vector) mean[MOST], total[MOST] = {{0}}, steep[MOST] = {{0}};
    for (int k = 0; k < vectors; k++)
        mean[k] = KERNEL(load_some)(center + k * LANES, count);
    for (Index r = 0; r < rows; r++)
        for (int k = 0; k < vectors; k++) {
            const Index at = r * width + k * LANES;
            KERNEL(vector) slope = KERNEL(load_some)(g + at, count);
            KERNEL(vector) d = KERNEL(load_some)(x + at, count) - mean[k];
            total[k] += slope;
            steep[k] = KERNEL(multiply_add)(slope, d, steep[k]);
        }
    for (int k = 0; k < vectors; k++)
        for (Index i = 0; i < count; i++) {
            totals[k * LANES + i] = total[k][i];
            steeps[k * LANES + i] = steep[k][i];
        }
}

/* Sums of numbers that are neighbours. */
INLINE void KERNEL(slopes_of_stretch)(const real *g, const real *x, real center, Index count,
                                      double *total, double *steep)
{
    enum { SUMS = 4 };
    const KERNEL(vector) mean = KERNEL(spread)(center);
    KERNEL(vector) first[SUMS] = {{0}}, second[SUMS] = {{0}};
    Index i = 0;
    for (; i + SUMS * LANES <= count; i += SUMS * LANES)
        for (int k = 0; k < SUMS; k++) {
            KERNEL(vector) slope = KERNEL(load)(g + i + k * LANES);
            KERNEL(vector) d = KERNEL(load)(x + i + k * LANES) - mean;
            first[k] += slope;
            second[k] = KERNEL(multiply_add)(slope, d, second[k]);
        }
    for (; i + LANES <= count; i += LANES) {
        KERNEL(vector) slope = KERNEL(load)(g + i), d = KERNEL(load)(x + i) - mean;
        first[0] += slope;
        second[0] = KERNEL(multiply_add)(slope, d, second[0]);
    }
    *total = KERNEL(total)((first[0] + first[1]) + (first[2] + first[3]));
    *steep = KERNEL(total)((second[0] + second[1]) + (second[2] + second[3]));
    for (; i < count; i++) {
        *total += g[i];
        *steep += g[i] * (x[i] - center);
    }
}

/* Σ g·(x − μ) of columns where it is not finite, as NumPy computes it. */
INLINE void KERNEL(repair_slopes)(const real *g, const real *x, const real *mean, Index rows,
                                  Index width, const double *totals, double *steeps)
{
    for (Index c = 0; c < width; c++) {
        if (isfinite(steeps[c]))
            continue;
        steeps[c] = -mean[c] * totals[c];
        for (Index at = c; at < rows * width; at += width)
            steeps[c] += g[at] * x[at];
    }
}

/* μ to the nearest multiple of about σ/256. */
INLINE real KERNEL(center_near)(real mean, real inverse)
{
    int power;
    frexp(1 / (double)inverse, &power);
    const double step = ldexp(1, power - 8), center = rint(mean / step) * step;
    return isfinite(center) ? (real)center : mean;
}

static void KERNEL(channel_slopes)(const void *task, Index chunk, void *scratch)
{
    const ChannelNormBackward *t = task;
    const Channels *by = &t->by;
    const Index width = by->width, stop = least((chunk + 1) * by->each, by->blocks * by->units);
    real *center = scratch;
    for (Index number = chunk * by->each; number < stop; number++) {
        const Unit u = unit_at(by, number);
        const real *g = (const real *)t->g + u.start, *x = (const real *)t->x + u.start;
        double *totals = t->totals + u.sums, *steeps = t->steeps + u.sums;
        if (!by->last) {
            const real inverse = ((const real *)t->inverse)[u.factors];
            const real near = KERNEL(center_near)(((const real *)t->mean)[u.factors], inverse);
            KERNEL(slopes_of_stretch)(g, x, near, u.rows, totals, steeps);
            if (!t->far)
                KERNEL(repair_slopes)(g, x, &near, u.rows, 1, totals, steeps);
            continue;
        }
        const Index set = u.factors / by->columns;
        const real *mean = (const real *)t->mean + set * by->channels;
        const real *inverse = (const real *)t->inverse + set * by->channels;
        for (Index c = 0; c < by->channels; c++)
            center[c] = KERNEL(center_near)(mean[c], inverse[c]);
        KERNEL(repeat)(center, by->channels, width);
        if (width < LANES)
            KERNEL(slopes_of_columns)
            (g, x, center, u.rows, width, 1, width, totals, steeps);
        for (Index c = 0; width >= LANES && c < width;) {
            const KERNEL(Columns) at = KERNEL(columns_at)(c, width);
            const Index from = at.from;
            if (at.vectors == 4)
                KERNEL(slopes_of_columns)
                (g + from, x + from, center + from, u.rows, width, 4, LANES, totals + from,
                 steeps + from);
            else
                KERNEL(slopes_of_columns)
                (g + from, x + from, center + from, u.rows, width, 1, LANES, totals + from,
                 steeps + from);
            c = at.next;
        }
        if (!t->far)
            KERNEL(repair_slopes)(g, x, center, u.rows, width, totals, steeps);
    }
}

static void KERNEL(slope_factors)(const void *task, Index set, void *scratch)
{
    const ChannelNormBackward *t = task;
    const Channels *by = &t->by;
    const Index channels = by->channels, size = channels / by->groups;
    const double count = (double)by->examples * by->positions / by->sets;
    const double *totals = t->totals + set * by->entries * channels;
    const double *steeps = t->steeps + set * by->entries * channels;
    const real *mean = (const real *)t->mean + set * channels;
    const real *inverse = (const real *)t->inverse + set * channels;
    const real *weight = t->weight;
    const real *mean_gradient = t->mean_gradient, *variance_gradient = t->variance_gradient;
    double *restrict total = scratch, *restrict steep = total + channels;
    memset(scratch, 0, 2 * channels * sizeof(double));
    for (Index e = 0; e < by->entries; e++)
        for (Index c = 0; c < channels; c++) {
            total[c] += totals[e * channels + c];
            steep[c] += steeps[e * channels + c];
        }

    for (Index c = 0; c < channels; c++)
        if (isfinite(total[c]))
            steep[c] -= ((double)mean[c] - KERNEL(center_near)(mean[c], inverse[c])) * total[c];

    real *restrict weight_gradient = (real *)t->parts + set * 2 * channels;
    real *restrict bias_gradient = weight_gradient + channels;
    real *restrict factor = (real *)t->factor + set * by->columns;
    real *restrict slope = (real *)t->slope + set * by->columns;
    real *restrict shift = (real *)t->shift + set * by->columns;
    for (Index c = 0; c < channels; c++) {
        weight_gradient[c] = steep[c] * inverse[c];
        bias_gradient[c] = total[c];
        factor[c] = weight ? inverse[c] * weight[c] : inverse[c];
        if (weight) {
            total[c] *= weight[c];
            steep[c] *= weight[c];
        }
    }
    KERNEL(share)(total, channels, size);
    KERNEL(share)(steep, channels, size);
    for (Index c = 0; c < channels; c++) {
        const double scale = inverse[c];
        double a = -total[c] / count * scale, b = -steep[c] / count * scale * scale * scale;
        if (t->mean_gradient)
            a += mean_gradient[c] / count;
        if (t->variance_gradient)
            b += 2.0 * variance_gradient[c] / count;
        slope[c] = b;
        shift[c] = a - b * mean[c];
    }
    KERNEL(repeat)(factor, channels, by->columns);
    KERNEL(repeat)(slope, channels, by->columns);
    KERNEL(repeat)(shift, channels, by->columns);
}

static void KERNEL(scale_slopes)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const ChannelNormBackward *t = task;
    const Channels *by = &t->by;
    const Index width = by->width, stop = least((chunk + 1) * by->each, by->blocks * by->units);
    for (Index number = chunk * by->each; number < stop; number++) {
        const Unit u = unit_at(by, number);
        const real *restrict g = (const real *)t->g + u.start;
        const real *restrict x = (const real *)t->x + u.start;
        const real *restrict factor = (const real *)t->factor + u.factors;
        const real *restrict slope = (const real *)t->slope + u.factors;
        const real *restrict shift = (const real *)t->shift + u.factors;
        real *restrict out = (real *)t->out + u.start;
        if (by->last)
            for (Index r = 0; r < u.rows; r++)
                for (Index c = 0; c < width; c++) {
                    const Index i = r * width + c;
                    out[i] = g[i] * factor[c] + x[i] * slope[c] + shift[c];
                }
        else
            for (Index i = 0; i < u.rows; i++)
                out[i] = g[i] * *factor + x[i] * *slope + *shift;
    }
}

#endif

/* softmax of rows: of scores in attention, of any last axis, and with the loss of a class.
 *
 * NumPy passes over all scores for the largest of each row, the difference, exp, the sum and the
 * quotient. Here a row goes through all of them while it is in the first-level cache. A chunk is some
 * rows. Within a row, the largest and the sum are taken in 16 lanes, and the sums of 1,024 numbers
 * are added in double, so that long rows lose no digits.
 *
 * In a causal matrix of scores row i has only its first i + 1 columns: the others are not read, and
 * their weight is 0 whatever lies there.
 */
#ifndef SOFTMAX_H
#define SOFTMAX_H

typedef struct {
    const void *x;      /* scores */
    void *out;          /* may be x */
    void *log_total;    /* of each row: ln Σ e^x, */
    void *total;        /* Σ e^(x − the largest), at least 1; */
    const int64_t *target; /* or the number of a class, */
    void *loss;         /* and −ln softmax(x)[target] */
    Index rows, width;
    Index period;       /* 0, or the rows of a causal matrix */
} Scores;

static inline Index scores_of_chunk(Index width) { return width < 16384 ? 16384 / width : 1; }

#endif

#if FLOAT

/* How many columns a row has. */
INLINE Index columns_of(const Scores *r, Index row)
{
    return r->period ? least(row % r->period + 1, r->width) : r->width;
}

/* Not NaN: a row with NaN becomes NaN by its sum. */
INLINE float largest_of(const float *x, Index count)
{
    float lanes[16], largest = -INFINITY;
    for (int k = 0; k < 16; k++)
        lanes[k] = -INFINITY;
    Index i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k++)
            lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
    for (; i < count; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (int k = 0; k < 16; k++)
        largest = lanes[k] > largest ? lanes[k] : largest;
    return largest;
}

INLINE double sum_of(const float *x, Index count)
{
    double total = 0;
    for (Index start = 0; start < count; start += 1024) {
        const Index stop = least(start + 1024, count);
        float lanes[16] = {0}, rest = 0;
        Index i = start;
        for (; i + 16 <= stop; i += 16)
            for (int k = 0; k < 16; k++)
                lanes[k] += x[i + k];
        for (; i < stop; i++)
            rest += x[i];
        for (int width = 8; width; width /= 2)
            for (int k = 0; k < width; k++)
                lanes[k] += lanes[k + width];
        total += (double)lanes[0] + rest;
    }
    return total;
}

/* e^(x − shift) of a row, 0 in the columns that it has not. */
INLINE void exponentiate(float *out, const float *x, float shift, Index count, Index width)
{
    for (Index i = 0; i < count; i++)
        out[i] = exp_of(x[i] - shift);
    for (Index i = count; i < width; i++)
        out[i] = 0;
}

/* Where scores do not differ from −∞ there is nothing to attend to: all weights are 0. */
static void KERNEL(attention_weights)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Scores *r = task;
    const Index first = chunk * scores_of_chunk(r->width);
    for (Index row = first; row < least(first + scores_of_chunk(r->width), r->rows); row++) {
        const Index count = columns_of(r, row), start = row * r->width;
        const float *x = (const float *)r->x + start;
        float *out = (float *)r->out + start, largest = largest_of(x, count);
        largest = largest == -INFINITY ? 0 : largest;
        exponentiate(out, x, largest, count, r->width);
        float total = (float)sum_of(out, count);
        total = total < 1 ? 1 : total;
        ((float *)r->total)[row] = total;
        ((float *)r->log_total)[row] = largest + log_of(total);
    }
}

/* The same weights, over their total. */
static void KERNEL(attention_weights_again)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Scores *r = task;
    const Index first = chunk * scores_of_chunk(r->width);
    for (Index row = first; row < least(first + scores_of_chunk(r->width), r->rows); row++) {
        const Index start = row * r->width;
        exponentiate((float *)r->out + start, (const float *)r->x + start,
                     ((const float *)r->log_total)[row], columns_of(r, row), r->width);
    }
}

static void KERNEL(softmax)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Scores *r = task;
    const Index first = chunk * scores_of_chunk(r->width);
    for (Index row = first; row < least(first + scores_of_chunk(r->width), r->rows); row++) {
        const float *x = (const float *)r->x + row * r->width;
        float *out = (float *)r->out + row * r->width, largest = largest_of(x, r->width);
        exponentiate(out, x, largest, r->width, r->width);
        const float total = (float)sum_of(out, r->width);
        for (Index i = 0; i < r->width; i++)
            out[i] /= total;
        if (r->target)
            ((float *)r->loss)[row] = largest + log_of(total) - x[r->target[row]];
    }
}

#endif

/* softmax of rows: of scores in attention, of any last axis, and with the loss of a class; backward too.
 *
 * NumPy passes over all scores for the largest of each row, the difference, exp, the sum and the
 * quotient. Here a row goes through all of them while it is in the first-level cache. A chunk is some
 * rows. The sum of a row is that of sums.h, so that long rows lose no digits.
 *
 * In a causal matrix of scores row i has only its first i + 1 columns: the others are not read, and
 * their weight is 0 whatever lies there.
 */
#ifndef SOFTMAX_H
#define SOFTMAX_H

typedef struct {
    const void *x;      /* scores; backward: what forward made of them */
    const void *g;      /* the upstream gradient */
    void *out;          /* may be x */
    void *log_total;    /* of each row: ln Σ e^x, */
    void *total;        /* Σ e^(x − the largest), at least 1; */
    const int64_t *target; /* or the number of a class, */
    void *loss;         /* and −ln softmax(x)[target] */
    double scale;       /* an upstream gradient that is one number */
    Index rows, width;
    Index period;       /* 0, or the rows of a causal matrix */
} Scores;

static inline Index scores_of_chunk(Index width) { return width < 16384 ? 16384 / width : 1; }

#endif

#ifdef real

/* How many columns a row has. */
INLINE Index KERNEL(columns_of)(const Scores *r, Index row)
{
    return r->period ? least(row % r->period + 1, r->width) : r->width;
}

/* Not NaN: a row with NaN becomes NaN by its sum. */
INLINE real KERNEL(largest_of)(const real *x, Index count)
{
    real lanes[16], largest = -INFINITY;
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

INLINE real KERNEL(sum_of)(const real *x, Index count)
{
    return KERNEL(sum_of_numbers)(x, count, 0, 0, 0);
}

/* ln Σ x in double: where one of the probabilities is nearly 1, its logarithm is what the others add
 * to the sum, and that is lost in a sum of floats. */
INLINE double KERNEL(log_sum_of)(const real *x, Index count)
{
    double lanes[16] = {0}, total = 0;
    Index i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k++)
            lanes[k] += x[i + k];
    for (; i < count; i++)
        total += x[i];
    for (int k = 0; k < 16; k++)
        total += lanes[k];
    return log_of_double(total);
}

/* Σ x·y, with the sums of blocks in double. */
INLINE real KERNEL(product_of)(const real *x, const real *y, Index count)
{
    double total = 0;
    for (Index i = 0; i < count;) {
        const Index stop = least(i + ADDENDS * LANES, count);
        KERNEL(vector) sums[2] = {{0}};
        for (; i + 2 * LANES <= stop; i += 2 * LANES)
            for (int k = 0; k < 2; k++)
                sums[k] = KERNEL(multiply_add)(KERNEL(load)(x + i + k * LANES),
                                               KERNEL(load)(y + i + k * LANES), sums[k]);
        total += KERNEL(total)(sums[0] + sums[1]);
        for (; i < stop; i++)
            total += x[i] * y[i];
    }
    return total;
}

/* e^(x − shift) of a row, 0 in the columns that it has not. */
INLINE void KERNEL(exponentiate)(real *out, const real *x, real shift, Index count, Index width)
{
    for (Index i = 0; i < count; i++)
        out[i] = EXP(x[i] - shift);
    for (Index i = count; i < width; i++)
        out[i] = 0;
}

/* A kernel of rows, whose first numbers are number `start`. */
#define ROWS(name, body)                                                                       \
    static void KERNEL(name)(const void *task, Index chunk, void *scratch)                     \
    {                                                                                          \
        (void)scratch;                                                                         \
        const Scores *r = task;                                                                \
        const Index width = r->width, first = chunk * scores_of_chunk(width);                  \
        const Index last = least(first + scores_of_chunk(width), r->rows);                     \
        for (Index row = first; row < last; row++) {                                           \
            const Index start = row * width;                                                   \
            const real *x = (const real *)r->x + start;                                        \
            real *out = (real *)r->out + start;                                                \
            body                                                                               \
        }                                                                                      \
    }

/* Where scores do not differ from −∞ there is nothing to attend to: all weights are 0. */
ROWS(attention_weights, {
    const Index count = KERNEL(columns_of)(r, row);
    real largest = KERNEL(largest_of)(x, count);
    largest = largest == -INFINITY ? 0 : largest;
    KERNEL(exponentiate)(out, x, largest, count, width);
    real total = KERNEL(sum_of)(out, count);
    total = total < 1 ? 1 : total;
    ((real *)r->total)[row] = total;
    ((real *)r->log_total)[row] = largest + LOG(total);
})

/* The same weights, over their total. */
ROWS(attention_weights_again, {
    const real log_total = ((const real *)r->log_total)[row];
    KERNEL(exponentiate)(out, x, log_total, KERNEL(columns_of)(r, row), width);
})

ROWS(softmax, {
    const real largest = KERNEL(largest_of)(x, width);
    KERNEL(exponentiate)(out, x, largest, width, width);
    if (r->target)
        ((real *)r->loss)[row] = largest - x[r->target[row]] + (real)KERNEL(log_sum_of)(out, width);
    const real total = KERNEL(sum_of)(out, width);
    for (Index i = 0; i < width; i++)
        out[i] /= total;
})

ROWS(log_softmax, {
    const real largest = KERNEL(largest_of)(x, width);
    KERNEL(exponentiate)(out, x, largest, width, width);
    const real log_total = (real)KERNEL(log_sum_of)(out, width);
    for (Index i = 0; i < width; i++)
        out[i] = (x[i] - largest) - log_total;
})

/* s·(g − Σ g·s), where s is the softmax. */
ROWS(softmax_backward, {
    const real *g = (const real *)r->g + start;
    const real dot = KERNEL(product_of)(g, x, width);
    for (Index i = 0; i < width; i++)
        out[i] = x[i] * (g[i] - dot);
})

/* g − s·Σ g, where x = ln s. */
ROWS(log_softmax_backward, {
    const real *g = (const real *)r->g + start;
    const real total = KERNEL(sum_of)(g, width);
    for (Index i = 0; i < width; i++)
        out[i] = g[i] - EXP(x[i]) * total;
})

/* (s − one-hot(target))·g, for a g of each row, or one number. */
ROWS(cross_entropy_backward, {
    const real g = r->g ? ((const real *)r->g)[row] : (real)r->scale;
    for (Index i = 0; i < width; i++)
        out[i] = x[i] * g;
    out[r->target[row]] -= g;
})

#undef ROWS

#endif

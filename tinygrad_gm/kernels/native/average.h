/* A moving average in one pass: mean ← mean + share · (value − mean), as optim/ema.py has it. */
#ifndef AVERAGE_H
#define AVERAGE_H

typedef struct {
    void *mean;
    const void *values;
    Index size;
    double share;
} Average;

#endif

#ifdef real

static void KERNEL(average)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Average *a = task;
    const Index start = chunk * STRETCH, length = least(STRETCH, a->size - start);
    real *restrict mean = (real *)a->mean + start;
    const real *restrict values = (const real *)a->values + start;
    const real share = a->share;

    for (Index i = 0; i < length; i++)
        mean[i] += (values[i] - mean[i]) * share;
}

#endif

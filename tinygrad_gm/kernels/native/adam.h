/* Adam and AdamW in one pass: see optim/adam.py, whose formula this is, operation by operation.
 *
 * NumPy passes over memory twelve times; here each number of the four arrays is read once and
 * each of the three results written once. That is all the time it takes: for 10 million parameters
 * 280 MB go through memory. So the loop is left to the compiler, and nothing is gained by a smarter
 * one. The division and the root are the processor's exact ones, and no product is contracted with
 * a sum, so the result has the same bits as NumPy's.
 */
#ifndef ADAM_H
#define ADAM_H

typedef struct {
    Gradients gradients;
    void *param, *exp_avg, *exp_avg_sq;      /* θ, m, v */
    void *max_exp_avg_sq;                    /* the largest v so far, or NULL */
    double beta1, beta2, share, eps, lr;     /* share: of g² in v */
} Adam;

#endif

#ifdef real

static void KERNEL(adam_piece)(const void *task, const real *restrict g, Index start, Index length)
{
    const Adam *a = task;
    real *restrict p = (real *)a->param + start;
    real *restrict m = (real *)a->exp_avg + start;
    real *restrict v = (real *)a->exp_avg_sq + start;
    real *restrict largest = a->max_exp_avg_sq ? (real *)a->max_exp_avg_sq + start : NULL;
    const real scale = a->gradients.scale, decay = a->gradients.decay, keep = a->gradients.keep;
    const real beta1 = a->beta1, beta2 = a->beta2, share = a->share, eps = a->eps, lr = a->lr;
    const bool decays = a->gradients.decay != 0;

    for (Index i = 0; i < length; i++) {
        real slope = scale * g[i];
        if (decays)
            slope += decay * p[i];
        m[i] = beta1 * m[i] + slope;
        v[i] = beta2 * v[i] + slope * slope * share;
        if (!largest)
            p[i] = keep * p[i] - m[i] / (ROOT(v[i]) + eps) * lr;
    }
    for (Index i = 0; largest && i < length; i++) {
        const real l = largest[i];
        largest[i] = (l >= v[i]) | (l != l) ? l : v[i]; /* NaN stays, as in NumPy */
        p[i] = keep * p[i] - m[i] / (ROOT(largest[i]) + eps) * lr;
    }
}

static void KERNEL(adam)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    KERNEL(by_pieces)(&((const Adam *)task)->gradients, task, chunk, KERNEL(adam_piece));
}

#endif

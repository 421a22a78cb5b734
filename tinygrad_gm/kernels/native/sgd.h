/* SGD with momentum in one pass: see optim/sgd.py, whose formula this is, operation by operation. */
#ifndef SGD_H
#define SGD_H

typedef struct {
    Gradients gradients;
    void *param, *velocity;      /* θ, b; NULL: no momentum */
    double lr, momentum, share;  /* share: of the gradient in the velocity */
    bool nesterov;
} SGD;

#endif

#ifdef real

static void KERNEL(sgd_piece)(const void *task, const real *restrict g, Index start, Index length)
{
    const SGD *a = task;
    real *restrict p = (real *)a->param + start;
    const real scale = a->gradients.scale, decay = a->gradients.decay, keep = a->gradients.keep;
    const real lr = a->lr, momentum = a->momentum, share = a->share;
    const bool decays = a->gradients.decay != 0;

    if (!a->velocity) {
        for (Index i = 0; i < length; i++) {
            real slope = scale * g[i];
            if (decays)
                slope += decay * p[i];
            p[i] = keep * p[i] - slope * lr;
        }
        return;
    }
    real *restrict b = (real *)a->velocity + start;
    const bool nesterov = a->nesterov;
    for (Index i = 0; i < length; i++) {
        real slope = scale * g[i];
        if (decays)
            slope += decay * p[i];
        b[i] = b[i] * momentum + slope * share;
        p[i] = keep * p[i] - (nesterov ? b[i] * momentum + slope : b[i]) * lr;
    }
}

static void KERNEL(sgd)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    KERNEL(by_pieces)(&((const SGD *)task)->gradients, task, chunk, KERNEL(sgd_piece));
}

#endif

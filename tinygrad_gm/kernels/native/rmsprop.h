/* RMSprop in one pass: see optim/rmsprop.py, whose formula this is, operation by operation. */
#ifndef RMSPROP_H
#define RMSPROP_H

typedef struct {
    Gradients gradients;
    void *param, *square_avg, *grad_avg, *velocity; /* θ, v, a (NULL: not centred), b (NULL: none) */
    double lr, alpha, share, eps, momentum;         /* share: 1 − α */
} RMSprop;

#endif

#ifdef real

/* `centered` and `moving` are constants at each call: a loop without choices is vectorised. */
INLINE void KERNEL(rmsprop_loop)(
    const RMSprop *r, const real *restrict g, Index start, Index length, bool centered, bool moving)
{
    real *restrict p = (real *)r->param + start;
    real *restrict v = (real *)r->square_avg + start;
    real *restrict a = centered ? (real *)r->grad_avg + start : NULL;
    real *restrict b = moving ? (real *)r->velocity + start : NULL;
    const real scale = r->gradients.scale, decay = r->gradients.decay, keep = r->gradients.keep;
    const real lr = r->lr, alpha = r->alpha, share = r->share, eps = r->eps;
    const real momentum = r->momentum;
    const bool decays = r->gradients.decay != 0;

    for (Index i = 0; i < length; i++) {
        real slope = scale * g[i];
        if (decays)
            slope += decay * p[i];
        v[i] = v[i] * alpha + slope * slope * share;
        real variance = v[i];
        if (centered) {
            a[i] = a[i] * alpha + slope * share;
            variance -= a[i] * a[i];
            variance = variance < 0 ? 0 : variance; /* by rounding; NaN stays */
        }
        real direction = slope / (ROOT(variance) + eps);
        if (moving)
            direction = b[i] = b[i] * momentum + direction;
        p[i] = keep * p[i] - direction * lr;
    }
}

static void KERNEL(rmsprop_piece)(
    const void *task, const real *restrict g, Index start, Index length)
{
    const RMSprop *r = task;
    if (r->grad_avg && r->velocity)
        KERNEL(rmsprop_loop)(r, g, start, length, true, true);
    else if (r->grad_avg)
        KERNEL(rmsprop_loop)(r, g, start, length, true, false);
    else if (r->velocity)
        KERNEL(rmsprop_loop)(r, g, start, length, false, true);
    else
        KERNEL(rmsprop_loop)(r, g, start, length, false, false);
}

static void KERNEL(rmsprop)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    KERNEL(by_pieces)(&((const RMSprop *)task)->gradients, task, chunk, KERNEL(rmsprop_piece));
}

#endif

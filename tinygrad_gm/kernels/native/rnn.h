/* A simple recurrent network over a sequence: h ← tanh(W x + U h), or with relu.
 *
 * steps.h tells how memory is walked. The product U h is written to where the next state belongs, and
 * becomes the state there. A gradient that relu does not pass is exactly 0, whatever comes from above.
 */
#ifdef real

static __attribute__((noinline)) void KERNEL(rnn_step)(Index count, const real *restrict x,
                                                       real *restrict state, bool bounded)
{
    if (bounded)
        for (Index k = 0; k < count; k++)
            state[k] = TANH(state[k] + x[k]);
    else
        for (Index k = 0; k < count; k++) {
            const real sum = state[k] + x[k];
            state[k] = sum <= 0 ? 0 : sum;
        }
}

static void KERNEL(rnn)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    const real *hidden = (const real *)r->hidden + first * size;
    for (Index t = 0; t < r->steps; t++) {
        const Index start = (t * r->batch + first) * size;
        real *states = (real *)r->states + start;
        KERNEL(multiply_states)(&r->product, hidden, size, states, size, rows);
        KERNEL(rnn_step)(rows * size, (const real *)r->inputs + start, states, r->bounded);
        hidden = states;
    }
}

static __attribute__((noinline)) void KERNEL(rnn_slopes)(
    Index count, const real *restrict state, const real *restrict into_hidden,
    real *restrict slope, bool bounded)
{
    if (bounded)
        for (Index k = 0; k < count; k++)
            slope[k] = (1 - state[k] * state[k]) * into_hidden[k];
    else
        for (Index k = 0; k < count; k++)
            slope[k] = state[k] != 0 ? into_hidden[k] : 0;
}

static void KERNEL(rnn_backward)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    real *into_hidden = (real *)r->into_hidden + first * size;
    memset(into_hidden, 0, rows * size * sizeof(real));
    for (Index t = r->steps - 1; t >= 0; t--) {
        const Index start = (t * r->batch + first) * size;
        real *slopes = (real *)r->slopes + start;
        KERNEL(add_to)(into_hidden, (const real *)r->state_gradients + start, rows * size);
        KERNEL(rnn_slopes)(rows * size, (const real *)r->states + start, into_hidden, slopes,
                           r->bounded);
        KERNEL(multiply_states)(&r->product, slopes, size, into_hidden, size, rows);
    }
}

#endif

/* LSTM over a sequence: c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c), with i, f, g, o the four parts of
 * W x + U h. kernels/sequences.py has the formulas; steps.h tells how memory is walked.
 *
 * Forward, the product U h of some sequences is written to where their gates belong, and becomes gates
 * there. Backward, the slopes of the gates are written for all steps, because the gradients of U and W
 * are products with them; that with U gives the gradient of the state before.
 */
#ifdef real

static __attribute__((noinline)) void KERNEL(lstm_step)(
    Index size, const real *restrict x, real *restrict i, real *restrict f, real *restrict g,
    real *restrict o, const real *restrict before, real *restrict cell, real *restrict state)
{
    for (Index k = 0; k < size; k++) {
        i[k] = SIGMOID(i[k] + x[k]);
        f[k] = SIGMOID(f[k] + x[size + k]);
        g[k] = TANH(g[k] + x[2 * size + k]);
        o[k] = SIGMOID(o[k] + x[3 * size + k]);
        cell[k] = f[k] * before[k] + i[k] * g[k];
        state[k] = o[k] * TANH(cell[k]);
    }
}

static void KERNEL(lstm)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    const real *hidden = (const real *)r->hidden + first * size;
    const real *before = (const real *)r->cell + first * size;
    for (Index t = 0; t < r->steps; t++) {
        const Index start = (t * r->batch + first) * size;
        const real *x = (const real *)r->inputs + 4 * start;
        real *gates = (real *)r->gates + 4 * start;
        real *cells = (real *)r->cells + start, *states = (real *)r->states + start;
        KERNEL(multiply_states)(&r->product, hidden, size, gates, 4 * size, rows);
        for (Index row = 0; row < rows; row++) {
            const Index at = row * size;
            real *i = gates + 4 * at, *f = i + size, *g = f + size, *o = g + size;
            KERNEL(lstm_step)(size, x + 4 * at, i, f, g, o, before + at, cells + at, states + at);
        }
        hidden = states;
        before = cells;
    }
}

/* The slopes s of a step's gates, and c̄ before the step from that after it. */
static __attribute__((noinline)) void KERNEL(lstm_slopes)(
    Index size, const real *gates, const real *before, const real *cell, const real *into_hidden,
    real *restrict into_cell, real *restrict s_i, real *restrict s_f, real *restrict s_g,
    real *restrict s_o)
{
    for (Index k = 0; k < size; k++) {
        const real i = gates[k], f = gates[size + k], g = gates[2 * size + k], o = gates[3 * size + k];
        const real bounded = TANH(cell[k]), h = into_hidden[k];
        const real c = into_cell[k] + (1 - bounded * bounded) * o * h;
        s_i[k] = g * i * (1 - i) * c;
        s_f[k] = before[k] * f * (1 - f) * c;
        s_g[k] = i * (1 - g * g) * c;
        s_o[k] = bounded * o * (1 - o) * h;
        into_cell[k] = c * f;
    }
}

static void KERNEL(lstm_backward)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    real *into_hidden = (real *)r->into_hidden + first * size;
    real *into_cell = (real *)r->into_cell + first * size;
    memset(into_hidden, 0, rows * size * sizeof(real));
    memset(into_cell, 0, rows * size * sizeof(real));
    for (Index t = r->steps - 1; t >= 0; t--) {
        const Index start = (t * r->batch + first) * size;
        const real *gates = (const real *)r->gates + 4 * start;
        const real *cells = (const real *)r->cells + start;
        const real *before =
            t ? cells - r->batch * size : (const real *)r->cell + first * size;
        real *slopes = (real *)r->slopes + 4 * start;
        KERNEL(add_to)(into_hidden, (const real *)r->state_gradients + start, rows * size);
        KERNEL(add_to)(into_cell, (const real *)r->cell_gradients + start, rows * size);
        for (Index row = 0; row < rows; row++) {
            const Index at = row * size;
            real *i = slopes + 4 * at, *f = i + size, *g = f + size, *o = g + size;
            KERNEL(lstm_slopes)(size, gates + 4 * at, before + at, cells + at, into_hidden + at,
                                into_cell + at, i, f, g, o);
        }
        KERNEL(multiply_states)(&r->product, slopes, 4 * size, into_hidden, size, rows);
    }
}

#endif

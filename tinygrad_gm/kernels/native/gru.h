/* GRU over a sequence: with r, z, n the three parts of W x (ₓ) and of U h + b (ₕ),
 *
 *     r = σ(rₓ + rₕ),    z = σ(zₓ + zₕ),    n = tanh(nₓ + r·nₕ),    h ← (1 − z)·n + z·h
 *
 * kernels/sequences.py has the slopes; steps.h tells how memory is walked. The product U h + b of some
 * sequences is written to where their gates belong, and becomes gates there; nₕ is kept behind them.
 */
#ifdef real

static __attribute__((noinline)) void KERNEL(gru_step)(
    Index size, const real *restrict x, real *restrict r, real *restrict z, real *restrict n,
    real *restrict from_hidden, const real *restrict before, real *restrict state)
{
    for (Index k = 0; k < size; k++) {
        from_hidden[k] = n[k];
        r[k] = SIGMOID(r[k] + x[k]);
        z[k] = SIGMOID(z[k] + x[size + k]);
        n[k] = TANH(r[k] * from_hidden[k] + x[2 * size + k]);
        state[k] = (before[k] - n[k]) * z[k] + n[k];
    }
}

static void KERNEL(gru)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    const real *hidden = (const real *)r->hidden + first * size;
    for (Index t = 0; t < r->steps; t++) {
        const Index start = (t * r->batch + first) * size;
        const real *x = (const real *)r->inputs + 3 * start;
        real *gates = (real *)r->gates + 4 * start, *states = (real *)r->states + start;
        KERNEL(multiply_states)(&r->product, hidden, size, gates, 4 * size, rows);
        for (Index row = 0; row < rows; row++) {
            const Index at = row * size;
            real *reset = gates + 4 * at, *z = reset + size, *n = z + size, *from_hidden = n + size;
            KERNEL(gru_step)(size, x + 3 * at, reset, z, n, from_hidden, hidden + at, states + at);
        }
        hidden = states;
    }
}

/* The slopes of the product U h + b and of W x, which differ in n, and what of h̄ goes by z alone. */
static __attribute__((noinline)) void KERNEL(gru_slopes)(
    Index size, const real *gates, const real *before, real *restrict into_hidden,
    real *restrict s_r, real *restrict s_z, real *restrict s_n, real *restrict input_r,
    real *restrict input_z, real *restrict input_n)
{
    for (Index k = 0; k < size; k++) {
        const real r = gates[k], z = gates[size + k], n = gates[2 * size + k];
        const real g = into_hidden[k], slope = (1 - z) * (1 - n * n);
        input_r[k] = s_r[k] = slope * gates[3 * size + k] * r * (1 - r) * g;
        input_z[k] = s_z[k] = (before[k] - n) * z * (1 - z) * g;
        input_n[k] = slope * g;
        s_n[k] = slope * r * g;
        into_hidden[k] = g * z;
    }
}

/* Scratch: the product of a step. */
static void KERNEL(gru_backward)(const void *task, Index chunk, void *scratch)
{
    const Recurrence *r = task;
    const Index size = r->size, first = chunk * r->share, rows = least(r->share, r->batch - first);
    real *into_hidden = (real *)r->into_hidden + first * size;
    memset(into_hidden, 0, rows * size * sizeof(real));
    for (Index t = r->steps - 1; t >= 0; t--) {
        const Index start = (t * r->batch + first) * size;
        const real *gates = (const real *)r->gates + 4 * start;
        const real *before = t ? (const real *)r->states + start - r->batch * size
                               : (const real *)r->hidden + first * size;
        real *slopes = (real *)r->slopes + 3 * start;
        real *inputs = (real *)r->input_slopes + 3 * start;
        KERNEL(add_to)(into_hidden, (const real *)r->state_gradients + start, rows * size);
        for (Index row = 0; row < rows; row++) {
            const Index at = row * size;
            real *s = slopes + 3 * at, *in = inputs + 3 * at;
            KERNEL(gru_slopes)(size, gates + 4 * at, before + at, into_hidden + at, s, s + size,
                               s + 2 * size, in, in + size, in + 2 * size);
        }
        KERNEL(multiply_states)(&r->product, slopes, 3 * size, scratch, size, rows);
        KERNEL(add_to)(into_hidden, scratch, rows * size);
    }
}

#endif

/* What the recurrent networks have in common: a few sequences go through all steps by themselves.
 *
 * NumPy takes a step of the whole batch at once, in some fifteen calls. Sequences do not depend on
 * each other, so here a chunk is up to 32 sequences of the batch and runs from the first step to the
 * last, backward from the last to the first: threads never wait for each other between two steps, and
 * the weights stay in the second-level cache of each.
 *
 * The work of a step is the product of its few states with all weights. It is a convolution of windows
 * with one pixel, and is computed by the blocks of convolution.h: states times vectors of outputs in
 * registers, from weights that were packed once for all steps. lstm.h, gru.h and rnn.h have the rest
 * of a step, elementwise in loops that the compiler vectorises.
 */
#ifndef STEPS_H
#define STEPS_H

typedef struct {
    Index steps, batch, size; /* of a state */
    Index share;              /* sequences of a chunk */
    Convolution product;      /* of a step: forward h Uᵀ + b, backward the slopes times U */
    const void *hidden, *cell; /* before the first step */
    const void *inputs;        /* forward: W x of all steps */
    const void *state_gradients, *cell_gradients;
    void *states, *cells, *gates;
    void *slopes, *input_slopes; /* those of U h, and of W x where they differ */
    void *into_hidden, *into_cell; /* the gradients that a step passes on to the one before */
    Index bounded;               /* RNN: tanh instead of relu */
} Recurrence;

#endif

#ifdef real

/* y = x Uᵀ + b for rows of x and y that are so many numbers apart. */
static void KERNEL(multiply_states)(const Convolution *c, const real *x, Index x_step, real *y,
                                    Index y_step, Index rows)
{
    const Geometry *g = &c->geometry;
    const KERNEL(Block) blocks[2] = {KERNEL(best_block)(rows, 1), KERNEL(best_block)(rows, 2)};
    const Run run = {0};
    KERNEL(Row) row = {.x = x, .x_step = x_step, .y_step = y_step, .runs = &run, .run_count = 1,
                       .run_pixels = 1, .channels = g->channels};
    for (Index output = 0; output < g->outputs; output += BLOCK) {
        row.packed = (const real *)c->packed + output * (g->channels + 1);
        row.y = y + output;
        row.outputs = g->outputs - output;
        KERNEL(sum_row)(blocks[KERNEL(vectors)(g, output) - 1], &row, rows);
    }
}

INLINE void KERNEL(add_to)(real *restrict total, const real *restrict x, Index count)
{
    for (Index k = 0; k < count; k++)
        total[k] += x[k];
}

#endif

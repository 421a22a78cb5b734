/* Selection: x times a number where a condition holds, else exactly 0, even where x is infinite or NaN.
 *
 * Dropout and its gradient: NumPy selects in one pass and multiplies in another.
 */
#ifndef SELECTION_H
#define SELECTION_H

typedef struct {
    const void *x;
    const uint8_t *condition; /* 0 or 1 */
    void *out;
    Index size;
    double scale;
} Selection;

#endif

#ifdef real

static void KERNEL(select)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Selection *s = task;
    const Index start = chunk * MAPPED, length = least(MAPPED, s->size - start);
    const real *restrict x = (const real *)s->x + start;
    const uint8_t *restrict condition = s->condition + start;
    real *restrict out = (real *)s->out + start;
    const real scale = s->scale;
    for (Index i = 0; i < length; i++)
        out[i] = condition[i] ? x[i] * scale : 0;
}

#endif

/* What every optimizer's kernel reads: a gradient for each parameter.
 *
 * The parameters of an optimizer lie in one long vector, and so do their moments; the gradients are
 * arrays of their own. A chunk is a stretch of that vector, and is walked in pieces that belong to
 * one gradient each. Nothing is copied: a step reads and writes each number once.
 */
#ifndef GRADIENTS_H
#define GRADIENTS_H

/* Numbers of a chunk: its four arrays of floats come to 256 KB, a fraction of a second-level cache,
 * and a hundredth of a second's work is cut into hundreds of chunks. No result depends on it. */
enum { STRETCH = 1 << 14 };

typedef struct {
    Index count;          /* of arrays */
    const void **arrays;  /* each contiguous */
    const Index *stops;   /* where the next one's parameter begins in the vector */
    Index size;           /* of the vector: the last stop */
    double scale;         /* the formula's gradient is scale · g + decay · parameter, */
    double decay;
    double keep;          /* and the parameter is first multiplied by this */
} Gradients;

/* Which array holds the gradient of the number at `place`. */
static inline Index gradient_at(const Gradients *from, Index place)
{
    Index low = 0, high = from->count - 1;
    while (low < high) {
        Index middle = (low + high) / 2;
        if (from->stops[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

#endif

#ifdef real

/* Update the numbers of the vector from `start`, whose gradients lie at g. */
typedef void KERNEL(Piece)(const void *task, const real *restrict g, Index start, Index length);

static void KERNEL(by_pieces)(
    const Gradients *from, const void *task, Index chunk, KERNEL(Piece) *update)
{
    Index start = chunk * STRETCH, stop = least(start + STRETCH, from->size);
    for (Index i = gradient_at(from, start); start < stop; i++) {
        Index first = i ? from->stops[i - 1] : 0, length = least(from->stops[i], stop) - start;
        update(task, (const real *)from->arrays[i] + (start - first), start, length);
        start += length;
    }
}

#endif

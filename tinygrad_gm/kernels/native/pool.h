/* A few threads that take the chunks of a task, and wait politely in between.
 *
 * A task is cut into chunks by its shape alone, never by the number of threads, and a chunk is
 * computed by one thread from its first number to its last. So the number of threads does not
 * change a bit of the result.
 */
#ifndef POOL_H
#define POOL_H

#include "kernels.h"

#include <stdlib.h>

enum { MOST_THREADS = 64 };

/* Compute all chunks of a task; the caller's thread takes its share. Each call of the kernel gets
 * `scratch_bytes` of memory of its own. Returns false if there is no memory, with nothing done.
 *
 * Does not need the GIL. While another Python thread's task runs, the caller computes alone. */
bool run_chunks(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes);

static inline Index bytes_of(Index numbers, int type)
{
    return numbers * (Index)(type ? sizeof(double) : sizeof(float));
}

enum { LINE_BYTES = 64 }; /* of a cache */

/* Memory for `numbers` numbers, with room to align them; NULL if there is none. */
static inline void *memory_for(Index numbers, int type)
{
    return malloc((size_t)bytes_of(numbers, type) + LINE_BYTES);
}

/* The first line of a cache in it. */
static inline void *aligned(void *memory)
{
    return (char *)memory + (-(uintptr_t)memory & (LINE_BYTES - 1));
}

/* How many threads compute, the caller's included. */
int get_threads(void);
void set_threads(int count);

#endif

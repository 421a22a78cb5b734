/* A few threads that take the chunks of a task, and wait politely in between.
 *
 * A task is cut into chunks by its shape alone, never by the number of threads, and a chunk is
 * computed by one thread from its first number to its last. So the number of threads does not
 * change a bit of the result.
 */
#ifndef POOL_H
#define POOL_H

#include "kernels.h"

enum { MOST_THREADS = 64 };

/* Compute all chunks of a task; the caller's thread takes its share. Each call of the kernel gets
 * `scratch_bytes` of memory of its own. Returns false if there is no memory, with nothing done.
 *
 * Does not need the GIL. While another Python thread's task runs, the caller computes alone. */
bool run_chunks(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes);

/* How many threads compute, the caller's included. */
int get_threads(void);
void set_threads(int count);

#endif

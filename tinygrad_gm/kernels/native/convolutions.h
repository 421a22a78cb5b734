/* What the convolutions have in common between Python and the kernels. */
#ifndef CONVOLUTIONS_H
#define CONVOLUTIONS_H

#include "entries.h"

#include <stdlib.h>

#include "convolution.h"

#include "convolution_weight.h"

/* The geometry of one of `groups` equal convolutions of x (N, *spatial, C) to y (N, *windows, O).
 * `w`: where the weight's kernel axes begin; `how`: stride, padding, dilation, with a number or a
 * pair per axis. Raises ValueError if the kernels do not take it. */
bool read_geometry(const char *name, const Array *x, const Array *y, const Array *w, int kernel_axis,
                   PyObject *const *how, Index groups, Geometry *g);

/* Lines of a band: its frame fits a cache, and a few pictures make enough chunks. */
Index band_of(const Geometry *g);

/* Multiplications. */
Index work_of(const Geometry *g);

/* How many of `items`, equal parts of so much work, make a chunk that is worth a thread's time. */
Index share_of(Index items, Index work);

/* Parts with a sum of their own each, of `size` numbers. */
Index parts_of(Index items, Index work, Index size);

static inline Index bytes_of(Index numbers, int type)
{
    return numbers * (Index)(type ? sizeof(double) : sizeof(float));
}

static inline void *moved(const void *data, Index numbers, int type)
{
    return data ? (char *)data + bytes_of(numbers, type) : NULL;
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

/* winograd.c: the same as convolutions.c does, where `suits_winograd`. */
bool suits_winograd(const Geometry *g);
bool weight_suits_winograd(const Geometry *g);
bool winograd(const Convolution *c, int type, bool *finite);
bool winograd_weight(const ConvolutionWeight *c, int type);

#endif

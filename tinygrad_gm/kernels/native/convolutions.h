/* What the convolutions have in common between Python and the kernels. */
#ifndef CONVOLUTIONS_H
#define CONVOLUTIONS_H

#include "entries.h"

#include "pool.h"

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

static inline void *moved(const void *data, Index numbers, int type)
{
    return data ? (char *)data + bytes_of(numbers, type) : NULL;
}

/* winograd.c: the same as convolutions.c does, where `suits_winograd`. */
bool suits_winograd(const Geometry *g);
bool weight_suits_winograd(const Geometry *g);
bool winograd(const Convolution *c, int type, bool *finite);
bool winograd_weight(const ConvolutionWeight *c, int type);

#endif

/* From Python's arguments to C's: arrays as addresses with sizes, and numbers. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL tinygrad_gm_array_api
#if !defined(IMPORTS_NUMPY)
#define NO_IMPORT_ARRAY
#endif
#include <Python.h>
#include <numpy/arrayobject.h>

#include "kernels.h"

typedef struct {
    void *data; /* NULL: None was passed */
    Index size;
    int ndim;
    const Index *shape, *strides; /* strides in bytes */
    int type;                     /* NPY_FLOAT, NPY_DOUBLE … */
    PyArrayObject *array;
} Array;

typedef struct {
    PyObject *const *items;
    Index count;
} List;

/* Unwrap positional arguments into the variables whose addresses follow. A letter each:
 *
 *   a  array that is read            Array *
 *   w  array that is written         Array *
 *   o  array that is read, or None   Array *   (whose data is then NULL)
 *   O  array written, or None        Array *
 *   l  list or tuple of arrays       List *   (each to be unwrapped by `unwrap_array`)
 *   i  integer                       Index *
 *   d  number                        double *
 *   p  any object                    PyObject **
 *
 * All arrays of one call are aligned, in the machine's byte order, and of one type, float or double,
 * which is returned as an index: 0 for float, 1 for double. A letter followed by * is an array of
 * any type. Returns −1 with a Python error set if something else was passed. */
int unwrap(const char *name, PyObject *const *args, Py_ssize_t count, const char *letters, ...);

/* One array; `type` as returned by `unwrap`. */
bool unwrap_array(const char *name, PyObject *value, int type, Array *array);

/* Whether the numbers lie one after the other in the order of the axes. */
static inline bool in_order(const Array *a) { return PyArray_IS_C_CONTIGUOUS(a->array); }

/* Whether those of (N, C, *others) lie in the order (N, *others, C). */
static inline bool channels_last(const Array *a)
{
    Index next = PyArray_ITEMSIZE(a->array);
    for (int i = 0; i < a->ndim; i++) {
        const int axis = i == 0 ? 1 : i == a->ndim - 1 ? 0 : a->ndim - i;
        if (a->shape[axis] > 1 && a->strides[axis] != next)
            return false;
        next *= a->shape[axis];
    }
    return true;
}

/* Raise ValueError unless each of the arrays (NULL after the last) lies in order and has `size`
 * numbers, or is None. */
bool in_order_of_size(const char *name, Index size, ...);

/* Whether the numbers fill one stretch of memory, whatever the order of the axes. */
bool has_no_holes(PyArrayObject *array);

/* The axes in the order of memory, the last of them neighbours. */
void sort_axes(const Array *x, int *order);

/* Whether two arrays have one shape and one memory order. */
bool lie_alike(PyArrayObject *a, PyArrayObject *b);

/* Raise ValueError unless the arrays (NULL after the last) have one shape and one memory order, without
 * holes: `dense` in Python. */
bool dense_alike(const char *name, const Array *first, ...);

/* Run all chunks of a task without the GIL where there is more than one, so that a call for a few
 * numbers does not pay for it; the result for Python is None, or an error. */
PyObject *compute(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes);

#endif

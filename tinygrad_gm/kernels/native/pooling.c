/* Pooling, as Python calls it; the kernels are pooling.h. */
#include "entries.h"

#include "geometry.h"

#include "pooling.h"

enum { MOST_PLACES = 255 }; /* of a window: a place is a byte */

/* One number for each pooled axis, of which a picture of one axis has the last. */
static bool read_axes(PyObject *values, Index ndim, Index low, Index missing, Index to[POOLED])
{
    if (!PyTuple_Check(values) || PyTuple_GET_SIZE(values) != ndim)
        return false;
    to[LINES] = missing;
    for (Index i = 0; i < ndim; i++) {
        const Index value = PyLong_AsSsize_t(PyTuple_GET_ITEM(values, i));
        if (value < low || value > INT32_MAX)
            return false;
        to[POOLED - ndim + i] = value;
    }
    return true;
}

static void copy_sizes(const Array *array, Index to[POOLED])
{
    to[LINES] = array->ndim == 4 ? array->shape[2] : 1;
    to[PIXELS] = array->shape[array->ndim - 1];
}

/* Fill a task for x (N, C, *spatial) and arrays (N, C, *windows): 1, or 0 if they have another memory
 * order than the kernels walk, or −1 with an error set. `how` is kernel, stride, padding, dilation. */
static int read_pooling(const char *name, const Array *x, const Array *y, const Array *places,
                        PyObject *const *how, Pooling *p)
{
    const Index ndim = x->ndim - 2;
    *p = (Pooling){0};
    bool fits = (ndim == 1 || ndim == 2) && y->ndim == x->ndim && x->size && y->size &&
                x->shape[0] == y->shape[0] && x->shape[1] == y->shape[1];
    if (places->data)
        fits = fits && places->type == NPY_UINT8 && places->ndim == y->ndim &&
               !memcmp(places->shape, y->shape, y->ndim * sizeof(Index));
    fits = fits && read_axes(how[0], ndim, 1, 1, p->kernel) &&
           read_axes(how[1], ndim, 1, 1, p->stride) && read_axes(how[2], ndim, 0, 0, p->before) &&
           read_axes(how[3], ndim, 1, 1, p->dilation) && p->kernel[LINES] <= MOST_PLACES &&
           p->kernel[PIXELS] <= MOST_PLACES && p->kernel[LINES] * p->kernel[PIXELS] <= MOST_PLACES;
    if (!fits) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "%s: shapes or settings do not fit", name);
        return -1;
    }
    copy_sizes(x, p->size);
    copy_sizes(y, p->count);
    p->places = places->data;
    if (x->shape[1] > 1 && channels_last(x) && channels_last(y) &&
        (!places->data || channels_last(places))) {
        p->pictures = x->shape[0];
        p->channels = x->shape[1];
        return 1;
    }
    p->pictures = x->shape[0] * x->shape[1];
    p->channels = 1;
    return in_order(x) && in_order(y) && (!places->data || in_order(places));
}

/* True, or NULL with an error set. */
static PyObject *run(Kernel *kernel, Pooling *p, Index items, Index numbers)
{
    p->each = ceil_div(POOLING_CHUNK, numbers);
    PyObject *none = compute(kernel, p, ceil_div(items, p->each),
                             (size_t)p->count[PIXELS] * sizeof(Extent));
    Py_XDECREF(none);
    return none ? Py_NewRef(Py_True) : NULL;
}

/* pool(x, out, places, kernel, stride, padding, dilation): write the maximum of each window and its
 * place, or the sum if places is None. False: nothing is done, in this memory order. */
PyObject *enter_pool(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x, out, places = {0};
    PyObject *how[4], *bytes;
    Pooling p;
    int type = unwrap("pool", args, count, "awppppp", &x, &out, &bytes, &how[0], &how[1], &how[2],
                      &how[3]);
    if (type < 0 || (bytes != Py_None && !unwrap_array("pool", bytes, -1, &places)))
        return NULL;
    const int found = read_pooling("pool", &x, &out, &places, how, &p);
    if (found <= 0)
        return found ? NULL : Py_NewRef(Py_False);
    if (places.data && !PyArray_ISWRITEABLE(places.array))
        return PyErr_Format(PyExc_ValueError, "pool: an array to write to is read-only");
    p.from = x.data;
    p.to = out.data;
    const Index lines = p.pictures * p.count[LINES];
    return run(kernels->pool[type], &p, lines, ceil_div(x.size, lines));
}

/* unpool(values, places, out, kernel, stride, padding, dilation): zeros to which each window's value
 * is added at its place, or in the whole window if places is None. False as for `pool`. */
PyObject *enter_unpool(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array values, out, places = {0};
    PyObject *how[4], *bytes;
    Pooling p;
    int type = unwrap("unpool", args, count, "apwpppp", &values, &bytes, &out, &how[0], &how[1],
                      &how[2], &how[3]);
    if (type < 0 || (bytes != Py_None && !unwrap_array("unpool", bytes, -1, &places)))
        return NULL;
    const int found = read_pooling("unpool", &out, &values, &places, how, &p);
    if (found <= 0)
        return found ? NULL : Py_NewRef(Py_False);
    p.from = values.data;
    p.to = out.data;
    return run(kernels->unpool[type], &p, p.pictures, out.size / p.pictures);
}

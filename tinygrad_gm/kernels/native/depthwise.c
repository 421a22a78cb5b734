/* Depthwise convolutions, as Python calls them; the kernels are depthwise.h. */
#include "convolutions.h"

#include "pool.h"

#include "depthwise.h"

/* Cut into bands; the numbers of a frame, with a vector behind it that is read and dropped. */
static Index cut(Depthwise *d)
{
    const Geometry *g = &d->geometry;
    d->band = band_of(g);
    d->bands = ceil_div(g->count[LINE], d->band);
    return depthwise_inside(g) ? 0 : frame_size(g, d->band) + COLUMNS;
}

static bool convolve_depthwise(Depthwise *d, int type)
{
    const Geometry *g = &d->geometry;
    Index scratch = cut(d), columns = padded_channels(g);
    Index bands = g->pictures * g->count[PLANE] * d->bands;
    d->share = share_of(bands, work_of(g) / g->channels);
    void *memory = memory_for((kernel_size(g) + 1) * columns, type);
    d->packed = aligned(memory);
    bool done = memory && run_chunks(kernels->depthwise_pack[type], d, columns / COLUMNS, 0) &&
                run_chunks(kernels->depthwise_bands[type], d, ceil_div(bands, d->share),
                           (size_t)bytes_of(scratch, type));
    free(memory);
    return done;
}

static bool convolve_depthwise_weight(Depthwise *d, int type)
{
    const Geometry *g = &d->geometry;
    Index scratch = cut(d), columns = padded_channels(g), size = kernel_size(g) * columns;
    scratch += columns == g->channels ? 0 : d->band * g->count[PIXEL] * columns;
    d->parts = parts_of(g->pictures * g->count[PLANE] * d->bands, work_of(g) / g->channels, size);
    void *memory = memory_for(d->parts * size, type);
    d->packed = aligned(memory);
    bool done = memory &&
                run_chunks(kernels->depthwise_part[type], d, d->parts, (size_t)bytes_of(scratch, type)) &&
                run_chunks(kernels->depthwise_sum[type], d, columns / COLUMNS, 0);
    free(memory);
    return done;
}

/* depthwise(x, weight, bias, out, stride, padding, dilation): as `convolve`, with a group for each
 * channel and one output in it. */
PyObject *enter_depthwise(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x, weight, bias, out;
    PyObject *how[3];
    Depthwise d;
    Geometry *g = &d.geometry;
    int type = unwrap("depthwise", args, count, "aaowppp", &x, &weight, &bias, &out, &how[0], &how[1],
                      &how[2]);
    if (type < 0 || !in_order_of_size("depthwise", weight.shape[0], &bias, NULL) ||
        !read_geometry("depthwise", &x, &out, &weight, 2, how, weight.shape[0], g))
        return NULL;
    g->channels = g->outputs = weight.shape[0];
    g->w_output = weight.strides[0] / PyArray_ITEMSIZE(weight.array);
    d.x = x.data;
    d.w = weight.data;
    d.bias = bias.data;
    d.y = out.data;
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = convolve_depthwise(&d, type);
    Py_END_ALLOW_THREADS
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* depthwise_weight(x, y, out, stride, padding, dilation): as `convolve_weight`. */
PyObject *enter_depthwise_weight(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x, y, out;
    PyObject *how[3];
    Depthwise d;
    Geometry *g = &d.geometry;
    int type = unwrap("depthwise_weight", args, count, "aawppp", &x, &y, &out, &how[0], &how[1], &how[2]);
    if (type < 0 || !in_order_of_size("depthwise_weight", out.size, &out, NULL) ||
        !read_geometry("depthwise_weight", &x, &y, &out, 1, how, out.shape[0], g))
        return NULL;
    g->channels = g->outputs = out.shape[0];
    d.x = x.data;
    d.y = y.data;
    d.out = out.data;
    bool done, not_finite = false;
    d.not_finite = &not_finite;
    Py_BEGIN_ALLOW_THREADS
    done = convolve_depthwise_weight(&d, type);
    Py_END_ALLOW_THREADS
    return done ? PyBool_FromLong(!not_finite) : PyErr_NoMemory();
}

/* Convolutions, as Python calls them; the kernels are convolution.h and convolution_weight.h. */
#include "convolutions.h"

#include "pool.h"

enum { SMALL = 8 }; /* pixels of a line, at most, and pictures, at least */

static bool is_small(const Geometry *g)
{
    return g->count[PIXEL] <= SMALL && g->pictures >= SMALL && has_runs(g);
}

static bool convolve(Convolution *c, int type)
{
    const Geometry *g = &c->geometry;
    Index groups = ceil_div(g->outputs, OUTPUTS), chunks, scratch = 0;
    Kernel *kernel;
    if (suits_winograd(g)) {
        bool finite;
        if (!winograd(c, type, &finite))
            return false;
        if (finite)
            return true;
    }
    if (is_small(g)) {
        kernel = kernels->convolution_small[type];
        c->share = SMALL * share_of(ceil_div(g->pictures, SMALL), work_of(g) / groups);
        chunks = ceil_div(g->pictures, c->share) * groups;
    } else {
        kernel = kernels->convolution_bands[type];
        c->band = band_of(g);
        c->bands = ceil_div(g->count[LINE], c->band);
        Index bands = g->pictures * g->count[PLANE] * c->bands;
        c->share = share_of(bands, work_of(g));
        chunks = ceil_div(bands, c->share);
        scratch = is_inside(g) ? 0 : frame_size(g, c->band);
    }
    void *memory = memory_for(packed_size(g), type);
    c->packed = aligned(memory);
    bool done = memory && run_chunks(kernels->convolution_pack[type], c, groups, 0) &&
                run_chunks(kernel, c, chunks, (size_t)bytes_of(scratch, type));
    free(memory);
    return done;
}

/* convolve(x, weight, bias, out, stride, padding, dilation, groups): write the convolution of
 * x (N, *spatial, C) with weight (O, C / groups, *kernel) and bias (O,) or None to
 * out (N, *windows, O). */
PyObject *enter_convolve(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x, weight, bias, out;
    PyObject *how[3];
    Index groups;
    Convolution c;
    Geometry *g = &c.geometry;
    int type = unwrap("convolve", args, count, "aaowpppi", &x, &weight, &bias, &out, &how[0], &how[1],
                      &how[2], &groups);
    if (type < 0 || !in_order_of_size("convolve", out.shape[out.ndim - 1], &bias, NULL) ||
        !read_geometry("convolve", &x, &out, &weight, 2, how, groups, g))
        return NULL;
    g->w_output = weight.strides[0] / PyArray_ITEMSIZE(weight.array);
    g->w_channel = weight.strides[1] / PyArray_ITEMSIZE(weight.array);
    bool done = true;
    Py_BEGIN_ALLOW_THREADS
    for (Index group = 0; group < groups && done; group++) {
        c.x = moved(x.data, group * g->channels, type);
        c.w = moved(weight.data, group * g->outputs * g->w_output, type);
        c.bias = moved(bias.data, group * g->outputs, type);
        c.y = moved(out.data, group * g->outputs, type);
        done = convolve(&c, type);
    }
    Py_END_ALLOW_THREADS
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------ the weight's gradient */

static bool convolve_weight(ConvolutionWeight *c, int type)
{
    const Geometry *g = &c->geometry;
    Index columns = padded_outputs(g), size = window_size(g) * columns, chunks, places;
    Index scratch = 0;
    Kernel *kernel;
    if (weight_suits_winograd(g))
        return winograd_weight(c, type);
    Index windows = g->count[PLANE] * g->count[LINE] * g->count[PIXEL];
    if (is_small(g) && columns == g->outputs && kernel_size(g) > 1 && windows < MOST_WINDOWS) {
        kernel = kernels->convolution_weight_small[type];
        Index blocks = ceil_div(g->outputs, OUTPUTS), elements = kernel_size(g);
        c->parts = 1;
        c->some = least(ceil_div(AT_A_TIME, windows), g->pictures);
        c->elements = blocks * elements / g->kernel[PIXEL] < EVEN ? 1 : g->kernel[PIXEL];
        chunks = ceil_div(elements, c->elements) * blocks;
        places = c->elements * c->some * windows;
    } else {
        kernel = kernels->convolution_weight_part[type];
        c->band = band_of(g);
        c->bands = ceil_div(g->count[LINE], c->band);
        Index bands = g->pictures * g->count[PLANE] * c->bands;
        chunks = c->parts = parts_of(bands, work_of(g), size);
        scratch = is_inside(g) ? 0 : frame_size(g, c->band);
        scratch += columns == g->outputs ? 0 : c->band * g->count[PIXEL] * columns;
        places = c->band * g->count[PIXEL];
        c->some = NEAR / (g->kernel[PIXEL] * g->channels + columns);
        c->some = c->some < AT_A_TIME ? AT_A_TIME : c->some;
    }
    void *memory = memory_for(c->parts * size, type);
    c->sums = aligned(memory);
    size_t bytes = bytes_of_places(places) + (size_t)bytes_of(scratch, type);
    bool done = memory && run_chunks(kernel, c, chunks, bytes) &&
                run_chunks(kernels->convolution_weight_sum[type], c, columns / COLUMNS, 0);
    free(memory);
    return done;
}

/* convolve_weight(x, y, out, stride, padding, dilation, groups): write the weight's gradient to out,
 * in order (O, *kernel, C / groups), for x (N, *spatial, C) and y (N, *windows, O). Whether all of
 * it is finite: if not, numbers outside of a picture may have been multiplied by infinity. */
PyObject *enter_convolve_weight(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x, y, out;
    PyObject *how[3];
    Index groups;
    ConvolutionWeight c;
    Geometry *g = &c.geometry;
    int type = unwrap("convolve_weight", args, count, "aawpppi", &x, &y, &out, &how[0], &how[1], &how[2],
                      &groups);
    if (type < 0 || !in_order_of_size("convolve_weight", out.size, &out, NULL) ||
        !read_geometry("convolve_weight", &x, &y, &out, 1, how, groups, g))
        return NULL;
    bool done = true, not_finite = false;
    c.not_finite = &not_finite;
    Py_BEGIN_ALLOW_THREADS
    for (Index group = 0; group < groups && done; group++) {
        c.x = moved(x.data, group * g->channels, type);
        c.y = moved(y.data, group * g->outputs, type);
        c.out = moved(out.data, group * g->outputs * window_size(g), type);
        done = convolve_weight(&c, type);
    }
    Py_END_ALLOW_THREADS
    return done ? PyBool_FromLong(!not_finite) : PyErr_NoMemory();
}

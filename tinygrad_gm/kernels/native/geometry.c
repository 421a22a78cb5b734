/* From Python's arguments to the geometry of a convolution, and into how many chunks it is cut. */
#include "convolutions.h"

enum {
    FRAME = 1 << 16, /* numbers of a frame: it stays in a second-level cache */
    WORK = 1 << 19,  /* multiplications of a chunk, at least: some ten microseconds */
    CHUNKS = 8,      /* at least, if there is so much work: threads are to share it evenly */
    PARTS = 8,       /* at most */
    SUMS = 1 << 20   /* numbers of all parts' sums, at most, where that makes two parts */
};

/* Numbers of the axes, which are the last ones of three; `value` for those before them. */
static void last_axes(const Index *from, int ndim, Index value, Index by, int64_t to[AXES])
{
    for (int axis = 0; axis < AXES; axis++)
        to[axis] = axis < AXES - ndim ? value : from[axis - (AXES - ndim)] / by;
}

/* The same of a tuple or list of numbers that are ≥ low, or of pairs, whose first number is taken. */
static bool read_axes(PyObject *values, int ndim, Index value, Index low, int64_t to[AXES])
{
    Index numbers[AXES] = {0};
    if (!(PyTuple_Check(values) || PyList_Check(values)) || PySequence_Fast_GET_SIZE(values) != ndim)
        return false;
    for (int axis = 0; axis < ndim; axis++) {
        PyObject *number = PySequence_Fast_GET_ITEM(values, axis);
        if (PyTuple_Check(number) && PyTuple_GET_SIZE(number))
            number = PyTuple_GET_ITEM(number, 0);
        numbers[axis] = PyLong_AsSsize_t(number);
        if (numbers[axis] < low || PyErr_Occurred())
            return false;
    }
    last_axes(numbers, ndim, value, 1, to);
    return true;
}

static bool has_pixels(const Array *x) /* whether channels are next to each other */
{
    return x->shape[x->ndim - 1] == 1 || x->strides[x->ndim - 1] == PyArray_ITEMSIZE(x->array);
}

bool read_geometry(const char *name, const Array *x, const Array *y, const Array *w, int kernel_axis,
                   PyObject *const *how, Index groups, Geometry *g)
{
    int ndim = x->ndim - 2;
    Index one = PyArray_ITEMSIZE(x->array);
    if (ndim < 1 || ndim > AXES || y->ndim != x->ndim || w->ndim != x->ndim || groups < 1 ||
        y->shape[0] != x->shape[0] || !has_pixels(x) || !has_pixels(y))
        goto wrong;
    *g = (Geometry){
        .pictures = x->shape[0],
        .channels = x->shape[ndim + 1] / groups,
        .outputs = y->shape[ndim + 1] / groups,
        .x_picture = x->strides[0] / one,
        .y_picture = y->strides[0] / one,
    };
    last_axes(x->shape + 1, ndim, 1, 1, g->size);
    last_axes(y->shape + 1, ndim, 1, 1, g->count);
    last_axes(w->shape + kernel_axis, ndim, 1, 1, g->kernel);
    last_axes(x->strides + 1, ndim, 0, one, g->x_step);
    last_axes(y->strides + 1, ndim, 0, one, g->y_step);
    last_axes(w->strides + kernel_axis, ndim, 0, one, g->w_step);
    if (w->size != y->shape[ndim + 1] * window_size(g) || kernel_size(g) > MOST_RUNS)
        goto wrong;
    if (read_axes(how[0], ndim, 1, 1, g->stride) && read_axes(how[1], ndim, 0, -(1 << 30), g->before) &&
        read_axes(how[2], ndim, 1, 1, g->dilation))
        return true;
wrong:
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s: shapes, strides or settings do not fit", name);
    return false;
}

Index band_of(const Geometry *g)
{
    Index width = g->kernel[PLANE] * reach(g, PIXEL, g->count[PIXEL]) * g->channels;
    Index above = (g->kernel[LINE] - 1) * g->dilation[LINE]; /* lines that a band reads besides */
    Index fit = (FRAME / width - above) / g->stride[LINE];
    Index bands = ceil_div(CHUNKS, g->pictures * g->count[PLANE]);
    Index lines = ceil_div(g->count[LINE], bands);
    return fit < 1 ? 1 : least(lines, fit);
}

Index work_of(const Geometry *g)
{
    Index windows = g->count[PLANE] * g->count[LINE] * g->count[PIXEL];
    return g->pictures * windows * window_size(g) * g->outputs;
}

Index share_of(Index items, Index work)
{
    Index chunks = least(items, ceil_div(work, WORK));
    return chunks < 2 ? items : ceil_div(items, chunks);
}

Index parts_of(Index items, Index work, Index size)
{
    Index parts = least(PARTS, ceil_div(work, WORK)), fit = SUMS / size;
    parts = least(parts, fit > 2 ? fit : 2);
    return least(parts, items);
}

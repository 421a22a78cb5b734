/* The norms, as Python calls them; the kernels are rows.h, channel_norm.h and its neighbour.
 *
 * Each returns None where it leaves the work to NumPy: arrays in a memory order that no kernel walks.
 */
#include "entries.h"

#include "gradients.h"

#include "rows.h"

#include "channels.h"

#include "channel_norm.h"

#include "channel_norm_backward.h"

/* Raise ValueError unless an array has `size` numbers or is None. */
static bool has_size(const char *name, const char *what, const Array *array, Index size)
{
    if (array->data && array->size != size)
        PyErr_Format(PyExc_ValueError, "%s: expected %s of %zd numbers; got %zd", name, what, size,
                     array->size);
    return !array->data || array->size == size;
}

static bool all_in_order(const Array *const *arrays, int count)
{
    for (int i = 0; i < count; i++)
        if (arrays[i]->data && !in_order(arrays[i]))
            return false;
    return true;
}

#define ALL_IN_ORDER(...)                                    \
    all_in_order((const Array *const[]){__VA_ARGS__},        \
                 sizeof((const Array *const[]){__VA_ARGS__}) / sizeof(Array *))

static PyObject *like(const Array *x)
{
    return PyArray_NewLikeArray(x->array, NPY_KEEPORDER, NULL, 0);
}

static PyObject *matrix(Index rows, Index columns, const Array *x)
{
    return PyArray_SimpleNew(2, ((Index[]){rows, columns}), x->type);
}

static void *data_of(PyObject *array) { return array ? PyArray_DATA((PyArrayObject *)array) : NULL; }

/* g in the memory order of x: itself, or a copy. A new reference. */
static PyObject *arranged(const char *name, const Array *g, const Array *x)
{
    if (g->ndim != x->ndim || memcmp(g->shape, x->shape, x->ndim * sizeof(Index)))
        return PyErr_Format(PyExc_ValueError, "%s: g and x have different shapes", name);
    bool same = true;
    for (int i = 0; i < x->ndim; i++)
        same &= g->shape[i] == 1 || g->strides[i] == x->strides[i];
    if (same)
        return Py_NewRef((PyObject *)g->array);
    PyObject *copy = like(x);
    if (copy && PyArray_CopyInto((PyArrayObject *)copy, g->array))
        Py_CLEAR(copy);
    return copy;
}

/* Whether the kernel has run. */
static bool computed(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes)
{
    PyObject *none = compute(kernel, task, chunks, scratch_bytes);
    Py_XDECREF(none);
    return none;
}

/* A tuple of arrays, whose references it takes over; NULL becomes None. */
static PyObject *tuple_of(int count, PyObject *const *arrays)
{
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; i < count; i++) {
        if (tuple)
            PyTuple_SET_ITEM(tuple, i, arrays[i] ? arrays[i] : Py_NewRef(Py_None));
        else
            Py_XDECREF(arrays[i]);
    }
    return tuple;
}

/* Add up the rows of a matrix of `count` rows into an array of that width. */
static bool added(int type, Index count, Index width, const void *parts, PyObject *out)
{
    Parts p = {count, width, parts, data_of(out)};
    return computed(kernels->add_parts[type], &p, ceil_div(width, ADDED_COLUMNS),
                    least(width, ADDED_COLUMNS) * sizeof(double));
}

/* ------------------------------------------------------------------------------------ rows */

/* Rows of a chunk: no fewer than keep the parts of the gradients small beside what they are of. */
static Index rows_of_chunk(Index width, Index fewest)
{
    Index rows = NORM_CHUNK / width;
    return rows < fewest ? fewest : least(rows, LONGEST);
}

/* normalize_rows(x, weight, bias, width, eps, centered): (result, mean, 1/√(σ² + eps)). */
PyObject *enter_normalize_rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "normalize_rows";
    Array x, weight, bias;
    Index width, centered;
    double eps;
    int type = unwrap(name, args, count, "aooidi", &x, &weight, &bias, &width, &eps, &centered);
    if (type < 0)
        return NULL;
    if (width < 1 || x.size % width)
        return PyErr_Format(PyExc_ValueError, "%s: rows of %zd numbers out of %zd", name, width, x.size);
    if (!has_size(name, "weight", &weight, width) || !has_size(name, "bias", &bias, width))
        return NULL;
    if (!ALL_IN_ORDER(&x, &weight, &bias))
        Py_RETURN_NONE;
    const Index rows = x.size / width;
    PyObject *out = like(&x), *inverse = matrix(rows, 1, &x);
    PyObject *mean = centered ? matrix(rows, 1, &x) : NULL;
    Rows r = {.rows = rows, .width = width, .step = rows_of_chunk(width, 1), .x = x.data,
              .weight = weight.data, .bias = bias.data, .eps = eps, .out = data_of(out),
              .mean = data_of(mean), .inverse = data_of(inverse)};
    if (out && inverse && (mean || !centered) &&
        computed(kernels->normalize_rows[type], &r, ceil_div(rows, r.step), 0))
        return tuple_of(3, (PyObject *[]){out, mean, inverse});
    Py_XDECREF(out);
    Py_XDECREF(mean);
    Py_XDECREF(inverse);
    return NULL;
}

/* normalize_rows_backward(g, x, weight, mean, inverse, width, wants_x, wants_parameters): the gradient
 * of x, and those of weight and bias as the rows of a matrix; None for what is not wanted. */
PyObject *enter_normalize_rows_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "normalize_rows_backward";
    Array g, x, weight, mean, inverse;
    Index width, wants_x, wants_parameters;
    int type = unwrap(name, args, count, "aaooaiii", &g, &x, &weight, &mean, &inverse, &width, &wants_x,
                      &wants_parameters);
    if (type < 0)
        return NULL;
    if (width < 1 || x.size % width)
        return PyErr_Format(PyExc_ValueError, "%s: rows of %zd numbers out of %zd", name, width, x.size);
    const Index rows = x.size / width;
    if (!has_size(name, "weight", &weight, width) || !has_size(name, "mean", &mean, rows) ||
        !has_size(name, "inverse", &inverse, rows))
        return NULL;
    if (!ALL_IN_ORDER(&x, &weight, &mean, &inverse))
        Py_RETURN_NONE;
    const Index step = rows_of_chunk(width, 16), chunks = ceil_div(rows, step);
    PyObject *slopes = arranged(name, &g, &x), *out = NULL, *gradients = NULL, *result = NULL;
    char *parts = NULL;
    if (!slopes || (wants_x && !(out = like(&x))) ||
        (wants_parameters && !(gradients = matrix(2, width, &x))))
        goto done;
    if (wants_parameters && !(parts = PyMem_RawMalloc(chunks * 2 * width * sizeof(double)))) {
        PyErr_NoMemory();
        goto done;
    }
    RowsBackward r = {.rows = rows, .width = width, .step = step, .g = data_of(slopes), .x = x.data,
                      .weight = weight.data, .mean = mean.data, .inverse = inverse.data,
                      .out = data_of(out), .parts = parts};
    if (computed(kernels->normalize_rows_backward[type], &r, chunks, 0) &&
        (!gradients || added(type, chunks, 2 * width, parts, gradients)))
        result = tuple_of(2, (PyObject *[]){Py_XNewRef(out), Py_XNewRef(gradients)});
done:
    PyMem_RawFree(parts);
    Py_XDECREF(slopes);
    Py_XDECREF(out);
    Py_XDECREF(gradients);
    return result;
}

/* ------------------------------------------------------------------------------------ channels */

/* How x (N, C, …) is walked; −1 with an error set, 0 if it has another memory order. */
static int find_walk(const char *name, const Array *x, Index groups, Channels *by)
{
    if (x->ndim < 2 || !x->size) {
        PyErr_Format(PyExc_ValueError, "%s: expected an array (N, C, ...)", name);
        return -1;
    }
    *by = (Channels){.examples = x->shape[0], .channels = x->shape[1]};
    by->positions = x->size / (by->examples * by->channels);
    if (groups < 0 || groups > by->channels || (groups && by->channels % groups)) {
        PyErr_Format(PyExc_ValueError, "%s: %zd groups of %zd channels", name, groups, by->channels);
        return -1;
    }
    by->sets = groups ? by->examples : 1;
    by->groups = groups ? groups : by->channels;
    by->last = channels_last(x) && (by->channels > 1 || by->positions == 1);
    if (!by->last && !in_order(x))
        return 0;
    walk(by);
    return 1;
}

/* A matrix of a number for each channel of each set. */
static PyObject *per_channel(const Channels *by, const Array *x)
{
    return matrix(by->sets, by->channels, x);
}

static bool any(const bool *values, Index count)
{
    for (Index i = 0; i < count; i++)
        if (values[i])
            return true;
    return false;
}

/* normalize_channels(x, weight, bias, groups, eps, far): (result, σ², μ, 1/√(σ² + eps), whether
 * μ² > far · σ² in some channel). With 0 groups each channel has one mean for all examples. */
PyObject *enter_normalize_channels(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "normalize_channels";
    Array x, weight, bias;
    Index groups;
    ChannelNorm n = {0};
    Channels *by = &n.by;
    int type = unwrap(name, args, count, "aooidd", &x, &weight, &bias, &groups, &n.eps, &n.far);
    int found = type < 0 ? -1 : find_walk(name, &x, groups, by);
    if (found < 0 || !has_size(name, "weight", &weight, by->channels) ||
        !has_size(name, "bias", &bias, by->channels))
        return NULL;
    if (!found || !ALL_IN_ORDER(&weight, &bias))
        Py_RETURN_NONE;
    PyObject *out = like(&x), *variance = per_channel(by, &x), *mean = per_channel(by, &x);
    PyObject *inverse = per_channel(by, &x), *result = NULL;
    const Index sums = by->sets * by->entries * by->channels, factors = by->sets * by->columns;
    double *memory = PyMem_RawMalloc((2 * sums + 2 * factors) * sizeof(double) + by->sets);
    if (!memory) {
        PyErr_NoMemory();
        goto done;
    }
    if (!out || !variance || !mean || !inverse)
        goto done;
    n.x = x.data;
    n.weight = weight.data;
    n.bias = bias.data;
    n.means = memory;
    n.squares = n.means + sums;
    n.factor = n.squares + sums;
    n.shift = (double *)n.factor + factors;
    n.is_far = (bool *)((double *)n.shift + factors);
    n.mean = data_of(mean);
    n.variance = data_of(variance);
    n.inverse = data_of(inverse);
    n.out = data_of(out);
    if (computed(kernels->channel_moments[type], &n, by->chunks, 0) &&
        computed(kernels->channel_factors[type], &n, by->sets, 3 * by->channels * sizeof(double)) &&
        computed(kernels->scale_channels[type], &n, by->chunks, 0))
        result = Py_BuildValue("OOOOO", out, variance, mean, inverse,
                               any(n.is_far, by->sets) ? Py_True : Py_False);
done:
    PyMem_RawFree(memory);
    Py_XDECREF(out);
    Py_XDECREF(variance);
    Py_XDECREF(mean);
    Py_XDECREF(inverse);
    return result;
}

/* normalize_channels_backward(g, x, weight, mean, inverse, far, mean_gradient, variance_gradient,
 * groups, wants_x): the gradient of x, or None, and those of weight and bias as the rows of a matrix. */
PyObject *enter_normalize_channels_backward(PyObject *module, PyObject *const *args,
                                            Py_ssize_t count)
{
    (void)module;
    const char *name = "normalize_channels_backward";
    Array g, x, weight, mean, inverse, mean_gradient, variance_gradient;
    Index far, groups, wants_x;
    ChannelNormBackward n = {0};
    Channels *by = &n.by;
    int type = unwrap(name, args, count, "aaoaaiooii", &g, &x, &weight, &mean, &inverse, &far,
                      &mean_gradient, &variance_gradient, &groups, &wants_x);
    int found = type < 0 ? -1 : find_walk(name, &x, groups, by);
    if (found < 0 || !has_size(name, "weight", &weight, by->channels) ||
        !has_size(name, "mean", &mean, by->sets * by->channels) ||
        !has_size(name, "inverse", &inverse, by->sets * by->channels) ||
        !has_size(name, "gradient of the mean", &mean_gradient, by->channels) ||
        !has_size(name, "gradient of the variance", &variance_gradient, by->channels))
        return NULL;
    if (!found || !ALL_IN_ORDER(&weight, &mean, &inverse, &mean_gradient, &variance_gradient))
        Py_RETURN_NONE;
    PyObject *slopes = arranged(name, &g, &x), *out = wants_x ? like(&x) : NULL, *result = NULL;
    PyObject *gradients = matrix(2, by->channels, &x);
    const Index sums = by->sets * by->entries * by->channels, factors = by->sets * by->columns;
    const Index parts = by->sets * 2 * by->channels;
    double *memory = PyMem_RawMalloc((2 * sums + 3 * factors + parts) * sizeof(double));
    if (!memory) {
        PyErr_NoMemory();
        goto done;
    }
    if (!slopes || !gradients || (wants_x && !out))
        goto done;
    n.g = data_of(slopes);
    n.x = x.data;
    n.weight = weight.data;
    n.mean = mean.data;
    n.inverse = inverse.data;
    n.far = far;
    n.mean_gradient = mean_gradient.data;
    n.variance_gradient = variance_gradient.data;
    n.totals = memory;
    n.steeps = n.totals + sums;
    n.factor = n.steeps + sums;
    n.slope = (double *)n.factor + factors;
    n.shift = (double *)n.slope + factors;
    n.parts = (double *)n.shift + factors;
    n.out = data_of(out);
    if (computed(kernels->channel_slopes[type], &n, by->chunks, by->width * sizeof(double)) &&
        computed(kernels->slope_factors[type], &n, by->sets, 2 * by->channels * sizeof(double)) &&
        added(type, by->sets, 2 * by->channels, n.parts, gradients) &&
        (!out || computed(kernels->scale_slopes[type], &n, by->chunks, 0)))
        result = tuple_of(2, (PyObject *[]){Py_XNewRef(out), Py_NewRef(gradients)});
done:
    PyMem_RawFree(memory);
    Py_XDECREF(slopes);
    Py_XDECREF(out);
    Py_XDECREF(gradients);
    return result;
}

/* Sums over axes, as Python calls them; the kernel is sums.h. */
#include "entries.h"

#include "sums.h"

/* An array as it lies in memory: axes of `size` numbers, the last of them neighbours; neighbouring
 * axes that are both summed, or both kept, are one. */
typedef struct {
    int count, summed; /* axes; how many of them are to be summed */
    struct {
        Index size;
        bool gone;
    } axes[NPY_MAXDIMS];
} Layout;

/* Which axes None, a number or a tuple names. False if that is none of these, or an axis is wrong:
 * NumPy's path raises the error. */
static bool find_axes(PyObject *axis, int ndim, bool *gone)
{
    memset(gone, axis == Py_None, ndim);
    if (axis == Py_None)
        return true;
    const bool several = PyTuple_CheckExact(axis);
    for (Index i = 0; i < (several ? PyTuple_GET_SIZE(axis) : 1); i++) {
        Index a = PyNumber_AsSsize_t(several ? PyTuple_GET_ITEM(axis, i) : axis, NULL);
        if (a == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
        a += a < 0 ? ndim : 0;
        if (a < 0 || a >= ndim || gone[a])
            return false;
        gone[a] = true;
    }
    return true;
}

static Layout layout_of(const Array *x, const int *order, const bool *gone)
{
    Layout l = {0};
    for (int i = 0; i < x->ndim; i++) {
        const Index size = x->shape[order[i]];
        const bool summed = gone[order[i]];
        if (size == 1)
            continue;
        if (l.count && l.axes[l.count - 1].gone == summed) {
            l.axes[l.count - 1].size *= size;
            continue;
        }
        l.axes[l.count].size = size;
        l.axes[l.count++].gone = summed;
        l.summed += summed;
    }
    return l;
}

/* A new array of the kept axes, in the memory order of x. */
static PyObject *kept(const Array *x, const int *order, const bool *gone, bool keepdims)
{
    npy_intp shape[NPY_MAXDIMS] = {0}, back[NPY_MAXDIMS];
    int count = 0, places[NPY_MAXDIMS];
    bool moved = false;
    for (int i = 0; i < x->ndim; i++)
        if (keepdims || !gone[order[i]]) {
            places[order[i]] = count;
            shape[count++] = gone[order[i]] ? 1 : x->shape[order[i]];
        }
    for (int i = 0, k = 0; i < x->ndim; i++)
        if (keepdims || !gone[i]) {
            moved |= places[i] != k;
            back[k++] = places[i];
        }
    PyObject *out = PyArray_SimpleNew(count, shape, x->type);
    if (!out || !moved)
        return out;
    PyArray_Dims axes = {back, count};
    PyObject *turned = PyArray_Transpose((PyArrayObject *)out, &axes);
    Py_DECREF(out);
    return turned;
}

/* Cut the work into chunks by the sizes alone; returns how many. A long axis is cut into at most 64
 * pieces where there is not enough else to share out. */
static Index plan(Sum *s)
{
    s->width = least(s->inner, SUM_WIDTH);
    s->blocks = ceil_div(s->inner, s->width);
    s->step = s->count;
    if (s->outer * s->blocks < 16) {
        const Index least_rows = ceil_div(SUMMED, s->width), longest = ceil_div(s->count, 64);
        s->step = longest > least_rows ? longest : least_rows;
    }
    s->pieces = ceil_div(s->count, s->step);
    s->each = ceil_div(SUMMED, least(s->step, s->count) * s->width);
    return ceil_div(s->outer * s->pieces * s->blocks, s->each);
}

static size_t scratch_of(const Sum *s, int type)
{
    const size_t number = type ? sizeof(double) : sizeof(float);
    return s->inner == 1 ? 0 : SUM_WIDTH * (3 * number + 2 * sizeof(double));
}

/* Sum axis after axis, the last in memory first, to `out`; what is in between is in double. `first`
 * has what the first sums are of. */
static bool sum_axes(Layout l, int type, Sum first, void *out)
{
    const bool to_float = !type;
    bool done = true;
    void *before = NULL;
    for (Sum s = first; done && l.summed; s = (Sum){.x = before}) {
        int last = l.count - 1;
        while (!l.axes[last].gone)
            last--;
        s.outer = s.inner = 1;
        for (int i = 0; i < last; i++)
            s.outer *= l.axes[i].size;
        for (int i = last + 1; i < l.count; i++)
            s.inner *= l.axes[i].size;
        s.count = l.axes[last].size;
        const Index chunks = plan(&s);
        l.axes[last].size = s.pieces;
        if (s.pieces == 1) {
            l.axes[last].gone = false;
            l.summed--;
        }
        const bool is_last = !l.summed;
        void *memory = is_last ? NULL : PyMem_RawMalloc(s.outer * s.pieces * s.inner * sizeof(double));
        s.out = is_last ? out : memory;
        s.to_float = is_last && to_float;
        if (!s.out)
            PyErr_NoMemory();
        PyObject *none = s.out ? compute(kernels->sum[type], &s, chunks, scratch_of(&s, type)) : NULL;
        done = none;
        Py_XDECREF(none);
        PyMem_RawFree(before);
        before = memory;
        type = 1;
    }
    PyMem_RawFree(before);
    return done;
}

/* From Python's arguments to a layout and a new array for the sums, NULL if x is left to NumPy; false
 * with an error set. */
static bool prepare(const char *name, PyObject *const *args, Py_ssize_t count, Array *x, int *type,
                    Layout *layout, PyObject **out)
{
    PyObject *axis;
    Index keepdims;
    int order[NPY_MAXDIMS];
    bool gone[NPY_MAXDIMS];
    *out = NULL;
    *type = unwrap(name, args, count, "api", x, &axis, &keepdims);
    if (*type < 0)
        return false;
    if (!x->size || !has_no_holes(x->array) || !find_axes(axis, x->ndim, gone))
        return true;
    sort_axes(x, order);
    *layout = layout_of(x, order, gone);
    *out = kept(x, order, gone, keepdims);
    return *out;
}

/* An array, or a number where it has no axes, if `done`. */
static PyObject *returned(PyObject *out, bool done)
{
    if (!done)
        Py_CLEAR(out);
    return out ? PyArray_Return((PyArrayObject *)out) : NULL;
}

/* sum(x, axis, keepdims): a new array, or a number; None where x is left to NumPy: its numbers do not
 * fill one stretch of memory, or an axis is wrong. */
PyObject *enter_sum(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x;
    int type;
    Layout l;
    PyObject *out;
    if (!prepare("sum", args, count, &x, &type, &l, &out))
        return NULL;
    if (!out)
        Py_RETURN_NONE;
    void *to = PyArray_DATA((PyArrayObject *)out);
    if (l.summed)
        return returned(out, sum_axes(l, type, (Sum){.x = x.data}, to));
    memcpy(to, x.data, PyArray_NBYTES(x.array));
    return returned(out, true);
}

/* squared_deviations(x, axis, keepdims): Σ (x − mean)² as `sum` returns it; None also where the axes are
 * not neighbours in memory. */
PyObject *enter_squared_deviations(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Array x;
    int type;
    Layout l = {0};
    PyObject *out;
    if (!prepare("squared_deviations", args, count, &x, &type, &l, &out))
        return NULL;
    if (!out || l.summed != 1) {
        Py_XDECREF(out);
        Py_RETURN_NONE;
    }
    const Index results = PyArray_SIZE((PyArrayObject *)out), terms = x.size / results;
    void *mean = PyMem_RawMalloc(results * (type ? sizeof(double) : sizeof(float)));
    if (!mean)
        return Py_DECREF(out), PyErr_NoMemory();
    bool done = sum_axes(l, type, (Sum){.x = x.data, .shifted = true}, mean);
    for (Index i = 0; done && i < results; i++)
        if (type)
            ((double *)mean)[i] /= terms;
        else
            ((float *)mean)[i] /= terms;
    done = done && sum_axes(l, type, (Sum){.x = x.data, .mean = mean},
                            PyArray_DATA((PyArrayObject *)out));
    PyMem_RawFree(mean);
    return returned(out, done);
}

/* Products of matrices, as Python calls them; the kernel is product.h. */
#include "entries.h"

#include "pool.h"

#include "product.h"

static bool as_factor(PyObject *value, Factor *to)
{
    if (!is_plain(value))
        return false;
    PyArrayObject *array = (PyArrayObject *)value;
    const int ndim = PyArray_NDIM(array);
    const Index *strides = PyArray_STRIDES(array), size = PyArray_ITEMSIZE(array);
    if (ndim < 2 || ndim > MOST_AXES + 2)
        return false;
    for (int axis = 0; axis < ndim; axis++)
        if (strides[axis] % size)
            return false;
    to->data = PyArray_DATA(array);
    to->row_step = strides[ndim - 2] / size;
    to->column_step = strides[ndim - 1] / size;
    return true;
}

/* With one matrix on the right, all rows of x are those of one product; whether they follow each other
 * in equal steps. */
static bool join_rows(Product *p)
{
    for (Index axis = p->axes - 1; axis >= 0; axis--) {
        const Index length = p->shape[axis], step = p->x.steps[axis];
        if (length > 1 && p->rows > 1 && step != p->rows * p->x.row_step)
            return false;
        if (length > 1 && p->rows == 1)
            p->x.row_step = step;
        p->rows *= length;
    }
    p->axes = 0;
    return true;
}

/* The shapes and steps of x @ y + bias, with leading axes broadcast; whether there is a kernel. The
 * result has `ndim` axes, of the lengths in `shape`. */
static bool as_product(PyObject *const *args, Py_ssize_t count, Product *p, int *ndim, Index *shape)
{
    if (count != 3 || !as_factor(args[0], &p->x) || !as_factor(args[1], &p->y))
        return false;
    PyArrayObject *x = (PyArrayObject *)args[0], *y = (PyArrayObject *)args[1];
    const int x_axes = PyArray_NDIM(x) - 2, y_axes = PyArray_NDIM(y) - 2;
    const Index *x_shape = PyArray_DIMS(x), *y_shape = PyArray_DIMS(y);
    const Index size = PyArray_ITEMSIZE(x);
    p->rows = x_shape[x_axes];
    p->inner = x_shape[x_axes + 1];
    p->columns = y_shape[y_axes + 1];
    if (PyArray_TYPE(x) != PyArray_TYPE(y) || p->inner != y_shape[y_axes])
        return false;
    p->bias = NULL;
    p->packed = NULL;
    if (args[2] != Py_None) {
        PyArrayObject *bias = (PyArrayObject *)args[2];
        if (!is_plain(args[2]) || PyArray_TYPE(bias) != PyArray_TYPE(x) ||
            PyArray_NDIM(bias) != 1 || PyArray_DIM(bias, 0) != p->columns ||
            !PyArray_IS_C_CONTIGUOUS(bias))
            return false;
        p->bias = PyArray_DATA(bias);
    }
    p->axes = x_axes > y_axes ? x_axes : y_axes;
    for (int axis = 0; axis < p->axes; axis++) {
        const int i = axis - (int)p->axes + x_axes, j = axis - (int)p->axes + y_axes;
        const Index m = i < 0 ? 1 : x_shape[i], n = j < 0 ? 1 : y_shape[j];
        if (m != n && m != 1 && n != 1)
            return false;
        p->shape[axis] = m > n ? m : n;
        p->x.steps[axis] = m > 1 ? PyArray_STRIDES(x)[i] / size : 0;
        p->y.steps[axis] = n > 1 ? PyArray_STRIDES(y)[j] / size : 0;
    }
    *ndim = (int)p->axes + 2;
    memcpy(shape, p->shape, sizeof p->shape);
    shape[p->axes] = p->rows;
    shape[p->axes + 1] = p->columns;
    return y_axes || join_rows(p);
}

static Index matrices(const Product *p)
{
    Index count = 1;
    for (Index axis = 0; axis < p->axes; axis++)
        count *= p->shape[axis];
    return count;
}

/* multiplies(x, y, bias): whether `product` takes these; the bias may be None. On Apple's processors
 * NumPy's library computes on matrix units that C does not reach. */
PyObject *enter_multiplies(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Product p;
    int ndim;
    Index shape[MOST_AXES + 2];
#if defined(__APPLE__)
    Py_RETURN_FALSE;
#endif
    return PyBool_FromLong(enabled && as_product(args, count, &p, &ndim, shape));
}

/* The size of a part where `size` is cut into as many parts as wanted, each of at least `fewest` and at
 * most `most`; an even number of them or one, so that two threads have the same to do. */
static Index part_of(Index size, Index unit, Index fewest, Index most, Index wanted)
{
    Index parts = least(wanted, size / fewest), needed = ceil_div(size, most);
    parts = parts < needed ? needed : parts;
    parts += parts > 1 ? parts % 2 : 0;
    return ceil_div(ceil_div(size, parts), unit) * unit;
}

/* Cut a matrix of results into chunks: enough of them to occupy every thread, each large enough to be
 * worth waking one. A few rows are one block, so that no panel is packed twice, and columns are
 * cut; more rows are cut themselves. */
static void cut(Product *p, Index count)
{
    enum { FEWEST_ROWS = 8 * TILE, MOST_ROWS = 32 * TILE, MOST_COLUMNS = 8 * BREADTH };
    const double work = (double)p->rows * p->columns * p->inner;
    const double fewest = work * count / 8, least_work = 3 << 19, most_work = 1 << 24;
    const double share = fewest < least_work ? least_work : fewest > most_work ? most_work : fewest;
    p->row_step = p->rows;
    p->column_step = p->columns;
    if (work > share) {
        const Index chunks = (Index)(work / share);
        const bool few = p->rows <= MOST_ROWS;
        p->column_step = part_of(p->columns, BREADTH, BREADTH, MOST_COLUMNS, few ? chunks : 1);
        p->column_chunks = ceil_div(p->columns, p->column_step);
        p->row_step = part_of(p->rows, TILE, FEWEST_ROWS, MOST_ROWS, chunks / p->column_chunks);
    }
    p->column_chunks = ceil_div(p->columns, p->column_step);
    p->row_chunks = ceil_div(p->rows, p->row_step);
}

/* Whether all of y is packed first: it is one matrix, which several blocks of rows need. */
static bool packs_first(const Product *p)
{
    bool one = p->row_chunks > 1;
    for (Index axis = 0; axis < p->axes; axis++)
        one = one && (p->shape[axis] == 1 || !p->y.steps[axis]);
    return one;
}

static bool multiply(Product *p, Index chunks, int type)
{
    void *memory = NULL;
    bool done = true;
    if (packs_first(p)) {
        const Index depths = ceil_div(p->inner, DEPTH);
        memory = memory_for(depths * DEPTH * padded(p->columns), type);
        p->packed = memory ? aligned(memory) : NULL;
        done = memory && run_chunks(kernels->product_pack[type], p,
                                    depths * padded(p->columns) / BREADTH, 0);
    }
    done = done && run_chunks(kernels->product[type], p, chunks,
                              (size_t)bytes_of(PRODUCT_SCRATCH, type));
    free(memory);
    return done;
}

/* product(x, y, bias): a new array, x @ y + bias, of arrays that `multiplies` accepts. */
PyObject *enter_product(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Product p;
    int ndim;
    Index shape[MOST_AXES + 2];
    if (!as_product(args, count, &p, &ndim, shape))
        return PyErr_Format(PyExc_ValueError, "product: not what `multiplies` accepts");
    const int type = PyArray_TYPE((PyArrayObject *)args[0]);
    PyObject *out = PyArray_SimpleNew(ndim, shape, type);
    if (!out)
        return NULL;
    p.out = PyArray_DATA((PyArrayObject *)out);
    const Index number = matrices(&p);
    cut(&p, number);
    const Index chunks = number * p.row_chunks * p.column_chunks;
    bool done;
    if (chunks > 1) {
        Py_BEGIN_ALLOW_THREADS
        done = multiply(&p, chunks, type == NPY_DOUBLE);
        Py_END_ALLOW_THREADS
    } else {
        done = multiply(&p, chunks, type == NPY_DOUBLE);
    }
    if (!done) {
        Py_CLEAR(out);
        PyErr_NoMemory();
    }
    return out;
}

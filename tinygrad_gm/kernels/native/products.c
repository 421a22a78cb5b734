/* Products of matrices, as Python calls them; the kernel is product.h. */
#include "entries.h"

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

/* The shapes and steps of x @ y + bias, with leading axes broadcast; whether there is a kernel. */
static bool as_product(PyObject *const *args, Py_ssize_t count, Product *p)
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
    return true;
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
#if defined(__APPLE__)
    Py_RETURN_FALSE;
#endif
    return PyBool_FromLong(enabled && as_product(args, count, &p));
}

/* Cut a matrix of results into chunks: enough of them to occupy every thread, each large enough to be
 * worth waking a thread and packing its factors. y is packed for each block of rows again,
 * so columns are cut first; where x lies by columns, and is packed too or read with gaps, it is the
 * longer side. */
static void cut(Product *p, Index count)
{
    const bool turned = p->x.column_step != 1;
    const double work = (double)p->rows * p->columns * p->inner, least_work = 3 << 19;
    const double most_work = turned ? 1 << 25 : 1 << 23, share = work * count / (turned ? 4 : 8);
    const double enough = share < least_work ? least_work : share > most_work ? most_work : share;
    const Index bands = ceil_div(p->rows, turned ? ROWS : 2 * ROWS); /* an even number, or one */
    p->row_step = ceil_div(ceil_div(p->rows, bands > 1 ? bands + bands % 2 : 1), TILE) * TILE;
    p->column_step = ceil_div(p->columns, ceil_div(p->columns, 4 * BREADTH));
    while ((double)p->row_step * p->column_step * p->inner > enough) {
        const bool broad = p->column_step > BREADTH, tall = p->row_step > 4 * TILE;
        if (!broad && !tall)
            break;
        if (broad && (!tall || !turned || p->column_step >= p->row_step))
            p->column_step = ceil_div(p->column_step, 2);
        else
            p->row_step = ceil_div(p->row_step, 2);
        p->column_step = ceil_div(p->column_step, BREADTH) * BREADTH;
        p->row_step = ceil_div(p->row_step, TILE) * TILE;
    }
    p->column_step = ceil_div(p->column_step, BREADTH) * BREADTH;
    p->row_chunks = ceil_div(p->rows, p->row_step);
    p->column_chunks = ceil_div(p->columns, p->column_step);
}

/* product(x, y, bias): a new array, x @ y + bias, of arrays that `multiplies` accepts. */
PyObject *enter_product(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Product p;
    if (!as_product(args, count, &p))
        return PyErr_Format(PyExc_ValueError, "product: not what `multiplies` accepts");
    const int type = PyArray_TYPE((PyArrayObject *)args[0]);
    Index shape[MOST_AXES + 2];
    memcpy(shape, p.shape, sizeof p.shape);
    shape[p.axes] = p.rows;
    shape[p.axes + 1] = p.columns;
    PyObject *out = PyArray_SimpleNew((int)p.axes + 2, shape, type);
    if (!out)
        return NULL;
    p.out = PyArray_DATA((PyArrayObject *)out);
    const Index number = matrices(&p);
    cut(&p, number);
    PyObject *result = compute(kernels->product[type == NPY_DOUBLE], &p,
                               number * p.row_chunks * p.column_chunks,
                               PRODUCT_SCRATCH * (size_t)PyArray_ITEMSIZE((PyArrayObject *)out));
    if (!result)
        Py_CLEAR(out);
    Py_XDECREF(result);
    return out;
}

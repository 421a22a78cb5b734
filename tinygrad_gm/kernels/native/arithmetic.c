/* Sums and products of arrays that broadcast, as Python calls them; the kernel is arithmetic.h. */
#include "entries.h"

#include "arithmetic.h"

/* Whether x has the shape of the result. */
static bool has_all_axes(const Array *x, const Array *y)
{
    bool all = x->ndim >= y->ndim;
    for (int i = 1; all && i <= y->ndim; i++) {
        const Index size = y->shape[y->ndim - i];
        all = size == x->shape[x->ndim - i] || size == 1;
    }
    return all;
}

/* How rows and their axes follow from shapes and strides; false where it is left to NumPy. */
static bool as_combination(const Array *x, const Array *y, Combination *c)
{
    int order[NPY_MAXDIMS];
    Index sizes[NPY_MAXDIMS], steps[NPY_MAXDIMS]; /* from the inmost axis; neighbours joined */
    int count = 0;
    Index outer = 0; /* the last step of y: in the memory order of x it must grow */
    if (!has_no_holes(x->array))
        return false;
    sort_axes(x, order);
    for (int i = x->ndim - 1; i >= 0; i--) {
        const int axis = order[i], of_y = axis - x->ndim + y->ndim;
        const Index size = x->shape[axis];
        if (size == 1)
            continue;
        const Index bytes = of_y < 0 || y->shape[of_y] == 1 ? 0 : y->strides[of_y];
        const Index step = bytes / PyArray_ITEMSIZE(y->array);
        if (bytes % PyArray_ITEMSIZE(y->array) || (step && step < outer))
            return false;
        outer = step ? step : outer;
        if (count && step == steps[count - 1] * sizes[count - 1]) {
            sizes[count - 1] *= size;
            continue;
        }
        sizes[count] = size;
        steps[count++] = step;
    }
    c->width = count ? sizes[0] : 1;
    c->follows = count && steps[0];
    c->outer = count ? count - 1 : 0;
    if (c->outer > MOST_OUTER || (c->follows && steps[0] != 1))
        return false;
    c->rows = x->size / c->width;
    for (int i = 0; i < c->outer; i++) {
        c->shape[i] = sizes[c->outer - i];
        c->steps[i] = steps[c->outer - i];
    }
    c->pieces = ceil_div(c->width, COMBINED);
    c->share = ceil_div(COMBINED, c->width);
    return true;
}

/* A new array; None where the arrays are left to NumPy. */
static PyObject *combine(const char *name, Kernel *const *kernel, PyObject *const *args,
                         Py_ssize_t count)
{
    Array x, y;
    Combination c;
    const int type = unwrap(name, args, count, "aa", &x, &y);
    if (type < 0)
        return NULL;
    const bool turned = !has_all_axes(&x, &y) || !has_no_holes(x.array);
    const Array *all = turned ? &y : &x, *other = turned ? &x : &y;
    if (!x.size || !y.size || (turned && !has_all_axes(&y, &x)) || !as_combination(all, other, &c))
        Py_RETURN_NONE;
    PyObject *out = PyArray_NewLikeArray(all->array, NPY_KEEPORDER, NULL, 0);
    if (!out)
        return NULL;
    c.x = all->data;
    c.y = other->data;
    c.out = PyArray_DATA((PyArrayObject *)out);
    PyObject *result = compute(kernel[type], &c, ceil_div(c.rows, c.share) * c.pieces, 0);
    if (!result)
        Py_CLEAR(out);
    Py_XDECREF(result);
    return out;
}

PyObject *enter_add(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return combine("add", kernels->add, args, count);
}

PyObject *enter_multiply(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return combine("multiply", kernels->multiply, args, count);
}

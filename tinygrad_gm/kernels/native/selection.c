/* Selection, as Python calls it; the kernel is selection.h. */
#include "entries.h"

#include "maps.h"
#include "selection.h"

/* select(x, condition, scale): a new array, x · scale where the condition, booleans of the same shape
 * and memory order, holds; None where they lie in memory in another way. */
PyObject *enter_select(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Selection task = {0};
    Array x, condition;
    const int type = unwrap("select", args, count, "aa*d", &x, &condition, &task.scale);
    if (type < 0)
        return NULL;
    if (condition.type != NPY_BOOL)
        return PyErr_Format(PyExc_TypeError, "select: expected booleans; got %R",
                            (PyObject *)PyArray_DESCR(condition.array));
    bool alike = x.ndim == condition.ndim && has_no_holes(x.array) && has_no_holes(condition.array);
    for (int i = 0; alike && i < x.ndim; i++)
        alike = x.shape[i] == condition.shape[i] &&
                (x.shape[i] == 1 ||
                 x.strides[i] == condition.strides[i] * PyArray_ITEMSIZE(x.array));
    if (!alike)
        Py_RETURN_NONE;
    PyObject *out = PyArray_NewLikeArray(x.array, NPY_KEEPORDER, NULL, 0);
    if (!out)
        return NULL;
    task.x = x.data;
    task.condition = condition.data;
    task.out = PyArray_DATA((PyArrayObject *)out);
    task.size = x.size;
    PyObject *none = compute(kernels->select[type], &task, ceil_div(x.size, MAPPED), 0);
    if (!none)
        Py_CLEAR(out);
    Py_XDECREF(none);
    return out;
}

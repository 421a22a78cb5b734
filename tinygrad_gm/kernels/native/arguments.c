/* From Python's arguments to C's: see arguments.h. */
#include "arguments.h"

#include "pool.h"

static bool usable(PyArrayObject *array)
{
    return PyArray_ISALIGNED(array) && PyArray_ISNOTSWAPPED(array);
}

static void fill(Array *to, PyArrayObject *array)
{
    *to = (Array){PyArray_DATA(array), PyArray_SIZE(array),     PyArray_NDIM(array),
                  PyArray_DIMS(array), PyArray_STRIDES(array), PyArray_TYPE(array), array};
}

static int index_of(int type)
{
    return type == NPY_FLOAT ? 0 : type == NPY_DOUBLE ? 1 : -1;
}

bool unwrap_array(const char *name, PyObject *value, int type, Array *array)
{
    if (!PyArray_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s: expected an array; got %R", name, Py_TYPE(value));
        return false;
    }
    if (!usable((PyArrayObject *)value)) {
        PyErr_Format(PyExc_ValueError, "%s: an array in another byte order or not aligned", name);
        return false;
    }
    fill(array, (PyArrayObject *)value);
    if (type >= 0 && index_of(array->type) != type) {
        PyErr_Format(PyExc_TypeError, "%s: expected arrays of one type, float32 or float64; got %R",
                     name, (PyObject *)PyArray_DESCR(array->array));
        return false;
    }
    return true;
}

int unwrap(const char *name, PyObject *const *args, Py_ssize_t count, const char *letters, ...)
{
    va_list targets;
    va_start(targets, letters);
    int type = -1;
    Py_ssize_t i = 0;
    for (const char *letter = letters; *letter; letter++, i++) {
        if (i == count) {
            PyErr_Format(PyExc_TypeError, "%s: %zd arguments are too few", name, count);
            goto wrong;
        }
        PyObject *value = args[i];
        switch (*letter) {
        case 'a':
        case 'o':
        case 'w':
        case 'O': {
            Array *array = va_arg(targets, Array *);
            bool written = *letter == 'w' || *letter == 'O';
            bool optional = *letter == 'o' || *letter == 'O';
            bool any = letter[1] == '*', absent = optional && value == Py_None;
            if (absent)
                *array = (Array){0};
            else if (!unwrap_array(name, value, any ? -1 : type, array))
                goto wrong;
            if (!any && !absent && type < 0 && (type = index_of(array->type)) < 0) {
                PyErr_Format(PyExc_TypeError, "%s: expected float32 or float64; got %R", name,
                             (PyObject *)PyArray_DESCR(array->array));
                goto wrong;
            }
            if (written && !absent && !PyArray_ISWRITEABLE(array->array)) {
                PyErr_Format(PyExc_ValueError, "%s: an array to write to is read-only", name);
                goto wrong;
            }
            letter += any;
            break;
        }
        case 'l':
            if (!PyList_Check(value) && !PyTuple_Check(value)) {
                PyErr_Format(PyExc_TypeError, "%s: expected a list; got %R", name, Py_TYPE(value));
                goto wrong;
            }
            *va_arg(targets, List *) =
                (List){PySequence_Fast_ITEMS(value), PySequence_Fast_GET_SIZE(value)};
            break;
        case 'i':
            *va_arg(targets, Index *) = PyLong_AsSsize_t(value);
            break;
        case 'p':
            *va_arg(targets, PyObject **) = value;
            break;
        case 'd':
            *va_arg(targets, double *) = PyFloat_AsDouble(value);
            break;
        default:
            PyErr_Format(PyExc_SystemError, "%s: unwrap knows no letter %c", name, *letter);
            goto wrong;
        }
        if ((*letter == 'i' || *letter == 'd') && PyErr_Occurred())
            goto wrong;
    }
    va_end(targets);
    if (i < count) {
        PyErr_Format(PyExc_TypeError, "%s: %zd arguments are too many", name, count);
        return -1;
    }
    return type < 0 ? 0 : type;
wrong:
    va_end(targets);
    return -1;
}

bool in_order_of_size(const char *name, Index size, ...)
{
    va_list arrays;
    va_start(arrays, size);
    bool right = true;
    for (const Array *a; right && (a = va_arg(arrays, const Array *));)
        right = !a->data || (in_order(a) && a->size == size);
    va_end(arrays);
    if (!right)
        PyErr_Format(PyExc_ValueError, "%s: expected contiguous arrays of %zd numbers", name, size);
    return right;
}

bool has_no_holes(PyArrayObject *array)
{
    if (PyArray_IS_C_CONTIGUOUS(array) || PyArray_IS_F_CONTIGUOUS(array))
        return true;
    const Index *shape = PyArray_DIMS(array), *strides = PyArray_STRIDES(array);
    Index filled = PyArray_ITEMSIZE(array); /* by the axes that were found, from the inmost */
    for (int axis = 0; axis < PyArray_NDIM(array);) {
        if (shape[axis] > 1 && strides[axis] == filled) {
            filled *= shape[axis];
            axis = 0;
        } else {
            axis++;
        }
    }
    return filled == PyArray_NBYTES(array);
}

void sort_axes(const Array *x, int *order)
{
    for (int i = 0; i < x->ndim; i++) {
        int place = i;
        for (; place && x->strides[order[place - 1]] < x->strides[i]; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
}

bool lie_alike(PyArrayObject *a, PyArrayObject *b)
{
    size_t bytes = sizeof(Index) * (size_t)PyArray_NDIM(a);
    return PyArray_NDIM(a) == PyArray_NDIM(b) &&
           !memcmp(PyArray_DIMS(a), PyArray_DIMS(b), bytes) &&
           ((PyArray_IS_C_CONTIGUOUS(a) && PyArray_IS_C_CONTIGUOUS(b)) ||
            !memcmp(PyArray_STRIDES(a), PyArray_STRIDES(b), bytes));
}

bool dense_alike(const char *name, const Array *first, ...)
{
    va_list arrays;
    va_start(arrays, first);
    bool right = has_no_holes(first->array);
    for (const Array *a; right && (a = va_arg(arrays, const Array *));)
        right = lie_alike(first->array, a->array);
    va_end(arrays);
    if (!right)
        PyErr_Format(PyExc_ValueError, "%s: expected arrays of one shape and one memory order", name);
    return right;
}

PyObject *compute(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes)
{
    bool done;
    if (chunks > 1) {
        Py_BEGIN_ALLOW_THREADS
        done = run_chunks(kernel, task, chunks, scratch_bytes);
        Py_END_ALLOW_THREADS
    } else {
        done = run_chunks(kernel, task, chunks, scratch_bytes);
    }
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

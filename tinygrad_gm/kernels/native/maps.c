/* Elementwise functions, as Python calls them; the kernels are maps.h. */
#include "entries.h"

#include "maps.h"

/* A new array with the function of each number, in the memory order of the last of `arrays`; all of
 * them have one shape and lie in memory in one order without holes, which `dense` has seen. */
static PyObject *map(const char *name, Kernel *const *kernel, PyObject *const *args,
                     Py_ssize_t count, int arrays, int numbers)
{
    Map task = {0};
    Array first, x;
    static const char *const letters[2][3] = {{"a", "ad", "add"}, {"aa", "aad", "aadd"}};
    int type = arrays == 1 ? unwrap(name, args, count, letters[0][numbers], &x, &task.a, &task.b)
                           : unwrap(name, args, count, letters[1][numbers], &first, &x, &task.a,
                                    &task.b);
    if (type < 0)
        return NULL;
    if (!(arrays == 1 ? dense_alike(name, &x, NULL) : dense_alike(name, &first, &x, NULL)))
        return NULL;
    PyObject *out = PyArray_NewLikeArray(x.array, NPY_KEEPORDER, NULL, 0);
    if (!out)
        return NULL;
    task.x = x.data;
    task.g = arrays == 2 ? first.data : NULL;
    task.out = PyArray_DATA((PyArrayObject *)out);
    task.size = x.size;
    PyObject *result = compute(kernel[type], &task, ceil_div(x.size, MAPPED), 0);
    if (!result)
        Py_CLEAR(out);
    Py_XDECREF(result);
    return out;
}

#define ENTER(name, arrays, numbers)                                                           \
    PyObject *enter_##name(PyObject *module, PyObject *const *args, Py_ssize_t count)          \
    {                                                                                          \
        (void)module;                                                                          \
        return map(#name, kernels->name, args, count, arrays, numbers);                        \
    }
MAPS(ENTER)

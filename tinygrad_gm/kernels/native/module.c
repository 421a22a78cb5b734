/* The Python module `_native`: what is common to all kernels. Python's side is __init__.py. */
#define IMPORTS_NUMPY
#include "entries.h"
#include "pool.h"

const Kernels *kernels = &baseline;
bool enabled = true;

#if FOR_X86
static const Kernels *const all_targets[] = {&avx512, &avx2, &baseline};
#else
static const Kernels *const all_targets[] = {&baseline};
#endif
enum { TARGETS = sizeof all_targets / sizeof all_targets[0] };

static bool runs_here(const Kernels *target)
{
#if FOR_X86
    if (target == &avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (target == &avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return target == &baseline;
}

/* ------------------------------------------------------------------------ what kernels take */

PyObject *enter_fits(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (!enabled || !count || !is_plain(args[0]))
        Py_RETURN_FALSE;
    for (Py_ssize_t i = 1; i < count; i++)
        if (args[i] != Py_None && !(is_plain(args[i]) && PyArray_TYPE((PyArrayObject *)args[i]) ==
                                                             PyArray_TYPE((PyArrayObject *)args[0])))
            Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

PyObject *enter_dense(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *fits = enter_fits(module, args, count);
    if (fits == Py_False)
        return fits;
    Py_DECREF(fits);
    for (Py_ssize_t i = 1; i < count; i++)
        if (args[i] == Py_None || !lie_alike((PyArrayObject *)args[0], (PyArrayObject *)args[i]))
            Py_RETURN_FALSE;
    return PyBool_FromLong(has_no_holes((PyArrayObject *)args[0]));
}

PyObject *enter_enable(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Index on;
    if (unwrap("enable", args, count, "i", &on) < 0)
        return NULL;
    enabled = on;
    Py_RETURN_NONE;
}

PyObject *enter_is_enabled(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return unwrap("is_enabled", args, count, "") < 0 ? NULL : PyBool_FromLong(enabled);
}

/* ------------------------------------------------------------------------ targets and threads */

PyObject *enter_targets(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (unwrap("targets", args, count, "") < 0)
        return NULL;
    PyObject *names = PyList_New(0);
    for (int i = 0; names && i < TARGETS; i++) {
        if (!runs_here(all_targets[i]))
            continue;
        PyObject *name = PyUnicode_FromString(all_targets[i]->name);
        if (!name || PyList_Append(names, name))
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

PyObject *enter_target(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return unwrap("target", args, count, "") < 0 ? NULL : PyUnicode_FromString(kernels->name);
}

PyObject *enter_set_target(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = count == 1 ? PyUnicode_AsUTF8(args[0]) : NULL;
    if (!name)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "set_target: one name");
    for (int i = 0; i < TARGETS; i++)
        if (!strcmp(all_targets[i]->name, name) && runs_here(all_targets[i])) {
            kernels = all_targets[i];
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "set_target: this processor has no target %R", args[0]);
}

PyObject *enter_set_num_threads(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Index threads;
    if (unwrap("set_num_threads", args, count, "i", &threads) < 0)
        return NULL;
    if (threads < 1)
        return PyErr_Format(PyExc_ValueError, "set_num_threads: %zd is not a number of threads",
                            threads);
    Py_BEGIN_ALLOW_THREADS
    set_threads((int)least(threads, MOST_THREADS));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

PyObject *enter_get_num_threads(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return unwrap("get_num_threads", args, count, "") < 0 ? NULL : PyLong_FromLong(get_threads());
}

/* ------------------------------------------------------------------------ the module */

#define METHOD(name, ...) {#name, (PyCFunction)(void (*)(void))enter_##name, METH_FASTCALL, NULL},
static PyMethodDef methods[] = {ALL_ENTRIES(METHOD){NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__native(void)
{
    import_array();
#if FOR_X86
    __builtin_cpu_init();
#endif
    for (int i = TARGETS - 1; i >= 0; i--)
        if (runs_here(all_targets[i]))
            kernels = all_targets[i];
    return PyModule_Create(&definition);
}

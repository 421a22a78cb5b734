/* softmax of rows, as Python calls it; the kernels are softmax.h. */
#include "entries.h"

#include "softmax.h"

static PyObject *run(Kernel *const *kernel, const Scores *task)
{
    return compute(kernel[0], task, ceil_div(task->rows, scores_of_chunk(task->width)), 0);
}

static bool of_floats(const char *name, int type)
{
    if (type == 1)
        PyErr_Format(PyExc_TypeError, "%s: expected float32", name);
    return type == 0;
}

/* Scores in order, with a number for each row in the other arrays. */
static bool as_rows(const char *name, const Array *x, Scores *task)
{
    if (!x->ndim || !x->size || !in_order(x)) {
        PyErr_Format(PyExc_ValueError, "%s: expected contiguous rows", name);
        return false;
    }
    if (task->period < 0) {
        PyErr_Format(PyExc_ValueError, "%s: a period of %zd rows", name, task->period);
        return false;
    }
    task->x = x->data;
    task->width = x->shape[x->ndim - 1];
    task->rows = x->size / task->width;
    return true;
}

/* attention_weights(scores, log_total, total, period): scores become e^(score − the row's largest). */
PyObject *enter_attention_weights(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Scores task = {0};
    Array x, log_total, total;
    int type = unwrap("attention_weights", args, count, "wwwi", &x, &log_total, &total, &task.period);
    if (type < 0 || !of_floats("attention_weights", type) ||
        !as_rows("attention_weights", &x, &task) ||
        !in_order_of_size("attention_weights", task.rows, &log_total, &total, NULL))
        return NULL;
    task.out = x.data;
    task.log_total = log_total.data;
    task.total = total.data;
    return run(kernels->attention_weights, &task);
}

/* attention_weights_again(scores, log_total, period): scores become e^(score − log_total). */
PyObject *enter_attention_weights_again(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "attention_weights_again";
    Scores task = {0};
    Array x, log_total;
    int type = unwrap(name, args, count, "wai", &x, &log_total, &task.period);
    if (type < 0 || !of_floats(name, type) || !as_rows(name, &x, &task) ||
        !in_order_of_size(name, task.rows, &log_total, NULL))
        return NULL;
    task.out = x.data;
    task.log_total = log_total.data;
    return run(kernels->attention_weights_again, &task);
}

/* softmax(x, out): along the last axis. */
PyObject *enter_softmax(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Scores task = {0};
    Array x, out;
    int type = unwrap("softmax", args, count, "aw", &x, &out);
    if (type < 0 || !of_floats("softmax", type) || !as_rows("softmax", &x, &task) ||
        !in_order_of_size("softmax", x.size, &out, NULL))
        return NULL;
    task.out = out.data;
    return run(kernels->softmax, &task);
}

/* cross_entropy(logits, target, out, loss): out is the softmax along the last axis, loss the
 * −ln of it at the target, a class number in int64 for each row. */
PyObject *enter_cross_entropy(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "cross_entropy";
    Scores task = {0};
    Array x, target, out, loss;
    int type = unwrap(name, args, count, "aa*ww", &x, &target, &out, &loss);
    if (type < 0 || !of_floats(name, type) || !as_rows(name, &x, &task) ||
        !in_order_of_size(name, x.size, &out, NULL) ||
        !in_order_of_size(name, task.rows, &target, &loss, NULL))
        return NULL;
    if (PyTypeNum_ISBOOL(target.type) || !PyTypeNum_ISSIGNED(target.type) ||
        PyArray_ITEMSIZE(target.array) != sizeof(int64_t))
        return PyErr_Format(PyExc_TypeError, "%s: expected class numbers in int64", name);
    task.target = target.data;
    for (Index row = 0; row < task.rows; row++)
        if (task.target[row] < 0 || task.target[row] >= task.width)
            return PyErr_Format(PyExc_IndexError, "%s: a class is out of range", name);
    task.out = out.data;
    task.loss = loss.data;
    return run(kernels->softmax, &task);
}

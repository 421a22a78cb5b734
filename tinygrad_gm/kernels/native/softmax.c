/* softmax of rows, as Python calls it; the kernels are softmax.h. */
#include "entries.h"

#include "softmax.h"

static PyObject *run(Kernel *const *kernel, int type, const Scores *task)
{
    return compute(kernel[type], task, ceil_div(task->rows, scores_of_chunk(task->width)), 0);
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
    if (type < 0 || !as_rows("attention_weights", &x, &task) ||
        !in_order_of_size("attention_weights", task.rows, &log_total, &total, NULL))
        return NULL;
    task.out = x.data;
    task.log_total = log_total.data;
    task.total = total.data;
    return run(kernels->attention_weights, type, &task);
}

/* attention_weights_again(scores, log_total, period): scores become e^(score − log_total). */
PyObject *enter_attention_weights_again(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "attention_weights_again";
    Scores task = {0};
    Array x, log_total;
    int type = unwrap(name, args, count, "wai", &x, &log_total, &task.period);
    if (type < 0 || !as_rows(name, &x, &task) ||
        !in_order_of_size(name, task.rows, &log_total, NULL))
        return NULL;
    task.out = x.data;
    task.log_total = log_total.data;
    return run(kernels->attention_weights_again, type, &task);
}

/* x and g, or x alone, to out; all of one size, in rows along the last axis. */
static PyObject *to_out(const char *name, Kernel *const *kernel, PyObject *const *args,
                        Py_ssize_t count, bool with_gradient)
{
    Scores task = {0};
    Array g = {0}, x, out;
    const int type = with_gradient ? unwrap(name, args, count, "aaw", &g, &x, &out)
                                   : unwrap(name, args, count, "aw", &x, &out);
    if (type < 0 || !as_rows(name, &x, &task) || !in_order_of_size(name, x.size, &g, &out, NULL))
        return NULL;
    task.g = g.data;
    task.out = out.data;
    return run(kernel, type, &task);
}

PyObject *enter_softmax(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return to_out("softmax", kernels->softmax, args, count, false);
}

PyObject *enter_log_softmax(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return to_out("log_softmax", kernels->log_softmax, args, count, false);
}

PyObject *enter_softmax_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return to_out("softmax_backward", kernels->softmax_backward, args, count, true);
}

PyObject *enter_log_softmax_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return to_out("log_softmax_backward", kernels->log_softmax_backward, args, count, true);
}

/* Class numbers in int64, one for each row. */
static bool as_targets(const char *name, const Array *target, Scores *task)
{
    if (!in_order_of_size(name, task->rows, target, NULL))
        return false;
    if (PyTypeNum_ISBOOL(target->type) || !PyTypeNum_ISSIGNED(target->type) ||
        PyArray_ITEMSIZE(target->array) != sizeof(int64_t)) {
        PyErr_Format(PyExc_TypeError, "%s: expected class numbers in int64", name);
        return false;
    }
    task->target = target->data;
    for (Index row = 0; row < task->rows; row++)
        if (task->target[row] < 0 || task->target[row] >= task->width) {
            PyErr_Format(PyExc_IndexError, "%s: a class is out of range", name);
            return false;
        }
    return true;
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
    if (type < 0 || !as_rows(name, &x, &task) || !in_order_of_size(name, x.size, &out, NULL) ||
        !in_order_of_size(name, task.rows, &loss, NULL) || !as_targets(name, &target, &task))
        return NULL;
    task.out = out.data;
    task.loss = loss.data;
    return run(kernels->softmax, type, &task);
}

/* cross_entropy_backward(probabilities, target, g, scale, out): g has a number for each row, or is
 * None for `scale`. */
PyObject *enter_cross_entropy_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "cross_entropy_backward";
    Scores task = {0};
    Array x, target, g, out;
    int type = unwrap(name, args, count, "aa*odw", &x, &target, &g, &task.scale, &out);
    if (type < 0 || !as_rows(name, &x, &task) || !in_order_of_size(name, x.size, &out, NULL) ||
        !in_order_of_size(name, task.rows, &g, NULL) || !as_targets(name, &target, &task))
        return NULL;
    task.g = g.data;
    task.out = out.data;
    return run(kernels->cross_entropy_backward, type, &task);
}

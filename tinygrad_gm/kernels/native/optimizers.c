/* The optimizers' steps, as Python calls them; the kernels are adam.h and its neighbours. */
#include "entries.h"

#include "gradients.h"

#include "adam.h"
#include "average.h"
#include "rmsprop.h"
#include "sgd.h"

/* The gradients of a vector's parameters, in their order: together as long as the vector. The two
 * lists in it are one allocation, at `arrays`. */
static bool gather(const char *name, const List *list, int type, Index size, Gradients *to)
{
    char *memory = PyMem_Malloc((size_t)(list->count + 1) * (sizeof(void *) + sizeof(Index)));
    if (!memory) {
        PyErr_NoMemory();
        return false;
    }
    const void **arrays = (const void **)memory;
    Index *stops = (Index *)(memory + (size_t)(list->count + 1) * sizeof(void *)), stop = 0;
    for (Index i = 0; i < list->count; i++) {
        Array g;
        if (!unwrap_array(name, list->items[i], type, &g))
            goto wrong;
        if (!in_order(&g)) {
            PyErr_Format(PyExc_ValueError, "%s: gradient %zd is not contiguous", name, i);
            goto wrong;
        }
        arrays[i] = g.data;
        stops[i] = stop += g.size;
    }
    if (stop != size) {
        PyErr_Format(PyExc_ValueError, "%s: gradients of %zd numbers for parameters of %zd", name,
                     stop, size);
        goto wrong;
    }
    to->count = list->count;
    to->arrays = arrays;
    to->stops = stops;
    to->size = size;
    return true;
wrong:
    PyMem_Free(memory);
    return false;
}

static PyObject *step(Kernel *kernel, const void *task, const Gradients *gradients)
{
    PyObject *result = compute(kernel, task, ceil_div(gradients->size, STRETCH), 0);
    PyMem_Free(gradients->arrays);
    return result;
}

PyObject *enter_adam(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Adam a;
    Gradients *from = &a.gradients;
    Array param, m, v, largest;
    List gradients;
    int type = unwrap("adam", args, count, "dddddwldddwwO", &a.beta1, &a.beta2, &a.share, &a.eps,
                      &a.lr, &param, &gradients, &from->scale, &from->decay, &from->keep, &m, &v,
                      &largest);
    if (type < 0 || !in_order_of_size("adam", param.size, &param, &m, &v, &largest, NULL) ||
        !gather("adam", &gradients, type, param.size, from))
        return NULL;
    a.param = param.data;
    a.exp_avg = m.data;
    a.exp_avg_sq = v.data;
    a.max_exp_avg_sq = largest.data;
    return step(kernels->adam[type], &a, from);
}

PyObject *enter_rmsprop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    RMSprop r;
    Gradients *from = &r.gradients;
    Array param, v, a, velocity;
    List gradients;
    int type = unwrap("rmsprop", args, count, "dddddwldddwOO", &r.lr, &r.alpha, &r.share, &r.eps,
                      &r.momentum, &param, &gradients, &from->scale, &from->decay, &from->keep, &v,
                      &a, &velocity);
    if (type < 0 || !in_order_of_size("rmsprop", param.size, &param, &v, &a, &velocity, NULL) ||
        !gather("rmsprop", &gradients, type, param.size, from))
        return NULL;
    r.param = param.data;
    r.square_avg = v.data;
    r.grad_avg = a.data;
    r.velocity = velocity.data;
    return step(kernels->rmsprop[type], &r, from);
}

PyObject *enter_sgd(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    SGD s;
    Gradients *from = &s.gradients;
    Array param, velocity;
    List gradients;
    Index nesterov;
    int type = unwrap("sgd", args, count, "dddiwldddO", &s.lr, &s.momentum, &s.share, &nesterov,
                      &param, &gradients, &from->scale, &from->decay, &from->keep, &velocity);
    if (type < 0 || !in_order_of_size("sgd", param.size, &param, &velocity, NULL) ||
        !gather("sgd", &gradients, type, param.size, from))
        return NULL;
    s.nesterov = nesterov;
    s.param = param.data;
    s.velocity = velocity.data;
    return step(kernels->sgd[type], &s, from);
}

/* average(share, mean, values): two arrays that `dense` has seen. */
PyObject *enter_average(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Average a;
    Array mean, values;
    int type = unwrap("average", args, count, "dwa", &a.share, &mean, &values);
    if (type < 0 || !dense_alike("average", &mean, &values, NULL))
        return NULL;
    a.mean = mean.data;
    a.values = values.data;
    a.size = mean.size;
    return compute(kernels->average[type], &a, ceil_div(a.size, STRETCH), 0);
}

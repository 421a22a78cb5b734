/* Attention, as Python calls it; the kernels are attention.h. */
#include "entries.h"

#include "product.h"

#include "attention.h"

/* An array of heads (…, rows, width). Where it is written, the numbers of a row lie side by side. */
static bool as_heads(const Array *array, Attention *a, Index rows, Index width, bool written,
                     Factor *to)
{
    const int ndim = array->ndim;
    *to = (Factor){0};
    if (!array->data)
        return true;
    if (ndim != a->axes + 2 || array->shape[ndim - 2] != rows || array->shape[ndim - 1] != width)
        return false;
    const Index size = sizeof(float);
    for (int axis = 0; axis < ndim; axis++)
        if (array->strides[axis] % size ||
            (axis < a->axes && array->shape[axis] != a->shape[axis]))
            return false;
    to->data = array->data;
    to->row_step = array->strides[ndim - 2] / size;
    to->column_step = array->strides[ndim - 1] / size;
    for (int axis = 0; axis < a->axes; axis++)
        to->steps[axis] = array->strides[axis] / size;
    return !written || to->column_step == 1 || width == 1;
}

/* Sizes, from the arrays of query, key and value; `log_total` has a number for each row. */
static bool as_attention(const Array *query, const Array *key, const Array *value,
                         const Array *log_total, Attention *a)
{
    const int ndim = query->ndim;
    if (ndim < 2 || ndim > MOST_AXES + 2 || key->ndim != ndim || value->ndim != ndim ||
        !query->size || !key->size || !value->size)
        return false;
    a->axes = ndim - 2;
    a->heads = 1;
    for (int axis = 0; axis < a->axes; axis++)
        a->heads *= a->shape[axis] = query->shape[axis];
    a->rows = query->shape[ndim - 2];
    a->width = query->shape[ndim - 1];
    a->columns = key->shape[ndim - 2];
    a->value_width = value->shape[ndim - 1];
    a->log_total = log_total->data;
    /* about 2¹⁵ scores in a band */
    const Index rows = (1 << 15) / a->columns;
    a->band = least(a->rows, rows < TILE ? TILE : rows > BAND ? BAND : rows);
    a->bands = ceil_div(a->rows, a->band);
    return in_order(log_total) && log_total->size == a->heads * a->rows &&
           as_heads(query, a, a->rows, a->width, false, &a->query) &&
           as_heads(key, a, a->columns, a->width, false, &a->key) &&
           as_heads(value, a, a->columns, a->value_width, false, &a->value);
}

/* Some heads, or bands of one, in a chunk, so that waking a thread is worth it. */
static Index share_of(const Attention *a, Index rows)
{
    const double work = (double)rows * a->columns * (a->width + a->value_width);
    return work < 1 << 19 ? (Index)((1 << 19) / work) : 1;
}

static size_t scratch_of(const Attention *a, Index bands)
{
    return sizeof(float) * (size_t)(PRODUCT_SCRATCH + BAND * (bands * scores_row(a) + a->width));
}

static PyObject *do_not_fit(const char *name)
{
    return PyErr_Format(PyExc_ValueError, "%s: the shapes or memory orders do not fit", name);
}

/* attention(query, key, value, out, log_total, causal, scale) */
PyObject *enter_attention(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "attention";
    Attention a = {0};
    Array query, key, value, out, log_total;
    Index causal;
    double scale;
    int type = unwrap(name, args, count, "aaawwid", &query, &key, &value, &out, &log_total, &causal,
                      &scale);
    if (type < 0)
        return NULL;
    if (type == 1)
        return PyErr_Format(PyExc_TypeError, "%s: expected float32", name);
    if (!as_attention(&query, &key, &value, &log_total, &a) ||
        !as_heads(&out, &a, a.rows, a.value_width, true, &a.out) || !a.out.data)
        return do_not_fit(name);
    a.causal = causal;
    a.scale = (float)scale;
    a.share = share_of(&a, a.band);
    return compute(kernels->attention[0], &a, ceil_div(a.heads * a.bands, a.share),
                   scratch_of(&a, 1));
}

/* attention_backward(g, query, key, value, out, log_total, causal, scale, query_gradient,
 * key_gradient, value_gradient): each of the gradients may be None. */
PyObject *enter_attention_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "attention_backward";
    Attention a = {0};
    Array g, query, key, value, out, log_total, for_query, for_key, for_value;
    Index causal;
    double scale;
    int type = unwrap(name, args, count, "aaaaaaidOOO", &g, &query, &key, &value, &out, &log_total,
                      &causal, &scale, &for_query, &for_key, &for_value);
    if (type < 0)
        return NULL;
    if (type == 1)
        return PyErr_Format(PyExc_TypeError, "%s: expected float32", name);
    if (!as_attention(&query, &key, &value, &log_total, &a) ||
        !as_heads(&out, &a, a.rows, a.value_width, false, &a.out) ||
        !as_heads(&g, &a, a.rows, a.value_width, false, &a.g) ||
        !as_heads(&for_query, &a, a.rows, a.width, true, &a.query_gradient) ||
        !as_heads(&for_key, &a, a.columns, a.width, true, &a.key_gradient) ||
        !as_heads(&for_value, &a, a.columns, a.value_width, true, &a.value_gradient))
        return do_not_fit(name);
    a.causal = causal;
    a.scale = (float)scale;
    a.share = share_of(&a, a.rows);
    return compute(kernels->attention_backward[0], &a, ceil_div(a.heads, a.share),
                   scratch_of(&a, 2));
}

/* What Python may call: each name is a function `enter_NAME` of one of the .c files beside this. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "arguments.h"

extern const Kernels *kernels; /* of the present target */
extern bool enabled;           /* false: `fits` and its like send everything to NumPy */

#define ALL_ENTRIES(_)                                                                  \
    /* maps.c */                                                                        \
    MAPS(_)                                                                             \
    /* arithmetic.c */ _(add) _(multiply)                                               \
    /* sums.c */                                                                        \
    _(sum) _(squared_deviations)                                                        \
    /* attention.c */ _(attention) _(attention_backward)                                 \
    /* softmax.c */                                                                     \
    _(softmax) _(softmax_backward) _(log_softmax) _(log_softmax_backward)               \
    _(cross_entropy) _(cross_entropy_backward)                                          \
    _(attention_weights) _(attention_weights_again)                                     \
    /* selection.c */                                                                   \
    _(select)                                                                           \
    /* module.c */                                                                      \
    _(fits) _(dense) _(enable) _(is_enabled) _(targets) _(target)                       \
    _(set_target) _(set_num_threads) _(get_num_threads)                                 \
    /* products.c */                                                                    \
    _(multiplies) _(product)                                                            \
    /* optimizers.c */                                                                  \
    _(adam) _(average) _(rmsprop) _(sgd)                                                \
    /* convolutions.c, depthwise.c */                                                   \
    _(convolve) _(convolve_weight) _(depthwise) _(depthwise_weight)                     \
    /* norms.c */                                                                       \
    _(normalize_rows) _(normalize_rows_backward)                                        \
    _(normalize_channels) _(normalize_channels_backward)                                \
    /* pooling.c */                                                                     \
    _(pool) _(unpool)                                                                   \
    /* recurrence.c */                                                                  \
    _(lstm) _(lstm_backward) _(gru) _(gru_backward) _(rnn) _(rnn_backward)              \
    /* scatter.c */                                                                     \
    _(add_rows)

#define DECLARE(name, ...) PyObject *enter_##name(PyObject *, PyObject *const *, Py_ssize_t);
ALL_ENTRIES(DECLARE)
#undef DECLARE

/* Whether an object is an array that kernels take: of NumPy itself, not empty, aligned, in the
 * machine's byte order, of float32 or float64. */
static inline bool is_plain(PyObject *value)
{
    if (!PyArray_CheckExact(value))
        return false;
    PyArrayObject *array = (PyArrayObject *)value;
    int type = PyArray_TYPE(array);
    return (type == NPY_FLOAT || type == NPY_DOUBLE) && PyArray_SIZE(array) &&
           PyArray_ISALIGNED(array) && PyArray_ISNOTSWAPPED(array);
}

#endif

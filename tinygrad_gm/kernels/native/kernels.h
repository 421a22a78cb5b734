/* The kernels by name, and what each is: a function that computes one chunk of a task.
 *
 * Every kernel is one page, such as adam.h, written in terms of `real`. pages.h includes all pages
 * for float and for double; baseline.c, avx2.c and avx512.c include pages.h for one instruction
 * set each, and export one table of functions. module.c chooses a table when it is loaded.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__)
#error "the kernels need GCC or Clang; without them the package runs on NumPy alone"
#endif

#if defined(__x86_64__)
#define FOR_X86 1
#include <immintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

typedef ptrdiff_t Index;

/* Compute chunk number `chunk` of a task. `scratch` is uninitialised memory for this call alone, of
 * the size that run_chunks was asked for, aligned to a cache line; NULL if that is 0. */
typedef void Kernel(const void *task, Index chunk, void *scratch);

/* Every kernel: a page defines KERNEL(name) for each of these names. */
#define ALL_KERNELS(_) \
    /* maps.c */                                                                            \
    MAPS(_)                                                                                 \
    /* arithmetic.c */ _(add) _(multiply)                                                   \
    /* sums.c */ _(sum)                                                                     \
    /* products.c */ _(product_pack) _(product)                                            \
    /* softmax.c */                                                                         \
    _(softmax) _(softmax_backward) _(log_softmax) _(log_softmax_backward)                   \
    _(cross_entropy_backward) _(attention_weights) _(attention_weights_again)               \
    /* selection.c */ _(select)                                                             \
    /* optimizers.c */                                                                      \
    _(adam) _(average) _(rmsprop) _(sgd)                                                    \
    /* convolutions.c */                                                                    \
    _(convolution_pack) _(convolution_bands) _(convolution_small)                           \
    _(convolution_weight_part) _(convolution_weight_small) _(convolution_weight_sum)        \
    /* depthwise.c */                                                                       \
    _(depthwise_pack) _(depthwise_bands) _(depthwise_part) _(depthwise_sum)                 \
    /* winograd.c */                                                                        \
    _(winograd_pack) _(winograd_band) _(winograd_part) _(winograd_sum)                      \
    /* norms.c */                                                                           \
    _(normalize_rows) _(normalize_rows_backward) _(add_parts)                               \
    _(channel_moments) _(channel_factors) _(scale_channels)                                 \
    _(channel_slopes) _(slope_factors) _(scale_slopes)                                      \
    /* pooling.c */ _(pool) _(unpool)                                                       \
    /* recurrence.c */                                                                      \
    _(lstm) _(lstm_backward) _(gru) _(gru_backward) _(rnn) _(rnn_backward)                  \
    /* scatter.c */ _(add_rows)

/* And for float alone. */
#define ALL_FLOAT_KERNELS(_) _(attention) _(attention_backward)

/* The elementwise functions of maps.h: how many arrays and numbers each takes. */
#define MAPS(_)                                                                  \
    _(relu, 1, 0) _(relu_backward, 2, 0)                                         \
    _(leaky_relu, 1, 1) _(leaky_relu_backward, 2, 1)                             \
    _(hardtanh, 1, 2) _(hardtanh_backward, 2, 2)                                 \
    _(clip_backward, 2, 2) _(hardswish, 1, 0) _(hardswish_backward, 2, 0)        \
    _(tanh_backward, 2, 0) _(sigmoid_backward, 2, 0)                             \
    _(exp, 1, 0) _(log, 1, 0) _(erf, 1, 0) _(tanh, 1, 0) _(sigmoid, 1, 0)        \
    _(silu, 1, 0) _(silu_backward, 2, 0)                                         \
    _(gelu, 1, 0) _(gelu_backward, 2, 0)                                         \
    _(tanh_gelu, 1, 0) _(tanh_gelu_backward, 2, 0)                               \
    _(logistic_loss, 2, 0) _(logistic_loss_backward, 2, 1)                       \
    _(mish, 1, 0) _(mish_backward, 2, 0)                                         \
    _(softplus, 1, 2) _(softplus_backward, 2, 2)

#define FIELD(name, ...) Kernel *name[2];
typedef struct {
    const char *name; /* of the instruction set */
    ALL_KERNELS(FIELD) ALL_FLOAT_KERNELS(FIELD) /* of float, of double or NULL */
} Kernels;
#undef FIELD

extern const Kernels baseline;
#if FOR_X86
extern const Kernels avx2, avx512;
#endif

static inline Index least(Index a, Index b) { return a < b ? a : b; }
static inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

#endif

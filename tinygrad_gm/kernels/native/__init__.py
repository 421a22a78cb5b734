"""Kernels in C for what NumPy can neither fuse nor thread, where they were built.

`docs/speed.md` says what is fused and why, and how a kernel is read. Here is how an array function
chooses its path. It asks whether the arrays are ones that kernels take, calls the kernel if so, and
otherwise goes on in NumPy:

    def square(xp, x):
        if native.fits(x):
            return native.square(x)
        return xp.multiply(x, x)

`fits(*arrays)` costs 50 ns and is false for everything odd: kernels that are not built or switched
off; arrays of another library or a subclass, or empty; other types than one of float32 and float64;
numbers that are not aligned or in another byte order. After the first array it passes over None.
`dense(*arrays)` also wants one shape and one memory order without holes: an elementwise kernel
walks such arrays as rows of numbers. A kernel checks whatever could make it read or write outside
of an array, and raises an error; that is a mistake of the array function, never of its user.

Array functions with kernels are in `tinygrad_gm.kernels`, without gradient rules, and their NumPy
path stays: it is the definition, and what runs where no kernel does.
"""

from __future__ import annotations

try:
    from ._native import (
        adam,
        add,
        add_rows,
        attention,
        attention_backward,
        attention_weights,
        attention_weights_again,
        average,
        clip_backward,
        convolve,
        convolve_weight,
        cross_entropy,
        cross_entropy_backward,
        dense,
        depthwise,
        depthwise_weight,
        enable,
        erf,
        exp,
        fits,
        gelu,
        gelu_backward,
        get_num_threads,
        gru,
        gru_backward,
        hardswish,
        hardswish_backward,
        hardtanh,
        hardtanh_backward,
        is_enabled,
        leaky_relu,
        leaky_relu_backward,
        log,
        log_softmax,
        log_softmax_backward,
        logistic_loss,
        logistic_loss_backward,
        lstm,
        lstm_backward,
        mish,
        mish_backward,
        multiplies,
        multiply,
        normalize_channels,
        normalize_channels_backward,
        normalize_rows,
        normalize_rows_backward,
        pool,
        product,
        relu,
        relu_backward,
        rmsprop,
        rnn,
        rnn_backward,
        select,
        set_num_threads,
        set_target,
        sgd,
        sigmoid,
        sigmoid_backward,
        silu,
        silu_backward,
        softmax,
        softmax_backward,
        softplus,
        softplus_backward,
        squared_deviations,
        sum,
        tanh,
        tanh_backward,
        tanh_gelu,
        tanh_gelu_backward,
        target,
        targets,
        unpool,
    )

    missing = ""
except ImportError as error:
    missing = str(error)

    def fits(*arrays: object) -> bool:
        """No array fits kernels that are not there."""
        return False

    dense = multiplies = fits

__all__ = [
    "adam",
    "add",
    "add_rows",
    "attention",
    "attention_backward",
    "attention_weights",
    "attention_weights_again",
    "average",
    "clip_backward",
    "convolve",
    "convolve_weight",
    "cross_entropy",
    "cross_entropy_backward",
    "dense",
    "depthwise",
    "depthwise_weight",
    "enable",
    "erf",
    "exp",
    "fits",
    "gelu",
    "gelu_backward",
    "get_num_threads",
    "gru",
    "gru_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "is_enabled",
    "leaky_relu",
    "leaky_relu_backward",
    "log",
    "log_softmax",
    "log_softmax_backward",
    "logistic_loss",
    "logistic_loss_backward",
    "lstm",
    "lstm_backward",
    "mish",
    "mish_backward",
    "missing",
    "multiplies",
    "multiply",
    "normalize_channels",
    "normalize_channels_backward",
    "normalize_rows",
    "normalize_rows_backward",
    "pool",
    "product",
    "relu",
    "relu_backward",
    "rmsprop",
    "rnn",
    "rnn_backward",
    "select",
    "set_num_threads",
    "set_target",
    "sgd",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "squared_deviations",
    "sum",
    "tanh",
    "tanh_backward",
    "tanh_gelu",
    "tanh_gelu_backward",
    "target",
    "targets",
    "unpool",
]

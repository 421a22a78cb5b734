"""Activations; a third of the arrays hold only halves, and so stand on the kinks.

In float64, PyTorch computes the gradients of CELU and Hardsigmoid with constants of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from drawing import Draw
from layers import Call, Layer


def activation(limit: float = 2.0, **options: tuple[float, float]) -> Callable[[Draw], Call]:
    """Draws numbers from the ranges, and an input of any shape in ±limit."""

    def draw(d: Draw) -> Call:
        arguments = {key: d.number(*limits) for key, limits in options.items()}
        return Call(arguments, (d.floats(d.shape(), -limit, limit, ties=0.3),), d.dtype)

    return draw


def celu(d: Draw) -> Call:
    """Draws an alpha whose reciprocal is a float32."""
    return Call({"alpha": d.one_of([0.25, 0.5, 1.0, 2.0])}, (d.floats(d.shape()),), d.dtype)


def in_float32(d: Draw) -> Call:
    """Draws an input of float32."""
    return Call({}, (np.asarray(d.floats(d.shape(), -4, 4, ties=0.3), np.float32),), np.float32)


def gelu(d: Draw) -> Call:
    """Draws one of the two formulas."""
    return Call({"approximate": d.one_of(["none", "tanh"])}, (d.floats(d.shape(), -3, 4),), d.dtype)


def along_an_axis(d: Draw) -> Call:
    """Draws an axis."""
    shape = d.shape((1, 4), empty=0.0)
    return Call({"axis": d.axis(len(shape))}, (d.floats(shape),), d.dtype)


def halved(d: Draw) -> Call:
    """Draws an axis of an even length."""
    shape = list(d.shape((1, 4)))
    axis = d.axis(len(shape))
    shape[axis] *= 2
    return Call({"axis": axis}, (d.floats(tuple(shape)),), d.dtype)


def channels(d: Draw) -> Call:
    """Draws a weight for every channel, or one for all."""
    x = d.floats(d.shape((2, 4), empty=0.0), ties=0.3)
    count = d.one_of([1, x.shape[1]])
    return Call({"num_parameters": count, "init": d.number(-1, 1)}, (x,), d.dtype)


def with_dim(arguments: dict[str, Any]) -> dict[str, Any]:
    """The axis under PyTorch's name."""
    return {"dim": arguments["axis"]}


LAYERS = [
    Layer("ReLU", activation()),
    Layer("LeakyReLU", activation(negative_slope=(0.0, 1.0))),
    Layer("PReLU", channels, large={"num_parameters": 50}),
    Layer("ReLU6", activation(8.0)),
    Layer("ELU", activation(alpha=(0.2, 2.0))),
    Layer("SELU", activation()),
    Layer("CELU", celu),
    Layer("GELU", gelu),
    Layer("SiLU", activation()),
    Layer("Mish", activation()),
    Layer("Softplus", activation(beta=(0.5, 2.0), threshold=(1.0, 20.0))),
    Layer("Softsign", activation()),
    Layer("Sigmoid", activation()),
    Layer("LogSigmoid", activation()),
    Layer("Hardsigmoid", in_float32),
    Layer("Hardswish", activation(4.0)),
    Layer("Tanh", activation()),
    Layer("Hardtanh", activation(min_val=(-2.0, 0.0), max_val=(0.1, 2.0))),
    Layer("Softmax", along_an_axis, translate=with_dim),
    Layer("LogSoftmax", along_an_axis, translate=with_dim),
    Layer("GLU", halved, translate=with_dim),
]

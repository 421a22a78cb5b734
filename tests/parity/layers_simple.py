"""Affine maps and activations."""

from __future__ import annotations

from collections.abc import Callable

from drawing import Draw
from layers import Call, Layer


def linear(d: Draw) -> Call:
    """Sizes, and an input of any number of dimensions."""
    sizes = {"in_features": d.integer(1, 5), "out_features": d.integer(1, 5)}
    x = d.floats((*d.shape((0, 3)), sizes["in_features"]))
    return Call({**sizes, "bias": d.chance(0.7)}, (x,), d.dtype)


def activation(**options: tuple[float, float]) -> Callable[[Draw], Call]:
    """Numbers from the ranges, and an input of any shape."""

    def draw(d: Draw) -> Call:
        arguments = {key: d.number(*limits) for key, limits in options.items()}
        return Call(arguments, (d.floats(d.shape(), ties=0.3),), d.dtype)

    return draw


LAYERS = [
    Layer("Linear", linear, large={"in_features": 60, "out_features": 50}),
    Layer("ReLU", activation()),
    Layer("LeakyReLU", activation(negative_slope=(0.0, 1.0))),
    Layer("Sigmoid", activation()),
    Layer("Tanh", activation()),
]

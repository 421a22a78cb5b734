"""Affine maps."""

from __future__ import annotations

from drawing import Draw
from layers import Call, Layer


def linear(d: Draw) -> Call:
    """Sizes, and an input of any number of dimensions."""
    sizes = {"in_features": d.integer(1, 5), "out_features": d.integer(1, 5)}
    x = d.floats((*d.shape((0, 3)), sizes["in_features"]))
    return Call({**sizes, "bias": d.chance(0.7)}, (x,), d.dtype)


LAYERS = [
    Layer("Linear", linear, large={"in_features": 60, "out_features": 50}),
]

"""Activations: between the kinks twice differentiated, on the kinks and far out once.

What PyTorch computes with constants of float32 also in float64 is left out: `celu`'s gradient where
1/alpha is no float32, and `hardsigmoid`'s, which has no second one either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm.nn.functional as F


def activated(limit: float = 2.0, **options: tuple[float, float]) -> Callable[[Draw], Config]:
    """Draws an array of any shape in ±limit, and numbers from the ranges."""

    def draw(d: Draw) -> Config:
        numbers = {key: d.number(*limits) for key, limits in options.items()}
        return config(d.floats(d.shape(), -limit, limit), **numbers)

    return draw


def binary_alpha(d: Draw) -> Config:
    """Draws an array, and an alpha whose reciprocal is a float32."""
    return config(d.floats(d.shape()), alpha=d.one_of([0.25, 0.5, 1.0, 2.0]))


def off_the_minimum(d: Draw) -> Config:
    """Draws an array without the numbers near −1.5, where the slope of `hardswish` cancels."""
    x = d.floats(d.shape(), -4, 4)
    return config(np.where(abs(x + 1.5) < 0.1, x.dtype.type(1), x))


def weighted(d: Draw) -> Config:
    """Draws an array and the weight of every channel, or one for all."""
    if d.chance(0.5):
        return config(d.floats(d.shape()), d.floats((1,)))
    x = d.floats(d.shape((2, 4)))
    return config(x, d.floats((x.shape[1],)))


def halved(d: Draw) -> Config:
    """Draws an array, one axis of which has an even length."""
    shape = list(d.shape((1, 4)))
    axis = d.axis(len(shape))
    shape[axis] *= 2
    return config(d.floats(tuple(shape)), axis=axis)


def torch_hardsigmoid(x: Any) -> Any:
    return torch_functional.relu6(x + 3) / 6


def same_name(name: str, draw: Any) -> Pair:
    """A function that has one name in both libraries."""
    return Pair(name, getattr(F, name), getattr(torch_functional, name), draw)


def on_points(name: str, *points: float) -> Pair:
    """The same, once differentiated, on kinks and where nothing may overflow."""

    def draw(d: Draw) -> Config:
        return config(np.asarray(d.rng.choice([-1000.0, *points, 1000.0], d.shape()), d.dtype))

    label, theirs = f"{name} (on points)", getattr(torch_functional, name)
    return Pair(label, getattr(F, name), theirs, draw, order=1)


PAIRS = [
    same_name("prelu", weighted),
    same_name("elu", activated(alpha=(0.2, 2.0))),
    same_name("selu", activated()),
    same_name("celu", binary_alpha),
    same_name("softsign", activated()),
    same_name("hardtanh", activated(min_val=(-2.0, 0.0), max_val=(0.0, 2.0))),
    same_name("hardswish", off_the_minimum),
    Pair("hardsigmoid", F.hardsigmoid, torch_hardsigmoid, activated(4.0)),
    same_name("relu6", activated(8.0)),
    same_name("logsigmoid", activated()),
    Pair("glu", F.glu, lambda x, axis: torch_functional.glu(x, dim=axis), halved),
    on_points("elu", 0.0),
    on_points("selu", 0.0),
    on_points("celu", 0.0),
    on_points("hardtanh", -1.0, 0.0, 1.0),
    on_points("hardswish", -3.0, 0.0, 3.0),
    on_points("relu6", 0.0, 3.0, 6.0),
    on_points("logsigmoid", -50.0, 0.0, 50.0),
]

"""Normalisation and dropout: the latter where nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from drawing import Draw
from layers import Call, Layer


def channels(
    spatial: tuple[int, int], size: int = 2, tracks: float = 0.7, instances: bool = False
) -> Callable[[Draw], Call]:
    """C channels of (N, C, …), and so many spatial axes, each of a size or a little more.

    For instance norm perhaps without N, and always with a momentum.
    """

    def draw(d: Draw) -> Call:
        count = d.integer(1, 4)
        rest = d.shape(spatial, (size, size + 2), 0.0)
        batch = d.integer(3, 5) if np.prod(rest) < 4 else d.integer(1, 4)
        lead = (count,) if instances and d.chance(0.3) else (batch, count)
        arguments = {
            "num_features": count,
            "eps": d.one_of([1e-5, 1e-3, 0.1]),
            "momentum": d.one_of([0.0, 0.2, 1.0] if instances else [0.0, 0.1, 0.5, 1.0, None]),
            "affine": d.chance(0.7),
            "track_running_stats": d.chance(tracks),
        }
        return Call(arguments, (d.floats((*lead, *rest)),), d.dtype)

    return draw


def groups(d: Draw) -> Call:
    """Groups of channels, four numbers or more in each."""
    count, width = d.integer(1, 3), d.integer(1, 3)
    arguments = {
        "num_groups": count,
        "num_channels": count * width,
        "eps": d.one_of([1e-5, 1e-3, 0.1]),
        "affine": d.chance(0.7),
    }
    x = d.floats((d.batch(), count * width, 4, *d.shape((0, 2), (1, 3), 0.0)))
    return Call(arguments, (x,), d.dtype)


def trailing(biased: bool) -> Callable[[Draw], Call]:
    """The last axes, four numbers or more, as a tuple or an int."""

    def draw(d: Draw) -> Call:
        shape = (*d.shape((0, 1), (1, 3), 0.0), d.integer(4, 6))
        whole: Any = shape[0] if len(shape) == 1 and d.chance(0.5) else shape
        arguments = {
            "normalized_shape": whole,
            "eps": d.one_of([1e-5, 1e-3, 0.1] if biased else [None, 1e-3, 0.1]),
            "elementwise_affine": d.chance(0.7),
        }
        if biased:
            arguments["bias"] = d.chance(0.7)
        return Call(arguments, (d.floats((*d.shape((0, 2), (1, 3)), *shape)),), d.dtype)

    return draw


def neighbours(d: Draw) -> Call:
    """Neighbourhoods of channels."""
    arguments = {
        "size": d.integer(1, 5),
        "alpha": d.number(0.1, 1.0),
        "beta": d.number(0.3, 1.0),
        "k": d.number(1.0, 2.0),
    }
    x = d.floats((d.batch(), d.integer(1, 6), *d.shape((1, 3), (1, 3), 0.0)))
    return Call(arguments, (x,), d.dtype)


def dropped(ndim: tuple[int, int], p: tuple[float, ...]) -> Callable[[Draw], Call]:
    """An input of so many axes, and one of the probabilities."""

    def draw(d: Draw) -> Call:
        return Call({"p": d.one_of(p)}, (d.floats(d.shape(ndim, (1, 3), 0.0)),), d.dtype)

    return draw


AFFINE = {"num_features": 40, "affine": True}

LAYERS = [
    Layer("BatchNorm1d", channels((0, 1)), large=AFFINE),
    Layer("BatchNorm2d", channels((2, 2)), large=AFFINE),
    Layer("BatchNorm3d", channels((3, 3)), large=AFFINE),
    Layer("InstanceNorm1d", channels((1, 1), 4, 0.5, True), large=AFFINE),
    Layer("InstanceNorm2d", channels((2, 2), 2, 0.5, True), large=AFFINE),
    Layer("InstanceNorm3d", channels((3, 3), 2, 0.5, True), large=AFFINE),
    Layer("GroupNorm", groups, large={"num_groups": 4, "num_channels": 40}),
    Layer("LayerNorm", trailing(True), large={"normalized_shape": (8, 5)}),
    Layer("RMSNorm", trailing(False), large={"normalized_shape": (8, 5)}),
    Layer("LocalResponseNorm", neighbours),
    *(
        layer
        for name, ndim in (
            ("Dropout", (0, 4)),
            ("Dropout1d", (2, 3)),
            ("Dropout2d", (4, 4)),
            ("Dropout3d", (4, 5)),
        )
        for layer in (
            Layer(name, dropped(ndim, (0.0, 1.0))),
            Layer(f"{name} (in evaluation)", dropped(ndim, (0.2, 0.5)), modes=(False,)),
        )
    ),
]

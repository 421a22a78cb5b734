"""Normalisation that is composed of operations, and dropout where nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F


def instances(d: Draw) -> Config:
    """Draws (N, C, …) of four numbers or more per channel, weights, and what is known."""
    channels = d.integer(1, 3)
    x = d.floats((d.integer(1, 3), channels, d.integer(4, 6), *d.shape((0, 2), (1, 3), 0.0)))
    affine = d.chance(0.7)  # PyTorch has no gradient for one of the two alone
    weights = [d.floats((channels,)) if affine else None for _ in range(2)]
    own, momentum = d.chance(0.7), d.one_of([0.0, 0.1, 0.5, 1.0])
    return config(
        x, *weights, use_input_stats=own, momentum=momentum, eps=d.one_of([1e-5, 1e-3, 0.1])
    )


def our_instance_norm(x: Any, weight: Any, bias: Any, **params: Any) -> Any:
    """The result and the moved averages."""
    mean, variance = tg.zeros(x.shape[1], dtype=x.dtype), tg.ones(x.shape[1], dtype=x.dtype)
    return F.instance_norm(x, mean, variance, weight, bias, **params), mean, variance


def torch_instance_norm(x: Any, weight: Any, bias: Any, **params: Any) -> Any:
    """The result and the moved averages."""
    mean, variance = torch.zeros(x.shape[1], dtype=x.dtype), torch.ones(x.shape[1], dtype=x.dtype)
    out = torch_functional.instance_norm(x, mean, variance, weight, bias, **params)
    return out, mean, variance


def neighbours(d: Draw) -> Config:
    """Draws (N, C, …) and a neighbourhood of channels."""
    x = d.floats((d.batch(), d.integer(1, 6), *d.shape((1, 3), (1, 3), 0.0)))
    numbers = {"alpha": d.number(0.1, 1.0), "beta": d.number(0.3, 1.0), "k": d.number(1.0, 2.0)}
    return config(x, size=d.integer(1, 5), **numbers)


def vectors(d: Draw) -> Config:
    """Draws vectors of two numbers or more (one has no curvature), none of them near 0."""
    shape = d.shape((1, 4), (2, 4), 0.0)
    x = d.floats(shape, 0.3, 2.0) * np.asarray(d.rng.choice([-1, 1], shape), d.dtype)
    how = {"axis": d.axis(len(shape)), "eps": d.one_of([1e-12, 0.5, 10.0])}
    return config(x, p=d.one_of([1.0, 2.0, 2.0, 3.0]), **how)


def torch_normalize(x: Any, p: float, axis: int, eps: float) -> Any:
    """Vectors of length 1."""
    return torch_functional.normalize(x, p, axis, eps)


def settled(ndim: tuple[int, int]) -> Callable[[Draw], Config]:
    """Draws an input, and p = 0, p = 1, or any p in evaluation."""

    def draw(d: Draw) -> Config:
        training = d.chance(0.6)
        p = d.one_of([0.0, 1.0]) if training else d.number(0.0, 1.0)
        return config(d.floats(d.shape(ndim, (1, 3), 0.0)), p=p, training=training)

    return draw


def settled_weights(d: Draw) -> Config:
    """Draws a linear map, and p = 0, p = 1, or any p in evaluation."""
    inputs, outputs, training = d.integer(1, 4), d.integer(1, 4), d.chance(0.6)
    p = d.one_of([0.0, 1.0]) if training else d.number(0.0, 1.0)
    bias = d.floats((outputs,)) if d.chance(0.7) else None
    x = d.floats((*d.shape((0, 3)), inputs))
    return config(x, d.floats((outputs, inputs)), bias, p=p, training=training)


def torch_drop_connect(x: Any, weight: Any, bias: Any, p: float, training: bool) -> Any:
    """A linear map of dropped weights."""
    drop = torch_functional.dropout
    bias = bias if bias is None else drop(bias, p, training)
    return torch_functional.linear(x, drop(weight, p, training), bias)


def torch_stochastic_depth(x: Any, p: float, training: bool) -> Any:
    """A product with one number per example."""
    of_examples = x.new_ones((x.shape[0], *(1 for _ in x.shape[1:])))
    return x * torch_functional.dropout(of_examples, p, training)


def dropping(name: str, ndim: tuple[int, int]) -> Pair:
    """A function of the dropout family."""
    return Pair(name, getattr(F, name), getattr(torch_functional, name), settled(ndim))


PAIRS = [
    Pair("instance_norm", our_instance_norm, torch_instance_norm, instances, count=80),
    Pair(
        "local_response_norm",
        F.local_response_norm,
        torch_functional.local_response_norm,
        neighbours,
    ),
    Pair("normalize", F.normalize, torch_normalize, vectors),
    dropping("dropout", (0, 4)),
    dropping("dropout1d", (2, 3)),
    dropping("dropout2d", (4, 4)),
    dropping("dropout3d", (4, 5)),
    Pair("stochastic_depth", F.stochastic_depth, torch_stochastic_depth, settled((1, 4))),
    Pair("drop_connect", F.drop_connect, torch_drop_connect, settled_weights),
]

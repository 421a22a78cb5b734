"""What the tests of the convolutional classifiers share."""

from __future__ import annotations

import math

import tinygrad_gm as tg
from tinygrad_gm import nn


def shapes(model: nn.Module, x: tg.Tensor, *paths: str) -> list[tuple[int, ...]]:
    """The shapes of the outputs of some layers, without the batch."""
    found = {}
    layers = dict(model.named_modules())
    for path in paths:
        layers[path].register_forward_hook(
            lambda _, __, out, path=path: found.update({path: out.shape[1:]})
        )
    with tg.no_grad():
        model.eval()(x)
    return [found[path] for path in paths]


def multiplications(model: nn.Module, x: tg.Tensor) -> int:
    """The multiplications of convolutions and linear layers for an image, without biases."""
    found = []

    def count(layer: nn.Module, _: object, out: tg.Tensor) -> None:
        found.append(math.prod(layer.weight.shape[1:]) * out.size)

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with tg.no_grad():
        model(x)
    return sum(found)

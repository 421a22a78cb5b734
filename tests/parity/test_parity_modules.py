"""Modules against PyTorch's: same parameter names and shapes, outputs and parameter gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from comparer import as_torch, compared
from drawing import Draw

import tinygrad_gm as tg
from tinygrad_gm import nn

CASES = 50


@dataclass(frozen=True)
class Layer:
    """A layer that bears one name in both libraries: its arguments, and inputs that fit them."""

    name: str
    draw: Callable[[Draw], tuple[dict[str, Any], Any]]


def linear(d: Draw) -> tuple[dict[str, Any], Any]:
    """Sizes, and an input of any number of dimensions."""
    sizes = {"in_features": d.integer(1, 5), "out_features": d.integer(1, 5)}
    return {**sizes, "bias": d.chance(0.7)}, d.floats((*d.shape((0, 3)), sizes["in_features"]))


def activation(**options: tuple[float, float]) -> Callable[[Draw], tuple[dict[str, Any], Any]]:
    """Numbers from the ranges, and an input of any shape."""

    def draw(d: Draw) -> tuple[dict[str, Any], Any]:
        arguments = {key: d.number(*limits) for key, limits in options.items()}
        return arguments, d.floats(d.shape(), ties=0.3)

    return draw


LAYERS = [
    Layer("Linear", linear),
    Layer("ReLU", activation()),
    Layer("LeakyReLU", activation(negative_slope=(0.0, 1.0))),
    Layer("Sigmoid", activation()),
    Layer("Tanh", activation()),
]


def differing(ours: Any, theirs: Any, x: Any, rng: np.random.Generator) -> str:
    """How two modules with the same weights differ, or nothing."""
    state = {key: as_torch(value.numpy()).detach() for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    mine, torchs = tg.asarray(x).requires_grad_(), as_torch(x)
    y, y_torch = ours(mine), theirs(torchs)
    if complaint := compared("value", [y], [y_torch]):
        return complaint
    v = np.asarray(rng.uniform(0.5, 1.5, y.shape), y.dtype)
    y.backward(tg.tensor(v))
    y_torch.backward(torch.tensor(v))
    gradients = [mine.grad, *(p.grad for _, p in ours.named_parameters())]
    expected = [torchs.grad, *(p.grad for _, p in theirs.named_parameters())]
    if complaint := compared("gradient", gradients, expected):
        return complaint
    buffers, others = (list(m.state_dict().values()) for m in (ours, theirs))
    return compared("state", buffers, others)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_equals_pytorchs_layer(layer: Layer, record_property: Callable[[str, int], None]) -> None:
    for number in range(CASES):
        d = Draw(3, number)
        arguments, x = layer.draw(d)
        tg.manual_seed(number)
        ours = getattr(nn, layer.name)(**arguments).to(x.dtype)
        theirs = getattr(torch.nn, layer.name)(**arguments).to(as_torch(x).dtype)
        complaint = differing(ours, theirs, x, np.random.default_rng([3, number, 1]))
        assert not complaint, f"{layer.name}({arguments}), seed (3, {number}): {complaint}"
    record_property("cases", CASES)


def test_a_network_trains_as_pytorchs_does(record_property: Callable[[str, int], None]) -> None:
    """A perceptron with a cross-entropy loss, 20 steps of Adam: the same losses."""
    sizes = [(8, 16), (16, 16), (16, 3)]
    tg.manual_seed(0)
    layers = [layer for m, n in sizes for layer in (nn.Linear(m, n, dtype=tg.float64), nn.Tanh())]
    others = [o for m, n in sizes for o in (torch.nn.Linear(m, n), torch.nn.Tanh())]
    ours, theirs = nn.Sequential(*layers[:-1]), torch.nn.Sequential(*others[:-1]).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(32, 8)), rng.integers(0, 3, 32)
    steps = tg.optim.Adam(ours.parameters(), lr=0.01)
    torch_steps = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(20):
        loss = tg.cross_entropy(ours(tg.tensor(x)), tg.tensor(target))
        other = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(target))
        assert not compared("value", [loss], [other])
        steps.zero_grad()
        torch_steps.zero_grad()
        loss.backward()
        other.backward()
        steps.step()
        torch_steps.step()
    record_property("cases", 1)

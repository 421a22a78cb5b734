"""One comparer for every layer: ours against PyTorch's with the same weights, in both modes.

For random arguments and inputs: equal state-dict keys and shapes, equal outputs, equal gradients of
inputs and parameters, and equal buffers afterwards. For one large choice of the arguments: weights
drawn from one distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from differing import (
    Upstream,
    as_ours,
    as_torch,
    compared,
    difference,
    mapped,
    takes_infinities,
)
from drawing import Draw

import tinygrad_gm as tg
from tinygrad_gm import nn

SEED, CASES, INFINITE, COPIES = 3, 25, 10, 8  # INFINITE more have infinite upstream gradients


@dataclass(frozen=True)
class Call:
    """A layer's arguments, and what it is called with: arrays (the floating ones are
    differentiated), nested tuples of arrays, or plain values. Its `dtype` is that of the layer.
    """

    arguments: dict[str, Any]
    inputs: tuple[Any, ...]
    dtype: Any
    keywords: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A layer that bears one name in both libraries, with a variant in brackets behind it.

    Attributes:
        draw: a random call.
        large: arguments that give many weights, to compare the initial distributions; None for a
            layer without parameters.
        translate: our arguments as PyTorch spells them.
        modes: the values of `training` that are compared: both, but for layers that draw numbers.
    """

    name: str
    draw: Callable[[Draw], Call]
    large: dict[str, Any] | None = None
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict
    modes: tuple[bool, ...] = (True, False)

    def ours(self, arguments: dict[str, Any]) -> Any:
        """Our module."""
        return getattr(nn, self.name.partition(" (")[0])(**arguments)

    def theirs(self, arguments: dict[str, Any]) -> Any:
        """PyTorch's."""
        return getattr(torch.nn, self.name.partition(" (")[0])(**self.translate(arguments))

    def __str__(self) -> str:
        return self.name


def compare(layer: Layer) -> int:
    """Compare on random calls; AssertionError where there is a difference."""
    count = CASES + INFINITE * takes_infinities(layer.name)
    for number in range(count):
        call = layer.draw(Draw(SEED, number))
        for training in layer.modes:
            tg.manual_seed(number)
            ours = layer.ours(call.arguments).to(call.dtype).train(training)
            theirs = layer.theirs(call.arguments).to(as_torch(np.zeros(0, call.dtype)).dtype)
            infinite = layer.name if number >= CASES else ""
            upstream = Upstream(SEED, number, 1, infinite=infinite)
            complaint = difference_of(ours, theirs.train(training), call, upstream)
            place = f"{layer}({call.arguments}), seed ({SEED}, {number}), training={training}"
            assert not complaint, f"{place}: {complaint}"
    return count * len(layer.modes)


def difference_of(ours: Any, theirs: Any, call: Call, upstream: Upstream, order: int = 1) -> str:
    """How two modules with the same weights differ, or nothing."""
    names, others = ([name for name, _ in m.named_parameters()] for m in (ours, theirs))
    if names != others:
        return f"parameters {names}, PyTorch has {others}"
    state = {key: as_torch(value.numpy()).detach() for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    given = (call.inputs, call.keywords)
    (args, keywords), (torch_args, torch_keywords) = (mapped(given, m) for m in (as_ours, as_torch))
    y, y_torch = ours(*args, **keywords), theirs(*torch_args, **torch_keywords)
    x = [args, keywords, [*ours.parameters()]]
    x_torch = [torch_args, torch_keywords, [*theirs.parameters()]]
    return difference(y, y_torch, x, x_torch, upstream, order) or compared(
        "state", [*ours.state_dict().values()], [*theirs.state_dict().values()]
    )


def drawn_alike(layer: Layer) -> str:
    """How the initial weights of two layers differ in distribution, or nothing.

    Mean and variance of many weights, drawn by either library, may differ by four standard errors.
    """
    assert layer.large is not None
    tg.manual_seed(SEED)
    torch.manual_seed(SEED)
    mine = _weights(lambda: layer.ours(layer.large or {}))
    torchs = _weights(lambda: layer.theirs(layer.large or {}))
    for name, theirs in torchs.items():
        for what, power in (("mean", 1), ("variance", 2)):
            samples = [w if power == 1 else (w - w.mean()) ** 2 for w in (mine[name], theirs)]
            (a, b), error = (s.mean() for s in samples), sum(s.var() / s.size for s in samples)
            if abs(a - b) > 4 * np.sqrt(error) + 1e-12:
                return f"{name}: {what} {a}, PyTorch has {b} ± {np.sqrt(error)}"
    return ""


def _weights(make: Callable[[], Any]) -> dict[str, Any]:
    """The parameters of several new layers by name, each as one long vector in float64."""
    states = [
        {name: np.asarray(p.detach()) for name, p in make().named_parameters()}
        for _ in range(COPIES)
    ]
    return {
        name: np.concatenate([state[name].ravel() for state in states]).astype(np.float64)
        for name in states[0]
    }

"""One comparer for every function: ours against PyTorch's on the same random configurations.

Half as many configurations more have infinities and NaN in the upstream gradient.

Where numbers cancel, two results in float32 can differ by more than the tolerance although both are
right. Then PyTorch in float64 decides: ours must be as near to it as PyTorch in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch
from differing import (
    Upstream,
    as_array,
    as_ours,
    as_torch,
    difference,
    leaves,
    mapped,
    takes_infinities,
)
from drawing import Draw

import tinygrad_gm as tg


@dataclass(frozen=True)
class Config:
    """One call: arrays, of which the floating ones are differentiated, and static arguments."""

    arrays: tuple[Any, ...]
    params: dict[str, Any]

    def __str__(self) -> str:
        arrays = [
            f"{a.dtype}{a.shape} strides {a.strides}" if isinstance(a, np.ndarray) else repr(a)
            for a in self.arrays
        ]
        return ", ".join(arrays + [f"{key}={value!r}" for key, value in self.params.items()])


@dataclass(frozen=True)
class Pair:
    """A function of ours, PyTorch's counterpart, and how to draw a call of both.

    `name` is the function's public name, with a variant in brackets behind it. `order` is how often
    it is differentiated: 2, or less where PyTorch has no second derivative or there is no first.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[Draw], Config]
    order: int = 2
    count: int = 60

    def __str__(self) -> str:
        return self.name


def config(*arrays: Any, **params: Any) -> Config:
    """A call with these arrays, in their order, and static arguments by name."""
    return Config(arrays, params)


def compare(pair: Pair) -> int:
    """Compare on all configurations; AssertionError, naming them, where there are differences."""
    complaints = []
    name_seed = crc32(pair.name.encode())
    infinite = pair.count // 2 if pair.order and takes_infinities(pair.name) else 0
    for number in range(pair.count + infinite):
        drawn = pair.draw(Draw(name_seed, number))
        special = pair.name if number >= pair.count else ""
        upstream = Upstream(name_seed, number, 1, infinite=special)
        try:
            mine, torchs = (mapped(drawn.arrays, make) for make in (as_ours, as_torch))
            y, y_torch = pair.ours(*mine, **drawn.params), pair.theirs(*torchs, **drawn.params)
            complaint = difference(y, y_torch, mine, torchs, upstream, pair.order)
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}"
        if complaint and not (special or is_nearer(pair, drawn, number)):
            complaints.append(f"{pair.name}, seed ({name_seed}, {number}): {drawn}\n  {complaint}")
    if complaints:
        shown = "\n".join(complaints[:3])
        raise AssertionError(f"{len(complaints)} of {pair.count} configurations differ\n{shown}")
    return pair.count + infinite


def is_nearer(pair: Pair, drawn: Config, number: int) -> bool:
    """Whether each of our results in float32 is as near to PyTorch's in float64 as PyTorch's in
    float32."""
    if not any(np.asarray(a).dtype == np.float32 for a in leaves(drawn.arrays)):
        return False
    try:
        mine = results(pair, drawn, number, ours=True)
        torchs = results(pair, drawn, number)
        exact = results(pair, drawn, number, dtype=np.float64)
    except Exception:
        return False
    return len(mine) == len(torchs) and all(
        a.dtype == b.dtype and a.shape == b.shape and np.abs(a - c).max() <= np.abs(b - c).max()
        for a, b, c in zip(mine, torchs, exact, strict=True)
    )


def results(
    pair: Pair, drawn: Config, number: int, ours: bool = False, dtype: Any = np.float32
) -> list[Any]:
    """Values, gradients and second gradients, each as one vector, of one of the libraries."""
    grad = tg.grad if ours else torch.autograd.grad
    function, make = (pair.ours, as_ours) if ours else (pair.theirs, as_torch)
    upstream = Upstream(crc32(pair.name.encode()), number, 1)

    def cast(a: Any) -> Any:
        is_single = isinstance(a, np.ndarray) and a.dtype == np.float32
        return a.astype(dtype) if is_single else a

    def weights(tensors: list[Any]) -> list[Any]:  # the same numbers in float32 and float64
        drawn = [upstream.like(torch.tensor(as_array(t))).astype(np.float32) for t in tensors]
        return [make(a.astype(dtype)) for a in drawn]

    x = mapped(mapped(drawn.arrays, cast), make)
    y = [*leaves(function(*x, **mapped(drawn.params, cast)))]
    inputs = [t for t in leaves(x) if getattr(t, "requires_grad", False)]
    ups = weights(y)
    steps = [y]
    if pair.order:
        steps.append(grad(y, inputs, ups, create_graph=pair.order > 1))
    if pair.order > 1:
        steps.append(grad(steps[1], inputs + ups, weights(inputs)))
    return [np.concatenate([as_array(t).ravel() for t in step]) for step in steps]

"""One comparer for every function: ours against PyTorch's on the same random configurations.

Half as many configurations more have infinities and NaN in the upstream gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from differing import Upstream, as_ours, as_torch, difference, mapped, takes_infinities
from drawing import Draw


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
        if complaint:
            complaints.append(f"{pair.name}, seed ({name_seed}, {number}): {drawn}\n  {complaint}")
    if complaints:
        shown = "\n".join(complaints[:3])
        raise AssertionError(f"{len(complaints)} of {pair.count} configurations differ\n{shown}")
    return pair.count + infinite

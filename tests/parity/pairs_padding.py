"""`F.pad`: margins and crops, in PyTorch's order of the widths."""

from __future__ import annotations

import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm.nn.functional as F


def constant(d: Draw) -> Config:
    """Draws an array of any shape and widths, some of them negative, for some of its axes."""
    x = d.floats(d.shape((1, 4)))
    pad: list[int] = []
    for size in x.shape[::-1][: d.integer(1, x.ndim)]:
        before = d.integer(-(size // 2), 2)
        pad += [before, d.integer(-((size - 1) // 2) if size else 0, 2)]
    value = d.one_of([None, 0.0, 1.5, -2])
    return config(x, pad=d.one_of([tuple(pad), pad]), value=value)


def copies(d: Draw) -> Config:
    """Draws a margin of copies around what PyTorch admits: all axes but the first one or two."""
    ndim = d.integer(1, 3)
    x = d.floats(tuple(d.integer(2, 4) for _ in range(ndim + d.integer(1, 2))))
    mode = d.one_of(["reflect", "replicate", "circular"])
    more = {"reflect": -1, "replicate": 2, "circular": 0}[mode]
    pad: list[int] = []
    for size in x.shape[::-1][:ndim]:
        pad += [d.integer(0, size + more), d.integer(0, size + more)]
    return config(x, pad=pad, mode=mode)


def copies_and_crops(d: Draw) -> Config:
    """Draws a row of which one end is cut off and the other gets copies of what is left."""
    x = d.floats((d.integer(1, 2), d.integer(1, 3), d.integer(3, 6)))
    mode = d.one_of(["reflect", "replicate", "circular"])
    pad = [-1, d.integer(1, x.shape[-1] - 2)]
    return config(x, pad=pad[:: d.one_of([1, -1])], mode=mode)


PAIRS = [
    Pair("pad (F, constant)", F.pad, torch_functional.pad, constant, count=80),
    Pair("pad (F, copies)", F.pad, torch_functional.pad, copies, count=100),
    Pair("pad (F, copies and crops)", F.pad, torch_functional.pad, copies_and_crops),
]

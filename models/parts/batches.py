"""Functions of many rows, computed in batches: so a forward pass needs little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Tensor


def batches(*tensors: Tensor, size: int = 1000) -> Iterator[tuple[Tensor, ...]]:
    """The rows of tensors of one length, `size` at a time.

    >>> [len(x) for (x,) in batches(tg.zeros((2500, 1)))]
    [1000, 1000, 500]
    """
    cuts = range(size, len(tensors[0]), size)
    return zip(*(tg.split(t, cuts) for t in tensors), strict=True)


def concatenated(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """The result of a function of rows, computed a thousand rows at a time."""
    return tg.concat([function(*batch) for batch in batches(*tensors)])


def mean(loss: Callable[..., Any], *tensors: Tensor) -> float:
    """The mean of a loss over all rows, computed a thousand rows at a time."""
    totals = (float(loss(*batch)) * len(batch[0]) for batch in batches(*tensors))
    return sum(totals) / len(tensors[0])

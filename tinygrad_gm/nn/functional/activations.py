"""Activations: elementwise functions, most of them operations of `tinygrad_gm.ops` themselves."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...tensor import Tensor


def leaky_relu(input: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al. 2013); at 0 the derivative is the slope.

    >>> F.leaky_relu(tg.tensor([-1.0, 2.0]), 0.25).tolist()
    [-0.25, 2.0]
    """
    return ops.leaky_relu(input, negative_slope)

"""Checks that operations share; each error is one sentence that begins with the operation."""

from __future__ import annotations

import numpy as np

from ..backend import Array, Shape


def check_shape(name: str, shape: Shape, **arrays: Array) -> None:
    """Raise ValueError unless every array, passed by its argument's name, has a shape or is None.

    >>> from tinygrad_gm.ops.checks import check_shape
    >>> check_shape("layer_norm", (4,), weight=np.ones(4), bias=np.ones(3))
    Traceback (most recent call last):
    ValueError: layer_norm: expected bias of shape (4,); got (3,)
    """
    for argument, array in arrays.items():
        if array is not None and getattr(array, "shape", ()) != shape:
            raise ValueError(f"{name}: expected {argument} of shape {shape}; got {np.shape(array)}")

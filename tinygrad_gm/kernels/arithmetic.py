"""Sums and products of large arrays that broadcast, on several threads."""

from __future__ import annotations

from ..backend import Array
from . import native


def add(x: Array, y: Array) -> Array:
    """x + y."""
    out = native.add(x, y) if native.fits(x, y) else None
    return x + y if out is None else out


def multiply(x: Array, y: Array) -> Array:
    """x · y."""
    out = native.multiply(x, y) if native.fits(x, y) else None
    return x * y if out is None else out

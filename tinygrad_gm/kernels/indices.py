"""Indices of arrays."""

from __future__ import annotations

from typing import Any

from ..backend import Namespace, Shape


def along(axis: int, entry: Any) -> tuple[Any, ...]:
    """The index that reads `entry` along `axis`, and everything along the axes before it."""
    return (*(slice(None),) * axis, entry)


def grid(xp: Namespace, shape: Shape) -> list[Any]:
    """Per axis its indices 0 … n−1, shaped to broadcast with those of the other axes."""
    last = len(shape) - 1
    return [xp.arange(n).reshape(n, *(1,) * (last - axis)) for axis, n in enumerate(shape)]

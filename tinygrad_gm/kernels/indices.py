"""Indices of arrays."""

from __future__ import annotations

from typing import Any


def along(axis: int, entry: Any) -> tuple[Any, ...]:
    """The index that reads `entry` along `axis`, and everything along the axes before it."""
    return (*(slice(None),) * axis, entry)

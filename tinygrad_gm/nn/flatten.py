"""Flatten axes into one, and unflatten one into several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops.shape import flatten, normalize_axis, reshape
from ..tensor import asarray
from .function_layer import FunctionLayer
from .module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(FunctionLayer):
    """Flatten the axes `start_axis` to `end_axis` (inclusive) into one; by default all but the
    batch.

    Args:
        start_axis: the first axis.
        end_axis: the last axis; both may be negative.

    >>> nn.Flatten()(tg.zeros((2, 3, 4, 5))).shape
    (2, 60)
    """

    _function = staticmethod(flatten)
    _options = ("start_axis", "end_axis")

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        super().__init__()
        self.start_axis, self.end_axis = start_axis, end_axis


class Unflatten(Module):
    """Split one axis into several.

    Args:
        axis: the axis to split; may be negative.
        unflattened_size: the sizes of the new axes; one may be −1 and is then inferred from the
            others.

    Raises:
        ValueError: the size of the axis is not the product of the new sizes.

    >>> nn.Unflatten(1, (3, 4, -1))(tg.zeros((2, 60))).shape
    (2, 3, 4, 5)
    """

    def __init__(self, axis: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        sizes = tuple(unflattened_size) if isinstance(unflattened_size, (tuple, list)) else ()
        integers = bool(sizes) and all(hasattr(size, "__index__") for size in sizes)
        if not integers or min(sizes) < -1 or sizes.count(-1) > 1:
            raise ValueError(
                "Unflatten: unflattened_size must be a tuple of integers ≥ 0, one of which may be "
                f"−1; got {unflattened_size!r}"
            )
        self.axis, self.unflattened_size = axis, sizes

    def forward(self, x: Any) -> Any:
        """(…, S, …) → (…, *unflattened_size, …)."""
        x, sizes = asarray(x), self.unflattened_size
        axis = normalize_axis("Unflatten", self.axis, x.ndim)
        size, known = x.shape[axis], math.prod(n for n in sizes if n != -1)
        if (known == 0 or size % known) if -1 in sizes else size != known:
            raise ValueError(
                f"Unflatten: axis {self.axis} of an input {x.shape} has {size} elements, which do "
                f"not make {sizes}"
            )
        return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"axis={self.axis}, unflattened_size={self.unflattened_size}"

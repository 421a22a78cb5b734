"""Random configurations: shapes, memory layouts, axes and numbers, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Shape = tuple[int, ...]


class Draw:
    """The random choices of one configuration, and its floating `dtype`."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = self.one_of([np.float64, np.float64, np.float32])

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def number(self, low: float, high: float) -> float:
        """A number with two decimals in [low, high]."""
        return round(float(self.rng.uniform(low, high)), 2)

    def chance(self, probability: float) -> bool:
        """True so often."""
        return bool(self.rng.random() < probability)

    def one_of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(
        self, ndim: tuple[int, int] = (0, 4), size: tuple[int, int] = (1, 4), empty: float = 0.08
    ) -> Shape:
        """A number of dimensions and their sizes, both in a range; now and then with a size 0."""
        sizes = [self.integer(*size) for _ in range(self.integer(*ndim))]
        if sizes and self.chance(empty):
            sizes[self.integer(0, len(sizes) - 1)] = 0
        return tuple(sizes)

    def batch(self, most: int = 3) -> int:
        """The size of a batch: often 1, now and then 0."""
        return self.one_of([0, 1, 1, *range(2, most + 1), *range(2, most + 1)])

    def floats(self, shape: Shape, low: float = -2.0, high: float = 2.0, ties: float = 0.0) -> Any:
        """Uniform numbers in [low, high), so often all rounded to halves, in a random layout."""
        values = self.rng.uniform(low, high, shape)
        if self.chance(ties):
            values = np.round(values * 2) / 2
        return self.laid_out(np.asarray(values, self.dtype))

    def integers(self, shape: Shape, low: int, high: int, dtype: Any = np.int64) -> Any:
        """Integers in [low, high], in a random layout."""
        return self.laid_out(np.asarray(self.rng.integers(low, high + 1, shape), dtype))

    def booleans(self, shape: Shape, probability: float = 0.5) -> Any:
        """Truth values, so often true, in a random layout."""
        return self.laid_out(np.asarray(self.rng.random(shape) < probability))

    def apart(self, shape: Shape) -> Any:
        """Different numbers, at least 0.1 from each other, in random order and a random layout."""
        size = int(np.prod(shape))
        values = (np.arange(size) - size / 2) * 0.2 + self.rng.uniform(0, 0.1, size)
        return self.laid_out(np.asarray(self.rng.permutation(values).reshape(shape), self.dtype))

    def laid_out(self, values: Any) -> Any:
        """The same values in one of the memory orders that arrays have."""
        layout = self.one_of(["C", "C", "transposed", "sliced", "reversed", "channels last"])
        if layout == "transposed":
            return np.asarray(values.T.copy()).T
        if layout == "sliced":
            spread = np.zeros([2 * n for n in values.shape], values.dtype)
            every_second = tuple(slice(None, None, 2) for _ in values.shape)
            spread[every_second] = values
            return np.asarray(spread[every_second])
        if layout == "reversed" and values.ndim:
            axes = tuple(self.axes_tuple(values.ndim, self.integer(1, values.ndim)))
            return np.flip(np.flip(values, axes).copy(), axes)
        if layout == "channels last" and values.ndim > 2:
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
        return values

    def axis(self, ndim: int) -> int:
        """An axis, half of the time counted from the end."""
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int, none: bool = True) -> Any:
        """None, an axis, or a tuple of different ones, of `ndim` ≥ 0 dimensions."""
        if ndim == 0 or (none and self.chance(0.2)):
            return None if none else ()
        if self.chance(0.5):
            return self.axis(ndim)
        return self.axes_tuple(ndim, self.integer(1, ndim))

    def axes_tuple(self, ndim: int, count: int) -> tuple[int, ...]:
        """`count` different axes in random order, each counted from the front or the end."""
        chosen = self.rng.permutation(ndim)[:count].tolist()
        return tuple(a - ndim if self.chance(0.5) else a for a in chosen)

    def broadcast(self, count: int, ndim: tuple[int, int] = (0, 4)) -> list[Shape]:
        """Shapes that broadcast with each other."""
        whole = self.shape(ndim)
        shapes = []
        for _ in range(count):
            kept = self.integer(0, len(whole)) if self.chance(0.4) else 0
            shapes.append(tuple(1 if self.chance(0.25) else n for n in whole[kept:]))
        return shapes

"""Norms over channels, whichever way the numbers lie in memory.

Seen channel by channel, batch and group norm do nothing but multiply and add:

    out = a·x + b            x̄ = α·g + β·x + γ

with one number a, b, α, β, γ per (example, channel), and these follow from sums over positions.
So x̂ = (x − μ)/σ is never formed: there are two passes for the sums and one for the result. They run
over a matrix per example, in blocks that stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..backend import Array, Namespace
from .blocks import BLOCK, in_cache
from .summation import BLOCK as BLOCK_OF_ROWS
from .summation import divided, summed, sums_of_rows

WIDE = 4096  # numbers: shorter rows cost NumPy more than their arithmetic


class Channels:
    """Arrays (N, C, …) in one memory order as `rows`: (N, height, k·C), or (N, C, positions).

    The first where the channels of a position lie next to each other, with k positions in a row;
    the second where the positions of a channel do. What belongs to a channel is given as (N, C), or
    as (1, C) if it is the same for all examples.

    Args:
        groups: how many sets of channels share a mean, in each example by itself; None: each
            channel has one mean for all examples.
    """

    def __init__(self, xp: Namespace, x: Array, groups: int | None) -> None:
        self.xp, self.shape, self.groups = xp, x.shape, groups
        self.examples, self.channels = x.shape[:2]
        self.positions = math.prod(x.shape[2:])
        self.last = not x.flags.c_contiguous and xp.moveaxis(x, 1, -1).flags.c_contiguous
        room = WIDE // (self.channels or 1)
        self.repeats = math.gcd(self.positions, 1 << room.bit_length()) if self.last else 1

    def rows(self, x: Array) -> Any:
        """A view of x, or of a copy if x has another memory order."""
        xp, n = self.xp, self.examples
        if not self.last:
            return xp.ascontiguousarray(x).reshape(n, self.channels, self.positions)
        height, width = self.positions // self.repeats, self.repeats * self.channels
        return xp.ascontiguousarray(xp.moveaxis(x, 1, -1)).reshape(n, height, width)

    def back(self, rows: Array) -> Any:
        """The array whose rows these are."""
        if not self.last:
            return rows.reshape(self.shape)
        n, c, *others = self.shape
        return self.xp.moveaxis(rows.reshape(n, *others, c), -1, 1)

    def spread(self, values: Array) -> Any:
        """A value per channel, in the shape that broadcasts against rows."""
        if not self.last:
            return values[:, :, None]
        return self.xp.tile(values, (1, self.repeats))[:, None, :]

    def totals(self, rows: Array) -> Any:
        """Σ x over positions, (N, C)."""
        return (
            self._folded(rows, self.positions) if self.last else sums_of_rows(self.xp, rows)[..., 0]
        )

    def products(self, x: Array, y: Array) -> Any:
        """Σ x·y over positions, (N, C); a product of vectors sums in blocks, NumPy's einsum not."""
        xp = self.xp
        if not self.last:
            return xp.matmul(x[:, :, None, :], y[:, :, :, None])[:, :, 0, 0]
        n, height, width = x.shape
        whole = height // BLOCK_OF_ROWS * BLOCK_OF_ROWS
        total = xp.einsum("nrw,nrw->nw", x[:, whole:], y[:, whole:])
        if whole:
            x, y = (a[:, :whole].reshape(n, -1, BLOCK_OF_ROWS, width) for a in (x, y))
            total += summed(xp, xp.einsum("nkrw,nkrw->nkw", x, y), 1)
        return self._folded(total, self.repeats)

    def _folded(self, values: Array, count: int) -> Any:
        """Add up the `count` values of each channel."""
        return summed(self.xp, values.reshape(self.examples, count, self.channels), 1)

    def over_examples(self, *totals: Array) -> list[Any]:
        """The sums of values per example and channel over the examples."""
        return [summed(self.xp, values, 0) for values in totals]

    def shared(self, totals: Array) -> Any:
        """The average over all numbers that share a mean, for each channel."""
        n, c = totals.shape
        if self.groups is None:
            return divided(summed(self.xp, totals, 0, True), n * self.positions)
        size = c // self.groups
        total = summed(self.xp, totals.reshape(n, self.groups, size), 2)
        return self.xp.repeat(divided(total, size * self.positions), size, axis=1)

    def blocks(self, rows: Array) -> Iterator[tuple[slice, slice]]:
        """Where to cut rows: some examples at a time, or some rows of one."""
        if in_cache(self.xp, rows.size):
            yield slice(None), slice(None)
            return
        count, height, width = rows.shape
        many = max(1, BLOCK // (height * width))
        high = height if many > 1 else max(1, BLOCK // width)
        for n in range(0, count, many):
            for row in range(0, height, high):
                yield slice(n, n + many), slice(row, row + high)


def at(values: Array, place: tuple[slice, slice]) -> Any:
    """What broadcasts against the block at this place."""
    pairs = zip(values.shape, place, strict=False)
    return values[tuple(slice(None) if size == 1 else cut for size, cut in pairs)]

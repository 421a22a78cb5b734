"""Sums and averages per channel, in either memory order: channels first or channels last.

Batch and group norm multiply and add one number per (example, channel), and these numbers follow
from sums over positions. All passes run over a matrix per example, in blocks that stay in the
cache.
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
    """Arrays (N, C, …) in one memory order, flattened to (N, height, k·C) or (N, C, positions).

    The first where the channels of a position are neighbours in memory, k positions to a row; the
    second where the positions of a channel are. Values per channel are (N, C), or (1, C) if all
    examples share them. (N, C) without groups counts as one example of N positions.

    Args:
        groups: number of groups of channels that share a mean, per example; None: every channel
            has one mean over all examples.
    """

    def __init__(self, xp: Namespace, x: Array, groups: int | None) -> None:
        self.xp, self.shape, self.groups = xp, x.shape, groups
        self.is_matrix = groups is None and len(x.shape) == 2
        x = x.T[None] if self.is_matrix else x
        self.examples, self.channels = x.shape[:2]
        self.positions = math.prod(x.shape[2:])
        self.last = not x.flags.c_contiguous and xp.moveaxis(x, 1, -1).flags.c_contiguous
        room = WIDE // (self.channels or 1)
        self.repeats = math.gcd(self.positions, 1 << room.bit_length()) if self.last else 1
        if groups is None:
            self.shared = self.examples * self.positions  # number of elements that share a mean
        else:
            self.shared = self.channels // groups * self.positions

    def flatten(self, x: Array) -> Any:
        """A view of x, or of a copy if x has another memory order."""
        xp, n = self.xp, self.examples
        x = x.T[None] if self.is_matrix else x
        if not self.last:
            return xp.ascontiguousarray(x).reshape(n, self.channels, self.positions)
        height, width = self.positions // self.repeats, self.repeats * self.channels
        return xp.ascontiguousarray(xp.moveaxis(x, 1, -1)).reshape(n, height, width)

    def unflatten(self, rows: Array) -> Any:
        """The array that `flatten` made these rows of."""
        if self.is_matrix:
            return rows.reshape(self.shape) if self.last else rows.reshape(self.shape[::-1]).T
        if not self.last:
            return rows.reshape(self.shape)
        n, c, *others = self.shape
        return self.xp.moveaxis(rows.reshape(n, *others, c), -1, 1)

    def broadcast(self, values: Array) -> Any:
        """Values per channel in a shape that broadcasts with flattened arrays."""
        if not self.last:
            return values[:, :, None]
        return self.xp.tile(values, (1, self.repeats))[:, None, :]

    def totals(self, rows: Array) -> Any:
        """Σ x over positions, (N, C)."""
        if self.last:
            return self._folded(rows, self.positions)
        return sums_of_rows(self.xp, rows)[..., 0]

    def products(self, x: Array, y: Array) -> Any:
        """Σ x·y over positions, (N, C); einsum adds one by one, a product of vectors in blocks."""
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

    def average(self, totals: Array) -> Any:
        """The average over all elements that share a mean, for each channel."""
        if self.groups is None:
            return divided(summed(self.xp, totals, 0, True), self.shared)
        n, c = totals.shape
        total = summed(self.xp, totals.reshape(n, self.groups, c // self.groups), 2)
        return self.xp.repeat(divided(total, self.shared), c // self.groups, axis=1)

    def blocks(self, rows: Array) -> Iterator[tuple[slice, slice]]:
        """Indices of blocks that stay in the cache: several examples, or some rows of one."""
        if in_cache(self.xp, rows.size):
            yield slice(None), slice(None)
            return
        count, height, width = rows.shape
        examples = max(1, BLOCK // (height * width))
        step = height if examples > 1 else max(1, BLOCK // width)
        for n in range(0, count, examples):
            for row in range(0, height, step):
                yield slice(n, n + examples), slice(row, row + step)


def at(values: Array, place: tuple[slice, slice]) -> Any:
    """The part of broadcast values that belongs to the block at `place`."""
    pairs = zip(values.shape, place, strict=False)
    return values[tuple(slice(None) if size == 1 else cut for size, cut in pairs)]

"""Resampling: along each spatial axis, every output is a weighted sum of a few neighbouring inputs.

The weights of an axis are a sparse matrix. Up to sizes of some hundreds, the product with the dense
matrix is several times faster than reading only the elements that are not 0. But 0 · ∞ is NaN: if
the product is not finite, the sums are computed again from the elements of the sparse matrix only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, ArrayLike, Namespace
from ..engine.call import op
from ..kernels.indices import along

__all__: list[str] = []


@dataclass(frozen=True, eq=False)
class Weights:
    """A sparse matrix with `values[i]` at (`rows[i]`, `columns[i]`)."""

    rows: Array
    columns: Array
    values: Array
    shape: tuple[int, int]

    @functools.cached_property
    def matrix(self) -> Any:
        """The dense matrix; repeated places add up."""
        matrix = np.zeros(self.shape)
        np.add.at(matrix, (self.rows, self.columns), self.values)
        return matrix

    @functools.cached_property
    def transposed(self) -> Weights:
        return Weights(self.columns, self.rows, self.values, self.shape[::-1])


def _transposed(weights: Sequence[Weights | None]) -> tuple[Weights | None, ...]:
    return tuple(each and each.transposed for each in weights)


@op(
    lambda xp, g, weights: xp.resample(g, _transposed(weights)),
    floating=True,
    local=["transposed weights"],
)
def resample(xp: Namespace, x: ArrayLike, weights: Sequence[Weights | None]) -> Any:
    """x (N, C, *spatial), each spatial axis multiplied by a matrix of weights (length, size).

    Args:
        weights: a matrix per spatial axis, or None to leave the axis unchanged.

    >>> mean = tg.ops.resampling.Weights([0, 0], [0, 1], [0.5, 0.5], (1, 2))
    >>> tg.ops.resample(tg.tensor([[[1.0, 3.0]]]), (mean,)).tolist()
    [[[2.0]]]
    """
    y = xp.moveaxis(x, 1, -1)
    for axis, each in enumerate(weights, 1):
        if each is not None:
            y = _along(xp, y, axis, each)
    return xp.moveaxis(y, -1, 1)


def _along(xp: Namespace, y: Array, axis: int, weights: Weights) -> Any:
    """Resample one axis; the result is in C order, with the channels last."""
    shape = y.shape
    lines = y.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
    with np.errstate(invalid="ignore", over="ignore"):
        out = xp.matmul(xp.asarray(weights.matrix, y.dtype), lines)
        flat = out.reshape(-1)
        if not math.isfinite(flat.dot(flat)):
            values = xp.asarray(weights.values, y.dtype)[:, None]
            terms = lines[:, xp.asarray(weights.columns)] * values
            out = xp.zeros_like(out)
            xp.add.at(out, along(1, xp.asarray(weights.rows)), terms)
    return out.reshape(*shape[:axis], weights.shape[0], *shape[axis + 1 :])

"""Matrix products, with NumPy's batching and broadcasting."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..kernels.products import product

__all__ = ["matmul"]


def transposed(xp: Namespace, matrix: Array) -> Any:
    """`matrix_transpose` in the vocabulary of rules."""
    ndim = len(matrix.shape)
    return xp.permute_dims(matrix, (*range(ndim - 2), ndim - 1, ndim - 2))


def _left_rule(xp: Namespace, g: Array, y: Array, x_shape: Shape) -> Any:
    """g @ yᵀ; a vector stands for a matrix with one row (left) or one column (right)."""
    if len(y.shape) == 1:
        return g[..., None] * y
    if len(x_shape) == 1:
        return xp.matmul(y, g[..., None])[..., 0]
    return xp.matmul(g, transposed(xp, y))


def _right_rule(xp: Namespace, g: Array, x: Array, y_shape: Shape) -> Any:
    """xᵀ @ g; with one matrix on the right, all leading axes of x are rows of one product."""
    if len(x.shape) == 1:
        column = x if len(y_shape) == 1 else x[:, None]
        return column * (g if len(y_shape) == 1 else g[..., None, :])
    if len(y_shape) == 1:
        return xp.matmul(transposed(xp, x), g[..., None])[..., 0]
    if len(y_shape) == 2 and len(x.shape) > 2:
        x, g = as_rows(xp, x), as_rows(xp, g)
    return xp.matmul(transposed(xp, x), g)


def as_rows(xp: Namespace, x: Array) -> Any:
    """x (…, n) as a matrix (rows, n)."""
    return x if len(x.shape) == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


@op(_left_rule, _right_rule, symbol="@", local=["yᵀ", "xᵀ"])
def matmul(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """The matrix product x @ y: (…, m, n) @ (…, n, p) gives (…, m, p), leading axes broadcast.

    A vector on the left counts as a row, on the right as a column, and its axis is not in the
    result.

    >>> tg.matmul(tg.ones((2, 3)), tg.ones(3)).tolist()
    [3.0, 3.0]
    """
    try:
        return product(xp, x, y)
    except (AttributeError, IndexError, ValueError):
        _check_factors(x, y)
        raise


def _check_factors(x: ArrayLike, y: ArrayLike) -> None:
    if getattr(x, "ndim", 0) == 0 or getattr(y, "ndim", 0) == 0:
        raise ValueError("matmul: a number has no matrix product; use * to scale")
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != inner:
        raise ValueError(
            f"matmul: {x.shape} @ {y.shape}: inner sizes {x.shape[-1]} and {inner} differ"
        )

"""The linear layer, and the embedding: the linear layer of one-hot vectors, which looks up rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace, Shape
from ...engine.call import op
from ...kernels.products import product
from ..checks import check_below, check_shape
from ..choosing import where
from ..comparison import equal
from ..elementwise import add
from ..indexing import getitem, plain_index
from ..matmul import as_rows, matmul
from ..shape import expand_dims, matrix_transpose

__all__ = ["embedding", "linear"]


def _linear_decomposition(x: ArrayLike, weight: ArrayLike, bias: ArrayLike) -> Any:
    product = matmul(x, matrix_transpose(weight))
    return product if bias is None else add(product, bias)


def weight_gradient(xp: Namespace, g: Array, x: Array) -> Any:
    """gᵀ x, laid out in memory as `nn.Linear` lays out its weight."""
    if len(g.shape) != 2:
        g, x = as_rows(xp, g), as_rows(xp, x)
    return xp.matmul(x.T, g).T


@op(
    lambda xp, g, weight: xp.matmul(g, weight),
    weight_gradient,
    lambda xp, g: xp.sum(as_rows(xp, g), 0),
    decomposition=_linear_decomposition,
    closed=True,
    local=["weight", "x", "1"],
)
def linear(xp: Namespace, x: ArrayLike, weight: ArrayLike, bias: ArrayLike = None) -> Any:
    """x Wᵀ + b: (…, in) with a weight (out, in) and a bias (out,) gives (…, out).

    >>> tg.linear(tg.ones((4, 3)), tg.ones((2, 3))).shape
    (4, 2)
    """
    inputs: Shape = getattr(x, "shape", ())
    weights: Shape = getattr(weight, "shape", ())
    if not inputs or len(weights) != 2 or inputs[-1] != weights[1]:
        raise ValueError(
            f"linear: expected an input (…, in) and a weight (out, in); got input {inputs} and "
            f"weight {weights}"
        )
    check_shape("linear", weights[:1], "bias", bias)
    return product(xp, x, weight.T, bias)


def _embedding_decomposition(weight: ArrayLike, indices: ArrayLike, padding_idx: int | None) -> Any:
    rows = getitem(weight, plain_index(indices))
    if padding_idx is None:
        return rows
    fixed = expand_dims(equal(indices, padding_idx), -1)
    return where(fixed, rows.detach(), rows)


def _embedding_rule(
    xp: Namespace, g: Array, residuals: tuple[Array, Array | None], weight_shape: Shape
) -> Any:
    indices, trained = residuals
    return xp.scatter(g if trained is None else xp.select(g, trained), indices, weight_shape)


@op(
    _embedding_rule,
    None,
    decomposition=_embedding_decomposition,
    closed=True,
    local=["1 where read", ""],
)
def embedding(
    xp: Namespace, weight: ArrayLike, indices: ArrayLike, padding_idx: int | None = None
) -> Any:
    """The rows of a weight (count, width) at integer indices (…): (…, width).

    Args:
        weight: one row per word.
        indices: integers in [0, count).
        padding_idx: the row at this index gets no gradient, so training does not change it.

    Raises:
        IndexError: an index is not in [0, count).

    >>> tg.embedding(tg.tensor([[0.0, 1.0], [2.0, 3.0]]), [1, 1, 0]).tolist()
    [[2.0, 3.0], [2.0, 3.0], [0.0, 1.0]]
    """
    if getattr(weight, "ndim", 0) != 2:
        raise ValueError(f"embedding: expected a weight (count, width); got {np.shape(weight)}")
    indices, count = xp.asarray(indices), len(weight)
    check_below("embedding", "row numbers", indices, count)
    if padding_idx is not None and not 0 <= padding_idx < count:
        raise IndexError(f"embedding: padding_idx is {padding_idx}; expected a row in [0, {count})")
    trained = None if padding_idx is None else (indices != padding_idx)[..., None]
    return weight.take(indices, 0), (indices, trained)

"""Linear and bilinear maps."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...tensor import Tensor, asarray

__all__ = ["bilinear", "linear"]


def linear(input: ArrayLike, weight: ArrayLike, bias: ArrayLike = None) -> Tensor:
    """x Wᵀ + b: (…, in) with a weight (out, in) and a bias (out,) gives (…, out).

    >>> F.linear(tg.tensor([1.0, 2.0]), tg.tensor([[1.0, 1.0], [0.0, 3.0]]), tg.ones(2)).tolist()
    [4.0, 7.0]
    """
    return ops.linear(input, weight, bias)


def bilinear(
    input1: ArrayLike, input2: ArrayLike, weight: ArrayLike, bias: ArrayLike = None
) -> Tensor:
    """yₖ = x₁ᵀ Wₖ x₂ + bₖ: (…, in1) and (…, in2) with a weight (out, in1, in2) give (…, out).

    Args:
        input1: x₁, (…, in1).
        input2: x₂, (…, in2), with the same leading axes.
        weight: W, (out, in1, in2).
        bias: b, (out,).

    Raises:
        ValueError: the shapes do not fit.

    >>> F.bilinear(tg.tensor([2.0, 3.0]), tg.tensor([5.0]), tg.tensor([[[1.0], [10.0]]])).tolist()
    [160.0]
    """
    first, second, matrices = asarray(input1), asarray(input2), asarray(weight)
    ends = (*first.shape[-1:], *second.shape[-1:])
    if matrices.ndim != 3 or ends != matrices.shape[1:] or first.shape[:-1] != second.shape[:-1]:
        raise ValueError(
            "bilinear: expected inputs (…, in1) and (…, in2) and a weight (out, in1, in2); got "
            f"{first.shape}, {second.shape} and {matrices.shape}"
        )
    product = ops.einsum("...i,kij,...j->...k", first, matrices, second)
    if bias is None:
        return product
    offset = asarray(bias)
    if offset.shape != matrices.shape[:1]:
        raise ValueError(f"bilinear: expected a bias {matrices.shape[:1]}; got {offset.shape}")
    return product + offset

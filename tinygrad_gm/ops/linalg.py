"""Linear algebra on stacks of matrices: the last two axes are the matrix, the others a batch.

The gradient rules are written with inverses, solutions and products, so they serve every order
(Giles 2008, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation"; for the Cholesky factor Murray 2016, arXiv:1602.07527).
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import ArrayLike
from ..hints import named
from ..operation import op
from . import reduction
from .shape import moveaxis, normalize_axis, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor


def _t(xp: Any, x: Any) -> Any:
    """x with its last two axes exchanged."""
    ndim = len(x.shape)
    return xp.permute_dims(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def _square(name: str, x: Any) -> Any:
    shape: Any = getattr(x, "shape", ())
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"{name}: square matrices (…, n, n) are wanted, got the shape {shape}")
    return x


def _checked(name: str, function: Any, *args: Any) -> Any:
    """The result of a function of `numpy.linalg`, its error with our name and the shape."""
    try:
        return function(*args)
    except ValueError as error:  # LinAlgError is one
        raise ValueError(f"{name}: matrices of shape {args[0].shape}: {error}") from error


def _inv_rule(xp: Any, g: Any, out: Any) -> Any:
    back = _t(xp, out)
    return -xp.matmul(xp.matmul(back, g), back)


@op(_inv_rule, symbol="A⁻¹", local=["−A⁻ᵀ · A⁻ᵀ"])
def inv(xp: Any, x: ArrayLike) -> Any:
    """The inverse of each matrix (…, n, n).

    Raises ValueError for a matrix that is not square or has no inverse.

    >>> tg.linalg.inv(tg.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return _checked("inv", xp.linalg.inv, _square("inv", x))


def _solve_left_rule(xp: Any, g: Any, x: Any, y_shape: Any, out: Any) -> Any:
    back = _solve_right_rule(xp, g, x, y_shape)
    if len(y_shape) == 1:
        return -(back[..., :, None] * out[..., None, :])
    return -xp.matmul(back, _t(xp, out))


def _solve_right_rule(xp: Any, g: Any, x: Any, y_shape: Any) -> Any:
    if len(y_shape) == 1:  # then g may be a batch of vectors, which `solve` takes for a matrix
        return xp.solve(_t(xp, x), g[..., None])[..., 0]
    return xp.solve(_t(xp, x), g)


@op(
    _solve_left_rule,
    _solve_right_rule,
    symbol="A⁻¹b",
    local=["−A⁻ᵀ · outᵀ", "A⁻ᵀ"],
)
def solve(xp: Any, x: ArrayLike, y: ArrayLike) -> Any:
    """The solution of x · out = y: x (…, n, n) with a vector y (n,) or matrices y (…, n, k).

    Raises ValueError for shapes that do not fit and for an x without an inverse.

    >>> tg.linalg.solve(tg.tensor([[2.0, 0.0], [0.0, 4.0]]), tg.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    n, right = _square("solve", x).shape[-1], getattr(y, "shape", ())
    if not right or right[-2:][0] != n:
        raise ValueError(
            f"solve: matrices {x.shape} go with a vector ({n},) or matrices (…, {n}, k), not with "
            f"the shape {right}"
        )
    if len(right) > 1 or len(x.shape) == 2:
        return _checked("solve", xp.linalg.solve, x, y)
    return _checked("solve", xp.linalg.solve, x, y[:, None])[..., 0]


def _cholesky_rule(xp: Any, g: Any, out: Any, saved: Any) -> Any:
    """(S + Sᵀ)/2, S = L⁻ᵀ Φ(Lᵀ g) L⁻¹; Φ takes the lower triangle with half of the diagonal."""
    back = _t(xp, out)
    inner = xp.matmul(back, g) * saved
    s = _t(xp, xp.solve(back, _t(xp, xp.solve(back, inner))))
    return 0.5 * (s + _t(xp, s))


@op(_cholesky_rule, closed=True, symbol="L", local=["sym L⁻ᵀ Φ(Lᵀ ·) L⁻¹"])
def cholesky(xp: Any, x: ArrayLike) -> Any:
    """The lower triangle L with L · Lᵀ = x, for symmetric positive definite matrices (…, n, n).

    Only the symmetric part (x + xᵀ)/2 counts, so that the gradient is symmetric too. Raises
    ValueError for a matrix that is not square or not positive definite.

    >>> tg.linalg.cholesky(tg.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    n = _square("cholesky", x).shape[-1]
    half = xp.tri(n, dtype=x.dtype) - xp.eye(n, dtype=x.dtype) / 2
    return _checked("cholesky", xp.linalg.cholesky, (x + x.swapaxes(-1, -2)) * 0.5), half


@op(
    lambda xp, g, x, out: (g * out)[..., None, None] * _t(xp, xp.inv(x)),
    symbol="|A|",
    local=["|A| A⁻ᵀ"],
)
def det(xp: Any, x: ArrayLike) -> Any:
    """The determinant of each matrix (…, n, n).

    It is 0 where a matrix has no inverse, but the gradient, |A| A⁻ᵀ, is then refused (ValueError).

    >>> tg.linalg.det(tg.tensor([[1.0, 2.0], [3.0, 4.0]])).round(4).item()
    -2.0
    """
    return xp.linalg.det(_square("det", x))


@op(lambda xp, g, x: g[..., None, None] * _t(xp, xp.inv(x)), symbol="ln|A|", local=["A⁻ᵀ"])
def log_abs_det(xp: Any, x: ArrayLike) -> Any:
    """The logarithm of the absolute determinant of each matrix, −inf without an inverse.

    >>> round(tg.ops.log_abs_det(tg.eye(3) * 2).item(), 4)
    2.0794
    """
    return xp.linalg.slogdet(_square("slogdet", x))[1]


@op(None)
def sign_det(xp: Any, x: ArrayLike) -> Any:
    """The sign of the determinant of each matrix: −1, 0 or 1.

    >>> tg.ops.sign_det(-tg.eye(3)).item()
    -1.0
    """
    return xp.linalg.slogdet(_square("slogdet", x))[0]


@named
def slogdet(x: ArrayLike) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its absolute value, without overflow.

    The sign is constant wherever it has a derivative: it carries no gradient. Without an inverse
    the sign is 0 and the logarithm −inf; its gradient is refused (ValueError).

    >>> sign, logarithm = tg.linalg.slogdet(tg.eye(100) * 0.1)
    >>> sign.item(), round(logarithm.item(), 2)
    (1.0, -230.26)
    """
    return sign_det(x), log_abs_det(x)


# ------------------------------------------------------------------------------- diagonals


@named
def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements with equal indices on two axes; they lie along the last axis of the result.

    Args:
        offset: how far right of the main diagonal, left of it where negative.
        axis1, axis2: the rows and the columns of the matrices; they are not in the result.

    >>> tg.diagonal(tg.tensor([[1, 2, 3], [4, 5, 6]]), 1).tolist()
    [2, 6]
    """
    ndim = np.ndim(x)
    if ndim < 2:
        raise ValueError(f"diagonal: at least 2 dimensions are needed, got {ndim}")
    rows, columns = normalize_axis("diagonal", axis1, ndim), normalize_axis("diagonal", axis2, ndim)
    if rows == columns:
        raise ValueError(f"diagonal: axis1 and axis2 are the same, {axis1} and {axis2}")
    offset = operator.index(offset)
    x = moveaxis(x, (rows, columns), (-2, -1))
    *batch, n, m = x.shape
    start = offset if offset >= 0 else -offset * m
    length = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    lines = reshape(x, (*batch, n * m))  # along a diagonal every (m + 1)-th element
    return lines[..., start : start + length * (m + 1) : m + 1]


@named
def trace(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal; arguments as `diagonal`.

    >>> tg.trace(tg.tensor([[1, 2], [3, 4]])).item()
    5
    """
    return reduction.sum(diagonal(x, offset, axis1, axis2), -1)

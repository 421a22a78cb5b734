"""Linear algebra on stacks of matrices: the last two axes are the matrix, the others a batch.

The gradient rules are written with inverses, solutions and products, so they serve every order
(Giles 2008, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation"; for the Cholesky factor Murray 2016, arXiv:1602.07527).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..engine.op import vocabulary
from ..hints import named
from . import reduction
from .matmul import transposed
from .shape import moveaxis, normalize_axis, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["diagonal", "trace"]


def _square(name: str, x: Array) -> Any:
    shape = np.shape(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"{name}: expected square matrices (…, n, n); got {shape}")
    return x


def _checked(name: str, function: Callable[..., Array], *args: Array) -> Any:
    """Call a function of `numpy.linalg`; its error names the operation and the shape."""
    try:
        return function(*args)
    except ValueError as error:  # LinAlgError is one
        raise ValueError(f"{name}: matrices of shape {args[0].shape}: {error}") from error


def _inv_rule(xp: Namespace, g: Array, out: Array) -> Any:
    back = transposed(xp, out)
    return -xp.matmul(xp.matmul(back, g), back)


@op(_inv_rule, symbol="A⁻¹", local=["−x⁻ᵀ · x⁻ᵀ"])
def inv(xp: Namespace, x: ArrayLike) -> Any:
    """The inverse of each matrix (…, n, n).

    Raises ValueError for a matrix that is not square or has no inverse.

    >>> tg.linalg.inv(tg.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return _checked("inv", xp.linalg.inv, _square("inv", x))


def _solve_left_rule(xp: Namespace, g: Array, x: Array, y_shape: Shape, out: Array) -> Any:
    back = _solve_right_rule(xp, g, x, y_shape)
    if len(y_shape) == 1:
        return -(back[..., :, None] * out[..., None, :])
    return -xp.matmul(back, transposed(xp, out))


def _solve_right_rule(xp: Namespace, g: Array, x: Array, y_shape: Shape) -> Any:
    if len(y_shape) == 1:  # g may be a batch of vectors, which `solve` would read as a matrix
        return xp.solve(transposed(xp, x), g[..., None])[..., 0]
    return xp.solve(transposed(xp, x), g)


@op(_solve_left_rule, _solve_right_rule, symbol="A⁻¹b", local=["−x⁻ᵀ · outᵀ", "x⁻ᵀ"])
def solve(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """The solution of x · out = y: x (…, n, n) with a vector y (n,) or matrices y (…, n, k).

    Raises ValueError for shapes that do not fit and for an x without an inverse.

    >>> tg.linalg.solve(tg.tensor([[2.0, 0.0], [0.0, 4.0]]), tg.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    n, right = _square("solve", x).shape[-1], getattr(y, "shape", ())
    if not right or right[-2:][0] != n:
        raise ValueError(
            f"solve: for matrices {x.shape}, expected a vector ({n},) or matrices (…, {n}, k); got "
            f"{right}"
        )
    if len(right) > 1 or len(x.shape) == 2:
        return _checked("solve", xp.linalg.solve, x, y)
    return _checked("solve", xp.linalg.solve, x, y[:, None])[..., 0]


def _cholesky_rule(xp: Namespace, g: Array, out: Array, residuals: Array) -> Any:
    """(S + Sᵀ)/2, S = L⁻ᵀ Φ(Lᵀ g) L⁻¹; Φ takes the lower triangle with half of the diagonal."""
    back, lower = transposed(xp, out), residuals != 0
    inner = xp.select(xp.matmul(back, xp.select(g, lower)), lower) * residuals
    s = transposed(xp, xp.solve(back, transposed(xp, xp.solve(back, inner))))
    return 0.5 * (s + transposed(xp, s))


@op(_cholesky_rule, closed=True, symbol="L", local=["sym L⁻ᵀ Φ(Lᵀ ·) L⁻¹"])
def cholesky(xp: Namespace, x: ArrayLike) -> Any:
    """The lower triangle L with L · Lᵀ = x, for symmetric positive definite matrices (…, n, n).

    Only the symmetric part (x + xᵀ)/2 is used, so the gradient is symmetric too. Raises ValueError
    for a matrix that is not square or not positive definite.

    >>> tg.linalg.cholesky(tg.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    n = _square("cholesky", x).shape[-1]
    half = xp.tri(n, dtype=x.dtype) - xp.eye(n, dtype=x.dtype) / 2
    return _checked("cholesky", xp.linalg.cholesky, (x + x.swapaxes(-1, -2)) * 0.5), half


# ------------------------------------------------------------------------------- determinants


@op(lambda xp, g, x: g[..., None, None] * xp.cofactor(x), symbol="|A|", local=["cof x"])
def det(xp: Namespace, x: ArrayLike) -> Any:
    """The determinant of each matrix (…, n, n).

    Its gradient is the matrix of cofactors, |A| A⁻ᵀ if A has an inverse. First and second
    derivatives are exact for singular matrices too; a third raises ValueError there.

    >>> tg.linalg.det(tg.tensor([[1.0, 2.0], [3.0, 4.0]])).round(4).item()
    -2.0
    """
    return xp.linalg.det(_square("det", x))


def _transposed_inverse(xp: Namespace, x: Array, why: str) -> Any:
    try:
        return transposed(xp, xp.inv(x))
    except ValueError as error:
        raise ValueError(f"{why}; one of {x.shape} is singular") from error


def _cofactor_decomposition(x: ArrayLike) -> Any:
    """|A| A⁻ᵀ."""
    why = "cofactor: third derivatives of `det` need matrices with an inverse"
    return det(x)[..., None, None] * _transposed_inverse(vocabulary(None), x, why)


def _cofactor_rule(xp: Namespace, g: Array, residuals: tuple[Array, Array, Array, Array]) -> Any:
    """±U (diag(P diag h) − P ∘ hᵀ) Vᵀ with h = Uᵀ g V and P_ij the product of all σ except i and j.

    For |Σ + E| has the second-order terms P_ij (E_ii E_jj − E_ij E_ji), i < j.
    """
    left, values, right, sign = residuals
    ones = xp.module.eye(values.shape[-1], dtype=values.dtype)
    h = xp.matmul(xp.matmul(transposed(xp, left), g * sign), transposed(xp, right))
    pairs = _products_without_two(xp.module, values)
    diagonal = xp.matmul(pairs, xp.sum(h * ones, -1)[..., None])
    return xp.matmul(xp.matmul(left, diagonal * ones - pairs * transposed(xp, h)), right)


@op(
    _cofactor_rule,
    decomposition=_cofactor_decomposition,
    symbol="cof A",
    local=["second-order minors"],
)
def cofactor(xp: Namespace, x: ArrayLike) -> Any:
    """The cofactors of each matrix (…, n, n): the derivative of `det` by each element.

    With A = U Σ Vᵀ they are |U| |V| · U diag(Πⱼ≠ᵢ σⱼ) Vᵀ, for singular matrices too.

    >>> tg.ops.cofactor(tg.tensor([[1.0, 2.0], [2.0, 4.0]])).round(4).tolist()
    [[4.0, -2.0], [-2.0, 1.0]]
    """
    finite = xp.isfinite(_square("cofactor", x)).all((-2, -1))[..., None, None]
    left, values, right = xp.linalg.svd(xp.where(finite, x, 0.0))
    sign = xp.sign(xp.linalg.det(xp.matmul(left, right)))[..., None, None]
    before, after = _products_around(xp, values)  # no division by σᵢ, which may be 0
    out = xp.matmul(left * (before * after)[..., None, :], right) * sign
    return xp.where(finite, out, xp.nan), (left, values, right, sign)


def _products_around(xp: Namespace, values: Array) -> tuple[Any, Any]:
    """For each i the product of the values (…, n) before the i-th, and of those after it."""
    ones = xp.ones_like(values[..., :1])
    before = xp.concatenate([ones, values[..., :-1]], -1).cumprod(-1)
    after = xp.concatenate([ones, values[..., :0:-1]], -1).cumprod(-1)[..., ::-1]
    return before, after


def _products_without_two(xp: Namespace, values: Array) -> Any:
    """For each i ≠ j the product of the values (…, n) except the i-th and j-th; 0 for i = j."""
    before, after = _products_around(xp, values)
    square = xp.ones((values.shape[-1],) * 2, bool)
    inner = xp.where(xp.triu(square, 2), xp.roll(values, 1, -1)[..., None, :], 1.0).cumprod(-1)
    products = before[..., :, None] * inner * after[..., None, :]
    upper = xp.where(xp.triu(square, 1), products, 0.0)
    return upper + upper.swapaxes(-1, -2)


class SlogdetResult(NamedTuple):
    """The result of `slogdet`, with the names of the array-API standard."""

    sign: Tensor
    logabsdet: Tensor


def _log_abs_det_rule(xp: Namespace, g: Array, x: Array) -> Any:
    why = "slogdet: the gradient A⁻ᵀ needs matrices with an inverse"
    return g[..., None, None] * _transposed_inverse(xp, x, why)


@op(_log_abs_det_rule, symbol="ln|A|", local=["x⁻ᵀ"])
def log_abs_det(xp: Namespace, x: ArrayLike) -> Any:
    """The logarithm of the absolute determinant of each matrix; −inf for a singular one.

    >>> round(tg.ops.log_abs_det(tg.eye(3) * 2).item(), 4)
    2.0794
    """
    return xp.linalg.slogdet(_square("log_abs_det", x))[1]


@op(None)
def sign_det(xp: Namespace, x: ArrayLike) -> Any:
    """The sign of the determinant of each matrix: −1, 0 or 1.

    >>> tg.ops.sign_det(-tg.eye(3)).item()
    -1.0
    """
    return xp.linalg.slogdet(_square("sign_det", x))[0]


@named
def slogdet(x: ArrayLike) -> SlogdetResult:
    """The named tuple (sign, logabsdet): |A| = sign · e^logabsdet, without overflow.

    The sign is piecewise constant and has no gradient. For a singular matrix the sign is 0 and the
    logarithm −inf; its gradient raises ValueError.

    >>> result = tg.linalg.slogdet(tg.eye(100) * 0.1)
    >>> result.sign.item(), round(result.logabsdet.item(), 2)
    (1.0, -230.26)
    """
    _square("slogdet", x)
    return SlogdetResult(sign_det(x), log_abs_det(x))


# ------------------------------------------------------------------------------- diagonals


@named
def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements with equal indices on two axes, along the last axis of the result.

    Args:
        offset: distance to the right of the main diagonal; negative: to the left.
        axis1, axis2: the axes of rows and columns, which the result does not have.

    >>> tg.diagonal(tg.tensor([[1, 2, 3], [4, 5, 6]]), 1).tolist()
    [2, 6]
    """
    ndim = np.ndim(x)
    if ndim < 2:
        raise ValueError(f"diagonal: expected 2 dimensions or more; got {ndim}")
    rows, columns = normalize_axis("diagonal", axis1, ndim), normalize_axis("diagonal", axis2, ndim)
    if rows == columns:
        raise ValueError(f"diagonal: axis1 {axis1} and axis2 {axis2} are the same axis")
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

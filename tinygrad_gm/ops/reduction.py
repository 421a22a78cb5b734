"""Reductions: `axis` is None (all axes), an axis or a tuple of them; `keepdims` keeps size-1 axes.

The gradient of a reduction is repeated along the reduced axes, and multiplied by the local
derivative of each element. Cumulative sums and products are here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..hints import named
from ..kernels.indices import along
from ..kernels.softmax import log_sum_exp
from ..kernels.summation import divided, squared_deviations, summed
from .choosing import where
from .comparison import equal, isfinite, not_equal
from .elementwise import astype, exp, log, subtract
from .indexing import getitem
from .shape import Axes, broadcast_to, concat, normalize_axis, pad, squeeze

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "sum",
    "var",
]


Axis = Axes | None  # None: all axes


def _axes(axis: Axis, ndim: int) -> Shape:
    """The reduced axes, counted from the front; none for an array of 0 dimensions."""
    if axis is None or not ndim:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _count(shape: Shape, axis: Axis) -> int:
    """The number of elements reduced to one result."""
    return math.prod(shape[a] for a in _axes(axis, len(shape)))


def _kept(xp: Namespace, reduced: Array, shape: Shape, axis: Axis, keepdims: bool) -> Any:
    """A reduced array with its reduced axes restored, with size 1."""
    if keepdims or (axis is None and not shape):
        return reduced
    gone = _axes(axis, len(shape))
    return xp.reshape(reduced, tuple(1 if i in gone else n for i, n in enumerate(shape)))


def _sum_rule(xp: Namespace, g: Array, x_shape: Shape, axis: Axis, keepdims: bool) -> Any:
    return xp.broadcast_to(_kept(xp, g, x_shape, axis, keepdims), x_shape)


@op(_sum_rule, symbol="Σ", local=["1"])
def sum(
    xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """The sum of the elements (0 if empty), added pairwise along every axis; of integers in int64.

    With `dtype` the elements are cast first, and the result has that dtype.

    >>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    >>> tg.sum(tg.tensor([True, True]), dtype=tg.float32)
    tensor(2., shape=(), dtype=float32)
    """
    if dtype is None:
        return summed(xp, x, axis, keepdims)
    return summed(xp, x.astype(dtype, copy=False), axis, keepdims).astype(dtype, copy=False)


def _mean_rule(xp: Namespace, g: Array, x_shape: Shape, axis: Axis, keepdims: bool) -> Any:
    share = 1.0 / (_count(x_shape, axis) or 1)  # an empty x has no gradient
    return _sum_rule(xp, g * share, x_shape, axis, keepdims)


@op(_mean_rule, symbol="mean", local=["1/n"])
def mean(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """The arithmetic mean, Σx / n (NaN if empty).

    >>> tg.mean(tg.tensor([1.0, 2.0, 6.0])).item()
    3.0
    """
    return divided(summed(xp, x, axis, keepdims), _count(x.shape, axis))


def _deviation(xp: Namespace, x: Array, axis: Axis) -> Any:
    return x - xp.mean(x, axis, True)


def _var_rule(
    xp: Namespace, g: Array, x: Array, axis: Axis, correction: float, keepdims: bool
) -> Any:
    scale = divided(2.0, _count(x.shape, axis) - correction)
    return _kept(xp, g, x.shape, axis, keepdims) * (_deviation(xp, x, axis) * scale)


@op(_var_rule, local=["2(x−mean)/(n−correction)"])
def var(
    xp: Namespace, x: ArrayLike, axis: Axis = None, correction: float = 0, keepdims: bool = False
) -> Any:
    """The variance, Σ(x − mean)² / (n − correction). (PyTorch's default correction is 1, here 0.)

    NaN where n ≤ correction.

    >>> tg.var(tg.tensor([1.0, 3.0])).item(), tg.var(tg.tensor([1.0, 3.0]), correction=1).item()
    (1.0, 2.0)
    """
    return _variance(xp, x, axis, correction, keepdims)


def _variance(xp: Namespace, x: Array, axis: Axis, correction: float, keepdims: bool) -> Any:
    squares = squared_deviations(xp, x, axis, _axes(axis, x.ndim), keepdims)
    return divided(squares, _count(x.shape, axis) - correction)


def _std_rule(
    xp: Namespace, g: Array, x: Array, out: Array, axis: Axis, correction: float, keepdims: bool
) -> Any:
    """That of √var, and 0 at 0."""
    flat = out == 0
    g = xp.select(g, xp.logical_not(flat)) / xp.where(flat, 2.0, 2.0 * out)
    return _var_rule(xp, g, x, axis, correction, keepdims)


@op(_std_rule, local=["(x−mean)/((n−correction)·std)"])
def std(
    xp: Namespace, x: ArrayLike, axis: Axis = None, correction: float = 0, keepdims: bool = False
) -> Any:
    """The standard deviation, √var. The gradient of equal numbers is 0, not NaN.

    >>> tg.std(tg.tensor([1.0, 3.0])).item()
    1.0
    """
    return xp.sqrt(_variance(xp, x, axis, correction, keepdims))


def _extreme_rule(best: str) -> Any:
    def rule(xp: Namespace, g: Array, x: Array, out: Array, axis: Axis, keepdims: bool) -> Any:
        g = _kept(xp, g, x.shape, axis, keepdims)
        if axis is None or isinstance(axis, tuple) or not x.shape:
            chosen = xp.equal(x, _kept(xp, out, x.shape, axis, keepdims))
            chosen = xp.logical_or(chosen, xp.isnan(x))
            return xp.select(g / xp.sum(xp.astype(chosen, x.dtype), axis, True), chosen)
        first = getattr(xp, best)(x, axis, True)
        return xp.scatter_along_axis(g, first, axis, x.shape)

    return rule


@op(_extreme_rule("argmax"), local=["1 at the maximum"])
def max(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element.

    Along one axis the gradient goes to the first of equal elements; over several or all axes it is
    divided evenly among them.

    >>> tg.max(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1).tolist()
    [5.0, 7.0]
    """
    return x.max(axis=axis, keepdims=keepdims)


@op(_extreme_rule("argmin"), local=["1 at the minimum"])
def min(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element; ties as in `max`.

    >>> tg.min(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1).tolist()
    [1.0, 2.0]
    """
    return x.min(axis=axis, keepdims=keepdims)


def _prod_rule(xp: Namespace, g: Array, x: Array, axis: Axis, keepdims: bool) -> Any:
    """The derivative of an element: the product of those before it, times those after it."""
    gone = _axes(axis, len(x.shape))
    order = gone + tuple(a for a in range(len(x.shape)) if a not in gone)
    moved = xp.permute_dims(x, order)
    lines = xp.reshape(moved, (_count(x.shape, axis), *moved.shape[len(gone) :]))
    before = xp.cumulative_prod(lines, 0, True)[:-1]
    after = xp.flip(xp.cumulative_prod(xp.flip(lines, 0), 0, True)[:-1], 0)
    back = tuple(order.index(a) for a in range(len(order)))
    others = xp.permute_dims(xp.reshape(before * after, moved.shape), back)
    return _kept(xp, g, x.shape, axis, keepdims) * others


@op(_prod_rule, symbol="Π", local=["product of the others"])
def prod(
    xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """The product of the elements (1 if empty); its derivatives are exact with zeros among them.

    The product of integers is int64. With `dtype` the elements are cast to it first.

    >>> x = tg.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> x.prod().backward()
    >>> x.grad.tolist()
    [0.0, 6.0, 0.0]
    """
    if dtype is None and x.dtype.kind != "f":
        dtype = np.int64
    return x.prod(axis=axis, dtype=dtype, keepdims=keepdims)


def _logsumexp_rule(
    xp: Namespace, g: Array, x: Array, out: Array, axis: Axis, keepdims: bool
) -> Any:
    out = _kept(xp, out, x.shape, axis, keepdims)
    finite = xp.where(out == -math.inf, 0.0, out)
    return _kept(xp, g, x.shape, axis, keepdims) * xp.exp(x - finite)


def _logsumexp_decomposition(x: ArrayLike, axis: Axis, keepdims: bool) -> Any:
    if not math.prod(x.shape):
        return sum(x, axis, keepdims) - math.inf
    largest = max(x, axis, True).detach()
    shift = where(isfinite(largest), largest, 0.0)
    total = sum(exp(x - shift), axis, True)
    nothing = equal(total, 0.0)
    out = where(nothing, -math.inf, log(where(nothing, 1.0, total)) + shift)
    return out if keepdims else squeeze(out, _axes(axis, x.ndim))


@op(_logsumexp_rule, decomposition=_logsumexp_decomposition, closed=True, local=["softmax x"])
def logsumexp(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """ln Σ e^x without overflow; −inf, with gradient 0, where every element is −inf.

    >>> round(tg.logsumexp(tg.tensor([1000.0, 1000.0])).item(), 3)
    1000.693
    """
    out = log_sum_exp(xp, x, axis)
    return out if keepdims else xp.squeeze(out, _axes(axis, x.ndim))


def _norm_rule(
    xp: Namespace, g: Array, x: Array, out: Array, axis: Axis, ord: float, keepdims: bool
) -> Any:
    g = _kept(xp, g, x.shape, axis, keepdims)
    out = _kept(xp, out, x.shape, axis, keepdims)
    if ord == math.inf:
        chosen = xp.equal(xp.abs(x), out)
        share = g / xp.sum(xp.astype(chosen, x.dtype), axis, True)
        return xp.select(share, chosen) * xp.sign(x)
    if ord == 1:
        return g * xp.sign(x)
    zero = out == 0
    unit = x * xp.where(zero, 0.0, 1.0 / xp.where(zero, 1.0, out))
    return g * (unit if ord == 2 else xp.sign(x) * xp.pow(xp.abs(unit), ord - 1))


@op(_norm_rule, symbol="‖x‖", local=["x/‖x‖"])
def vector_norm(
    xp: Namespace, x: ArrayLike, axis: Axis = None, ord: float = 2, keepdims: bool = False
) -> Any:
    """(Σ |x|^ord)^(1/ord): the operation behind `norm`.

    >>> tg.ops.vector_norm(tg.tensor([[3.0, -4.0]]), 1).tolist()
    [5.0]
    """
    if not isinstance(ord, (int, float)) or not ord >= 1:
        raise ValueError(f"vector_norm: ord is {ord!r}; expected a number ≥ 1, or inf")
    if x.dtype.kind != "f":
        x = x.astype(float)
    if ord == 2:
        return xp.sqrt(summed(xp, x * x, axis, keepdims))
    size = xp.abs(x)
    if ord == math.inf:
        return size.max(axis=axis, keepdims=keepdims)
    if ord == 1:
        return summed(xp, size, axis, keepdims)
    return summed(xp, size**ord, axis, keepdims) ** (1 / ord)


@named
def norm(
    x: ArrayLike, *ambiguous: NoReturn, axis: Axis = None, ord: float = 2, keepdims: bool = False
) -> Tensor:
    """The vector norm (Σ |x|^ord)^(1/ord) over all elements, or over those along `axis`.

    The gradient at 0, where the norm has a kink, is 0, not NaN. For ord=inf the gradient goes to
    the largest |x|, and is divided evenly among equal ones.

    Args:
        x: any shape.
        ambiguous: must be empty. A second positional argument is the order in PyTorch and NumPy,
            but an axis in the other reductions.
        axis: an axis or a tuple of them; None: all.
        ord: a number ≥ 1, or inf for max |x|.
        keepdims: keep the reduced axes with size 1.

    Raises:
        TypeError: a second positional argument was given.
        ValueError: ord < 1, or x does not have the axis.

    >>> tg.norm(tg.tensor([3.0, -4.0])).item(), tg.norm(tg.tensor([3.0, -4.0]), ord=1).item()
    (5.0, 7.0)
    """
    if ambiguous:
        second = " ".join(repr(ambiguous[0]).split())
        raise TypeError(f"norm: write norm(x, axis={second}) or norm(x, ord={second})")
    return vector_norm(x, axis, ord, keepdims)


# ---------------------------------------------------------------- running sums and products


def _line(name: str, x: Array, axis: int | None) -> int:
    """The axis of a cumulative operation, counted from the front; a vector needs none."""
    ndim = len(x.shape)
    if axis is None and ndim != 1:
        raise ValueError(f"{name}: axis is None; expected an axis of the {ndim} dimensions")
    return normalize_axis(name, axis or 0, ndim)


def _accumulated(
    xp: Namespace,
    accumulate: Callable[..., Array],
    x: Array,
    axis: int,
    start: float | None,
    dtype: Any,
) -> Any:
    """`accumulate` of x along `axis`, with an initial element `start` unless it is None.

    It accumulates in float64 or int64, since the elements cannot be added in blocks.
    """
    x = x if dtype is None else x.astype(dtype, copy=False)
    floating = x.dtype.kind == "f"
    out = accumulate(x, axis=axis, dtype=np.float64 if floating else np.int64)
    out = out.astype(x.dtype if floating else dtype or np.int64, copy=False)
    if start is None:
        return out
    shape = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    return xp.concatenate([xp.full_like(out, start, shape=shape), out], axis=axis)


def _cumulative_sum_rule(
    xp: Namespace, g: Array, x_shape: Shape, axis: int | None, include_initial: bool
) -> Any:
    axis = axis or 0
    if include_initial:
        g = g[along(axis % len(x_shape), slice(1, None))]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis), axis), axis)


@op(_cumulative_sum_rule, symbol="Σ…", local=["1 up to here"])
def cumulative_sum(
    xp: Namespace,
    x: ArrayLike,
    axis: int | None = None,
    include_initial: bool = False,
    dtype: Any = None,
) -> Any:
    """The sums of the first 1, 2, … elements along an axis.

    Args:
        axis: the axis to sum along; a vector needs none.
        include_initial: start with 0, which makes the axis longer by one.
        dtype: dtype to which the elements are cast first; None: that of x, int64 for integers.

    >>> tg.cumulative_sum(tg.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    axis = _line("cumulative_sum", x, axis)
    return _accumulated(xp, xp.cumsum, x, axis, 0 if include_initial else None, dtype)


def _product_scan(
    x: Array, axis: int | None = None, include_initial: bool = False, dtype: Any = None
) -> Any:
    """Products of windows of length 1, 2, 4, …: derivatives of any order are exact with zeros."""
    x = x if dtype is None else astype(x, dtype)
    axis = _line("cumulative_prod", x, axis)
    width, size = 1, x.shape[axis]
    while width < size:
        head, tail = x[along(axis, slice(0, width))], x[along(axis, slice(width, size))]
        x = concat([head, tail * x[along(axis, slice(0, size - width))]], axis)
        width *= 2
    if include_initial:
        x = pad(x, [(int(a == axis), 0) for a in range(len(x.shape))], constant_values=1.0)
    return x


@op(decomposition=_product_scan, arity=1, symbol="Π…", local=["product of the others up to here"])
def cumulative_prod(
    xp: Namespace,
    x: ArrayLike,
    axis: int | None = None,
    include_initial: bool = False,
    dtype: Any = None,
) -> Any:
    """The products of the first 1, 2, … elements along an axis; arguments as `cumulative_sum`.

    Its derivatives are exact with zeros among the elements.

    >>> tg.cumulative_prod(tg.tensor([1.0, 2.0, 3.0]), include_initial=True).tolist()
    [1.0, 1.0, 2.0, 6.0]
    """
    axis = _line("cumulative_prod", x, axis)
    return _accumulated(xp, xp.cumprod, x, axis, 1 if include_initial else None, dtype)


@named
def diff(
    x: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike = None, append: ArrayLike = None
) -> Tensor:
    """The differences x[i+1] − x[i] of neighbours along an axis, taken n times.

    Args:
        prepend, append: values added before and after x along the axis; a number fills one place.

    >>> tg.diff(tg.tensor([1.0, 4.0, 9.0])).tolist()
    [3.0, 5.0]
    """
    shape = np.shape(x)
    axis = normalize_axis("diff", axis, len(shape))
    if n < 0:
        raise ValueError(f"diff: n is {n}; expected an integer ≥ 0")
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    ends = [
        broadcast_to(end, one) if end is not None and np.ndim(end) == 0 else end
        for end in (prepend, append)
    ]
    parts = [part for part in (ends[0], x, ends[1]) if part is not None]
    if n and len(parts) > 1:
        x = concat(parts, axis)
    for _ in range(n):
        later, earlier = getitem(x, along(axis, slice(1, None))), getitem(x, along(axis, slice(-1)))
        x = not_equal(later, earlier) if later.dtype == bool else subtract(later, earlier)
    return getitem(x, ()) if n == 0 else x


# ------------------------------------------------------------ results without a gradient


@op(None)
def argmax(xp: Namespace, x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the largest element, the first among equals.

    >>> tg.argmax(tg.tensor([1.0, 5.0, 5.0])).item()
    1
    """
    return x.argmax(axis=axis, keepdims=keepdims)


@op(None)
def argmin(xp: Namespace, x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the smallest element, the first among equals.

    >>> tg.argmin(tg.tensor([[3.0, 1.0], [2.0, 4.0]]), axis=1).tolist()
    [1, 0]
    """
    return x.argmin(axis=axis, keepdims=keepdims)


@op(None)
def any(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether at least one element is true (not zero).

    >>> tg.any(tg.tensor([[0, 1], [0, 0]]), axis=1).tolist()
    [True, False]
    """
    return xp.any(x, axis=axis, keepdims=keepdims)


@op(None)
def all(xp: Namespace, x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether every element is true (not zero).

    >>> tg.all(tg.tensor([[1, 1], [0, 1]]), axis=1).tolist()
    [True, False]
    """
    return xp.all(x, axis=axis, keepdims=keepdims)


@named
def count_nonzero(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The number of elements that are not 0 (NaN is not 0).

    >>> tg.count_nonzero(tg.tensor([[0.0, 3.0], [1.0, 2.0]]), axis=0).tolist()
    [1, 2]
    """
    return sum(not_equal(x, 0), axis, keepdims)

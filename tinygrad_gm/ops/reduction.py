"""Reductions: `axis` is None (all axes), an axis or a tuple of them; `keepdims` keeps size-1 axes.

A gradient travels back by being repeated along the axes that were reduced, times the local
derivative of each element.
"""

from __future__ import annotations

import math
from typing import Any

from ..backend import ArrayLike
from ..operation import op
from .shape import Axes, concat, moveaxis, reshape


def _axes(axis: Axes | None, ndim: int) -> tuple[int, ...]:
    """The reduced axes, counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _count(shape: tuple[int, ...], axis: Axes | None) -> int:
    """How many elements go into one result."""
    return math.prod(shape[a] for a in _axes(axis, len(shape)))


def _kept(xp: Any, reduced: Any, shape: tuple[int, ...], axis: Axes | None, keepdims: bool) -> Any:
    """A reduced array with its reduced axes back, of size 1."""
    if keepdims or (axis is None and not shape):
        return reduced
    gone = _axes(axis, len(shape))
    return xp.reshape(reduced, tuple(1 if i in gone else n for i, n in enumerate(shape)))


def _sum_rule(xp: Any, g: Any, x_shape: Any, axis: Any, keepdims: Any) -> Any:
    return xp.broadcast_to(_kept(xp, g, x_shape, axis, keepdims), x_shape)


@op(_sum_rule, symbol="Σ", local=["1"])
def sum(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The sum of the elements (0 of none).

    >>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    return x.sum(axis=axis, keepdims=keepdims)


def _mean_rule(xp: Any, g: Any, x_shape: Any, axis: Any, keepdims: Any) -> Any:
    return _sum_rule(xp, g * (1.0 / (_count(x_shape, axis) or 1)), x_shape, axis, keepdims)


@op(_mean_rule, symbol="mean", local=["1/n"])
def mean(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The arithmetic mean, Σx / n (NaN of none).

    >>> tg.mean(tg.tensor([1.0, 2.0, 6.0])).item()
    3.0
    """
    total = x.sum(axis=axis, keepdims=keepdims)
    count = _count(x.shape, axis)
    return total / count if count else total * float("nan")


def _deviation(xp: Any, x: Any, axis: Any) -> Any:
    return x - xp.mean(x, axis, True)


def _var_rule(xp: Any, g: Any, x: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    scale = 2.0 / (_count(x.shape, axis) - correction)
    return _kept(xp, g, x.shape, axis, keepdims) * (_deviation(xp, x, axis) * scale)


@op(_var_rule, local=["2(x−mean)/(n−correction)"])
def var(
    xp: Any,
    x: ArrayLike,
    axis: Axes | None = None,
    correction: float = 0,
    keepdims: bool = False,
) -> Any:
    """The variance, Σ(x − mean)² / (n − correction). (PyTorch's default correction is 1, here 0.)

    >>> tg.var(tg.tensor([1.0, 3.0])).item(), tg.var(tg.tensor([1.0, 3.0]), correction=1).item()
    (1.0, 2.0)
    """
    return x.var(axis=axis, ddof=correction, keepdims=keepdims)


def _std_rule(xp: Any, g: Any, x: Any, out: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    out = _kept(xp, out, x.shape, axis, keepdims)
    flat = out == 0
    slope = xp.where(flat, 0.0, 1.0 / xp.where(flat, 1.0, out))
    scale = 1.0 / (_count(x.shape, axis) - correction)
    return _kept(xp, g, x.shape, axis, keepdims) * (slope * (_deviation(xp, x, axis) * scale))


@op(_std_rule, local=["(x−mean)/((n−correction)·std)"])
def std(
    xp: Any,
    x: ArrayLike,
    axis: Axes | None = None,
    correction: float = 0,
    keepdims: bool = False,
) -> Any:
    """The standard deviation, √var. The gradient of equal numbers is 0, not NaN."""
    return x.std(axis=axis, ddof=correction, keepdims=keepdims)


def _extreme_rule(best: str) -> Any:
    def rule(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
        g = _kept(xp, g, x.shape, axis, keepdims)
        if isinstance(axis, int):
            first = getattr(xp, best)(x, axis, True)
            return xp.scatter_along_axis(g, first, axis, x.shape)
        chosen = xp.equal(x, _kept(xp, out, x.shape, axis, keepdims))
        return g * chosen / xp.sum(xp.astype(chosen, x.dtype), axis, True)

    return rule


@op(_extreme_rule("argmax"), local=["1 at the maximum"])
def max(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The largest element. Among equal ones the gradient goes to the first along one axis, and is
    divided evenly over several or all axes.

    >>> tg.max(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1).tolist()
    [5.0, 7.0]
    """
    return x.max(axis=axis, keepdims=keepdims)


@op(_extreme_rule("argmin"), local=["1 at the minimum"])
def min(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The smallest element; ties as in `max`."""
    return x.min(axis=axis, keepdims=keepdims)


def _product_tree(x: Any, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The product by multiplying halves: exact derivatives of every order, zeros or not."""
    shape, gone = x.shape, _axes(axis, len(x.shape))
    x = moveaxis(x, gone, tuple(range(len(gone))))
    x = reshape(x, (_count(shape, axis), *x.shape[len(gone) :]))
    if x.shape[0] == 0:
        x = sum(x, 0) + 1.0
    while x.shape and x.shape[0] > 1:
        half, odd = divmod(x.shape[0], 2)
        pairs = x[:half] * x[half : 2 * half]
        x = concat([pairs, x[2 * half :]]) if odd else pairs
    kept = tuple(1 if i in gone else n for i, n in enumerate(shape))
    left = tuple(n for i, n in enumerate(shape) if i not in gone)
    return reshape(x, kept if keepdims else left)


def _prod_rule(xp: Any, g: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    """Each element's derivative is the product of all others: those before it times those after."""
    gone = _axes(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in gone)
    lines = x.transpose(gone + rest).reshape(_count(x.shape, axis), -1)
    before, after = lines * 0.0 + 1.0, lines * 0.0 + 1.0
    for i in range(1, len(lines)):
        before[i] = before[i - 1] * lines[i - 1]
        after[-1 - i] = after[-i] * lines[-i]
    others = (before * after).reshape(tuple(x.shape[i] for i in gone + rest))
    back = tuple(sorted(range(x.ndim), key=lambda i: (gone + rest)[i]))
    return _kept(xp, g, x.shape, axis, keepdims) * others.transpose(back)


@op(_prod_rule, twin=_product_tree, symbol="Π", local=["product of the others"])
def prod(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """The product of the elements (1 of none); its derivatives are exact with zeros among them.

    >>> x = tg.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> x.prod().backward()
    >>> x.grad.tolist()
    [0.0, 6.0, 0.0]
    """
    return x.prod(axis=axis, keepdims=keepdims)


def _logsumexp_rule(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    out = _kept(xp, out, x.shape, axis, keepdims)
    finite = xp.where(out == -math.inf, 0.0, out)
    return _kept(xp, g, x.shape, axis, keepdims) * xp.exp(x - finite)


@op(_logsumexp_rule, local=["softmax x"])
def logsumexp(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """ln Σ e^x without overflow; −inf, with gradient 0, where every element is −inf.

    >>> tg.logsumexp(tg.tensor([1000.0, 1000.0])).round(4).item()
    1000.693115234375
    """
    if x.size == 0:
        with_none = x.sum(axis=axis, keepdims=keepdims)
        return with_none - math.inf
    largest = x.max(axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)
    total = xp.exp(x - largest).sum(axis=axis, keepdims=True)
    with_zero = xp.where(total == 0, 1, total)
    out = xp.where(total == 0, -math.inf, xp.log(with_zero) + largest)
    return out if keepdims else out.reshape(x.max(axis=axis).shape)


# ------------------------------------------------------------ results without a gradient


@op(None)
def argmax(xp: Any, x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the largest element, the first among equals."""
    return x.argmax(axis=axis, keepdims=keepdims)


@op(None)
def argmin(xp: Any, x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the smallest element, the first among equals."""
    return x.argmin(axis=axis, keepdims=keepdims)


@op(None)
def any(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """Whether at least one element is true (not zero)."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@op(None)
def all(xp: Any, x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Any:
    """Whether every element is true (not zero)."""
    return xp.all(x, axis=axis, keepdims=keepdims)

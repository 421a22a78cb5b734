"""Comparisons and logic: booleans and bits, which have no gradient."""

from __future__ import annotations

from typing import Any

from ..backend import ArrayLike, Namespace
from ..engine.call import op
from ..hints import named

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_or",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
]


@op(None, None, symbol="=")
def equal(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x = y.

    >>> tg.equal(tg.tensor([1, 2, 3]), 2).tolist()
    [False, True, False]
    """
    return xp.equal(x, y)


@op(None, None, symbol="≠")
def not_equal(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x ≠ y.

    >>> tg.not_equal(tg.tensor([1, 2, 3]), 2).tolist()
    [True, False, True]
    """
    return xp.not_equal(x, y)


@op(None, None, symbol="<")
def less(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x < y.

    >>> tg.less(tg.tensor([1, 2, 3]), 2).tolist()
    [True, False, False]
    """
    return xp.less(x, y)


@op(None, None, symbol="≤")
def less_equal(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x ≤ y.

    >>> tg.less_equal(tg.tensor([1, 2, 3]), 2).tolist()
    [True, True, False]
    """
    return xp.less_equal(x, y)


@op(None, None, symbol=">")
def greater(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x > y.

    >>> tg.greater(tg.tensor([1, 2, 3]), 2).tolist()
    [False, False, True]
    """
    return xp.greater(x, y)


@op(None, None, symbol="≥")
def greater_equal(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x ≥ y.

    >>> tg.greater_equal(tg.tensor([1, 2, 3]), 2).tolist()
    [False, True, True]
    """
    return xp.greater_equal(x, y)


@op(None, None, symbol="and")
def logical_and(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x and y, as booleans.

    >>> tg.logical_and(tg.tensor([0, 1, 2]), True).tolist()
    [False, True, True]
    """
    return xp.logical_and(x, y)


@op(None, None, symbol="or")
def logical_or(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x or y, as booleans.

    >>> tg.logical_or(tg.tensor([0, 1, 2]), False).tolist()
    [False, True, True]
    """
    return xp.logical_or(x, y)


@op(None, None, symbol="xor")
def logical_xor(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """Whether exactly one of x and y is true.

    >>> tg.logical_xor(tg.tensor([0, 1, 2]), True).tolist()
    [True, False, False]
    """
    return xp.logical_xor(x, y)


@op(None, symbol="not")
def logical_not(xp: Namespace, x: ArrayLike) -> Any:
    """not x, as booleans.

    >>> tg.logical_not(tg.tensor([0, 1, 2])).tolist()
    [True, False, False]
    """
    return xp.logical_not(x)


@op(None, None, symbol="&")
def bitwise_and(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x & y of booleans or integers.

    >>> tg.bitwise_and(tg.tensor([1, 2, 3]), 2).tolist()
    [0, 2, 2]
    """
    return xp.bitwise_and(x, y)


@op(None, None, symbol="|")
def bitwise_or(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x | y of booleans or integers.

    >>> tg.bitwise_or(tg.tensor([1, 2, 3]), 2).tolist()
    [3, 2, 3]
    """
    return xp.bitwise_or(x, y)


@op(None, None, symbol="^")
def bitwise_xor(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x ^ y of booleans or integers.

    >>> tg.bitwise_xor(tg.tensor([1, 2, 3]), 2).tolist()
    [3, 0, 1]
    """
    return xp.bitwise_xor(x, y)


@op(None, symbol="~")
def bitwise_invert(xp: Namespace, x: ArrayLike) -> Any:
    """~x of booleans or integers.

    >>> tg.bitwise_invert(tg.tensor([True, False])).tolist()
    [False, True]
    """
    return xp.invert(x)


@op(None)
def isnan(xp: Namespace, x: ArrayLike) -> Any:
    """Whether x is NaN.

    >>> tg.isnan(tg.tensor([1.0, tg.nan])).tolist()
    [False, True]
    """
    return xp.isnan(x)


@op(None)
def isinf(xp: Namespace, x: ArrayLike) -> Any:
    """Whether x is infinite.

    >>> tg.isinf(tg.tensor([1.0, -tg.inf])).tolist()
    [False, True]
    """
    return xp.isinf(x)


@op(None)
def isfinite(xp: Namespace, x: ArrayLike) -> Any:
    """Whether x is neither infinite nor NaN.

    >>> tg.isfinite(tg.tensor([1.0, tg.inf, tg.nan])).tolist()
    [True, False, False]
    """
    return xp.isfinite(x)


@op(None, None, symbol="≈")
def isclose(
    xp: Namespace,
    x: ArrayLike,
    y: ArrayLike,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Any:
    """Whether |x − y| ≤ atol + rtol · |y|; equal infinities are close, NaNs only with `equal_nan`.

    >>> tg.isclose(tg.tensor([1.0, 2.0]), tg.tensor([1.000001, 2.1])).tolist()
    [True, False]
    """
    return xp.isclose(x, y, rtol, atol, equal_nan)


@named
def allclose(
    x: ArrayLike, y: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """True if all elements are close in the sense of `isclose`, else False.

    >>> tg.allclose(tg.tensor([1.0, 2.0]), tg.tensor([1.000001, 2.1]))
    False
    """
    return bool(isclose(x, y, rtol, atol, equal_nan).all())

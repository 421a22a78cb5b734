"""Elementwise operations: each line of rules is a line of a table of derivatives.

Every function works on Tensors, arrays and numbers, which broadcast as in NumPy. In a rule `g` is
the upstream gradient and `out` the result; for two arguments the rules come in their order. The
engine sums a broadcast gradient back to the shape of its argument.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array, ArrayLike, Namespace, constant
from ..engine.call import op
from ..kernels import arithmetic, native

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "divide",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "multiply",
    "negative",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]

_OnHost = np.ndarray  # rules compare types with it, since they may not use np
LARGE = 1 << 16  # numbers from which on several threads are worth it where little is computed


def _nothing(xp: Namespace, g: Array) -> Any:
    """The gradient of a step function: 0."""
    return xp.select(g, False)


# -------------------------------------------------------------------------------- arithmetic


@op(lambda g: g, lambda g: g, symbol="+", local=["1", "1"])
def add(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x + y.

    >>> tg.add(tg.tensor([1.0, 2.0]), 3.0).tolist()
    [4.0, 5.0]
    """
    if type(x) is _OnHost and x.size > LARGE:
        return arithmetic.add(x, y)
    return x + y


@op(lambda g: g, lambda g: -g, symbol="−", local=["1", "−1"])
def subtract(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x − y.

    >>> tg.subtract(tg.tensor([3.0, 5.0]), 1.0).tolist()
    [2.0, 4.0]
    """
    return xp.subtract(x, y)


def _times(g: Array, y: Array) -> Any:
    """g · y, on several threads if g is large."""
    return arithmetic.multiply(g, y) if g.size > LARGE else g * y


@op(
    lambda g, y: _times(g, y),
    lambda g, x: _times(g, x),
    symbol="×",
    scales=True,
    local=["y", "x"],
)
def multiply(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x · y.

    >>> tg.multiply(tg.tensor([3.0, 5.0]), 2.0).tolist()
    [6.0, 10.0]
    """
    if type(x) is _OnHost and x.size > LARGE:
        return arithmetic.multiply(x, y)
    return x * y


@op(lambda g, y: g / y, lambda g, y, out: -g * out / y, symbol="÷", local=["1/y", "−x/y²"])
def divide(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x / y; a floating result also for integers.

    >>> tg.divide(tg.tensor([1, 2]), 4).tolist()
    [0.25, 0.5]
    """
    return x / y


@op(_nothing, _nothing, symbol="//", local=["0", "0"])
def floor_divide(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """⌊x / y⌋; its derivative is 0, like that of `floor`.

    >>> tg.floor_divide(tg.tensor([7.0, -7.0]), 2.0).tolist()
    [3.0, -4.0]
    """
    return x // y


@op(
    lambda g: g, lambda xp, g, x, y: -g * xp.floor_divide(x, y), symbol="mod", local=["1", "−⌊x/y⌋"]
)
def remainder(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x − y·⌊x/y⌋, with the sign of y.

    >>> tg.remainder(tg.tensor([7.0, -7.0]), 3.0).tolist()
    [1.0, 2.0]
    """
    return xp.remainder(x, y)


@op(lambda g: -g, symbol="−", local=["−1"])
def negative(xp: Namespace, x: ArrayLike) -> Any:
    """−x.

    >>> tg.negative(tg.tensor([1.0, -2.0])).tolist()
    [-1.0, 2.0]
    """
    return -x


def _power_in_base(xp: Namespace, g: Array, x: Array, y: Array) -> Any:
    if isinstance(y, (int, float)):
        return g * (y * xp.pow(x, y - 1)) if y else xp.select(g, False)
    slope = y * xp.pow(x, xp.where(y == 0, 1.0, y - 1))  # at y = 0 not 1/x, infinite at x = 0
    return xp.select(g * slope, y != 0)


def _power_in_exponent(xp: Namespace, g: Array, x: Array, out: Array) -> Any:
    if isinstance(x, (int, float)):
        return g * (out * (math.log(x) if x > 0 else math.nan)) if x else xp.select(g, False)
    zero = x == 0
    return xp.select(g * (out * xp.log(xp.where(zero, 1.0, x))), xp.logical_not(zero))


@op(_power_in_base, _power_in_exponent, symbol="^", local=["y·x^(y−1)", "x^y·ln x"])
def pow(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """x to the power of y. At x = 0 the derivative in y is taken as 0, and in x as 0 where y = 0.

    >>> tg.pow(tg.tensor([2.0, 3.0]), 2).tolist()
    [4.0, 9.0]
    """
    if isinstance(y, (int, float)):  # NumPy's pow is ten times slower than these
        if y == 2:
            return x * x
        if y == 3:
            return x * x * x
        if y == 1:
            return x * 1
        if y == -1:
            return 1 / x
        if y == 0.5:
            return xp.sqrt(x)
        if y == -0.5:
            return 1 / xp.sqrt(x)
    return xp.power(x, y)


@op(lambda g, x: g * (2.0 * x), symbol="x²", local=["2x"])
def square(xp: Namespace, x: ArrayLike) -> Any:
    """x².

    >>> tg.square(tg.tensor([3.0, -4.0])).tolist()
    [9.0, 16.0]
    """
    return x * x


@op(lambda g, out: -g * out * out, symbol="1/x", local=["−1/x²"])
def reciprocal(xp: Namespace, x: ArrayLike) -> Any:
    """1 / x.

    >>> tg.reciprocal(tg.tensor([2.0, 4.0])).tolist()
    [0.5, 0.25]
    """
    return 1 / x


@op(lambda g, out: 0.5 * g / out, symbol="√", local=["1/(2√x)"])
def sqrt(xp: Namespace, x: ArrayLike) -> Any:
    """√x; its derivative at 0 is infinite.

    >>> tg.sqrt(tg.tensor([4.0, 9.0])).tolist()
    [2.0, 3.0]
    """
    return xp.sqrt(x)


@op(
    lambda g, x, out: g * (x / out),
    lambda g, y, out: g * (y / out),
    symbol="√(x²+y²)",
    local=["x/out", "y/out"],
)
def hypot(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """√(x² + y²), also where the squares would overflow.

    >>> f"{tg.ops.hypot(tg.tensor(3e30), tg.tensor(4e30)).item():.3g}"
    '5e+30'
    """
    return xp.hypot(x, y)


@op(lambda xp, g, x: g * xp.sign(x), symbol="|x|", local=["sign x"])
def abs(xp: Namespace, x: ArrayLike) -> Any:
    """|x|; its derivative at 0 is taken as 0.

    >>> tg.abs(tg.tensor([-2.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    return xp.abs(x)


@op(_nothing, local=["0"])
def sign(xp: Namespace, x: ArrayLike) -> Any:
    """−1, 0 or 1; booleans are returned unchanged.

    >>> tg.sign(tg.tensor([-2.0, 0.0, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return x.copy() if x.dtype.kind == "b" else xp.sign(x)


@op(_nothing, symbol="⌊x⌋", local=["0"])
def floor(xp: Namespace, x: ArrayLike) -> Any:
    """The largest integer ≤ x.

    >>> tg.floor(tg.tensor([1.7, -1.7])).tolist()
    [1.0, -2.0]
    """
    return xp.floor(x)


@op(_nothing, symbol="⌈x⌉", local=["0"])
def ceil(xp: Namespace, x: ArrayLike) -> Any:
    """The smallest integer ≥ x.

    >>> tg.ceil(tg.tensor([1.2, -1.2])).tolist()
    [2.0, -1.0]
    """
    return xp.ceil(x)


@op(_nothing, local=["0"])
def trunc(xp: Namespace, x: ArrayLike) -> Any:
    """x rounded to an integer, towards 0.

    >>> tg.trunc(tg.tensor([1.7, -1.7])).tolist()
    [1.0, -1.0]
    """
    return xp.trunc(x)


@op(_nothing, local=["0"])
def round(xp: Namespace, x: ArrayLike, decimals: int = 0) -> Any:
    """x rounded to a number of decimals, halves to even.

    >>> tg.round(tg.tensor([0.5, 1.5, 2.4])).tolist()
    [0.0, 2.0, 2.0]
    """
    return xp.round(x, decimals)


# ------------------------------------------------------------- exponentials and trigonometry


@op(lambda g, out: g * out, local=["exp x"])
def exp(xp: Namespace, x: ArrayLike) -> Any:
    """e to the power of x.

    >>> tg.exp(tg.tensor(0.0)).item()
    1.0
    """
    if native.dense(x) and x.dtype.char == "f":  # NumPy's loop for float64 is as fast
        return native.exp(x)
    return xp.exp(x)


@op(lambda xp, g, x: g * xp.exp(x), local=["exp x"])
def expm1(xp: Namespace, x: ArrayLike) -> Any:
    """e^x − 1, accurate for small x too.

    >>> f"{tg.expm1(tg.tensor(1.0)):.4f}"
    '1.7183'
    """
    return xp.expm1(x)


@op(lambda g, x: g / x, symbol="ln", local=["1/x"])
def log(xp: Namespace, x: ArrayLike) -> Any:
    """The natural logarithm: −inf at 0, NaN below.

    >>> tg.log(tg.exp(tg.tensor(2.0))).item()
    2.0
    """
    if native.dense(x) and x.dtype.char == "f":
        return native.log(x)
    return xp.log(x)


@op(lambda g, x: g / (x + 1.0), local=["1/(1+x)"])
def log1p(xp: Namespace, x: ArrayLike) -> Any:
    """ln(1 + x), accurate for small x too.

    >>> f"{tg.log1p(tg.tensor(1.0)):.4f}"
    '0.6931'
    """
    return xp.log1p(x)


@op(lambda g, x: g / (x * 0.6931471805599453), symbol="log₂", local=["1/(x·ln 2)"])
def log2(xp: Namespace, x: ArrayLike) -> Any:
    """The logarithm to base 2.

    >>> tg.log2(tg.tensor([1.0, 8.0])).tolist()
    [0.0, 3.0]
    """
    return xp.log2(x)


@op(lambda g, x: g / (x * 2.302585092994046), symbol="log₁₀", local=["1/(x·ln 10)"])
def log10(xp: Namespace, x: ArrayLike) -> Any:
    """The logarithm to base 10.

    >>> tg.log10(tg.tensor([1.0, 1000.0])).round(4).tolist()
    [0.0, 3.0]
    """
    return xp.log10(x)


@op(
    lambda xp, g, x, y: _share(xp, g, x, y),
    lambda xp, g, x, y: _share(xp, g, y, x),
    local=["1/(1+exp(y−x))", "1/(1+exp(x−y))"],
)
def logaddexp(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """ln(e^x + e^y) without overflow.

    The gradient of two arguments of −inf is 0; two of inf get half of it each.

    >>> f"{tg.logaddexp(tg.tensor(0.0), 0.0):.4f}"
    '0.6931'
    """
    return xp.logaddexp(x, y)


def _share(xp: Namespace, g: Array, x: Array, y: Array) -> Any:
    """g · σ(x − y), where x − y is 0 if x = y = ±inf, and 0 if x = −inf."""
    apart, least = xp.logical_or(x != y, xp.isfinite(x)), x == -math.inf
    if not isinstance(x, (int, float)) and not isinstance(y, (int, float)):
        x, y = xp.select(x, apart), xp.select(y, apart)
    share = xp.sigmoid(xp.select(x - y, apart))
    return g * xp.select(share, xp.logical_not(least))


@op(lambda xp, g, x: g * xp.cos(x), local=["cos x"])
def sin(xp: Namespace, x: ArrayLike) -> Any:
    """The sine of an angle in radians.

    >>> f"{tg.sin(tg.tensor(tg.pi / 2)):.4f}"
    '1.0000'
    """
    return xp.sin(x)


@op(lambda xp, g, x: -g * xp.sin(x), local=["−sin x"])
def cos(xp: Namespace, x: ArrayLike) -> Any:
    """The cosine of an angle in radians.

    >>> tg.cos(tg.tensor(0.0)).item()
    1.0
    """
    return xp.cos(x)


@op(lambda g, out: g * (1.0 + out * out), local=["1+tan²x"])
def tan(xp: Namespace, x: ArrayLike) -> Any:
    """The tangent of an angle in radians.

    >>> f"{tg.tan(tg.tensor(tg.pi / 4)):.4f}"
    '1.0000'
    """
    return xp.tan(x)


@op(lambda xp, g, x: g / xp.sqrt(1.0 - x * x), local=["1/√(1−x²)"])
def asin(xp: Namespace, x: ArrayLike) -> Any:
    """The angle in [−π/2, π/2] with sine x.

    >>> f"{tg.asin(tg.tensor(1.0)):.4f}"
    '1.5708'
    """
    return xp.arcsin(x)


@op(lambda xp, g, x: -g / xp.sqrt(1.0 - x * x), local=["−1/√(1−x²)"])
def acos(xp: Namespace, x: ArrayLike) -> Any:
    """The angle in [0, π] with cosine x.

    >>> f"{tg.acos(tg.tensor(0.0)):.4f}"
    '1.5708'
    """
    return xp.arccos(x)


@op(lambda g, x: g / (1.0 + x * x), local=["1/(1+x²)"])
def atan(xp: Namespace, x: ArrayLike) -> Any:
    """The angle in (−π/2, π/2) with tangent x.

    >>> f"{tg.atan(tg.tensor(1.0)):.4f}"
    '0.7854'
    """
    return xp.arctan(x)


def _turned(xp: Namespace, g: Array, x: Array, y: Array) -> Any:
    """g · y/(x² + y²), without squares, which may overflow or underflow."""
    distance = xp.hypot(x, y)
    return g * (y / distance / distance)


@op(
    lambda xp, g, x, y: _turned(xp, g, x, y),
    lambda xp, g, x, y: -_turned(xp, g, y, x),
    local=["y/(x²+y²)", "−x/(x²+y²)"],
)
def atan2(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """The angle of the point with ordinate x and abscissa y, in (−π, π].

    >>> f"{tg.atan2(tg.tensor(1.0), -1.0):.4f}"
    '2.3562'
    """
    return xp.arctan2(x, y)


@op(lambda xp, g, x: g * xp.cosh(x), local=["cosh x"])
def sinh(xp: Namespace, x: ArrayLike) -> Any:
    """The hyperbolic sine.

    >>> f"{tg.sinh(tg.tensor(1.0)):.4f}"
    '1.1752'
    """
    return xp.sinh(x)


@op(lambda xp, g, x: g * xp.sinh(x), local=["sinh x"])
def cosh(xp: Namespace, x: ArrayLike) -> Any:
    """The hyperbolic cosine.

    >>> f"{tg.cosh(tg.tensor(1.0)):.4f}"
    '1.5431'
    """
    return xp.cosh(x)


@op(lambda xp, g, x: g / xp.hypot(x, 1.0), local=["1/√(x²+1)"])
def asinh(xp: Namespace, x: ArrayLike) -> Any:
    """The number with hyperbolic sine x.

    >>> f"{tg.asinh(tg.tensor(1.0)):.4f}"
    '0.8814'
    """
    return xp.arcsinh(x)


@op(lambda xp, g, x: g / (xp.sqrt(x - 1.0) * xp.sqrt(x + 1.0)), local=["1/√(x²−1)"])
def acosh(xp: Namespace, x: ArrayLike) -> Any:
    """The number ≥ 0 with hyperbolic cosine x ≥ 1.

    >>> f"{tg.acosh(tg.tensor(2.0)):.4f}"
    '1.3170'
    """
    return xp.arccosh(x)


@op(lambda g, x: g / ((1.0 - x) * (1.0 + x)), local=["1/(1−x²)"])
def atanh(xp: Namespace, x: ArrayLike) -> Any:
    """The number with hyperbolic tangent x in (−1, 1).

    >>> f"{tg.atanh(tg.tensor(0.5)):.4f}"
    '0.5493'
    """
    return xp.arctanh(x)


def _tanh_rule(g: Array, out: Array) -> Any:
    if native.dense(g, out):
        return native.tanh_backward(g, out)
    one = constant(1.0, out.dtype) if type(out) is _OnHost else 1.0  # twice as fast
    return g * (one - out * out)


@op(_tanh_rule, local=["1−tanh²x"])
def tanh(xp: Namespace, x: ArrayLike) -> Any:
    """The hyperbolic tangent.

    >>> f"{tg.tanh(tg.tensor(1.0)):.4f}"
    '0.7616'
    """
    return native.tanh(x) if native.dense(x) else xp.tanh(x)


def _sigmoid_rule(g: Array, out: Array) -> Any:
    if native.dense(g, out):
        return native.sigmoid_backward(g, out)
    return g * (out * (1.0 - out))


@op(_sigmoid_rule, symbol="σ", local=["σ(1−σ)"], floating=True)
def sigmoid(xp: Namespace, x: ArrayLike) -> Any:
    """1 / (1 + e^−x), without overflow on either side.

    >>> tg.sigmoid(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.5, 1.0]
    """
    if native.dense(x):
        return native.sigmoid(x)
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        return 1 / (1 + xp.exp(-x))


def _softsign_rule(xp: Namespace, g: Array, x: Array) -> Any:
    total = 1.0 + xp.abs(x)
    return g / total / total  # the square might overflow


@op(_softsign_rule, local=["1/(1+|x|)²"])
def softsign(xp: Namespace, x: ArrayLike) -> Any:
    """x / (1 + |x|): between −1 and 1, with a slower approach than tanh.

    >>> tg.ops.softsign(tg.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """
    return x / (1 + xp.abs(x))


# ------------------------------------------------------------------ dtypes and devices


@op(lambda g: g, view=True, local=["1"])
def astype(xp: Namespace, x: ArrayLike, dtype: Any, copy: bool = False) -> Any:
    """x with another dtype; gradients flow between floating dtypes only.

    If x has that dtype already, the result shares its memory, unless `copy` is True.

    >>> tg.astype(tg.tensor([1.7, 2.2]), tg.int64).tolist()
    [1, 2]
    """
    return x.astype(dtype, copy=copy)


@op(lambda xp, g, residuals: xp.to_device(g, residuals), view=True, local=["1"])
def to_device(xp: Namespace, x: ArrayLike, device: str) -> Any:
    """x on another device: `"cpu"`, `"cuda"`, `"cuda:1"` …

    >>> tg.ops.to_device(tg.ones(2), "cpu").device
    'cpu'
    """
    return backend.to_device(x, device), backend.device_of(x)

"""Elementwise functions, comparison and logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg

Range = tuple[float, float]


def one(low: float = -2.0, high: float = 2.0, ties: float = 0.0, integers: bool = True) -> Any:
    """Draws one array: floating, or now and then of integers in [low, high]."""

    def draw(d: Draw) -> Config:
        shape = d.shape()
        if integers and d.chance(0.12):
            dtype = d.one_of([np.int64, np.int32, np.int8])
            return config(d.integers(shape, int(np.ceil(low)), int(high), dtype))
        return config(d.floats(shape, low, high, ties))

    return draw


def two(
    x: Range = (-2.0, 2.0), y: Range = (-2.0, 2.0), ties: float = 0.0, dtypes: float = 0.1
) -> Any:
    """Draws two arrays that broadcast, now and then of two `dtypes`, or an array and a number."""

    def draw(d: Draw) -> Config:
        first, second = d.broadcast(2)
        a = d.floats(first, *x, ties)
        if a.ndim and d.chance(dtypes):  # a number widens nothing in PyTorch, 0-d arrays included
            d.dtype = np.float64 if d.dtype == np.float32 else np.float32
            return config(a, d.floats(second or (1,), *y, ties))
        if d.chance(0.15):
            return config(a, d.number(*y)) if d.chance(0.5) else config(d.number(*x), a)
        return config(a, d.floats(second, *y, ties))

    return draw


def mixed(d: Draw) -> Config:
    """Draws two arrays and the weight of the second: a number, or an array that broadcasts."""
    first, second, third = d.broadcast(3)
    weight = d.number(-0.5, 1.5) if d.chance(0.4) else d.floats(third, -0.5, 1.5)
    return config(d.floats(first), d.floats(second), weight)


def with_integers(draw_floats: Callable[[Draw], Config], low: int, high: int) -> Any:
    """Draws as `draw_floats`, or now and then arrays of integers for one argument or both."""

    def draw(d: Draw) -> Config:
        if not d.chance(0.2):
            return draw_floats(d)
        first, second = d.broadcast(2, (1, 4))
        a = d.integers(first, low, high, d.one_of([np.int64, np.int32]))
        if d.chance(0.5):
            return config(a, d.floats(second or (1,), max(low, 0.3), high))
        return config(a, d.integers(second or (1,), low, high))

    return draw


def with_ties() -> Any:
    """Draws two arrays with many equal elements."""

    def draw(d: Draw) -> Config:
        first, second = d.broadcast(2)
        if d.chance(0.3):
            return config(d.integers(first, -1, 2), d.integers(second, -1, 2))
        x = d.floats(first, ties=0.8)
        return config(x, d.floats(second, ties=0.8) if d.chance(0.8) else d.integer(-1, 1))

    return draw


def truths(arity: int) -> Callable[[Draw], Config]:
    """Draws truth values, integers or floating numbers, zeros among them."""

    def draw(d: Draw) -> Config:
        make = d.one_of([d.booleans, lambda s: d.integers(s, 0, 2), lambda s: d.floats(s, ties=1)])
        return config(*(make(shape) for shape in d.broadcast(arity)))

    return draw


def bits(arity: int) -> Callable[[Draw], Config]:
    """Draws truth values or integers."""

    def draw(d: Draw) -> Config:
        make = d.one_of([d.booleans, lambda s: d.integers(s, -9, 9)])
        return config(*(make(shape) for shape in d.broadcast(arity)))

    return draw


def special(d: Draw) -> Config:
    """Draws numbers with NaN and infinities among them."""
    x = d.floats(d.shape())
    kinds = d.integers(x.shape, 0, 5)
    for kind, value in ((0, np.nan), (1, np.inf), (2, -np.inf)):
        x = np.where(kinds == kind, np.asarray(value, x.dtype), x)
    return config(x)


def powers(d: Draw) -> Config:
    """Draws a base and an exponent, either of them perhaps a number."""
    first, second = d.broadcast(2)
    if d.chance(0.4):
        exponent = d.one_of([0, 1, 2, 3, -1, 0.5, -0.5, 1.5, 2.0, -2])
        whole = isinstance(exponent, int)
        return config(d.floats(first, -2.0 if whole and exponent >= 0 else 0.3, 2.0), exponent)
    if d.chance(0.15):
        return config(d.number(0.3, 2.0), d.floats(second))
    if d.chance(0.15):
        return config(d.integers(first, 0, 4), d.integers(second, 0, 4))
    return config(d.floats(first, 0.3, 2.0), d.floats(second))


def zero_bases(d: Draw) -> Config:
    """Draws bases and exponents ≥ 0, zeros among both."""
    first, second = d.broadcast(2)
    exponents = d.integers(second, 0, 3).astype(d.dtype)
    return config(d.integers(first, 0, 2).astype(d.dtype), exponents)


def bounds(d: Draw) -> Config:
    """Draws an array and its limits: numbers, None, or arrays."""
    x = d.floats(d.shape(), ties=0.3)
    if d.chance(0.5):
        low, high = d.one_of([(None, 1.0), (-1.0, None), (-1.0, 1.0), (0.5, 0.5), (1, -1)])
        return config(x, low, high)
    return config(x, d.floats(x.shape, -1.0, 0.0), d.floats(x.shape[1:], 0.0, 1.0))


def choices(d: Draw) -> Config:
    """Draws a condition and two alternatives, one of them perhaps a number."""
    a, b, c = d.broadcast(3)
    y = d.floats(c) if d.chance(0.8) else d.number(-2, 2)
    return config(d.booleans(a), d.floats(b), y)


def rounded(d: Draw) -> Config:
    """Draws an array, halves among it, and a number of decimals."""
    decimals = d.one_of([0, 0, 1, 2])
    return config(d.floats(d.shape(), ties=0.0 if decimals else 0.5), decimals=decimals)


def converted(d: Draw) -> Config:
    """Draws an array and another dtype."""
    x = d.floats(d.shape(), -9, 9) if d.chance(0.7) else d.integers(d.shape(), 0, 9)
    return config(x, dtype=d.one_of(["float32", "float64", "int64", "int32", "int8", "bool"]))


def unary(name: str, draw: Any = None, theirs: Any = None, **options: Any) -> Pair:
    """A function that bears the same name in both libraries."""
    return Pair(name, getattr(tg, name), theirs or getattr(torch, name), draw or one(), **options)


def tensors_first(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """`theirs` for a number on either side, where PyTorch's function takes only tensors."""

    def function(x: Any, y: Any) -> Any:
        like = x if isinstance(x, torch.Tensor) else y
        x, y = (torch.as_tensor(a, dtype=getattr(a, "dtype", like.dtype)) for a in (x, y))
        return theirs(x, y)

    return function


def binary(name: str, theirs: Any, draw: Any = None, **options: Any) -> Pair:
    """A function of two arrays, or of an array and a number."""
    return Pair(name, getattr(tg, name), theirs, draw or two(), **options)


POSITIVE, INSIDE = (0.3, 2.0), (-0.9, 0.9)

PAIRS = [
    *(
        unary(name)
        for name in ("exp", "expm1", "square", "sin", "cos", "atan", "sinh", "cosh", "asinh")
    ),
    *(unary(name) for name in ("tanh", "sigmoid", "negative", "erf")),
    *(unary(name, one(ties=0.4)) for name in ("abs", "sign", "relu", "floor", "ceil", "trunc")),
    *(unary(name, one(*POSITIVE)) for name in ("log", "log2", "log10", "sqrt", "reciprocal")),
    *(unary(name, one(*INSIDE)) for name in ("log1p", "asin", "acos", "atanh")),
    Pair(
        "erf (in blocks)",
        tg.erf,
        torch.erf,
        lambda d: config(d.floats((d.integer(3, 5), 53, d.integer(60, 90)))),
        count=50,
    ),
    unary("tan", one(-1.3, 1.3)),
    unary("round", rounded),
    Pair(
        "leaky_relu",
        lambda x, slope: tg.leaky_relu(x, slope),
        lambda x, slope: torch.nn.functional.leaky_relu(x, slope),
        lambda d: config(d.floats(d.shape(), ties=0.4), slope=d.number(0, 1)),
    ),
    Pair(
        "astype",
        lambda x, dtype: tg.astype(x, dtype),
        lambda x, dtype: x.to(getattr(torch, dtype)),
        converted,
    ),
    binary("add", lambda x, y: x + y, with_integers(two(), -3, 3)),
    binary("subtract", lambda x, y: x - y, with_integers(two(), -3, 3)),
    binary("multiply", lambda x, y: x * y, with_integers(two(), -3, 3)),
    binary("divide", lambda x, y: x / y, with_integers(two(y=POSITIVE), 1, 4)),
    binary(
        "floor_divide",
        tensors_first(lambda x, y: torch.div(x, y, rounding_mode="floor")),
        with_integers(two((-9.0, 9.0), POSITIVE), 1, 4),
    ),
    binary(
        "remainder", tensors_first(torch.remainder), with_integers(two((-9.0, 9.0), POSITIVE), 1, 4)
    ),
    binary("pow", torch.pow, powers, count=100),
    Pair("pow (at zero)", tg.pow, torch.pow, zero_bases, order=1),
    Pair("hypot", tg.ops.hypot, tensors_first(torch.hypot), two(y=POSITIVE)),
    # PyTorch squares a float32 argument in float32, beside one of float64
    binary("atan2", tensors_first(torch.atan2), two(POSITIVE, dtypes=0.0)),
    binary("logaddexp", tensors_first(torch.logaddexp)),
    binary("maximum", tensors_first(torch.maximum), two(ties=0.4)),
    binary("minimum", tensors_first(torch.minimum), two(ties=0.4)),
    Pair("clip", tg.clip, torch.clamp, bounds),
    Pair("where", tg.where, torch.where, choices),
    binary("equal", torch.eq, with_ties()),
    binary("not_equal", torch.ne, with_ties()),
    binary("less", torch.lt, with_ties()),
    binary("less_equal", torch.le, with_ties()),
    binary("greater", torch.gt, with_ties()),
    binary("greater_equal", torch.ge, with_ties()),
    binary("logical_and", torch.logical_and, truths(2)),
    unary("acosh", one(1.2, 4.0)),
    binary("logical_or", torch.logical_or, truths(2)),
    binary("logical_xor", torch.logical_xor, truths(2)),
    Pair("lerp", tg.lerp, torch.lerp, mixed),
    unary("logical_not", truths(1)),
    binary("bitwise_and", torch.bitwise_and, bits(2)),
    binary("bitwise_or", torch.bitwise_or, bits(2)),
    binary("bitwise_xor", torch.bitwise_xor, bits(2)),
    unary("bitwise_invert", bits(1), torch.bitwise_not),
    *(unary(name, special) for name in ("isnan", "isinf", "isfinite")),
]

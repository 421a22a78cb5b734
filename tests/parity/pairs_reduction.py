"""Reductions, softmax, running sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg


def over(
    kind: str = "any",
    sizes: tuple[int, int] = (1, 4),
    empty: float = 0.08,
    ties: float = 0.0,
    integers: Any = (),
    least: int = 0,
    apart: bool = False,
) -> Callable[[Draw], Config]:
    """Draws an array, reduced axes and `keepdims`.

    Args:
        kind: of axes: "any", "one" or "several" (None, or a tuple).
        sizes: of the axes, at least and at most.
        empty: how often one size is 0.
        ties: how often the numbers are rounded to halves.
        integers: the dtypes of arrays of integers among those drawn.
        least: dimensions.
        apart: no two numbers are close to each other.
    """

    def draw(d: Draw) -> Config:
        shape = d.shape((least, 4), sizes, empty)
        if integers and d.chance(0.15):
            x = d.integers(shape, 0, 3, d.one_of(integers))
        else:
            x = d.apart(shape) if apart else d.floats(shape, ties=ties)
        if kind == "one":
            axis = d.axis(max(x.ndim, 1))
        elif kind == "several":
            count = d.integer(1, max(x.ndim, 1))
            axis = None if not x.ndim or d.chance(0.4) else d.axes_tuple(x.ndim, count)
        else:
            axis = d.axes(x.ndim)
        return config(x, axis=axis, keepdims=d.chance(0.5))

    return draw


def with_correction(d: Draw) -> Config:
    """Draws axes of at least two elements each, and a correction."""
    drawn = over(sizes=(2, 4), empty=0.0)(d)
    if not drawn.arrays[0].ndim:
        return config(d.floats((3,)), axis=None, correction=1, keepdims=False)
    return config(*drawn.arrays, correction=d.one_of([0, 0, 1]), **drawn.params)


def equal_numbers(d: Draw) -> Config:
    """Draws rows of equal numbers among others: halves, whose mean PyTorch does not round."""
    shape = d.shape((1, 3), (2, 4), 0.0)
    x = d.floats(shape, ties=1.0)
    equal = np.broadcast_to(x[..., :1], shape)
    rows = d.booleans((*shape[:-1], 1))
    return config(np.where(rows, equal, x), axis=-1, correction=d.one_of([0, 1]), keepdims=True)


def with_zeros(d: Draw) -> Config:
    """Draws factors with none, one or several zeros among them."""
    drawn = over(kind=d.one_of(["any", "one"]))(d)
    x = drawn.arrays[0]
    zeros = d.booleans(x.shape, d.one_of([0.0, 0.2, 0.5]))
    return config(np.where(zeros, np.asarray(0.0, x.dtype), x), **drawn.params)


def with_infinities(d: Draw) -> Config:
    """Draws numbers, now and then −inf among them, but never in the first slice of an axis."""
    drawn = over(kind="one", least=1, empty=0.0)(d)
    x, axis = drawn.arrays[0], drawn.params["axis"]
    holes = d.booleans(x.shape, d.one_of([0.0, 0.4]))
    np.moveaxis(holes, axis, 0)[0] = False
    return config(np.where(holes, np.asarray(-np.inf, x.dtype), x), axis=axis)


def line(initial: bool) -> Callable[[Draw], Config]:
    """Draws an array, zeros among it, and one axis."""

    def draw(d: Draw) -> Config:
        x = d.floats(d.shape((1, 4)), ties=0.3)
        return config(x, axis=d.axis(x.ndim), include_initial=initial and d.chance(0.4))

    return draw


def reduction(
    name: str, theirs: Callable[..., Any], draw: Any = None, variant: str = "", **options: Any
) -> Pair:
    """A function of an array, `axis` and `keepdims`."""
    label = f"{name} ({variant})" if variant else name
    return Pair(label, getattr(tg, name), theirs, draw or over(), **options)


def torch_prod(x: Any, axis: Any, keepdims: bool) -> Any:
    """PyTorch multiplies along one axis at a time."""
    if axis is None or not x.ndim:
        whole = torch.prod(x)
        return whole.reshape((1,) * x.ndim) if keepdims else whole
    axes = sorted(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))
    for a in reversed(axes):
        x = torch.prod(x, a, keepdim=keepdims)
    return x


def torch_every(function: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's `any` and `all`, with the axes named."""

    def every(x: Any, axis: Any, keepdims: bool) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return function(x != 0, dim=axes, keepdim=keepdims) if x.ndim else x != 0

    return every


def torch_all_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that wants its axes named, all of them for None."""

    def named(x: Any, axis: Any, keepdims: bool) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return function(x, dim=axes, keepdim=keepdims)

    return named


def torch_running(function: Callable[..., Any], start: float) -> Callable[..., Any]:
    """PyTorch's running sums and products begin with the first element."""

    def running(x: Any, axis: int, include_initial: bool) -> Any:
        first = torch.full_like(x.narrow(axis, 0, 1) if x.shape[axis] else x, start)
        if include_initial and not x.shape[axis]:
            shape = [1 if a == axis % x.ndim else n for a, n in enumerate(x.shape)]
            return torch.full(shape, start, dtype=x.dtype) + 0 * x.sum(axis, keepdim=True)
        out = function(x, axis)
        return torch.cat([first, out], axis) if include_initial else out

    return running


def axis_keepdims(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` under our argument names."""
    return lambda x, axis, keepdims, **more: function(x, dim=axis, keepdim=keepdims, **more)


NUMBERS = (np.int64, np.int32, np.int8, np.uint8)
WHOLE = (*NUMBERS, np.bool_)

PAIRS = [
    reduction("sum", axis_keepdims(torch.sum), over(integers=WHOLE), count=80),
    reduction("mean", axis_keepdims(torch.mean)),
    reduction("var", axis_keepdims(torch.var), with_correction),
    reduction("std", axis_keepdims(torch.std), with_correction),
    reduction("std", axis_keepdims(torch.std), equal_numbers, "of equal numbers", order=1),
    reduction("prod", torch_prod, with_zeros, count=100),
    reduction(
        "max",
        lambda x, axis, keepdims: torch.max(x, axis, keepdims).values,
        over("one", empty=0, ties=0.5, integers=WHOLE),
        "over one axis",
    ),
    reduction(
        "min",
        lambda x, axis, keepdims: torch.min(x, axis, keepdims).values,
        over("one", empty=0, ties=0.5, integers=WHOLE),
        "over one axis",
    ),
    reduction(
        "max", torch_all_axes(torch.amax), over("several", empty=0, ties=0.5), "over several"
    ),
    reduction(
        "min", torch_all_axes(torch.amin), over("several", empty=0, ties=0.5), "over several"
    ),
    reduction("logsumexp", torch_all_axes(torch.logsumexp), over(least=1)),
    reduction(
        "argmax", axis_keepdims(torch.argmax), over("one", empty=0, ties=0.5, integers=NUMBERS)
    ),
    reduction(
        "argmin", axis_keepdims(torch.argmin), over("one", empty=0, ties=0.5, integers=NUMBERS)
    ),
    Pair(
        "logsumexp (with infinities)",
        tg.logsumexp,
        lambda x, axis: torch.logsumexp(x, axis),
        with_infinities,
    ),
    reduction(
        "count_nonzero",
        lambda x, axis, keepdims: axis_keepdims(torch.sum)(x != 0, axis, keepdims),
        over(ties=0.5, integers=WHOLE),
    ),
    reduction("any", torch_every(torch.any), over(ties=0.5, integers=WHOLE)),
    reduction("all", torch_every(torch.all), over(ties=0.5, integers=WHOLE)),
    Pair("softmax", tg.softmax, lambda x, axis: torch.softmax(x, axis), with_infinities),
    Pair(
        "log_softmax", tg.log_softmax, lambda x, axis: torch.log_softmax(x, axis), with_infinities
    ),
    Pair("cumulative_sum", tg.cumulative_sum, torch_running(torch.cumsum, 0.0), line(True)),
    Pair("cumulative_prod", tg.cumulative_prod, torch_running(torch.cumprod, 1.0), line(True)),
]

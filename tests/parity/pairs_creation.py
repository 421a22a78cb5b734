"""Making arrays; and derivatives as functions of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg


def triangle(d: Draw) -> Config:
    """Draws matrices and a diagonal."""
    x = d.floats(d.shape((2, 4))) if d.chance(0.8) else d.integers(d.shape((2, 4)), -5, 5)
    return config(x, k=d.integer(-3, 3))


def filled(d: Draw) -> Config:
    """Draws a shape and a number."""
    value = d.one_of([0, 1, -2, 0.5, 2.5, True])
    return config(shape=d.shape(), value=value, dtype=d.one_of(["float32", "float64", "int64"]))


def counted(d: Draw) -> Config:
    """Draws where to begin, where to end and a step, of integers or of halves."""
    unit = d.one_of([1, 0.5])
    step = d.one_of([-3, -2, -1, 1, 2, 3]) * unit
    return config(start=d.integer(-5, 5) * unit, stop=d.integer(-5, 5) * unit, step=step)


def coordinates(d: Draw) -> Config:
    """Draws the axes of a grid."""
    axes = [d.floats((d.integer(1, 4),)) for _ in range(d.integer(1, 3))]
    return config(*axes, indexing=d.one_of(["xy", "ij"]))


def torch_arange(start: float, stop: float, step: float) -> Any:
    """Nothing, where the step leads away from the end: PyTorch's refuses that."""
    if (stop - start) * step < 0:
        stop = start
    return torch.arange(start, stop, step)


def torch_eye(n: int, m: int, k: int) -> Any:
    """PyTorch's `eye` has no diagonals beside the main one."""
    return torch.triu(torch.tril(torch.ones(n, m), k), k)


def curved(library: Any) -> Callable[..., Any]:
    """A function of two arrays, (n,) and (m, n), in either library: (m,)."""
    return lambda x, w: library.tanh(w @ (x * x)) * library.exp(-x).sum()


def summed(library: Any) -> Callable[..., Any]:
    """The same, added up."""
    return lambda x, w: (curved(library)(x, w) ** 2).sum()


def point(d: Draw) -> Config:
    """Draws the two arrays, and a direction for each."""
    m, n = d.integer(1, 3), d.integer(1, 3)
    shapes = [(n,), (m, n)]
    return config(*(d.floats(s, -1, 1) for s in shapes), *(d.floats(s, -1, 1) for s in shapes))


def ours_at(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of constants: it makes variables of its own."""
    return lambda *arrays: function(*(a.detach() for a in arrays))


def flat(result: Any) -> list[Any]:
    """A nest of tuples as a list."""
    if not isinstance(result, (tuple, list)):
        return [result.detach()]
    return [leaf for part in result for leaf in flat(part)]


def torchs_vjp(x: Any, w: Any, *_: Any) -> Any:
    y, pull = torch.func.vjp(curved(torch), x, w)
    return flat((y, pull(torch.ones_like(y))))


def our_vjp(x: Any, w: Any, *_: Any) -> Any:
    y, pull = tg.vjp(curved(tg), x, w)
    return flat((y, pull(tg.ones_like(y))))


TRANSFORMS = [
    Pair("vjp", ours_at(our_vjp), ours_at(torchs_vjp), point, order=0),
    Pair(
        "jvp",
        ours_at(lambda x, w, t, u: flat(tg.jvp(curved(tg), (x, w), (t, u)))),
        ours_at(
            lambda x, w, t, u: flat(torch.autograd.functional.jvp(curved(torch), (x, w), (t, u)))
        ),
        point,
        order=0,
    ),
    Pair(
        "jacobian",
        ours_at(lambda x, w, *_: flat(tg.jacobian(curved(tg), (x, w)))),
        ours_at(lambda x, w, *_: flat(torch.autograd.functional.jacobian(curved(torch), (x, w)))),
        point,
        order=0,
    ),
    Pair(
        "hessian",
        ours_at(lambda x, w, *_: flat(tg.hessian(summed(tg), (x, w)))),
        ours_at(lambda x, w, *_: flat(torch.autograd.functional.hessian(summed(torch), (x, w)))),
        point,
        order=0,
    ),
    Pair(
        "hvp",
        ours_at(lambda x, w, t, u: flat(tg.hvp(summed(tg), (x, w), (t, u)))),
        ours_at(
            lambda x, w, t, u: flat(torch.autograd.functional.hvp(summed(torch), (x, w), (t, u))[1])
        ),
        point,
        order=0,
    ),
]

PAIRS = [
    *TRANSFORMS,
    Pair("tril", tg.tril, lambda x, k: torch.tril(x, k), triangle),
    Pair("triu", tg.triu, lambda x, k: torch.triu(x, k), triangle),
    Pair(
        "full",
        lambda shape, value, dtype: tg.full(shape, value, getattr(tg, dtype)),
        lambda shape, value, dtype: torch.full(shape, value, dtype=getattr(torch, dtype)),
        filled,
    ),
    Pair("arange", tg.arange, torch_arange, counted),
    Pair(
        "linspace",
        lambda start, stop, num: tg.linspace(start, stop, num, dtype=tg.float64),
        lambda start, stop, num: torch.linspace(start, stop, num, dtype=torch.float64),
        lambda d: config(start=d.number(-2, 2), stop=d.number(-2, 2), num=d.integer(0, 9)),
    ),
    Pair(
        "eye",
        lambda n, m, k: tg.eye(n, m, k),
        torch_eye,
        lambda d: config(n=d.integer(0, 4), m=d.integer(0, 4), k=d.integer(-3, 3)),
    ),
    Pair(
        "tril_indices",
        lambda n, m, k: tg.tril_indices(n, k, m),
        lambda n, m, k: tuple(torch.tril_indices(n, m, k)),
        lambda d: config(n=d.integer(1, 4), m=d.integer(1, 4), k=d.integer(-3, 3)),
    ),
    Pair("meshgrid", tg.meshgrid, torch.meshgrid, coordinates),
]

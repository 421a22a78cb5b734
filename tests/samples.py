"""Sample inputs for operations, and whole families of them; the table itself is in `cases.py`.

Samples hold floating arrays (float64, away from kinks and ties: their gradients are compared with
differences), other arrays and numbers (constants), and static parameters. They cover broadcasting,
0-d, empty, transposed, sliced and channels-last arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One call: `arrays` (None and numbers among them) and, behind them, static `params`."""

    arrays: tuple[Any, ...]
    params: tuple[Any, ...] = ()
    smooth: bool = True  # whether differences make sense here; else only the value is compared


@dataclass(frozen=True)
class Case:
    """An operation's definition in NumPy and the calls on which the two are compared."""

    reference: Callable[..., Any]
    samples: list[Sample]
    elementwise: bool = False
    keeps_order: bool = False  # channels-last in, channels-last out: always true of elementwise


# ------------------------------------------------------------------------------------ arrays


def draw(
    shape: tuple[int, ...],
    low: float = -2.0,
    high: float = 2.0,
    layout: str = "C",
    avoid: Sequence[float] = (),
    seed: int = 0,
) -> Any:
    """Uniform numbers in [low, high), none within 0.05 of those in `avoid`, in a memory layout."""
    rng = np.random.default_rng([seed, *shape])
    values = np.asarray(rng.uniform(low, high, shape))
    for kink in avoid:
        values = np.where(np.abs(values - kink) < 0.05, values + 0.11, values)
    return laid_out(values, layout)


def laid_out(values: Any, layout: str) -> Any:
    """The same values: transposed in memory, as every second element, or channels last."""
    if layout == "transposed":
        return np.ascontiguousarray(values.T).T
    if layout == "sliced":
        spread = np.full([2 * n for n in values.shape], np.nan)
        every_second = tuple(slice(-1, None, -2) for _ in values.shape)
        spread[every_second] = values
        return spread[every_second]
    if layout == "NHWC":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return values


SHAPES = [
    ((3, 2), "C"),
    ((), "C"),
    ((0, 3), "C"),
    ((2, 3), "transposed"),
    ((2, 3), "sliced"),
    ((2, 3, 2, 2), "NHWC"),
]
PAIRS = [
    (((2, 3), "C"), ((2, 3), "C")),
    (((2, 3), "C"), ((3,), "C")),
    (((2, 1), "C"), ((1, 3), "transposed")),
    (((), "C"), ((2, 2), "sliced")),
    (((2, 2), "transposed"), ((), "C")),
    (((0, 3), "C"), ((1, 3), "C")),
    (((2, 3, 2, 2), "NHWC"), ((2, 3, 2, 2), "NHWC")),
    (((2, 3, 2, 2), "NHWC"), ((3, 1, 1), "C")),
]

Range = tuple[float, float]


def unary(
    reference: Any,
    low: float = -2.0,
    high: float = 2.0,
    avoid: Sequence[float] = (),
    params: tuple[Any, ...] = (),
) -> Case:
    """An elementwise function of one array."""
    drawn = [draw(shape, low, high, layout, avoid) for shape, layout in SHAPES]
    return Case(reference, [Sample((x,), params) for x in drawn], elementwise=True)


def binary(reference: Any, first: Range = (-2.0, 2.0), second: Range = (-2.0, 2.0)) -> Case:
    """An elementwise function of two arrays, also of an array and a number on either side."""
    samples = [
        Sample((draw(a, *first, layout_a), draw(b, *second, layout_b, seed=1)))
        for (a, layout_a), (b, layout_b) in PAIRS
    ]
    samples.append(Sample((draw((2, 3), *first), 1.5)))
    samples.append(Sample((1.5, draw((2, 3), *second))))
    return Case(reference, samples, elementwise=True)


INTEGERS = np.array([[0, 1, 2], [3, -1, 2]])
TRUTHS = np.array([[True, False, True], [False, False, True]])


def comparison(reference: Any) -> Case:
    """Two arrays with ties among them, integers, and a number."""
    x, y = INTEGERS * 1.0, np.array([0.0, 2.0, 2.0])
    pairs = [(x, y), (x, 2.0), (INTEGERS, INTEGERS.T[:1].T), (x.T, x.T), (x[:0], y), (x[0, 0], y)]
    nhwc = draw((2, 3, 2, 2), layout="NHWC").round()
    return Case(reference, [Sample(p) for p in [*pairs, (nhwc, nhwc * -1)]], elementwise=True)


def logic(reference: Any, arity: int = 2) -> Case:
    """Truth values and integers."""
    samples = [Sample((TRUTHS, TRUTHS[0])[:arity]), Sample((INTEGERS, INTEGERS[:, :1])[:arity])]
    samples.append(Sample((TRUTHS[:0], TRUTHS[:0])[:arity]))
    return Case(reference, samples, elementwise=True)


def reduced(
    reference: Any, low: float = -2.0, high: float = 2.0, empty: bool = True, seed: int = 3
) -> Case:
    """A reduction: over all, one, negative, several and no axes; of 0-d and of nothing."""
    x = functools.partial(draw, low=low, high=high, seed=seed)
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (x((2, 3)), ()),
        (x((2, 3)), (0,)),
        (x((2, 3), layout="transposed"), (-1, True)),
        (x((2, 2, 3), layout="sliced"), ((0, 2),)),
        (x((2, 2, 3)), ((-1, 1), True)),
        (x((2, 3)), (None, True)),
        (x((2, 3)), ((),)),
        (x(()), ()),
        (x((3, 0)), (0,)),
        (x((2, 3, 2, 2), layout="NHWC"), (1, True)),
    ]
    if empty:
        calls += [(x((0,)), ()), (x((2, 0)), (1,)), (x((2, 0)), ((0, 1), True))]
    return Case(reference, [Sample((array,), params) for array, params in calls])


def spread(reference: Any) -> Case:
    """Variance and standard deviation: `reduced` with a correction between axis and keepdims."""
    x = functools.partial(draw, seed=5)
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (x((2, 3)), ()),
        (x((2, 3)), (0,)),
        (x((2, 3), layout="transposed"), (-1, 1, True)),
        (x((2, 2, 3), layout="sliced"), ((0, 2), 1)),
        (x((2, 2, 2)), (None, 0.5, True)),
        (x((3, 0)), (0,)),
    ]
    return Case(reference, [Sample((array,), params) for array, params in calls])


def running(reference: Any, keeps_order: bool = False) -> Case:
    """A running sum or product."""
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (draw((5,)), ()),
        (draw((1,)), (0, True)),
        (draw((2, 4)), (1,)),
        (draw((3, 2), layout="transposed"), (0, True)),
        (draw((2, 3, 2), layout="sliced"), (-2,)),
        (np.array([2.0, 0.0, 3.0, 0.0]), ()),
        (draw((2, 3, 2, 2), layout="NHWC"), (1, True)),
    ]
    return Case(reference, [Sample((x,), params) for x, params in calls], keeps_order=keeps_order)

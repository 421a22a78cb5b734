"""Every operation of the registry: its definition in NumPy, and the samples it is compared on.

A case's reference takes what the operation takes, as NumPy arrays, and gives its value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from cases_algebra import CASES as ALGEBRA
from cases_fused import CASES as FUSED
from cases_spatial import CASES as SPATIAL
from samples import (
    INTEGERS,
    SHAPES,
    TRUTHS,
    Case,
    Sample,
    binary,
    comparison,
    draw,
    logic,
    reduced,
    running,
    spread,
    unary,
)

# ------------------------------------------------------------------- definitions in NumPy


def _pow(x: Any, y: Any) -> Any:
    return np.exp(y * np.log(x))


def _clip(x: Any, low: Any, high: Any) -> Any:
    above = x if low is None else np.maximum(x, low)
    return above if high is None else np.minimum(above, high)


def _keeping(function: Any) -> Any:
    """NumPy's function with `keepdims` as its third parameter, as ours."""
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims)


def _log_sum_exp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    with np.errstate(invalid="ignore"):
        count = np.ones(x.shape).sum(axis=axis, keepdims=keepdims)
        return np.divide(x.sum(axis=axis, keepdims=keepdims), count)


def _running(ufunc: Any) -> Any:
    def reference(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
        axis = axis or 0
        lines = np.moveaxis(x, axis, 0)
        sums = [ufunc.reduce(lines[:n], axis=0) for n in range(len(lines) + 1)]
        return np.moveaxis(np.array(sums if include_initial else sums[1:]), 0, axis)

    return reference


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Any:
    values = {"constant_values": constant_values} if mode == "constant" else {}
    return np.pad(x, pad_width, mode, **values)


def _scatter(values: Any, index: Any, shape: Any) -> Any:
    places = np.arange(math.prod(shape)).reshape(shape)[index]
    out = np.zeros(math.prod(shape))
    for place, value in zip(places.reshape(-1), values.reshape(-1), strict=True):
        out[place] += value
    return out.reshape(shape)


def _scatter_along_axis(values: Any, indices: Any, axis: int, shape: Any) -> Any:
    every = np.take_along_axis(np.arange(math.prod(shape)).reshape(shape), indices, axis)
    out = np.zeros(math.prod(shape))
    for place, value in zip(every.reshape(-1), values.reshape(-1), strict=True):
        out[place] += value
    return out.reshape(shape)


def _matmul(x: Any, y: Any) -> Any:
    left = "i" if x.ndim == 1 else "...ri"
    right = "i" if y.ndim == 1 else "...ic"
    out = "..." + "r" * (x.ndim > 1) + "c" * (y.ndim > 1)
    return np.einsum(f"{left},{right}->{out}", x, y)


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    return np.einsum("...i,oi->...o", x, weight) + (0.0 if bias is None else bias)


def _softmax(x: Any, axis: Any = -1) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def _reduction_of(losses: Any, reduction: str) -> Any:
    if reduction == "mean" and np.size(losses) == 0:
        return np.nan
    return {"none": np.asarray, "sum": np.sum, "mean": np.mean}[reduction](losses)


def _cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    rows = logits if logits.ndim == 1 else np.moveaxis(logits, 1, -1)
    losses = np.zeros(np.shape(target))
    for place in np.ndindex(losses.shape):
        losses[place] = -np.log(_softmax(rows[place])[target[place]])
    return _reduction_of(losses, reduction)


def _binary_cross_entropy(logits: Any, target: Any, reduction: str = "mean") -> Any:
    yes = 1 / (1 + np.exp(-logits))
    return _reduction_of(-(target * np.log(yes) + (1 - target) * np.log(1 - yes)), reduction)


INDICES: list[tuple[tuple[int, ...], Any]] = [
    ((3, 4), 1),
    ((3, 4), (slice(None), -1)),
    ((3, 4), (slice(None, None, 2), slice(3, None, -2))),
    ((3, 4), (None, 1, ..., None)),
    ((3, 4), np.array([0, 2, 0, -1])),
    ((3, 4), np.array([[0, 1], [1, 1]])),
    ((3, 4), (slice(None), np.array([1, -1, 1]))),
    ((2, 3, 2), (slice(None), np.array([[0, 2], [2, 0]]), slice(None))),
    ((3, 4), (np.array([0, 0, 2]), np.array([1, 1, -1]))),
    ((3, 4), (np.array([[0], [2]]), np.array([0, 0, 3]))),
    ((3, 4), np.array([True, False, True])),
    ((3, 4), (slice(None), np.array([True, False, False, True]))),
    ((2, 3), TRUTHS),
    ((3, 4), (np.array([True, False, True]), np.array([1, 1]))),
    ((3, 4), (np.array([True, False, True]), None, np.array([3, 0]))),
    ((2, 3, 2), (np.array([0, 0]), slice(None), np.array([1, 1]))),
    ((2, 3, 2), (..., np.array([1, 1, 0]))),
    ((3, 4), np.zeros(0, int)),
    ((3, 4), (np.array(1), slice(1, 3))),
    ((3, 4), (np.array([2, 2], np.uint8), 1)),
    ((3, 4), slice(3, 3)),
    ((3,), True),
    ((), ()),
    ((), None),
    ((0, 3), slice(None)),
    ((0, 3), (slice(None), np.array([2, 2]))),
]


def _index_samples() -> list[Sample]:
    samples = [Sample((draw(shape),), (index,)) for shape, index in INDICES]
    samples.append(Sample((draw((3, 4), layout="transposed"),), (np.array([1, 1]),)))
    samples.append(Sample((draw((3, 4), layout="sliced"),), ((slice(1, None), 2),)))
    inner = (slice(None), slice(1, None), slice(None), slice(None, 1))
    samples.append(Sample((draw((2, 3, 2, 2), layout="NHWC"),), (inner,)))
    return samples


def _values_for(samples: list[Sample]) -> list[Sample]:
    """Samples for the adjoint: values of the shape that was read, and the shape read from."""
    return [
        Sample((draw(x[index].shape, seed=4),), (index, x.shape))
        for (x,), (index,) in ((s.arrays, s.params) for s in samples)
    ]


ALONG: list[tuple[tuple[int, ...], Any, int]] = [
    ((3, 4), np.array([[0, 0], [3, 1], [-1, 2]]), 1),
    ((3, 4), np.array([[1], [1], [0]]), -1),
    ((3, 4), np.array([[2, 0, 2, 1]]), 0),
    ((3, 4), np.array([[1, 1]]), 1),  # indices broadcast along the other axis
    ((1, 4), np.array([[1, 1], [0, 3]]), 1),  # so does x
    ((4,), np.array([3, 3, 0]), 0),
    ((2, 3, 2), np.array([[[0, 1], [0, 0]]] * 2), 1),
    ((0, 3), np.zeros((0, 1), int), 1),
]


def _along_shape(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[int, ...]:
    return np.take_along_axis(np.zeros(shape), indices, axis).shape


TARGETS = np.array([2, 0, 1, 2])
MAP = draw((2, 3, 2, 2), layout="NHWC")
MAPS = np.array([[[0, 2]], [[1, 1]]])

CASES: dict[str, Case] = {
    "add": binary(np.add),
    "subtract": binary(np.subtract),
    "multiply": binary(np.multiply),
    "divide": binary(np.true_divide, second=(0.5, 2.0)),
    "floor_divide": binary(lambda x, y: np.floor(np.divide(x, y)), (0.3, 0.9), (1.1, 1.4)),
    "remainder": binary(lambda x, y: x - y * np.floor(x / y), (4.1, 4.9), (1.45, 1.6)),
    "negative": unary(lambda x: 0.0 - x),
    "pow": Case(
        _pow,
        [
            *binary(_pow, (0.5, 2.0), (-2.0, 3.0)).samples,
            *(Sample((draw((3,), 0.5, 2.0), y)) for y in (2, 3, 1, 0, -1, 0.5, -0.5, 4, -2.5)),
            Sample((2, draw((3,)))),
        ],
        elementwise=True,
    ),
    "square": unary(lambda x: x**2),
    "reciprocal": unary(lambda x: x**-1.0, 0.5, 2.0),
    "sqrt": unary(lambda x: x**0.5, 0.5, 4.0),
    "hypot": binary(lambda x, y: (x * x + y * y) ** 0.5, second=(0.3, 2.0)),
    "abs": unary(lambda x: np.where(x < 0, -x, x), avoid=[0.0]),
    "sign": unary(lambda x: 1.0 * (x > 0) - 1.0 * (x < 0), avoid=[0.0]),
    "floor": unary(np.floor, avoid=[-2.0, -1.0, 0.0, 1.0]),
    "ceil": unary(lambda x: -np.floor(-x), avoid=[-2.0, -1.0, 0.0, 1.0]),
    "round": Case(
        np.round,
        [
            *unary(np.round, avoid=[-1.5, -0.5, 0.5, 1.5]).samples,
            Sample((np.array([0.123, 0.987]),), (2,)),
            Sample((np.array([0.5, 1.5, -0.5]),), smooth=False),
        ],
        elementwise=True,
    ),
    "exp": unary(np.exp),
    "expm1": unary(np.expm1),
    "log": unary(np.log, 0.5, 4.0),
    "log1p": unary(np.log1p, -0.5, 4.0),
    "log2": unary(np.log2, 0.5, 4.0),
    "log10": unary(lambda x: np.log(x) / np.log(10), 0.5, 4.0),
    "logaddexp": binary(lambda x, y: np.log(np.exp(x) + np.exp(y))),
    "sin": unary(np.sin),
    "cos": unary(np.cos),
    "tan": unary(lambda x: np.sin(x) / np.cos(x), -1.0, 1.0),
    "asin": unary(np.arcsin, -0.8, 0.8),
    "acos": unary(np.arccos, -0.8, 0.8),
    "atan": unary(np.arctan),
    "atan2": binary(np.arctan2, (-2.0, 2.0), (0.3, 2.0)),
    "sinh": unary(lambda x: (np.exp(x) - np.exp(-x)) / 2),
    "asinh": unary(lambda x: np.log(x + np.sqrt(x * x + 1)), avoid=[-1.0, 1.0]),
    "acosh": unary(lambda x: np.log(x + np.sqrt(x * x - 1)), 1.3, 4.0),
    "atanh": unary(lambda x: np.log((1 + x) / (1 - x)) / 2, -0.8, 0.8),
    "trunc": unary(lambda x: np.sign(x) * np.floor(np.abs(x)), avoid=[-2.0, -1.0, 0.0, 1.0]),
    "cosh": unary(lambda x: (np.exp(x) + np.exp(-x)) / 2),
    "tanh": unary(np.tanh),
    "sigmoid": unary(lambda x: (1 + np.tanh(x / 2)) / 2, -4.0, 4.0),
    "softsign": unary(lambda x: x / (1 + np.abs(x)), avoid=[0.0]),
    "hardswish": unary(
        lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6, -5.0, 5.0, avoid=[-3.0, 3.0]
    ),
    "relu": unary(lambda x: np.where(x > 0, x, 0.0), avoid=[0.0]),
    "leaky_relu": Case(
        lambda x, slope=0.01: np.where(x > 0, x, slope * x),
        [
            *unary(None, avoid=[0.0]).samples,
            Sample((draw((4,), avoid=[0.0]),), (0.3,)),
        ],
        elementwise=True,
    ),
    "hardtanh": Case(
        lambda x, low=-1.0, high=1.0: np.where(x > high, high, np.where(x < low, low, x)),
        [
            *unary(None, avoid=[-1.0, 1.0]).samples,
            Sample((draw((4,), avoid=[-0.5, 1.5]),), (-0.5, 1.5)),
        ],
        elementwise=True,
    ),
    "maximum": binary(lambda x, y: np.where(np.greater(x, y), x, y)),
    "minimum": binary(lambda x, y: np.where(np.less(x, y), x, y)),
    "clip": Case(
        _clip,
        [
            Sample((draw((2, 3), avoid=[-1.0, 1.0]), -1.0, 1.0)),
            Sample((draw((2, 3), avoid=[0.5]), 0.5, None)),
            Sample((draw((2, 3), avoid=[0.5], layout="transposed"), None, 0.5)),
            Sample((draw((3,)), None, None)),
            Sample((draw((2, 3)), draw((3,), -1.0, 0.0, seed=1), draw((2, 1), 0.5, 1.0, seed=2))),
            Sample((draw((2, 3)), draw((3,), 0.5, 1.0, seed=1), draw((2, 1), -1, -0.1, seed=2))),
            Sample((draw(()), draw((2,), -1.0, 0.0, seed=1), 1.0)),
            Sample((draw((0, 3)), -1.0, 1.0)),
            Sample((draw((2, 3, 2, 2), avoid=[-1.0, 1.0], layout="NHWC"), -1.0, 1.0)),
        ],
        elementwise=True,
    ),
    "select": Case(
        lambda x, condition, scale=1.0: np.where(condition, scale * x, 0.0),
        [
            Sample((draw((2, 3)), TRUTHS)),
            Sample((draw((3,)), TRUTHS[:, :1])),
            Sample((draw((2, 3)), TRUTHS, 2.5)),
            Sample((draw((2, 3), layout="transposed"), TRUTHS)),
            Sample((draw((2, 3), layout="sliced"), TRUTHS[0])),
            Sample((draw(()), True)),
            Sample((draw((0, 3)), TRUTHS[:0])),
            Sample((draw((2, 3, 2, 2), layout="NHWC"), draw((2, 3, 2, 2), layout="NHWC") > 0)),
        ],
        elementwise=True,
    ),
    "where": Case(
        np.where,
        [
            Sample((TRUTHS, draw((2, 3)), draw((2, 3), seed=1))),
            Sample((TRUTHS[:, :1], draw((3,)), draw((), seed=1))),
            Sample((TRUTHS, draw((2, 3), layout="transposed"), -1.0)),
            Sample((INTEGERS, 2.0, draw((2, 3), layout="sliced"))),
            Sample((True, draw((2,)), draw((2,), seed=1))),
            Sample((TRUTHS[:0], draw((0, 3)), draw((3,), seed=1))),
            Sample(
                (
                    draw((2, 3, 2, 2), layout="NHWC") > 0,
                    draw((2, 3, 2, 2), layout="NHWC"),
                    draw((2, 3, 2, 2), layout="NHWC", seed=1),
                )
            ),
        ],
        elementwise=True,
    ),
    "astype": Case(
        lambda x, dtype: x.astype(dtype),
        [
            *(Sample((draw(shape, layout=layout),), (np.float64,)) for shape, layout in SHAPES),
            Sample((draw((2, 3)),), (np.int64,), smooth=False),
            Sample((INTEGERS,), (bool,)),
        ],
        elementwise=True,
    ),
    "to_device": Case(lambda x, device: x, [Sample((draw((2, 3)),), ("cpu",))], elementwise=True),
    "equal": comparison(np.equal),
    "not_equal": comparison(np.not_equal),
    "less": comparison(np.less),
    "less_equal": comparison(np.less_equal),
    "greater": comparison(np.greater),
    "greater_equal": comparison(np.greater_equal),
    "logical_and": logic(lambda x, y: (x != 0) * (y != 0)),
    "logical_or": logic(lambda x, y: ((x != 0) * 1 + (y != 0)) > 0),
    "logical_xor": logic(lambda x, y: ((x != 0) * 1 + (y != 0)) == 1),
    "logical_not": logic(lambda x: x == 0, 1),
    "bitwise_and": logic(np.bitwise_and),
    "bitwise_or": logic(np.bitwise_or),
    "bitwise_xor": logic(np.bitwise_xor),
    "bitwise_invert": logic(np.invert, 1),
    "isnan": unary(lambda x: x != x),
    "isinf": Case(
        lambda x: np.abs(x) > 1e300, [Sample((np.array([np.inf, -np.inf, np.nan, 1.0]),))]
    ),
    "isfinite": Case(
        lambda x: np.abs(x) < 1e300, [Sample((np.array([np.inf, -np.inf, np.nan, 1.0]),))]
    ),
    "reshape": Case(
        np.reshape,
        [
            Sample((draw((2, 3)),), ((3, -1),)),
            Sample((draw((2, 3), layout="transposed"),), (6,)),
            Sample((draw((2, 3), layout="sliced"),), ((1, 2, 3),)),
            Sample((draw(()),), ((1, 1),)),
            Sample((draw((1,)),), ((),)),
            Sample((draw((0, 3)),), ((3, 0),)),
        ],
    ),
    "permute_dims": Case(
        np.transpose,
        [
            Sample((draw((2, 3)),), ((1, 0),)),
            Sample((draw((2, 3, 2), layout="sliced"),), ((2, 0, 1),)),
            Sample((draw((2, 3, 2)),), ((-1, -3, 1),)),
            Sample((draw(()),), ((),)),
            Sample((draw((0, 3)),), ((1, 0),)),
        ],
    ),
    "broadcast_to": Case(
        np.broadcast_to,
        [
            Sample((draw((3,)),), ((2, 3),)),
            Sample((draw((2, 1), layout="transposed"),), ((3, 2, 2),)),
            Sample((draw(()),), ((2, 2),)),
            Sample((draw((1, 3)),), ((0, 3),)),
            Sample((draw((2, 3)),), ((2, 3),)),
        ],
    ),
    "flip": Case(
        np.flip,
        [
            Sample((draw((2, 3)),)),
            Sample((draw((2, 3), layout="transposed"),), (-1,)),
            Sample((draw((2, 3, 2), layout="sliced"),), ((0, 2),)),
            Sample((draw(()),)),
            Sample((draw((0, 3)),), (0,)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), (1,)),
        ],
        keeps_order=True,
    ),
    "roll": Case(
        np.roll,
        [
            Sample((draw((2, 3)),), (1,)),
            Sample((draw((2, 3), layout="transposed"),), (-4, 1)),
            Sample((draw((2, 3), layout="sliced"),), ((1, 2), (0, 1))),
            Sample((draw((4,)),), (np.int64(1), 0)),
            Sample((draw((0, 3)),), (2, 0)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), (1, 1)),
        ],
        keeps_order=True,
    ),
    "pad": Case(
        _pad,
        [
            Sample((draw((2, 3)),), (1,)),
            Sample((draw((2, 3), layout="transposed"),), ((1, 2), "constant", 5.0)),
            Sample((draw((2, 3), layout="sliced"),), (((1, 0), (3, 2)), "edge")),
            Sample((draw((2, 3)),), (((1, 3), (2, 2)), "reflect")),  # longer than the axis too
            Sample((draw((3,), layout="sliced"),), ((2, 1), "symmetric")),
            Sample((draw((2, 3), layout="transposed"),), (((0, 0), (2, 4)), "wrap")),
            Sample((draw((2, 3), layout="sliced"),), (((0, 1), (2, 0)),)),
            Sample((draw(()),), (0,)),
            Sample((draw((0, 3)),), (1,)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), (((0, 0), (0, 0), (1, 1), (1, 1)),)),
            Sample(
                (draw((2, 3, 2, 2), layout="NHWC"),), (((0, 0), (0, 0), (1, 1), (0, 1)), "reflect")
            ),
        ],
        keeps_order=True,
    ),
    "concat": Case(
        np.concatenate,
        [
            Sample((draw((2, 3)), draw((1, 3), seed=1))),
            Sample((draw((2, 1), layout="transposed"), draw((2, 2), layout="sliced")), (-1,)),
            Sample((draw((2,)), draw((0,)), draw((1,), seed=1))),
            Sample((draw((2, 2)), draw((3,), seed=1), draw(())), (None,)),
            Sample((draw((2,)),)),
            Sample(
                (draw((2, 3, 2, 2), layout="NHWC"), draw((2, 1, 2, 2), layout="NHWC", seed=1)),
                (1,),
            ),
        ],
        keeps_order=True,
    ),
    "stack": Case(
        np.stack,
        [
            Sample((draw((2, 3)), draw((2, 3), seed=1))),
            Sample((draw((2, 3), layout="transposed"), draw((2, 3), layout="sliced")), (-1,)),
            Sample((draw(()), draw((), seed=1), draw((), seed=2))),
            Sample((draw((0, 3)), draw((0, 3))), (1,)),
        ],
    ),
    "unstack": Case(
        lambda x, axis=0: [part.copy() for part in np.moveaxis(x, axis, 0)],
        [
            Sample((draw((3, 2)),)),
            Sample((draw((2, 3), layout="transposed"),), (-1,)),
            Sample((draw((4,), layout="sliced"),)),
            Sample((draw((1, 2)),)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), (1,)),
        ],
    ),
    "split": Case(
        np.split,
        [
            Sample((draw((4, 2)),), (2,)),
            Sample((draw((2, 5), layout="transposed"),), ([2, 2, 3], -1)),
            Sample((draw((5,), layout="sliced"),), ([3, 1, -1],)),
            Sample((draw((5,)),), ([-2, 9],)),
            Sample((draw((2, 0)),), (3, 1)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), ([1], 1)),
        ],
    ),
    "getitem": Case(lambda x, index: x[index], _index_samples(), keeps_order=True),
    "scatter": Case(_scatter, _values_for(_index_samples())),
    "take_along_axis": Case(
        np.take_along_axis, [Sample((draw(shape),), (i, axis)) for shape, i, axis in ALONG]
    ),
    "scatter_along_axis": Case(
        _scatter_along_axis,
        [
            Sample((draw(_along_shape(shape, i, axis), seed=4),), (i, axis, shape))
            for shape, i, axis in ALONG
        ],
    ),
    "matmul": Case(
        _matmul,
        [
            Sample((draw(a, layout=layout), draw(b, layout=layout, seed=1)))
            for a, b, layout in [
                ((2, 3), (3, 2), "C"),
                ((2, 3), (3, 2), "transposed"),
                ((2, 3), (3, 2), "sliced"),
                ((3,), (3,), "C"),
                ((2, 3), (3,), "C"),
                ((3,), (3, 2), "C"),
                ((2, 2, 3), (3, 2), "C"),
                ((2, 2, 3), (2, 3, 2), "sliced"),
                ((2, 1, 2, 3), (3, 3, 1), "C"),
                ((2, 3), (2, 3, 2), "C"),
                ((3,), (2, 3, 2), "C"),
                ((2, 2, 3), (3,), "C"),
                ((0, 3), (3, 2), "C"),
                ((2, 0), (0, 2), "C"),
                ((2, 0, 3), (3, 2), "C"),
            ]
        ],
    ),
    "sum": reduced(_keeping(np.sum)),
    "mean": reduced(_mean),
    "var": spread(lambda x, axis=None, c=0, k=False: np.var(x, axis, ddof=c, keepdims=k)),
    "std": spread(lambda x, axis=None, c=0, k=False: np.std(x, axis, ddof=c, keepdims=k)),
    "max": reduced(_keeping(np.max), empty=False),
    "min": reduced(_keeping(np.min), empty=False),
    "prod": reduced(_keeping(np.prod)),
    "logsumexp": reduced(_log_sum_exp),
    "cumulative_sum": running(_running(np.add), keeps_order=True),
    "cumulative_prod": running(_running(np.multiply)),
    "argmax": Case(
        _keeping(np.argmax),
        [Sample((draw((2, 3)),)), Sample((INTEGERS,), (1,)), Sample((INTEGERS,), (-2, True))],
    ),
    "argmin": Case(
        _keeping(np.argmin),
        [Sample((draw((2, 3)),)), Sample((INTEGERS,), (1,)), Sample((INTEGERS,), (-2, True))],
    ),
    "any": Case(
        lambda x, axis=None, keepdims=False: (x != 0).sum(axis, keepdims=keepdims) > 0,
        [Sample((TRUTHS,)), Sample((INTEGERS,), (0,)), Sample((TRUTHS[:0],), ((0, 1), True))],
    ),
    "all": Case(
        lambda x, axis=None, keepdims=False: (x == 0).sum(axis, keepdims=keepdims) == 0,
        [Sample((TRUTHS,)), Sample((INTEGERS,), (0,)), Sample((TRUTHS[:0],), ((0, 1), True))],
    ),
    "linear": Case(
        _linear,
        [
            Sample((draw((2, 3)), draw((2, 3), seed=1), draw((2,), seed=2))),
            Sample((draw((3,)), draw((2, 3), seed=1), draw((2,), seed=2))),
            Sample((draw((2, 2, 3), layout="sliced"), draw((2, 3), layout="transposed"), None)),
            Sample((draw((0, 3)), draw((2, 3), seed=1), draw((2,), seed=2))),
            Sample((draw((2, 2, 0)), draw((2, 0), seed=1), draw((2,), seed=2))),
        ],
    ),
    "softmax": Case(_softmax, []),
    "log_softmax": Case(lambda x, axis=-1: np.log(_softmax(x, axis)), []),
    "cross_entropy": Case(
        _cross_entropy,
        [
            Sample((draw((4, 3)), TARGETS)),
            Sample((draw((4, 3), layout="transposed"), TARGETS), ("sum",)),
            Sample((draw((2, 3, 1, 2), layout="NHWC"), MAPS), ("none",)),
            Sample((draw((3,)), np.array(1))),
            Sample((draw((3,)), np.array(2)), ("none",)),
            Sample((draw((0, 3)), TARGETS[:0])),
            Sample((draw((0, 3)), TARGETS[:0]), ("none",)),
        ],
    ),
    "binary_cross_entropy": Case(
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
        binary(None, (0.05, 0.95), (0.05, 0.95)).samples[:-2],  # without the numbers, which are 1.5
        elementwise=True,
    ),
    "binary_cross_entropy_with_logits": Case(
        _binary_cross_entropy,
        [
            Sample((draw((2, 3)), draw((2, 3), 0.0, 1.0, seed=1))),
            Sample((draw((2, 3), layout="transposed"), TRUTHS * 1.0), ("sum",)),
            Sample((draw((2, 3), layout="sliced"), TRUTHS), ("none",)),
            Sample((draw(()), draw((), 0.0, 1.0, seed=1))),
            Sample((draw((0, 3)), draw((0, 3)))),
            Sample(
                (draw((2, 3, 2, 2), layout="NHWC"), draw((2, 3, 2, 2), 0, 1, "NHWC")), ("none",)
            ),
        ],
        keeps_order=True,
    ),
}

_normalised = [
    Sample((draw((2, 3)),)),
    Sample((draw((3, 2), layout="transposed"),), (0,)),
    Sample((draw((2, 2, 2), layout="sliced"),), ((0, -1),)),
    Sample((draw((3,)),), (None,)),
    Sample((draw(()),), (None,)),
    Sample((draw((0, 3)),)),
    Sample((draw((2, 3, 2, 2), layout="NHWC"),), (1,)),
]
for _name in ("softmax", "log_softmax"):
    CASES[_name] = Case(CASES[_name].reference, _normalised, keeps_order=True)

CASES |= ALGEBRA
CASES |= FUSED
CASES |= SPATIAL

"""Convolution and pooling: their definitions, one number at a time, and samples."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from samples import Case, Sample, draw

from tinygrad_gm.ops.pooling import pool_geometry
from tinygrad_gm.ops.resampling import Weights


def resample(x: Any, weights: Any) -> Any:
    for axis, each in enumerate(weights, 2):
        if each is not None:
            matrix = np.zeros(each.shape)
            for row, column, value in zip(each.rows, each.columns, each.values, strict=True):
                matrix[row, column] += value
            x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


MEANS = Weights(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), np.full(4, 0.5), (2, 3))


def per_axis(value: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * ndim


def pairs(padding: Any, ndim: int) -> list[tuple[int, int]]:
    return [p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, ndim)]


def indices(*shape: int) -> Any:
    return itertools.product(*map(range, shape))


def taps(
    x_sizes: Any, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> list[tuple[tuple[int, ...], ...]]:
    """Every (window, place in it, position in x) that lies inside x."""
    ndim = len(kernel)
    stride, dilation = per_axis(stride, ndim), per_axis(dilation, ndim)
    before = [p[0] for p in pairs(padding, ndim)]
    found = []
    for i, k in itertools.product(indices(*shape), indices(*kernel)):
        axes = zip(i, k, stride, dilation, before, strict=True)
        at = tuple(a * s + b * d - p for a, b, s, d, p in axes)
        if all(0 <= a < n for a, n in zip(at, x_sizes, strict=True)):
            found.append((i, k, at))
    return found


def conv(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    ndim, kernel = w.ndim - 2, w.shape[2:]
    how = zip(
        x.shape[2:],
        kernel,
        per_axis(stride, ndim),
        pairs(padding, ndim),
        per_axis(dilation, ndim),
        strict=True,
    )
    shape = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in how]
    out = np.zeros((len(x), len(w), *shape))
    each, inner = len(w) // groups, w.shape[1]
    for i, k, at in taps(x.shape[2:], shape, kernel, stride, padding, dilation):
        for n, o, c in indices(len(x), len(w), inner):
            out[(n, o, *i)] += x[(n, o // each * inner + c, *at)] * w[(o, c, *k)]
    return out if bias is None else out + bias.reshape(-1, *(1,) * ndim)


def conv_transpose(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    ndim, kernel = w.ndim - 2, w.shape[2:]
    how = zip(
        x.shape[2:],
        kernel,
        per_axis(stride, ndim),
        pairs(padding, ndim),
        per_axis(output_padding, ndim),
        per_axis(dilation, ndim),
        strict=True,
    )
    shape = [(n - 1) * s - sum(p) + d * (k - 1) + 1 + e for n, k, s, p, e, d in how]
    each, inner = w.shape[1], len(w) // groups
    out = np.zeros((len(x), each * groups, *shape))
    for i, k, at in taps(shape, x.shape[2:], kernel, stride, padding, dilation):
        for n, c, o in indices(len(x), len(w), each):
            out[(n, c // inner * each + o, *at)] += x[(n, c, *i)] * w[(c, o, *k)]
    return out if bias is None else out + bias.reshape(-1, *(1,) * ndim)


def conv_weight_gradient(
    x: Any,
    y: Any,
    kernel: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    each, inner = y.shape[1] // groups, x.shape[1] // groups
    out = np.zeros((y.shape[1], inner, *kernel))
    for i, k, at in taps(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation):
        for n, o, c in indices(len(x), y.shape[1], inner):
            out[(o, c, *k)] += x[(n, o // each * inner + c, *at)] * y[(n, o, *i)]
    return out


def pooled_shape(
    sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> list[int]:
    shape = []
    for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        starts = [i for i in range(-p, n + p, s) if i + d * (k - 1) < n + p]
        last = starts[-1] + s
        shape.append(
            len(starts) + (ceil_mode and starts[-1] + d * (k - 1) < n + p - 1 and last < n)
        )
    return shape


def windows(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """Per window: its index, and its elements inside x as (position in x, place in the window)."""
    ndim = x.ndim - 2
    kernel, padding, dilation = (per_axis(v, ndim) for v in (kernel, padding, dilation))
    stride = kernel if stride is None else per_axis(stride, ndim)
    shape = pooled_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    inside: dict[Any, list[Any]] = {i: [] for i in indices(*shape)}
    for i, k, at in taps(x.shape[2:], shape, kernel, stride, padding, dilation):
        inside[i].append((at, int(np.ravel_multi_index(k, kernel))))
    return shape, inside


def max_pool(
    x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Any:
    shape, inside = windows(x, kernel, stride, padding, dilation, ceil)
    out = np.zeros((*x.shape[:2], *shape), x.dtype)
    for (n, c), (i, elements) in itertools.product(indices(*x.shape[:2]), inside.items()):
        out[(n, c, *i)] = max(x[(n, c, *at)] for at, _ in elements)
    return out


def argmax_pool(
    x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Any:
    shape, inside = windows(x, kernel, stride, padding, dilation, ceil)
    out = np.zeros((*x.shape[:2], *shape), int)
    for (n, c), (i, elements) in itertools.product(indices(*x.shape[:2]), inside.items()):
        best = max(elements, key=lambda element, n=n, c=c: x[(n, c, *element[0])])
        out[(n, c, *i)] = np.ravel_multi_index(best[0], x.shape[2:])
    return out


def gather_windows(x: Any, places: Any, geometry: Any) -> Any:
    shape, inside = windows(x, *geometry[:4], False)
    out = np.zeros((*x.shape[:2], *shape))
    for (n, c), (i, elements) in itertools.product(indices(*x.shape[:2]), inside.items()):
        at = {place: at for at, place in elements}.get(places[(n, c, *i)])
        out[(n, c, *i)] = 0.0 if at is None else x[(n, c, *at)]
    return out


def scatter_windows(values: Any, places: Any, shape: Any, geometry: Any) -> Any:
    out = np.zeros((*values.shape[:2], *shape))
    _, inside = windows(out, *geometry[:4], False)
    for (n, c), (i, elements) in itertools.product(indices(*out.shape[:2]), inside.items()):
        at = {place: at for at, place in elements}.get(places[(n, c, *i)])
        if at is not None:
            out[(n, c, *at)] += values[(n, c, *i)]
    return out


def divisors(x: Any, kernel: Any, stride: Any, padding: Any, include: bool, inside: Any) -> Any:
    """How many elements each window counts."""
    ndim = x.ndim - 2
    kernel, padding = per_axis(kernel, ndim), per_axis(padding, ndim)
    stride = kernel if stride is None else per_axis(stride, ndim)
    counts = {}
    for i, elements in inside.items():
        axes = zip(i, kernel, stride, padding, x.shape[2:], strict=True)
        padded = [min(a * s - p + k, n + p) - (a * s - p) for a, k, s, p, n in axes]
        counts[i] = math.prod(padded) if include else len(elements)
    return counts


def avg_pool(
    x: Any,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil: bool = False,
    include: bool = True,
    divisor: Any = None,
) -> Any:
    shape, inside = windows(x, kernel, stride, padding, 1, ceil)
    counts = divisors(x, kernel, stride, padding, include, inside)
    out = np.zeros((*x.shape[:2], *shape))
    for (n, c), (i, elements) in itertools.product(indices(*x.shape[:2]), inside.items()):
        out[(n, c, *i)] = sum(x[(n, c, *at)] for at, _ in elements) / (divisor or counts[i])
    return out


def avg_pool_transpose(y: Any, shape: Any, *how: Any) -> Any:
    out = np.zeros((*y.shape[:2], *shape))
    for place in indices(*shape):
        one = np.zeros((1, 1, *shape))
        one[(0, 0, *place)] = 1.0
        weights = avg_pool(one, *how)
        out[(..., *place)] = (weights * y).sum(axis=tuple(range(2, y.ndim)))
    return out


# -------------------------------------------------------------------------------------- samples

CONVOLUTIONS: list[tuple[Any, Any, bool, tuple[Any, ...]]] = [
    # x, weight, bias, stride, padding, dilation, groups
    ((2, 2, 5), (3, 2, 3), True, ()),
    ((2, 2, 6), (2, 2, 2), False, (2, 1)),
    ((1, 2, 7), (2, 1, 2), True, (3, ((2, 0),), 2, 2)),
    ((2, 2, 4, 3), (2, 2, 3, 2), True, ()),
    ((1, 2, 5, 4), (2, 2, 3, 3), False, (2, 1)),
    ((1, 1, 5, 6), (2, 1, 2, 3), True, ((2, 1), (1, 2), (2, 2))),
    ((2, 4, 3, 3), (4, 2, 2, 2), True, (1, 1, 1, 2)),
    ((1, 3, 4, 4), (3, 1, 3, 3), True, (1, 1, 1, 3)),
    ((1, 2, 4, 4), (4, 1, 2, 2), False, (2, 1, 1, 2)),
    ((2, 3, 3, 2), (2, 3, 1, 1), True, ()),
    ((1, 2, 3, 3), (2, 2, 1, 1), False, (2, 1)),
    ((1, 2, 3, 2, 3), (2, 2, 2, 2, 2), True, (1, (1, 0, 1))),
    ((0, 2, 4, 4), (2, 2, 3, 3), True, ()),
]


def _conv_samples() -> list[Sample]:
    samples = [
        Sample((draw(x), draw(w, seed=1), draw(w[:1], seed=2) if bias else None), params)
        for x, w, bias, params in CONVOLUTIONS
    ]
    nhwc = draw((2, 3, 4, 3), layout="NHWC"), draw((2, 3, 2, 2), layout="NHWC", seed=1)
    samples.append(Sample((*nhwc, draw((2,), seed=2)), (1, 1)))
    loose = draw((1, 2, 4, 3), layout="transposed"), draw((2, 2, 2, 2), layout="sliced", seed=1)
    samples.append(Sample((*loose, None)))
    return samples


def _transposed_samples() -> list[Sample]:
    calls: list[tuple[Any, Any, bool, tuple[Any, ...]]] = [
        # x, weight, bias, stride, padding, output_padding, dilation, groups
        ((2, 2, 3), (2, 3, 2), True, ()),
        ((1, 2, 3), (2, 1, 3), True, (2, 1, 1)),
        ((1, 2, 3), (2, 2, 2), False, (3, ((2, 0),), 2, 2, 2)),
        ((1, 1, 2), (1, 1, 1), True, (2, 1, 1, 3)),
        ((2, 2, 2, 3), (2, 2, 2, 2), True, (2,)),
        ((1, 2, 2, 2), (2, 2, 4, 4), False, (2, 1)),
        ((1, 2, 3, 2), (2, 1, 3, 2), True, ((1, 2), (1, 0), (0, 1), (2, 1), 2)),
        ((1, 2, 2, 2), (2, 2, 1, 1), True, (2, 0, 1)),
        ((1, 2, 2, 1, 2), (2, 1, 2, 2, 2), True, (2, 0, 0, 1, 2)),
        ((0, 2, 2, 2), (2, 3, 2, 2), True, (2,)),
    ]
    samples = []
    for x, w, bias, params in calls:
        outputs = w[1] * (params[4] if len(params) > 4 else 1)
        b = draw((outputs,), seed=2) if bias else None
        samples.append(Sample((draw(x), draw(w, seed=1), b), params))
    nhwc = draw((2, 3, 2, 3), layout="NHWC"), draw((3, 2, 3, 3), layout="NHWC", seed=1)
    samples.append(Sample((*nhwc, draw((2,), seed=2)), (2, 1)))
    return samples


def _weight_gradient_samples() -> list[Sample]:
    samples = []
    for x, w, _, params in CONVOLUTIONS:
        y = conv(np.zeros(x), np.zeros(w), None, *params)
        samples.append(Sample((draw(x), draw(y.shape, seed=1)), (w[2:], *params)))
    nhwc = draw((2, 3, 4, 3), layout="NHWC"), draw((2, 2, 3, 2), layout="NHWC", seed=1)
    samples.append(Sample(nhwc, ((2, 2),)))
    samples.append(Sample((draw((1, 1, 5)), draw((1, 1, 1), seed=1)), ((2,), 2)))  # not all windows
    return samples


def last(shape: tuple[int, ...]) -> str:
    """The layout that pooling keeps: channels last where there are four axes."""
    return "NHWC" if len(shape) == 4 else "C"


def apart(shape: tuple[int, ...], layout: str = "C") -> Any:
    """Numbers far enough apart that no difference changes which one is the largest."""
    x = draw(shape, layout=layout)
    values = np.random.default_rng(len(shape)).permutation(x.size) / 4.0
    x[...] = values.reshape(shape)
    return x


MAXIMA: list[tuple[Any, tuple[Any, ...]]] = [
    # x, kernel_size, stride, padding, dilation, ceil_mode
    ((2, 2, 6), (2,)),
    ((1, 2, 7), (3, 2, 1)),
    ((1, 1, 7), (2, 3, 0, 2, True)),
    ((2, 2, 4, 4), (2,)),
    ((1, 2, 5, 4), ((3, 2), (1, 2), 1)),
    ((1, 1, 5, 5), (2, 2, 0, 1, True)),
    ((1, 1, 6, 5), (3, 2, 1, (1, 2), True)),
    ((2, 3, 4, 4), (3, 2, 1)),
    ((1, 1, 3, 4, 3), (2, (1, 2, 1))),
    ((0, 2, 4, 4), (2,)),
]


def _max_samples() -> list[Sample]:
    samples = [Sample((apart(shape, last(shape)),), params) for shape, params in MAXIMA]
    samples.append(Sample((apart((1, 2, 6), "sliced"),), (2,)))
    samples.append(Sample((np.zeros((1, 1, 4, 4)),), (3, 2, 1), smooth=False))
    samples.append(Sample((np.full((1, 1, 4, 4), -np.inf),), (3, 2, 1), smooth=False))
    samples.append(Sample((np.array([[[3, -1, 2, 5]]]),), (2, 2, 1), smooth=False))
    return samples


def _places(x: Any, kernel: Any, how: tuple[Any, ...]) -> Any:
    """For every window a place in it that lies inside x."""
    rng = np.random.default_rng(0)
    shape, inside = windows(x, kernel, *how, False)
    places = np.zeros((*x.shape[:2], *shape), np.uint8)
    for n, c in indices(*x.shape[:2]):
        for i, elements in inside.items():
            places[(n, c, *i)] = elements[rng.integers(len(elements))][1]
    return places


def _gather_calls() -> list[tuple[Any, Any, Any]]:
    """The shape of x, the places, and the geometry."""
    calls = []
    for shape, kernel, how in [
        ((2, 2, 6), 2, (None, 0, 1)),
        ((1, 2, 7), 3, (2, 1, 1)),
        ((1, 2, 5, 4), (3, 2), ((1, 2), 1, 1)),
        ((1, 1, 5, 5), 2, (1, 0, 2)),
        ((1, 1, 3, 2, 3), 2, (1, 0, 1)),
        ((0, 2, 4, 4), 2, (None, 0, 1)),
    ]:
        geometry = pool_geometry("gather_windows", shape, kernel, *how)
        calls.append((shape, _places(np.zeros(shape), kernel, how), geometry))
    return calls


AVERAGES: list[tuple[Any, tuple[Any, ...]]] = [
    # x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    ((2, 2, 6), (2,)),
    ((1, 2, 7), (3, 2, 1)),
    ((1, 2, 7), (3, 2, 1, True, False)),
    ((1, 1, 6), (3, 2, 1, True)),
    ((2, 2, 4, 4), (2,)),
    ((1, 2, 5, 4), ((3, 2), (1, 2), 1, False, False)),
    ((1, 1, 5, 5), (2, 2, 0, True)),
    ((1, 1, 6, 5), (3, 2, 1, True, True, 5)),
    ((2, 3, 4, 4), (3, 2, 1)),
    ((1, 1, 3, 4, 3), (2, (1, 2, 1))),
    ((0, 2, 4, 4), (2,)),
]


def _average_samples() -> list[Sample]:
    samples = [Sample((draw(shape, layout=last(shape)),), params) for shape, params in AVERAGES]
    samples.append(Sample((draw((1, 2, 6), layout="sliced"),), (2,)))
    samples.append(Sample((draw((1, 2, 3), layout="transposed"),), (1,)))
    return samples


def _share_samples() -> list[Sample]:
    samples = []
    for sample in _average_samples():
        (x,) = sample.arrays
        shape = avg_pool(x, *sample.params).shape
        y = draw(shape, layout=last(shape), seed=1)
        samples.append(Sample((y,), (x.shape[2:], *sample.params)))
    return samples


_gathers = _gather_calls()

CASES: dict[str, Case] = {
    "conv": Case(conv, _conv_samples(), keeps_order=True),
    "conv_transpose": Case(conv_transpose, _transposed_samples(), keeps_order=True),
    "conv_weight_gradient": Case(
        conv_weight_gradient, _weight_gradient_samples(), keeps_order=True
    ),
    "max_pool": Case(max_pool, _max_samples(), keeps_order=True),
    "argmax_pool": Case(argmax_pool, _max_samples()),
    "gather_windows": Case(
        gather_windows, [Sample((draw(s),), (p, how)) for s, p, how in _gathers]
    ),
    "resample": Case(
        resample,
        [
            Sample((draw((2, 2, 3)),), ((MEANS,),)),
            Sample((draw((0, 2, 3)),), ((MEANS,),)),
            Sample((draw((2, 2, 3, 3), layout="transposed"),), ((None, MEANS),)),
            Sample((draw((2, 3, 3, 2), layout="NHWC"),), ((MEANS, MEANS.transposed),)),
        ],
        keeps_order=True,
    ),
    "scatter_windows": Case(
        scatter_windows,
        [Sample((draw(p.shape),), (p, s[2:], how)) for s, p, how in _gathers],
    ),
    "avg_pool": Case(avg_pool, _average_samples(), keeps_order=True),
    "avg_pool_transpose": Case(avg_pool_transpose, _share_samples(), keeps_order=True),
}

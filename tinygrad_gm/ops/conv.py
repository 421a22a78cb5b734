"""Convolution in any number of dimensions: three operations that are each other's derivatives.

Convolution is linear in the input x and in the weight w. With an upstream gradient g the three

    y = conv(x, w)      x̄ = conv_transpose(g, w)      w̄ = conv_weight_gradient(x, g)

satisfy ⟨y, g⟩ = ⟨x, x̄⟩ = ⟨w, w̄⟩. So the derivative of each in either argument is one of the other
two, and derivatives of any order need nothing else (Dumoulin & Visin 2016, chapter 4).

Arrays have the shape (N, C, *spatial). A result has the channels last in memory, as the kernels
need them for matrix products. A transposed convolution is a sum of ordinary ones, one for every
residue of the output's position modulo the stride.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import Array, ArrayLike, Arrays, Namespace, Shape
from ..engine.call import op
from ..kernels.convolution import convolved, paired, with_bias
from ..kernels.products import product
from ..kernels.windows import (
    Geometry,
    Padding,
    PerAxis,
    channels_first,
    channels_last,
    last_axes,
    pad_pairs,
    per_axis,
    window_count,
)
from .checks import check_shape
from .elementwise import add
from .indexing import getitem
from .matmul import matmul
from .shape import pad, permute_dims, reshape

__all__ = ["conv", "conv_transpose"]

# ------------------------------------------------------------------------------- the operations


def geometry(
    name: str, ndim: int, stride: PerAxis, padding: Padding, dilation: PerAxis
) -> Geometry:
    """Stride, padding and dilation with an entry per spatial axis."""
    return (
        per_axis(name, "stride", stride, ndim),
        pad_pairs(name, padding, ndim),
        per_axis(name, "dilation", dilation, ndim),
    )


def _cropped(x: Array, shape: Sequence[int]) -> Any:
    """x cut to `shape` along its spatial axes (output_padding may have made it longer)."""
    if tuple(x.shape[2:]) == tuple(shape):
        return x
    return x[last_axes(*(slice(0, n) for n in shape))]


def _transposed(xp: Namespace, g: Array, weight: Array, shape: Shape, settings: Arrays) -> Any:
    """The convolution's gradient in an input of spatial `shape`."""
    stride, padding, dilation, groups = settings
    sizes = zip(shape, g.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    extra = tuple(n + sum(p) - d * (k - 1) - 1 - (m - 1) * s for n, m, k, s, p, d in sizes)
    return xp.conv_transpose(g, weight, None, stride, padding, extra, dilation, groups)


def _bias_rule(xp: Namespace, g: Array) -> Any:
    return xp.sum(g, (0, *range(2, len(g.shape))))


def _conv_decomposition(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
) -> Any:
    """Pad, gather the windows, multiply each with the weight."""
    (count, channels, *_), (outputs, _, *kernel) = x.shape, weight.shape
    ndim, inner = len(kernel), channels // groups
    stride, padding, dilation = geometry("conv", ndim, stride, padding, dilation)
    x = pad(x, ((0, 0), (0, 0), *padding))
    shape = [*map(window_count, x.shape[2:], kernel, stride, dilation)]
    reads = []
    for axis, (n, k, s, d) in enumerate(zip(shape, kernel, stride, dilation, strict=True)):
        grid = [1] * (2 * ndim)
        grid[axis], grid[ndim + axis] = n, k
        reads.append((np.arange(n)[:, None] * s + np.arange(k) * d).reshape(grid))
    windows = getitem(x, (slice(None), slice(None), *reads))  # (N, C, *shape, *kernel)
    rows, size = math.prod(shape), math.prod(kernel)
    windows = permute_dims(reshape(windows, (count, groups, inner, rows, size)), (1, 0, 3, 2, 4))
    matrix = reshape(weight, (groups, outputs // groups, inner * size))
    columns = reshape(windows, (groups, count * rows, inner * size))
    y = matmul(columns, permute_dims(matrix, (0, 2, 1)))
    y = permute_dims(reshape(y, (groups, count, rows, outputs // groups)), (1, 0, 3, 2))
    y = reshape(y, (count, outputs, *shape))
    return y if bias is None else add(y, reshape(bias, (outputs, *(1,) * ndim)))


@op(
    lambda xp, g, x_shape, weight, residuals: _transposed(xp, g, weight, x_shape[2:], residuals),
    lambda xp, g, x, weight_shape, residuals: xp.conv_weight_gradient(
        x, g, weight_shape[2:], *residuals
    ),
    _bias_rule,
    decomposition=_conv_decomposition,
    closed=True,
    symbol="∗",
    local=["conv_transpose(·, weight)", "conv_weight_gradient(x, ·)", "1"],
)
def conv(
    xp: Namespace,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Any:
    """Convolution (cross-correlation) over any number of spatial axes, with an optional bias.

        y[n, o, i] = b[o] + Σ_c Σ_k x[n, c, stride·i + dilation·k − padding] · w[o, c, k]

    Args:
        x: (N, C, *spatial).
        weight: (O, C / groups, *kernel).
        bias: (O,) or None.
        stride, dilation: a number, or one per axis.
        padding: zeros around x: a number, one per axis, or a pair (before, after) per axis.
        groups: number of blocks of input and output channels, each convolved by itself.

    >>> tg.conv(tg.ones((1, 1, 4, 4)), tg.ones((1, 1, 3, 3)), padding=1)[0, 0, 0].tolist()
    [4.0, 6.0, 6.0, 4.0]
    """
    check_shapes("conv", x, weight, bias, groups)
    how = geometry("conv", weight.ndim - 2, stride, padding, dilation)
    shape = window_counts("conv", x.shape[2:], weight.shape[2:], how)
    out = convolved(xp, channels_last(x), weight, shape, how, groups, bias)
    return channels_first(out), (*how, groups)


@op(
    lambda xp, g, x_shape, weight, residuals: _cropped(
        xp.conv(g, weight, None, *residuals), x_shape[2:]
    ),
    lambda xp, g, x, weight_shape, residuals: xp.conv_weight_gradient(
        g, x, weight_shape[2:], *residuals
    ),
    _bias_rule,
    symbol="∗ᵀ",
    local=["conv(·, weight)", "conv_weight_gradient(·, x)", "1"],
)
def conv_transpose(
    xp: Namespace,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Any:
    """The transpose of the linear map `conv`: every input element stamps the weight on the output.

        y[n, o, stride·i + dilation·k − padding] += x[n, c, i] · w[c, o, k], over all c, i and k

    Args:
        x: (N, C, *spatial).
        weight: (C, O / groups, *kernel).
        bias: (O,) or None.
        stride, padding, dilation, groups: those of the convolution that this one transposes;
            padding cuts off.
        output_padding: number of elements added at the end of the result, a number or one per
            axis. A convolution with a stride gives the same size for several sizes of its input;
            this selects one of them.

    >>> tg.conv_transpose(tg.ones((1, 1, 2)), tg.tensor([[[1.0, 2.0, 3.0]]]), stride=2).tolist()
    [[[1.0, 2.0, 4.0, 2.0, 3.0]]]
    """
    check_shapes("conv_transpose", x, weight, bias, groups, transposed=True)
    kernel, sizes = weight.shape[2:], x.shape[2:]
    how = geometry("conv_transpose", len(kernel), stride, padding, dilation)
    extra = per_axis("conv_transpose", "output_padding", output_padding, len(kernel), least=0)
    shape = transposed_shape("conv_transpose", sizes, kernel, how, extra)
    if (
        groups == 1
        and sizes == (1,) * len(kernel)
        and shape == kernel
        and not any(map(any, how[1]))
    ):
        out = product(xp, x[last_axes(*(0 for _ in kernel))], weight.reshape(len(weight), -1))
        out = out.reshape(len(x), *weight.shape[1:])  # one stamp for each example
        out = xp.ascontiguousarray(channels_last(out))
        out = channels_first(out if bias is None else with_bias(xp, out, bias))
        return out, (*how, groups)
    inner, ones = weight.shape[0] // groups, (1,) * len(kernel)
    blocks = weight.reshape(groups, inner, *weight.shape[1:])
    weight = xp.swapaxes(blocks, 1, 2).reshape(-1, inner, *kernel)  # as `conv` has it
    x = channels_last(x)
    axes = [[*_phases(*axis)] for axis in zip(sizes, kernel, shape, *how, strict=True)]
    reached = all(sum(part[1] for part in parts) == n for parts, n in zip(axes, shape, strict=True))
    make = xp.empty if reached else xp.zeros
    out = make((x.shape[0], *shape, weight.shape[0]), xp.result_type(x, weight))
    for phase in itertools.product(*axes):
        places, counts, taps, margins, steps = zip(*phase, strict=True)
        part = out[last_axes(*places, slice(None))]
        taken = weight[last_axes(*taps)]
        convolved(xp, x, taken, counts, (ones, margins, steps), groups, None, part)
    out = channels_first(out if bias is None else with_bias(xp, out, bias))
    return out, (*how, groups)


def _phases(
    size: int, kernel: int, length: int, stride: int, padding: tuple[int, int], dilation: int
) -> Iterator[tuple[slice, int, slice, tuple[int, int], int]]:
    """Split a transposed convolution along one axis into ordinary ones of stride 1.

    The output at o adds up x[i]·w[k] over all i and k with stride·i + dilation·k = o + padding. A
    residue of o + padding modulo the stride admits every e-th k only, and when o moves on by the
    stride, i moves on by one. Yields per residue: the slice of its outputs, their number, its
    elements of the kernel in reversed order, the (possibly negative) padding of x, their dilation.
    """
    common = math.gcd(stride, dilation)
    every, step = stride // common, dilation // common
    for residue in range(stride):
        start = (residue - padding[0]) % stride
        count = len(range(start, length, stride))
        fitting = [k for k in range(kernel) if (k * dilation - residue) % stride == 0]
        if not fitting or not count:
            continue
        first, reach = fitting[0], len(fitting) - 1
        before = step * reach - (start + padding[0] - first * dilation) // stride
        after = count + step * reach - size - before
        taps = slice(fitting[-1], first - 1 if first else None, -every)
        yield slice(start, None, stride), count, taps, (before, after), step


@op(
    lambda xp, g, x_shape, y, residuals: _transposed(xp, y, g, x_shape[2:], residuals),
    lambda xp, g, x, y_shape, residuals: _cropped(xp.conv(x, g, None, *residuals), y_shape[2:]),
    symbol="∗ʷ",
    local=["conv_transpose(y, ·)", "conv(x, ·)"],
)
def conv_weight_gradient(
    xp: Namespace,
    x: ArrayLike,
    y: ArrayLike,
    kernel: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Any:
    """The gradient of a convolution's weight, the correlation of its input with y:

        out[o, c, k] = Σ_n Σ_i x[n, c, stride·i + dilation·k − padding] · y[n, o, i]

    y is the upstream gradient (N, O, *windows), x (N, C, *spatial), the result
    (O, C / groups, *kernel).

    >>> x, y = tg.tensor([[[1.0, 2.0, 3.0]]]), tg.tensor([[[1.0, 10.0]]])
    >>> tg.ops.conv_weight_gradient(x, y, (2,)).tolist()
    [[[21.0, 32.0]]]
    """
    kernel = tuple(kernel)
    name, counts = "conv_weight_gradient", y.shape[2:]
    if x.shape[1] % groups or y.shape[1] % groups:
        raise ValueError(
            f"{name}: groups must divide the channels {x.shape[1]} and {y.shape[1]}; got {groups}"
        )
    how = geometry(name, len(kernel), stride, padding, dilation)
    fit = window_counts(name, x.shape[2:], kernel, how)
    if x.ndim != y.ndim or x.shape[0] != y.shape[0] or any(map(int.__lt__, fit, counts)):
        raise ValueError(
            f"{name}: expected y (N, O, *windows) with at most {fit} windows; got {y.shape}"
        )
    x, y = channels_last(x), channels_last(y)
    return channels_first(paired(xp, x, y, kernel, how, groups)), (*how, groups)


# --------------------------------------------------------------------------------------- checks


def check_shapes(
    name: str, x: Array, weight: Array, bias: Array, groups: int, transposed: bool = False
) -> None:
    """Raise ValueError, in the name of `name`, unless input, weight, bias and groups fit."""
    xs, ws = tuple(np.shape(x)), tuple(np.shape(weight))
    layout = "(C, O / groups, *kernel)" if transposed else "(O, C / groups, *kernel)"
    if len(ws) < 3 or len(xs) != len(ws) or 0 in ws or 0 in xs[1:]:
        raise ValueError(
            f"{name}: expected an input (N, C, *spatial) and a weight {layout}; got input {xs} and "
            f"weight {ws}"
        )
    channels, outputs = (ws[0], ws[1] * groups) if transposed else (ws[1] * groups, ws[0])
    if not isinstance(groups, int) or groups < 1 or ws[0] % groups:
        raise ValueError(
            f"{name}: groups must divide the {ws[0]} channels of the weight {ws}; got {groups}"
        )
    if xs[1] != channels:
        raise ValueError(
            f"{name}: a weight {ws} with groups={groups} needs {channels} input channels; got "
            f"input {xs} with {xs[1]}"
        )
    check_shape(name, (outputs,), "bias", bias)


def window_counts(
    name: str, sizes: Sequence[int], kernel: Sequence[int], geometry: Geometry
) -> Shape:
    """The spatial shape of a convolution's result; ValueError where no window fits."""
    stride, padding, dilation = geometry
    padded = tuple(n + sum(p) for n, p in zip(sizes, padding, strict=True))
    counts = tuple(map(window_count, padded, kernel, stride, dilation))
    if min(counts) < 1:
        raise ValueError(
            f"{name}: a kernel {tuple(kernel)} with dilation {dilation} is larger than the padded "
            f"input {padded}"
        )
    return counts


def transposed_shape(
    name: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    geometry: Geometry,
    output_padding: Sequence[int],
) -> Shape:
    """The spatial shape of a transposed convolution's result; ValueError where it is empty."""
    axes = zip(sizes, kernel, *geometry, output_padding, strict=True)
    shape = tuple((n - 1) * s - sum(p) + d * (k - 1) + 1 + e for n, k, s, p, d, e in axes)
    if min(shape) < 1:
        raise ValueError(f"{name}: padding {geometry[1]} leaves a result of size {shape}")
    return shape

"""Convolution and pooling as functions under PyTorch's names, with its arguments and shapes.

The operations take any number of spatial axes; the functions here fix it, check their arguments,
and accept an input without the batch axis. `F` has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...backend import ArrayLike
from ...kernels.windows import PerAxis, per_axis
from ...ops import avg_pool, conv, conv_transpose, max_pool
from ...ops.conv import check_shapes, geometry, transposed_shape, window_counts
from ...ops.pooling import argmax_pool, pool_geometry
from ...tensor import Tensor, asarray
from .axes import Axes, over

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Padding = str | int | Sequence[int]

# ---------------------------------------------------------------------------------- convolution


def _conv(
    at: Axes,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    name, ndim = at
    x, alone = at.batched(input)
    weight = asarray(weight)
    check_shapes(name, x, weight, bias, groups)
    kernel, gaps = weight.shape[2:], per_axis(name, "dilation", dilation, ndim)
    pads: Any = padding
    if padding == "valid":
        pads = 0
    elif padding == "same":
        if per_axis(name, "stride", stride, ndim) != (1,) * ndim:
            raise ValueError(f'{name}: padding="same" needs stride 1; got stride={stride}')
        pads = same_padding(kernel, gaps)
    elif isinstance(padding, str):
        raise ValueError(f'{name}: padding must be a number, "same" or "valid"; got {padding!r}')
    how = geometry(name, ndim, stride, pads, gaps)
    window_counts(name, x.shape[2:], kernel, how)
    y = conv(x, weight, bias, *how, groups)
    return y[0] if alone else y


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The pair (before, after) per axis that keeps the size; an odd element comes after."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


@over(1, _conv)
def conv1d() -> None:
    """`conv2d` with one spatial axis: (N, C, L) and (O, C / groups, K) give (N, O, L′).

    >>> F.conv1d(tg.tensor([[[1.0, 2.0, 4.0]]]), tg.tensor([[[-1.0, 1.0]]])).tolist()
    [[[1.0, 2.0]]]
    """


@over(2, _conv)
def conv2d() -> None:
    """Convolution (cross-correlation) of images with a bank of filters.

        y[n, o, i] = b[o] + Σ_c Σ_k x[n, c, stride·i + dilation·k − padding] · w[o, c, k]

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, dilation: a number, or one per axis.
        padding: number of zeros added to each side, or one per axis; "valid": none; "same": the
            number that keeps the size (for stride 1).
        groups: number of separate blocks of input and output channels; C: depthwise.

    Returns:
        (N, O, H′, W′) with H′ = ⌊(H + 2·padding − dilation·(KH − 1) − 1) / stride⌋ + 1.

    Raises:
        ValueError: shapes that do not fit together, or a kernel larger than the padded input.

    >>> F.conv2d(tg.ones((8, 3, 28, 28)), tg.ones((16, 3, 5, 5)), stride=2, padding=2).shape
    (8, 16, 14, 14)
    """


@over(3, _conv)
def conv3d() -> None:
    """`conv2d` with three spatial axes: (N, C, D, H, W) and (O, C / groups, KD, KH, KW).

    >>> F.conv3d(tg.ones((1, 2, 4, 4, 4)), tg.ones((5, 2, 3, 3, 3)), padding="same").shape
    (1, 5, 4, 4, 4)
    """


def _conv_transpose(
    at: Axes,
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    name, ndim = at
    x, alone = at.batched(input)
    weight = asarray(weight)
    check_shapes(name, x, weight, bias, groups, transposed=True)
    steps, pads, gaps = geometry(name, ndim, stride, padding, dilation)
    extra = per_axis(name, "output_padding", output_padding, ndim, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, gaps, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding less than the stride {steps} or the dilation {gaps}; "
            f"got {output_padding}"
        )
    transposed_shape(name, x.shape[2:], weight.shape[2:], (steps, pads, gaps), extra)
    y = conv_transpose(x, weight, bias, steps, pads, extra, gaps, groups)
    return y[0] if alone else y


@over(1, _conv_transpose)
def conv_transpose1d() -> None:
    """`conv_transpose2d` with one spatial axis: (N, C, L) and (C, O / groups, K) give (N, O, L′).

    >>> F.conv_transpose1d(tg.ones((1, 1, 2)), tg.ones((1, 1, 3)), stride=2).tolist()
    [[[1.0, 1.0, 2.0, 1.0, 1.0]]]
    """


@over(2, _conv_transpose)
def conv_transpose2d() -> None:
    """The transpose of `conv2d`: every input pixel adds a scaled copy of the filters to a larger
    output.

        y[n, o, stride·i + dilation·k − padding] += x[n, c, i] · w[c, o, k], over all c, i and k

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        weight: (C, O / groups, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation, groups: those of the transposed convolution; padding removes.
        output_padding: number of elements added at the end; less than the stride or the dilation.

    Returns:
        (N, O, H′, W′), H′ = (H − 1)·stride − 2·padding + dilation·(KH − 1) + output_padding + 1.

    Raises:
        ValueError: shapes that do not fit together, or a padding that leaves nothing.

    >>> F.conv_transpose2d(tg.ones((8, 16, 7, 7)), tg.ones((16, 3, 4, 4)), None, 2, 1).shape
    (8, 3, 14, 14)
    """


@over(3, _conv_transpose)
def conv_transpose3d() -> None:
    """`conv_transpose2d` with three spatial axes: (N, C, D, H, W) and (C, O / groups, KD, KH, KW).

    >>> F.conv_transpose3d(tg.ones((1, 2, 2, 2, 2)), tg.ones((2, 5, 2, 2, 2)), None, 2).shape
    (1, 5, 4, 4, 4)
    """


# -------------------------------------------------------------------------------------- pooling


def _max_pool(
    at: Axes,
    input: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    x, alone = at.batched(input)
    how = (kernel_size, stride, padding, dilation, ceil_mode)
    pool_geometry(at.name, x.shape, *how)
    y = max_pool(x, *how)
    if not return_indices:
        return y[0] if alone else y
    indices = argmax_pool(x, *how)
    return (y[0], indices[0]) if alone else (y, indices)


@over(1, _max_pool)
def max_pool1d() -> None:
    """`max_pool2d` with one spatial axis: (N, C, L).

    >>> F.max_pool1d(tg.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
    [[[3.0, 2.0]]]
    """


@over(2, _max_pool)
def max_pool2d() -> None:
    """The largest element of every window; among equal ones the gradient goes to the first.

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        kernel_size: the size of the window, a number or one per axis, as below.
        stride: step between windows; None: kernel_size.
        padding: number of −inf elements added to each side, at most half of the window.
        dilation: step between the elements of a window.
        ceil_mode: round the number of windows up; the last may extend past the end.
        return_indices: also return the index of each maximum in the flattened H × W.

    Raises:
        ValueError: no window fits, or too much padding.

    >>> F.max_pool2d(tg.zeros((8, 16, 28, 28)), 3, stride=2, padding=1).shape
    (8, 16, 14, 14)
    """


@over(3, _max_pool)
def max_pool3d() -> None:
    """`max_pool2d` with three spatial axes: (N, C, D, H, W).

    >>> F.max_pool3d(tg.zeros((1, 2, 4, 4, 4)), 2).shape
    (1, 2, 2, 2, 2)
    """


def _avg_pool(
    at: Axes,
    input: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    x, alone = at.batched(input)
    pool_geometry(at.name, x.shape, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise ValueError(f"{at.name}: divisor_override must not be 0")
    y = avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return y[0] if alone else y


def avg_pool1d(
    input: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` with one spatial axis, (N, C, L), and without divisor_override.

    >>> F.avg_pool1d(tg.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
    [[[2.0, 1.0]]]
    """
    at = Axes("avg_pool1d", 1)
    return _avg_pool(at, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


@over(2, _avg_pool)
def avg_pool2d() -> None:
    """The mean of every window.

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        kernel_size: the size of the window, a number or one per axis, as below.
        stride: step between windows; None: kernel_size.
        padding: number of zeros added to each side, at most half of the window.
        ceil_mode: round the number of windows up; the last may extend past the end.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: divisor instead of the number of elements.

    Raises:
        ValueError: no window fits, too much padding, or a divisor of 0.

    >>> F.avg_pool2d(tg.ones((1, 1, 3, 3)), 3, 1, 1, count_include_pad=False)[0, 0, 0].tolist()
    [1.0, 1.0, 1.0]
    """


@over(3, _avg_pool)
def avg_pool3d() -> None:
    """`avg_pool2d` with three spatial axes: (N, C, D, H, W).

    >>> F.avg_pool3d(tg.zeros((1, 2, 4, 4, 4)), 2).shape
    (1, 2, 2, 2, 2)
    """

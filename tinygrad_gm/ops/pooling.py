"""Pooling over windows: the largest element, with its adjoint pair, and the average, with its own.

A maximum saves its place in the window. Its gradient is written to those places
(`scatter_windows`), whose gradient reads there (`gather_windows`), and so on. The average is
linear: `avg_pool` and `avg_pool_transpose` are each other's gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import Array, ArrayLike, Arrays, Namespace, Shape
from ..engine.call import op
from ..kernels import pooling as kernels
from ..kernels.pooling import Pooling
from ..kernels.windows import PerAxis, per_axis, window_count

__all__ = ["avg_pool", "max_pool"]


def pool_geometry(
    name: str,
    shape: Sequence[int],
    kernel: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Pooling:
    """(kernel, stride, padding, dilation, windows), each with one number per spatial axis.

    With `ceil_mode` a last window may reach past the end if it starts in x or in the left padding.
    """
    ndim = len(shape) - 2
    if ndim < 1:
        raise ValueError(f"{name}: expected an input (N, C, *spatial); got {tuple(shape)}")
    widths = per_axis(name, "kernel_size", kernel, ndim)
    steps = widths if stride is None else per_axis(name, "stride", stride, ndim)
    pads = per_axis(name, "padding", padding, ndim, least=0)
    gaps = per_axis(name, "dilation", dilation, ndim)
    counts = []
    for n, k, s, p, d in zip(shape[2:], widths, steps, pads, gaps, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ValueError(
                f"{name}: padding is {padding}; expected at most half of the kernel {kernel}"
            )
        count = window_count(n + 2 * p + (s - 1 if ceil_mode else 0), k, s, d)
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    if min(counts) < 1 or 0 in shape[1:]:
        raise ValueError(
            f"{name}: a window of {kernel} with dilation {dilation} does not fit into the input "
            f"{tuple(shape)} with padding {padding}"
        )
    return widths, steps, pads, gaps, tuple(counts)


# -------------------------------------------------------------------------------------- maximum


@op(
    lambda xp, g, residuals, x_shape: xp.scatter_windows(
        g, residuals[0], x_shape[2:], residuals[1]
    ),
    local=["1 at the maximum"],
)
def max_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element of every window of x (N, C, *spatial); the first among equals.

    Args:
        kernel_size: size of the windows: a number, or one per axis, as for the following.
        stride: step from window to window; None: kernel_size.
        padding: number of −∞ elements added to each side, at most half of the window.
        dilation: step from element to element of a window.
        ceil_mode: whether a last window may reach past the end.

    >>> tg.max_pool(tg.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    how = kernel_size, stride, padding, dilation, ceil_mode
    geometry = pool_geometry("max_pool", x.shape, *how)
    out, places = kernels.max_pool(xp, x, geometry)
    return out, (places, geometry)


@op(None)
def argmax_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Any:
    """Where `max_pool` found each maximum: its index in x's flattened spatial axes.

    >>> tg.ops.argmax_pool(tg.tensor([[[1.0, 5.0, 5.0, 2.0]]]), 2).tolist()
    [[[1, 2]]]
    """
    how = kernel_size, stride, padding, dilation, ceil_mode
    geometry = pool_geometry("argmax_pool", x.shape, *how)
    _, places = kernels.max_pool(xp, x, geometry)
    return kernels.flat_indices(xp, places, x.shape[2:], geometry)


@op(
    lambda xp, g, places, geometry: xp.gather_windows(g, places, geometry),
    local=["1 where written"],
)
def scatter_windows(
    xp: Namespace, values: ArrayLike, places: Array, shape: Shape, geometry: Pooling
) -> Any:
    """Zeros (N, C, *shape) to which each window's value is added at the window's place.

    `places` (N, C, *windows) counts the elements of a window in reading order.

    >>> places, geometry = np.array([[[0, 1]]]), ((2,), (2,), (0,), (1,), (2,))
    >>> tg.ops.scatter_windows(tg.tensor([[[5.0, 7.0]]]), places, (4,), geometry).tolist()
    [[[5.0, 0.0, 0.0, 7.0]]]
    """
    return kernels.scatter_windows(xp, values, places, shape, geometry)


@op(
    lambda xp, g, places, x_shape, geometry: xp.scatter_windows(g, places, x_shape[2:], geometry),
    local=["1 where read"],
)
def gather_windows(xp: Namespace, x: ArrayLike, places: Array, geometry: Pooling) -> Any:
    """The element of every window of x (N, C, *spatial) at `places` (N, C, *windows).

    >>> places, geometry = np.array([[[0, 1]]]), ((2,), (2,), (0,), (1,), (2,))
    >>> tg.ops.gather_windows(tg.tensor([[[5.0, 6.0, 8.0, 7.0]]]), places, geometry).tolist()
    [[[5.0, 7.0]]]
    """
    return kernels.gather_windows(xp, x, places, geometry)


# -------------------------------------------------------------------------------------- average


def _divisor(
    xp: Namespace, x: Array, sizes: Shape, geometry: Pooling, count_pad: bool, override: int | None
) -> Any:
    if override is not None:
        return override
    return kernels.window_sizes(xp, sizes, geometry, count_pad, x.dtype)


def _avg_rule(xp: Namespace, g: Array, x_shape: Shape, residuals: Arrays) -> Any:
    settings, divisor = residuals
    if settings is None:  # one window, all of x
        return xp.broadcast_to(g / divisor, x_shape)
    return xp.avg_pool_transpose(g, x_shape[2:], *settings)


@op(_avg_rule, local=["1/count"])
def avg_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of every window of x (N, C, *spatial).

    Args:
        kernel_size: size of the windows: a number, or one per axis, as for the following.
        stride: step from window to window; None: kernel_size.
        padding: number of zeros added to each side, at most half of the window.
        ceil_mode: whether a last window may reach past the end, where nothing is counted.
        count_include_pad: whether zeros of the padding count as elements.
        divisor_override: divisor in place of the number of elements.

    >>> tg.avg_pool(tg.arange(4.0).reshape(1, 1, 4), 2).tolist()
    [[[0.5, 2.5]]]
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    geometry = pool_geometry("avg_pool", x.shape, kernel_size, stride, padding, 1, ceil_mode)
    divisor = _divisor(xp, x, x.shape[2:], geometry, count_include_pad, divisor_override)
    whole = geometry[0] == x.shape[2:] and not any(geometry[2])
    out = kernels.sum_pool(xp, x, geometry) / divisor
    return out, (None, divisor) if whole else (settings, None)


@op(
    lambda xp, g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        xp.avg_pool(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    ),
    local=["1/count"],
)
def avg_pool_transpose(
    xp: Namespace,
    y: ArrayLike,
    shape: Shape,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The transpose of `avg_pool`: each y (N, C, *windows) is divided evenly among its window.

    >>> tg.ops.avg_pool_transpose(tg.tensor([[[2.0, 4.0]]]), (4,), 2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    how = kernel_size, stride, padding, 1, ceil_mode
    geometry = pool_geometry("avg_pool_transpose", (*y.shape[:2], *shape), *how)
    y = y / _divisor(xp, y, shape, geometry, count_include_pad, divisor_override)
    return kernels.sum_pool_transpose(xp, y, shape, geometry)

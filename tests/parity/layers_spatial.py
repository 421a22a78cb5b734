"""Convolution, pooling, resizing, margins, and layers that change the shape only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pairs_conv
from drawing import Draw
from layers import Call, Layer
from pairs_conv import bins, convolution, each, pooling, resized, transposed_convolution


def convolving(ndim: int) -> Callable[[Draw], Call]:
    """The calls of `F.conv…`, with every kind of padding that fits the input."""

    def draw(d: Draw) -> Call:
        drawn = convolution(ndim)(d)
        x, weight, bias = drawn.arrays
        kernel, padding = weight.shape[2:], drawn.params["padding"]
        dilation = each(drawn.params["dilation"], ndim)
        widths = each(padding, ndim) if not isinstance(padding, str) else (0,) * ndim
        if padding == "same":
            widths = tuple(e * (k - 1) for k, e in zip(kernel, dilation, strict=True))
        modes = ["zeros", "zeros", "replicate"]
        if all(width < size for width, size in zip(widths, x.shape[-ndim:], strict=True)):
            modes += ["reflect", "circular"]
        arguments = {
            "in_channels": x.shape[-ndim - 1],
            "out_channels": weight.shape[0],
            "kernel_size": kernel[0] if len({*kernel}) == 1 else kernel,
            "bias": bias is not None,
            "padding_mode": d.one_of(modes),
            **drawn.params,
        }
        return Call(arguments, (x,), d.dtype)

    return draw


def transposing(ndim: int) -> Callable[[Draw], Call]:
    """The calls of `F.conv_transpose…`; now and then the size wanted in place of what is added."""

    def draw(d: Draw) -> Call:
        drawn = transposed_convolution(ndim)(d)
        x, weight, bias = drawn.arrays
        arguments = {
            "in_channels": weight.shape[0],
            "out_channels": weight.shape[1] * drawn.params["groups"],
            "kernel_size": weight.shape[2:],
            "bias": bias is not None,
            **drawn.params,
        }
        if d.chance(0.6):
            return Call(arguments, (x,), d.dtype)
        how = [each(arguments[key], ndim) for key in ("kernel_size", "stride", "padding")]
        axes = zip(x.shape[-ndim:], *how, each(arguments["dilation"], ndim), strict=True)
        size = [
            (n - 1) * s - 2 * p + e * (k - 1) + 1 + d.integer(0, s - 1) for n, k, s, p, e in axes
        ]
        if min(size) < 1:
            return Call(arguments, (x,), d.dtype)
        leading = [*x.shape[:-ndim]] if d.chance(0.3) else []
        return Call(arguments, (x,), d.dtype, {"output_size": [*leading, *size]})

    return draw


def called(draw: Callable[[Draw], Any]) -> Callable[[Draw], Call]:
    """The calls of a function whose arguments are the layer's, for one input."""

    def drawn(d: Draw) -> Call:
        config = draw(d)
        return Call(config.params, config.arrays, d.dtype)

    return drawn


def with_indices(ndim: int) -> Callable[[Draw], Any]:
    """Max pooling, half of the time with the places of the maxima."""
    return lambda d: pooling(ndim, d.one_of(["max", "max with indices"]))(d)


def margin(largest: Callable[[int], int]) -> Callable[[Draw], Call]:
    """Widths up to what an axis of so many elements allows."""

    def draw(d: Draw) -> Call:
        shape = (*d.shape((1, 2), empty=0.0), d.integer(2, 5), d.integer(2, 5))
        height, width = (largest(size) for size in shape[-2:])
        padding: Any = tuple(d.integer(0, n) for n in (width, width, height, height))
        if d.chance(0.3):
            padding = d.integer(0, min(width, height))
        return Call({"padding": padding}, (d.floats(shape),), d.dtype)

    return draw


def flattened(d: Draw) -> Call:
    """Two axes, the first not behind the second."""
    x = d.floats(d.shape((2, 5)))
    start, end = sorted((d.integer(0, x.ndim - 1), d.integer(0, x.ndim - 1)))
    axes = {"start_axis": start, "end_axis": end - x.ndim if d.chance(0.5) else end}
    return Call(axes if d.chance(0.8) else {}, (x,), d.dtype)


def unflattened(d: Draw) -> Call:
    """The sizes of the axes that one axis becomes, perhaps one of them to be found."""
    sizes = [d.integer(1, 3) for _ in range(d.integer(1, 3))]
    shape = [d.integer(1, 3) for _ in range(d.integer(1, 3))]
    axis = d.integer(-len(shape), len(shape) - 1)
    shape[axis] = math.prod(sizes)
    if d.chance(0.4):
        sizes[d.integer(0, len(sizes) - 1)] = -1
    arguments = {"axis": axis, "unflattened_size": tuple(sizes)}
    return Call(arguments, (d.floats(tuple(shape)),), d.dtype)


def dims(arguments: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's word for an axis."""
    return {key.replace("axis", "dim"): value for key, value in arguments.items()}


MANY: dict[str, Any] = {"in_channels": 24, "out_channels": 32, "kernel_size": 3, "groups": 2}

LAYERS = [
    *(Layer(f"Conv{n}d", convolving(n), large=MANY) for n in (1, 2, 3)),
    *(Layer(f"ConvTranspose{n}d", transposing(n), large=MANY) for n in (1, 2, 3)),
    *(Layer(f"MaxPool{n}d", called(with_indices(n))) for n in (1, 2, 3)),
    *(Layer(f"AvgPool{n}d", called(pooling(n, "avg"))) for n in (1, 2, 3)),
    *(Layer(f"AdaptiveAvgPool{n}d", called(bins(n))) for n in (1, 2)),
    Layer("AdaptiveMaxPool2d", called(bins(2))),
    Layer("AdaptiveMaxPool2d (with indices)", called(bins(2, return_indices=True))),
    Layer("Upsample", called(resized(pairs_conv.RESAMPLING))),
    Layer("PixelShuffle", called(pairs_conv.shuffled)),
    Layer("PixelUnshuffle", called(pairs_conv.unshuffled)),
    Layer("ZeroPad2d", margin(lambda size: 3)),
    Layer("ReflectionPad2d", margin(lambda size: size - 1)),
    Layer("ReplicationPad2d", margin(lambda size: 4)),
    Layer("CircularPad2d", margin(lambda size: size)),
    Layer("Flatten", flattened, translate=dims),
    Layer("Unflatten", unflattened, translate=dims),
]

"""Convolution, pooling and resampling in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm.nn.functional as F


def per_axis(d: Draw, ndim: int, low: int, high: int) -> Any:
    """A number for all axes, or a tuple with one for each."""
    if d.chance(0.5):
        return d.integer(low, high)
    return tuple(d.integer(low, high) for _ in range(ndim))


def each(value: Any, ndim: int) -> tuple[int, ...]:
    """The tuple that a number stands for."""
    return value if isinstance(value, tuple) else (value,) * ndim


def images(d: Draw, channels: int, sizes: tuple[int, ...]) -> Any:
    """A batch of images, perhaps an empty one, or a single one without a batch axis."""
    return d.floats((channels, *sizes) if d.chance(0.2) else (d.batch(), channels, *sizes))


def convolution(ndim: int) -> Callable[[Draw], Config]:
    """Draws an input, a weight, perhaps a bias, and how to convolve them."""

    def draw(d: Draw) -> Config:
        groups = d.one_of([1, 1, 2, 3])
        depthwise = groups > 1 and d.chance(0.3)
        channels = groups if depthwise else groups * d.integer(1, 2)
        outputs = groups * d.integer(1, 2)
        kernel = tuple(d.integer(1, 3) for _ in range(ndim))
        dilation = per_axis(d, ndim, 1, 2)
        stride, padding = per_axis(d, ndim, 1, 3), per_axis(d, ndim, 0, 2)
        if d.chance(0.15):
            stride, padding = 1, "same"
        elif d.chance(0.1):
            padding = "valid"
        spans = [e * (k - 1) + 1 for k, e in zip(kernel, each(dilation, ndim), strict=True)]
        sizes = tuple(span + d.integer(0, 4 if ndim < 3 else 2) for span in spans)
        return config(
            images(d, channels, sizes),
            d.floats((outputs, channels // groups, *kernel)),
            d.floats((outputs,)) if d.chance(0.6) else None,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    return draw


def large_images(d: Draw) -> Config:
    """Draws a convolution that is done in parts: its windows fill more than a cache."""
    stride, dilation, groups = d.integer(1, 2), d.integer(1, 2), d.one_of([1, 1, 2, 8])
    outputs = 8 * d.integer(1, 2)
    return config(
        d.floats((4, 8, 20 * stride + d.integer(0, 9), 23 * stride)),
        d.floats((outputs, 8 // groups, 3, 3)),
        d.floats((outputs,)) if d.chance(0.6) else None,
        stride=stride,
        padding=d.integer(0, 2),
        dilation=dilation,
        groups=groups,
    )


def transposed_convolution(ndim: int) -> Callable[[Draw], Config]:
    """Draws an input, a weight, perhaps a bias, and how to transpose their convolution."""

    def draw(d: Draw) -> Config:
        groups = d.one_of([1, 1, 2])
        channels, outputs = groups * d.integer(1, 2), d.integer(1, 2)
        kernel = tuple(d.integer(1, 3) for _ in range(ndim))
        stride, dilation = per_axis(d, ndim, 1, 3), per_axis(d, ndim, 1, 2)
        steps, spread = each(stride, ndim), each(dilation, ndim)
        largest = [max(s, e) - 1 for s, e in zip(steps, spread, strict=True)]
        extra = tuple(d.integer(0, most) if d.chance(0.4) else 0 for most in largest)
        padding = tuple(d.integer(0, e * (k - 1)) for k, e in zip(kernel, spread, strict=True))
        sizes = tuple(d.integer(1, 4 if ndim < 3 else 2) for _ in range(ndim))
        spans = zip(sizes, steps, padding, kernel, spread, extra, strict=True)
        if any((n - 1) * s - 2 * p + e * (k - 1) + x + 1 < 1 for n, s, p, k, e, x in spans):
            padding = (0,) * ndim
        return config(
            images(d, channels, sizes),
            d.floats((channels, outputs, *kernel)),
            d.floats((outputs * groups,)) if d.chance(0.6) else None,
            stride=stride,
            padding=padding,
            output_padding=extra,
            groups=groups,
            dilation=dilation,
        )

    return draw


def pooling(ndim: int, kind: str) -> Callable[[Draw], Config]:
    """Draws an input and its windows: of "max", "max with indices" or "avg" pooling."""

    def draw(d: Draw) -> Config:
        kernel = per_axis(d, ndim, 1, 3)
        windows = each(kernel, ndim)
        stride = None if d.chance(0.3) else per_axis(d, ndim, 1, 3)
        padding = tuple(d.integer(0, k // 2) for k in windows)
        how = {"kernel_size": kernel, "stride": stride, "padding": padding}
        how["ceil_mode"] = d.chance(0.4)
        dilation = (1,) * ndim
        if kind == "avg":
            how["count_include_pad"] = d.chance(0.5)
            if ndim > 1 and d.chance(0.3):
                how["divisor_override"] = d.integer(1, 5)
        else:
            how["dilation"] = dilation = each(per_axis(d, ndim, 1, 2), ndim)
        spans = [e * (k - 1) + 1 for k, e in zip(windows, dilation, strict=True)]
        sizes = tuple(span + d.integer(0, 4 if ndim < 3 else 2) for span in spans)
        batch = () if d.chance(0.2) else (d.batch(2),)
        shape = (*batch, d.integer(1, 3), *sizes)
        x = d.floats(shape) if kind == "avg" or d.chance(0.3) else d.apart(shape)
        if kind == "max with indices":
            how["return_indices"] = True
        return config(x, **how)

    return draw


def bins(ndim: int, **more: Any) -> Callable[[Draw], Config]:
    """Draws an input and how many bins its axes are divided into."""

    def draw(d: Draw) -> Config:
        sizes = tuple(d.integer(1, 7) for _ in range(ndim))
        shape = (*(() if d.chance(0.2) else (d.batch(2),)), d.integer(1, 3), *sizes)
        x = d.apart(shape)
        size = per_axis(d, ndim, 1, 5)
        if isinstance(size, tuple) and ndim > 1 and d.chance(0.2):
            size = (None, *size[1:])
        return config(x, output_size=size, **more)

    return draw


def resized(modes: dict[str, int]) -> Callable[[Draw], Config]:
    """Draws an input, a mode, and a new size or a factor."""

    def draw(d: Draw) -> Config:
        mode = d.one_of([*modes])
        ndim = modes[mode] or d.integer(1, 3 if mode == "nearest" else 2)
        sizes = tuple(d.integer(1, 5) for _ in range(ndim))
        how: dict[str, Any] = {"mode": mode}
        if d.chance(0.5):
            how["size"] = per_axis(d, ndim, 1, 8)
        elif d.chance(0.5):
            how["scale_factor"] = d.integer(1, 3)
        else:
            how["scale_factor"] = tuple(d.one_of([1.0, 1.5, 2.0, 2.5]) for _ in range(ndim))
        if mode in ("linear", "bilinear", "trilinear"):
            how["align_corners"] = d.one_of([True, False, None])
        return config(d.floats((d.batch(2), d.integer(1, 3), *sizes)), **how)

    return draw


def shuffled(d: Draw) -> Config:
    """Draws channels that become pixels; none of size 0, which PyTorch mistakes."""
    r = d.integer(1, 3)
    channels, *sizes = (d.integer(1, 3) for _ in range(3))
    return config(
        d.floats((*d.shape((0, 2), empty=0.0), channels * r * r, *sizes)), upscale_factor=r
    )


def unshuffled(d: Draw) -> Config:
    """Draws pixels that become channels; none of size 0, which PyTorch mistakes."""
    r = d.integer(1, 3)
    channels, *sizes = (d.integer(1, 3) for _ in range(3))
    shape = (*d.shape((0, 2), empty=0.0), channels, *(n * r for n in sizes))
    return config(d.floats(shape), downscale_factor=r)


def same_name(name: str, draw: Callable[[Draw], Config], variant: str = "", **options: Any) -> Pair:
    """A function of `F` that PyTorch's `F` has under the same name, with the same arguments."""
    label = f"{name} ({variant})" if variant else name
    return Pair(label, getattr(F, name), getattr(torch_functional, name), draw, **options)


RESAMPLING = {"nearest": 0, "area": 0, "linear": 1, "bilinear": 2, "trilinear": 3}

PAIRS = [
    *(same_name(f"conv{n}d", convolution(n), count=120) for n in (1, 2, 3)),
    same_name("conv2d", large_images, "in parts", count=50),
    *(same_name(f"conv_transpose{n}d", transposed_convolution(n), count=120) for n in (1, 2, 3)),
    *(same_name(f"max_pool{n}d", pooling(n, "max")) for n in (1, 2, 3)),
    *(
        same_name(f"max_pool{n}d", pooling(n, "max with indices"), "with indices")
        for n in (1, 2, 3)
    ),
    *(same_name(f"avg_pool{n}d", pooling(n, "avg")) for n in (1, 2, 3)),
    *(same_name(f"adaptive_avg_pool{n}d", bins(n)) for n in (1, 2)),
    same_name("adaptive_max_pool2d", bins(2)),
    same_name("adaptive_max_pool2d", bins(2, return_indices=True), "with indices"),
    same_name("interpolate", resized(RESAMPLING), count=150),
    same_name("pixel_shuffle", shuffled),
    same_name("pixel_unshuffle", unshuffled),
]

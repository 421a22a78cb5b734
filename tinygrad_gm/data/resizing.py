"""Resizing of images with antialiasing, by Pillow's rule, which torchvision's `Resize` follows.

Along one axis of n pixels, which becomes m, let s = n / m. Output i lies at c = (i + ½) s in the
input, and is a weighted mean of the pixels around it. Pixel j, whose centre is at j + ½, has the
weight

    w(i, j) ∝ k((j + ½ − c) / max(s, 1))

with the kernel k of the interpolation. If an image shrinks (s > 1) the kernel is s times as wide,
so that every pixel of the input counts: without that, fine patterns turn into coarse ones
(aliasing). The cubic kernel is that of Keys 1981; a kernel is 0 beyond its support.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

Kernel: TypeAlias = Literal["bilinear", "bicubic"]

_FIXED_POINT = 1 << 22  # Pillow's weights for 8-bit pixels are multiples of 1 / _FIXED_POINT


def triangle(t: Any) -> Any:
    """max(0, 1 − |t|)"""
    return np.maximum(0, 1 - np.abs(t))


def cubic(t: Any, a: float = -0.5) -> Any:
    """Two cubic polynomials, for |t| ≤ 1 and for 1 < |t| ≤ 2, joined smoothly."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = (((t - 5) * t + 8) * t - 4) * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


KERNELS: dict[str, tuple[Callable[[Any], Any], float]] = {  # the kernel and its support
    "bilinear": (triangle, 1.0),
    "bicubic": (cubic, 2.0),
}


def resized(
    x: Any, shape: tuple[int, int], interpolation: Kernel = "bilinear", levels: int | None = None
) -> Any:
    """Resize images (…, H, W) to (…, *shape): along the width first, then along the height.

    Args:
        x: the images, an array of floats.
        shape: the new height and width.
        interpolation: "bilinear" or "bicubic".
        levels: round to multiples of 1 / levels within [0, 1] after each axis, as Pillow does for
            pixels of 8 bits (255). None: no rounding.
    """
    scaled = x if levels is None else np.rint(x * x.dtype.type(levels))
    for axis, length in ((-1, shape[1]), (-2, shape[0])):
        scaled = _along(scaled, axis, length, interpolation, levels)
    return np.asarray(scaled if levels is None else scaled / levels, x.dtype)


def _along(x: Any, axis: int, length: int, interpolation: Kernel, levels: int | None) -> Any:
    """Resize one axis, -1 or -2: one pass over the image per pixel of the kernel's width."""
    if x.shape[axis] == length:
        return x
    first, weights = _weights(x.shape[axis], length, interpolation)
    if levels is not None:
        weights = np.rint(weights * _FIXED_POINT) / _FIXED_POINT
    out = 0.0
    for k in range(weights.shape[1]):
        places = np.minimum(first + k, x.shape[axis] - 1)  # beyond the end the weight is 0
        each = weights[:, k] if axis == -1 else weights[:, k, None]
        out = out + x.take(places, axis) * each
    return out if levels is None else np.clip(np.floor(np.add(out, 0.5)), 0, levels)


def _weights(size: int, length: int, interpolation: Kernel) -> tuple[Any, Any]:
    """For each output the first input that it reads, and the weights of the inputs from there."""
    kernel, support = KERNELS[interpolation]
    step = size / length
    width = max(step, 1.0)
    centre = (np.arange(length) + 0.5) * step
    first = np.maximum(np.floor(centre - support * width + 0.5), 0)
    end = np.minimum(np.floor(centre + support * width + 0.5), size)
    places = first[:, None] + np.arange((end - first).max())
    weights = kernel((places + 0.5 - centre[:, None]) / width)
    weights = np.where(places < end[:, None], weights, 0.0)
    return first.astype(np.intp), weights / weights.sum(axis=1, keepdims=True)

"""Brightness, contrast, saturation and hue of images (N, 1 or 3, H, W) with values in [0, 1].

The formulas are torchvision's, and so Pillow's: the first three mix the image with black, with its
mean grey, and with its grey version.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_GREY = (0.2989, 0.587, 0.114)  # luminance of red, green and blue (ITU-R BT.601)


def adjust_brightness(x: Any, factor: Any) -> Any:
    """factor · x"""
    return _mixed(x, 0.0, factor)


def adjust_contrast(x: Any, factor: Any) -> Any:
    """factor · x + (1 − factor) · mean of the grey image"""
    return _mixed(x, _grey(x).mean(axis=(1, 2, 3), keepdims=True), factor)


def adjust_saturation(x: Any, factor: Any) -> Any:
    """factor · x + (1 − factor) · grey image"""
    return x if x.shape[1] == 1 else _mixed(x, _grey(x), factor)


def adjust_hue(x: Any, turns: Any) -> Any:
    """Rotate every hue (HSV) by this fraction of a turn."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    value = x.max(axis=1)
    chroma = value - x.min(axis=1)
    divisor = np.where(chroma > 0, chroma, 1)  # the hue of grey is undefined: any value will do
    sector = np.select(
        [value == red, value == green],
        [(green - blue) / divisor, (blue - red) / divisor + 2],
        (red - green) / divisor + 4,
    )
    # Round the wheel the channels rise and fall alike, 0, 4 and 2 sixths of a turn apart.
    places = (np.array([5, 3, 1])[:, None, None] + (sector + 6 * turns[:, 0])[:, None]) % 6
    fall = np.clip(np.minimum(places, 4 - places), 0, 1)
    return (value[:, None] - chroma[:, None] * fall).astype(x.dtype)


def _grey(x: Any) -> Any:
    if x.shape[1] == 1:
        return x
    red, green, blue = (weight * x[:, k] for k, weight in enumerate(_GREY))
    return (red + green + blue)[:, None]


def _mixed(x: Any, other: Any, factor: Any) -> Any:
    return np.clip(factor * x + (1 - factor) * other, 0, 1).astype(x.dtype)

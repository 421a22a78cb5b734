"""Changes of the pixels, of one size before and after: colours, flips, rotation, erasing."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np

from ...backend import ArrayLike
from ...random import Generator
from ...tensor import Tensor, asarray
from ..color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from .base import (
    Fill,
    Range,
    Transform,
    bounds_of,
    chosen,
    framed,
    per_channel,
    probability,
    uniform,
)

Interpolation: TypeAlias = Literal["nearest", "bilinear"]


class Normalize(Transform):
    """(x − mean) / std, channel by channel.

    >>> white = tg.ones((1, 2, 1, 1))
    >>> tg.data.transforms.Normalize(mean=(0.5, 0.0), std=(0.25, 2.0))(white).flatten().tolist()
    [2.0, 0.5]
    """

    def __init__(self, mean: Fill, std: Fill) -> None:
        self.mean, self.std = mean, std
        if not np.all(np.asarray(std) > 0):
            raise ValueError(f"Normalize: std must be positive, not {std}")

    def apply(self, x: Any, generator: Generator) -> Any:
        return (x - per_channel("mean", self.mean, x)) / per_channel("std", self.std, x)

    def inverse(self, images: ArrayLike) -> Tensor:
        """The images (N, C, H, W) before they were normalised: x · std + mean.

        >>> normalize = tg.data.transforms.Normalize(mean=0.5, std=0.25)
        >>> normalize.inverse(normalize(tg.ones((1, 1, 1, 1)))).item()
        1.0
        """
        images = asarray(images)
        x = images.numpy()
        pixels = x * per_channel("std", self.std, x) + per_channel("mean", self.mean, x)
        return asarray(pixels, device=images.device)


class RandomHorizontalFlip(Transform):
    """Flip left and right with probability p.

    >>> image = tg.arange(4.0).reshape(1, 1, 2, 2)
    >>> tg.data.transforms.RandomHorizontalFlip(p=1.0)(image).tolist()
    [[[[1.0, 0.0], [3.0, 2.0]]]]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(self, p)

    def apply(self, x: Any, generator: Generator) -> Any:
        return np.where(chosen(self.p, x, generator), x[..., ::-1], x)


class RandomVerticalFlip(Transform):
    """Flip top and bottom with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(self, p)

    def apply(self, x: Any, generator: Generator) -> Any:
        return np.where(chosen(self.p, x, generator), x[..., ::-1, :], x)


class RandomAffine(Transform):
    """Rotate, shift and scale about the centre of the image.

    Args:
        degrees: the bounds of the angle, or d for (−d, d); clockwise. 0: no rotation.
        translate: the largest shifts (a, b): by whole pixels, up to a · width to either side and
            b · height up or down. None: no shift.
        scale: the bounds of the factor. None: 1.
        interpolation: "nearest", or "bilinear" for the weighted mean of the four neighbours.
        fill: value outside the original image: a number, or one per channel.

    >>> bars = tg.tensor([[[[1.0, 0.0, 0.0]] * 3]])
    >>> turn = tg.data.transforms.RandomAffine(degrees=(90, 90))
    >>> turn(bars)[0, 0].tolist()
    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        degrees: Range,
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        interpolation: Interpolation = "nearest",
        fill: Fill = 0.0,
    ) -> None:
        self.degrees = bounds_of(self, "degrees", degrees, 0.0)
        self.translate = translate or (0.0, 0.0)
        self.scale = bounds_of(self, "scale", scale or (1.0, 1.0), 1.0)
        self.interpolation, self.fill = interpolation, fill
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: translate must lie in [0, 1], not {translate}")
        if self.scale[0] <= 0:
            raise ValueError(f"RandomAffine: scale must be positive, not {scale}")
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f'{type(self).__name__}: interpolation must be "nearest" or "bilinear", not '
                f"{interpolation!r}"
            )

    def apply(self, x: Any, generator: Generator) -> Any:
        n, _, height, width = x.shape
        angle = np.radians(uniform(self.degrees, n, generator))
        furthest = np.asarray(self.translate) * (width, height)
        shift = np.rint(uniform((-1, 1), (n, 2), generator) * furthest)
        scale = uniform(self.scale, n, generator)
        # Position in the original of the pixel in row i and column j: about the centre, undo the
        # shift, then rotation and scale.
        i = (np.arange(height) - (height - 1) / 2)[:, None] - shift[:, 1, None, None]
        j = np.arange(width) - (width - 1) / 2 - shift[:, 0, None, None]
        cos, sin = (f(angle)[:, None, None] / scale[:, None, None] for f in (np.cos, np.sin))
        rows = cos * i - sin * j + (height - 1) / 2
        columns = sin * i + cos * j + (width - 1) / 2
        return _sampled(x, rows, columns, self.interpolation, per_channel("fill", self.fill, x))


class RandomRotation(RandomAffine):
    """Rotate about the centre of the image, keeping its size.

    Args:
        degrees: the bounds of the angle, or d for (−d, d); counter-clockwise.
        interpolation: as in `RandomAffine`.
        fill: as in `RandomAffine`.

    >>> bars = tg.tensor([[[[1.0, 0.0, 0.0]] * 3]])
    >>> tg.data.transforms.RandomRotation(degrees=(90, 90))(bars)[0, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self, degrees: Range, interpolation: Interpolation = "nearest", fill: Fill = 0.0
    ) -> None:
        low, high = bounds_of(self, "degrees", degrees, 0.0)
        super().__init__((-high, -low), interpolation=interpolation, fill=fill)


class RandomErasing(Transform):
    """Erase a rectangle at a random position with probability p (Zhong et al. 2020). Its area as a
    fraction of the image is uniform in `scale`, and its aspect ratio, height over width,
    log-uniform in `ratio`. Up to ten draws are made to find one that fits.

    Args:
        p: the probability.
        scale: the bounds of the area.
        ratio: the bounds of the ratio.
        value: value of the rectangle: a number, one per channel, or "random" for draws from N(0,
            1).

    >>> erase = tg.data.transforms.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    >>> erase(tg.ones((1, 1, 8, 8))).sum().item()
    48.0
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Fill | Literal["random"] = 0.0,
    ) -> None:
        self.p = probability(self, p)
        self.scale = bounds_of(self, "scale", scale, 0.0)
        self.ratio = bounds_of(self, "ratio", ratio, 1.0)
        self.value = value
        if self.scale[0] < 0 or self.scale[1] > 1 or self.ratio[0] <= 0:
            raise ValueError(
                f"RandomErasing: scale must lie in [0, 1] and ratio be positive, not {scale} and "
                f"{ratio}"
            )

    def apply(self, x: Any, generator: Generator) -> Any:
        n, _, height, width = x.shape
        area = height * width * uniform(self.scale, (10, n), generator)
        logarithms = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = np.exp(uniform(logarithms, (10, n), generator))
        tall, wide = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (tall < height) & (wide < width)
        first = fits.argmax(axis=0), np.arange(n)
        tall, wide = (np.where(fits[first], length[first], 0) for length in (tall, wide))
        top = np.floor(uniform((0, 1), n, generator) * (height - tall + 1))
        left = np.floor(uniform((0, 1), n, generator) * (width - wide + 1))
        inside_rows = _between(np.arange(height), top, tall)[:, None, :, None]
        inside_columns = _between(np.arange(width), left, wide)[:, None, None, :]
        erased = inside_rows & inside_columns & chosen(self.p, x, generator)
        if isinstance(self.value, str):
            return np.where(erased, generator.normal(x.shape, x.dtype).numpy(), x)
        return np.where(erased, per_channel("value", self.value, x), x)


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random amounts, in a random order.

    Values are expected in [0, 1], and stay there; the images have one channel or three (red, green,
    blue). One channel has no saturation and no hue.

    Args:
        brightness: the bounds of the factor, or b for (max(0, 1 − b), 1 + b).
        contrast: the same.
        saturation: the same.
        hue: bounds of the change of hue, as fractions of the colour wheel, or h for (−h, h); within
            [−½, ½].

    >>> darker = tg.data.transforms.ColorJitter(brightness=(0.5, 0.5))
    >>> darker(tg.full((1, 1, 1, 2), 0.8)).tolist()
    [[[[0.4000000059604645, 0.4000000059604645]]]]
    """

    def __init__(
        self,
        brightness: Range = 0.0,
        contrast: Range = 0.0,
        saturation: Range = 0.0,
        hue: Range = 0.0,
    ) -> None:
        self.brightness = bounds_of(self, "brightness", brightness, 1.0)
        self.contrast = bounds_of(self, "contrast", contrast, 1.0)
        self.saturation = bounds_of(self, "saturation", saturation, 1.0)
        self.hue = bounds_of(self, "hue", hue, 0.0)
        if min(*self.brightness, *self.contrast, *self.saturation) < 0:
            raise ValueError("ColorJitter: a factor must not be negative")
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ValueError(f"ColorJitter: hue must lie in [−0.5, 0.5], not {hue}")

    def apply(self, x: Any, generator: Generator) -> Any:
        n, channels = x.shape[:2]
        if channels not in (1, 3):
            raise ValueError(f"ColorJitter: expected images of 1 or 3 channels; got {channels}")
        changes = [
            (adjust_brightness, self.brightness, 1.0),
            (adjust_contrast, self.contrast, 1.0),
            (adjust_saturation, self.saturation, 1.0),
            (adjust_hue, self.hue, 0.0),
        ]
        amounts = [
            uniform(bounds, n, generator).astype(x.dtype)[:, None, None, None]
            for _, bounds, _ in changes
        ]
        turns = generator.uniform((n, len(changes)), dtype=np.float64).numpy().argsort(axis=1)
        x = x.copy()
        for turn in range(len(changes)):
            for k, (change, bounds, neutral) in enumerate(changes):
                rows = np.flatnonzero(turns[:, turn] == k)
                if bounds != (neutral, neutral) and rows.size:
                    x[rows] = change(x[rows], amounts[k][rows])
        return x


def _between(numbers: Any, start: Any, length: Any) -> Any:
    return (numbers >= start[:, None]) & (numbers < (start + length)[:, None])


def _sampled(x: Any, rows: Any, columns: Any, interpolation: Interpolation, fill: Any) -> Any:
    """Sample the images at positions (rows, columns), each of shape (N, H, W)."""
    height, width = x.shape[2:]
    source = framed(x, ((0, 0), (0, 0), (1, 2), (1, 2)), fill)  # the fill for all positions outside
    images = np.arange(len(x))[:, None, None, None]
    channels = np.arange(x.shape[1])[:, None, None]

    def pixels(i: Any, j: Any) -> Any:
        i = np.clip(i, -1, height).astype(np.intp) + 1
        j = np.clip(j, -1, width).astype(np.intp) + 1
        return source[images, channels, i[:, None], j[:, None]]

    if interpolation == "nearest":
        return pixels(np.rint(rows), np.rint(columns))
    top, left = np.floor(rows), np.floor(columns)
    down, right = ((rows - top)[:, None], (columns - left)[:, None])
    upper = pixels(top, left) * (1 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1 - right) + pixels(top + 1, left + 1) * right
    return (upper * (1 - down) + lower * down).astype(x.dtype)

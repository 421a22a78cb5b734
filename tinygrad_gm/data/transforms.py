"""Augmentation: random changes of a batch of images, drawn independently for each image.

Names, arguments and their meaning are torchvision's. A transform is called with images (N, C, H, W)
and returns new ones of the same dtype; no gradient flows through it. Random numbers come from the
default generator, or from the `generator` of the call. `data.Transformed` applies a transform to a
data set, and in a loader the default generator is that of the batch: a batch depends on (seed,
epoch, batch number) alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from ..backend import ArrayLike
from ..random import Generator, default_generator, using
from ..tensor import Tensor, asarray
from .color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation

Interpolation: TypeAlias = Literal["nearest", "bilinear"]
Fill: TypeAlias = float | Sequence[float]  # one number, or one per channel
Range: TypeAlias = float | Sequence[float]  # the bounds, or a half width

__all__ = [
    "ColorJitter",
    "Compose",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Transform",
]


class Transform(ABC):
    """Base of the transforms: checks the images, selects the generator."""

    def __call__(self, images: ArrayLike, generator: Generator | None = None) -> Tensor:
        """Transform images (N, C, H, W), on the CPU, and return them on their device. Raises
        TypeError or ValueError unless they are a batch of floating images.
        """
        images = asarray(images)
        x = images.numpy()
        if x.ndim != 4:
            raise ValueError(
                f"{type(self).__name__}: expected images of shape (N, C, H, W); got {x.shape}"
            )
        if x.dtype.kind != "f":
            raise TypeError(
                f"{type(self).__name__}: expected floating images; got {x.dtype}; bytes become "
                "that by images.astype(tg.float32) / 255"
            )
        changed = self.apply(x, generator or default_generator())
        return asarray(changed, device=images.device)

    @abstractmethod
    def apply(self, x: Any, generator: Generator) -> Any:
        """Return a transformed copy of the array x (N, C, H, W)."""


class Compose:
    """Apply transforms in sequence; each may be any function of a batch of images.

    >>> augment = tg.data.transforms.Compose([
    ...     tg.data.transforms.RandomCrop(32, padding=4),
    ...     tg.data.transforms.RandomHorizontalFlip(),
    ...     tg.data.transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    ... ])
    >>> augment(tg.rand((8, 3, 32, 32))).shape
    (8, 3, 32, 32)
    """

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: ArrayLike, generator: Generator | None = None) -> Tensor:
        """Apply all transforms to the images (N, C, H, W)."""
        x = asarray(images)
        with using(generator or default_generator()):
            for transform in self.transforms:
                x = transform(x)
        return x


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
        return (x - _per_channel("mean", self.mean, x)) / _per_channel("std", self.std, x)


class RandomHorizontalFlip(Transform):
    """Flip left and right with probability p.

    >>> image = tg.arange(4.0).reshape(1, 1, 2, 2)
    >>> tg.data.transforms.RandomHorizontalFlip(p=1.0)(image).tolist()
    [[[[1.0, 0.0], [3.0, 2.0]]]]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(self, p)

    def apply(self, x: Any, generator: Generator) -> Any:
        return np.where(_chosen(self.p, x, generator), x[..., ::-1], x)


class RandomVerticalFlip(Transform):
    """Flip top and bottom with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(self, p)

    def apply(self, x: Any, generator: Generator) -> Any:
        return np.where(_chosen(self.p, x, generator), x[..., ::-1, :], x)


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
        self.degrees = _bounds(self, "degrees", degrees, 0.0)
        self.translate = translate or (0.0, 0.0)
        self.scale = _bounds(self, "scale", scale or (1.0, 1.0), 1.0)
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
        angle = np.radians(_uniform(self.degrees, n, generator))
        furthest = np.asarray(self.translate) * (width, height)
        shift = np.rint(_uniform((-1, 1), (n, 2), generator) * furthest)
        scale = _uniform(self.scale, n, generator)
        # Position in the original of the pixel in row i and column j: about the centre, undo the
        # shift, then rotation and scale.
        i = (np.arange(height) - (height - 1) / 2)[:, None] - shift[:, 1, None, None]
        j = np.arange(width) - (width - 1) / 2 - shift[:, 0, None, None]
        cos, sin = (f(angle)[:, None, None] / scale[:, None, None] for f in (np.cos, np.sin))
        rows = cos * i - sin * j + (height - 1) / 2
        columns = sin * i + cos * j + (width - 1) / 2
        return _sampled(x, rows, columns, self.interpolation, _per_channel("fill", self.fill, x))


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
        low, high = _bounds(self, "degrees", degrees, 0.0)
        super().__init__((-high, -low), interpolation=interpolation, fill=fill)


class RandomCrop(Transform):
    """Crop a part of a given size at a random position.

    Args:
        size: height and width of the part, or one number for both.
        padding: number of pixels added around the image first: one number, (left and right, top and
            bottom), or (left, top, right, bottom). None: no padding.
        fill: their value if padding_mode is "constant": a number, or one per channel.
        padding_mode: "constant", "edge", "reflect" (the edge is not repeated) or "symmetric".

    >>> crop = tg.data.transforms.RandomCrop(2)
    >>> crop(tg.ones((5, 1, 4, 6))).shape
    (5, 1, 2, 2)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        padding: int | Sequence[int] | None = None,
        fill: Fill = 0.0,
        padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        widths = [padding or 0] if isinstance(padding, int | None) else list(padding)
        if len(widths) not in (1, 2, 4) or min(widths) < 0:
            raise ValueError(f"RandomCrop: padding must be 1, 2 or 4 numbers ≥ 0, not {padding}")
        left, top, right, bottom = widths * (4 // len(widths))
        self.padding = ((top, bottom), (left, right))
        self.fill, self.padding_mode = fill, padding_mode
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"RandomCrop: there is no padding_mode {padding_mode!r}")

    def apply(self, x: Any, generator: Generator) -> Any:
        widths = ((0, 0), (0, 0), *self.padding)
        if self.padding_mode == "constant":
            x = _framed(x, widths, _per_channel("fill", self.fill, x))
        else:
            x = np.pad(x, widths, mode=self.padding_mode)
        n, _, height, width = x.shape
        room = height - self.size[0], width - self.size[1]
        if min(*room, *(length - 1 for length in self.size)) < 0:
            raise ValueError(
                f"RandomCrop: {self.size[0]} × {self.size[1]} pixels do not fit in "
                f"{height} × {width} (padding included)"
            )
        tops, lefts = (generator.integers(0, extra + 1, n).numpy() for extra in room)
        parts = np.lib.stride_tricks.sliding_window_view(x, self.size, axis=(2, 3))
        return parts[np.arange(n), :, tops, lefts]


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
        self.p = _probability(self, p)
        self.scale = _bounds(self, "scale", scale, 0.0)
        self.ratio = _bounds(self, "ratio", ratio, 1.0)
        self.value = value
        if self.scale[0] < 0 or self.scale[1] > 1 or self.ratio[0] <= 0:
            raise ValueError(
                f"RandomErasing: scale must lie in [0, 1] and ratio be positive, not {scale} and "
                f"{ratio}"
            )

    def apply(self, x: Any, generator: Generator) -> Any:
        n, _, height, width = x.shape
        area = height * width * _uniform(self.scale, (10, n), generator)
        logarithms = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = np.exp(_uniform(logarithms, (10, n), generator))
        tall, wide = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (tall < height) & (wide < width)
        first = fits.argmax(axis=0), np.arange(n)
        tall, wide = (np.where(fits[first], length[first], 0) for length in (tall, wide))
        top = np.floor(_uniform((0, 1), n, generator) * (height - tall + 1))
        left = np.floor(_uniform((0, 1), n, generator) * (width - wide + 1))
        inside_rows = _between(np.arange(height), top, tall)[:, None, :, None]
        inside_columns = _between(np.arange(width), left, wide)[:, None, None, :]
        erased = inside_rows & inside_columns & _chosen(self.p, x, generator)
        if isinstance(self.value, str):
            return np.where(erased, generator.normal(x.shape, x.dtype).numpy(), x)
        return np.where(erased, _per_channel("value", self.value, x), x)


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
        self.brightness = _bounds(self, "brightness", brightness, 1.0)
        self.contrast = _bounds(self, "contrast", contrast, 1.0)
        self.saturation = _bounds(self, "saturation", saturation, 1.0)
        self.hue = _bounds(self, "hue", hue, 0.0)
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
            _uniform(bounds, n, generator).astype(x.dtype)[:, None, None, None]
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


# ------------------------------------------------------------------- arguments and draws


def _bounds(owner: Any, name: str, value: Range, middle: float) -> tuple[float, float]:
    """Return the bounds: as given, or middle ± value."""
    if isinstance(value, (int, float)):
        low = middle - value
        bounds = (max(0.0, low) if middle else low, middle + value)
        valid = value >= 0
    else:
        bounds = tuple(map(float, value))  # type: ignore[assignment]
        valid = len(bounds) == 2 and bounds[0] <= bounds[1]
    if not valid:
        raise ValueError(
            f"{type(owner).__name__}: {name} must be a number ≥ 0 or bounds (low, high), not "
            f"{value!r}"
        )
    return bounds


def _probability(owner: Any, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{type(owner).__name__}: p must lie in [0, 1], not {p}")
    return p


def _per_channel(name: str, value: Fill, x: Any) -> Any:
    """The numbers in x's dtype, in a shape that broadcasts against x."""
    numbers = np.atleast_1d(np.asarray(value, x.dtype))
    if numbers.shape not in ((1,), (x.shape[1],)):
        raise ValueError(
            f"{name} has the shape {numbers.shape}; expected one number or {x.shape[1]}, one per "
            "channel"
        )
    return numbers[:, None, None]


def _uniform(bounds: Sequence[float], shape: int | tuple[int, ...], generator: Generator) -> Any:
    return generator.uniform(shape, bounds[0], bounds[1], np.float64).numpy()


def _chosen(p: float, x: Any, generator: Generator) -> Any:
    """Whether each image is changed, in a shape that broadcasts against x."""
    return (_uniform((0, 1), len(x), generator) < p)[:, None, None, None]


def _between(numbers: Any, start: Any, length: Any) -> Any:
    return (numbers >= start[:, None]) & (numbers < (start + length)[:, None])


# ------------------------------------------------------------------- geometry


def _framed(x: Any, widths: tuple[tuple[int, int], ...], fill: Any) -> Any:
    """Pad x by these widths with `fill`."""
    sides = list(zip(x.shape, widths, strict=True))
    framed = np.empty([before + n + after for n, (before, after) in sides], x.dtype)
    framed[...] = fill
    framed[tuple(slice(before, before + n) for n, (before, _) in sides)] = x
    return framed


def _sampled(x: Any, rows: Any, columns: Any, interpolation: Interpolation, fill: Any) -> Any:
    """Sample the images at positions (rows, columns), each of shape (N, H, W)."""
    height, width = x.shape[2:]
    framed = _framed(
        x, ((0, 0), (0, 0), (1, 2), (1, 2)), fill
    )  # the fill for all positions outside
    images = np.arange(len(x))[:, None, None, None]
    channels = np.arange(x.shape[1])[:, None, None]

    def pixels(i: Any, j: Any) -> Any:
        i = np.clip(i, -1, height).astype(np.intp) + 1
        j = np.clip(j, -1, width).astype(np.intp) + 1
        return framed[images, channels, i[:, None], j[:, None]]

    if interpolation == "nearest":
        return pixels(np.rint(rows), np.rint(columns))
    top, left = np.floor(rows), np.floor(columns)
    down, right = ((rows - top)[:, None], (columns - left)[:, None])
    upper = pixels(top, left) * (1 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1 - right) + pixels(top + 1, left + 1) * right
    return (upper * (1 - down) + lower * down).astype(x.dtype)

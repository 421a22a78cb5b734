"""Sizes: resizing and crops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...random import Generator
from ..resizing import KERNELS, Kernel, resized
from .base import Compose, Fill, Transform, bounds_of, framed, per_channel, uniform
from .changes import Normalize


class Resize(Transform):
    """Resize with antialiasing; see `data.resizing`.

    Args:
        size: length of the shorter side, or height and width. The longer side keeps the ratio, and
            is rounded down.
        interpolation: "bilinear" or "bicubic".
        levels: 255 rounds as torchvision does for pictures of 8 bits, to multiples of 1/255 after
            each axis; the images have values in [0, 1]. None: no rounding, as for its tensors.

    >>> tg.data.transforms.Resize(2)(tg.arange(16.0).reshape(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        interpolation: Kernel = "bilinear",
        levels: int | None = None,
    ) -> None:
        self.size = size if isinstance(size, int) else (size[0], size[1])
        self.interpolation, self.levels = _kernel(self, interpolation), levels
        if min(size if isinstance(size, tuple) else (size,)) < 1:
            raise ValueError(f"Resize: size must be at least 1, not {size}")

    def apply(self, x: Any, generator: Generator) -> Any:
        height, width = _not_empty(self, x)
        if isinstance(self.size, int):
            short = min(height, width)
            shape = self.size * height // short, self.size * width // short
        else:
            shape = self.size
        return resized(x, shape, self.interpolation, self.levels).copy()


class CenterCrop(Transform):
    """Crop the centre; an image that is too small is padded with zeros first.

    Args:
        size: height and width of the part, or one number for both.

    >>> tg.data.transforms.CenterCrop(2)(tg.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    [[[[5.0, 6.0], [9.0, 10.0]]]]
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        if min(self.size) < 1:
            raise ValueError(f"CenterCrop: size must be at least 1, not {size}")

    def apply(self, x: Any, generator: Generator) -> Any:
        missing = [max(0, wanted - n) for wanted, n in zip(self.size, x.shape[2:], strict=True)]
        widths = ((0, 0), (0, 0), *((n // 2, n - n // 2) for n in missing))
        x = framed(x, widths, x.dtype.type(0))
        top, left = (
            round((n - wanted) / 2) for n, wanted in zip(x.shape[2:], self.size, strict=True)
        )
        return x[:, :, top : top + self.size[0], left : left + self.size[1]].copy()


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
            x = framed(x, widths, per_channel("fill", self.fill, x))
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


class RandomResizedCrop(Transform):
    """Crop a rectangle of random size and position, and resize it (Szegedy et al. 2015).

    Its area as a fraction of the image is uniform in `scale`, and its aspect ratio, width over
    height, log-uniform in `ratio`. If none of ten draws fits, the centre is taken, with the nearest
    ratio that does.

    Args:
        size: height and width of the result, or one number for both.
        scale: the bounds of the area.
        ratio: the bounds of the ratio.
        interpolation: "bilinear" or "bicubic".

    >>> tg.data.transforms.RandomResizedCrop(4)(tg.ones((2, 1, 8, 6))).shape
    (2, 1, 4, 4)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: Kernel = "bilinear",
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.scale = bounds_of(self, "scale", scale, 0.0)
        self.ratio = bounds_of(self, "ratio", ratio, 1.0)
        self.interpolation = _kernel(self, interpolation)
        if min(self.size) < 1 or min(*self.scale, *self.ratio) <= 0 or self.scale[1] > 1:
            raise ValueError(
                "RandomResizedCrop: size must be at least 1, scale within (0, 1] and ratio "
                f"positive, not {size}, {scale} and {ratio}"
            )

    def apply(self, x: Any, generator: Generator) -> Any:
        n = len(x)
        height, width = _not_empty(self, x)
        area = height * width * uniform(self.scale, (10, n), generator)
        logarithms = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = np.exp(uniform(logarithms, (10, n), generator))
        wide, tall = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
        first = fits.argmax(axis=0), np.arange(n)
        nearest = min(max(width / height, self.ratio[0]), self.ratio[1])
        whole = round(min(width, height * nearest)), round(min(height, width / nearest))
        wide = np.where(fits[first], wide[first], whole[0])
        tall = np.where(fits[first], tall[first], whole[1])
        top, left = (uniform((0, 1), n, generator) for _ in range(2))
        top = np.where(fits[first], np.floor(top * (height - tall + 1)), (height - tall) // 2)
        left = np.where(fits[first], np.floor(left * (width - wide + 1)), (width - wide) // 2)
        out = np.empty((*x.shape[:2], *self.size), x.dtype)
        boxes = np.stack([top, tall, left, wide], axis=1).astype(int).tolist()
        for image, place, (i, h, j, w) in zip(x, out, boxes, strict=True):
            place[...] = resized(image[:, i : i + h, j : j + w], self.size, self.interpolation)
        return out


class ImageClassification(Compose):
    """The preprocessing of torchvision's classifiers: resize, crop the centre, normalise.

    Equal to torchvision's on pictures of 8 bits, for images with values in [0, 1] such as those of
    `data.read_image`. The defaults are those of ResNet on ImageNet; other nets have other
    sizes.

    Args:
        crop_size: height and width of the result.
        resize_size: length of the shorter side before the crop.
        mean: subtracted from the pixels: one number per channel, or one for all.
        std: divides them.
        interpolation: "bilinear" or "bicubic".

    >>> preprocess = tg.data.transforms.ImageClassification(crop_size=32, resize_size=36)
    >>> preprocess(tg.rand((1, 3, 40, 60))).shape
    (1, 3, 32, 32)
    """

    def __init__(
        self,
        *,
        crop_size: int = 224,
        resize_size: int = 256,
        mean: Fill = (0.485, 0.456, 0.406),
        std: Fill = (0.229, 0.224, 0.225),
        interpolation: Kernel = "bilinear",
    ) -> None:
        resize = Resize(resize_size, interpolation, levels=255)
        self.normalize = Normalize(mean, std)
        super().__init__([resize, CenterCrop(crop_size), self.normalize])


def _kernel(owner: Any, interpolation: Kernel) -> Kernel:
    if interpolation not in KERNELS:
        raise ValueError(
            f'{type(owner).__name__}: interpolation must be "bilinear" or "bicubic", not '
            f"{interpolation!r}"
        )
    return interpolation


def _not_empty(owner: Any, x: Any) -> tuple[int, int]:
    """Height and width of the images."""
    height, width = x.shape[2:]
    if not height * width:
        raise ValueError(f"{type(owner).__name__}: images of {height} × {width} pixels are empty")
    return height, width

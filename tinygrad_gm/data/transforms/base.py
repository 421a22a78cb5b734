"""What all transforms share: checks of the images, composition, arguments and random draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...backend import ArrayLike
from ...random import Generator, default_generator, using
from ...tensor import Tensor, asarray

Fill: TypeAlias = float | Sequence[float]  # one number, or one per channel
Range: TypeAlias = float | Sequence[float]  # the bounds, or a half width


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


def bounds_of(owner: Any, name: str, value: Range, middle: float) -> tuple[float, float]:
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


def probability(owner: Any, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{type(owner).__name__}: p must lie in [0, 1], not {p}")
    return p


def per_channel(name: str, value: Fill, x: Any) -> Any:
    """The numbers in x's dtype, in a shape that broadcasts against x."""
    numbers = np.atleast_1d(np.asarray(value, x.dtype))
    if numbers.shape not in ((1,), (x.shape[1],)):
        raise ValueError(
            f"{name} has the shape {numbers.shape}; expected one number or {x.shape[1]}, one per "
            "channel"
        )
    return numbers[:, None, None]


def uniform(bounds: Sequence[float], shape: int | tuple[int, ...], generator: Generator) -> Any:
    return generator.uniform(shape, bounds[0], bounds[1], np.float64).numpy()


def chosen(p: float, x: Any, generator: Generator) -> Any:
    """Whether each image is changed, in a shape that broadcasts against x."""
    return (uniform((0, 1), len(x), generator) < p)[:, None, None, None]


def framed(x: Any, widths: tuple[tuple[int, int], ...], fill: Any) -> Any:
    """Pad x by these widths with `fill`."""
    sides = list(zip(x.shape, widths, strict=True))
    framed = np.empty([before + n + after for n, (before, after) in sides], x.dtype)
    framed[...] = fill
    framed[tuple(slice(before, before + n) for n, (before, _) in sides)] = x
    return framed

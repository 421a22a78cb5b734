"""Moving MNIST: videos of handwritten digits that move in a frame and bounce off its walls."""

from __future__ import annotations

import math
from typing import Any, Literal, overload

import numpy as np

from ..random import Generator, default_generator
from ..tensor import Tensor, asarray
from .bundled import mnist_small
from .dataset import TensorDataset
from .images import mnist_at_hand


@overload
def moving_mnist(
    n: int,
    frames: int = 17,
    size: int = 32,
    digits: int = 1,
    digit_size: int = 16,
    speed: tuple[float, float] = (1.5, 2.5),
    split: Literal["train", "test"] = "train",
    labels: Literal[False] = False,
    generator: Generator | None = None,
) -> Tensor: ...


@overload
def moving_mnist(
    n: int,
    frames: int = 17,
    size: int = 32,
    digits: int = 1,
    digit_size: int = 16,
    speed: tuple[float, float] = (1.5, 2.5),
    split: Literal["train", "test"] = "train",
    *,
    labels: Literal[True],
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]: ...


def moving_mnist(
    n: int,
    frames: int = 17,
    size: int = 32,
    digits: int = 1,
    digit_size: int = 16,
    speed: tuple[float, float] = (1.5, 2.5),
    split: Literal["train", "test"] = "train",
    labels: bool = False,
    generator: Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Generate videos of digits that move in straight lines and are reflected by the walls.

    Srivastava, Mansimov and Salakhutdinov 2015, "Unsupervised Learning of Video Representations
    using LSTMs", §4.1 (there 64 × 64 pixels and two digits of 28 × 28). Each digit is drawn from
    `mnist` if its files are there, otherwise from `mnist_small`, and starts at a random position in
    a random direction. Positions are fractions of a pixel (the digit is shifted bilinearly), and a
    digit is reflected exactly where its square touches the wall, also between two frames. Where
    digits overlap, the brighter pixel is shown.

    Args:
        n: number of videos.
        frames: number of frames of each video.
        size: width and height of a frame in pixels.
        digits: number of digits in each video.
        digit_size: width and height to which a digit of 28 × 28 pixels is scaled, by areas.
        speed: the bounds of the uniform distribution of a digit's speed, in pixels per frame.
        split: the part of MNIST from which digits are drawn, "train" or "test".
        labels: also return which digits are in each video.
        generator: random generator; None: the default generator.

    Returns:
        float32 in [0, 1] of shape (n, frames, 1, size, size); with `labels` also the digits, int64
        of shape (n, digits).

    Raises:
        ValueError: an argument is out of range.

    >>> films, shown = tg.data.moving_mnist(4, frames=5, labels=True)
    >>> films.shape, shown.shape
    ((4, 5, 1, 32, 32), (4, 1))
    >>> brightness = films.sum(axis=(2, 3, 4))                         # no pixel leaves the frame
    >>> bool(tg.allclose(brightness, brightness[:, :1], rtol=1e-4))
    True
    """
    if split not in ("train", "test"):
        raise ValueError(f"moving_mnist: split must be 'train' or 'test', not {split!r}")
    source: TensorDataset = getattr(mnist_at_hand() or mnist_small(), split)
    films, shown = bouncing(source, n, frames, size, digits, digit_size, speed, generator)
    return (films, shown) if labels else films


def bouncing(
    source: TensorDataset,
    n: int,
    frames: int = 17,
    size: int = 32,
    digits: int = 1,
    digit_size: int = 16,
    speed: tuple[float, float] = (1.5, 2.5),
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The videos of `moving_mnist`, and their labels (n, digits), with the digits of `source`:
    images (N, 1, H, H) and labels (N,).
    """
    counts = {"n": n, "frames": frames, "digits": digits, "digit_size": digit_size}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"moving_mnist: {name} must be at least 1, not {value}")
    if size < digit_size:
        raise ValueError(
            f"moving_mnist: a digit of {digit_size} pixels does not fit a frame of {size}"
        )
    slowest, fastest = speed
    if not 0 <= slowest <= fastest < math.inf:
        raise ValueError(f"moving_mnist: speed must be bounds 0 ≤ a ≤ b, not {speed}")
    generator = generator or default_generator()
    drawn = generator.integers(0, len(source), (n, digits))
    images, labels = (part[drawn] for part in source.tensors)
    shapes = _scaled(images.numpy()[:, :, 0], digit_size)
    starts = generator.uniform((n, digits, 2), 0, size - digit_size, np.float64).numpy()
    angles = generator.uniform((n, digits), 0, 2 * math.pi, np.float64).numpy()
    speeds = generator.uniform((n, digits), slowest, fastest, np.float64).numpy()
    velocities = speeds[..., None] * np.stack([np.sin(angles), np.cos(angles)], -1)
    films = np.zeros((n, frames, 1, size, size), np.float32)
    for frame in range(frames):
        places = _reflected(starts + frame * velocities, size - digit_size)
        seen = _placed(shapes, places, size).max(axis=1)
        films[:, frame, 0] = np.minimum(seen, 1)  # the weights' rounding may add 1e-7
    return asarray(films), labels


def _scaled(images: Any, size: int) -> Any:
    """Square images (…, H, H), scaled to (…, size, size) by areas."""
    width = images.shape[-1]
    edges = np.linspace(0, width, size + 1)
    pixels = np.arange(width)
    # The share of each old pixel in each new one.
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = (np.clip(covered, 0, None) * (size / width)).astype(np.float32)
    return shares @ images @ shares.T


def _reflected(places: Any, room: int) -> Any:
    """Positions after reflection at walls at 0 and `room`."""
    return np.abs((places + room) % (2 * room) - room) if room else np.zeros_like(places)


def _placed(shapes: Any, places: Any, size: int) -> Any:
    """Each digit in its own frame, at `places` (y, x): (n, digits, size, size)."""
    # Pixel i of a digit at y falls on the rows around i + y, with the weights of the hat function.
    targets = places[..., None, None] + np.arange(shapes.shape[-1])
    weights = np.maximum(0, 1 - np.abs(np.arange(size)[:, None] - targets)).astype(np.float32)
    return weights[:, :, 0] @ shapes @ weights[:, :, 1].swapaxes(-1, -2)

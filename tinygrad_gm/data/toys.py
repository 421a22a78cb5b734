"""Two-dimensional toy distributions for generative models."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..random import Generator, default_generator
from ..tensor import Tensor, asarray


class Mixture(NamedTuple):
    """Draws from a mixture of equal round Gaussians, and the mixture itself.

    Attributes:
        points: (N, 2) float32.
        labels: (N,) int64: the Gaussian of each point; all have the same weight.
        centers: (modes, 2) float32: their means. A sample is usually counted for a mode if it lies
            within 3 σ of its centre; a mode without samples is lost.
        std: σ, the standard deviation along each axis.
    """

    points: Tensor
    labels: Tensor
    centers: Tensor
    std: float


def gaussians_ring(modes: int = 8, n: int = 1000, generator: Generator | None = None) -> Mixture:
    """Gaussians with σ 0.01414 around evenly spaced centres on a circle of radius √2.

    The ring of unrolled GANs (Metz et al. 2017; radius 2, σ 0.02) divided by √2. Centre k lies at
    the angle 2πk / modes.

    >>> ring = tg.data.gaussians_ring(8, n=400)
    >>> ring.points.shape, ring.centers.shape, round(ring.std, 5)
    ((400, 2), (8, 2), 0.01414)
    """
    _check("gaussians_ring", modes=modes, n=n)
    angles = np.arange(modes) * (2 * math.pi / modes)
    centers = math.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1)
    return _mixture(centers, 0.02 / math.sqrt(2), n, generator)


def gaussians_grid(modes: int = 25, n: int = 1000, generator: Generator | None = None) -> Mixture:
    """Gaussians with σ 0.01768 around the points of a square grid with the spacing 0.7071.

    The grid of Gulrajani et al. 2017 and Lin et al. 2018 (spacing 2, σ 0.05) divided by 2√2,
    centred at the origin. Raises ValueError if `modes` is not a square number.

    >>> grid = tg.data.gaussians_grid(25)
    >>> [round(x, 4) for x in grid.centers[0].tolist()]
    [-1.4142, -1.4142]
    """
    _check("gaussians_grid", modes=modes, n=n)
    side = math.isqrt(modes)
    if side * side != modes:
        raise ValueError(f"gaussians_grid: modes must be a square number, not {modes}")
    ticks = (np.arange(side) - (side - 1) / 2) / math.sqrt(2)
    centers = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    return _mixture(centers, 0.05 / math.sqrt(8), n, generator)


def moons(
    n: int = 1000, noise: float = 0.05, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Two interleaving half circles of radius 1, with Gaussian noise; as in scikit-learn.

    For a uniform angle θ in [0, π], the points of the upper one are (cos θ, sin θ), and those of
    the lower one (1 − cos θ, ½ − sin θ).

    Args:
        n: number of points.
        noise: standard deviation of the noise added to each coordinate.
        generator: random generator; None: the default generator.

    Returns:
        The points, float32 of shape (n, 2), and the half circle of each, 0 (upper) or 1, int64 of
        shape (n,); half of the points are in each.

    >>> points, labels = tg.data.moons(100)
    >>> points.shape, labels.sum().item()
    ((100, 2), 50)
    """
    _check("moons", n=n, noise=noise)
    generator = generator or default_generator()
    labels = _shares(n, 2, generator)
    angles = generator.uniform(n, 0, math.pi, np.float64).numpy()
    upper = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = np.where(labels[:, None] == 0, upper, (1.0, 0.5) - upper)
    return _blurred(points, noise, generator), asarray(labels)


def swiss_roll(
    n: int = 1000, noise: float = 0.05, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """A spiral of one and a half turns with Gaussian noise: scikit-learn's roll in two dimensions.

    For a uniform angle t in [1.5 π, 4.5 π], a point is (t cos t, t sin t) / 10: a tenth of the size
    of scikit-learn's roll, as is usual for diffusion models.

    Args:
        n, noise, generator: as in `moons`.

    Returns:
        The points, float32 of shape (n, 2), and the angle t of each, float32 of shape (n,).

    >>> points, t = tg.data.swiss_roll(100, noise=0.0)
    >>> bool(tg.allclose(points.square().sum(axis=1).sqrt(), t / 10, rtol=1e-5))
    True
    """
    _check("swiss_roll", n=n, noise=noise)
    generator = generator or default_generator()
    t = generator.uniform(n, 1.5 * math.pi, 4.5 * math.pi, np.float64).numpy()
    points = np.stack([t * np.cos(t), t * np.sin(t)], 1) / 10
    return _blurred(points, noise, generator), asarray(t.astype(np.float32))


_Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _mixture(centers: _Array, std: float, n: int, generator: Generator | None) -> Mixture:
    generator = generator or default_generator()
    labels = _shares(n, len(centers), generator)
    points = _blurred(centers[labels], std, generator)
    return Mixture(points, asarray(labels), asarray(centers.astype(np.float32)), std)


def _shares(n: int, parts: int, generator: Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The part of each of n points, in random order; sizes of parts differ by at most one."""
    shares: np.ndarray[tuple[int], np.dtype[np.int64]] = generator.permutation(n).numpy() % parts
    return shares


def _blurred(points: _Array, std: float, generator: Generator) -> Tensor:
    noise = generator.normal(points.shape, np.float64).numpy()
    return asarray((points + std * noise).astype(np.float32))


def _check(name: str, *, n: int, modes: int = 1, noise: float = 0.0) -> None:
    for argument, value, least in (("n", n, 1), ("modes", modes, 1), ("noise", noise, 0)):
        if not value >= least:
            raise ValueError(f"{name}: {argument} must be at least {least}, not {value}")

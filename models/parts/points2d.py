"""Points in the plane for the models: data sets by name, and checks of points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Tensor, data
from tinygrad_gm.backend import ArrayLike

DATASETS = ("ring", "grid", "moons", "swiss_roll", "dino")


class Draws(data.Dataset):
    """Points (2,) with labels, newly drawn for each batch.

    In a loader they are drawn from the generator of the batch, so they depend on (seed, epoch,
    batch number) only.

    Args:
        name: "ring", eight Gaussians on a circle of radius √2; "grid", 25 on a square; "moons",
            "swiss_roll", or "dino", whose file `data.datasaurus` reads.
        count: number of points in an epoch.

    Raises ValueError for another name.

    >>> points, labels = Draws("ring", 1000).batch(range(64))
    >>> points.shape, labels.shape
    ((64, 2), (64,))
    """

    def __init__(self, name: str, count: int) -> None:
        if name not in DATASETS:
            raise ValueError(f"the data set must be one of {', '.join(DATASETS)}, not {name!r}")
        self.name, self.count = name, count

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        points, labels = self.batch([index])
        return points[0], labels[0]

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: ArrayLike) -> tuple[Tensor, ...]:
        """New points, one for each index."""
        found: Any = _SOURCES[self.name](len(indices))
        return found[0], found[1]


_SOURCES: dict[str, Callable[[int], Any]] = {
    "ring": lambda n: data.gaussians_ring(8, n),
    "grid": lambda n: data.gaussians_grid(25, n),
    "moons": lambda n: data.moons(n),
    "swiss_roll": lambda n: data.swiss_roll(n),
    "dino": lambda n: data.datasaurus("dino", n),
}


def check(model: str, points: Tensor) -> None:
    """Raise ValueError, naming the `model`, unless the argument is a batch of finite points (N, 2).

    >>> check("gan", tg.zeros((5, 3)))
    Traceback (most recent call last):
        ...
    ValueError: gan: expected points of shape (N, 2); got (5, 3)
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{model}: expected points of shape (N, 2); got {points.shape}")
    if not bool(tg.all(tg.isfinite(points))):
        raise ValueError(f"{model}: the points must be finite")

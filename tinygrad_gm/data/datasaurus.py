"""The Datasaurus Dozen: sets of points with equal statistics and different looks."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..random import Generator, default_generator
from ..tensor import Tensor, asarray
from .files import find, missing

_FILE = "DatasaurusDozen.tsv"
_MEAN, _SCALE = (54.26, 47.83), 25.0  # of all sets: they have the same mean and deviation


def datasaurus(
    name: str = "dino", n: int = 1000, noise: float = 0.03, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draws from a set of 142 points, with Gaussian noise (Matejka and Fitzmaurice 2017, "Same
    Stats, Different Graphs").

    Each set of the original has the mean (54.26, 47.83) and the standard deviations 16.77 and
    26.94; here they are shifted to the mean 0 and divided by 25, so the coordinates are in ±2.1.

    Args:
        name: "dino", "away", "bullseye", "circle", "dots", "h_lines", "high_lines", "slant_down",
            "slant_up", "star", "v_lines", "wide_lines" or "x_shape".
        n: number of draws.
        noise: standard deviation of the noise added to each coordinate.
        generator: random generator; None: the default generator.

    Returns:
        The points, float32 of shape (n, 2), and the number of the point of the set that each was
        drawn from, int64 of shape (n,).

    They are read from `DatasaurusDozen.tsv`, which is not downloaded. Raises FileNotFoundError if
    it is missing, and ValueError if it is damaged or has no such set.

    >>> tg.data.datasaurus("dino", n=500)[0].shape                         # doctest: +SKIP
    (500, 2)
    """
    if n < 1 or not noise >= 0:
        argument, value = ("n", n) if n < 1 else ("noise", noise)
        least = 1 if n < 1 else 0
        raise ValueError(f"datasaurus: {argument} must be at least {least}, not {value}")
    path = find(_FILE)
    if path is None:
        raise missing(_FILE, "is not downloaded: it comes with the paper's supplementary material")
    points, generator = _read(path, name), generator or default_generator()
    labels = generator.integers(0, len(points), n).numpy()
    blur = noise * generator.normal((n, 2), np.float64).numpy()
    return asarray((points[labels] + blur).astype(np.float32)), asarray(labels)


@functools.cache
def _read(path: Path, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The points of a set, shifted and scaled."""
    sets: dict[str, list[tuple[float, float]]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            kind, x, y = line.split("\t")
            sets.setdefault(kind, []).append((float(x), float(y)))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if name not in sets:
        raise ValueError(f"datasaurus: the set must be one of {', '.join(sets)}, not {name!r}")
    return (np.array(sets[name]) - _MEAN) / _SCALE

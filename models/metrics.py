"""How good a generative model is, in numbers: of images, of points in the plane, of likelihoods.

**Images** have no likelihood that all models could be compared by, so a judge looks at them: the
LeNet-5 of this package, trained once and for all (`lenet.pretrained`). Two things are asked.

*Do they look like digits as a whole?* The 84 numbers from which the LeNet decides are taken of n
generated images and of the 10,000 test images. Each set is summarised by its mean m and covariance
C, and the *LeNet distance* is the Fréchet distance between two normals with these moments (Heusel
et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6; there for another network):

    d² = |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½).

It grows when images are bad, and also when they are all alike. It depends on n, for the moments of
fewer images are farther from the truth: only distances with equal n may be compared, and beside
each stands its *floor*, the distance of n training images.

*Is each of them a digit?* The *purity* is the share of images to whose likeliest class the LeNet
gives a probability of 0.9 or more; the shares of the classes show whether one is missing.

**Points** from a model of a mixture are counted mode by mode, each to the nearest centre: none may
be lost, and few points may lie in between.

**Likelihoods** that have only a lower bound get a tighter one from several draws of the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data

from . import batches, lenet, mnist_like, points2d

SURE = 0.9  # the probability from which on an image counts as one of its class
NEAR = 0.3  # the distance up to which a point belongs to a mode
MIXTURES: dict[str, Callable[[], data.Mixture]] = {  # of points2d.Draws, those with modes
    "ring": lambda: data.gaussians_ring(8, 8, Generator(0)),
    "grid": lambda: data.gaussians_grid(25, 25, Generator(0)),
}


def report(samples: Tensor, dataset: str) -> str:
    """All that is measured of a model's samples, as lines of text.

    Args:
        samples: images (N, 1, 28, 28) or (N, 1, 32, 32) in [0, 1], or points (N, 2).
        dataset: what the model learned from; of points "ring" or "grid".

    >>> print(report(tg.data.gaussians_ring(8, n=2400).points, "ring"))
    8 of 8 modes have at least 24 of the 2,400 points within 0.1
    100.0 % within 0.3, 99.2 % within 3 σ; of each mode 12.5 % to 12.5 %
    modes 12.5 12.5 12.5 12.5 12.5 12.5 12.5 12.5 %
    """
    if samples.ndim == 2:
        return str(modes(samples, dataset))
    return f"{lenet_distance(samples)}\n{classes(samples)}"


# ------------------------------------------------------------------------------ images


class Distance(NamedTuple):
    """The LeNet distance of n images to the 10,000 test images, and that of n training images."""

    value: float
    n: int
    floor: float

    def __str__(self) -> str:
        n = f"{self.n:,}"
        return f"LeNet distance {self.value:.1f} (n = {n}; of {n} training images {self.floor:.1f})"


def lenet_distance(images: Tensor) -> Distance:
    """How far images (N, 1, 28, 28) in [0, 1] are from MNIST; of 32 × 32 the margin is cut off.

    The floor is the distance of the first N training images, so N is at least 2, at most 60,000.

    Raises ValueError for other images, and FileNotFoundError where MNIST cannot be had.
    """
    images = _checked("lenet_distance", images)
    n = len(images)
    train, test = data.mnist()
    if not 2 <= n <= len(train):
        raise ValueError(f"lenet_distance: expected 2 to {len(train):,} images; got {n:,}")
    (known, _), truth = train[:n], _moments(test.tensors[0])
    value, floor = (frechet_distance(*_moments(some), *truth) for some in (images, known))
    return Distance(value, n, floor)


def frechet_distance(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """d² of two normals in D dimensions: float64 arrays (D,), (D, D), (D,), (D, D).

    (C₁ C₂)^½ is not symmetric, but has the trace of (C₁^½ C₂ C₁^½)^½, which is: the sum of the
    singular values of C₁^½ C₂^½.

    >>> round(frechet_distance(np.zeros(2), np.eye(2), np.full(2, 3.0), 4 * np.eye(2)), 9)
    20.0
    """
    singular_values = np.linalg.svd(_root(covariance1) @ _root(covariance2), compute_uv=False)
    apart = np.square(mean1 - mean2).sum()
    spread = np.trace(covariance1) + np.trace(covariance2) - 2 * singular_values.sum()
    return float(apart + spread)


def _root(covariance: Any) -> Any:
    """The symmetric root; eigenvalues that may be rounding errors, and would grow, are set to 0."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors * np.sqrt(np.where(values > rounding, values, 0)) @ vectors.T


@tg.no_grad()
def _moments(images: Tensor) -> tuple[Any, Any]:
    """Mean (84,) and covariance (84, 84) of what the judge sees in the images, in float64."""
    judge = lenet.pretrained()
    features = batches.concatenated(judge.features, images).numpy().astype(np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False)


def _checked(name: str, images: Tensor) -> Tensor:
    """Images as the judge knows them; ValueError, in the name of a function, for other ones."""
    if images.shape[-1:] != (32,):
        mnist_like.check(name, images)
        return images
    mnist_like.check(name, images, size=32)
    return mnist_like.cropped(images)


class Classes(NamedTuple):
    """The share of the images that are surely of one class, and the shares (10,) of the classes."""

    purity: float
    shares: Tensor

    def __str__(self) -> str:
        return (
            f"{_percent(self.purity)} are of one class with a probability of at least {SURE}\n"
            f"classes {_percent(*self.shares.tolist())}"
        )


def classes(images: Tensor) -> Classes:
    """What the judge takes images (N, 1, 28, 28) in [0, 1] for; of 32 × 32 the margin is cut off.

    >>> images, labels = tg.data.mnist_small().test.tensors
    >>> classes(images[labels == 3]).shares.argmax().item()
    3
    """
    images = _checked("classes", images)
    logits = lenet.predict(lenet.pretrained(), images)
    sure = tg.max(tg.softmax(logits, axis=1), axis=1) >= SURE
    counts = tg.bincount(tg.argmax(logits, axis=1), minlength=10)
    return Classes(tg.mean(sure).item(), counts / len(logits))


def _percent(*shares: float) -> str:
    return " ".join(f"{100 * share:.1f}" for share in shares) + " %"


# ------------------------------------------------------------------------------ points


class Modes(NamedTuple):
    """What of n points lies where in a mixture.

    Attributes:
        n: how many points there are.
        shares: (modes,): of all points, those of each mode, with its centre within 0.3.
        covered: how many modes have a hundredth of the points within 0.1.
        sharp: the share of the points that lie within 3 σ of a centre.
    """

    n: int
    shares: Tensor
    covered: int
    sharp: float

    def __str__(self) -> str:
        shares = self.shares.tolist()
        return (
            f"{self.covered} of {len(shares)} modes have at least {_hundredth(self.n)} of the "
            f"{self.n:,} points within 0.1\n"
            f"{_percent(sum(shares))} within {NEAR}, {_percent(self.sharp)} within 3 σ; "
            f"of each mode {_percent(min(shares))} to {_percent(max(shares))}\n"
            f"modes {_percent(*shares)}"
        )


def modes(points: Tensor, dataset: str) -> Modes:
    """How points (N, 2) spread over the modes of "ring" or "grid"; ValueError for another one."""
    if dataset not in MIXTURES:
        raise ValueError(f"modes: {' or '.join(MIXTURES)} has modes, and not {dataset!r}")
    points2d.check("modes", points)
    mixture, n = MIXTURES[dataset](), len(points)
    near, close, sharp = (
        mode_counts(points, mixture.centers, radius) for radius in (NEAR, 0.1, 3 * mixture.std)
    )
    covered = tg.sum(close >= _hundredth(n)).item()
    return Modes(n, near / n, int(covered), tg.sum(sharp).item() / n)


def mode_counts(points: Tensor, centers: Tensor, radius: float) -> Tensor:
    """For each mode of a mixture, how many points lie nearest to its centre, and within `radius`.

    Args:
        points: (N, 2).
        centers: (modes, 2), as a `data.Mixture` has them.
        radius: points that are farther from every centre count to none.

    Returns:
        int64, (modes,).

    >>> points = tg.tensor([[0.1, 0.0], [0.9, 0.0], [1.0, 0.2], [0.5, 3.0]])
    >>> mode_counts(points, tg.tensor([[0.0, 0.0], [1.0, 0.0]]), radius=0.3).tolist()
    [1, 2]
    """
    distances = tg.norm(points[:, None] - centers, axis=-1)
    nearest = tg.argmin(distances, axis=1)[tg.min(distances, axis=1) <= radius]
    return tg.bincount(nearest, minlength=len(centers))


def _hundredth(n: int) -> int:
    return -(-n // 100)


# ------------------------------------------------------------------------------ likelihoods


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """The bound of Burda et al. 2016 ("Importance Weighted Autoencoders", eq. 8), for each image.

        L_k = E [ln (1/k) Σ_i w_i],  w_i = p(x|z_i) p(z_i) / q(z_i|x),  z_i ~ q(z|x)

    L_1 is the ELBO; L_k grows with k, towards ln p(x). As each image has its own, a few at a time
    may be computed.

    Args:
        log_weights: ln w_i, (k, N): k draws of the code for each of N images.

    Returns:
        One draw of L_k for each image, in nats, (N,).

    >>> weights = tg.tensor([[1.0, 8.0], [3.0, 8.0]])
    >>> importance_weighted_bound(tg.log(weights)).exp().numpy().round(4).tolist()
    [2.0, 8.0]
    """
    if log_weights.ndim != 2 or not len(log_weights):
        raise ValueError(
            "importance_weighted_bound: expected log_weights of shape (k, N); got "
            f"{log_weights.shape}"
        )
    bound: Tensor = tg.logsumexp(log_weights, axis=0) - math.log(len(log_weights))
    return bound

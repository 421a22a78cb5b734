"""Measures of generative models: of images, of points in the plane, of likelihoods.

**Images.** Not all models have a likelihood, so samples are judged by the LeNet-5 of this package
(`lenet.pretrained`), by two measures.

*Are the images as a whole like digits?* The inputs of the LeNet's last layer, 84 numbers, are
computed for n generated images and for the 10,000 test images. Each set has a mean m and a
covariance C, and the *LeNet distance* is the Fréchet distance of two normals with these moments
(Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6, with another network):

    d² = |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½).

It increases if images are bad, and also if they are all alike. It depends on n, since the moments
of fewer images are less exact: compare only distances with equal n. The *floor* of a distance is
the distance of n training images.

*Is each image a digit?* The *purity* is the fraction of images whose most probable class has a
probability of at least 0.9; the fractions of the classes show whether one is missing.

**Points** of a model of a mixture are counted per mode, each for the nearest centre: no mode should
be lost, and few points should lie in between.

**Likelihoods** with only a lower bound get a tighter one from several draws of the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data

from .. import lenet
from . import batches, mnist_like, points2d

SURE = 0.9  # smallest probability of an image that counts as one of its class
NEAR = 0.3  # largest distance of a point that belongs to a mode
MIXTURES: dict[str, Callable[[], data.Mixture]] = {  # the data sets of points2d with modes
    "ring": lambda: data.gaussians_ring(8, 8, Generator(0)),
    "grid": lambda: data.gaussians_grid(25, 25, Generator(0)),
}


def report(samples: Tensor, dataset: str, labels: Tensor | None = None) -> str:
    """All measures of a model's samples, as lines of text.

    Args:
        samples: images (N, 1, 28, 28) or (N, 1, 32, 32) in [0, 1], or points (N, 2).
        dataset: data set of the model; for points "ring" or "grid".
        labels: the classes that images were asked for, (N,); None: none.

    >>> print(report(tg.data.gaussians_ring(8, n=2400).points, "ring"))
    8 of 8 modes have at least 24 of the 2,400 points within 0.1
    100.0 % within 0.3, 99.2 % within 3 σ; of each mode 12.5 % to 12.5 %
    modes 12.5 12.5 12.5 12.5 12.5 12.5 12.5 12.5 %
    """
    if samples.ndim == 2:
        return str(modes(samples, dataset))
    lines = [str(lenet_distance(samples)), str(classes(samples))]
    if labels is not None:
        lines.append(f"{_percent(agreement(samples, labels))} are read as the class asked for")
    return "\n".join(lines)


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
    """The LeNet distance of images (N, 1, 28, 28) in [0, 1] from MNIST; 32 × 32 pixels are cropped.

    The floor is the distance of the first N training images, so N is from 2 to 60,000. Raises
    ValueError for other images, and FileNotFoundError if MNIST is not available.
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

    (C₁ C₂)^½ is not symmetric, but has the trace of the symmetric (C₁^½ C₂ C₁^½)^½, which is the
    sum of the singular values of C₁^½ C₂^½.

    >>> round(frechet_distance(np.zeros(2), np.eye(2), np.full(2, 3.0), 4 * np.eye(2)), 9)
    20.0
    """
    singular_values = np.linalg.svd(_root(covariance1) @ _root(covariance2), compute_uv=False)
    apart = np.square(mean1 - mean2).sum()
    spread = np.trace(covariance1) + np.trace(covariance2) - 2 * singular_values.sum()
    return float(apart + spread)


def _root(covariance: Any) -> Any:
    """The symmetric root, with eigenvalues of the size of rounding errors set to 0."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors * np.sqrt(np.where(values > rounding, values, 0)) @ vectors.T


@tg.no_grad()
def _moments(images: Tensor) -> tuple[Any, Any]:
    """Mean (84,) and covariance (84, 84) of the LeNet's features of images, in float64."""
    judge = lenet.pretrained()
    features = batches.concatenated(judge.features, images).numpy().astype(np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False)


def _checked(name: str, images: Tensor) -> Tensor:
    """Images of 28 × 28 pixels; ValueError, naming a function, for wrong ones."""
    if images.shape[-1:] != (32,):
        mnist_like.check(name, images)
        return images
    mnist_like.check(name, images, size=32)
    return mnist_like.cropped(images)


class Classes(NamedTuple):
    """The purity of images, and the fractions (10,) of the classes."""

    purity: float
    shares: Tensor

    def __str__(self) -> str:
        return (
            f"{_percent(self.purity)} are of one class with a probability of at least {SURE}\n"
            f"classes {_percent(*self.shares.tolist())}"
        )


def classes(images: Tensor) -> Classes:
    """The purity and the classes of images (N, 1, 28, 28) in [0, 1]; 32 × 32 pixels are cropped.

    >>> images, labels = tg.data.mnist_small().test.tensors
    >>> classes(images[labels == 3]).shares.argmax().item()
    3
    """
    images = _checked("classes", images)
    logits = lenet.predict(lenet.pretrained(), images)
    sure = tg.max(tg.softmax(logits, axis=1), axis=1) >= SURE
    counts = tg.bincount(tg.argmax(logits, axis=1), minlength=10)
    return Classes(tg.mean(sure).item(), counts / len(logits))


def agreement(images: Tensor, labels: Tensor) -> float:
    """The fraction of images (N, 1, 28, 28) in [0, 1] that the LeNet assigns to their labels (N,).

    >>> images, labels = tg.data.mnist_small().test.tensors
    >>> agreement(images, labels) > 0.99
    True
    """
    logits = lenet.predict(lenet.pretrained(), _checked("agreement", images))
    return float(tg.mean(tg.argmax(logits, axis=1) == labels))


def _percent(*shares: float) -> str:
    return " ".join(f"{100 * share:.1f}" for share in shares) + " %"


# ------------------------------------------------------------------------------ points


class Modes(NamedTuple):
    """The distribution of n points over the modes of a mixture.

    Attributes:
        n: number of points.
        shares: fraction of the points within 0.3 of the centre of each mode, (modes,).
        covered: number of modes with at least a hundredth of the points within 0.1.
        sharp: fraction of the points within 3 σ of a centre.
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
    """The modes of points (N, 2) for "ring" or "grid"; ValueError for another data set."""
    if dataset not in MIXTURES:
        raise ValueError(f"modes: the data set must be {' or '.join(MIXTURES)}, not {dataset!r}")
    points2d.check("modes", points)
    mixture, n = MIXTURES[dataset](), len(points)
    near, close, sharp = (
        mode_counts(points, mixture.centers, radius) for radius in (NEAR, 0.1, 3 * mixture.std)
    )
    covered = tg.sum(close >= _hundredth(n)).item()
    return Modes(n, near / n, int(covered), tg.sum(sharp).item() / n)


def mode_counts(points: Tensor, centers: Tensor, radius: float) -> Tensor:
    """The number of points for each mode of a mixture, counted at the nearest centre.

    Args:
        points: (N, 2).
        centers: (modes, 2), as in `data.Mixture`.
        radius: points farther than this from all centres are not counted.

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
    """The bound of Burda et al. 2016 ("Importance Weighted Autoencoders", eq. 8) for each image.

        L_k = E [ln (1/k) Σ_i w_i],  w_i = p(x|z_i) p(z_i) / q(z_i|x),  z_i ~ q(z|x)

    L_1 is the ELBO; L_k increases with k, towards ln p(x).

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

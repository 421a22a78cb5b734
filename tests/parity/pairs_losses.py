"""Losses: every reduction, weights, classes that do not count, smoothing, soft targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw, Shape

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

REDUCTIONS = ("mean", "sum", "none")
Options = dict[str, Callable[[Draw], Any]]


def reduction(d: Draw) -> Any:
    """Draws one of the three that every loss has."""
    return d.one_of(REDUCTIONS)


def number(low: float, high: float) -> Callable[[Draw], Any]:
    """Draws a number."""
    return lambda d: d.number(low, high)


def truth(d: Draw) -> Any:
    """Draws True or False."""
    return d.chance(0.5)


def alike(*ranges: tuple[float, float], **options: Callable[[Draw], Any]) -> Any:
    """Draws arrays of one shape, each in its range, a reduction, and the options."""

    def draw(d: Draw) -> Config:
        how = reduction(d)
        shape = d.shape(empty=0.0 if how == "mean" else 0.1)  # a mean of nothing is NaN
        drawn = {name: option(d) for name, option in options.items()}
        arrays = [d.floats(shape, *limits) for limits in ranges]
        return config(*arrays, **{"reduction": how, **drawn})

    return draw


def weight_of_shape(d: Draw, shape: Shape) -> Any:
    """Draws factors that broadcast to a shape."""
    kept = shape[d.integer(0, len(shape)) :]
    return d.floats(tuple(1 if d.chance(0.3) else n for n in kept), 0.5, 2.0)


def with_weights(*names: str, limits: tuple[float, float]) -> Callable[[Draw], Config]:
    """Draws predictions, targets in [0, 1], and perhaps factors."""

    def draw(d: Draw) -> Config:
        how = reduction(d)
        shape = d.shape(empty=0.0 if how == "mean" else 0.1)
        weights = {n: weight_of_shape(d, shape) for n in names if d.chance(0.6)}
        x, t = d.floats(shape, *limits), d.floats(shape, 0, 1)
        return config(x, t, reduction=how, **weights)

    return draw


def gaussian(d: Draw) -> Config:
    """Draws means, targets, and variances one by one or one per row, some below eps."""
    shape = d.shape((1, 3), empty=0.0)
    rows = d.one_of([shape, (*shape[:-1], 1), shape[:-1] or shape])
    options = {"full": d.chance(0.5), "eps": d.one_of([1e-6, 1e-3, 0.5])}
    arrays = (d.floats(shape), d.floats(shape), d.floats(rows, 0.1, 2.0))
    return config(*arrays, reduction=reduction(d), **options)


def signs(d: Draw, shape: Shape) -> Any:
    """Draws 1 and −1, as integers: they get no gradient."""
    return np.where(d.booleans(shape), 1, -1)


def pairs(d: Draw) -> Config:
    """Draws two scores and which is to be the larger one."""
    shape = d.shape((1, 3), empty=0.0)
    arrays = d.floats(shape), d.floats(shape), signs(d, shape)
    return config(*arrays, margin=d.number(-1, 1), reduction=reduction(d))


def distances(d: Draw) -> Config:
    """Draws distances and whether they are to be small."""
    shape = d.shape((1, 3), empty=0.0)
    x = d.floats(shape, 0, 2)
    return config(x, signs(d, shape), margin=d.number(0.5, 2), reduction=reduction(d))


def triplets(d: Draw) -> Config:
    """Draws three vectors, or three rows of vectors."""
    shape = (*d.shape((0, 1), empty=0.0), d.integer(2, 4))
    options = {"margin": d.number(1, 3), "p": d.one_of([2.0, 2.0, 3.0]), "swap": d.chance(0.4)}
    options["eps"] = d.one_of([1e-6, 0.01])
    return config(*(d.floats(shape) for _ in range(3)), reduction=reduction(d), **options)


def directions(d: Draw) -> Config:
    """Draws two vectors, or rows of vectors, and which belong together."""
    lead = d.shape((0, 1), empty=0.0)
    shape = (*lead, d.integer(2, 4))
    arrays = d.floats(shape), d.floats(shape), np.asarray(signs(d, lead))
    return config(*arrays, margin=d.number(-0.5, 0.5), reduction=reduction(d))


def vectors(d: Draw) -> Config:
    """Draws vectors along the last axis."""
    shape = (*d.shape((0, 2), empty=0.0), d.integer(2, 4))
    arrays = d.floats(shape), d.floats(shape)
    how = {"p": d.one_of([1.0, 2.0, 3.0]), "eps": d.one_of([1e-6, 0.1])}
    return config(*arrays, **how, keepdims=d.chance(0.5))


def along_an_axis(d: Draw) -> Config:
    """Draws vectors along any axis, of a length of at least two."""
    shape = d.shape((1, 3), (2, 4), empty=0.0)
    return config(d.floats(shape), d.floats(shape), axis=d.axis(len(shape)))


def below_eps(d: Draw) -> Config:
    """Draws vectors whose norms are below eps, or some of them."""
    drawn = along_an_axis(d)
    return config(*drawn.arrays, eps=d.one_of([0.5, 20.0]), **drawn.params)


def class_weights(d: Draw, classes: int) -> Any:
    """Draws a factor per class, or none."""
    weight = np.round(d.rng.uniform(0.5, 1.5, classes), 1).astype(d.dtype)
    return weight if d.chance(0.5) else None


def scores(d: Draw) -> tuple[Any, Shape, int]:
    """Draws scores, the classes on axis 1 or the only one; the targets' shape; their number."""
    classes = d.integer(2, 5)
    shape = () if d.chance(0.1) else (d.integer(1, 4), *d.shape((0, 2), empty=0.0))
    return d.floats((*shape[:1], classes, *shape[1:])), shape, classes


def classes(smoothed: bool) -> Callable[[Draw], Config]:
    """Draws scores and class numbers, some of which do not count."""

    def draw(d: Draw) -> Config:
        x, shape, count = scores(d)
        target = d.integers(shape, 0, count - 1)
        ignored = d.one_of([-100, int(d.integer(0, count - 1)), -1])
        if ignored == -1 and target.ndim:
            target = np.where(d.booleans(shape, 0.3), -1, target)
        if (target == ignored).all():
            ignored, target = -100, np.asarray(np.maximum(target, 0))
        smoothing = {"label_smoothing": d.number(0.0, 1.0)} if smoothed else {}
        return config(
            x,
            target,
            weight=class_weights(d, count),
            ignore_index=ignored,
            reduction=reduction(d),
            **smoothing,
        )

    return draw


def soft_classes(d: Draw) -> Config:
    """Draws scores and probabilities."""
    x, _, count = scores(d)
    target = np.abs(d.floats(x.shape)) + d.dtype(0.1)
    target /= target.sum(axis=0 if x.ndim == 1 else 1, keepdims=True)
    smoothing = d.one_of([0.0, 0.1, 0.5])
    weight = class_weights(d, count)
    return config(x, target, weight=weight, reduction=reduction(d), label_smoothing=smoothing)


def divergence(d: Draw) -> Config:
    """Draws log-probabilities and probabilities, or logarithms of these."""
    shape, logarithms = d.shape((1, 3), empty=0.0), d.chance(0.5)
    target = d.floats(shape, -2, 0) if logarithms else d.floats(shape, 0.1, 1)
    how = d.one_of([*REDUCTIONS, "batchmean"])
    return config(d.floats(shape, -2, 0), target, reduction=how, log_target=logarithms)


def probabilities(d: Draw) -> Config:
    """Draws probabilities along an axis, that sum to anything: entropy does not ask."""
    shape = d.shape((1, 3), empty=0.0)
    return config(d.floats(shape, 0.05, 1), axis=d.axis(len(shape)))


def normals(d: Draw) -> Config:
    """Draws several parameters."""
    return config(*(d.floats(d.shape()) for _ in range(d.integer(1, 3))))


def torch_entropy(p: Any, axis: int) -> Any:
    return torch.special.entr(p).sum(dim=axis)


def as_constant(array: Any, like: Any) -> Any:
    return torch.tensor(array.copy()) if isinstance(like, torch.Tensor) else tg.asarray(array)


def with_constants(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both functions, weights given as arrays: in PyTorch they must be constants."""

    def caller(function: Any) -> Any:
        def call(x: Any, *arrays: Any, **params: Any) -> Any:
            for key in ("weight", "pos_weight"):
                if params.get(key) is not None:
                    params[key] = as_constant(params[key], x)
            return function(x, *arrays, **params)

        return call

    return caller(getattr(F, name)), caller(getattr(torch_functional, name))


def same_name(name: str, draw: Any, variant: str = "", **options: Any) -> Pair:
    """A function that has one name in both libraries."""
    label = f"{name} ({variant})" if variant else name
    return Pair(label, *with_constants(name), draw, **options)


COUNTS: Options = {"log_input": truth, "full": truth, "eps": lambda d: d.one_of([1e-8, 0.1])}

PAIRS = [
    same_name("l1_loss", alike((-2, 2), (-2, 2)), order=1),
    same_name("smooth_l1_loss", alike((-2, 2), (-2, 2), beta=lambda d: d.one_of([0, 0.5, 1, 2]))),
    same_name("huber_loss", alike((-2, 2), (-2, 2), delta=number(0.2, 2))),
    Pair("gaussian_nll_loss", F.gaussian_nll_loss, torch_functional.gaussian_nll_loss, gaussian),
    same_name("poisson_nll_loss", alike((0.1, 2), (0, 4), **COUNTS)),
    Pair(
        "l1_penalty",
        lambda *w: F.l1_penalty(w),
        lambda *w: torch.stack([x.abs().sum() for x in w]).sum(),
        normals,
    ),
    Pair(
        "l2_penalty",
        lambda *w: F.l2_penalty(w),
        lambda *w: torch.stack([(x * x).sum() for x in w]).sum() / 2,
        normals,
    ),
    same_name("cross_entropy", classes(smoothed=False), "weights", count=80),
    same_name("cross_entropy", classes(smoothed=True), "smoothed", count=80),
    same_name("cross_entropy", soft_classes, "probabilities", count=80),
    same_name("binary_cross_entropy", with_weights("weight", limits=(0.05, 0.95)), count=80),
    same_name(
        "binary_cross_entropy_with_logits",
        with_weights("weight", "pos_weight", limits=(-4, 4)),
        "weights",
        count=80,
    ),
    same_name("kl_div", divergence, count=80),
    Pair("entropy", F.entropy, torch_entropy, probabilities),
    Pair(
        "cosine_similarity",
        F.cosine_similarity,
        lambda a, b, axis: torch_functional.cosine_similarity(a, b, axis),
        along_an_axis,
    ),
    Pair(
        "cosine_similarity (below eps)",  # whose gradient PyTorch computes as if it were above
        F.cosine_similarity,
        lambda a, b, axis, eps: torch_functional.cosine_similarity(a, b, axis, eps),
        below_eps,
        order=0,
    ),
    Pair(
        "pairwise_distance",
        F.pairwise_distance,
        lambda a, b, p, eps, keepdims: torch_functional.pairwise_distance(a, b, p, eps, keepdims),
        vectors,
    ),
    same_name("hinge_embedding_loss", distances),
    same_name("margin_ranking_loss", pairs),
    same_name("triplet_margin_loss", triplets),
    same_name("cosine_embedding_loss", directions),
]

"""Layers and losses as functions, under PyTorch's names: what `nn` has, without its parameters.

    import tinygrad_gm.nn.functional as F

Most are operations of `tinygrad_gm.ops`; here stand those that are composed of them. A loss has a
`reduction`: "mean" over all its elements, "sum", or "none" for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..backend import ArrayLike
from ..modes import rerunning
from ..ops import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    exp,
    gelu,
    linear,
    log_softmax,
    mish,
    mse_loss,
    nll_loss,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from ..tensor import Tensor, asarray
from .resizing import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
)
from .spatial import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "embedding",
    "gelu",
    "group_norm",
    "interpolate",
    "kl_normal",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


def leaky_relu(input: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al. 2013); at 0 the derivative is the slope.

    >>> F.leaky_relu(tg.tensor([-1.0, 2.0]), 0.25).tolist()
    [-0.25, 2.0]
    """
    return ops.leaky_relu(input, negative_slope)


def embedding(input: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` (count, width) at the integers `input` (…): (…, width).

    The row at `padding_idx` (counted from the end where it is negative) gets no gradient.

    >>> F.embedding(tg.tensor([1, 0]), tg.tensor([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[2.0, 3.0], [0.0, 1.0]]
    """
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(asarray(weight))
    return ops.embedding(weight, asarray(input), padding_idx)


# ------------------------------------------------------------------------------------- norms


def _last_axes(name: str, input: ArrayLike, normalized_shape: int | tuple[int, ...]) -> int:
    """How many axes `normalized_shape` says; they must be the input's last."""
    wanted = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    shape = np.shape(input)
    if not wanted or shape[-len(wanted) :] != wanted:
        raise ValueError(f"{name}: an input {shape} does not end in normalized_shape {wanted}")
    return len(wanted)


def layer_norm(
    input: ArrayLike,
    normalized_shape: int | tuple[int, ...],
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − μ)/√(σ² + eps) · weight + bias over the last axes, those of `normalized_shape`.

    >>> F.layer_norm(tg.tensor([[1.0, 3.0], [2.0, 8.0]]), 2).round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    ndim = _last_axes("layer_norm", input, normalized_shape)
    return ops.layer_norm(input, weight, bias, ndim, eps)


def rms_norm(
    input: ArrayLike,
    normalized_shape: int | tuple[int, ...],
    weight: ArrayLike = None,
    eps: float | None = None,
) -> Tensor:
    """x/√(⟨x²⟩ + eps) · weight over the last axes; eps is the dtype's own where it is None.

    >>> F.rms_norm(tg.tensor([1.0, -7.0]), 2).round(4).tolist()
    [0.20000000298023224, -1.399999976158142]
    """
    ndim = _last_axes("rms_norm", input, normalized_shape)
    if eps is None:
        eps = float(np.finfo(asarray(input).dtype).eps)
    return ops.rms_norm(input, weight, ndim, eps)


def group_norm(
    input: ArrayLike,
    num_groups: int,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − μ)/√(σ² + eps) · weight + bias over groups of the channels of (N, C, …).

    >>> F.group_norm(tg.tensor([[[1.0], [3.0], [2.0], [8.0]]]), 2).round(3).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    return ops.group_norm(input, weight, bias, num_groups, eps)


def batch_norm(
    input: ArrayLike,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − μ)/√(σ² + eps) · weight + bias per channel of (N, C, …) (Ioffe & Szegedy 2015).

    Args:
        input: (N, C, …).
        running_mean, running_var: (C,). In evaluation they are μ and σ². In training, μ and σ² are
            those of the batch, and these move towards them, in place:
            running ← (1 − momentum) · running + momentum · batch, where the batch's variance is
            divided by n − 1. They stay where they are when a `tg.checkpoint` is run again. None,
            in training only: nothing is kept.
        weight, bias: (C,); None: 1 and 0.
        training: use the batch's statistics, and move the running ones.
        momentum: how far the running ones move.
        eps: keeps 1/σ finite.

    Raises:
        ValueError: training with a single number per channel, whose variance says nothing; or
            evaluation without running statistics.

    >>> mean, var = tg.zeros(1), tg.ones(1)
    >>> F.batch_norm(tg.tensor([[1.0], [3.0]]), mean, var, training=True).round(3).tolist()
    [[-1.0], [1.0]]
    >>> mean.round(3).tolist(), var.round(3).tolist()
    ([0.20000000298023224], [1.100000023841858])
    """
    x = asarray(input)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        return _affine(x, asarray(running_mean), asarray(running_var), weight, bias, eps)
    count = x.size // x.shape[1] if x.ndim > 1 and x.shape[1] else 0
    if x.ndim > 1 and count <= 1:
        raise ValueError(
            f"batch_norm: training needs more than one number per channel; got an input {x.shape}"
        )
    out, mean, variance = ops.batch_norm(x, weight, bias, eps)
    if not rerunning.get():
        _move(running_mean, mean._data, momentum)
        _move(running_var, variance._data * (count / (count - 1)), momentum)
    return out


def _move(running: Tensor | None, batch: Any, momentum: float) -> None:
    if running is not None:
        running._data += momentum * (batch - running._data)
        running.mark_written()


def _affine(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Tensor:
    """Normalised with given statistics: one factor and one shift per channel."""
    factor = 1.0 / (variance + eps).sqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    like = (-1, *(1 for _ in x.shape[2:]))
    out: Tensor = x * factor.reshape(like) + shift.reshape(like)
    return out


def kl_normal(
    mu_p: ArrayLike,
    log_var_p: ArrayLike,
    mu_q: ArrayLike = None,
    log_var_q: ArrayLike = None,
    reduction: str = "mean",
) -> Tensor:
    """KL(p ‖ q) of two normal distributions, elementwise, from their means and log-variances.

    With p = N(μ_p, σ_p²) and q = N(μ_q, σ_q²):

        KL(p ‖ q) = ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²) / (2σ_q²) − ½

    The log-variance ln σ² can be any number, so a network may give it.

    Args:
        mu_p, log_var_p: of p, any shapes that broadcast.
        mu_q, log_var_q: of q; None: 0, that is q = N(0, 1), as in a variational autoencoder
            (Kingma & Welling 2014, appendix B).
        reduction: "mean", "sum" or "none". The KL of a vector of independent normals is the sum
            over its axis: `F.kl_normal(mu, log_var, reduction="none").sum(axis=-1)`.

    >>> F.kl_normal(tg.tensor(1.0), tg.tensor(0.0)).item()
    0.5
    """
    mu, log_var = asarray(mu_p), asarray(log_var_p)
    distance = mu if mu_q is None else mu - mu_q
    spread = exp(log_var) + distance * distance
    if log_var_q is not None:
        log_var = log_var - log_var_q
        spread = spread * exp(-asarray(log_var_q))
    return _reduced("kl_normal", (spread - log_var - 1.0) * 0.5, reduction)


def _reduced(name: str, losses: Any, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{name}: reduction is {reduction!r}; "mean", "sum" or "none" is wanted')
    reduced: Tensor = losses if reduction == "none" else getattr(losses, reduction)()
    return reduced

"""Normalisation: mean 0 and variance 1 over some of the axes, then a factor and a shift.

Also two without a mean: vectors scaled to length 1, and local response normalisation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...backend import ArrayLike, floating_dtype
from ...engine.modes import rerunning
from ...hints import named
from ...tensor import Tensor, asarray

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def _last_axes(name: str, input: ArrayLike, normalized_shape: int | tuple[int, ...]) -> int:
    """The number of axes of `normalized_shape`, which must be the input's last."""
    wanted = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    shape = input.shape if isinstance(input, Tensor) else np.shape(input)
    if not wanted or shape[-len(wanted) :] != wanted:
        raise ValueError(f"{name}: expected an input whose shape ends in {wanted}; got {shape}")
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
    """x/√(⟨x²⟩ + eps) · weight over the last axes; eps None: the machine epsilon of the dtype.

    >>> F.rms_norm(tg.tensor([1.0, -7.0]), 2).round(4).tolist()
    [0.20000000298023224, -1.399999976158142]
    """
    ndim = _last_axes("rms_norm", input, normalized_shape)
    if eps is None:
        eps = float(np.finfo(floating_dtype(asarray(input).dtype)).eps)
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
            those of the batch, and these are updated in place: running ← (1 − momentum) · running +
            momentum · batch, where the batch's variance is divided by n − 1. They are not updated
            when a `tg.checkpoint` is recomputed. None, in training only: no running statistics.
        weight, bias: (C,); None: 1 and 0.
        training: use the batch's statistics, and update the running ones.
        momentum: weight of the new statistics in the running ones.
        eps: added to σ², keeps 1/σ finite.

    Raises:
        ValueError: training with a single element per channel, whose variance is undefined; or
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


def instance_norm(
    input: ArrayLike,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − μ)/√(σ² + eps) · weight + bias per example and channel (Ulyanov et al. 2016).

    Args:
        input: (N, C, …).
        running_mean, running_var: (C,), as in `batch_norm`; updated with the averages over the
            examples of μ and σ². None: no running statistics.
        weight, bias: (C,); None: 1 and 0.
        use_input_stats: use μ and σ² of the input instead of the running ones.
        momentum: weight of the new statistics in the running ones.
        eps: added to σ², keeps 1/σ finite.

    Raises:
        ValueError: a single element per channel, whose variance is undefined; or missing running
            statistics.

    >>> F.instance_norm(tg.tensor([[[1.0, 3.0], [2.0, 8.0]]])).round(3).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    x = asarray(input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(
                "instance_norm: use_input_stats=False needs running_mean and running_var"
            )
        return _affine(x, asarray(running_mean), asarray(running_var), weight, bias, eps)
    count = math.prod(x.shape[2:])
    if x.ndim < 3 or count == 1:
        raise ValueError(
            "instance_norm: expected an input (N, C, …) with more than one number per example and "
            f"channel; got {x.shape}"
        )
    if not rerunning.get():
        values, axes = x.detach(), tuple(range(2, x.ndim))
        if running_mean is not None:
            _move(running_mean, values.mean(axes).mean(0)._data, momentum)
        if running_var is not None:
            _move(running_var, values.var(axes, correction=1).mean(0)._data, momentum)
    return ops.group_norm(x, weight, bias, x.shape[1], eps)


@named
def normalize(input: ArrayLike, p: float = 2.0, axis: Any = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖ₚ, eps): vectors along an axis (or several) scaled to length 1.

    >>> F.normalize(tg.tensor([[3.0, -4.0], [0.0, 0.0]])).round(2).tolist()
    [[0.6000000238418579, -0.800000011920929], [0.0, 0.0]]
    """
    x = asarray(input)
    return ops.divide(x, ops.clip(ops.norm(x, axis=axis, ord=p, keepdims=True), eps))


def local_response_norm(
    input: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x_c / (k + alpha/size · Σ x_j²)^beta, the sum over the `size` channels j around c.

    Strong channels inhibit their neighbours (Krizhevsky et al. 2012, section 3.3, where alpha is
    not divided by the size). At the edges the missing channels count as 0.

    Args:
        input: (N, C, …), of three axes or more.
        size: number of channels in a neighbourhood, with one more before c than after it if `size`
            is even.
        alpha, beta, k: as above; k > 0 keeps the result finite.

    >>> x = tg.tensor([[[1.0], [2.0], [0.0]]])
    >>> F.local_response_norm(x, size=3, alpha=3.0, beta=1.0).flatten().round(4).tolist()
    [0.16670000553131104, 0.33329999446868896, 0.0]
    """
    x = asarray(input)
    if x.ndim < 3:
        raise ValueError(
            f"local_response_norm: expected an input (N, C, …) of 3 axes or more; got {x.shape}"
        )
    if size < 1:
        raise ValueError(f"local_response_norm: expected size ≥ 1; got {size}")
    margins = [(0, 0)] * x.ndim
    margins[1] = (size // 2, (size - 1) // 2)
    squares = ops.pad(x * x, tuple(margins))
    total = squares[:, : x.shape[1]]
    for start in range(1, size):
        total = total + squares[:, start : start + x.shape[1]]
    return ops.divide(x, (total * (alpha / size) + k) ** beta)


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

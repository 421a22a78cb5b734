"""Gradient clipping: gradients are limited between `backward` and the optimizer's step.

A gradient that is too large is replaced by a smaller one in new memory: its array may be shared
with another parameter's gradient, or be saved by a graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..backend import Array, module_of
from ..tensor import Tensor, asarray


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor so that together their norm is at most `max_norm`.

    The gradients g of all parameters are taken as one long vector; each becomes
    g · min(1, max_norm / (‖g‖ + 1e-6)) (Pascanu, Mikolov & Bengio 2013, algorithm 1).

    Args:
        parameters: one tensor or several; those without a gradient are ignored.
        max_norm: the largest norm, ≥ 0.
        norm_type: p of the p-norm; `float("inf")` is the largest absolute value.
        error_if_nonfinite: raise when the norm is NaN or infinite. Otherwise a NaN norm makes all
            gradients NaN, and an infinite norm makes finite gradients 0 and infinite ones NaN.

    Returns:
        The norm before clipping, as a 0-d Tensor.

    Raises:
        ValueError: max_norm is below 0.
        RuntimeError: the norm is not finite, and `error_if_nonfinite` is set; nothing is changed.

    >>> w = tg.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * np.array([3.0, 4.0])).sum().backward()
    >>> optim.clip_grad_norm_([w], max_norm=1.0).item()
    5.0
    >>> [round(g, 3) for g in w.grad.tolist()]
    [0.6, 0.8]
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm is {max_norm}; it must be ≥ 0")
    owners = _with_gradients(parameters)
    arrays = [_gradient(parameter)._data for parameter in owners]
    with np.errstate(over="ignore", invalid="ignore"):
        norms = [_norm(array, float(norm_type)) for array in arrays]
        total = _norm(np.array(norms), float(norm_type))
        if error_if_nonfinite and not np.isfinite(total):
            raise RuntimeError(
                f"clip_grad_norm_: the norm of the gradients is {total}; look for the first "
                "infinite or NaN value with tg.detect_anomaly()"
            )
        factor = max_norm / (total + 1e-6)
        if not factor >= 1:  # also if it is NaN
            for parameter, array in zip(owners, arrays, strict=True):
                parameter._grad = asarray(module_of(array).multiply(array, factor))
    if not arrays:
        return Tensor._of(np.zeros((), np.float32))
    dtype = np.result_type(*(array.dtype for array in arrays))
    with np.errstate(over="ignore"):
        return Tensor._of(module_of(arrays[0]).asarray(total, dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of every gradient to [−clip_value, clip_value]; NaN stays.

    Args:
        parameters: one tensor or several; those without a gradient are ignored.
        clip_value: ≥ 0.

    Raises:
        ValueError: clip_value is below 0.

    >>> w = tg.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * np.array([0.5, -4.0])).sum().backward()
    >>> optim.clip_grad_value_([w], 1.0)
    >>> w.grad.tolist()
    [0.5, -1.0]
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value is {clip_value}; it must be ≥ 0")
    for parameter in _with_gradients(parameters):
        array = _gradient(parameter)._data
        parameter._grad = asarray(module_of(array).clip(array, -clip_value, clip_value))


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The parameters that have a gradient, each once."""
    several = [parameters] if isinstance(parameters, Tensor) else parameters
    return list(dict.fromkeys(p for p in several if p.grad is not None))


def _gradient(parameter: Tensor) -> Tensor:
    gradient: Tensor | None = parameter.grad
    assert gradient is not None
    return gradient


def _norm(array: Array, order: float) -> float:
    """The norm of all numbers of an array as one vector."""
    if array.size == 0:
        return 0.0
    xp = module_of(array)
    vector = array.ravel(order="K" if xp is np else "C")  # CuPy has no K
    if array.dtype.itemsize < 4:  # a sum of squares easily exceeds float16's largest, 65,504
        vector = vector.astype(np.float32)
    if order == 2:
        return math.sqrt(xp.vdot(vector, vector))
    return float(xp.linalg.norm(vector, order))

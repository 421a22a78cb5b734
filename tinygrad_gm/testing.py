"""Checking derivatives of any order against differences of the function itself.

A derivative that a rule computes and one that is measured share nothing but the function, so they
agree only if the rule is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .creation import zeros
from .engine.backward import grad
from .engine.record import Traced
from .tensor import Tensor, asarray, tensor

__all__ = ["gradcheck"]


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    order: int = 1,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> bool:
    """Compare the derivatives of one order of `fn` with central differences.

    The outputs, weighted with fixed random numbers, are added up to one number φ₁; its gradients,
    weighted likewise, to φ₂, and so on. The gradient of φ_order with respect to every element is
    compared with (φ_order(x + eps) − φ_order(x − eps)) / 2·eps. So order 2 takes the first order
    for granted: check 1, then 2, then 3.

    Args:
        fn: called with the inputs; returns a Tensor or a sequence of them. It must give the same
            values on every call, and must be smooth within `eps` of the inputs.
        inputs: the arguments of fn; those that require a gradient are checked.
        order: the order of the derivative, ≥ 1.
        eps: the step, added to one element at a time.
        rtol, atol: |analytic − numeric| ≤ atol + rtol · |numeric| must hold for every element.

    Returns:
        True.

    Raises:
        AssertionError: a derivative is wrong; names the input, the element and both values.
        TypeError: a checked input is not float64, so that rounding would hide the differences; or
            `fn` does not return Tensors.
        ValueError: no input requires a gradient, or `order` is less than 1.

    >>> x = tg.tensor([0.5, 2.0], dtype=tg.float64, requires_grad=True)
    >>> tg.testing.gradcheck(tg.log, x), tg.testing.gradcheck(tg.log, x, order=3)
    (True, True)
    """
    if not hasattr(inputs, "__iter__"):
        kind = type(inputs).__name__
        raise TypeError(f"gradcheck: expected inputs to be a tensor or a sequence; got {kind}")
    leaves = [_as_leaf(value) for value in ([inputs] if isinstance(inputs, Traced) else inputs)]
    checked = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.requires_grad]
    if order < 1:
        raise ValueError(f"gradcheck: expected order ≥ 1; got {order}")
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient, so there is nothing to check")
    for i in checked:
        if leaves[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {leaves[i].dtype}; differences as small as {eps} need "
                "float64: make it with dtype=tg.float64"
            )
    phi = _weighted_sum(fn, leaves, checked, order)
    analytic = _gradients(phi, [leaves[i] for i in checked], create_graph=False)
    for i, gradient in zip(checked, analytic, strict=True):
        for index in np.ndindex(leaves[i].shape):
            numeric = _difference(fn, leaves, checked, order, i, index, eps)
            found = float(gradient.numpy()[index])
            if not abs(found - numeric) <= atol + rtol * abs(numeric):
                raise AssertionError(
                    f"gradcheck: derivative of order {order} in input {i} at {index}: "
                    f"analytic {found:.10g}, numeric {numeric:.10g}"
                )
    return True


def _as_leaf(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().requires_grad_(value.requires_grad)


def _weighted_sum(fn: Any, leaves: list[Any], checked: list[int], order: int) -> Tensor:
    """φ_order: the outputs, or their derivatives of order − 1, weighted and added up."""
    weights = np.random.default_rng(0)
    outputs = _tensors(fn(*leaves))
    for _ in range(order - 1):
        phi = _sum_of_products(outputs, weights)
        outputs = _gradients(phi, [leaves[i] for i in checked], create_graph=True)
    return _sum_of_products(outputs, weights)


def _tensors(returned: Any) -> list[Any]:
    """What the checked function returned, as a list of Tensors."""
    outputs = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    for output in outputs:
        if not isinstance(output, Traced):
            kind = type(output).__name__
            came = kind if output is returned else f"a {type(returned).__name__} with a {kind}"
            raise TypeError(
                f"gradcheck: fn returned {came}; expected a Tensor or a sequence of Tensors"
            )
    return outputs


def _sum_of_products(outputs: list[Any], weights: np.random.Generator) -> Tensor:
    total: Any = 0.0
    for output in outputs:
        factors = weights.uniform(0.5, 1.5, output.shape) * weights.choice([-1, 1], output.shape)
        total = total + (output * tensor(factors, np.float64, output.device)).sum()
    return asarray(total)


def _gradients(phi: Tensor, inputs: list[Any], create_graph: bool) -> list[Any]:
    """The gradient of φ in every input, zeros where φ does not depend on it."""
    found: Sequence[Any] = [None] * len(inputs)
    if phi.requires_grad:
        found = grad(phi, inputs, create_graph=create_graph, allow_unused=True)
    pairs = zip(found, inputs, strict=True)
    return [zeros(x.shape, x.dtype, device=x.device) if g is None else g for g, x in pairs]


def _difference(
    fn: Any, leaves: list[Any], checked: list[int], order: int, i: int, index: Any, eps: float
) -> float:
    """The central difference of φ_order when one element of input i moves."""

    def moved(step: float) -> float:
        values = leaves[i].numpy().copy(order="K")
        values[index] += step
        nudged = asarray(values, device=leaves[i].device).requires_grad_()
        return float(_weighted_sum(fn, [*leaves[:i], nudged, *leaves[i + 1 :]], checked, order))

    return (moved(eps) - moved(-eps)) / (2 * eps)

"""A single neuron with backpropagation: probabilities σ(Xw + b), mean squared error.

With p = σ(z), z = Xw + b and L = (1/n) Σ (p − y)², the chain rule by hand gives

    ∂L/∂w = (2/n) · Xᵀ [(p − y) · p · (1 − p)]        ∂L/∂b = (2/n) · Σ (p − y) · p · (1 − p)

The code does not contain these formulas: `loss.backward()` computes the gradients. The tests
compare both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tinygrad_gm as tg
from tinygrad_gm import Tensor
from tinygrad_gm.training import Run, option

FEATURES = [[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0]]  # the worked example
LABELS = [1.0, 0.0, 0.0]
INITIAL_WEIGHTS = [0.1, -0.2]


@dataclass(frozen=True)
class Config:
    """The worked example: three points with two features each, labelled 1, 0, 0."""

    learning_rate: float = option(0.1, "learning rate of gradient descent")
    epochs: int = option(2, "number of passes over the three points", least=0)


def single_neuron_model(
    features: Sequence[Sequence[float]],
    labels: Sequence[float],
    weights: Sequence[float],
    bias: float,
) -> tuple[list[float], float]:
    """The probabilities of the neuron for rows of features, and their mean squared error.

    Args:
        features: n rows of d numbers.
        labels: n numbers, 0 or 1.
        weights: d numbers.
        bias: one number.

    Returns:
        The n probabilities and the error, rounded to 4 decimals.

    >>> single_neuron_model([[0.5, 1.0], [-1.5, -2.0]], [0, 1], [0.7, -0.4], -0.1)
    ([0.4626, 0.4134], 0.279)
    """
    x, y, w, b = _as_tensors("single_neuron_model", features, labels, weights, bias)
    p = probability(x, w, b)
    return [round(value, 4) for value in p.tolist()], round(squared_error(p, y).item(), 4)


def train_neuron(
    features: Sequence[Sequence[float]],
    labels: Sequence[float],
    initial_weights: Sequence[float],
    initial_bias: float,
    learning_rate: float,
    epochs: int,
) -> tuple[list[float], float, list[float]]:
    """Train the neuron by gradient descent on all rows at once.

    Args:
        features: n rows of d numbers.
        labels: n numbers, 0 or 1.
        initial_weights: d numbers.
        initial_bias: one number.
        learning_rate: the step size.
        epochs: number of steps.

    Returns:
        The weights, the bias, and the error of each epoch before its step, rounded to 4 decimals.

    >>> train_neuron([[1, 2], [2, 1], [-1, -2]], [1, 0, 0], [0.1, -0.2], 0.0, 0.1, 2)
    ([0.1036, -0.1425], -0.0167, [0.3033, 0.2942])
    """
    if epochs < 0:
        raise ValueError(f"train_neuron: epochs must be at least 0, not {epochs}")
    x, y, w, b = _as_tensors("train_neuron", features, labels, initial_weights, initial_bias)
    errors = []
    for _ in range(epochs):
        loss = squared_error(probability(x, w, b), y)
        loss.backward()
        with tg.no_grad():
            for parameter in (w, b):
                parameter -= learning_rate * parameter.grad
                parameter.grad = None
        errors.append(round(loss.item(), 4))
    return [round(value, 4) for value in w.tolist()], round(b.item(), 4), errors


def probability(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """σ(x w + b): features (n, d) and weights (d,) give (n,)."""
    return tg.sigmoid(x @ w + b)


def squared_error(p: Tensor, y: Tensor) -> Tensor:
    """The mean of (p − y)²."""
    return tg.mean(tg.square(p - y))


def train(config: Config, run: Run) -> None:
    """Train on the worked example, and log the error of each epoch."""
    weights, bias, errors = train_neuron(
        FEATURES, LABELS, INITIAL_WEIGHTS, 0.0, config.learning_rate, config.epochs
    )
    for epoch, error in enumerate(errors, 1):
        run.log({"epoch": epoch, "mse": error})
    print(f"weights {weights}, bias {bias}, mse {errors}")


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The error of the neuron on the first point, computed from scalars, and its named leaves."""
    leaves = {
        "x1": tg.tensor(FEATURES[0][0]),
        "w1": tg.tensor(INITIAL_WEIGHTS[0], requires_grad=True),
        "x2": tg.tensor(FEATURES[0][1]),
        "w2": tg.tensor(INITIAL_WEIGHTS[1], requires_grad=True),
        "b": tg.tensor(0.0, requires_grad=True),
        "y": tg.tensor(LABELS[0]),
    }
    x1, w1, x2, w2, b, y = leaves.values()
    m1, m2 = x1 * w1, x2 * w2
    m = m1 + m2
    z = m + b
    p = tg.sigmoid(z)
    d = p - y
    loss = tg.square(d)
    results = {"m1": m1, "m2": m2, "m": m, "z": z, "p": p, "d": d, "L": loss}
    for name, result in results.items():
        result.name = name
    loss.backward()
    return loss, leaves


def _as_tensors(
    name: str,
    features: Sequence[Sequence[float]],
    labels: Sequence[float],
    weights: Sequence[float],
    bias: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, y = tg.tensor(features, tg.float64), tg.tensor(labels, tg.float64)
    w = tg.tensor(weights, tg.float64, requires_grad=True)
    b = tg.tensor(bias, tg.float64, requires_grad=True)
    if x.ndim != 2 or y.shape != x.shape[:1] or w.shape != x.shape[1:] or b.ndim != 0:
        raise ValueError(
            f"{name}: expected features (n, d), labels (n,), weights (d,) and one bias; got "
            f"{x.shape}, {y.shape}, {w.shape} and {b.shape}"
        )
    return x, y, w, b

"""Why does L1 regularisation make weights zero, and L2 only small?

The derivative of λ|w| is λ · sign(w): the pull to zero is the same for a small weight as for a
large one, and a weight whose part in the error is worth less than λ stays at 0. The derivative of
λ/2 · w² is λw: the pull fades with the weight, which never arrives. If the inputs are uncorrelated
and have the variance 1, both have closed forms, with ŵ the weight without a penalty (Tibshirani
1996, "Regression Shrinkage and Selection via the Lasso", section 2.2):

    L1: w = sign(ŵ) · max(|ŵ| − λ, 0)        L2: w = ŵ / (1 + λ)

A gradient step does not stop at 0, where |w| has no derivative. *Proximal* gradient descent does:
it takes the step of the error alone, and then minimises ½ (v − w)² + ηλ · penalty(v) exactly, which
is one of the two formulas, with ηλ for λ (Beck and Teboulle 2009, "A Fast Iterative
Shrinkage-Thresholding Algorithm", equation 1.5).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor, pictures

WEIGHTS = (3.0, -2.0, 1.0, 0.0, 0.0, 0.0)  # of the data


def proximal(w: Tensor, penalty: str, strength: float) -> Tensor:
    """The v that minimises ½ ‖v − w‖² + strength · penalty(v), with Σ |v| or ½ Σ v².

    >>> w = tg.tensor([3.0, -0.5])
    >>> proximal(w, "L1", 1.0).tolist(), proximal(w, "L2", 1.0).tolist()
    ([2.0, 0.0], [1.5, -0.25])
    """
    if penalty == "L1":
        return tg.where(w > strength, w - strength, tg.where(w < -strength, w + strength, 0.0))
    return w / (1 + strength)


def fit(x: Tensor, y: Tensor, penalty: str, strength: float, steps: int = 300) -> Tensor:
    """The weights (D,) that minimise 1/(2N) ‖x w − y‖² + strength · penalty(w).

    Args:
        x: inputs (N, D).
        y: targets (N,).
        penalty: "L1" or "L2".
        strength: λ.
        steps: number of steps of proximal gradient descent from w = 0, of length 1/L, with L the
            largest curvature of the error.
    """
    rate = len(x) / float(np.linalg.norm(x.numpy(), 2)) ** 2
    w = tg.zeros(x.shape[1], x.dtype)
    for _ in range(steps):
        w = w.detach().requires_grad_()
        residual = x @ w - y
        (gradient,) = tg.grad((residual * residual).sum() / (2 * len(x)), w)
        w = proximal(w.detach() - rate * gradient, penalty, rate * strength)
    return w


def answer(folder: Path, *, count: int = 100, steps: int = 300, strengths: int = 25) -> str:
    """Draw the weights of a regression over the strength of L1 and of L2."""
    generator = tg.Generator(0)
    x = tg.randn((count, len(WEIGHTS)), tg.float64, generator=generator)
    noise = tg.randn(count, tg.float64, generator=generator)
    y = x @ tg.tensor(WEIGHTS, tg.float64) + noise
    scale = np.geomspace(0.01, 10, strengths).tolist()
    panels, lines = [], []
    for penalty in ("L1", "L2"):
        path = [fit(x, y, penalty, strength, steps).tolist() for strength in scale]
        logs = [math.log10(strength) for strength in scale]
        panels.append(
            pictures.curves(
                {
                    f"w{i + 1}, in the data {wanted:g}": (logs, [w[i] for w in path])
                    for i, wanted in enumerate(WEIGHTS)
                },
                title=f"{penalty} regularisation",
                x_label="log10 of the strength",
                y_label="weight",
                size=(480, 400),
            )
        )
        at = [fit(x, y, penalty, strength, steps) for strength in (0.3, 1.0, 10.0)]
        zeros = ", ".join(str(int(tg.sum(w == 0).item())) for w in at)
        smallest = min(abs(value) for value in at[1].tolist())
        lines.append(
            f"{penalty}: {zeros} of {len(WEIGHTS)} weights are 0 with the strengths 0.3, 1, 10; "
            f"the smallest has the size {smallest:.2g} with 1"
        )
    pictures.panels(panels, columns=2, path=folder / "sparsity.png")
    return "\n".join(lines)

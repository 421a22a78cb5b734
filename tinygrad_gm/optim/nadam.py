"""NAdam: Adam that looks ahead along its momentum, as Nesterov's method does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..options import as_number
from .adam import moments
from .flat import Blocks
from .optimizer import Optimizer, Params


class NAdam(Optimizer):
    """NAdam (Dozat 2016, algorithm 2, with the schedule of β₁ of its section on momentum).

    With the gradient g, its moments m and v (at first 0), step number t, ψ = `momentum_decay` and
    the parameter θ:

        μₜ = β₁ (1 − ½ · 0.96^(t ψ))            M ← M · μₜ          (at first M = 1)
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²                  v̂ = v / (1 − β₂ᵗ)
        m̂ = μₜ₊₁ m / (1 − M μₜ₊₁) + (1 − μₜ) g / (1 − M)
        θ ← θ − lr · m̂ / (√v̂ + ε)

    Args:
        lr: about how far a parameter moves in a step.
        betas: (β₁, β₂), the decay rates of the moments, in [0, 1).
        eps: ε, which bounds the steps where gradients vanish.
        momentum_decay: ψ, the rate at which μ goes from ½β₁ to β₁.
        params, weight_decay, decoupled_weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step` (t), `mu_product` (M, a number), `exp_avg` (m), `exp_avg_sq`
    (v).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(value, 2) for value in w.tolist()]
    [0.47, -1.47]
    """

    numbers: ClassVar[Mapping[str, float]] = {"mu_product": 1.0}

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        options |= {"momentum_decay": momentum_decay, "maximize": maximize}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        group["momentum_decay"] = as_number(self, "momentum_decay", group["momentum_decay"])

    def scale(self, group: dict[str, Any]) -> float:
        """1 − β₁, the share of a gradient in the first moment."""
        return 1 - float(group["betas"][0])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        (beta1, beta2), decay = group["betas"], group["momentum_decay"]
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = blocks.numbers["mu_product"] = blocks.numbers["mu_product"] * mu
        of_gradient = group["lr"] * (1 - mu) / (1 - product) / (1 - beta1)
        of_moment = group["lr"] * mu_next / (1 - product * mu_next)
        for block in blocks:
            xp, g, scratch = block.xp, block.grad, block.scratch
            m, v = moments(block, beta1, beta2)
            direction = xp.multiply(m, of_moment)
            xp.multiply(g, of_gradient, scratch)  # g is (1 − β₁) times the gradient
            xp.add(direction, scratch, direction)
            xp.multiply(v, 1 / (1 - beta2**step), scratch)
            xp.sqrt(scratch, scratch)
            xp.add(scratch, group["eps"], scratch)
            xp.divide(direction, scratch, direction)
            xp.subtract(block.param, direction, block.param)

"""RAdam: Adam that uses its second moment only once its variance is small enough."""

from __future__ import annotations

import math
from typing import Any

from .adam import moments
from .flat import Blocks
from .optimizer import Optimizer, Params


class RAdam(Optimizer):
    """Rectified Adam (Liu et al. 2020, algorithm 2).

    With the gradient g, its moments m and v (at first 0), step number t and the parameter θ:

        m ← β₁ m + (1 − β₁) g                   m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²                  v̂ = v / (1 − β₂ᵗ)
        ρ∞ = 2 / (1 − β₂) − 1                   ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        if ρ > 5:  r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)),   θ ← θ − lr · r · m̂ / √v̂
        else:      θ ← θ − lr · m̂

    ρ is the effective number of gradients averaged in v. While it is small, v has a large variance
    and the step does not use it, which warms up the learning rate automatically. As in PyTorch, ε
    is added to √v, and the condition is ρ > 5 where the paper has ρ > 4.

    Args:
        lr: about how far a parameter moves in a step.
        betas: (β₁, β₂), the decay rates of the moments, in [0, 1).
        eps: ε, which bounds the steps where gradients vanish.
        params, weight_decay, decoupled_weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step` (t), `exp_avg` (m), `exp_avg_sq` (v).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.RAdam([w], lr=0.25)  # the first steps are those of SGD with momentum
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        options |= {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def scale(self, group: dict[str, Any]) -> float:
        """1 − β₁, the share of a gradient in the first moment."""
        return 1 - float(group["betas"][0])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        beta1, beta2 = group["betas"]
        lr, correction = group["lr"] / (1 - beta1**step), 1 - beta2**step
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * step * beta2**step / correction
        rectified = length > 5
        if rectified:
            share = (length - 4) * (length - 2) * limit
            lr *= math.sqrt(correction * share / ((limit - 4) * (limit - 2) * length))
        for block in blocks:
            m, v = moments(block, beta1, beta2)
            block.descend(block.ratio(m, v, group["eps"]) if rectified else m, lr)

"""Adamax: Adam with the running maximum of |g| instead of the mean square."""

from __future__ import annotations

from typing import Any

from .flat import Blocks
from .optimizer import Optimizer, Params


class Adamax(Optimizer):
    """Adamax (Kingma & Ba 2015, section 7.1, algorithm 2).

    With the gradient g, its moment m and its running maximum u (at first 0), step number t and the
    parameter θ:

        m ← β₁ m + (1 − β₁) g
        u ← max(β₂ u, |g| + ε)
        θ ← θ − lr / (1 − β₁ᵗ) · m / u

    Args:
        lr: approximately the largest step of a parameter.
        betas: (β₁, β₂), the decay rates of m and u, in [0, 1).
        eps: ε, prevents division by 0; PyTorch's addition to the paper's formula.
        params, weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step` (t), `exp_avg` (m), `exp_inf` (u).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adamax([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        beta1, beta2 = group["betas"]
        lr = group["lr"] / (1 - beta1**step)
        for block in blocks:
            xp, scratch = block.xp, block.scratch
            m = block.average("exp_avg", beta1, block.grad, 1 - beta1)
            u = block.state("exp_inf")
            xp.absolute(block.grad, scratch)
            xp.add(scratch, group["eps"], scratch)
            xp.multiply(u, beta2, u)
            xp.maximum(u, scratch, out=u)
            block.descend(xp.divide(m, u, scratch), lr)

"""Lion: every coordinate moves by the same amount, along the sign of a momentum."""

from __future__ import annotations

from typing import Any

from .flat import Blocks
from .optimizer import Optimizer, Params


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2).

    With the gradient g, its moment m (at first 0) and the parameter θ:

        θ ← θ − lr · (sign(β₁ m + (1 − β₁) g) + λ θ)
        m ← β₂ m + (1 − β₂) g

    It keeps one moment where Adam keeps two. As all coordinates move by lr, use an lr 3 to 10 times
    smaller than Adam's, and a λ larger by the same factor.

    Args:
        lr: how far a parameter moves in a step.
        betas: (β₁, β₂), the moment's weight in a step and its decay rate, in [0, 1).
        weight_decay: λ, decoupled from the gradient as in AdamW.
        params, maximize: as in `Optimizer`.

    State of each parameter: `step`, `exp_avg` (m).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Lion([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.75, -1.75]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "decoupled_weight_decay": True})

    def scale(self, group: dict[str, Any]) -> float:
        """1 − β₁, the share of a gradient in a step."""
        return 1 - float(group["betas"][0])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        beta1, beta2 = group["betas"]
        for block in blocks:
            xp, g, scratch = block.xp, block.grad, block.scratch
            xp.multiply(block.state("exp_avg"), beta1, scratch)
            xp.add(scratch, g, scratch)  # g is (1 − β₁) times the gradient
            block.descend(xp.sign(scratch, scratch), group["lr"])
            block.average("exp_avg", beta2, g, (1 - beta2) / (1 - beta1))

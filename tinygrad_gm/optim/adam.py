"""Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..backend import module_of
from .flat import Block
from .optimizer import Optimizer, Params


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    With the gradient g, its moments m and v (at first 0), step number t and the parameter θ:

        m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)
        θ ← θ − lr · m̂ / (√v̂ + ε)

    Args:
        params: tensors, or dicts with "params" and options of their own.
        lr: about how far a parameter moves in a step.
        betas: (β₁, β₂), how much of the moments is kept, in [0, 1).
        eps: ε, which bounds the steps where gradients vanish.
        weight_decay: λ of an L2 penalty ½λ‖θ‖², whose gradient is added to g.
        amsgrad: use the largest v so far in the place of v (Reddi et al. 2018).
        maximize: ascend.

    State of each parameter: `step` (t), `exp_avg` (m), `exp_avg_sq` (v), with `amsgrad`
    `max_exp_avg_sq`.

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "amsgrad": amsgrad, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError if an option is out of range."""
        super().check(group)
        self._at_least_zero(group, "eps")
        if not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"Adam: betas is {group['betas']}; both must be in [0, 1)")

    def scale(self, group: dict[str, Any]) -> float:
        """1 − β₁, the share of a gradient in the first moment."""
        return 1 - float(group["betas"][0])

    def update(self, group: dict[str, Any], step: int, blocks: Iterator[Block]) -> None:
        """See the class. The corrections of v̂ go into lr and ε: they are numbers, not vectors."""
        beta1, beta2 = group["betas"]
        correction = math.sqrt(1 - beta2**step)
        lr, eps = group["lr"] * correction / (1 - beta1**step), group["eps"] * correction
        for block in blocks:
            xp, g, scratch = module_of(block.param), block.grad, block.scratch
            add, multiply = xp.add, xp.multiply
            m, v = block.state("exp_avg"), block.state("exp_avg_sq")
            multiply(m, beta1, m)
            add(m, g, m)  # g is (1 − β₁) times the gradient
            multiply(g, g, scratch)
            multiply(scratch, (1 - beta2) / (1 - beta1) ** 2, scratch)
            multiply(v, beta2, v)
            add(v, scratch, v)
            if group["amsgrad"]:
                largest = block.state("max_exp_avg_sq")
                v = xp.maximum(largest, v, out=largest)
            xp.sqrt(v, scratch)
            add(scratch, eps, scratch)
            xp.divide(m, scratch, scratch)
            multiply(scratch, lr, scratch)
            xp.subtract(block.param, scratch, block.param)

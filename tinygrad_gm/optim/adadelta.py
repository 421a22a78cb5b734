"""Adadelta: steps in the parameter's own units, so that no learning rate has to be found."""

from __future__ import annotations

from typing import Any

from ..options import as_number
from .flat import Blocks
from .optimizer import Optimizer, Params


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1).

    With the gradient g, the running means v of its squares and u of the steps' squares (both 0 at
    first) and the parameter θ:

        v ← ρ v + (1 − ρ) g²
        Δ = g · √(u + ε) / √(v + ε)
        u ← ρ u + (1 − ρ) Δ²
        θ ← θ − lr · Δ

    Args:
        lr: a factor of every step; 1 in the paper.
        rho: ρ, the decay rate of the running means, in [0, 1].
        eps: ε, which sets the size of the first steps.
        params, weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step`, `square_avg` (v), `acc_delta` (u).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adadelta([w], eps=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(value, 2) for value in w.tolist()]
    [0.69, -1.68]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        group["rho"] = as_number(self, "rho", group["rho"], high=1)

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        rho, eps = group["rho"], group["eps"]
        for block in blocks:
            xp, scratch = block.xp, block.scratch
            v = block.average("square_avg", rho, block.squares(), 1 - rho)
            delta = xp.add(block.state("acc_delta"), eps)
            xp.divide(delta, xp.add(v, eps, scratch), delta)
            xp.sqrt(delta, delta)
            xp.multiply(delta, block.grad, delta)
            block.average("acc_delta", rho, xp.multiply(delta, delta, scratch), 1 - rho)
            block.descend(delta, group["lr"])

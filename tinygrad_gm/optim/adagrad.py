"""Adagrad: each coordinate's steps shrink as its gradients accumulate."""

from __future__ import annotations

from typing import Any

from ..options import as_number
from .flat import Blocks
from .optimizer import Optimizer, Params


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011, the diagonal form).

    With the gradient g, the sum s of its squares so far, step number t and the parameter θ:

        s ← s + g²
        θ ← θ − lr / (1 + (t − 1) · lr_decay) · g / (√s + ε)

    Args:
        lr: about how far a parameter moves in the first step.
        lr_decay: rate at which lr decays with the number of steps.
        initial_accumulator_value: s before the first step.
        eps: ε, prevents division by 0.
        params, weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step` (t), `sum` (s).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        options |= {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {**options, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        for name in ("lr_decay", "initial_accumulator_value"):
            group[name] = as_number(self, name, group[name])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        lr = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        for block in blocks:
            total = block.state("sum")
            if step == 1:
                total[...] = group["initial_accumulator_value"]
            block.xp.add(total, block.squares(), total)
            block.descend(block.ratio(block.grad, total, group["eps"]), lr)

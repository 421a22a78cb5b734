"""Adam and AdamW: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array
from ..kernels import native
from ..options import as_flag
from .flat import Block, Blocks
from .optimizer import Optimizer, Params


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    With the gradient g, its moments m and v (at first 0), step number t and the parameter θ:

        m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)
        θ ← θ − lr · m̂ / (√v̂ + ε)

    Args:
        lr: about how far a parameter moves in a step.
        betas: (β₁, β₂), the decay rates of the moments, in [0, 1).
        eps: ε, which bounds the steps where gradients vanish.
        amsgrad: use the maximum of all v so far instead of v (Reddi et al. 2018).
        params, weight_decay, decoupled_weight_decay, maximize: as in `Optimizer`.

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
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        options |= {"amsgrad": amsgrad, "maximize": maximize}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        group["amsgrad"] = as_flag(self, "amsgrad", group["amsgrad"])

    def scale(self, group: dict[str, Any]) -> float:
        """1 − β₁, the share of a gradient in the first moment."""
        return 1 - float(group["betas"][0])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        beta1, beta2 = group["betas"]
        correction = math.sqrt(1 - beta2**step)  # of v̂, applied to lr and ε: numbers, not vectors
        lr, eps = group["lr"] * correction / (1 - beta1**step), group["eps"] * correction
        largest = "max_exp_avg_sq" if group["amsgrad"] else None
        run = blocks.for_kernel("exp_avg", "exp_avg_sq", largest)
        if run is not None:
            native.adam(beta1, beta2, share_of_squares(beta1, beta2), eps, lr, *run)
            return
        for block in blocks:
            m, v = moments(block, beta1, beta2)
            if group["amsgrad"]:
                largest = block.state("max_exp_avg_sq")
                v = block.xp.maximum(largest, v, out=largest)
            block.descend(block.ratio(m, v, eps), lr)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Each step first shrinks the parameter, then applies Adam's update without a penalty:

        θ ← (1 − lr · λ) θ

    So all weights decay at one rate, however large their gradients are. In Adam, λ is added to the
    gradient and divided by √v̂ with it.

    Args:
        params, lr, betas, eps, amsgrad, maximize: as in `Adam`.
        weight_decay: λ. Biases and norm scales usually form a group with 0.

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(value, 3) for value in w.tolist()]
    [0.25, -1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = lr, betas, eps, weight_decay, amsgrad
        super().__init__(params, *options, maximize=maximize, decoupled_weight_decay=True)


def moments(block: Block, beta1: float, beta2: float) -> tuple[Array, Array]:
    """Update the moments m and v of a block whose `grad` is (1 − β₁) g, and return them."""
    xp, m = block.xp, block.state("exp_avg")
    xp.multiply(m, beta1, m)
    xp.add(m, block.grad, m)
    share = share_of_squares(beta1, beta2)
    return m, block.average("exp_avg_sq", beta2, block.squares(), share)


def share_of_squares(beta1: float, beta2: float) -> float:
    """The factor of a squared gradient in v, where the gradient comes as (1 − β₁) g."""
    return (1 - beta2) / (1 - beta1) ** 2

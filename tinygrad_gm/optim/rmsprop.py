"""RMSprop: steps divided by the running root mean square of the gradient."""

from __future__ import annotations

from typing import Any

from ..kernels import native
from ..options import as_flag, as_number
from .flat import Blocks
from .optimizer import Optimizer, Params


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5); centred: Graves (2013, section 4.2).

    With the gradient g, the running means v of its squares and a of itself, the velocity b (all 0
    at first) and the parameter θ:

        v ← α v + (1 − α) g²
        d = g / (√v + ε),   with `centered`   a ← α a + (1 − α) g,   d = g / (√(v − a²) + ε)
        b ← momentum · b + d
        θ ← θ − lr · b

    Args:
        lr: about how far a parameter moves in a step, without momentum.
        alpha: α, the decay rate of the running means, in [0, 1].
        eps: ε, which bounds the steps where gradients vanish.
        momentum: the decay rate of the velocity.
        centered: divide by the gradient's standard deviation instead of its root mean square.
        params, weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step`, `square_avg` (v), `momentum_buffer` (b), `grad_avg` (a); the
    last two only where they are used.

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        options |= {"momentum": momentum, "centered": centered, "maximize": maximize}
        super().__init__(params, options)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        group["alpha"] = as_number(self, "alpha", group["alpha"], high=1)
        group["momentum"] = as_number(self, "momentum", group["momentum"])
        group["centered"] = as_flag(self, "centered", group["centered"])

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        lr, alpha, eps, momentum = (group[k] for k in ("lr", "alpha", "eps", "momentum"))
        run = blocks.for_kernel(
            "square_avg",
            "grad_avg" if group["centered"] else None,
            "momentum_buffer" if momentum else None,
        )
        if run is not None:
            native.rmsprop(lr, alpha, 1 - alpha, eps, momentum, *run)
            return
        for block in blocks:
            xp, g, scratch = block.xp, block.grad, block.scratch
            v = block.average("square_avg", alpha, block.squares(), 1 - alpha)
            if group["centered"]:
                a = block.average("grad_avg", alpha, g, 1 - alpha)
                xp.multiply(a, a, scratch)
                v = xp.subtract(v, scratch, scratch)
                xp.maximum(v, 0, out=v)  # rounding may leave less than 0, and √ NaN
            direction = block.ratio(g, v, eps)
            if momentum:
                velocity = block.state("momentum_buffer")
                xp.multiply(velocity, momentum, velocity)
                direction = xp.add(velocity, direction, velocity)
            block.descend(direction, lr)

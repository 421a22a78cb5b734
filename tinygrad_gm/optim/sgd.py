"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

import math
from typing import Any

from ..kernels import native
from ..options import as_flag, as_number
from .flat import Blocks
from .optimizer import Optimizer, Params


class SGD(Optimizer):
    """Stochastic gradient descent.

    With the gradient g, the velocity b (at first 0) and the parameter θ:

        b ← momentum · b + (1 − dampening) · g        (in the first step b ← g)
        θ ← θ − lr · b,   with `nesterov`   θ ← θ − lr · (g + momentum · b)

    Without momentum θ ← θ − lr · g. This is the form of Sutskever et al. (2013) with the velocity
    in units of the gradient, so that a change of lr takes effect immediately, as in PyTorch.

    Args:
        lr: the step's length relative to the gradient.
        momentum: the decay rate of the velocity.
        dampening: reduction of the gradient's weight in the velocity.
        nesterov: look ahead along the velocity; needs momentum > 0 and dampening = 0.
        params, weight_decay, maximize: as in `Optimizer`.

    State of each parameter: `step`, `momentum_buffer` (b).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening}
        options |= {"weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, options)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        group["momentum"] = as_number(self, "momentum", group["momentum"])
        group["dampening"] = as_number(self, "dampening", group["dampening"], low=-math.inf)
        group["nesterov"] = as_flag(self, "nesterov", group["nesterov"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening = 0")

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        lr, momentum = group["lr"], group["momentum"]
        share = 1 - group["dampening"] if step > 1 else 1
        run = blocks.for_kernel("momentum_buffer" if momentum else None)
        if run is not None:
            native.sgd(lr, momentum, share, group["nesterov"], *run)
            return
        for block in blocks:
            xp, direction, scratch = block.xp, block.grad, block.scratch
            if momentum:
                velocity = block.state("momentum_buffer")
                xp.multiply(velocity, momentum, velocity)
                fresh = direction if share == 1 else xp.multiply(direction, share, scratch)
                xp.add(velocity, fresh, velocity)
                if group["nesterov"]:
                    xp.multiply(velocity, momentum, scratch)
                    direction = xp.add(scratch, direction, scratch)
                else:
                    direction = velocity
            block.descend(direction, lr)

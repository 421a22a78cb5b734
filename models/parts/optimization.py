"""What the recipes share: a learning rate that rises and falls, and weights that decay."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_gm import nn


def rate_factor(step: int, warm_up: int, steps: int, least: float = 0.0) -> float:
    """The learning rate of a step, as a fraction of its peak.

        (t + 1)/w  for t < w,   m + (1 − m)·½ (1 + cos(π (t − w)/(T − w)))  for w ≤ t < T

    with w steps of warm-up of T in all, and the least fraction m (Loshchilov and Hutter 2017,
    "SGDR", equation 5; Goyal et al. 2017, section 2.2).

    >>> [round(rate_factor(step, 2, 10), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    >>> [round(rate_factor(step, 2, 10, 0.1), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.55, 0.1]
    """
    if step < warm_up:
        return (step + 1) / warm_up
    passed = (step - warm_up) / max(steps - warm_up, 1)
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))


def decaying(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters as groups for an optimizer: only those of two or more axes decay.

    >>> [len(group["params"]) for group in decaying(nn.Linear(2, 3), 0.1)]
    [1, 1]
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]

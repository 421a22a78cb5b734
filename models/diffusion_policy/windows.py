"""Demonstrations as training data: windows of episodes, and the scale of their numbers.

**Windows.** A training row is T_p consecutive steps of one episode: the first T_o observations, and
all actions. Windows may begin before the episode and end after it, where its first or last step is
repeated, for two reasons: in the first step of a rollout there is only one observation, and a plan
may reach beyond the end. An episode of L steps has L − T_p + before + after + 1 windows.

**Scale.** The noise of diffusion has variance 1, so observations and actions are mapped to [−1, 1],
each dimension by its smallest and its largest value in the demonstrations.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn

Array: TypeAlias = NDArray[np.float64]

HORIZON = 16  # T_p, steps of a plan
OBSERVED = 2  # T_o, steps whose observations the plan depends on
EXECUTED = 8  # T_a, steps of a plan that are executed
CONSTANT = 1e-4  # a dimension with a smaller range is only shifted, to 0


class Episodes(NamedTuple):
    """Demonstrations, one after the other.

    Attributes:
        observation: (steps, D).
        action: (steps, A).
        ends: (episodes,), the number of steps up to the end of each.
    """

    observation: Array
    action: Array
    ends: NDArray[np.int64]


def windows(
    ends: NDArray[np.int64],
    horizon: int = HORIZON,
    before: int = OBSERVED - 1,
    after: int = EXECUTED - 1,
) -> NDArray[np.int64]:
    """The rows of all windows of episodes, (windows, horizon).

    Args:
        ends: the end of each episode, (episodes,).
        horizon: length of a window.
        before, after: the largest number of steps of a window before and after its episode.

    Raises ValueError for an episode shorter than the horizon.

    >>> windows(np.array([4]), horizon=4, before=1, after=1).tolist()
    [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]
    """
    rows, steps = [], np.arange(horizon)
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if end - start < horizon:
            raise ValueError(
                f"diffusion_policy: episode {number} has {end - start} steps, fewer than the "
                f"horizon of {horizon}"
            )
        firsts = np.arange(start - before, end - horizon + after + 1)
        rows.append(np.clip(firsts[:, None] + steps, start, end - 1))
    return np.concatenate(rows)


def executed(plan: Tensor | Array, observed: int = OBSERVED, steps: int = EXECUTED) -> Array:
    """The actions of plans (N, T_p, A) that are executed, (N, T_a, A).

    A plan starts with the first of the T_o observations, so the action for the last of them, now,
    has the index T_o − 1.

    >>> executed(np.arange(16.0).reshape(1, 16, 1)).ravel().tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    """
    return np.asarray(plan, np.float64)[:, observed - 1 : observed - 1 + steps]


class Normalizer(nn.Module):
    """The map of each of D dimensions to [−1, 1], by limits.

    Args:
        dim: D.

    Attributes:
        scale, offset: (D,), float64: x · scale + offset is the normalised x.

    >>> normalizer = Normalizer(2)
    >>> normalizer.fit(np.array([[0.0, 5.0], [10.0, 5.0]]))
    >>> x = normalizer(tg.tensor([[2.5, 5.0]]))
    >>> x.tolist(), normalizer.inverse(x).tolist()
    ([[-0.5, 0.0]], [[2.5, 5.0]])
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("scale", tg.ones(dim, tg.float64))
        self.register_buffer("offset", tg.zeros(dim, tg.float64))

    def fit(self, x: Array) -> None:
        """Take the limits from data (N, D); dimensions that are constant are shifted to 0.

        Raises ValueError for data of another shape, without rows, or with values that are not
        finite.
        """
        if x.ndim != 2 or x.shape[1] != self.scale.size or not len(x):
            raise ValueError(
                f"Normalizer: expected data of shape (N, {self.scale.size}) with N ≥ 1; got "
                f"{x.shape}"
            )
        finite = np.isfinite(x).all(axis=0)
        if not finite.all():
            raise ValueError(
                f"Normalizer: dimension {int(np.argmin(finite))} of the data has values that are "
                "not finite"
            )
        low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
        constant = high - low < CONSTANT
        scale = 2 / np.where(constant, 2, high - low)
        offset = np.where(constant, -low, -1 - scale * low)
        for buffer, value in ((self.scale, scale), (self.offset, offset)):
            buffer.copy_(tg.tensor(value, device=buffer.device))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.scale + self.offset).astype(x.dtype)

    def inverse(self, x: Tensor) -> Tensor:
        """The data of normalised data (…, D)."""
        return ((x - self.offset) / self.scale).astype(x.dtype)

"""The built-in task: a point has to pass an obstacle, on the left or on the right.

The demonstrations do both, equally often and from the same places. So the distribution of actions
there has two modes, and their mean leads straight into the obstacle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .windows import Array, Episodes

RADIUS = 0.3  # of the obstacle, a disc around the origin
START, GOAL = np.array([0.0, -0.8]), np.array([0.0, 0.8])
REACHED = 0.1  # distance of the goal at which it is reached
SPEED = 0.06  # largest length of a step


class Obstacle:
    """The plane, with the point below the obstacle and the goal above it.

    An observation is the position of the point, (2,), an action the place where it should go. The
    reward is 1 in the step that reaches the goal; touching the obstacle ends the rollout as well.

    >>> task = Obstacle()
    >>> task.reset([0, 1]).shape
    (2, 2)
    """

    limit = 60

    def reset(self, seeds: Sequence[int]) -> Array:
        """Put the points below the obstacle; return the observations (N, 2)."""
        self.position = np.stack([_start(np.random.default_rng(seed)) for seed in seeds])
        return self.position

    def step(
        self, actions: Array, active: NDArray[np.bool_]
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Move the active points towards the actions (N, 2)."""
        before = self.position
        self.position = np.where(active[:, None], moved(before, actions), before)
        # a step that jumped over the edge of the disc is seen in its middle
        hit = np.minimum(*(_length(x) for x in (self.position, (before + self.position) / 2)))
        reached = _length(self.position - GOAL) < REACHED
        won = active & reached & (hit >= RADIUS)
        return self.position, won.astype(np.float64), active & (reached | (hit < RADIUS))


def moved(position: Array, target: Array) -> Array:
    """Positions (N, 2) after a step towards targets (N, 2), no longer than the speed allows."""
    way = target - position
    length = np.maximum(_length(way), 1e-9)
    found: Array = position + way * np.minimum(1, SPEED / length)[:, None]
    return found


def demonstrations(count: int, seed: int = 0) -> Episodes:
    """Generated demonstrations, on either side with probability ½.

    Each follows an arc of random width with small errors, and then waits at the goal.

    >>> episodes = demonstrations(3)
    >>> episodes.observation.shape == episodes.action.shape == (episodes.ends[-1], 2)
    True
    """
    rng = np.random.default_rng(seed)
    share = np.linspace(0, 1, 1000)[:, None]
    observations, actions, lengths = list[Array](), list[Array](), list[int]()
    for _ in range(count):
        start, side, width = _start(rng), rng.choice([-1, 1]), rng.uniform(0.5, 0.7)
        arc = (1 - share) * start + share * GOAL
        arc[:, :1] += side * width * np.sin(np.pi * share)
        ways = np.concatenate([[0], np.cumsum(_length(np.diff(arc, axis=0)))])
        places = np.arange(0.05, ways[-1] + 8 * 0.05, 0.05)  # 8 steps of waiting at the goal
        path = np.stack([np.interp(places, ways, arc[:, axis]) for axis in (0, 1)], axis=1)
        targets = path + rng.normal(scale=0.01, size=path.shape)
        position = start[None]
        for target in targets:
            observations.append(position)
            position = moved(position, target[None])
        actions.append(targets)
        lengths.append(len(targets))
    return Episodes(np.concatenate(observations), np.concatenate(actions), np.cumsum(lengths))


def sides(path: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the paths (steps, N, 2) pass the obstacle left, and which right, (N,) each."""
    beside = np.argmin(np.abs(path[:, :, 1]), axis=0)
    x = path[beside, np.arange(path.shape[1]), 0]
    return x < -RADIUS, x > RADIUS


def _start(rng: np.random.Generator) -> Array:
    place: Array = START + np.array([rng.uniform(-0.08, 0.08), 0.0])
    return place


def _length(x: Array) -> Array:
    found: Array = np.hypot(x[..., 0], x[..., 1])
    return found

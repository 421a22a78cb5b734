"""Receding-horizon control: plan T_p steps, execute T_a of them, observe, and plan again.

All rollouts of a batch run together, so that a plan of all of them is one call of the network. The
baselines at the end need no training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor

from .windows import HORIZON, OBSERVED, Array, Episodes, Normalizer, executed, windows

Planner: TypeAlias = Callable[[Array, Generator], Array]
"""Observations (N, T_o, D) → plans (N, T_p, A)."""


class Task(Protocol):
    """An environment, of which several copies run together."""

    limit: int  # steps of a rollout

    def reset(self, seeds: Sequence[int]) -> Array:
        """Start a rollout from each seed; return the observations (N, D)."""

    def step(
        self, actions: Array, active: NDArray[np.bool_]
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Make a step with the actions (N, 2) where `active`, (N,); return the observations (N, D),
        the rewards (N,), 0 elsewhere, and whether the rollouts are over, (N,).
        """


class Plan(NamedTuple):
    """The plans made after a number of steps for some of the rollouts: (rows, fan, T_p, A)."""

    step: int
    rows: NDArray[np.int64]
    actions: Array


class Rollouts(NamedTuple):
    """N rollouts.

    Attributes:
        observations: (steps + 1, N, D), the last one repeated after the end of a rollout.
        rewards: (steps, N), 0 after the end.
        plans: all plans; the first of a fan was executed.
    """

    observations: Array
    rewards: Array
    plans: list[Plan]

    @property
    def scores(self) -> Array:
        """The largest reward of each rollout, (N,)."""
        found: Array = self.rewards.max(axis=0)
        return found


def rollout(
    task: Task, planner: Planner, seeds: Sequence[int], generator: Generator, *, fan: int = 1
) -> Rollouts:
    """Control a task from each seed up to its end, or its limit of steps.

    Args:
        task: the environment.
        planner: makes the plans.
        seeds: those of the initial states.
        generator: random generator of the planner.
        fan: number of plans that are made each time; the first is executed, the others are to be
            drawn.

    The same arguments give the same rollouts, bit for bit.
    """
    now = task.reset(seeds)
    path, rewards, plans = [now] * OBSERVED, list[Array](), list[Plan]()
    active = np.ones(len(now), bool)
    while len(rewards) < task.limit and active.any():
        rows = np.flatnonzero(active)
        history = np.stack([seen[rows] for seen in path[-OBSERVED:]], axis=1)
        found = planner(np.repeat(history, fan, axis=0), generator)
        plan = found.reshape(len(rows), fan, *found.shape[1:])
        plans.append(Plan(len(rewards), rows, plan))
        todo = np.zeros((len(now), *executed(plan[:, 0]).shape[1:]))
        todo[rows] = executed(plan[:, 0])
        for actions in todo.swapaxes(0, 1)[: task.limit - len(rewards)]:
            now, reward, over = task.step(actions, active)
            path.append(now)
            rewards.append(reward)
            active = active & ~over
            if not active.any():
                break
    return Rollouts(np.stack(path[OBSERVED - 1 :]), np.stack(rewards), plans)


class Score(NamedTuple):
    """The mean of the scores of rollouts, and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.error:.3f}"


def score(scores: Array) -> Score:
    """The mean of N scores and its standard error, their standard deviation divided by √N.

    >>> print(score(np.array([0.0, 1.0, 1.0, 0.0])))
    0.500 ± 0.289
    """
    return Score(float(scores.mean()), float(scores.std(ddof=1)) / math.sqrt(len(scores)))


# ------------------------------------------------------------------------------ baselines


def standing_still(history: Array, generator: Generator) -> Array:
    """Plans to stay: the first two numbers of an observation are the position."""
    plan: Array = np.repeat(history[:, -1:, :2], HORIZON, axis=1)
    return plan


def uniform_waypoints(low: float, high: float) -> Planner:
    """A planner of one random waypoint in a square for each plan."""

    def plan(history: Array, generator: Generator) -> Array:
        points = tg.rand((len(history), 1, 2), tg.float64, generator=generator).numpy()
        found: Array = np.repeat(low + (high - low) * points, HORIZON, axis=1)
        return found

    return plan


def nearest_demonstration(episodes: Episodes) -> Planner:
    """A planner that repeats the actions of the demonstrations' most similar observations."""
    rows = windows(episodes.ends)
    normalizer = Normalizer(episodes.observation.shape[1])
    normalizer.fit(episodes.observation)

    def seen(observations: Array) -> Array:
        inside: Tensor = normalizer(tg.tensor(observations))
        flat: Array = inside.numpy().reshape(len(observations), -1)
        return flat

    known = seen(episodes.observation[rows[:, :OBSERVED]])
    squares = (known**2).sum(axis=1)

    def plan(history: Array, generator: Generator) -> Array:
        nearest = np.argmin(squares - 2 * (seen(history) @ known.T), axis=1)
        found: Array = episodes.action[rows[nearest]]
        return found

    return plan

"""Push-T: a round agent pushes a T-shaped block onto its target, with the physics of `gym-pusht`.

An observation is the position of the agent and the eight corners of the block, 18 numbers in pixels
of a 512 × 512 board, rather than the state's angle: it jumps from 2π to 0, where nothing happens.
An action is the place where the agent should go within a tenth of a second.

The reward of a step is the covered share of the target divided by 0.95, at most 1. The extra is
installed by `pip install 'tinygrad_gm[pusht]'`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_gm import data

from .windows import Array, Episodes

SIDE = 512.0  # of the board, in pixels
TARGET = (256.0, 256.0, np.pi / 4)  # position and angle of the block
BAR = np.array([[-60, 30], [60, 30], [60, 0], [-60, 0]], np.float64)
STEM = np.array([[-15, 30], [-15, 120], [15, 120], [15, 30]], np.float64)
CORNERS = np.concatenate([BAR, STEM])  # of the block at the origin


class PushT:
    """The environment; RuntimeError, which names the command, if `gym-pusht` is not installed."""

    limit = 300

    def __init__(self) -> None:
        self.kind = _environment()

    def reset(self, seeds: Sequence[int]) -> Array:
        """Put agent and block in random places; return the observations (N, 18)."""
        self.boards = [self.kind() for _ in seeds]
        for board, seed in zip(self.boards, seeds, strict=True):
            board.reset(seed=seed)
        return self._observed()

    def place(self, states: Array) -> Array:
        """Put agent and block in the states (N, 5) of demonstrations; return the observations.

        The angle first: turning the block, which is about its centre of mass, moves its position.
        """
        self.reset(range(len(states)))
        for board, (x, y, *block, angle) in zip(self.boards, states.tolist(), strict=True):
            board.agent.position, board.block.angle = (x, y), angle
            board.block.position = tuple(block)
            board.space.reindex_shapes_for_body(board.block)
        return self._observed()

    def step(
        self, actions: Array, active: NDArray[np.bool_]
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Move the active agents towards the actions (N, 2); a rollout ends with reward 1."""
        rewards = np.zeros(len(self.boards))
        for row in np.flatnonzero(active):
            _, rewards[row], *_ = self.boards[row].step(actions[row])
        return self._observed(), rewards, rewards >= 1

    def _observed(self) -> Array:
        states = [
            (*board.agent.position, *board.block.position, board.block.angle)
            for board in self.boards
        ]
        return observed(np.array(states))


def observed(states: Array) -> Array:
    """States (N, 5), of agent x, y and block x, y, angle → observations (N, 18)."""
    return np.concatenate([states[:, :2], corners(states[:, 2:]).reshape(len(states), -1)], axis=1)


def corners(poses: Array) -> Array:
    """Poses (N, 3) of a block, x, y, angle → its corners (N, 8, 2).

    >>> corners(np.zeros((1, 3)))[0, 0].tolist()
    [-60.0, 30.0]
    """
    cos, sin = np.cos(poses[:, 2:]), np.sin(poses[:, 2:])
    x, y = CORNERS.T
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=2)
    found: Array = poses[:, None, :2] + turned
    return found


def demonstrations() -> Episodes:
    """The 206 demonstrations of `data.push_t()`; FileNotFoundError if they are not there."""
    found = data.push_t()
    state, action = (part.numpy().astype(np.float64) for part in (found.state, found.action))
    return Episodes(observed(state), action, found.episode_ends.numpy())


def _environment() -> Any:
    """The class of the environment."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # which greets on standard output
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations in its dependencies
            from gym_pusht.envs.pusht import PushTEnv
    except ImportError as error:
        raise RuntimeError(
            f"diffusion_policy: Push-T needs gym-pusht ({error}): pip install 'tinygrad_gm[pusht]'"
        ) from None
    return PushTEnv

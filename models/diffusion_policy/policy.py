"""Policies that plan actions from observations: by diffusion, and by regression as the baseline."""

from __future__ import annotations

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, nn

from ..diffusion import samplers, targets
from ..diffusion.guidance import clipped
from ..diffusion.process import Process
from .network import ConditionalUnet1D
from .windows import HORIZON, OBSERVED, Array, Episodes, Normalizer


class Policy(nn.Module):
    """What both policies share: the scale of observations and actions, and the condition.

    Args:
        observation_dim, action_dim: numbers in one observation and in one action.
    """

    def __init__(self, observation_dim: int, action_dim: int) -> None:
        super().__init__()
        self.observations, self.actions = Normalizer(observation_dim), Normalizer(action_dim)
        self.observation_dim, self.action_dim = observation_dim, action_dim

    def fit(self, episodes: Episodes) -> None:
        """Take the scale from demonstrations. Raises ValueError as `Normalizer.fit` does."""
        self.observations.fit(episodes.observation)
        self.actions.fit(episodes.action)

    def condition(self, observed: Tensor) -> Tensor:
        """Observations (N, T_o, D) → what the networks see of them, (N, T_o · D).

        Raises ValueError for another shape, and for values that are not finite.
        """
        if observed.ndim != 3 or observed.shape[1:] != (OBSERVED, self.observation_dim):
            raise ValueError(
                "diffusion_policy: expected observations of shape "
                f"(N, {OBSERVED}, {self.observation_dim}); got {observed.shape}"
            )
        if not bool(tg.all(tg.isfinite(observed))):
            raise ValueError("diffusion_policy: an observation is not finite")
        seen: Tensor = self.observations(observed)
        return seen.reshape(len(observed), -1)

    def loss(self, observed: Tensor, actions: Tensor) -> Tensor:
        """The loss on observations (N, T_o, D) and the actions (N, T_p, A) that followed."""
        raise NotImplementedError

    def plan(self, observed: Tensor, generator: Generator) -> Tensor:
        """Actions (N, T_p, A) for observations (N, T_o, D)."""
        raise NotImplementedError

    @tg.no_grad()
    def planned(self, history: Array, generator: Generator) -> Array:
        """`plan` for arrays, as `control.rollout` takes it."""
        observed = tg.tensor(history, tg.float32, device=self.actions.scale.device)
        plan: Array = self.plan(observed, generator).numpy().astype(np.float64)
        return plan


class DiffusionPolicy(Policy):
    """Actions are denoised, given the observations.

    Args:
        observation_dim, action_dim: numbers in one observation and in one action.
        width: channels of the first level; the next have twice and four times as many.
        timesteps: T of the cosine schedule.
        steps: number of steps of DDIM in a plan.

    Raises ValueError for steps not in 1 … T.

    >>> policy = DiffusionPolicy(4, 2, width=8)
    >>> policy.plan(tg.zeros((3, 2, 4)), Generator(0)).shape
    (3, 16, 2)
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        width: int = 32,
        timesteps: int = 100,
        steps: int = 10,
    ) -> None:
        super().__init__(observation_dim, action_dim)
        samplers.spaced(timesteps, steps)
        self.process, self.steps = Process(timesteps, "cosine"), steps
        self.network = ConditionalUnet1D(
            action_dim, OBSERVED * observation_dim, 64, (width, 2 * width, 4 * width)
        )

    def loss(self, observed: Tensor, actions: Tensor) -> Tensor:
        """‖ε − ε_θ(x_t, t, observations)‖², the mean over numbers, each row at a random t."""
        x0 = self.actions(actions)
        t = tg.randint(0, self.process.timesteps, (len(x0),), device=x0.device)
        x_t, noise = self.process.forward_diffusion(x0, t)
        return F.mse_loss(self.network(x_t, t, self.condition(observed)), noise)

    def plan(self, observed: Tensor, generator: Generator) -> Tensor:
        condition, process = self.condition(observed), self.process

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            noise = self.network(x, t, condition)
            return targets.to_x0("noise", noise, x, *process.alpha_sigma(t, x))

        shape = (len(observed), HORIZON, self.action_dim)
        x = tg.randn(shape, device=condition.device, generator=generator)
        inside = clipped(denoise, 1.0)  # the actions of the demonstrations lie in [−1, 1]
        for moved, _ in samplers.walk(process, inside, x, sampler="ddim", steps=self.steps):
            x = moved
        return self.actions.inverse(x)


class RegressionPolicy(Policy):
    """The mean of the actions given the observations, by a network with two hidden layers.

    Args:
        observation_dim, action_dim: numbers in one observation and in one action.
        width: width of the hidden layers.

    >>> RegressionPolicy(4, 2).plan(tg.zeros((3, 2, 4)), Generator(0)).shape
    (3, 16, 2)
    """

    def __init__(self, observation_dim: int, action_dim: int, width: int = 256) -> None:
        super().__init__(observation_dim, action_dim)
        self.network = nn.Sequential(
            *(nn.Linear(OBSERVED * observation_dim, width), nn.Mish()),
            *(nn.Linear(width, width), nn.Mish()),
            nn.Linear(width, HORIZON * action_dim),
        )

    def loss(self, observed: Tensor, actions: Tensor) -> Tensor:
        """‖a − a_θ(observations)‖², the mean over numbers, whose minimum is the mean of a."""
        return F.mse_loss(self._planned(observed), self.actions(actions))

    def plan(self, observed: Tensor, generator: Generator) -> Tensor:
        return self.actions.inverse(self._planned(observed))

    def _planned(self, observed: Tensor) -> Tensor:
        found: Tensor = self.network(self.condition(observed))
        return found.reshape(len(observed), HORIZON, self.action_dim)

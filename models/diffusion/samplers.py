"""From noise to data: five samplers, all with the same prediction of x_0.

A *denoiser* is a function of x_t and t that returns the prediction of x_0, E[x_0|x_t]. The
prediction of ε follows from x_t = α_t x_0 + σ_t ε. A sampler moves x from step t to an earlier
step s.

**ancestral** draws x_s from q(x_s|x_t, x_0) with the prediction for x_0 (Ho et al. 2020, algorithm
2), and **ddim** goes straight to α_s x_0 + σ_s ε, or with η > 0 partly draws new noise (Song, Meng
and Ermon 2021, eq. 12). η = 1 is ancestral sampling.

**The differential equations** (Song et al. 2021, "Score-Based Generative Modeling through
Stochastic Differential Equations"). For T → ∞ the noising becomes dx = −½ β x dt + √β dw. Two
equations that run backwards in time have the same densities q(x_t) at every t:

    dx = −½ β (x + 2 ∇ ln q(x)) dt + √β dw̄           the reverse SDE,        eq. 6
    dx = −½ β (x + ∇ ln q(x)) dt                      the probability flow,   eq. 13

**euler-maruyama** solves the first. Where t and s are not neighbours, β dt is 1 − ᾱ_t/ᾱ_s, the β
of a single step from s to t.

**euler** and **heun** solve the second. Let α = cos φ and σ = sin φ. Then β dt = 2 tan φ dφ and
∇ ln q = −ε/σ turn it into

    dx/dφ = α ε − σ x_0 = v

with the target v of `targets`: the flow turns x by the angle φ from data to noise. Euler's method
follows the slope at t, with an error of the size of the steps. Heun's goes on with the mean of the
slopes at t and at the point which Euler's reaches, with an error of the size of their squares.

**The last step** of every sampler is to the prediction of x_0.

In other coordinates, x/α as a function of σ/α, the slope is ε (Karras et al. 2022, "Elucidating
the Design Space of Diffusion-Based Generative Models", eq. 4 and algorithm 1). There Euler's method
is exactly DDIM. But σ/α reaches 20,000 in the cosine schedule, and the mean of two slopes over
such a step is useless, so `heun` uses the angle unless `KARRAS` is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor

from .process import Process

Denoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class Sampler(Protocol):
    """One step of x from t to s < t, all rows alike; s = −1 is data. Returns x_s and the prediction
    of x_0 that it used.
    """

    def __call__(
        self,
        process: Process,
        denoise: Denoiser,
        x: Tensor,
        t: int,
        s: int,
        generator: Generator | None = None,
    ) -> tuple[Tensor, Tensor]: ...


def walk(
    process: Process,
    denoise: Denoiser,
    x: Tensor,
    *,
    sampler: str = "ancestral",
    steps: int | None = None,
    eta: float = 0.0,
    repeats: int = 1,
    generator: Generator | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Denoise x_T step by step; yield x and the prediction of x_0 after each step.

    Args:
        process: the noising.
        denoise: x_t and t → the prediction of x_0.
        x: x_T, normal noise (N, …).
        sampler: "ancestral", "ddim", "euler", "heun" or "euler-maruyama".
        steps: number of steps, evenly spread from T to 0; None: T.
        eta: η of DDIM, in [0, 1]; the other samplers have none.
        repeats: number of times that each step but the last is made, with the noise of the step
            added in between (Lugmayr et al. 2022, "RePaint", algorithm 1).
        generator: random generator; None: the default generator.

    Raises ValueError for another sampler, steps not in 1 … T, η not in [0, 1] or of another
    sampler.
    """
    step = chosen(sampler, eta)
    if repeats < 1:
        raise ValueError(f"diffusion: repeats is {repeats}; expected at least 1")
    for t, s in spaced(process.timesteps, steps):
        for again in range(repeats if s >= 0 else 1):
            with tg.no_grad():
                if again:
                    x = _noised(process, x, s, t, generator)
                x, x0 = step(process, denoise, x, t, s, generator)
        yield x, x0


def spaced(timesteps: int, steps: int | None = None) -> list[tuple[int, int]]:
    """The pairs (t, s) of a walk from T − 1 to −1, evenly spread; None: all T steps.

    Raises ValueError if steps is not in 1 … T.

    >>> spaced(100, 4)
    [(99, 74), (74, 49), (49, 24), (24, -1)]
    """
    steps = timesteps if steps is None else steps
    if not 1 <= steps <= timesteps:
        raise ValueError(f"diffusion: steps must lie in 1 … {timesteps}, not {steps}")
    times = (np.linspace(timesteps, 0, steps + 1).round().astype(int) - 1).tolist()
    return list(itertools.pairwise(times))


def chosen(name: str, eta: float = 0.0) -> Sampler:
    """The sampler of a name, with η. Raises ValueError as `walk` does."""
    if name not in SAMPLERS:
        raise ValueError(f"diffusion: the sampler must be {', '.join(SAMPLERS)}, not {name!r}")
    if not 0 <= eta <= 1:
        raise ValueError(f"diffusion: eta is {eta}; expected a number in [0, 1]")
    if name == "ddim":
        return DDIM(eta)
    if eta:
        raise ValueError(f"diffusion: eta is for the sampler ddim; {name} has none")
    return SAMPLERS[name]


@tg.no_grad()
def invert(process: Process, denoise: Denoiser, x0: Tensor, *, steps: int | None = None) -> Tensor:
    """The noise x_T from which DDIM with η = 0 draws the data x_0, up to the error of the steps.

    The walk of DDIM in the other direction (Song, Meng and Ermon 2021, section 4.3). In data
    there is no noise to predict: their direction is the noise predicted in α_1 x_0.
    """
    x = x0
    for s, t in reversed(spaced(process.timesteps, steps)):  # from t to s, with more noise
        now, then = (_rows(x, max(time, 0)) for time in (t, s))
        alpha, sigma = process.alpha_sigma(now, x)
        x_t = alpha * x if t < 0 else x
        found = denoise(x_t, now)
        if t >= 0:
            x, _ = process.posterior(found, x, now, then, eta=0.0)
        else:
            noise = (x_t - alpha * found) / sigma
            x, _ = process.forward_diffusion(x, then, noise)
    return x


# ------------------------------------------------------------------------------ the samplers


class DDIM(NamedTuple):
    """DDIM with η."""

    eta: float = 0.0

    def __call__(
        self,
        process: Process,
        denoise: Denoiser,
        x: Tensor,
        t: int,
        s: int,
        generator: Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        now, then = _rows(x, t), _rows(x, s)
        x0 = denoise(x, now)
        mean, variance = process.posterior(x0, x, now, then, self.eta)
        if self.eta > 0 and s >= 0:
            mean = mean + tg.sqrt(variance) * _noise(x, generator)
        return mean, x0


def euler_maruyama(
    process: Process,
    denoise: Denoiser,
    x: Tensor,
    t: int,
    s: int,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """x_s = x + β (½ x + ∇ ln q(x)) + √β z, with β = 1 − ᾱ_t/ᾱ_s."""
    now, then = _rows(x, t), _rows(x, s)
    x0 = denoise(x, now)
    if s < 0:
        return x0, x0
    alpha, sigma = process.alpha_sigma(now, x)
    score = (alpha * x0 - x) / sigma**2
    beta = (1 - process.alpha_bar(now, x) / process.alpha_bar(then, x)).astype(x.dtype)
    return x + beta * (x / 2 + score) + tg.sqrt(beta) * _noise(x, generator), x0


class Coordinates(NamedTuple):
    """Coordinates of the probability flow, dz/dτ = slope.

    Attributes:
        time: τ of α and σ.
        place: z of x, α and σ.
        slope: the slope, from the predictions of x_0 and ε, α and σ.
        back: x of z and α.
    """

    time: Callable[[Tensor, Tensor], Tensor]
    place: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


ANGLE = Coordinates(
    time=lambda alpha, sigma: tg.atan2(sigma, alpha),
    place=lambda x, alpha: x,
    slope=lambda x0, noise, alpha, sigma: alpha * noise - sigma * x0,
    back=lambda z, alpha: z,
)
KARRAS = Coordinates(
    time=lambda alpha, sigma: sigma / alpha,
    place=lambda x, alpha: x / alpha,
    slope=lambda x0, noise, alpha, sigma: noise,
    back=lambda z, alpha: z * alpha,
)


class Flow(NamedTuple):
    """Euler's method for the probability flow, or Heun's.

    Attributes:
        corrected: whether the step is made again with the mean of both slopes: Heun's method.
        coordinates: `ANGLE` or `KARRAS`.
    """

    corrected: bool
    coordinates: Coordinates = ANGLE

    def __call__(
        self,
        process: Process,
        denoise: Denoiser,
        x: Tensor,
        t: int,
        s: int,
        generator: Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        time, place, _, back = self.coordinates
        now, then = (process.alpha_sigma(_rows(x, step), x) for step in (t, s))
        slope, x0 = self._slope(process, denoise, x, t)
        if s < 0:
            return x0, x0
        span, start = time(*then) - time(*now), place(x, now[0])
        reached = back(start + span * slope, then[0])
        if not self.corrected:
            return reached, x0
        there, _ = self._slope(process, denoise, reached, s)
        return back(start + span * (slope + there) / 2, then[0]), x0

    def _slope(
        self, process: Process, denoise: Denoiser, x: Tensor, t: int
    ) -> tuple[Tensor, Tensor]:
        now = _rows(x, t)
        alpha, sigma = process.alpha_sigma(now, x)
        x0 = denoise(x, now)
        return self.coordinates.slope(x0, (x - alpha * x0) / sigma, alpha, sigma), x0


SAMPLERS: dict[str, Sampler] = {
    "ancestral": DDIM(eta=1.0),
    "ddim": DDIM(),
    "euler": Flow(corrected=False),
    "heun": Flow(corrected=True),
    "euler-maruyama": euler_maruyama,
}


def _rows(x: Tensor, t: int) -> Tensor:
    """The step t for each row of x."""
    return tg.full(len(x), t, device=x.device)


def _noise(x: Tensor, generator: Generator | None) -> Tensor:
    return tg.randn(x.shape, x.dtype, device=x.device, generator=generator)


def _noised(process: Process, x: Tensor, s: int, t: int, generator: Generator | None) -> Tensor:
    """x_t ~ q(x_t|x_s) for t > s."""
    kept = (process.alpha_bar(_rows(x, t), x) / process.alpha_bar(_rows(x, s), x)).astype(x.dtype)
    return tg.sqrt(kept) * x + tg.sqrt(1 - kept) * _noise(x, generator)

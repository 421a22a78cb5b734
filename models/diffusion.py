"""Denoising diffusion (Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models").

**Noising.** In T steps the data x_0 are gradually replaced by noise:

    q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I),  α_t = 1 − β_t        (eq. 2)

Any x_t can be drawn directly. Let ᾱ_t = α_1 ⋯ α_t, and let x_{t−1} be √ᾱ_{t−1} x_0 plus normal
noise of variance 1 − ᾱ_{t−1}, which holds for t = 1 with ᾱ_0 = 1. The next step multiplies both by
√α_t and adds normal noise; the sum of the noises is normal, with the variance
α_t (1 − ᾱ_{t−1}) + β_t = 1 − ᾱ_t. Hence for every t, with ε ~ N(0, I),

    x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε                                  (eq. 4)

**The reverse step, given x_0.** By Bayes' rule q(x_{t−1}|x_t, x_0) is q(x_t|x_{t−1}) times
q(x_{t−1}|x_0), up to a constant. Both are squares of x_{t−1} in an exponent: the precisions add up,
1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1}), and completing the square gives N(μ̃_t, β̃_t I) with

    μ̃_t = (√ᾱ_{t−1} β_t x_0 + √α_t (1 − ᾱ_{t−1}) x_t) / (1 − ᾱ_t)
    β̃_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)                            (eqs. 6 and 7)

**The bound.** The model starts with p(x_T) = N(0, I) and goes back by p(x_{t−1}|x_t) =
N(μ(x_t, t), β̃_t I). As in a variational autoencoder with a fixed encoder q, Jensen's inequality
bounds the likelihood by a sum with one term per step (eq. 5):

    −ln p(x_0) ≤ KL(q(x_T|x_0) ‖ p(x_T)) − E ln p(x_0|x_1)
                 + Σ_{t>1} E KL(q(x_{t−1}|x_t, x_0) ‖ p(x_{t−1}|x_t))

The first term has no parameters. Two normals of equal variance are ‖μ̃_t − μ‖² / (2 β̃_t) apart.
With x_0 from eq. 4, μ̃_t is (x_t − β_t ε / √(1 − ᾱ_t)) / √α_t (eq. 11). So a network with the
input x_t has to predict only ε, and the terms of the sum are

    β_t² / (2 β̃_t α_t (1 − ᾱ_t)) · ‖ε − ε_θ(x_t, t)‖²              (eq. 12, with β̃_t for its σ_t²)

**The loss** is this without the weight, the mean squared error of the noise at a random t (eq. 14).
The weight is largest at small t, where there is hardly any noise and little to learn; without it
the network learns the steps that determine the content of the image. At any t, the best prediction
is the mean of ε given x_t, which is −√(1 − ᾱ_t) times the gradient of ln q(x_t): learning to
denoise is learning the score.

**Sampling.** Song, Meng and Ermon 2021 ("Denoising Diffusion Implicit Models") note that the loss
depends only on q(x_t|x_0), not on the chain, and that other chains have the same q(x_t|x_0):

    x_s = √ᾱ_s x_0 + √(1 − ᾱ_s − σ²) ε + σ z,  z ~ N(0, I)
    σ = η √((1 − ᾱ_s) / (1 − ᾱ_t)) √(1 − ᾱ_t / ᾱ_s)                (eqs. 7, 12 and 16)

η = 1 is the posterior above, with σ² = β̃_t for s = t − 1: in all steps from T to 0 this is
*ancestral sampling*. η = 0 is *DDIM*: only x_T is random, and the same x_T gives the same sample.
In both, x_0 is computed by eq. 4 from the network's ε; since s need not be t − 1, DDIM can use few
steps.

**Indices.** The papers' steps t = 1 … T are 0 … T − 1 in the code, as in the notes, and the papers'
x_0 has the index −1, with ᾱ = 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored

from . import batches, mnist_like, points2d
from .denoisers import ConvDenoiser, MLPDenoiser

TRAINING_TIME = "about 20 seconds for points, 10 minutes for digits, on one core"
SCHEDULES = ("linear", "cosine")


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for points in the plane."""

    dataset: str = option(
        "ring",
        "data set of points in the plane or of handwritten digits",
        choices=points2d.DATASETS + mnist_like.DATASETS,
    )
    timesteps: int = option(100, "T, the number of steps from data to noise", most=100_000)
    schedule: str = option("cosine", "noise schedule", choices=SCHEDULES)
    width: int = option(128, "width of the hidden layers, for points")
    channels: int = option(32, "number of channels of the convolutions, for digits")
    epochs: int = option(6, "number of passes over the digits, or of 256,000 new points", least=0)
    batch_size: int = option(256, "number of points or images per step")
    learning_rate: float = option(2e-3, "learning rate of Adam at its peak")
    ema: float = option(0.995, "decay rate of the average of the weights")
    sample_every: int = option(300, "number of steps between sample pictures")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)


def linear_schedule(timesteps: int) -> Tensor:
    """β_1 … β_T in even steps from 1e-4 to 0.02 (Ho et al., section 4), float64.

    The paper's T is 1000. For another T the ends are multiplied by 1000/T, for the same amount of
    noise in total; for T < 20 a β would exceed 1.

    >>> f"{tg.cumulative_prod(1 - linear_schedule(1000))[-1].item():.3g}"
    '4.04e-05'
    """
    if timesteps < 20:
        raise ValueError(
            f"diffusion: timesteps must be at least 20 for the linear schedule, not {timesteps}"
        )
    scale = 1000 / timesteps
    ends = scale * 1e-4, scale * 0.02
    return tg.clip(tg.linspace(*ends, timesteps, dtype=tg.float64), 0, 0.999)


def cosine_schedule(timesteps: int) -> Tensor:
    """β_1 … β_T of Nichol and Dhariwal 2021 ("Improved DDPM", eq. 17), float64.

        ᾱ_t = f(t) / f(0),  f(t) = cos²((t/T + s) / (1 + s) · π/2),  s = 0.008

    so β_t = 1 − f(t) / f(t − 1), clipped to 0.999, since the last would be 1. The signal decreases
    evenly, while the linear schedule destroys small images long before T.

    >>> f"{cosine_schedule(1000)[0].item():.3e}"
    '4.128e-05'
    """
    t = tg.arange(timesteps + 1, dtype=tg.float64)
    angles = (t / timesteps + 0.008) / 1.008 * (math.pi / 2)
    f = tg.cos(angles) ** 2
    return tg.clip(1 - f[1:] / f[:-1], 0, 0.999)


class DiffusionModel(nn.Module):
    """Noising, the loss and sampling for any network that predicts noise.

    Args:
        model: called as `model(x_t, t)` with x_t (N, …) and t (N,), int64 from 0 to timesteps − 1;
            returns the predicted noise in x_t, of the shape of x_t.
        timesteps: T.
        schedule: "linear" or "cosine".
        clip: the largest absolute value of data, to which predictions of x_0 are clipped in
            sampling. At high noise a small error of ε is a large error of x_0, above all with few
            steps. None: no clipping.

    Attributes:
        betas: β, (T,), a buffer, float64: 1 − ᾱ near 0 has few digits left in float32.
        alphas_cumprod: ᾱ, (T,), likewise.

    Raises ValueError for another schedule, or fewer than one step.

    >>> model = DiffusionModel(MLPDenoiser(), timesteps=100, schedule="cosine")
    >>> x_t, noise = model.forward_diffusion(tg.zeros((5, 2)), tg.full(5, 99))
    >>> bool(tg.allclose(x_t, noise, atol=1e-3)), model.sample((3, 2), steps=4).shape
    (True, (3, 2))
    """

    betas: Tensor
    alphas_cumprod: Tensor

    def __init__(
        self,
        model: nn.Module,
        timesteps: int = 1000,
        schedule: str = "linear",
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if timesteps < 1:
            raise ValueError(f"diffusion: timesteps is {timesteps}; expected at least 1")
        if schedule not in SCHEDULES:
            raise ValueError(
                f"diffusion: schedule must be {' or '.join(SCHEDULES)}, not {schedule!r}"
            )
        self.model, self.timesteps, self.clip = model, timesteps, clip
        betas = (linear_schedule if schedule == "linear" else cosine_schedule)(timesteps)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", tg.cumulative_prod(1 - betas))

    def forward_diffusion(
        self, x0: Tensor, t: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x_t and the noise in it: √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

        Args:
            x0: data of any rank, (N, …).
            t: the step of each row, (N,), integers from 0 to T − 1.
            noise: ε, of the shape of x0; None: drawn.

        Raises ValueError for another t, noise of another shape, or x0 of integers.
        """
        if x0.ndim == 0 or x0.dtype.kind != "f":
            raise ValueError(
                "forward_diffusion: x0 must be floating-point data of shape (N, …), not "
                f"{x0.dtype} of shape {x0.shape}"
            )
        if t.shape != x0.shape[:1] or t.dtype.kind not in "iu":
            raise ValueError(
                f"forward_diffusion: t must be integers of shape ({len(x0)},), not {t.dtype} of "
                f"shape {t.shape}"
            )
        if len(t) and not 0 <= int(t.min()) <= int(t.max()) < self.timesteps:
            raise ValueError(
                f"forward_diffusion: t must lie in 0 … {self.timesteps - 1}; these lie in "
                f"{int(t.min())} … {int(t.max())}"
            )
        if noise is None:
            noise = tg.randn(x0.shape, x0.dtype, device=x0.device)
        if noise.shape != x0.shape:
            raise ValueError(
                f"forward_diffusion: noise has shape {noise.shape}; expected that of x0, {x0.shape}"
            )
        alpha_bar = self.alpha_bar(t, x0)
        return _sqrt(alpha_bar, x0) * x0 + _sqrt(1 - alpha_bar, x0) * noise, noise

    def train_step(self, x0: Tensor) -> Tensor:
        """The loss on data (N, …): the mean squared error of the noise, each row at a random t."""
        t = tg.randint(0, self.timesteps, (len(x0),), device=x0.device)
        x_t, noise = self.forward_diffusion(x0, t)
        return F.mse_loss(self.model(x_t, t), noise)

    def alpha_bar(self, t: Tensor, x: Tensor) -> Tensor:
        """ᾱ_t for each row of x, of shape (N, 1, …, 1) with the rank of x; 1 where t is −1."""
        found = tg.where(t < 0, 1.0, self.alphas_cumprod[tg.maximum(t, 0)])
        return found.reshape(-1, *[1] * (x.ndim - 1))

    def predict_x0(self, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Eq. 4 solved for x_0: (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, clipped to the range of data."""
        alpha_bar = self.alpha_bar(t, x_t)
        x0 = (x_t - _sqrt(1 - alpha_bar, x_t) * noise) / _sqrt(alpha_bar, x_t)
        return x0 if self.clip is None else tg.clip(x0, -self.clip, self.clip)

    def posterior(
        self, x0: Tensor, x_t: Tensor, t: Tensor, s: Tensor | None = None, eta: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Mean (N, …) and variance (N, 1, …, 1) of x_s, given x_t and x_0.

        Args:
            x0: data, or a prediction of them.
            x_t: the same with noise.
            t: the step of each row of x_t, (N,), at least 0.
            s: the step of each row of the result, (N,), −1 for data; None: t − 1.
            eta: η: 1 gives q(x_s|x_t, x_0), with μ̃_t and β̃_t for s = t − 1; 0 gives DDIM, in
                both directions: with s > t it adds noise.

        Raises ValueError for η outside [0, 1], or for s > t with η > 0.
        """
        s = t - 1 if s is None else s
        if not 0 <= eta <= 1:
            raise ValueError(f"diffusion: eta is {eta}; expected a number in [0, 1]")
        now, then = self.alpha_bar(t, x_t), self.alpha_bar(s, x_t)
        noise = (x_t - _sqrt(now, x_t) * x0) / _sqrt(1 - now, x_t)
        variance = tg.zeros_like(now)
        if eta > 0:  # for s > t the variance would be negative
            if bool(tg.any(s > t)):
                raise ValueError("diffusion: a step that adds noise needs eta = 0")
            variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        rest = tg.maximum(1 - then - variance, 0.0)
        mean = _sqrt(then, x_t) * x0 + _sqrt(rest, x_t) * noise
        return mean, variance.astype(x_t.dtype)

    def walk(
        self,
        x: Tensor,
        *,
        steps: int | None = None,
        eta: float = 1.0,
        generator: Generator | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Denoise x_T step by step; yield x and the prediction of x_0 after each step.

        Args: as for `sample`.
        """
        steps = self.timesteps if steps is None else steps
        if not 1 <= steps <= self.timesteps:
            raise ValueError(f"diffusion: steps must lie in 1 … {self.timesteps}, not {steps}")
        times = np.linspace(self.timesteps, 0, steps + 1).round().astype(int) - 1
        for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
            x, x0 = self._step(x, t, s, eta, generator)
            yield x, x0

    @tg.no_grad()
    def _step(
        self, x: Tensor, t: int, s: int, eta: float, generator: Generator | None
    ) -> tuple[Tensor, Tensor]:
        now, then = (tg.full(len(x), time, device=x.device) for time in (t, s))
        x0 = self.predict_x0(x, now, self.model(x, now))
        mean, variance = self.posterior(x0, x, now, then, eta)
        if eta > 0 and s >= 0:
            z = tg.randn(x.shape, x.dtype, device=x.device, generator=generator)
            mean = mean + tg.sqrt(variance) * z
        return mean, x0

    def sample(
        self,
        shape: tuple[int, ...],
        *,
        steps: int | None = None,
        eta: float = 1.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Draw new data.

        Args:
            shape: shape of the result, (N, …).
            steps: number of steps, evenly spread from T to 0; None: T.
            eta: η: 1 with all steps is ancestral sampling; 0 is DDIM, better with few steps.
            generator: random generator; None: the default generator.

        Raises ValueError if steps is not in 1 … T.
        """
        x = tg.randn(shape, device=self.betas.device, generator=generator)
        for moved, _ in self.walk(x, steps=steps, eta=eta, generator=generator):
            x = moved
        return x


def _sqrt(coefficient: Tensor, x: Tensor) -> Tensor:
    """The square root of a coefficient from the schedule, in the dtype of the data."""
    return tg.sqrt(coefficient).astype(x.dtype)


# ------------------------------------------------------------------------------------- training


def build(config: Config) -> DiffusionModel:
    """The untrained model of a config."""
    points = config.dataset in points2d.DATASETS
    network = MLPDenoiser(width=config.width) if points else ConvDenoiser(config.channels)
    return DiffusionModel(network, config.timesteps, config.schedule, clip=2.5 if points else 1.0)


def centred(x: Tensor) -> Tensor:
    """Data as the network sees them: points as they are, images in [−1, 1]."""
    if x.ndim == 2:
        points2d.check("diffusion", x)
        return x
    mnist_like.check("diffusion", x)
    return 2 * x - 1


def as_images(x: Tensor) -> Tensor:
    """Images in [−1, 1] → images in [0, 1], clipped."""
    return tg.clip((x + 1) / 2, 0, 1)


def loss(model: DiffusionModel, x: Tensor) -> Tensor:
    """The loss on points (N, 2) or images (N, 1, 28, 28) in [0, 1]; ValueError for other data."""
    return model.train_step(centred(x))


@tg.no_grad()
def evaluate(model: DiffusionModel, x: Tensor, seed: int = 0) -> float:
    """The loss on points or images, with steps and noise that depend on the seed only."""
    with tg.random.using(Generator(seed)):
        return batches.mean(lambda part: loss(model, part), x)


def sample(
    model: DiffusionModel, count: int, generator: Generator, *, steps: int | None = None
) -> Tensor:
    """New points (count, 2), or images (count, 1, 28, 28) in [0, 1].

    Ancestral sampling in all steps; with `steps`, DDIM in that number of steps.
    """
    eta = 1.0 if steps is None else 0.0
    points = isinstance(model.model, MLPDenoiser)
    shape = (count, 2) if points else (count, 1, 28, 28)
    x = model.sample(shape, steps=steps, eta=eta, generator=generator)
    return x if points else as_images(x)


def train(config: Config, run: Run) -> None:
    """Train on points or digits, and draw noising, denoising and samples."""
    from .gallery import diffusion as gallery

    train_set: data.Dataset
    if config.dataset in points2d.DATASETS:
        train_set = points2d.Draws(config.dataset, 256_000)
        with tg.random.using(Generator(config.seed)):
            unseen, _ = train_set.batch(range(2000))
    else:
        train_set, test_set = mnist_like.load(config.dataset)
        unseen = test_set.tensors[0][:2000]
    tg.manual_seed(config.seed)
    model = build(config)
    loader = data.DataLoader(train_set, config.batch_size, shuffle=True, seed=config.seed)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    ema = optim.EMA(model, config.ema, warmup=True)
    average = cast(DiffusionModel, ema.model)
    run.fit(
        model,
        optimizer,
        lambda batch, generator: loss(model, batch[0]),
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=max(config.epochs * len(loader), 1),
            pct_start=0.1,
            cycle_momentum=False,
        ),
        ema=ema,
        on_epoch=lambda epoch: {"test_loss": evaluate(average, unseen)},
        sample=lambda generator: gallery.samples(average, config.dataset, generator),
        sample_every=config.sample_every,
    )
    with run.drawing():
        gallery.write_pictures(average, unseen, run.folder)


def restore(folder: str | Path) -> DiffusionModel:
    """Return the trained model of a run, with the averaged weights."""

    def load(model: DiffusionModel, state: dict[str, Any]) -> None:
        model.load_state_dict(state["ema"]["model"])

    return restored(folder, Config, build, load).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on a few rows, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    if config.dataset in points2d.DATASETS:
        x0, _ = points2d.Draws(config.dataset, 8).batch(range(8))
    else:
        x0, _ = mnist_like.load("mnist_small").train[:2]
    model = build(config)
    x0 = centred(x0).requires_grad_()  # so that its path into the network is drawn
    t = tg.randint(0, config.timesteps, (len(x0),))
    x_t, noise = model.forward_diffusion(x0, t)
    predicted = model.model(x_t, t)
    total = F.mse_loss(predicted, noise)
    named = {"x₀": x0, "t": t, "x_t": x_t, "ε": noise, "predicted ε": predicted, "loss": total}
    return total, {**named, **dict(model.named_parameters())}

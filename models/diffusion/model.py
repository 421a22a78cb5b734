"""A diffusion model: a process, a network and its target; the loss, and sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, nn

from . import samplers, targets
from .guidance import classifier_free, clipped
from .process import Process
from .samplers import Denoiser

DROPPED = 0.1  # fraction of labels replaced by "none" (Ho and Salimans 2022, section 4)


class DiffusionModel(Process):
    """Noising, the loss and sampling for any network.

    Args:
        model: called as `model(x_t, t)` with x_t (N, …) and t (N,), int64 from 0 to timesteps − 1;
            returns the predicted target, of the shape of x_t. With classes it is called as
            `model(x_t, t, labels)` with labels (N,), where the label `classes` means none.
        timesteps: T.
        schedule: "linear", "cosine" or "vdm".
        target: what the network predicts: "noise", "x0", "v", "score" or "velocity". The size of a
            score is 1/σ_t: it is the network's output divided by σ_t.
        loss: weights of the loss: "simple", "min-snr" or "bound"; see `targets.weights`.
        classes: number of classes; 0: unconditional.
        clip: the largest absolute value of data, to which predictions of x_0 are clipped in
            sampling; None: no clipping.

    Raises ValueError for another schedule, target or loss, or fewer than one step.

    >>> from tinygrad_gm.models.diffusion.denoisers import MLPDenoiser
    >>> model = DiffusionModel(MLPDenoiser(), timesteps=100, schedule="cosine")
    >>> model.train_step(tg.randn((8, 2))).shape, model.sample((3, 2), steps=4).shape
    ((), (3, 2))
    """

    loss_weights: Tensor

    def __init__(
        self,
        model: nn.Module,
        timesteps: int = 1000,
        schedule: str = "linear",
        *,
        target: str = "noise",
        loss: str = "simple",
        classes: int = 0,
        clip: float | None = None,
    ) -> None:
        super().__init__(timesteps, schedule)
        self.model, self.target, self.classes, self.clip = model, target, classes, clip
        weights = targets.weights(self, target, loss)
        self.register_buffer("loss_weights", weights, persistent=False)

    def train_step(self, x0: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss on data (N, …), each row at a random t: the weighted mean squared error of the
        target.

        Of the labels (N,) of a conditional model, a tenth is replaced by "none".
        """
        t = tg.randint(0, self.timesteps, (len(x0),), device=x0.device)
        x_t, noise = self.forward_diffusion(x0, t)
        if self.classes and labels is not None:
            dropped = tg.rand(len(x0), device=x0.device) < DROPPED
            labels = tg.where(dropped, self.classes, labels)
        wanted = targets.target(self.target, x0, noise, *self.alpha_sigma(t, x0))
        return self.weighted(t, (self.predict(x_t, t, labels) - wanted) ** 2)

    def weighted(self, t: Tensor, errors: Tensor) -> Tensor:
        """The mean of squared errors (N, …), with the weights of the loss at the steps t (N,)."""
        weights = self.loss_weights[t].reshape(-1, *[1] * (errors.ndim - 1)).astype(errors.dtype)
        return tg.mean(weights * errors)

    def predict(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The network's prediction of the target.

        Raises ValueError if a conditional model gets no labels.
        """
        if self.classes and labels is None:
            raise ValueError("diffusion: a conditional model needs the class of each sample")
        y: Tensor = self.model(x_t, t, labels) if self.classes else self.model(x_t, t)
        return y / self.alpha_sigma(t, x_t)[1] if self.target == "score" else y

    # ------------------------------------------------------------------------------ sampling

    def denoiser(self, labels: Tensor | None = None, guidance: float = 0.0) -> Denoiser:
        """The function x_t, t → prediction of x_0, not clipped.

        Args:
            labels: the class of each row, (N,), of a conditional model; None: no class.
            guidance: weight w of classifier-free guidance, which needs labels.

        Raises ValueError for guidance without labels, or with a weight that is not finite.
        """
        if not math.isfinite(guidance):
            raise ValueError(f"diffusion: guidance is {guidance}; expected a finite number")
        if guidance and (labels is None or not self.classes):
            raise ValueError("diffusion: guidance needs a conditional model and a class")

        def given(labels: Tensor | None) -> Denoiser:
            def denoise(x: Tensor, t: Tensor) -> Tensor:
                with_none = labels
                if self.classes and labels is None:
                    with_none = tg.full(len(x), self.classes, device=x.device)
                y = self.predict(x, t, with_none)
                return targets.to_x0(self.target, y, x, *self.alpha_sigma(t, x))

            return denoise

        if not guidance:
            return given(labels)
        return classifier_free(given(labels), given(None), guidance)

    def walk(
        self,
        x: Tensor,
        *,
        labels: Tensor | None = None,
        guidance: float = 0.0,
        denoise: Denoiser | None = None,
        **options: Any,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Denoise x_T step by step; yield x and the prediction of x_0 after each step.

        Args:
            x: x_T, normal noise (N, …).
            labels, guidance: as for `denoiser`.
            denoise: another denoiser instead, such as a guided one; it is clipped as well.
            options: of `samplers.walk`.
        """
        denoise = denoise or self.denoiser(labels, guidance)
        if self.clip is not None:
            denoise = clipped(denoise, self.clip)
        return samplers.walk(self, denoise, x, **options)

    def sample(
        self, shape: tuple[int, ...], *, generator: Generator | None = None, **options: Any
    ) -> Tensor:
        """Draw new data.

        Args:
            shape: shape of the result, (N, …).
            generator: random generator; None: the default generator.
            options: of `walk`, such as `sampler`, `steps`, `eta`, `labels` and `guidance`.

        Raises ValueError as `samplers.walk` and `denoiser` do.
        """
        x = tg.randn(shape, device=self.betas.device, generator=generator)
        for moved, _ in self.walk(x, generator=generator, **options):
            x = moved
        return x

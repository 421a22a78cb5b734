"""Diffusion of the latents of a clip, whose first frames may be known.

In training, half of the clips keep their first latent frame, or a random number of first ones, free
of noise; the loss counts the others. So one network draws a clip from nothing, moves a given
picture, and continues a clip (as Sora does, by its technical report of 2024).

Training draws a step t with a probability that is proportional to t. What is shown and where it
moves is decided while there is much noise, and the decoder tolerates a little (see `autoencoder`).

One batch in eight consists of first frames only, which are pictures. Another one lacks them and has
later positions in time, because long clips are drawn in windows: the last half of a window is the
known part of the next.
"""

from __future__ import annotations

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor

from ..diffusion import targets
from ..diffusion.guidance import classifier_free
from ..diffusion.model import DROPPED, DiffusionModel
from ..diffusion.samplers import Denoiser
from .latte import Latte

LIMIT = 8.0  # largest absolute value of a latent, in standard deviations


class LatentDiffusion(DiffusionModel):
    """Diffusion of latents (N, C, T, H, W) by v-prediction.

    Args:
        network: the network.
        timesteps: number of steps of the noise.
        channels: C.

    Attributes:
        mean, spread: mean and standard deviation of each channel of the latents, (C, 1, 1, 1), with
            which the network sees them as (z − mean)/spread.
    """

    mean: Tensor
    spread: Tensor
    model: Latte

    def __init__(self, network: Latte, timesteps: int, channels: int) -> None:
        super().__init__(
            network, timesteps, "cosine", target="v", classes=network.num_classes or 0, clip=LIMIT
        )
        self.register_buffer("mean", tg.zeros((channels, 1, 1, 1)))
        self.register_buffer("spread", tg.ones((channels, 1, 1, 1)))

    @tg.no_grad()
    def measure(self, latents: Tensor) -> None:
        """Take mean and spread from latents (N, C, T, H, W)."""
        axes = (0, 2, 3, 4)
        self.mean.copy_(tg.mean(latents, axis=axes).reshape(self.mean.shape))
        self.spread.copy_(tg.std(latents, axis=axes).reshape(self.spread.shape))

    def loss(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The mean squared error of v at random steps, of the frames that are not known."""
        part, shift, length = int(tg.randint(0, 8, ())), 0, latents.shape[2]
        if part == 0:
            latents = latents[:, :, :1]
        elif part == 1 and length > 1:
            latents = latents[:, :, 1:]
            shift = int(tg.randint(1, self.model.frames - length + 2, ()))
        z = (latents - self.mean) / self.spread
        count, _, length = z.shape[:3]
        shares = tg.sqrt(tg.rand(count, device=z.device))
        t = tg.minimum((shares * self.timesteps).astype(tg.int64), self.timesteps - 1)
        z_t, noise = self.forward_diffusion(z, t)
        if labels is not None:
            dropped = tg.rand(count, device=z.device) < DROPPED
            labels = tg.where(dropped, self.classes, labels)
        kind, several = tg.rand((2, count), device=z.device)
        first = tg.where(kind < 0.25, 1, (several * length).astype(tg.int64))
        first = tg.minimum(tg.where(kind < 0.5, first, 0), length - 1)
        places = tg.arange(length, device=z.device)
        known = places < first[:, None]
        given = known[:, None, :, None, None]
        y = self.model(tg.where(given, z, z_t), t, labels, known=known, places=places + shift)
        wanted = targets.target("v", z, noise, *self.alpha_sigma(t, z))
        errors = tg.where(given, 0.0, (y - wanted) ** 2)
        return tg.mean(errors) * (count * length / (count * length - int(known.sum())))

    def continuing(
        self, known: Tensor, labels: Tensor | None, guidance: float, start: int
    ) -> Denoiser:
        """The denoiser of clips whose first frames are `known`, (N, C, K, H, W), normalised.

        Args:
            known: the frames; K may be 0.
            labels: the classes (N,); None: no class.
            guidance: weight of classifier-free guidance.
            start: position in time of the first frame.
        """

        def given(labels: Tensor | None) -> Denoiser:
            def denoise(x: Tensor, t: Tensor) -> Tensor:
                count, _, length = x.shape[:3]
                places = tg.arange(length, device=x.device)
                is_known = tg.broadcast_to(places < known.shape[2], (count, length))
                x = tg.concat([known, x[:, :, known.shape[2] :]], axis=2)
                none = tg.full(count, self.classes, device=x.device) if self.classes else None
                label = none if labels is None else labels
                y = self.model(x, t, label, known=is_known, places=places + start)
                x0 = targets.to_x0("v", y, x, *self.alpha_sigma(t, x))
                return tg.concat([known, x0[:, :, known.shape[2] :]], axis=2)

            return denoise

        if guidance and labels is None:
            raise ValueError("sora: guidance needs a class")
        return classifier_free(given(labels), given(None), guidance) if guidance else given(labels)

    @tg.no_grad()
    def draw(
        self,
        known: Tensor,
        frames: int,
        window: int,
        generator: Generator,
        *,
        labels: Tensor | None = None,
        guidance: float = 0.0,
        steps: int = 50,
    ) -> Tensor:
        """Latents (N, C, frames, H, W) that begin with those of `known`, (N, C, K, H, W), drawn by
        DDIM in windows: the first of `window` frames, each later one of half as many new frames.
        """
        clip, half = (known - self.mean) / self.spread, window // 2
        while clip.shape[2] < frames:
            start = 0 if clip.shape[2] < window else clip.shape[2] - half
            length = min(2 * half if start else window, frames - start)
            given = clip[:, :, start:]
            shape = (len(clip), clip.shape[1], length, *clip.shape[3:])
            made = self.sample(
                shape,
                sampler="ddim",
                steps=min(steps, self.timesteps),
                generator=generator,
                denoise=self.continuing(given, labels, guidance, start),
            )
            clip = tg.concat([clip, made[:, :, given.shape[2] :]], axis=2)
        return clip * self.spread + self.mean

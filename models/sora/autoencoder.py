"""A causal video autoencoder: clips to small maps of latent vectors, and back.

**Causal in time** (Yu et al. 2023, "Language Model Beats Diffusion", section 3.2). A convolution
whose kernel covers k frames pads k − 1 frames of zeros in front, and none behind. So a latent frame
depends on its own frame and on earlier ones only: the first frame is encoded alone, hence an image
is a clip of one frame, and a clip can be encoded while it arrives. There are no norms, whose
statistics over time would tell a frame of later ones.

**The loss** is that of a variational autoencoder (see `vae`) whose encoder has the fixed variance
σ². Then the divergence from N(0, I) is ½ z², up to a constant, for each number of the mean z:

    L = mean (x − x̂(z + σ ε))² + β mean ½ z²,   ε ~ N(0, I)

Its only purpose here is a smooth space of latents of moderate size (Rombach et al. 2022,
"High-Resolution Image Synthesis with Latent Diffusion Models", section 3.1), so β is small. What a
diffusion model draws is never exactly a latent; the noise teaches the decoder to bear that.
"""

from __future__ import annotations

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn

SIGMA = 0.5  # standard deviation of the noise of a latent
BETA = 1e-3
REDUCTION = 4  # pixels per latent position, in height and width


class CausalConv3d(nn.Conv3d):
    """A convolution of clips (N, C, T, H, W) in which frame t sees the frames up to t only.

    Args:
        in_channels, out_channels: number of channels.
        kernel_size: length in time, and height and width, which must be odd.

    >>> conv = CausalConv3d(1, 1, (3, 1))
    >>> x = tg.zeros((1, 1, 4, 1, 1))
    >>> _ = x[:, :, 2].copy_(1.0)
    >>> (conv(x) - conv(tg.zeros_like(x))).flatten()[:2].tolist()
    [0.0, 0.0]
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: tuple[int, int]) -> None:
        time, side = kernel_size
        margin = side // 2
        super().__init__(in_channels, out_channels, (time, side, side), padding=(0, margin, margin))
        self.before = time - 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(F.pad(x, (0, 0, 0, 0, self.before, 0)))
        return out


class Residual(nn.Module):
    """A residual block of two causal convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = CausalConv3d(channels, channels, (3, 3))
        self.conv2 = CausalConv3d(channels, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        more: Tensor = self.conv2(F.silu(self.conv1(F.silu(x))))
        return x + more


def _halved(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))


def _doubled(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    return nn.ConvTranspose3d(inputs, outputs, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))


class VideoAutoencoder(nn.Module):
    """Clips (N, in_channels, T, H, W) ↔ latents (N, latent_channels, T, H/4, W/4).

    Args:
        in_channels: number of channels of a clip.
        latent_channels: number of channels of its latents.
        channels: number of channels of the finest hidden layer.

    Raises ValueError, in one line, for clips that do not fit.

    >>> model = VideoAutoencoder(channels=4)
    >>> z = model.encode(tg.zeros((2, 1, 17, 32, 32)))
    >>> z.shape, model.decode(z).shape
    ((2, 8, 17, 8, 8), (2, 1, 17, 32, 32))
    """

    def __init__(self, in_channels: int = 1, latent_channels: int = 8, channels: int = 16) -> None:
        super().__init__()
        self.in_channels, wide = in_channels, 2 * channels
        self.encoder = nn.Sequential(
            *(_halved(in_channels, channels), nn.SiLU(), _halved(channels, wide)),
            *(Residual(wide), nn.SiLU(), CausalConv3d(wide, latent_channels, (1, 1))),
        )
        self.decoder = nn.Sequential(
            *(CausalConv3d(latent_channels, wide, (1, 3)), Residual(wide), Residual(wide)),
            *(nn.SiLU(), _doubled(wide, channels), nn.SiLU(), _doubled(channels, in_channels)),
        )

    def encode(self, clips: Tensor) -> Tensor:
        """Clips in [0, 1] → latents."""
        if clips.ndim != 5 or clips.shape[1] != self.in_channels:
            raise ValueError(
                f"sora: expected clips (N, {self.in_channels}, T, H, W); got {clips.shape}"
            )
        if not clips.size or any(side % REDUCTION for side in clips.shape[3:]):
            height, width = clips.shape[3:]
            raise ValueError(
                f"sora: frames of {height} × {width} pixels, where multiples of {REDUCTION} are "
                "expected"
            )
        z: Tensor = self.encoder(clips)
        return z

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → clips, clipped to [0, 1]."""
        return tg.clip(self.decoder(latents), 0, 1)


def loss(model: VideoAutoencoder, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """L of clips (N, C, T, H, W) in [0, 1], and its first part as PSNR."""
    z = model.encode(clips)
    made = model.decoder(z + SIGMA * tg.randn(z.shape, z.dtype, device=z.device))
    error = F.mse_loss(made, clips)
    return error + BETA * tg.mean(z * z) / 2, {"psnr": psnr(error)}


def psnr(error: Tensor) -> Tensor:
    """The peak signal-to-noise ratio in dB of a mean squared error, for signals in [0, 1].

    >>> psnr(tg.tensor(0.01)).round(3).item()
    20.0
    """
    return -10 * tg.log10(error)

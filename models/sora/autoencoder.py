"""A causal video autoencoder: clips to small maps of latent vectors, and back.

**Causal in time** (Yu et al. 2023, "Language Model Beats Diffusion", section 3.2). A convolution
whose kernel covers k frames pads k − 1 frames of zeros in front, and none behind. With a stride in
time the first frame is still encoded alone, and each later latent frame covers as many frames as
the stride, here 4:

    frames          0 | 1  2  3  4 | 5  6  7  8 | …
    latent frames   0 |      1     |      2     | …

A latent frame depends on no frame after those it covers. Hence an image is a clip of one frame, and
a clip can be encoded while it arrives. There are no norms, whose statistics over time would tell a
frame of later ones.

**The loss** is that of a variational autoencoder (see `vae`) whose encoder has the fixed variance
σ². Then the divergence from N(0, I) is ½ z², up to a constant, for each number of the mean z:

    L = mean (x − x̂(z + σ ε))² + β mean ½ z²,   ε ~ N(0, I)

Its only purpose here is a smooth space of latents of moderate size (Rombach et al. 2022,
"High-Resolution Image Synthesis with Latent Diffusion Models", section 3.1), so β is small. What a
diffusion model draws is never exactly a latent; the noise teaches the decoder to bear that.
"""

from __future__ import annotations

import math

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn

SIGMA = 0.5  # standard deviation of the noise of a latent
BETA = 1e-2
REDUCTION = 4  # pixels per latent position, in height and width
STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}  # the stride in time: that of both strided layers


def latent_frames(frames: int, time_stride: int) -> int:
    """The number of latent frames that cover a number of frames.

    >>> [latent_frames(frames, 4) for frames in (1, 2, 5, 17)]
    [1, 2, 2, 5]
    """
    return 1 + math.ceil((frames - 1) / time_stride)


class CausalConv3d(nn.Conv3d):
    """A convolution of clips (N, C, T, H, W) in which frame t sees the frames up to t only.

    Args:
        in_channels, out_channels: number of channels.
        kernel_size: length in time, and height and width.
        stride: step in time, and in height and width; result t belongs to frame t times the step.

    >>> conv = CausalConv3d(1, 1, (3, 1))
    >>> x = tg.zeros((1, 1, 4, 1, 1))
    >>> _ = x[:, :, 2].copy_(1.0)
    >>> (conv(x) - conv(tg.zeros_like(x))).flatten()[:2].tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        (time, side), (time_step, side_step) = kernel_size, stride
        margin = (side - 1) // 2
        super().__init__(
            in_channels,
            out_channels,
            (time, side, side),
            stride=(time_step, side_step, side_step),
            padding=(0, margin, margin),
        )
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


class Enlarged(nn.Module):
    """A transposed convolution to twice the height and width, and `time` times the frames, except
    the first, which stays one frame.
    """

    def __init__(self, in_channels: int, out_channels: int, time: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(
            in_channels, out_channels, (time, 4, 4), stride=(time, 2, 2), padding=(0, 1, 1)
        )
        self.before = time - 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out[:, :, self.before :]


class VideoAutoencoder(nn.Module):
    """Clips (N, in_channels, T, H, W) ↔ latents (N, latent_channels, 1 + (T − 1)/time_stride, H/4,
    W/4).

    Args:
        in_channels: number of channels of a clip.
        latent_channels: number of channels of its latents.
        time_stride: number of frames of a latent frame, 1, 2 or 4; the first frame has its own.
        channels: number of channels of the finest hidden layer.

    Raises ValueError, in one line, for another stride and for clips that do not fit.

    >>> model = VideoAutoencoder(channels=4, time_stride=4)
    >>> z = model.encode(tg.zeros((2, 1, 17, 32, 32)))
    >>> z.shape, model.decode(z).shape
    ((2, 8, 5, 8, 8), (2, 1, 17, 32, 32))
    """

    def __init__(
        self,
        in_channels: int = 1,
        latent_channels: int = 8,
        time_stride: int = 1,
        channels: int = 16,
    ) -> None:
        super().__init__()
        if time_stride not in STRIDES:
            raise ValueError(f"VideoAutoencoder: time_stride must be 1, 2 or 4, not {time_stride}")
        self.in_channels, self.time_stride, wide = in_channels, time_stride, 2 * channels
        first, second = STRIDES[time_stride]
        self.encoder = nn.Sequential(
            CausalConv3d(in_channels, channels, (2 * first - 1, 4), (first, 2)),
            *(nn.SiLU(), CausalConv3d(channels, wide, (2 * second - 1, 4), (second, 2))),
            *(Residual(wide), nn.SiLU(), CausalConv3d(wide, latent_channels, (1, 1))),
        )
        self.decoder = nn.Sequential(
            *(CausalConv3d(latent_channels, wide, (1, 3)), Residual(wide), Residual(wide)),
            *(nn.SiLU(), Enlarged(wide, channels, second)),
            *(nn.SiLU(), Enlarged(channels, in_channels, first)),
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
        if (clips.shape[2] - 1) % self.time_stride:
            raise ValueError(
                f"sora: a clip of {clips.shape[2]} frames; expected one more than a multiple of "
                f"the stride in time, {self.time_stride}"
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

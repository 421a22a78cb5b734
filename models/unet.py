"""U-Net for diffusion (Ho, Jain and Abbeel 2020, section 4 and appendix B).

An image becomes smaller and gets more channels level by level, and then grows again. On the way up
each block also gets the output of a block on the way down (Ronneberger et al. 2015, "U-Net"), so
the coarse levels only have to add what the fine ones cannot see. All levels are made of

- *residual blocks*: norm, SiLU, 3 × 3 convolution, twice, with a shortcut (He et al. 2016). Between
  the convolutions a linear map of the code of the time is added to each channel;
- *self-attention* over all pixels of a level, at the coarse levels only, since its cost grows with
  the fourth power of the side.

*Group norm* (Wu and He 2018) does not depend on the other images of the batch, which have other
amounts of noise. The time is coded by sines and cosines, and two linear layers; the embedding of a
class is added to that code.

The state dict has the names, shapes and dtypes of the UNet2DModel of the diffusers library, with
the configuration of `google/ddpm-cifar10-32`.
"""

from __future__ import annotations

from collections.abc import Sequence

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn

from .parts.timesteps import timestep_embedding

EPSILON = 1e-6  # of group norm


class UNet2D(nn.Module):
    """Images (N, in_channels, H, W) and times (N,) → images (N, out_channels, H, W).

    Args:
        in_channels, out_channels: number of channels of the images.
        channels: number of channels of the first convolution.
        multipliers: number of channels of each level, from fine to coarse, divided by `channels`.
            Each level has half the height and width of the one before.
        blocks: number of residual blocks of a level on the way down; one more on the way up.
        attention: the levels, from 0, whose residual blocks are followed by self-attention, with
            one head. The middle always has it.
        dropout: probability that an element is dropped before a block's second convolution.
        num_classes: number of classes; None: no classes.

    The defaults are those for CIFAR-10, without its dropout of 0.1. `model(x, t, label)` takes the
    classes (N,) of a model with classes; the label `num_classes` means none.

    Raises ValueError, in one line, for images that do not fit, levels that do not exist, and labels
    that are missing or superfluous.

    >>> model = UNet2D(1, 1, channels=16, multipliers=(1, 2, 4), blocks=1, attention=(2,))
    >>> model(tg.zeros((2, 1, 28, 28)), tg.arange(2)).shape
    (2, 1, 28, 28)
    >>> with nn.no_init():
    ...     sum(parameter.size for parameter in UNet2D().parameters())
    35746307
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1,),
        dropout: float = 0.0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if unknown := [level for level in attention if not 0 <= level < len(multipliers)]:
            raise ValueError(
                f"UNet2D: attention at level {unknown[0]}; there are {len(multipliers)} levels"
            )
        self.in_channels, self.channels, self.num_classes = in_channels, channels, num_classes
        time_dim, groups = 4 * channels, min(32, channels)
        if channels % groups or channels % 2:
            raise ValueError(
                f"UNet2D: channels is {channels}; expected an even number up to 32 or a multiple "
                "of 32"
            )
        self.conv_in = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.time_embedding = TimeEmbedding(channels, time_dim)
        if num_classes is not None:
            self.class_embedding = nn.Embedding(num_classes + 1, time_dim)
        sizes = [channels * multiplier for multiplier in multipliers]
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips, size = [channels], channels  # channels of the outputs that the way up takes
        for level, outputs in enumerate(sizes):
            inputs = [size, *[outputs] * (blocks - 1)]
            last = level == len(sizes) - 1
            self.down_blocks.append(
                Down(inputs, outputs, time_dim, groups, level in attention, dropout, halve=not last)
            )
            skips += [outputs] * (blocks if last else blocks + 1)
            size = outputs
        for level, outputs in reversed(list(enumerate(sizes))):
            inputs = [before + skips.pop() for before in (size, *[outputs] * blocks)]
            self.up_blocks.append(
                Up(inputs, outputs, time_dim, groups, level in attention, dropout, double=level > 0)
            )
            size = outputs
        self.mid_block = Middle(sizes[-1], time_dim, groups, dropout)
        self.conv_norm_out = nn.GroupNorm(groups, sizes[0], eps=EPSILON)
        self.conv_out = nn.Conv2d(sizes[0], out_channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self._check(x, label)
        code = self.time_embedding(timestep_embedding(t, self.channels).astype(x.dtype))
        if label is not None:
            code = code + self.class_embedding(label)
        code = F.silu(code)
        h = self.conv_in(x)
        skips = [h]
        for down in self.down_blocks:
            h, outputs = down(h, code)
            skips += outputs
        h = self.mid_block(h, code)
        for up in self.up_blocks:
            h = up(h, skips, code)
        out: Tensor = self.conv_out(F.silu(self.conv_norm_out(h)))
        return out

    def _check(self, x: Tensor, label: Tensor | None) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"UNet2D: expected images (N, {self.in_channels}, H, W); got {x.shape}"
            )
        halvings = len(self.down_blocks) - 1
        if any(side % 2**halvings or not side for side in x.shape[2:]):
            height, width = x.shape[2:]
            raise ValueError(
                f"UNet2D: images of {height} × {width} cannot be halved {halvings} times; expected "
                f"multiples of {2**halvings}"
            )
        if (label is None) != (self.num_classes is None):
            with_or_without = "without classes" if self.num_classes is None else "with classes"
            given = "no labels" if label is None else "labels"
            raise ValueError(f"UNet2D: a model {with_or_without} got {given}")


class TimeEmbedding(nn.Module):
    """The code of the time, (N, inputs) → (N, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, outputs)
        self.linear_2 = nn.Linear(outputs, outputs)

    def forward(self, code: Tensor) -> Tensor:
        out: Tensor = self.linear_2(F.silu(self.linear_1(code)))
        return out


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut; the code of the time is added between them.

    Shapes: x (N, inputs, H, W), code (N, time_dim); output (N, outputs, H, W).
    """

    def __init__(
        self, inputs: int, outputs: int, time_dim: int, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=EPSILON)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_dim, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)  # the block starts as its shortcut
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)
        self.is_wider = inputs != outputs

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(code)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        out: Tensor = (self.conv_shortcut(x) if self.is_wider else x) + h
        return out


class Attention(nn.Module):
    """Self-attention over the pixels of images (N, C, H, W), with one head and a shortcut."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=EPSILON)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.group_norm(x).reshape(*x.shape[:2], -1).mT  # (N, H·W, C)
        found = F.scaled_dot_product_attention(
            *(part(pixels)[:, None] for part in (self.to_q, self.to_k, self.to_v))
        )
        out: Tensor = x + self.to_out[0](found[:, 0]).mT.reshape(x.shape)
        return out


class Level(nn.Module):
    """The residual blocks of a level with their attention, if there is any."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        time_dim: int,
        groups: int,
        attends: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attends = attends
        if attends:
            self.attentions = nn.ModuleList([Attention(outputs, groups) for _ in inputs])
        self.resnets = nn.ModuleList(
            [ResidualBlock(size, outputs, time_dim, groups, dropout) for size in inputs]
        )

    def block(self, number: int, x: Tensor, code: Tensor) -> Tensor:
        """One residual block, and its attention."""
        x = self.resnets[number](x, code)
        return self.attentions[number](x) if self.attends else x


class Down(Level):
    """A level on the way down; returns its last output and all outputs for the way up."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        time_dim: int,
        groups: int,
        attends: bool,
        dropout: float,
        *,
        halve: bool,
    ) -> None:
        super().__init__(inputs, outputs, time_dim, groups, attends, dropout)
        if halve:
            self.downsamplers = nn.ModuleList([Downsample(outputs)])
        self.halves = halve

    def forward(self, x: Tensor, code: Tensor) -> tuple[Tensor, list[Tensor]]:
        outputs = []
        for number in range(len(self.resnets)):
            x = self.block(number, x, code)
            outputs.append(x)
        if self.halves:
            x = self.downsamplers[0](x)
            outputs.append(x)
        return x, outputs


class Up(Level):
    """A level on the way up, which takes the outputs of the way down from the end of a list."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        time_dim: int,
        groups: int,
        attends: bool,
        dropout: float,
        *,
        double: bool,
    ) -> None:
        super().__init__(inputs, outputs, time_dim, groups, attends, dropout)
        if double:
            self.upsamplers = nn.ModuleList([Upsample(outputs)])
        self.doubles = double

    def forward(self, x: Tensor, skips: list[Tensor], code: Tensor) -> Tensor:
        for number in range(len(self.resnets)):
            x = self.block(number, tg.concat([x, skips.pop()], axis=1), code)
        return self.upsamplers[0](x) if self.doubles else x


class Middle(nn.Module):
    """Two residual blocks at the coarsest level, with attention between them."""

    def __init__(self, channels: int, time_dim: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, groups)])
        self.resnets = nn.ModuleList(
            [ResidualBlock(channels, channels, time_dim, groups, dropout) for _ in range(2)]
        )

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        first, second = self.resnets
        out: Tensor = second(self.attentions[0](first(x, code)), code)
        return out


class Downsample(nn.Module):
    """A convolution with stride 2, which pads right and bottom alone: half the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Each pixel becomes 2 × 2, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return out

"""The network: a U-Net over time, whose channels the condition scales and shifts.

A sequence of actions is an image with one axis. The U-Net (Janner et al. 2022, "Planning with
Diffusion for Flexible Behavior Synthesis", figure 2) halves the time axis level by level and
doubles it again, so that it sees the shape of the whole sequence and each single step.

*FiLM* (Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer"): after the
first convolution of each block the channels become γ ⊙ x + β, with γ and β linear functions of the
condition, the code of the step t and the observations.

The state dict has the names and shapes of the reference implementation's `ConditionalUnet1D`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn

from ..parts.timesteps import timestep_embedding


class ConditionalUnet1D(nn.Module):
    """Sequences (N, T, input_dim), steps (N,) and conditions → sequences (N, T, input_dim).

    Args:
        input_dim: numbers in one action.
        global_cond_dim: length of the condition.
        diffusion_step_embed_dim: length of the code of the step.
        down_dims: channels of each level, from fine to coarse; each has half the steps of the one
            before.
        kernel_size: that of the convolutions, odd.
        n_groups: number of groups of the norms, but 8 for the last one, as in the reference.
        cond_predict_scale: whether the condition scales the channels as well as it shifts them.

    The sizes of the paper are the defaults. Raises ValueError, in one line, for inputs of another
    shape, and for T not a multiple of 2^(levels − 1).

    >>> model = ConditionalUnet1D(2, 10, 64, down_dims=(32, 64, 128))
    >>> model(tg.zeros((5, 16, 2)), tg.arange(5), tg.zeros((5, 10))).shape
    (5, 16, 2)
    >>> sum(parameter.size for parameter in model.parameters())
    1126242
    """

    def __init__(
        self,
        input_dim: int,
        global_cond_dim: int,
        diffusion_step_embed_dim: int = 256,
        down_dims: Sequence[int] = (256, 512, 1024),
        kernel_size: int = 5,
        n_groups: int = 8,
        cond_predict_scale: bool = True,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"ConditionalUnet1D: kernel_size is {kernel_size}; expected odd")
        self.input_dim, self.global_cond_dim = input_dim, global_cond_dim
        self.multiple = 2 ** (len(down_dims) - 1)
        code = diffusion_step_embed_dim

        def block(inputs: int, outputs: int) -> ConditionalResidualBlock1D:
            return ConditionalResidualBlock1D(
                *(inputs, outputs, code + global_cond_dim, kernel_size, n_groups),
                cond_predict_scale=cond_predict_scale,
            )

        first, last = down_dims[0], down_dims[-1]
        pairs = list(itertools.pairwise((input_dim, *down_dims)))
        self.mid_modules = nn.ModuleList([block(last, last), block(last, last)])
        self.diffusion_step_encoder = nn.Sequential(
            StepCode(code), nn.Linear(code, 4 * code), nn.Mish(), nn.Linear(4 * code, code)
        )
        self.up_modules, self.down_modules = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in reversed(pairs[1:]):
            up = [block(2 * coarse, fine), block(fine, fine), Upsample1d(fine)]
            self.up_modules.append(nn.ModuleList(up))
        for level, (fine, coarse) in enumerate(pairs):
            halve = Downsample1d(coarse) if level < len(pairs) - 1 else nn.Identity()
            down = [block(fine, coarse), block(coarse, coarse), halve]
            self.down_modules.append(nn.ModuleList(down))
        self.final_conv = nn.Sequential(
            Conv1dBlock(first, first, kernel_size), nn.Conv1d(first, input_dim, 1)
        )

    def forward(self, sample: Tensor, timestep: Tensor, global_cond: Tensor) -> Tensor:
        if sample.ndim != 3 or sample.shape[2] != self.input_dim or sample.shape[1] % self.multiple:
            raise ValueError(
                f"ConditionalUnet1D: expected sequences of shape (N, T, {self.input_dim}) with T a "
                f"multiple of {self.multiple}; got {sample.shape}"
            )
        if global_cond.shape != (len(sample), self.global_cond_dim):
            raise ValueError(
                "ConditionalUnet1D: expected a condition of shape "
                f"({len(sample)}, {self.global_cond_dim}); got {global_cond.shape}"
            )
        cond = tg.concat([self.diffusion_step_encoder(timestep), global_cond], axis=1)
        x, skips = tg.permute_dims(sample, (0, 2, 1)), []
        for level in self.down_modules:
            first, second, halve = cast(nn.ModuleList, level)
            x = second(first(x, cond), cond)
            skips.append(x)
            x = halve(x)
        for middle in self.mid_modules:
            x = middle(x, cond)
        for level in self.up_modules:
            first, second, double = cast(nn.ModuleList, level)
            x = first(tg.concat([x, skips.pop()], axis=1), cond)
            x = double(second(x, cond))
        return tg.permute_dims(self.final_conv(x), (0, 2, 1))


class ConditionalResidualBlock1D(nn.Module):
    """Two convolutions with FiLM between them, and a shortcut: (N, inputs, T) → (N, outputs, T)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        cond_dim: int,
        kernel_size: int = 5,
        n_groups: int = 8,
        *,
        cond_predict_scale: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                Conv1dBlock(inputs, outputs, kernel_size, n_groups),
                Conv1dBlock(outputs, outputs, kernel_size, n_groups),
            ]
        )
        self.scales = cond_predict_scale
        numbers = 2 * outputs if cond_predict_scale else outputs
        self.cond_encoder = nn.Sequential(nn.Mish(), nn.Linear(cond_dim, numbers))
        self.residual_conv = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        first, second = self.blocks
        h, film = first(x), self.cond_encoder(cond)[:, :, None]
        if self.scales:
            scale, shift = tg.split(film, 2, axis=1)
            h = scale * h + shift
        else:
            h = h + film
        found: Tensor = second(h) + self.residual_conv(x)
        return found


class Conv1dBlock(nn.Module):
    """Convolution, group norm, Mish: (N, inputs, T) → (N, outputs, T)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, n_groups: int = 8) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2),
            nn.GroupNorm(n_groups, outputs),
            nn.Mish(),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.block(x)
        return found


class Downsample1d(nn.Module):
    """(N, C, T) → (N, C, T / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found


class Upsample1d(nn.Module):
    """(N, C, T) → (N, C, 2 T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found


class StepCode(nn.Module):
    """The code of the step by sines and cosines: (N,) → (N, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        return timestep_embedding(t, self.dim)

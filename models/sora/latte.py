"""Latte (Ma et al. 2024, "Latent Diffusion Transformer for Video Generation"), variant 1.

A clip of latents is cut into patches, frame by frame. Its T · S tokens, S of each frame, are not
all compared with each other: blocks of *spatial* attention, in which a token sees its frame, and
blocks of *temporal* attention, in which it sees its place in all frames, alternate. One pair costs
T · S² + S · T² instead of (T · S)². The blocks are those of `dit`, with adaLN-Zero.

Positions have codes of sines and cosines, in space `pos_embed` and in time `temp_embed`, so length
and size of a clip may vary up to the number of codes. The codes tell where a token is. With
`rotary` attention also sees how far tokens are apart (see `dit.Rotation`), which is the same
wherever an object is. This adds no parameters.

**Known frames.** A frame may be given instead of noise: in its spatial blocks the step is then 0,
that of data. A network that was trained with such frames continues a clip, or makes an image move.
"""

from __future__ import annotations

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn

from .. import dit

BASE = 100.0  # of the rotary frequencies; places are few


class Latte(nn.Module):
    """Latents (N, in_channels, T, H, W) and steps t (N,) → (N, out_channels, T, H, W).

    Args:
        input_size: largest height and width of a frame.
        frames: largest number of frames, that of the codes in time.
        patch_size: p, height and width of a patch.
        in_channels, out_channels: number of channels.
        width: width of the vectors.
        depth: number of blocks, a multiple of 2.
        heads: number of heads of the attention.
        num_classes: number of classes; None: no classes.
        rotary: whether queries and keys turn with their places; the authors' do not.

    The names in its state dict are those of the authors' code.

    Raises ValueError, in one line, for sizes and clips that do not fit.

    >>> model = Latte(8, 17, in_channels=8, out_channels=8, width=32, depth=2, heads=2)
    >>> model(tg.zeros((2, 8, 5, 8, 8)), tg.arange(2)).shape
    (2, 8, 5, 8, 8)
    """

    def __init__(
        self,
        input_size: int = 32,
        frames: int = 16,
        patch_size: int = 2,
        in_channels: int = 4,
        out_channels: int = 8,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        num_classes: int | None = None,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        if width % 4 or width % heads:
            raise ValueError(f"Latte: width {width} must be divisible by 4 and by heads {heads}")
        if depth % 2:
            raise ValueError(f"Latte: depth {depth} must be even, half of it for attention in time")
        if rotary and width // heads % 4:
            raise ValueError(
                f"Latte: with rotary positions a head's width, {width // heads}, must be divisible "
                "by 4"
            )
        self.in_channels, self.patch_size, self.frames = in_channels, patch_size, frames
        self.side, self.num_classes = input_size // patch_size, num_classes
        self.turning = width // heads // 2 if rotary else 0  # pairs of numbers of a head that turn
        self.x_embedder = dit.PatchEmbedder(patch_size, in_channels, width)
        self.t_embedder = dit.TimestepEmbedder(width)
        if num_classes is not None:
            self.y_embedder = dit.LabelEmbedder(num_classes, width)
        dtype = self.x_embedder.proj.weight.dtype
        space = dit.position_code_2d(self.side, width).astype(dtype)
        time = dit.position_code(tg.arange(frames, dtype=tg.float64), width).astype(dtype)
        self.pos_embed = nn.Parameter(space[None], requires_grad=False)
        self.temp_embed = nn.Parameter(time[None], requires_grad=False)
        self.blocks = nn.ModuleList(dit.Block(width, heads) for _ in range(depth))
        self.final_layer = dit.FinalLayer(width, patch_size, out_channels)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        label: Tensor | None = None,
        *,
        known: Tensor | None = None,
        places: Tensor | None = None,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """Predict the target.

        Args:
            x: latents (N, C, T, H, W), in which frames may be known.
            t: the step of the other frames, (N,).
            label: the classes (N,) of a model with classes; `num_classes` means none.
            known: whether a frame is known, booleans (N, T); None: none is.
            places: positions of the frames in time, integers (T,); None: 0 … T − 1.
            allowed: which frames attention in time may see from which, booleans (T, T); None: all.
                With blocks of True on the diagonal, and places that restart in each, several clips
                are *packed* in one (Dehghani et al. 2023, "Patch n' Pack").
        """
        count, _, length, height, width = self._checked(x, label)
        places = tg.arange(length, device=x.device) if places is None else places
        self._check_places(places)
        rows, columns = height // self.patch_size, width // self.patch_size
        code = self.t_embedder(t)
        given = self.t_embedder(tg.zeros_like(t))
        if label is not None:
            named = self.y_embedder(label)
            code, given = code + named, given + named
        each = tg.broadcast_to(code[:, None], (count, length, code.shape[1]))
        if known is not None:
            each = tg.where(known[..., None], given[:, None], each)
        of_frame = each.reshape(count * length, -1)
        of_place = tg.repeat(code, rows * columns, axis=0)
        frames = x.permute_dims((0, 2, 1, 3, 4)).reshape(count * length, -1, height, width)
        grid = self.pos_embed.reshape(self.side, self.side, -1)[:rows, :columns]
        h = self.x_embedder(frames) + grid.reshape(rows * columns, -1)
        times = self.temp_embed[0][places]
        in_space, in_time = self._rotations(rows, columns, places) if self.turning else (None, None)
        for number, block in enumerate(self.blocks):
            if number % 2 == 0:
                h = block(h, of_frame, rotation=in_space)
            else:
                h = _swapped(h, count)
                h = block(h + times if number == 1 else h, of_place, allowed, in_time)
                h = _swapped(h, count)
        pixels = dit.unpatchify(self.final_layer(h, of_frame), rows)
        return pixels.reshape(count, length, -1, height, width).permute_dims((0, 2, 1, 3, 4))

    def _rotations(
        self, rows: int, columns: int, places: Tensor
    ) -> tuple[dit.Rotation, dit.Rotation]:
        """Those of the places of a frame, half of them by row and half by column, and of time."""
        dtype, device = self.pos_embed.dtype, self.pos_embed.device
        row, column = (
            dit.angles(tg.arange(n, dtype=dtype, device=device), self.turning // 2, BASE)
            for n in (rows, columns)
        )
        by_row, by_column = tg.repeat(row, columns, axis=0), tg.tile(column, (rows, 1))
        in_time = dit.angles(places.astype(dtype), self.turning, BASE)
        return dit.Rotation(tg.concat([by_row, by_column], axis=1)), dit.Rotation(in_time)

    def _checked(self, x: Tensor, label: Tensor | None) -> tuple[int, ...]:
        """The shape of x; ValueError for a wrong one."""
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"Latte: expected latents (N, {self.in_channels}, T, H, W); got {x.shape}"
            )
        height, width = x.shape[3:]
        most = self.side * self.patch_size
        if height % self.patch_size or width % self.patch_size or max(height, width) > most:
            raise ValueError(
                f"Latte: frames of {height} × {width}; expected multiples of {self.patch_size} up "
                f"to {most}"
            )
        if (label is None) != (self.num_classes is None):
            has = "no classes" if self.num_classes is None else "classes"
            got = "no labels" if label is None else "labels"
            raise ValueError(f"Latte: a model with {has} got {got}")
        return x.shape

    def _check_places(self, places: Tensor) -> None:
        if int(places.max()) >= self.frames or int(places.min()) < 0:
            raise ValueError(
                f"Latte: a clip reaches frame {int(places.max()) + 1}; there are {self.frames} "
                "positions in time"
            )


def Latte_S_2(num_classes: int | None = None) -> Latte:  # noqa: N802 (the name of the paper)
    """Latte-S/2, of 16 frames: 12 blocks of width 384.

    >>> with nn.no_init():
    ...     sum(parameter.size for parameter in Latte_S_2().parameters())
    32585120
    """
    return Latte(frames=16, width=384, depth=12, heads=6, num_classes=num_classes)


def _swapped(h: Tensor, count: int) -> Tensor:
    """Tokens (count · A, B, width) → (count · B, A, width)."""
    rows, columns, width = h.shape[0] // count, *h.shape[1:]
    by_clip = h.reshape(count, rows, columns, width).swapaxes(1, 2)
    return by_clip.reshape(count * columns, rows, width)

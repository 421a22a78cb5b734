"""DiT: diffusion with a Transformer (Peebles and Xie 2023, "Scalable Diffusion Models with
Transformers").

**Patches** (section 3.2 of the paper). An image is cut into patches of p × p pixels, and each
patch, as a vector, goes through one linear map. The result is a sequence, to which the codes of the
positions are added; from here on the network is a Transformer. Its last layer maps each token to
the pixels of its patch. Smaller patches make a longer sequence: at half the side the network has
the same parameters and four times the cost.

**adaLN-Zero.** A step t and a class y have codes; c is the sum of both. A layer norm without scale
and shift of its own gets them from c, as does a gate γ of what each sublayer adds to x:

    γ₁, β₁, α₁, γ₂, β₂, α₂ = W silu(c) + b
    x ← x + γ₁ attention((1 + α₁) norm(x) + β₁)
    x ← x + γ₂ perceptron((1 + α₂) norm(x) + β₂)

W and b start as 0: every block starts as the identity (Goyal et al. 2017 start the last batch norm
of a residual block with 0 for the same reason), and the gates open as the network learns. So do the
weights of the last layer: the first prediction is 0.

**Guidance.** One class more than there are means "no class". A tenth of the labels becomes this one
in training, so that the network can be asked with a class and without: see `diffusion.guidance`.

The state dict has the names, shapes and dtypes of the authors' code, with its two orders of the
numbers of a patch: (channel, row, column) into the network, as a convolution has them, and
(row, column, channel) out of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import Run, option, restored

from .diffusion import DiffusionModel, targets
from .diffusion.recipe import asked as asked
from .diffusion.recipe import inpaint as inpaint
from .diffusion.recipe import sample as sample
from .diffusion.training import Recipe, fit, graph, load_averaged
from .diffusion.training import evaluate as evaluate
from .diffusion.training import loss as loss
from .parts import mnist_like
from .parts.classes import CLASSES

TRAINING_TIME = "about 10 minutes, on one core"

EPSILON = 1e-6  # of layer norm
WIDTH_OF_TIME = 256  # of the sines and cosines of t


# ------------------------------------------------------------------------------ patches


def patchify(images: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) → patches (N, L, C, size, size), row by row.

    >>> patchify(tg.arange(16).reshape(1, 1, 4, 4), 2)[0, 1, 0].tolist()
    [[2, 3], [6, 7]]
    """
    count, channels, height, width = images.shape
    rows, columns = height // size, width // size
    grid = images.reshape(count, channels, rows, size, columns, size)
    patches = grid.permute_dims((0, 2, 4, 1, 3, 5))
    return patches.reshape(count, rows * columns, channels, size, size)


def unpatchify(patches: Tensor, rows: int) -> Tensor:
    """The inverse: patches (N, L, C, size, size), in `rows` rows of the image → (N, C, H, W).

    >>> images = tg.randn((2, 3, 6, 4))
    >>> bool((unpatchify(patchify(images, 2), rows=3) == images).all())
    True
    """
    count, length, channels, size, _ = patches.shape
    columns = length // rows
    grid = patches.reshape(count, rows, columns, channels, size, size)
    images = grid.permute_dims((0, 3, 1, 4, 2, 5))
    return images.reshape(count, channels, rows * size, columns * size)


# ------------------------------------------------------------------------------ codes


def angles(places: Tensor, count: int, base: float = 10_000.0) -> Tensor:
    """Places (N,) times the frequencies base^(−i/count), i = 0 … count − 1: (N, count).

    >>> angles(tg.tensor([1.0, 3.0]), 2).round(2).tolist()
    [[1.0, 0.009999999776482582], [3.0, 0.029999999329447746]]
    """
    index = tg.arange(count, dtype=places.dtype, device=places.device)
    return places[:, None] * base ** (-index / count)


def position_code(places: Tensor, width: int) -> Tensor:
    """All sines, then all cosines, of places (N,): (N, width)."""
    turned = angles(places, width // 2)
    return tg.concat([tg.sin(turned), tg.cos(turned)], axis=1)


def position_code_2d(side: int, width: int) -> Tensor:
    """The codes of side × side places, row by row, (side · side, width), float64.

    The first half is the code of the column, the second that of the row, as in the authors' code.

    >>> position_code_2d(2, 4)[1].round(2).tolist()  # row 0, column 1
    [0.84, 0.54, 0.0, 1.0]
    """
    code = position_code(tg.arange(side, dtype=tg.float64), width // 2)
    across = tg.broadcast_to(code, (side, side, width // 2))
    return tg.concat([across, across.swapaxes(0, 1)], axis=2).reshape(side * side, width)


class Rotation:
    """Rotary positions (Su et al. 2021, "RoFormer", section 3.2.2): each pair of numbers of a
    vector is turned by an angle that its place gives, so the product of a query and a key depends
    on the distance of their places.

        (a, b) → (a cos φ − b sin φ, b cos φ + a sin φ)

    Args:
        angles: φ of each place, (L, D); the vectors have 2 D numbers, all a before all b.
    """

    def __init__(self, angles: Tensor) -> None:
        self.cos, self.sin = tg.cos(angles), tg.sin(angles)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn vectors (…, L, 2 D)."""
        a, b = tg.split(x, 2, axis=-1)
        turned = [a * self.cos - b * self.sin, b * self.cos + a * self.sin]
        return tg.concat(turned, axis=-1)


def linear(
    inputs: int, outputs: int, start: Callable[[Tensor], Tensor] = nn.init.xavier_uniform_
) -> nn.Linear:
    """A linear layer whose weights begin by `start`, its biases with 0."""
    layer = nn.Linear(inputs, outputs)
    start(layer.weight)
    layer.bias = nn.Parameter(tg.zeros(outputs))
    return layer


def _small(weight: Tensor) -> Tensor:
    return nn.init.normal_(weight, std=0.02)


class PatchEmbedder(nn.Module):
    """Images (N, in_channels, H, W) → patches as vectors, (N, L, width).

    `proj` is the convolution of the authors' code. Since its stride is its size, it is a linear map
    of each patch, and computed as one.
    """

    def __init__(self, patch_size: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, width, patch_size, stride=patch_size)
        bound = (6 / (in_channels * patch_size**2 + width)) ** 0.5  # Xavier, of the linear map
        nn.init.uniform_(self.proj.weight, -bound, bound)
        self.proj.bias = nn.Parameter(tg.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        patches = patchify(x, self.patch_size)
        weight = self.proj.weight
        vectors = patches.reshape(*patches.shape[:2], -1)  # in the order (C, p, p)
        out: Tensor = F.linear(vectors, weight.reshape(len(weight), -1), self.proj.bias)
        return out


class TimestepEmbedder(nn.Module):
    """Steps (N,) → codes (N, width): cosines and sines, and a perceptron of two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            linear(WIDTH_OF_TIME, width, _small), nn.SiLU(), linear(width, width, _small)
        )

    def forward(self, t: Tensor) -> Tensor:
        dtype = next(self.mlp.parameters()).dtype
        turned = angles(t.astype(dtype), WIDTH_OF_TIME // 2)
        out: Tensor = self.mlp(tg.concat([tg.cos(turned), tg.sin(turned)], axis=1))
        return out


class LabelEmbedder(nn.Module):
    """Classes (N,) → codes (N, width); the class `num_classes` means none.

    Raises ValueError for classes that do not exist.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embedding_table = nn.Embedding(num_classes + 1, width)
        _small(self.embedding_table.weight)

    def forward(self, label: Tensor) -> Tensor:
        unknown = label[(label < 0) | (label > self.num_classes)]
        if unknown.size:
            raise ValueError(
                f"DiT: there is no class {int(unknown[0])}; expected 0 to {self.num_classes}, where"
                f" {self.num_classes} means none"
            )
        out: Tensor = self.embedding_table(label)
        return out


# ------------------------------------------------------------------------------ the network


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(1 + scale) x + shift."""
    return x * (1 + scale) + shift


class Modulation(nn.Sequential):
    """Codes (N, width) → `count` vectors of each row, (N, 1, width), 0 at the start."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__(nn.SiLU(), linear(width, count * width, nn.init.zeros_))
        self.count = count

    def forward(self, code: Tensor) -> tuple[Tensor, ...]:
        return tuple(tg.split(super().forward(code)[:, None], self.count, axis=2))


class Attention(nn.Module):
    """Self-attention of vectors (N, L, width), with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width)
        self.proj = linear(width, width)

    def forward(
        self, x: Tensor, allowed: Tensor | None = None, rotation: Rotation | None = None
    ) -> Tensor:
        """Attend to all places, or to those that are `allowed`, booleans that broadcast to
        (N, heads, L, L); `rotation` turns queries and keys.
        """
        count, length, width = x.shape
        parts = self.qkv(x).reshape(count, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute_dims((2, 0, 3, 1, 4))
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        found = F.scaled_dot_product_attention(q, k, v, allowed)
        out: Tensor = self.proj(found.permute_dims((0, 2, 1, 3)).reshape(x.shape))
        return out


class Block(nn.Module):
    """Attention and perceptron with adaLN-Zero: the identity at the start.

    Args:
        width: width of the vectors and of the code.
        heads: number of heads of the attention.

    >>> block, x = Block(8, heads=2), tg.randn((3, 5, 8))
    >>> bool((block(x, tg.randn((3, 8))) == x).all())
    True
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (
            nn.LayerNorm(width, EPSILON, elementwise_affine=False) for _ in range(2)
        )
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=linear(width, 4 * width), act=nn.GELU("tanh"), fc2=linear(4 * width, width)
            )
        )
        self.adaLN_modulation = Modulation(width, 6)

    def forward(
        self,
        x: Tensor,
        code: Tensor,
        allowed: Tensor | None = None,
        rotation: Rotation | None = None,
    ) -> Tensor:
        """x (N, L, width) and the code (N, width) → (N, L, width); the others as in `Attention`."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(code)
        x = x + gate1 * self.attn(modulate(self.norm1(x), shift1, scale1), allowed, rotation)
        out: Tensor = x + gate2 * self.mlp(modulate(self.norm2(x), shift2, scale2))
        return out


class FinalLayer(nn.Module):
    """Vectors (N, L, width) and the code (N, width) → patches (N, L, out_channels, p, p), 0 at the
    start.
    """

    def __init__(self, width: int, patch_size: int, out_channels: int) -> None:
        super().__init__()
        self.shape = patch_size, patch_size, out_channels
        self.norm_final = nn.LayerNorm(width, EPSILON, elementwise_affine=False)
        self.linear = linear(width, patch_size**2 * out_channels, nn.init.zeros_)
        self.adaLN_modulation = Modulation(width, 2)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(code)
        pixels = self.linear(modulate(self.norm_final(x), shift, scale))  # order (p, p, C)
        patches: Tensor = pixels.reshape(*x.shape[:2], *self.shape).permute_dims((0, 1, 4, 2, 3))
        return patches


class DiT(nn.Module):
    """Images (N, in_channels, H, W) and times (N,) → images (N, out_channels, H, W).

    Args:
        input_size: largest height and width of the images.
        patch_size: p, height and width of a patch.
        in_channels, out_channels: number of channels of the images; the paper's network predicts
            the noise and its variance, hence twice as many.
        width: width of the vectors.
        depth: number of blocks.
        heads: number of heads of the attention.
        num_classes: number of classes; None: no classes.

    The defaults are DiT-S/2. `model(x, t, label)` takes the classes (N,) of a model with classes;
    the label `num_classes` means none. `pos_embed` is fixed: it requires no gradient.

    Raises ValueError, in one line, for sizes and images that do not fit, and labels that are
    missing, superfluous or out of range.

    >>> model = DiT(28, 4, 1, 1, width=32, depth=2, heads=2, num_classes=10)
    >>> model(tg.zeros((2, 1, 28, 28)), tg.arange(2), tg.tensor([3, 10])).shape
    (2, 1, 28, 28)
    """

    def __init__(
        self,
        input_size: int = 32,
        patch_size: int = 2,
        in_channels: int = 4,
        out_channels: int = 8,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        num_classes: int | None = 1000,
    ) -> None:
        super().__init__()
        if width % 4 or width % heads:
            raise ValueError(
                f"DiT: width {width} must be divisible by 4, for the position codes, and by heads "
                f"{heads}"
            )
        if input_size % patch_size or not input_size:
            raise ValueError(
                f"DiT: input_size {input_size} must be divisible by patch_size {patch_size}"
            )
        self.in_channels, self.patch_size, self.num_classes = in_channels, patch_size, num_classes
        self.side = input_size // patch_size
        self.x_embedder = PatchEmbedder(patch_size, in_channels, width)
        self.t_embedder = TimestepEmbedder(width)
        if num_classes is not None:
            self.y_embedder = LabelEmbedder(num_classes, width)
        code = position_code_2d(self.side, width).astype(self.x_embedder.proj.weight.dtype)
        self.pos_embed = nn.Parameter(code[None], requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = FinalLayer(width, patch_size, out_channels)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self._check(x, label)
        rows, columns = (side // self.patch_size for side in x.shape[2:])
        code = self.t_embedder(t)
        if label is not None:
            code = code + self.y_embedder(label)
        h = self.x_embedder(x) + self._positions(rows, columns)
        for block in self.blocks:
            h = block(h, code)
        return unpatchify(self.final_layer(h, code), rows)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The codes of the first rows and columns, (rows · columns, width)."""
        grid = self.pos_embed.reshape(self.side, self.side, -1)[:rows, :columns]
        return grid.reshape(rows * columns, -1)

    def _check(self, x: Tensor, label: Tensor | None) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"DiT: expected images (N, {self.in_channels}, H, W); got {x.shape}")
        height, width = x.shape[2:]
        size, side = self.patch_size, self.side
        if height % size or width % size or not height or not width:
            raise ValueError(
                f"DiT: images of {height} × {width} cannot be cut into patches of {size} × {size}"
            )
        if max(height, width) > size * side:
            raise ValueError(
                f"DiT: images of {height} × {width} have {height // size} × {width // size} patches"
                f"; there are {side} × {side} positions"
            )
        if (label is None) != (self.num_classes is None):
            with_or_without = "without classes" if self.num_classes is None else "with classes"
            given = "no labels" if label is None else "labels"
            raise ValueError(f"DiT: a model {with_or_without} got {given}")


# Table 1 of the paper. The images are the latents of ImageNet at 256 × 256, (N, 4, 32, 32).


def DiT_S_2(num_classes: int | None = 1000) -> DiT:  # noqa: N802 (the name of the paper)
    """DiT-S/2: 12 blocks of width 384.

    >>> with nn.no_init():
    ...     sum(parameter.size for parameter in DiT_S_2().parameters())
    32963360
    """
    return DiT(width=384, depth=12, heads=6, num_classes=num_classes)


def DiT_B_2(num_classes: int | None = 1000) -> DiT:  # noqa: N802 (the name of the paper)
    """DiT-B/2: 12 blocks of width 768."""
    return DiT(width=768, depth=12, heads=12, num_classes=num_classes)


def DiT_L_2(num_classes: int | None = 1000) -> DiT:  # noqa: N802 (the name of the paper)
    """DiT-L/2: 24 blocks of width 1024."""
    return DiT(width=1024, depth=24, heads=16, num_classes=num_classes)


def DiT_XL_2(num_classes: int | None = 1000) -> DiT:  # noqa: N802 (the name of the paper)
    """DiT-XL/2: 28 blocks of width 1152."""
    return DiT(width=1152, depth=28, heads=16, num_classes=num_classes)


# ------------------------------------------------------------------------------ the recipe


@dataclass(frozen=True)
class Config(Recipe):
    """The recipe for handwritten digits, with their classes."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    timesteps: int = option(1000, "T, the number of steps from data to noise", most=100_000)
    target: str = option("v", "prediction of the network", choices=(*targets.TARGETS,))
    epochs: int = option(8, "number of passes over the images", least=0)
    batch_size: int = option(64, "number of images per step")
    learning_rate: float = option(1e-3, "learning rate of Adam at its peak")
    patch_size: int = option(4, "height and width of a patch, of 28")
    width: int = option(128, "width of the vectors of the patches")
    depth: int = option(6, "number of blocks")
    heads: int = option(4, "number of heads of the attention")

    def __post_init__(self) -> None:
        super().__post_init__()
        with nn.no_init():
            build(self)  # whose sizes must fit


def build(config: Config) -> DiffusionModel:
    """The untrained model of a config."""
    classes = CLASSES[config.dataset]
    network = DiT(28, config.patch_size, 1, 1, config.width, config.depth, config.heads, classes)
    return config.model_of(network, classes, clip=1.0)


def train(config: Config, run: Run) -> None:
    """Train on digits, and draw noising, denoising and samples."""
    train_set, test_set = mnist_like.load(config.dataset)
    tg.manual_seed(config.seed)
    fit(build(config), config, run, train_set, test_set[:2000])


def restore(folder: str | Path) -> DiffusionModel:
    """Return the trained model of a run, with the averaged weights."""
    return restored(folder, Config, build, load_averaged).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on two images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    return graph(build(config), *mnist_like.load("mnist_small").train[:2])

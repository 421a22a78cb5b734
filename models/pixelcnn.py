"""PixelCNN: an image drawn pixel by pixel (van den Oord et al. 2016a, 2016b).

**The model.** Read an image like a text: row by row, each row from the left. The chain rule makes a
distribution over images of one conditional distribution per pixel,

    p(x) = Π_i p(x_i | x_1, …, x_{i−1}).

This is exact, not a bound. A pixel has one of K values, so a network with K logits per pixel
computes all factors at once, provided that the logits at i do not depend on x_i or later pixels.
The loss is −ln p(x) in nats, a sum of cross-entropies: every pixel of an image is a training
example. Pixels are one-hot vectors, so their values need no order: the same network models black
and white pixels (K = 2) and the codes of a VQ-VAE (K = 64).

**Masks** (2016a, "Pixel Recurrent Neural Networks", section 3). A window of k × k pixels covers all
directions. So the weights of later pixels are set to 0, and in the first layer also the weight of
the pixel itself (*mask A*). The other layers may use their own position (*mask B*), since their
input at i does not depend on x_i.

    1 1 1 1 1
    1 1 1 1 1
    1 1 A 0 0     A = 0, B = 1
    0 0 0 0 0
    0 0 0 0 0

This has a **blind spot**: a 3 × 3 window reaches one column to the right for each row up, so pixels
further to the right than up have no influence, for any depth of the network.

**Two stacks** remove it (2016b, "Conditional Image Generation with PixelCNN Decoders", section
2.2). A *vertical* stack sees the rows above i in their whole width. A *horizontal* stack sees the
pixels on the left of i in its row, and the output of the vertical stack at i; the vertical stack
does not see the horizontal one. No masks are needed: the image is shifted, down by a row for the
one, to the right by a column for the other, and then all windows end at their own pixel.

        vertical v          horizontal h          each layer, with windows k = 3:

        ■ ■ ■ ■ ■           · · · · ·             a ← V ∗ v                        2 × 3
        ■ ■ ■ ■ ■           · · · · ·             v ← v + gate(a)
        · · i · ·           ■ ■ i · ·             h ← h + U gate(H ∗ h + L a)      1 × 2

**Gates** (equations 2 and 4): half of the channels are content, and the other half scale it,
gate(a) = tanh(a₁) ⊙ σ(a₂). A class y enters as a bias, a + b_y.

**Two changes to the paper.** v also has residual connections, not only h, and learns faster. And
the rows of the vertical windows are 1, 2, 4, 1, 2, 4, … apart (dilation), so that for the same cost
eight layers see 21 rows up instead of 12. A network that sees 12 rows cannot know that a digit is
complete, and often begins another one at the bottom.

**Sampling** completes an empty image, pixel by pixel, each drawn given those before it. The
vertical stack depends only on the rows above, so it is computed once per row, and the horizontal
stack once per pixel, in that row.

**In numbers**, for `train pixelcnn --dataset mnist --epochs 1`: 100 nats after 4,000 images, 94
after 8,000, 89.7 after 12,800, 86.3 after 30,000, and 83.7 on the test images after all 60,000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .parts import mnist_like
from .parts.batches import batches
from .parts.classes import check_class

TRAINING_TIME = "about 3 minutes on two cores"
NETWORKS = ("gated", "masked")
FIRST = 7  # kernel size of the first layer
ROWS_APART = (1, 2, 4)  # dilations of the vertical stack for digits: 8 layers see 21 rows up


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for the 9,000 images of `mnist_small`."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    images: int = option(60_000, "maximum number of training images")
    network: str = option(
        "gated", "network of two gated stacks, or of masked convolutions alone", choices=NETWORKS
    )
    conditional: bool = option(False, "condition the gated network on the class")
    channels: int = option(24, "number of channels of the hidden layers")
    layers: int = option(8, "number of layers after the first", most=1000)
    epochs: int = option(2, "number of passes over the training images", least=0)
    batch_size: int = option(16, "number of images per step")
    learning_rate: float = option(5e-3, "learning rate of Adam at its peak")
    seed: int = option(0, "seed of the weights, the batches and the pixels", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.conditional and self.network != "gated":
            raise ValueError("pixelcnn: only the gated network can be conditional")


class MaskedConv2d(nn.Conv2d):
    """A k × k convolution that keeps the size of images and sees earlier pixels only.

    Args:
        in_channels, out_channels: as in `nn.Conv2d`.
        kernel_size: k, odd.
        itself: whether it also sees its own pixel (mask B) or not (mask A).

    >>> MaskedConv2d(1, 1, 3, itself=False).mask[0, 0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    mask: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, itself: bool
    ) -> None:
        _check_odd(self, kernel_size)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        before = kernel_size * (kernel_size // 2) + kernel_size // 2 + itself
        mask = (tg.arange(kernel_size**2) < before).astype(self.weight.dtype)
        mask = mask.reshape(1, 1, kernel_size, kernel_size)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class MaskedPixelCNN(nn.Module):
    """Masked convolutions with residual connections; it has the blind spot.

    Args:
        categories: K, the number of values of a pixel.
        channels: number of channels of the hidden layers.
        layers: number of layers after the first, with mask B.
        kernel: their kernel size.

    >>> model = MaskedPixelCNN(categories=2, channels=8, layers=2)
    >>> model(tg.zeros((5, 28, 28), dtype=tg.int64)).shape
    (5, 2, 28, 28)
    """

    def __init__(self, categories: int, channels: int, layers: int, kernel: int = 3) -> None:
        super().__init__()
        self.categories, self.classes, self.depth = categories, 0, layers
        self.reach = FIRST // 2 + layers * (kernel // 2)
        self.first = MaskedConv2d(categories, channels, FIRST, itself=False)
        self.layers = nn.ModuleList(
            MaskedConv2d(channels, channels, kernel, itself=True) for _ in range(layers)
        )
        self.head = _head(channels, categories)

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, H, W), integers in [0, K), → logits (N, K, H, W)."""
        return self.logits(planes(images, self.categories), label)

    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """One-hot images (N, K, H, W) → logits (N, K, H, W)."""
        _check_label(self, label)
        h = self.first(x)
        for layer in self.layers:
            h = h + layer(F.relu(h))
        found: Tensor = self.head(h)
        return found

    def row(
        self, images: Tensor, i: int, label: Tensor | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Return a function of images that computes the logits (N, K, W) of their row i.

        The rows above must be those of `images`; pixels of row i may have been drawn since.
        """
        start = max(0, i - self.reach)
        return lambda images: self(images[:, start : i + 1], label)[:, :, -1]


class CausalConv2d(nn.Conv2d):
    """A convolution that keeps the size of images, with windows that end at their own pixel.

    The *vertical* one sees its own row and k//2 rows above, k//2 columns on either side; the
    *horizontal* one its own row, its own column and k//2 columns on the left.

    Args:
        in_channels, out_channels: as in `nn.Conv2d`.
        kernel_size: k, odd.
        vertical: vertical or horizontal.
        apart: distance between the rows of a vertical window (dilation).
        classes: number of classes, each with its own bias; 0: none.

    >>> CausalConv2d(1, 1, 3, vertical=True).weight.shape[2:]
    (2, 3)
    >>> CausalConv2d(1, 1, 3, vertical=False).weight.shape[2:]
    (1, 2)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        vertical: bool,
        apart: int = 1,
        classes: int = 0,
    ) -> None:
        _check_odd(self, kernel_size)
        half = kernel_size // 2
        size = (half + 1, kernel_size) if vertical else (1, half + 1)
        super().__init__(in_channels, out_channels, size, dilation=(apart, 1))
        self.margins = ((apart * half, 0), (half, half)) if vertical else ((0, 0), (half, 0))
        self.class_bias = nn.Embedding(classes, out_channels) if classes else None

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        how = self.stride, self.margins, self.dilation
        out = tg.conv(x, self.weight, self.bias, *how)
        if self.class_bias is not None:
            out = out + self.class_bias(label)[:, :, None, None]
        return out


class VerticalLayer(nn.Module):
    """v → (v of the next layer, input of the horizontal stack)."""

    def __init__(self, channels: int, kernel: int, classes: int, apart: int) -> None:
        super().__init__()
        width = 2 * channels
        self.conv = CausalConv2d(
            channels, width, kernel, vertical=True, apart=apart, classes=classes
        )
        self.link = nn.Conv2d(width, width, 1)

    def forward(self, v: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        a = self.conv(v, label)
        return v + gate(a), self.link(a)


class HorizontalLayer(nn.Module):
    """h and the output of the vertical stack → h of the next layer."""

    def __init__(self, channels: int, kernel: int, classes: int) -> None:
        super().__init__()
        width = 2 * channels
        self.conv = CausalConv2d(channels, width, kernel, vertical=False, classes=classes)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h: Tensor, linked: Tensor, label: Tensor | None) -> Tensor:
        grown: Tensor = h + self.out(gate(self.conv(h, label) + linked))
        return grown


class GatedPixelCNN(nn.Module):
    """The two stacks, without a blind spot.

    Args:
        categories, channels, layers, kernel: as in `MaskedPixelCNN`.
        classes: number of classes; 0: none.
        apart: distances between the rows of the vertical windows, one per layer, repeated as
            needed. (1, 2, 4) sees 7 rows up, (1, 1, 1) sees 3.

    >>> model = GatedPixelCNN(categories=64, channels=8, layers=2, classes=10)
    >>> model(tg.zeros((5, 7, 7), dtype=tg.int64), tg.arange(5)).shape
    (5, 64, 7, 7)
    """

    def __init__(
        self,
        categories: int,
        channels: int,
        layers: int,
        kernel: int = 3,
        classes: int = 0,
        apart: Sequence[int] = (1,),
    ) -> None:
        super().__init__()
        self.categories, self.classes, self.depth = categories, classes, layers
        sizes, distances = (channels, kernel, classes), [*islice(cycle(apart), layers)]
        self.reach = 1 + FIRST // 2 + sum(distances) * (kernel // 2)
        self.first_vertical = CausalConv2d(categories, channels, FIRST, vertical=True)
        self.vertical = nn.ModuleList(VerticalLayer(*sizes, distance) for distance in distances)
        self.first_horizontal = CausalConv2d(categories, channels, FIRST, vertical=False)
        self.horizontal = nn.ModuleList(HorizontalLayer(*sizes) for _ in range(layers))
        self.head = _head(channels, categories)

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, H, W), integers in [0, K), and any labels (N,) → logits (N, K, H, W)."""
        return self.logits(planes(images, self.categories), label)

    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """One-hot images (N, K, H, W) and any labels (N,) → logits (N, K, H, W)."""
        return self.left(x, self.above(x, label), label)

    def above(self, x: Tensor, label: Tensor | None) -> list[Tensor]:
        """The outputs of the vertical stack for the horizontal one, one per layer."""
        _check_label(self, label)
        v, found = self.first_vertical(F.pad(x, (0, 0, 1, -1))), []  # shifted down
        for layer in self.vertical:
            v, linked = layer(v, label)
            found.append(linked)
        return found

    def left(self, x: Tensor, above: list[Tensor], label: Tensor | None) -> Tensor:
        """The horizontal stack, and the logits."""
        h = self.first_horizontal(F.pad(x, (1, -1, 0, 0)))  # shifted to the right
        for layer, linked in zip(self.horizontal, above, strict=True):
            h = layer(h, linked, label)
        logits: Tensor = self.head(h)
        return logits

    def row(
        self, images: Tensor, i: int, label: Tensor | None = None
    ) -> Callable[[Tensor], Tensor]:
        """As `MaskedPixelCNN.row`."""
        seen = images[:, max(0, i - self.reach) : i + 1]
        above = [part[:, :, -1:] for part in self.above(planes(seen, self.categories), label)]
        return lambda images: self.left(
            planes(images[:, i : i + 1], self.categories), above, label
        )[:, :, 0]


PixelCNN = MaskedPixelCNN | GatedPixelCNN


def planes(images: Tensor, categories: int) -> Tensor:
    """Integers (N, H, W) → one-hot (N, K, H, W)."""
    if images.ndim != 3:
        raise ValueError(f"PixelCNN: expected images (N, H, W); got {images.shape}")
    hot = tg.one_hot(images, categories, dtype=tg.float32)
    return tg.permute_dims(hot, (0, 3, 1, 2))


def gate(a: Tensor) -> Tensor:
    """tanh(a₁) ⊙ σ(a₂) of the two halves (N, C, H, W) of a."""
    content, openness = tg.split(a, 2, axis=1)
    return tg.tanh(content) * tg.sigmoid(openness)


def negative_log_likelihood(model: PixelCNN, images: Tensor, label: Tensor | None = None) -> Tensor:
    """−ln p(x) in nats of each of the images (N, H, W), integers, given any labels (N,)."""
    return F.cross_entropy(model(images, label), images, reduction="none").sum(axis=(1, 2))


@tg.no_grad()
def complete(
    model: PixelCNN, images: Tensor, generator: Generator, label: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the unknown pixels of images, each given all before it.

    Args:
        model: one of the networks.
        images: integers (N, H, W), −1 for an unknown pixel. Known pixels after an unknown one are
            kept, but have no influence on it.
        generator: random generator of the pixels.
        label: classes (N,), if the model has any.

    Returns:
        The images, and Σ ln p over the drawn pixels, (N,).
    """
    wanted, images = images < 0, tg.maximum(images, 0)
    log_p = tg.zeros(len(images))
    for i in range(images.shape[1]):
        if not wanted[:, i].any():
            continue
        logits = model.row(images, i, label)
        for j in range(images.shape[2]):
            log_q = F.log_softmax(logits(images)[:, :, j], axis=1)
            u = tg.rand((len(images), 1), generator=generator)
            drawn = tg.sum(tg.cumulative_sum(tg.exp(log_q), axis=1)[:, :-1] <= u, axis=1)
            images[:, i, j] = tg.where(wanted[:, i, j], drawn, images[:, i, j])
            taken = tg.take_along_axis(log_q, images[:, i, j][:, None], axis=1)[:, 0]
            log_p += wanted[:, i, j] * taken
    return images, log_p


def draw(
    model: PixelCNN,
    count: int,
    size: tuple[int, int],
    generator: Generator,
    label: Tensor | None = None,
) -> Tensor:
    """New images (count, *size), integers in [0, K).

    >>> draw(GatedPixelCNN(64, 8, 2), 3, (7, 7), Generator(0)).shape
    (3, 7, 7)
    """
    nothing = tg.full((count, *size), -1)
    return complete(model, nothing, generator, label)[0]


def binarise(images: Tensor, generator: Generator) -> Tensor:
    """Grey images (N, 1, 28, 28) → black and white (N, 28, 28): grey is the probability of a 1."""
    return mnist_like.binarise("pixelcnn", images, generator)[:, 0].astype(tg.int64)


@tg.no_grad()
def evaluate(model: PixelCNN, images: Tensor, labels: Tensor, generator: Generator) -> float:
    """−ln p(x) in nats per image, of one binarisation of grey images (N, 1, H, W)."""
    total = 0.0
    for some, label in batches(binarise(images, generator), labels, size=100):
        nats = negative_log_likelihood(model, some, label if model.classes else None)
        total += nats.sum().item()
    return total / len(images)


@tg.no_grad()
def sample(
    model: PixelCNN, count: int, generator: Generator, *, label: int | None = None
) -> Tensor:
    """New images (count, 1, 28, 28), black and white, of a model with K = 2.

    A conditional model draws the class `label`, or a random class for each image. Raises ValueError
    for a class that the model does not have.
    """
    check_class(label, model.classes)
    labels = None
    if label is not None:
        labels = tg.full((count,), label)
    elif model.classes:
        labels = tg.randint(0, model.classes, (count,), generator=generator)
    return draw(model, count, (28, 28), generator, labels)[:, None].astype(tg.float32)


def build(config: Config) -> PixelCNN:
    """The untrained network of a config, for black and white pixels."""
    sizes = config.channels, config.layers
    if config.network == "masked":
        return MaskedPixelCNN(2, *sizes)
    classes = 10 if config.conditional else 0
    return GatedPixelCNN(2, *sizes, classes=classes, apart=ROWS_APART)


def train(config: Config, run: Run) -> None:
    """Train on black and white digits, and draw samples, completions and receptive fields.

    The training images are binarised at each use, the test images once, with the same draw for
    every seed. (Figures in papers use the draw of Larochelle and Murray 2011.)
    """
    from .gallery import pixelcnn as gallery
    from .gallery.sheets import write_learning_curve

    tg.manual_seed(config.seed)
    split = mnist_like.load(config.dataset, config.images)
    model = build(config)
    loader = data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed)
    steps = max(config.epochs, 1) * len(loader)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    unseen, labels = split.test.tensors

    def loss(batch: tuple[Tensor, Tensor], generator: Generator) -> Tensor:
        images, labels = batch
        label = labels if model.classes else None
        return negative_log_likelihood(model, binarise(images, generator), label).mean()

    run.fit(
        model,
        optimizer,
        loss,
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=steps, pct_start=0.1
        ),
        clip_norm=100.0,
        on_epoch=lambda epoch: {"test_loss": evaluate(model, unseen, labels, Generator(0))},
        sample=lambda generator: sample(model, 36, generator),
        sample_every=max(100, steps // 12),
        checkpoint_every=500,
    )
    with run.drawing():
        gallery.write_pictures(model, unseen, labels, run.folder)
        if run.step:
            write_learning_curve(run.folder, config.batch_size)


def restore(folder: str | Path) -> PixelCNN:
    """Return the trained model of a run."""
    return restored(folder, Config, build).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model of one layer on 2 images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    images, labels = data.mnist_small().train[:2]
    model = build(replace(config, layers=1))
    pixels = binarise(images, tg.default_generator())
    x = planes(pixels, 2)
    logits = model.logits(x, labels if model.classes else None)
    loss = F.cross_entropy(logits, pixels, reduction="sum") / len(pixels)
    named = {"x": x, "pixels": pixels, "logits": logits, "−ln p(x)": loss}
    return loss, {**named, **dict(model.named_parameters())}


def _check_odd(layer: nn.Module, kernel_size: int) -> None:
    if kernel_size % 2 == 0:
        raise ValueError(f"{type(layer).__name__}: kernel_size is {kernel_size}; it must be odd")


def _check_label(model: PixelCNN, label: Tensor | None) -> None:
    if (label is None) == (model.classes > 0):
        wants = f"labels of {model.classes} classes" if model.classes else "no labels"
        got = "none" if label is None else f"labels {label.shape}"
        raise ValueError(f"{type(model).__name__}: expected {wants}; got {got}")


def _head(channels: int, categories: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, categories, 1)
    )

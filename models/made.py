"""MADE: an autoencoder whose masks make it a distribution (Germain et al. 2015).

**The model.** The chain rule makes a distribution over images of D black or white pixels of one
conditional distribution per pixel,

    p(x) = Π_d p(x_d | x_1, …, x_{d−1}).

An autoencoder has one output per pixel. If output d depends on the pixels before d only, it can be
the logit of p(x_d = 1 | …), and one forward pass gives the exact likelihood. The loss −ln p(x) is
the sum of binary cross-entropies that an autoencoder is trained with anyway.

**Masks** ("MADE: Masked Autoencoder for Distribution Estimation", section 3) remove all other
paths. Each unit has a degree m: pixel d its place in the order, 1 … D, and a hidden unit a random
number in 1 … D − 1, which says that it may depend on the pixels up to m. So a weight is kept

    into a hidden unit    if m(after) ≥ m(before)
    into an output        if m(after) > m(before)

and multiplied by 0 otherwise (equations 8 and 9, with 12 and 13 for several hidden layers). A path
from pixel d′ through hidden units to output d then has m(d′) ≤ … < m(d): only earlier pixels.

    h = ReLU((W ⊙ M) x + b)         M = 1[m(k) ≥ m(d)]
    z = (V ⊙ N) h + c               N = 1[m(d) > m(k)]

With several layers the degrees of a layer are drawn from the smallest one of the layer before it,
so that no unit is without inputs.

**Orders** (section 4.1). The order of the pixels is free: row by row, or random. One network can
also be trained with several masks in turn, each of its own order and degrees, which is like dropout
for connections. It is then a mixture, p(x) = 1/O Σ_o p_o(x).

**Sampling** takes a pass per pixel, but each needs little: a drawn pixel adds one column of W to
the sums of the first layer, and the next pixel is one row of V. For one hidden layer of K units the
whole image costs what two ordinary passes do, as in NADE (Larochelle and Murray 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .parts import mnist_like
from .parts.batches import batches

TRAINING_TIME = "about 30 seconds on two cores"
ORDERS = ("shuffled", "rows")
SIDE = 28


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for the 9,000 images of `mnist_small`."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    images: int = option(60_000, "maximum number of training images")
    hidden_dim: int = option(500, "number of units of a hidden layer")
    hidden_layers: int = option(1, "number of hidden layers", most=100)
    order: str = option("shuffled", "order of the pixels: random, or row by row", choices=ORDERS)
    orders: int = option(1, "number of masks that are trained in turn", most=1000)
    epochs: int = option(20, "number of passes over the training images", least=0)
    batch_size: int = option(100, "number of images per step")
    learning_rate: float = option(1e-2, "learning rate of Adam at its peak")
    seed: int = option(0, "seed of the weights, the masks, the batches and the pixels", least=0)

    def __post_init__(self) -> None:
        check(self)


class MaskedLinear(nn.Linear):
    """y = x (W ⊙ M)ᵀ + b, with a mask M (out_features, in_features) for each call; None: all ones.

    >>> layer, x = MaskedLinear(3, 2), tg.ones((1, 3))
    >>> (layer(x, tg.zeros((2, 3), dtype=bool)) == layer.bias).all().item()
    True
    """

    bias: nn.Parameter

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.linear(x, self.weight if mask is None else self.weight * mask, self.bias)


class MADE(nn.Module):
    """The masked autoencoder.

    Args:
        pixels: D, at least 2.
        hidden: numbers of units of the hidden layers, at least one.
        orders: number of masks.
        shuffle: whether each mask has its own random order of the pixels; otherwise 1, 2, … D.

    The degrees of the units are buffers: `degrees0`, (orders, D), are the places of the pixels in
    the order, 1 … D, and `degrees1`, … are those of the hidden layers. Raises ValueError for fewer
    pixels or layers.

    >>> model = MADE()
    >>> sum(parameter.size for parameter in model.parameters())
    785284
    >>> model(tg.zeros((5, 784))).shape
    (5, 784)
    """

    def __init__(
        self,
        pixels: int = SIDE * SIDE,
        hidden: Sequence[int] = (500,),
        orders: int = 1,
        shuffle: bool = False,
    ) -> None:
        super().__init__()
        if pixels < 2 or not hidden:
            raise ValueError(
                f"MADE: expected at least 2 pixels and 1 hidden layer; got {pixels} pixels and "
                f"{len(hidden)} hidden layers"
            )
        self.pixels, self.orders = pixels, orders
        self.first = MaskedLinear(pixels, hidden[0])
        self.inner = nn.ModuleList(MaskedLinear(*sizes) for sizes in pairwise(hidden))
        self.out = MaskedLinear(hidden[-1], pixels)
        drawn = [_degrees(pixels, hidden, shuffle) for _ in range(orders)]
        for layer, degrees in enumerate(zip(*drawn, strict=True)):
            self.register_buffer(f"degrees{layer}", tg.stack(degrees))

    def degrees(self, order: int = 0) -> list[Tensor]:
        """The degrees of the pixels, (D,), and of the units of each hidden layer."""
        return [getattr(self, f"degrees{layer}")[order] for layer in range(len(self.inner) + 2)]

    def masks(self, order: int = 0) -> list[Tensor]:
        """The mask of each layer, (after, before): True for a weight that is kept."""
        degrees = self.degrees(order)
        inner = [after[:, None] >= before for before, after in pairwise(degrees)]
        return [*inner, degrees[0][:, None] > degrees[-1]]

    def forward(self, x: Tensor, order: int = 0) -> Tensor:
        """Images (N, D) of zeros and ones → logits of their pixels (N, D), by one of the masks."""
        first, *inner, last = self.masks(order)
        h = F.relu(self.first(x, first))
        for layer, mask in zip(self.inner, inner, strict=True):
            h = F.relu(layer(h, mask))
        logits: Tensor = self.out(h, last)
        return logits


def _degrees(pixels: int, hidden: Sequence[int], shuffle: bool) -> list[Tensor]:
    """The degrees of a mask: of the pixels, and random ones of each hidden layer."""
    found = [1 + (tg.randperm(pixels) if shuffle else tg.arange(pixels))]
    for size in hidden:
        found.append(tg.randint(int(found[-1].min()), pixels, (size,)))
    return found


def negative_log_likelihood(model: MADE, x: Tensor, order: int | None = None) -> Tensor:
    """−ln p(x) in nats of each of the images (N, D), by one of the masks; None: by the mixture."""
    if order is not None:
        logits = model(x, order)
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(axis=1)
    nats = [negative_log_likelihood(model, x, order) for order in range(model.orders)]
    return math.log(model.orders) - tg.logsumexp(-tg.stack(nats), axis=0)


@tg.no_grad()
def complete(model: MADE, x: Tensor, generator: Generator, order: int = 0) -> tuple[Tensor, Tensor]:
    """Draw the unknown pixels of images, each given all before it in the order.

    Args:
        model: the network.
        x: images (N, D) of zeros and ones, −1 for an unknown pixel. Known pixels after an unknown
            one are kept, but have no influence on it.
        generator: random generator of the pixels.
        order: number of the mask.

    Returns:
        The images, and Σ ln p over the drawn pixels, (N,).
    """
    unknown, x = x < 0, tg.maximum(x, 0)
    log_p = tg.zeros(len(x), dtype=x.dtype)
    first, *inner, last = model.masks(order)
    columns = (model.first.weight * first).T
    rows = model.out.weight * last
    sums = model.first.bias + tg.zeros((len(x), 1), dtype=x.dtype)  # of the pixels so far
    for pixel in tg.argsort(model.degrees(order)[0]).tolist():
        h = F.relu(sums)
        for layer, mask in zip(model.inner, inner, strict=True):
            h = F.relu(layer(h, mask))
        if unknown[:, pixel].any():
            logit = h @ rows[pixel] + model.out.bias[pixel]
            drawn = tg.bernoulli(tg.sigmoid(logit), generator=generator)
            x[:, pixel] = tg.where(unknown[:, pixel], drawn, x[:, pixel])
            log_q = F.logsigmoid(tg.where(x[:, pixel] > 0, logit, -logit))
            log_p += unknown[:, pixel] * log_q
        sums += x[:, pixel, None] * columns[pixel]
    return x, log_p


def binarise(images: Tensor, generator: Generator) -> Tensor:
    """Grey images (N, 1, 28, 28) → black and white (N, 784): grey is the probability of a 1."""
    return mnist_like.binarise("made", images, generator).reshape(len(images), -1)


@tg.no_grad()
def evaluate(model: MADE, images: Tensor, generator: Generator) -> float:
    """−ln p(x) in nats per image, of one binarisation of grey images (N, 1, 28, 28)."""
    total = 0.0
    for (some,) in batches(binarise(images, generator)):
        total += negative_log_likelihood(model, some).sum().item()
    return total / len(images)


@tg.no_grad()
def sample(model: MADE, count: int, generator: Generator) -> Tensor:
    """New images (count, 1, 28, 28), black and white, each by a random one of the masks."""
    chosen = tg.randint(0, model.orders, (count,), generator=generator)
    images = tg.full((count, model.pixels), -1.0)
    for order in sorted(set(chosen.tolist())):
        images[chosen == order], _ = complete(model, images[chosen == order], generator, order)
    return images.reshape(count, 1, SIDE, SIDE)


def build(config: Config) -> MADE:
    """The untrained network of a config."""
    hidden = [config.hidden_dim] * config.hidden_layers
    return MADE(SIDE * SIDE, hidden, config.orders, config.order == "shuffled")


def train(config: Config, run: Run) -> None:
    """Train on black and white digits, and draw samples, completions, masks and weights.

    The training images are binarised at each use, the test images once, with the same draw for
    every seed: that of the PixelCNN.
    """
    from .gallery import made as gallery
    from .gallery.sheets import write_learning_curve

    tg.manual_seed(config.seed)
    split = mnist_like.load(config.dataset, config.images)
    model = build(config)
    loader = data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed)
    steps = max(config.epochs, 1) * len(loader)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    unseen, _ = split.test.tensors

    def loss(batch: tuple[Tensor, Tensor], generator: Generator) -> Tensor:
        x = binarise(batch[0], generator)
        return negative_log_likelihood(model, x, run.step % model.orders).mean()

    run.fit(
        model,
        optimizer,
        loss,
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=steps, pct_start=0.1
        ),
        on_epoch=lambda epoch: {"test_loss": evaluate(model, unseen, Generator(0))},
        sample=lambda generator: sample(model, 36, generator),
    )
    with run.drawing():
        gallery.write_pictures(model, unseen, run.folder)
        if run.step:
            write_learning_curve(run.folder, config.batch_size)


def restore(folder: str | Path) -> MADE:
    """Return the trained model of a run."""
    return restored(folder, Config, build).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 16 images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    images, _ = data.mnist_small().train[:16]
    model = build(config)
    x = binarise(images, tg.default_generator())
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return loss, {"x": x, "logits": logits, "−ln p(x)": loss, **dict(model.named_parameters())}

"""The vector-quantised variational autoencoder (van den Oord et al. 2017, arXiv 1711.00937).

**The model.** The latent code of an image is not a vector of real numbers but a small map of
integers, here 7 × 7 in 0 … K−1. Each is the index of one of K vectors e_k, the *codebook*. The
encoder computes a vector z_e at each position, which is replaced by the nearest entry (eq. 1, 2),

    k* = argmin_k ‖z_e − e_k‖²,   z_q = e_k*,

and the decoder computes the image from the map of z_q. In the terms of `vae.py`, q(k|x) is one-hot,
and with a uniform p(k) the KL term of the ELBO is ln K at every position, independent of the
weights: only the reconstruction is learned. The prior is learned afterwards, see below.

**The straight-through estimator** (Bengio et al. 2013, arXiv 1308.3432). The argmin is piecewise
constant: its derivative is 0, so no gradient would reach the encoder. Therefore the decoder's
gradient is copied: forward z_q = e_k*, backward ∂L/∂z_e := ∂L/∂z_q, as if z_q were z_e, to which it
is close. Stopping gradients alone cannot do this: sg[x], x with the derivative 0, only removes
paths, and with z_q = sg[e_k*] none is left. A term with value 0 and derivative 1 adds one:

    z_q = sg[e_k*] + (z_e − sg[z_e]).

**The loss** (eq. 3) has a part for each of the three. In it sg determines which side moves.

    L = ‖x − x̂(z_q)‖²  +  ‖sg[z_e] − e‖²  +  β ‖z_e − sg[e]‖²
        decoder, encoder    codebook           encoder: *commitment*

Each is a mean, over pixels or over the numbers in z_e. The first has no gradient for the codebook,
since z_q contains the entries within an sg.

**The codebook as a running mean** (appendix A.1) can replace the second part. The best e_k is the
mean of the z_e assigned to it, as in k-means. So count and sum them, with a decay γ:

    N_k ← γ N_k + (1−γ) n_k,   m_k ← γ m_k + (1−γ) Σ z_e,   e_k = m_k / N_k.

In the denominator N_k is smoothed (Laplace), (N_k + ε) · n / (n + K ε) with n = Σ N_k: no count is
0, and the sum is the same.

**Dead codes.** An unused entry gets no gradient and no mean: it never moves, and is never used
again. Entries used less than once a batch (N_k < 1) are reset to random z_e of the batch (Dhariwal
et al. 2020, "Jukebox", arXiv 2005.00341, section 3.1). In the first step these are all entries, so
the codebook starts among the z_e. The *perplexity*, exp of the entropy of the code frequencies, is
the effective number of codes in use.

**The prior.** Uniformly drawn codes decode to scribbles. So a `pixelcnn.GatedPixelCNN` learns p(k)
of the maps of the training images, each code given those before it and the digit. A sample is a
decoded map drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored

from . import pixelcnn
from .parts import batches, mnist_like
from .parts.classes import check_class

TRAINING_TIME = "about 4 minutes on two cores"


@dataclass(frozen=True)
class Config:
    """The recipe of both trainings."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    codebook: str = option(
        "ema", "update of the codebook, by moving averages or by a loss", choices=("ema", "loss")
    )
    codes: int = option(64, "K, the number of entries of the codebook")
    code_dim: int = option(16, "length of an entry of the codebook")
    channels: int = option(32, "number of channels of the first convolution")
    commitment: float = option(0.25, "weight β of the commitment loss")
    epochs: int = option(10, "number of passes over the training images", least=0)
    batch_size: int = option(128, "number of images per step, in both trainings")
    learning_rate: float = option(2e-3, "learning rate of Adam")
    conditional: bool = option(True, "condition the prior on the class")
    prior_channels: int = option(48, "number of channels of the prior's hidden layers")
    prior_layers: int = option(6, "number of layers of the prior", most=1000)
    prior_epochs: int = option(
        15, "number of passes over the codes in the training of the prior", least=0
    )
    prior_learning_rate: float = option(
        3e-3, "learning rate of Adam at its peak, in the training of the prior"
    )
    seed: int = option(0, "seed of the weights, the batches and the restarts", least=0)


class VectorQuantizer(nn.Module):
    """A codebook of K vectors, which follows the vectors z_e that are looked up in it.

    Args:
        codes: K.
        dim: the length D of the vectors.
        learned: the codebook is a parameter, learned by a loss; otherwise a running mean.
        decay: γ of the running means.

    Shapes: `codebook` and `sum` (K, D), `count` (K,).

    Raises ValueError for an empty codebook, and for z of another shape.

    >>> quantizer = VectorQuantizer(codes=2, dim=1)
    >>> _ = quantizer.codebook.copy_([[0.0], [1.0]])
    >>> codes = quantizer.nearest(tg.tensor([0.4, 0.6, 0.5]).reshape(1, 1, 1, 3))
    >>> codes.tolist(), quantizer.lookup(codes).shape
    ([[[0, 1, 0]]], (1, 1, 1, 3))
    """

    codebook: Tensor
    count: Tensor
    sum: Tensor

    def __init__(self, codes: int, dim: int, *, learned: bool = False, decay: float = 0.99) -> None:
        super().__init__()
        if min(codes, dim) < 1:
            raise ValueError(f"VectorQuantizer: a codebook of {codes} × {dim} numbers is empty")
        self.codes, self.dim, self.learned, self.decay = codes, dim, learned, decay
        if learned:
            self.codebook = nn.Parameter(tg.zeros((codes, dim)))
        else:
            self.register_buffer("codebook", tg.zeros((codes, dim)))
        self.register_buffer("count", tg.zeros(codes))
        self.register_buffer("sum", tg.zeros((codes, dim)))

    @tg.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """Vectors (N, D, H, W) → indices of the nearest entries (N, H, W), the first of equals."""
        # ‖z − e‖² = ‖z‖² − 2 z·e + ‖e‖²: one matrix product instead of K differences for each z.
        # In float64, since its terms cancel if z and e are close to each other and far from 0.
        rows, entries = self._rows(z).astype(tg.float64), self.codebook.astype(tg.float64)
        squares = tg.sum(rows * rows, axis=1, keepdims=True), tg.sum(entries * entries, axis=1)
        distances = squares[0] - 2 * (rows @ entries.T) + squares[1]
        return tg.argmin(distances, axis=1).reshape(len(z), *z.shape[2:])

    def lookup(self, codes: Tensor) -> Tensor:
        """Indices of entries (N, H, W) → the entries (N, D, H, W)."""
        return tg.permute_dims(F.embedding(codes, self.codebook), (0, 3, 1, 2))

    @tg.no_grad()
    def restart(self, z: Tensor, generator: Generator) -> None:
        """Reset the entries used less than once a batch to random vectors of this batch."""
        rows = self._rows(z)
        drawn = rows[generator.integers(0, len(rows), (self.codes,))]
        dead = self.count < 1
        self.codebook.copy_(tg.where(dead[:, None], drawn, self.codebook))
        self.sum.copy_(tg.where(dead[:, None], drawn, self.sum))
        self.count.copy_(tg.where(dead, 1.0, self.count))

    @tg.no_grad()
    def follow(self, z: Tensor, codes: Tensor, eps: float = 1e-5) -> None:
        """Update the counts, and a codebook that is not learned by a loss to the running means."""
        chosen = tg.one_hot(codes.reshape(-1), self.codes, z.dtype)
        self.count.copy_(self.decay * self.count + (1 - self.decay) * tg.sum(chosen, axis=0))
        if not self.learned:
            self.sum.copy_(self.decay * self.sum + (1 - self.decay) * (chosen.T @ self._rows(z)))
            self.codebook.copy_(self.sum / self.smoothed(eps)[:, None])

    def smoothed(self, eps: float) -> Tensor:
        """The counts plus ε, scaled to the same sum."""
        total = tg.sum(self.count)
        return (self.count + eps) * (total / (total + self.codes * eps))

    def extra_repr(self) -> str:
        """The sizes, and how the codebook is learned."""
        return f"codes={self.codes}, dim={self.dim}, learned={self.learned}, decay={self.decay}"

    def _rows(self, z: Tensor) -> Tensor:
        if z.ndim != 4 or z.shape[1] != self.dim:
            raise ValueError(
                f"VectorQuantizer: expected z of shape (N, {self.dim}, H, W); got {z.shape}"
            )
        return tg.permute_dims(z.detach(), (0, 2, 3, 1)).reshape(-1, self.dim)


def straight_through(z: Tensor, chosen: Tensor) -> Tensor:
    """The values of `chosen`, bit for bit; its gradient is passed to z unchanged.

    >>> z = tg.tensor([0.4, 0.9], requires_grad=True)
    >>> z_q = straight_through(z, tg.tensor([0.0, 1.0]))
    >>> (z_q * tg.tensor([2.0, 3.0])).sum().backward()
    >>> z_q.tolist(), z.grad.tolist()
    ([0.0, 1.0], [2.0, 3.0])
    """
    return tg.stop_gradient(chosen) + (z - tg.stop_gradient(z))


class Residual(nn.Module):
    """A residual block of a 3 × 3 and a 1 × 1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        more: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + more


class VQVAE(nn.Module):
    """Encoder (N, 1, 28, 28) → z_e (N, D, 7, 7), quantizer, and decoder z_q → (N, 1, 28, 28).

    >>> model = VQVAE(codes=8)
    >>> codes = model.encode(tg.zeros((2, 1, 28, 28)))
    >>> codes.shape, model.decode(codes).shape
    ((2, 7, 7), (2, 1, 28, 28))
    """

    def __init__(
        self, codes: int = 64, code_dim: int = 16, channels: int = 32, *, learned: bool = False
    ) -> None:
        super().__init__()
        wide = 2 * channels
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, channels, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(channels, wide, 4, stride=2, padding=1), Residual(wide), nn.ReLU()),
            nn.Conv2d(wide, code_dim, 1),
        )
        self.quantizer = VectorQuantizer(codes, code_dim, learned=learned)
        self.decoder = nn.Sequential(
            *(nn.Conv2d(code_dim, wide, 3, padding=1), Residual(wide), nn.ReLU()),
            *(nn.ConvTranspose2d(wide, channels, 4, stride=2, padding=1), nn.ReLU()),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
        )

    @tg.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images (N, 1, 28, 28) in [0, 1] → codes (N, 7, 7)."""
        mnist_like.check("vqvae", images)
        return batches.concatenated(lambda x: self.quantizer.nearest(self.encoder(x)), images)

    @tg.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, 7, 7) → images (N, 1, 28, 28) in [0, 1]."""
        decoded = batches.concatenated(lambda k: self.decoder(self.quantizer.lookup(k)), codes)
        return tg.clip(decoded, 0, 1)


def loss(
    model: VQVAE, images: Tensor, generator: Generator, commitment: float = 0.25
) -> tuple[Tensor, dict[str, Tensor]]:
    """L of images (N, 1, 28, 28), its parts, and the perplexity of the codes.

    In training mode the codebook restarts its dead entries and follows the running means.
    """
    z, quantizer = model.encoder(images), model.quantizer
    if model.training:
        quantizer.restart(z, generator)
    codes = quantizer.nearest(z)
    chosen = quantizer.lookup(codes)
    made = model.decoder(straight_through(z, chosen))
    if model.training:
        quantizer.follow(z, codes)
    total, parts = objective(images, made, z, chosen, commitment)
    return total, {**parts, "perplexity": perplexity(codes, quantizer.codes)}


def objective(
    images: Tensor, made: Tensor, z: Tensor, chosen: Tensor, commitment: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """L and its parts; the one for the codebook only if that is learned by a loss.

    Args:
        images: x.
        made: x̂, of the same shape.
        z: z_e.
        chosen: e, of the same shape.
        commitment: β.
    """
    reconstruction = F.mse_loss(made, images)
    distance = F.mse_loss(z, tg.stop_gradient(chosen))
    total = reconstruction + commitment * distance
    if chosen.requires_grad:
        total = total + F.mse_loss(chosen, tg.stop_gradient(z))
    return total, {"reconstruction": reconstruction, "distance": distance}


def perplexity(codes: Tensor, count: int) -> Tensor:
    """exp of the entropy of the frequencies of `count` codes, in [1, count].

    >>> perplexity(tg.tensor([0, 1, 2, 2, 1, 0]), 64).round(3).item()
    3.0
    """
    share = tg.bincount(codes.reshape(-1), minlength=count) / codes.size
    return tg.exp(F.entropy(share))


class TwoStages(NamedTuple):
    """The result of a run: the autoencoder, and the prior over its codes."""

    autoencoder: VQVAE
    prior: pixelcnn.GatedPixelCNN


def train(config: Config, run: Run) -> None:
    """Train the autoencoder, then the prior in the subfolder `prior`, and draw their pictures."""
    from .gallery import vqvae as gallery

    split = mnist_like.load(config.dataset)
    unseen, _ = split.test.tensors
    model = build(config)
    run.fit(
        model,
        optim.Adam(model.parameters(), lr=config.learning_rate),
        lambda batch, generator: loss(model, batch[0], generator, config.commitment),
        data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=lambda epoch: evaluate(model, unseen),
        sample=lambda generator: gallery.reconstructions(model, unseen[:40]),
    )
    with run.drawing():
        gallery.write_codebook(model, unseen[:1000], run.folder)
    with run.stage("prior") as second:
        prior = train_prior(model, split, config, second)
    with run.drawing():
        gallery.write_images(TwoStages(model, prior), unseen[:50], run.folder)


def train_prior(
    model: VQVAE, split: data.Split, config: Config, run: Run
) -> pixelcnn.GatedPixelCNN:
    """Train p(k), or p(k | digit), on the codes of the training images."""
    coded = data.TensorDataset(model.encode(split.train.tensors[0]), split.train.tensors[1])
    codes, labels = model.encode(split.test.tensors[0]), split.test.tensors[1]
    loader = data.DataLoader(coded, config.batch_size, shuffle=True, seed=config.seed)
    prior = build_prior(config)
    optimizer = optim.Adam(prior.parameters(), lr=config.prior_learning_rate)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer,
        config.prior_learning_rate,
        total_steps=max(config.prior_epochs, 1) * len(loader),
        pct_start=0.1,
    )
    run.fit(
        prior,
        optimizer,
        lambda batch, generator: nats(prior, *batch),
        loader,
        config.prior_epochs,
        schedule=schedule,
        on_epoch=lambda epoch: {"test_loss": evaluate_prior(prior, codes, labels)},
        sample=lambda generator: sample(TwoStages(model, prior), 64, generator),
    )
    return prior.eval()


def condition(prior: pixelcnn.GatedPixelCNN, labels: Tensor) -> tuple[Tensor, ...]:
    """The labels as further arguments of the prior, if it is conditional."""
    return (labels,) if prior.classes else ()


def nats(prior: pixelcnn.GatedPixelCNN, codes: Tensor, labels: Tensor) -> Tensor:
    """−ln p(k), or −ln p(k | digit), in nats per map: codes (N, 7, 7), labels (N,)."""
    return pixelcnn.negative_log_likelihood(prior, codes, *condition(prior, labels)).mean()


@tg.no_grad()
def evaluate(model: VQVAE, images: Tensor) -> dict[str, float]:
    """The squared error per pixel of reconstructed images, and the perplexity of their codes."""
    codes = model.encode(images)
    error = F.mse_loss(model.decode(codes), images)
    return {
        "test_mse": float(error),
        "test_perplexity": float(perplexity(codes, model.quantizer.codes)),
    }


@tg.no_grad()
def evaluate_prior(prior: pixelcnn.GatedPixelCNN, codes: Tensor, labels: Tensor) -> float:
    """The mean of `nats` over all maps."""
    return batches.mean(lambda *batch: nats(prior, *batch), codes, labels)


def reconstruct(model: VQVAE, images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28), encoded and decoded."""
    return model.decode(model.encode(images))


def sample(
    model: TwoStages, count: int, generator: Generator, *, label: int | None = None
) -> Tensor:
    """New images (count, 1, 28, 28): maps of codes drawn from the prior, decoded.

    A conditional prior draws the digit `label`, or a random digit for each image. Raises ValueError
    for a class that the prior does not have.
    """
    autoencoder, prior = model
    check_class(label, prior.classes)
    labels = generator.integers(0, 10, (count,)) if label is None else tg.full(count, label)
    codes = pixelcnn.draw(prior, count, (7, 7), generator, *condition(prior, labels))
    return autoencoder.decode(codes)


def build(config: Config) -> VQVAE:
    """The untrained autoencoder of a config."""
    tg.manual_seed(config.seed)
    return VQVAE(config.codes, config.code_dim, config.channels, learned=config.codebook == "loss")


def build_prior(config: Config) -> pixelcnn.GatedPixelCNN:
    """The untrained prior of a config."""
    tg.manual_seed(config.seed)
    classes = 10 if config.conditional else 0
    return pixelcnn.GatedPixelCNN(
        config.codes, config.prior_channels, config.prior_layers, classes=classes
    )


def restore(folder: str | Path) -> TwoStages:
    """Return both trained stages of a run."""
    model = restored(folder, Config, build)
    prior = restored(Path(folder) / "prior", Config, build_prior)
    return TwoStages(model.eval(), prior.eval())


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 4 images, and named tensors of its graph."""
    images, _ = mnist_like.load("mnist_small").train[:4]
    model = build(config)
    z = model.encoder(images)
    model.quantizer.restart(z, Generator(config.seed))
    chosen = model.quantizer.lookup(model.quantizer.nearest(z))
    z_q = straight_through(z, chosen)
    made = model.decoder(z_q)
    total, parts = objective(images, made, z, chosen, config.commitment)
    named = {"x": images, "z_e": z, "e": chosen, "z_q": z_q, "x̂": made, "L": total, **parts}
    return total, {**named, **dict(model.named_parameters())}

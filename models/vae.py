"""The variational autoencoder (Kingma and Welling 2014, "Auto-Encoding Variational Bayes").

**The model.** An image x is generated from a latent code z: z ~ N(0, I), x ~ p(x|z). The *decoder*
computes the parameters of p(x|z) from z: for *Bernoulli* pixels, black or white, their logits, or
for *Gaussian* ones their means, with one variance σ² for all, learned or given. The likelihood
p(x) = ∫ p(x|z) p(z) dz has no closed form, so an *encoder* computes an approximate posterior of the
code of an image, q(z|x) = N(μ(x), diag σ²(x)).

**The bound.** By Jensen's inequality (the logarithm is concave),

    ln p(x) = ln E_q [p(x|z) p(z) / q(z|x)]  ≥  E_q [ln p(x|z)] − KL(q(z|x) ‖ p(z)) = ELBO.

The loss is −ELBO in nats: a reconstruction term, which is −ln p(x|z) summed over the pixels,

    Bernoulli: Σ_i ln(1 + e^{l_i}) − x_i l_i        Gaussian: ½ Σ_i (x_i − m_i)²/σ² + ln 2πσ²,

and a regulariser, which for two normals has a closed form (appendix B):

    KL = −½ Σ_j (1 + ln σ_j² − μ_j² − σ_j²).

Both are summed over pixels or codes and averaged over the batch, so the learning rate does not
depend on the batch size. The decoder returns logits, since a sigmoid followed by a logarithm
underflows where it is confident. A grey level is the probability that its pixel is white, and is
drawn again at each use (*dynamic binarisation*). A Gaussian −ELBO is one of a density: it can be
negative, and cannot be compared with a Bernoulli one.

**Reparameterisation.** To differentiate through the random z, the randomness is moved outside:
z = μ + σ·ε with ε ~ N(0, I), so ∂z/∂μ = 1 and ∂z/∂σ = ε.

**A tighter bound** (Burda et al. 2016, "Importance Weighted Autoencoders"). The mean of k weights
w = p(x|z) p(z) / q(z|x) is a better estimate of p(x) than one of them. So E [ln (1/k) Σ w_i] grows
with k from the ELBO towards ln p(x), and the gap is the part of −ELBO that is due to the encoder.

**Variants.** *β-VAE* (Higgins et al. 2017) weights the KL by β: for β > 1 fewer numbers of the code
are used, each for one feature. *Warm-up* (Bowman et al. 2016; Sønderby et al. 2016) increases the
weight from 0, so that the code is not ignored before the decoder has learned to use it. The
*conditional* VAE (Sohn et al. 2015) gives the class y to both networks: a bound on ln p(x|y), and
the code describes the style of the digit. (A wide code carries the class as well for a long time,
and the sampled digits then differ from the class; β = 3 prevents that.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .autoencoder import CONVOLVED, NETWORKS, convolutions, transposed_convolutions
from .parts import mnist_like
from .parts.batches import batches
from .parts.classes import labels_for, with_class
from .parts.metrics import importance_weighted_bound

TRAINING_TIME = "about 15 seconds on two cores"
LIKELIHOODS = ("bernoulli", "gaussian")
CLASSES = 10


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are those of the notes on 10,000 handwritten digits."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    images: int = option(60_000, "maximum number of training images")
    network: str = option(
        "fc", "network of encoder and decoder, fully connected or convolutional", choices=NETWORKS
    )
    likelihood: str = option(
        "bernoulli", "distribution of a pixel given the code", choices=LIKELIHOODS
    )
    sigma: float = option(0.0, "standard deviation σ of the Gaussian likelihood; 0: learned")
    conditional: bool = option(False, "condition encoder and decoder on the class")
    beta: float = option(1.0, "weight β of the KL divergence")
    warm_up: int = option(0, "steps in which the weight of the KL divergence rises from 0", least=0)
    latent_dim: int = option(20, "dimension of the code z")
    hidden_dim: int = option(256, "width of the hidden layers")
    epochs: int = option(20, "number of passes over the training images", least=0)
    batch_size: int = option(128, "number of images per step")
    learning_rate: float = option(2e-3, "learning rate of Adam")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.sigma and self.likelihood != "gaussian":
            raise ValueError("vae: sigma needs the Gaussian likelihood (--likelihood gaussian)")


class VAE(nn.Module):
    """Encoder x → (μ, ln σ²) and decoder z → logits, one hidden layer each.

    Args:
        input_dim: number of pixels of an image.
        latent_dim: dimension of the code.
        hidden_dim: width of the hidden layers.
        network: "fc", or "conv" for images of 28 × 28 pixels, with two convolutions before the
            hidden layer of the encoder and two transposed ones after that of the decoder.
        classes: number of classes of a conditional model, or 0.
        likelihood: "bernoulli", or "gaussian": then the decoder returns means.
        sigma: standard deviation of the Gaussian likelihood; 0: a parameter, `pixel_log_var`.

    >>> model = VAE(input_dim=784, latent_dim=20)
    >>> logits, mu, log_var = model(tg.zeros((5, 784)), noise=tg.zeros((5, 20)))
    >>> logits.shape, mu.shape, log_var.shape
    ((5, 784), (5, 20), (5, 20))
    """

    def __init__(
        self,
        input_dim: int = 784,
        latent_dim: int = 20,
        hidden_dim: int = 256,
        network: str = "fc",
        classes: int = 0,
        likelihood: str = "bernoulli",
        sigma: float = 0.0,
    ) -> None:
        super().__init__()
        self.latent_dim, self.classes, self.side = latent_dim, classes, math.isqrt(input_dim)
        convolutional = network == "conv"
        features = CONVOLVED if convolutional else input_dim
        self.convolutions = convolutions() if convolutional else nn.Identity()
        self.encoder = nn.Sequential(nn.Linear(features + classes, hidden_dim), nn.ReLU())
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_log_var = nn.Linear(hidden_dim, latent_dim)
        self.decoder = nn.Sequential(
            *(nn.Linear(latent_dim + classes, hidden_dim), nn.ReLU()),
            nn.Linear(hidden_dim, features),
            *([transposed_convolutions()] if convolutional else []),
        )
        self.pixel_log_var: nn.Parameter | None = None
        if likelihood == "gaussian":  # a learned variance starts near that of the pixels
            log_var = tg.tensor(2 * math.log(sigma or 0.3))
            self.pixel_log_var = nn.Parameter(log_var, requires_grad=not sigma)

    def encode(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images (N, input_dim) → μ and ln σ², each (N, latent_dim)."""
        features = with_class("vae", self.convolutions(x), label, self.classes)
        h = self.encoder(features)
        return self.fc_mu(h), self.fc_log_var(h)

    def reparameterize(self, mu: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
        """z = μ + σ·ε, with σ = exp(½ ln σ²)."""
        return mu + tg.exp(0.5 * log_var) * noise

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Codes (N, latent_dim) → logits, or means, of the pixels (N, input_dim)."""
        logits: Tensor = self.decoder(with_class("vae", z, label, self.classes))
        return logits

    def forward(
        self, x: Tensor, noise: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images, standard normal noise (N, latent_dim) and classes (N,) → logits, μ, ln σ²."""
        mu, log_var = self.encode(x, label)
        return self.decode(self.reparameterize(mu, log_var, noise), label), mu, log_var


def reconstruction_loss(
    logits: Tensor, x: Tensor, pixel_log_var: Tensor | None = None, reduction: str = "sum"
) -> Tensor:
    """−ln p(x|z) in nats: the sum over all pixels, or with reduction="none" for each pixel.

    Args:
        logits: logits of the pixels, (N, D); for a Gaussian likelihood means.
        x: the pixels, (N, D), in [0, 1].
        pixel_log_var: ln σ² of a Gaussian likelihood; None: Bernoulli.
        reduction: "sum" or "none".

    >>> round(reconstruction_loss(tg.zeros((1, 1)), tg.ones((1, 1))).item(), 4)  # ln 2
    0.6931
    >>> x, unit = tg.ones((1, 1)), tg.zeros(())
    >>> round(reconstruction_loss(x, x, unit).item(), 4)  # ½ ln 2π
    0.9189
    """
    if pixel_log_var is None:
        return F.binary_cross_entropy_with_logits(logits, x, reduction=reduction)
    squares = F.mse_loss(logits, x, reduction=reduction)
    terms = x.size if reduction == "sum" else 1
    constant = pixel_log_var + math.log(2 * math.pi)
    return 0.5 * (squares * tg.exp(-pixel_log_var) + terms * constant)


def negative_elbo(
    logits: Tensor,
    x: Tensor,
    mu: Tensor,
    log_var: Tensor,
    pixel_log_var: Tensor | None = None,
    beta: float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """−ELBO in nats per image, with the KL weighted by β, and its two parts.

    Args:
        logits, x, pixel_log_var: as in `reconstruction_loss`.
        mu, log_var: means and logarithms of the variances of the code, (N, L).
        beta: weight of the KL; the result is a bound for β = 1 only.
    """
    reconstruction = reconstruction_loss(logits, x, pixel_log_var) / len(x)
    kl = F.kl_normal(mu, log_var, reduction="sum") / len(x)
    weighted = kl if beta == 1.0 else beta * kl
    return reconstruction + weighted, {"reconstruction": reconstruction, "kl": kl}


def loss(
    model: VAE,
    images: Tensor,
    generator: Generator,
    labels: Tensor | None = None,
    beta: float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """−ELBO of images (N, 1, 28, 28), binarised for a Bernoulli likelihood, and its parts."""
    x = _pixels(model, images, generator)
    noise = tg.randn((len(x), model.latent_dim), generator=generator)
    logits, mu, log_var = model(x, noise, labels)
    return negative_elbo(logits, x, mu, log_var, model.pixel_log_var, beta)


def _pixels(model: VAE, images: Tensor, generator: Generator) -> Tensor:
    """Images as rows: of grey pixels, or for a Bernoulli likelihood of binarised ones."""
    mnist_like.check("vae", images, model.side)
    rows = images.reshape(len(images), -1)
    return rows if model.pixel_log_var is not None else tg.bernoulli(rows, generator=generator)


@tg.no_grad()
def evaluate(
    model: VAE, images: Tensor, labels: Tensor, beta: float = 1.0, seed: int = 0
) -> dict[str, float]:
    """The "loss" and its parts on all images, with one binarisation and one code each."""
    generator, found = Generator(seed), {"loss": 0.0, "reconstruction": 0.0, "kl": 0.0}
    for some, classes in batches(images, labels):
        total, parts = loss(model, some, generator, classes, beta)
        for name, value in {"loss": total, **parts}.items():
            found[name] += value.item() * len(some) / len(images)
    return found


@tg.no_grad()
def bounds(
    model: VAE, images: Tensor, labels: Tensor, sizes: tuple[int, ...] = (1, 5, 50), seed: int = 0
) -> dict[int, float]:
    """The mean over the images of the importance weighted bound L_k for each k; L_1 is the ELBO.

    All k use the same codes, so the bounds never fall with k; each k must divide the largest.
    """
    generator, count = Generator(seed), max(sizes)
    totals = dict.fromkeys(sizes, 0.0)
    for some, classes in batches(images, labels, size=20):  # with 50 codes each
        weights = log_weights(model, some, classes, count, generator)
        for size in sizes:
            found = importance_weighted_bound(weights.reshape(size, -1))
            totals[size] += found.mean().item() * weights.shape[1] / len(images)
    return totals


def log_weights(
    model: VAE, images: Tensor, labels: Tensor, count: int, generator: Generator
) -> Tensor:
    """ln p(x|z) p(z) / q(z|x) for `count` codes drawn from q for each of N images: (count, N)."""
    x = _pixels(model, images, generator)
    mu, log_var = model.encode(x, labels)
    noise = tg.randn((count, *mu.shape), generator=generator)
    z = model.reparameterize(mu, log_var, noise)
    logits = model.decode(z.reshape(-1, mu.shape[1]), tg.tile(labels, count))
    rows = tg.broadcast_to(x, (count, *x.shape)).reshape(logits.shape)
    nats = reconstruction_loss(logits, rows, model.pixel_log_var, reduction="none")
    log_ratio = 0.5 * (noise * noise - z * z + log_var).sum(axis=2)  # ln p(z)/q(z|x)
    return log_ratio - nats.sum(axis=1).reshape(log_ratio.shape)


def train(config: Config, run: Run) -> None:
    """Train a VAE, and draw its reconstructions, samples and codes."""
    from .gallery import vae as gallery

    split = mnist_like.load(config.dataset, config.images)
    tg.manual_seed(config.seed)
    model = build(config)
    unseen, labels = split.test.tensors

    def objective(batch: Any, generator: Generator) -> tuple[Tensor, dict[str, Any]]:
        # The weight follows the number of the step, which a resumed run knows.
        beta = config.beta * min(1.0, (run.step + 1) / max(config.warm_up, 1))
        total, parts = loss(model, batch[0], generator, batch[1], beta)
        return total, {**parts, "beta": beta} if config.warm_up else parts

    def on_epoch(epoch: int) -> dict[str, float]:
        found = evaluate(model, unseen, labels, config.beta)
        metrics = {f"test_{name}": value for name, value in found.items()}
        if epoch == config.epochs:
            few = min(2000, config.images)
            known = bounds(model, unseen[:few], labels[:few])
            metrics |= {f"iwae{size}_loss": -value for size, value in known.items()}
        return metrics

    run.fit(
        model,
        optim.Adam(model.parameters(), lr=config.learning_rate),
        objective,
        data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=on_epoch,
        sample=lambda generator: sample(model, 100, generator),
    )
    with run.drawing():
        gallery.write_pictures(model, unseen, labels, run.folder)


def build(config: Config) -> VAE:
    """The untrained model of a config."""
    return VAE(
        latent_dim=config.latent_dim,
        hidden_dim=config.hidden_dim,
        network=config.network,
        classes=CLASSES if config.conditional else 0,
        likelihood=config.likelihood,
        sigma=config.sigma,
    )


def restore(folder: str | Path) -> VAE:
    """Return the trained model of a run."""
    return restored(folder, Config, build)


@tg.no_grad()
def sample(model: VAE, count: int, generator: Generator, *, label: int | None = None) -> Tensor:
    """Draw codes from N(0, I), and return the expected pixels as images (count, 1, 28, 28).

    A conditional model draws the class `label`, or all classes in turn. Raises ValueError for a
    class that the model does not have.
    """
    labels = labels_for(label, count, model.classes)
    z = tg.randn((count, model.latent_dim), generator=generator)
    return render(model, z, labels)


@tg.no_grad()
def render(model: VAE, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """Codes (N, latent_dim) → the expected pixels, as images (N, 1, 28, 28) in [0, 1]."""
    out = model.decode(z, labels)
    pixels = tg.sigmoid(out) if model.pixel_log_var is None else tg.clip(out, 0, 1)
    return pixels.reshape(len(z), 1, model.side, model.side)


@tg.no_grad()
def reconstruct(model: VAE, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Images (N, 1, 28, 28) decoded from the mean of their code."""
    mu, _ = model.encode(images.reshape(len(images), -1), labels)
    return render(model, mu, labels)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 16 images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    images, labels = data.mnist_small().train[:16]
    model = build(config)
    x = _pixels(model, images, tg.random.default_generator())
    noise = tg.randn((16, config.latent_dim))
    logits, mu, log_var = model(x, noise, labels)
    total, parts = negative_elbo(logits, x, mu, log_var, model.pixel_log_var, config.beta)
    named = {"logits": logits, "μ": mu, "ln σ²": log_var, "KL": parts["kl"], "−ELBO": total}
    leaves = {"x": x, "ε": noise, "reconstruction": parts["reconstruction"]}
    return total, {**named, **leaves, **dict(model.named_parameters())}

"""The variational autoencoder (Kingma and Welling 2014, "Auto-Encoding Variational Bayes").

**The model.** An image x comes from a hidden code z: z ~ N(0, I), x ~ p(x|z). The *decoder*
computes from z what p(x|z) needs: for *Bernoulli* pixels, black or white, their logits, or for
*Gaussian* ones their means, with one variance σ² for all, learned or given. The likelihood
p(x) = ∫ p(x|z) p(z) dz has no closed form, so an *encoder* proposes codes for a given image,
q(z|x) = N(μ(x), diag σ²(x)).

**The bound.** By Jensen's inequality (the logarithm is concave),

    ln p(x) = ln E_q [p(x|z) p(z) / q(z|x)]  ≥  E_q [ln p(x|z)] − KL(q(z|x) ‖ p(z)) = ELBO.

The loss is −ELBO in nats: a reconstruction term, which is −ln p(x|z) summed over the pixels,

    Bernoulli: Σ_i ln(1 + e^{l_i}) − x_i l_i        Gaussian: ½ Σ_i (x_i − m_i)²/σ² + ln 2πσ²,

and a regulariser that for two normals is known in closed form (there, appendix B):

    KL = −½ Σ_j (1 + ln σ_j² − μ_j² − σ_j²).

Both are summed over pixels or codes and averaged over the batch, so the learning rate does not
depend on the batch size. The decoder ends in logits: a sigmoid followed by a logarithm would lose
every pixel it is sure of. A grey level is taken as the probability that its pixel is white, and is
drawn again each time (*dynamic binarisation*). A Gaussian −ELBO is one of a density: it can be
negative, and compares with no Bernoulli one.

**Reparameterisation.** To differentiate through the random z, the randomness is moved outside:
z = μ + σ·ε with ε ~ N(0, I), so ∂z/∂μ = 1 and ∂z/∂σ = ε.

**A tighter bound** (Burda et al. 2016, "Importance Weighted Autoencoders"). The mean of k weights
w = p(x|z) p(z) / q(z|x) is a better estimate of p(x) than one of them. So E [ln (1/k) Σ w_i] grows
with k from the ELBO towards ln p(x), and the gap says how much of −ELBO is the encoder's fault.

**Variants.** *β-VAE* (Higgins et al. 2017) weights the KL by β: above 1 fewer numbers of the code
are used, each for one thing. *Warm-up* (Bowman et al. 2016; Sønderby et al. 2016) lets the weight
rise from 0, so that the code is not given up before the decoder has learned to read it. The
*conditional* VAE (Sohn et al. 2015) hands the class y to both nets: a bound on ln p(x|y), and the
code is left to say how the digit is written. (A wide code goes on carrying the class all the same
for long, and the sampled digits are then not those asked for; β = 3 presses it out.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.training import Run
from tinygrad_gm.training.state import restored

from . import mnist_like
from .autoencoder import CONVOLVED, NETWORKS, between, convolutions, transposed_convolutions
from .metrics import importance_weighted_bound

TRAINING_TIME = "about 15 seconds on two cores"
LIKELIHOODS = ("bernoulli", "gaussian")
CLASSES = 10


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are those of the notes on 10,000 handwritten digits."""

    dataset: str = field(
        default="mnist_small",
        metadata={"help": "data set of handwritten digits", "choices": mnist_like.DATASETS},
    )
    images: int = field(default=60_000, metadata={"help": "maximum number of training images"})
    network: str = field(
        default="fc",
        metadata={
            "help": "network of encoder and decoder, fully connected or convolutional",
            "choices": NETWORKS,
        },
    )
    likelihood: str = field(
        default="bernoulli",
        metadata={"help": "distribution of a pixel given the code", "choices": LIKELIHOODS},
    )
    sigma: float = field(
        default=0.0,
        metadata={"help": "standard deviation σ of the Gaussian likelihood; 0: learned"},
    )
    conditional: bool = field(
        default=False, metadata={"help": "condition encoder and decoder on the class"}
    )
    beta: float = field(default=1.0, metadata={"help": "weight β of the KL divergence"})
    warm_up: int = field(
        default=0,
        metadata={
            "help": "steps in which the weight of the KL divergence rises from 0",
            "least": 0,
        },
    )
    latent_dim: int = field(default=20, metadata={"help": "dimension of the code z"})
    hidden_dim: int = field(default=256, metadata={"help": "width of the hidden layers"})
    epochs: int = field(
        default=20, metadata={"help": "number of passes over the training images", "least": 0}
    )
    batch_size: int = field(default=128, metadata={"help": "number of images per step"})
    learning_rate: float = field(default=2e-3, metadata={"help": "learning rate of Adam"})
    seed: int = field(
        default=0, metadata={"help": "seed of the weights, the batches and the noise", "least": 0}
    )


class VAE(nn.Module):
    """Encoder x → (μ, ln σ²) and decoder z → logits, one hidden layer each.

    Args:
        input_dim: pixels of an image.
        latent_dim: size of the code.
        hidden_dim: width of the hidden layers.
        network: "fc", or "conv" for images of 28 × 28 pixels, with two convolutions before the
            hidden layer and two transposed ones after the other.
        classes: how many there are, where the class is told to both nets; else 0.
        likelihood: "bernoulli", or "gaussian": then the decoder's numbers are means.
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
        if likelihood == "gaussian":  # where it is learned, it starts near the pixels' variance
            log_var = tg.tensor(2 * math.log(sigma or 0.3))
            self.pixel_log_var = nn.Parameter(log_var, requires_grad=not sigma)

    def encode(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images (N, input_dim) → μ and ln σ², each (N, latent_dim)."""
        h = self.encoder(self._with_class(self.convolutions(x), label))
        return self.fc_mu(h), self.fc_log_var(h)

    def reparameterize(self, mu: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
        """z = μ + σ·ε, with σ = exp(½ ln σ²)."""
        return mu + tg.exp(0.5 * log_var) * noise

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Codes (N, latent_dim) → logits, or means, of the pixels (N, input_dim)."""
        logits: Tensor = self.decoder(self._with_class(z, label))
        return logits

    def forward(
        self, x: Tensor, noise: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images, standard normal noise (N, latent_dim) and classes (N,) → logits, μ, ln σ²."""
        mu, log_var = self.encode(x, label)
        return self.decode(self.reparameterize(mu, log_var, noise), label), mu, log_var

    def _with_class(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Rows with their one-hot class appended."""
        if not self.classes:
            return x
        if label is None:
            raise ValueError("vae: a conditional model wants the class of each image")
        return tg.concat([x, F.one_hot(label, self.classes).astype(x.dtype)], axis=1)


def reconstruction_loss(
    logits: Tensor, x: Tensor, pixel_log_var: Tensor | None = None, reduction: str = "sum"
) -> Tensor:
    """−ln p(x|z) in nats: the sum over all pixels, or with reduction="none" that of each pixel.

    Args:
        logits: of the pixels, (N, D); for a Gaussian likelihood their means.
        x: the pixels, (N, D), in [0, 1].
        pixel_log_var: ln σ² of a Gaussian likelihood; None: a Bernoulli one.
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
    """−ELBO in nats per image (with the KL weighted by β), and its two parts.

    Args:
        logits: of the pixels, (N, D); for a Gaussian likelihood their means.
        x: the pixels, (N, D), in [0, 1].
        mu: means of the code, (N, L).
        log_var: logarithms of its variances, (N, L).
        pixel_log_var: ln σ² of a Gaussian likelihood; None: a Bernoulli one.
        beta: weight of the KL; only 1 gives a bound.
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
    """−ELBO of images (N, 1, 28, 28), for freshly binarised Bernoulli pixels."""
    x = _pixels(model, images, generator)
    noise = tg.randn((len(x), model.latent_dim), generator=generator)
    logits, mu, log_var = model(x, noise, labels)
    return negative_elbo(logits, x, mu, log_var, model.pixel_log_var, beta)


def _pixels(model: VAE, images: Tensor, generator: Generator) -> Tensor:
    """Images as the rows whose likelihood is meant: grey, or drawn as black and white ones."""
    mnist_like.check("vae", images, model.side)
    rows = images.reshape(len(images), -1)
    return rows if model.pixel_log_var is not None else tg.bernoulli(rows, generator=generator)


@tg.no_grad()
def evaluate(
    model: VAE, images: Tensor, labels: Tensor, beta: float = 1.0, seed: int = 0
) -> dict[str, float]:
    """The "loss" and its parts on all images, one binarisation and one code for each."""
    generator, found = Generator(seed), {"loss": 0.0, "reconstruction": 0.0, "kl": 0.0}
    for start in range(0, len(images), 1000):
        part = slice(start, start + 1000)
        total, parts = loss(model, images[part], generator, labels[part], beta)
        for name, value in {"loss": total, **parts}.items():
            found[name] += value.item() * len(images[part]) / len(images)
    return found


@tg.no_grad()
def bounds(
    model: VAE, images: Tensor, labels: Tensor, sizes: tuple[int, ...] = (1, 5, 50), seed: int = 0
) -> dict[int, float]:
    """For each k the mean over the images of the importance weighted bound L_k; L_1 is the ELBO.

    All are of the same codes, as many as the largest k, which each of the others must divide: so
    they never fall with k.
    """
    generator, count = Generator(seed), max(sizes)
    totals = dict.fromkeys(sizes, 0.0)
    for start in range(0, len(images), 20):  # 1,000 codes at a time
        part = slice(start, start + 20)
        weights = log_weights(model, images[part], labels[part], count, generator)
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
    """Train a VAE, and write what it has learned as pictures."""
    if config.sigma < 0 or config.beta < 0:
        raise ValueError(f"vae: sigma {config.sigma} and beta {config.beta} must not be negative")
    if config.sigma and config.likelihood != "gaussian":
        raise ValueError("vae: a sigma is one of the Gaussian likelihood: --likelihood gaussian")
    split = mnist_like.load(config.dataset)
    tg.manual_seed(config.seed)
    model = build(config)
    unseen, labels = split.test.tensors

    def objective(batch: Any, generator: Generator) -> tuple[Tensor, dict[str, Any]]:
        # of the number of the step, which a resumed run knows: so the weight goes on as it was
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
        data.DataLoader(
            data.TensorDataset(*split.train[: config.images]),
            config.batch_size,
            shuffle=True,
            seed=config.seed,
        ),
        config.epochs,
        on_epoch=on_epoch,
        sample=lambda generator: sample(model, 100, generator),
    )
    with run.drawing():
        write_pictures(model, unseen, labels, run.folder)


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
    """The model of a run's checkpoint."""
    return restored(folder, Config, build)


@tg.no_grad()
def sample(model: VAE, count: int, generator: Generator, *, label: int | None = None) -> Tensor:
    """New images (count, 1, 28, 28): the pixels' expectations for codes drawn from N(0, I).

    Args:
        model: a trained one.
        count: how many.
        generator: of the codes.
        label: the class of all, for a conditional model; None: its classes in turn.

    Raises:
        ValueError: a class there is not, or any for a model that knows none.
    """
    if label is not None and not 0 <= label < model.classes:
        known = f"has the classes 0 to {model.classes - 1}" if model.classes else "knows no classes"
        raise ValueError(f"this model {known}: --class {label} cannot be drawn")
    z = tg.randn((count, model.latent_dim), generator=generator)
    labels = tg.arange(count) % max(model.classes, 1) if label is None else tg.full(count, label)
    return render(model, z, labels)


@tg.no_grad()
def render(model: VAE, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """Codes (N, latent_dim) → the pixels' expectations, as images (N, 1, 28, 28) in [0, 1]."""
    out = model.decode(z, labels)
    pixels = tg.sigmoid(out) if model.pixel_log_var is None else tg.clip(out, 0, 1)
    return pixels.reshape(len(z), 1, model.side, model.side)


@tg.no_grad()
def reconstruct(model: VAE, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Images (N, 1, 28, 28) encoded to the mean code and decoded again."""
    mu, _ = model.encode(images.reshape(len(images), -1), labels)
    return render(model, mu, labels)


@tg.no_grad()
def interpolate(model: VAE, images: Tensor, steps: int = 11) -> Tensor:
    """The first half of the images changing into the others: (N/2 · steps, 1, 28, 28).

    Each way is a straight line between two mean codes.
    """
    mu, _ = model.encode(images.reshape(len(images), -1))
    half = len(images) // 2
    return render(model, between(mu[:half], mu[half:], steps))


@tg.no_grad()
def restyle(model: VAE, images: Tensor, labels: Tensor) -> Tensor:
    """Every class in the manner of each of N images, by a conditional model: (N · classes, 1, …).

    The code is that of the image, the class that of the column.
    """
    mu, _ = model.encode(images.reshape(len(images), -1), labels)
    classes = tg.tile(tg.arange(model.classes), len(images))
    return render(model, tg.repeat(mu, model.classes, axis=0), classes)


@tg.no_grad()
def traverse(
    model: VAE, image: Tensor, label: Tensor | None = None, axes: int = 8, steps: int = 11
) -> Tensor:
    """One code number at a time moved from −3 to 3: images (axes · steps, 1, 28, 28).

    The rows are the numbers that carry most about this image (the largest KL), the other numbers
    stay at the image's mean code. There are fewer rows where the code has fewer numbers.
    """
    labels = None if label is None else label.reshape(1)
    mu, log_var = model.encode(image.reshape(1, -1), labels)
    informative = F.kl_normal(mu, log_var, reduction="none")[0].numpy().argsort()[::-1][:axes]
    z = tg.repeat(mu, len(informative) * steps, axis=0)
    for row, axis in enumerate(informative.tolist()):
        z[row * steps : (row + 1) * steps, axis] = tg.linspace(-3, 3, steps)
    return render(model, z, None if labels is None else tg.repeat(labels, len(z)))


def plane(model: VAE, side: int = 20) -> Tensor:
    """The plane of codes of two numbers as side · side images (Kingma and Welling 2014, figure 4).

    The places divide N(0, I) into parts of the same probability: they lie at its quantiles.
    """
    shares = [(i + 0.5) / side for i in range(side)]
    quantiles = tg.tensor([NormalDist().inv_cdf(share) for share in shares])
    across, up = tg.meshgrid(quantiles, tg.flip(quantiles), indexing="xy")
    return render(model, tg.stack([across.flatten(), up.flatten()], axis=1))


def write_pictures(model: VAE, images: Tensor, labels: Tensor, folder: Path) -> None:
    """What the model has learned, in a run's folder."""
    shown = images[:20], labels[:20]
    rows = mnist_like.pairs(shown[0], reconstruct(model, *shown))
    pictures.grid(rows, columns=10, path=folder / "reconstructions.png")
    pictures.grid(sample(model, 100, Generator(0)), path=folder / "samples.png")
    rows = traverse(model, images[0], labels[0])
    pictures.grid(rows, columns=11, path=folder / "traversal.png")
    if model.classes:
        pictures.grid(restyle(model, *shown)[:100], columns=10, path=folder / "styles.png")
        return
    pictures.grid(interpolate(model, shown[0]), columns=11, path=folder / "interpolation.png")
    if model.latent_dim == 2:
        pictures.grid(plane(model), columns=20, gap=0, path=folder / "plane.png")


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 16 images, and the names of its leaves."""
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

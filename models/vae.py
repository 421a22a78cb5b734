"""The variational autoencoder (Kingma and Welling 2014, "Auto-Encoding Variational Bayes").

**The model.** An image x comes from a hidden code z: z ~ N(0, I), x ~ p(x|z), where p(x|z) is a
Bernoulli distribution per pixel whose logits the *decoder* computes from z. The likelihood
p(x) = ∫ p(x|z) p(z) dz has no closed form, so an *encoder* proposes codes for a given image,
q(z|x) = N(μ(x), diag σ²(x)).

**The bound.** By Jensen's inequality (the logarithm is concave),

    ln p(x) = ln E_q [p(x|z) p(z) / q(z|x)]  ≥  E_q [ln p(x|z)] − KL(q(z|x) ‖ p(z)) = ELBO.

The loss is −ELBO in nats: a reconstruction term, the binary cross-entropy summed over the pixels,
and a regulariser that for two normals is known in closed form (there, appendix B):

    KL = −½ Σ_j (1 + ln σ_j² − μ_j² − σ_j²).

Both are summed over pixels or codes and averaged over the batch, so the learning rate does not
depend on the batch size. The decoder ends in logits: a sigmoid followed by a logarithm would lose
every pixel it is sure of.

**Reparameterisation.** To differentiate through the random z, the randomness is moved outside:
z = μ + σ·ε with ε ~ N(0, I), so ∂z/∂μ = 1 and ∂z/∂σ = ε.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.training import Run, read_checkpoint

TRAINING_TIME = "about 15 seconds on two cores"


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are those of the notes on 10,000 handwritten digits."""

    latent_dim: int = field(default=20, metadata={"help": "size of the code z"})
    hidden_dim: int = field(default=256, metadata={"help": "width of the hidden layers"})
    epochs: int = field(default=20, metadata={"help": "passes over the training images"})
    batch_size: int = field(default=128, metadata={"help": "images per step"})
    learning_rate: float = field(default=2e-3, metadata={"help": "of Adam"})
    seed: int = field(default=0, metadata={"help": "of the weights, the batches and the noise"})


class VAE(nn.Module):
    """Encoder x → (μ, ln σ²) and decoder z → logits, one hidden layer each.

    >>> model = VAE(input_dim=784, latent_dim=20)
    >>> logits, mu, log_var = model(tg.zeros((5, 784)), noise=tg.zeros((5, 20)))
    >>> logits.shape, mu.shape, log_var.shape
    ((5, 784), (5, 20), (5, 20))
    """

    def __init__(self, input_dim: int = 784, latent_dim: int = 20, hidden_dim: int = 256) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU())
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_log_var = nn.Linear(hidden_dim, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, input_dim)
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, input_dim) → μ and ln σ², each (N, latent_dim)."""
        h = self.encoder(x)
        return self.fc_mu(h), self.fc_log_var(h)

    def reparameterize(self, mu: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
        """z = μ + σ·ε, with σ = exp(½ ln σ²)."""
        return mu + tg.exp(0.5 * log_var) * noise

    def decode(self, z: Tensor) -> Tensor:
        """Codes (N, latent_dim) → logits of the pixels (N, input_dim)."""
        logits: Tensor = self.decoder(z)
        return logits

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images and standard normal noise (N, latent_dim) → logits, μ, ln σ²."""
        mu, log_var = self.encode(x)
        return self.decode(self.reparameterize(mu, log_var, noise)), mu, log_var


def negative_elbo(
    logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """−ELBO in nats per image, and its two parts.

    Args:
        logits: of the pixels, (N, D).
        x: the pixels, (N, D), in [0, 1].
        mu: means of the code, (N, L).
        log_var: logarithms of its variances, (N, L).
    """
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    kl = F.kl_normal(mu, log_var, reduction="sum") / len(x)
    return reconstruction + kl, {"reconstruction": reconstruction, "kl": kl}


def loss(model: VAE, images: Tensor, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """−ELBO of images (N, 1, 28, 28), binarised anew: each grey level is a pixel's probability."""
    x = tg.bernoulli(images.reshape(len(images), -1), generator=generator)
    noise = tg.randn((len(x), model.latent_dim), generator=generator)
    logits, mu, log_var = model(x, noise)
    return negative_elbo(logits, x, mu, log_var)


@tg.no_grad()
def evaluate(model: VAE, images: Tensor, seed: int = 0) -> float:
    """−ELBO in nats per image, with one binarisation and one code for each."""
    total, _ = loss(model, images, Generator(seed))
    return float(total)


@tg.no_grad()
def sample(model: VAE, count: int, generator: Generator) -> Tensor:
    """New images (count, 1, 28, 28): the pixels' probabilities for codes drawn from N(0, I)."""
    z = tg.randn((count, model.latent_dim), generator=generator)
    return tg.sigmoid(model.decode(z)).reshape(count, 1, 28, 28)


@tg.no_grad()
def reconstruct(model: VAE, images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) encoded to the mean code and decoded again."""
    mu, _ = model.encode(images.reshape(len(images), -1))
    return tg.sigmoid(model.decode(mu)).reshape(images.shape)


@tg.no_grad()
def traverse(model: VAE, image: Tensor, axes: int = 8, steps: int = 11) -> Tensor:
    """One code number at a time moved from −3 to 3: images (axes · steps, 1, 28, 28).

    The rows are the numbers that carry most about this image (the largest KL), the other numbers
    stay at the image's mean code.
    """
    mu, log_var = model.encode(image.reshape(1, -1))
    informative = F.kl_normal(mu, log_var, reduction="none")[0].numpy().argsort()[::-1][:axes]
    z = tg.repeat(mu, axes * steps, axis=0)
    for row, axis in enumerate(informative.tolist()):
        z[row * steps : (row + 1) * steps, axis] = tg.linspace(-3, 3, steps)
    return tg.sigmoid(model.decode(z)).reshape(-1, 1, 28, 28)


def train(config: Config, run: Run) -> None:
    """Train on `data.mnist_small()`, and write reconstructions, samples and a traversal."""
    tg.manual_seed(config.seed)
    digits = data.mnist_small()
    unseen, _ = digits.test.tensors
    model = VAE(latent_dim=config.latent_dim, hidden_dim=config.hidden_dim)
    run.fit(
        model,
        optim.Adam(model.parameters(), lr=config.learning_rate),
        lambda batch, generator: loss(model, batch[0], generator),
        data.DataLoader(digits.train, config.batch_size, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=lambda epoch: {"test_loss": evaluate(model, unseen)},
        sample=lambda generator: sample(model, 64, generator),
    )
    write_pictures(model, unseen, run.folder)


def restore(folder: str | Path) -> VAE:
    """The model of a run's checkpoint."""
    checkpoint = read_checkpoint(folder)
    config = Config(**checkpoint["run"]["config"])
    model = VAE(latent_dim=config.latent_dim, hidden_dim=config.hidden_dim)
    model.load_state_dict(checkpoint["model"])
    return model


def write_pictures(model: VAE, images: Tensor, folder: Path) -> None:
    """What the model has learned, in three pictures in a run's folder."""
    shown = images[:20]
    pairs = tg.stack(
        [shown.reshape(2, 10, 28, 28), reconstruct(model, shown).reshape(2, 10, 28, 28)]
    )
    rows = tg.swapaxes(pairs, 0, 1).reshape(-1, 28, 28)
    pictures.grid(rows, columns=10, path=folder / "reconstructions.png")
    pictures.grid(sample(model, 100, Generator(0)), path=folder / "samples.png")
    pictures.grid(traverse(model, images[0]), columns=11, path=folder / "traversal.png")


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 16 images, and the names of its leaves."""
    tg.manual_seed(config.seed)
    images, _ = data.mnist_small().train[:16]
    model = VAE(latent_dim=config.latent_dim, hidden_dim=config.hidden_dim)
    x = tg.bernoulli(images.reshape(16, -1))
    noise = tg.randn((16, config.latent_dim))
    logits, mu, log_var = model(x, noise)
    total, parts = negative_elbo(logits, x, mu, log_var)
    named = {"logits": logits, "μ": mu, "ln σ²": log_var, "KL": parts["kl"], "−ELBO": total}
    leaves = {"x": x, "ε": noise, "reconstruction": parts["reconstruction"]}
    return total, {**named, **leaves, **dict(model.named_parameters())}

"""The autoencoder: images through a bottleneck and back (Hinton and Salakhutdinov 2006).

**The idea.** An *encoder* squeezes an image x into a code z of a few numbers, a *decoder* makes an
image of the code, and both learn to give the image back:

    z = f(x),    x̂ = g(z),    loss = mean over the pixels of (x̂ − x)².

The meaning of the code's numbers is not prescribed: it emerges from minimising the error.

**What keeps it from copying.** Not the number of parameters: a net with millions of them and a code
of two numbers cannot copy, and one with a code as wide as the image copies with an identity matrix.
Two things do: the *bottleneck*, and what makes copying useless, such as corrupted images.

**Linear, it is PCA.** With linear f and g the best code spans the leading principal components
(Bourlard and Kamp 1988; Baldi and Hornik 1989). So PCA with as many components is the mark to
beat, and what the curved f and g win over it is measured ("pca_loss").

**Denoising** (Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
Autoencoders", section 2.3). The encoder sees an image of which each pixel was set to 0 with
probability ν, and the loss is still that of the whole one. To fill a gap one must know what digits
look like. A code wider than the image is then no danger, and the first layer learns spots and short
strokes. (With a little Gaussian noise in place of the gaps, x̂ − x points to where images are
denser, Alain and Bengio 2014: diffusion models make new images of that.)

**Why it cannot draw.** The loss says nothing about *where* the codes of images lie: between their
clouds are places that no image came from, and the decoder was never asked about them. In
`random_codes.png` are images of codes drawn from a Gaussian with the mean and the covariance of
real ones: some are digits, many are none. The variational autoencoder (`vae`) gives the codes a
distribution while it learns, and then there is something to sample; here there is no `sample`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.training import Run
from tinygrad_gm.training.state import restored

from . import mnist_like

if TYPE_CHECKING:
    from PIL.Image import Image

NETWORKS = ("fc", "conv")
CONVOLVED = 64 * 7 * 7  # numbers that the convolutions make of an image


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for 10,000 digits and a code that can be drawn in the plane."""

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
    corruption: float = field(
        default=0.0, metadata={"help": "fraction of the pixels hidden from the encoder"}
    )
    latent_dim: int = field(default=2, metadata={"help": "dimension of the code z"})
    hidden_dim: int = field(default=512, metadata={"help": "width of the first hidden layer"})
    epochs: int = field(
        default=20, metadata={"help": "number of passes over the training images", "least": 0}
    )
    batch_size: int = field(default=128, metadata={"help": "number of images per step"})
    learning_rate: float = field(default=1e-3, metadata={"help": "learning rate of Adam"})
    seed: int = field(
        default=0, metadata={"help": "seed of the weights, the batches and the gaps", "least": 0}
    )


class Autoencoder(nn.Module):
    """Encoder x → z and decoder z → x̂, two hidden layers each; any numbers may come out.

    Args:
        input_dim: pixels of an image.
        latent_dim: size of the code.
        hidden_dim: width of the first hidden layer; the second one has a quarter of it.
        network: "fc", or "conv" for images of 28 × 28 pixels.

    >>> model = Autoencoder(latent_dim=2)
    >>> model.encode(tg.zeros((5, 784))).shape, model(tg.zeros((5, 784))).shape
    ((5, 2), (5, 784))
    """

    def __init__(
        self,
        input_dim: int = 784,
        latent_dim: int = 2,
        hidden_dim: int = 512,
        network: str = "fc",
    ) -> None:
        super().__init__()
        self.latent_dim, narrow = latent_dim, max(hidden_dim // 4, 1)
        before = convolutions() if network == "conv" else nn.Identity()
        after = transposed_convolutions() if network == "conv" else nn.Identity()
        features = CONVOLVED if network == "conv" else input_dim
        self.encoder = nn.Sequential(
            before,
            *(nn.Linear(features, hidden_dim), nn.ReLU()),
            *(nn.Linear(hidden_dim, narrow), nn.ReLU()),
            nn.Linear(narrow, latent_dim),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(latent_dim, narrow), nn.ReLU()),
            *(nn.Linear(narrow, hidden_dim), nn.ReLU()),
            nn.Linear(hidden_dim, features),
            after,
        )

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, input_dim) → codes (N, latent_dim)."""
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Codes (N, latent_dim) → images (N, input_dim)."""
        image: Tensor = self.decoder(z)
        return image

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def convolutions() -> nn.Sequential:
    """Rows of 784 pixels → 64 planes of 7 × 7, flat: two convolutions that halve the sides."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU()),
        nn.Flatten(),
    )


def transposed_convolutions() -> nn.Sequential:
    """The way back: 64 planes of 7 × 7, flat, → 784 numbers."""
    return nn.Sequential(
        *(nn.ReLU(), nn.Unflatten(1, (64, 7, 7))),
        *(nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU()),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        nn.Flatten(),
    )


def corrupt(images: Tensor, share: float, generator: Generator) -> Tensor:
    """The images with each pixel set to 0 with probability `share`."""
    if not share:
        return images
    return images * generator.bernoulli(1 - share, images.shape)


def loss(
    model: Autoencoder, images: Tensor, generator: Generator, corruption: float = 0.0
) -> Tensor:
    """The squared error per pixel of images (N, 1, 28, 28) made of their corrupted selves."""
    mnist_like.check("autoencoder", images)
    x = images.reshape(len(images), -1)
    return F.mse_loss(model(corrupt(x, corruption, generator)), x)


@tg.no_grad()
def evaluate(model: Autoencoder, images: Tensor, corruption: float = 0.0, seed: int = 0) -> float:
    """The loss on all images (N, 1, 28, 28), a thousand at a time."""
    generator = Generator(seed)
    parts = mnist_like.thousands(images)
    errors = [float(loss(model, part, generator, corruption)) * len(part) for part in parts]
    return sum(errors) / len(images)


@tg.no_grad()
def encode(model: Autoencoder, images: Tensor) -> Tensor:
    """The codes (N, latent_dim) of images (N, 1, 28, 28)."""
    return model.encode(images.reshape(len(images), -1))


@tg.no_grad()
def decode(model: Autoencoder, z: Tensor) -> Tensor:
    """Images (N, 1, 28, 28), clipped to [0, 1], of codes (N, latent_dim)."""
    return tg.clip(model.decode(z), 0, 1).reshape(-1, 1, 28, 28)


def between(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Straight lines from N codes to N others, `steps` points each with both ends: (N · steps, L).

    >>> between(tg.zeros((1, 2)), tg.ones((1, 2)), 3).tolist()
    [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    way = tg.linspace(0, 1, steps).reshape(1, -1, 1)
    lines: Tensor = first[:, None] * (1 - way) + last[:, None] * way
    return lines.reshape(-1, first.shape[1])


def principal_components(rows: Any) -> tuple[Any, Any, Any]:
    """The mean of rows (N, D), the directions in which they vary most, and how much.

    Returns:
        The mean (D,), the unit vectors as rows (D, D), largest variance first, the variances (D,).
    """
    mean = rows.mean(axis=0)
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(rows - mean, rowvar=False)))
    return mean, directions[:, ::-1].T, variances[::-1].clip(min=0)


def pca_error(train: Tensor, test: Tensor, components: int) -> float:
    """The squared error per pixel of test images reconstructed from `k` principal components."""
    seen, unseen = (images.numpy().reshape(len(images), -1) for images in (train, test))
    mean, directions, _ = principal_components(seen)
    kept = directions[:components]
    return float((((unseen - mean) @ kept.T @ kept - (unseen - mean)) ** 2).mean())


def train(config: Config, run: Run) -> None:
    """Train an autoencoder, and draw its codes, reconstructions, walks and failures."""
    if not 0 <= config.corruption < 1:
        raise ValueError(f"autoencoder: corruption is a share in [0, 1), not {config.corruption}")
    split = mnist_like.load(config.dataset)
    tg.manual_seed(config.seed)
    model = build(config)
    seen = data.TensorDataset(*split.train[: config.images])
    unseen, labels = split.test.tensors

    def on_epoch(epoch: int) -> dict[str, float]:
        metrics = {"test_loss": evaluate(model, unseen, config.corruption)}
        if epoch == config.epochs and not config.corruption:
            metrics["pca_loss"] = pca_error(seen.tensors[0], unseen, config.latent_dim)
        return metrics

    def sample(generator: Generator) -> Tensor | Image:
        if config.latent_dim == 2:
            return picture_of_codes(encode(model, unseen[:2000]), labels[:2000])
        return mnist_like.pairs(*_before_and_after(model, unseen[:50], config, generator))

    run.fit(
        model,
        optim.Adam(model.parameters(), lr=config.learning_rate),
        lambda batch, generator: loss(model, batch[0], generator, config.corruption),
        data.DataLoader(seen, config.batch_size, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=on_epoch,
        sample=sample,
    )
    with run.drawing():
        write_pictures(model, unseen, labels, config, run.folder)


def build(config: Config) -> Autoencoder:
    """The untrained model of a config."""
    return Autoencoder(
        latent_dim=config.latent_dim, hidden_dim=config.hidden_dim, network=config.network
    )


def restore(folder: str | Path) -> Autoencoder:
    """The model of a run's checkpoint."""
    return restored(folder, Config, build)


def picture_of_codes(codes: Tensor, labels: Tensor) -> Image:
    """Codes (N, L) in the plane, one colour per class; wider ones by two principal components."""
    points, classes = codes.numpy(), labels.numpy()
    if points.shape[1] != 2:
        mean, directions, _ = principal_components(points)
        points = (points - mean) @ directions[:2].T
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))  # of a code of one number
    low, high = np.quantile(points, (0.01, 0.99), axis=0)  # the few that lie far out are left out
    points, reach = points - (low + high) / 2, 0.55 * float((high - low).max())
    clouds = {str(digit): points[classes == digit] for digit in np.unique(classes)}
    return pictures.scatter(clouds, bounds=(-reach, reach), ground=False, size=600)


def write_pictures(
    model: Autoencoder, images: Tensor, labels: Tensor, config: Config, folder: Path
) -> None:
    """What the model has learned, and what it has not, in a run's folder."""
    codes, generator = encode(model, images[:5000]), Generator(0)
    pictures.save(picture_of_codes(codes[:2000], labels[:2000]), folder / "codes.png")
    before, after = _before_and_after(model, images[:50], config, generator)
    pictures.grid(mnist_like.pairs(before, after), columns=10, path=folder / "reconstructions.png")
    walks = decode(model, between(codes[:10], codes[10:20], 11))
    pictures.grid(walks, columns=11, path=folder / "interpolation.png")
    mean, directions, variances = principal_components(codes.numpy())
    noise = generator.normal((100, len(mean))).numpy()
    drawn = mean + noise * np.sqrt(variances) @ directions
    pictures.grid(
        decode(model, tg.tensor(drawn, tg.float32)), columns=10, path=folder / "random_codes.png"
    )
    if config.network == "fc":
        pictures.grid(filters(model)[:100], columns=10, path=folder / "filters.png")


def filters(model: Autoencoder) -> Tensor:
    """What each unit of the first layer looks for, as images in which 0.5 is a weight of 0."""
    weights = next(p for p in model.encoder.parameters()).detach()
    largest = tg.max(tg.abs(weights), axis=1, keepdims=True)
    return (0.5 + 0.5 * weights / largest).reshape(-1, 28, 28)


def _before_and_after(
    model: Autoencoder, images: Tensor, config: Config, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Images as the encoder sees them, and as the decoder gives them back."""
    before = corrupt(images, config.corruption, generator)
    return before, decode(model, encode(model, before))


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 4 images, and the names of its leaves."""
    tg.manual_seed(config.seed)
    images, _ = data.mnist_small().train[:4]
    model = build(config)
    x = images.reshape(4, -1)
    z = model.encode(corrupt(x, config.corruption, Generator(config.seed)))
    image = model.decode(z)
    error = F.mse_loss(image, x)
    named = {"x": x, "z": z, "reconstruction": image, "error": error}
    return error, {**named, **dict(model.named_parameters())}

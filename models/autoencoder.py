"""The autoencoder: images through a bottleneck and back (Hinton and Salakhutdinov 2006).

**The idea.** An *encoder* maps an image x to a code z of a few numbers, a *decoder* maps the code
to an image, and both learn to reconstruct x:

    z = f(x),    x̂ = g(z),    loss = mean over the pixels of (x̂ − x)².

The meaning of the numbers is not prescribed: it emerges from minimising the error.

**What prevents copying** is not the number of parameters: a network with millions of them and a
code of two numbers cannot copy, and one with a code as wide as the image copies with an identity
matrix. It is the *bottleneck*, or a task in which copying is useless, such as denoising.

**Linear, it is PCA.** With linear f and g the best code spans the leading principal components
(Bourlard and Kamp 1988; Baldi and Hornik 1989). So PCA with the same number of components is the
baseline; its error is logged as "pca_loss".

**Denoising** (Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
Autoencoders", section 2.3). Each pixel of the encoder's input is set to 0 with probability ν, and
the loss is still that of the whole image. Filling a gap requires knowledge of what digits look
like. The code may then be wider than the image, and the first layer learns spots and short strokes.
(With a little Gaussian noise instead of gaps, x̂ − x points to where images are denser, Alain and
Bengio 2014; diffusion models generate images from that.)

**Why it cannot generate.** The loss does not determine *where* the codes of images lie. Between
their clouds are regions without images, on which the decoder was never trained.
`random_codes.png` shows decoded draws from a Gaussian with the mean and the covariance of the
codes: some are digits, many are not. The variational autoencoder (`vae`) trains the codes to have a
given distribution, from which one can sample; this model has no `sample`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .parts import batches, mnist_like

if TYPE_CHECKING:
    from PIL.Image import Image

NETWORKS = ("fc", "conv")
CONVOLVED = 64 * 7 * 7  # size of the output of the convolutions


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for 10,000 digits and a code that can be drawn in the plane."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    images: int = option(60_000, "maximum number of training images")
    network: str = option(
        "fc", "network of encoder and decoder, fully connected or convolutional", choices=NETWORKS
    )
    corruption: float = option(0.0, "fraction of the pixels hidden from the encoder")
    latent_dim: int = option(2, "dimension of the code z")
    hidden_dim: int = option(512, "width of the first hidden layer")
    epochs: int = option(20, "number of passes over the training images", least=0)
    batch_size: int = option(128, "number of images per step")
    learning_rate: float = option(1e-3, "learning rate of Adam")
    seed: int = option(0, "seed of the weights, the batches and the gaps", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.corruption >= 1:
            raise ValueError(f"autoencoder: corruption must be less than 1, not {self.corruption}")


class Autoencoder(nn.Module):
    """Encoder x → z and decoder z → x̂, two hidden layers each; the outputs are not bounded.

    Args:
        input_dim: number of pixels of an image.
        latent_dim: dimension of the code.
        hidden_dim: width of the first hidden layer; that of the second is a quarter of it.
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
        self.latent_dim, self.network, narrow = latent_dim, network, max(hidden_dim // 4, 1)
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
    """Rows of 784 pixels → 64 · 7 · 7 features: two convolutions that halve the resolution."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU()),
        nn.Flatten(),
    )


def transposed_convolutions() -> nn.Sequential:
    """Rows of 64 · 7 · 7 features → 784 pixels: the mirror image of `convolutions`."""
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
    """The squared error per pixel of images (N, 1, 28, 28) reconstructed from corrupted ones."""
    mnist_like.check("autoencoder", images)
    x = images.reshape(len(images), -1)
    return F.mse_loss(model(corrupt(x, corruption, generator)), x)


@tg.no_grad()
def evaluate(model: Autoencoder, images: Tensor, corruption: float = 0.0, seed: int = 0) -> float:
    """The loss on all images (N, 1, 28, 28)."""
    generator = Generator(seed)
    return batches.mean(lambda part: loss(model, part, generator, corruption), images)


@tg.no_grad()
def encode(model: Autoencoder, images: Tensor) -> Tensor:
    """The codes (N, latent_dim) of images (N, 1, 28, 28)."""
    return model.encode(images.reshape(len(images), -1))


@tg.no_grad()
def decode(model: Autoencoder, z: Tensor) -> Tensor:
    """Images (N, 1, 28, 28), clipped to [0, 1], of codes (N, latent_dim)."""
    return tg.clip(model.decode(z), 0, 1).reshape(-1, 1, 28, 28)


def principal_components(rows: Any) -> tuple[Any, Any, Any]:
    """The mean (D,) of rows (N, D), their principal axes as rows (D, D), and the variances (D,),
    the largest first.
    """
    mean = rows.mean(axis=0)
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(rows - mean, rowvar=False)))
    return mean, directions[:, ::-1].T, variances[::-1].clip(min=0)


def pca_error(train: Tensor, test: Tensor, components: int) -> float:
    """The squared error per pixel of test images reconstructed from principal components."""
    seen, unseen = (images.numpy().reshape(len(images), -1) for images in (train, test))
    mean, directions, _ = principal_components(seen)
    kept = directions[:components]
    return float((((unseen - mean) @ kept.T @ kept - (unseen - mean)) ** 2).mean())


def train(config: Config, run: Run) -> None:
    """Train an autoencoder, and draw its codes and reconstructions."""
    from .gallery import autoencoder as gallery

    split = mnist_like.load(config.dataset, config.images)
    tg.manual_seed(config.seed)
    model = build(config)
    unseen, labels = split.test.tensors

    def on_epoch(epoch: int) -> dict[str, float]:
        metrics = {"test_loss": evaluate(model, unseen, config.corruption)}
        if epoch == config.epochs and not config.corruption:
            metrics["pca_loss"] = pca_error(split.train.tensors[0], unseen, config.latent_dim)
        return metrics

    def sample(generator: Generator) -> Tensor | Image:
        if config.latent_dim == 2:
            return gallery.map_of_codes(encode(model, unseen[:2000]), labels[:2000])
        return gallery.reconstructions(model, unseen[:50], config.corruption, generator)

    run.fit(
        model,
        optim.Adam(model.parameters(), lr=config.learning_rate),
        lambda batch, generator: loss(model, batch[0], generator, config.corruption),
        data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=on_epoch,
        sample=sample,
    )
    with run.drawing():
        gallery.write_pictures(model, unseen, labels, config.corruption, run.folder)


def build(config: Config) -> Autoencoder:
    """The untrained model of a config."""
    return Autoencoder(
        latent_dim=config.latent_dim, hidden_dim=config.hidden_dim, network=config.network
    )


def restore(folder: str | Path) -> Autoencoder:
    """Return the trained model of a run."""
    return restored(folder, Config, build)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 4 images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    images, _ = data.mnist_small().train[:4]
    model = build(config)
    x = images.reshape(4, -1)
    z = model.encode(corrupt(x, config.corruption, Generator(config.seed)))
    image = model.decode(z)
    error = F.mse_loss(image, x)
    named = {"x": x, "z": z, "reconstruction": image, "error": error}
    return error, {**named, **dict(model.named_parameters())}

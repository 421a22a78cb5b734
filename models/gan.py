"""Generative adversarial networks (Goodfellow et al. 2014, "Generative Adversarial Nets").

**The game.** A *generator* G maps noise z ~ N(0, I) to samples G(z), with the distribution p_G; a
*discriminator* D computes the probability that x is from the data, with the distribution p, and not
from G:

    min_G max_D V(D, G),  V = E_p [ln D(x)] + E_{p_G} [ln(1 − D(x))]              (eq. 1)

**What is minimised.** At each x, p ln D + p_G ln(1 − D) is largest where p/D = p_G/(1 − D), that is
for D* = p/(p + p_G) (proposition 1). So the best discriminator computes the ratio of two unknown
densities: its logit is ln p − ln p_G. Inserted into V it gives (theorem 1)

    V(D*, G) = −ln 4 + 2 JS(p ‖ p_G),  JS = ½ KL(p ‖ m) + ½ KL(p_G ‖ m),  m = ½ (p + p_G)

with the Jensen-Shannon divergence, which is 0 for p_G = p and positive otherwise.

**Logits.** D returns a logit l, and D = σ(l) is never computed: −ln σ(l) = softplus(−l) and
−ln(1 − σ(l)) = softplus(l) are finite where ln D and ln(1 − D) overflow to −∞.

**The gradient of G.** The derivative of ln(1 − D) by l is −σ(l), which vanishes where D is certain
of a fake, as it soon is. So G minimises −ln D instead ("non-saturating", section 3), with the
derivative −σ(−l): the same fixed point, and a strong gradient where G is bad. Other games are

                    what D minimises                    what G minimises
    least squares   ½ E(l_real − 1)² + ½ E l_fake²      ½ E(l_fake − 1)²    Mao et al. 2017, eq. 9
    hinge           E[1 − l_real]₊ + E[1 + l_fake]₊     −E l_fake           Lim and Ye 2017
    wasserstein     E l_fake − E l_real                 −E l_fake           Arjovsky et al. 2017

**Wasserstein.** This distance is the least mean path on which mass must be moved to turn p_G into
p. By Kantorovich-Rubinstein duality it is the maximum of E_p f − E_{p_G} f over all functions f
with slopes of at most 1: a *critic* instead of D, with a constraint. The *gradient penalty*
(Gulrajani et al. 2017, eq. 3)

    λ E [(‖∇_x f(x)‖ − 1)²],  x = u x_real + (1 − u) x_fake,  u ~ U[0, 1] for each x

imposes it between the data and the fakes, where the best f has exactly the slope 1. Its gradient is
a second derivative. With batch norm f(x) would depend on the other x in the batch, so the critic
has none. *Spectral normalisation* (Miyato et al. 2018) bounds the slope layer by layer.

**Conditional** (Mirza and Osindero 2014): both players get the one-hot class in addition to their
input.

**Alternating steps.** A step of D changes D only, since its fakes are made without gradients; a
step of G changes G only, since D is frozen. The two do not converge but circle each other, so
samples are drawn with an average of G's last weights (`optim.EMA`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, data, nn, optim
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .parts import metrics, mnist_like, points2d
from .parts.batches import batches, concatenated
from .parts.classes import CLASSES, labels_for, with_class

if TYPE_CHECKING:
    from PIL.Image import Image

TRAINING_TIME = "about a minute on two cores"
NETWORKS = ("mlp", "dcgan", "plane")
LOSSES = ("non-saturating", "saturating", "least-squares", "hinge", "wasserstein")
STEPS = 100  # steps of the generator in an epoch of points


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are the notes' networks on 9,000 handwritten digits."""

    dataset: str = option(
        "mnist_small",
        "data set of handwritten digits or of points in the plane",
        choices=(*mnist_like.DATASETS, *points2d.DATASETS),
    )
    network: str = option(
        "mlp",
        "networks of both players: the notes' MLP, or DCGAN; plane for points",
        choices=NETWORKS,
    )
    loss: str = option("non-saturating", "objective of the two players", choices=LOSSES)
    penalty: float = option(0.0, "weight λ of the gradient penalty")
    spectral_norm: bool = option(False, "apply spectral normalisation to D's weights")
    conditional: bool = option(False, "condition generator and discriminator on the class")
    latent_dim: int = option(100, "dimension of the noise z")
    channels: int = option(32, "number of channels of DCGAN's widest layers")
    hidden_dim: int = option(128, "width of the hidden layers, for points")
    critic_steps: int = option(1, "number of steps of D per step of G")
    epochs: int = option(
        30, f"number of passes over the images, or of {STEPS} steps on points", least=0
    )
    batch_size: int = option(64, "number of images or points per step of D")
    learning_rate: float = option(2e-4, "learning rate of both Adam optimizers")
    beta1: float = option(0.5, "β₁, decay rate of the first moment of both Adam optimizers")
    beta2: float = option(0.999, "β₂, decay rate of the second moment of both Adam optimizers")
    ema_decay: float = option(0.999, "decay rate of the average of G's weights")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)
        if (self.network == "plane") != (self.dataset in points2d.DATASETS):
            fitting = "plane" if self.dataset in points2d.DATASETS else "mlp or dcgan"
            raise ValueError(f"gan: the data set {self.dataset} needs the network {fitting}")
        if self.loss == "wasserstein" and not (self.penalty or self.spectral_norm):
            raise ValueError(
                "gan: the wasserstein loss is unbounded unless the critic's slope is bounded: set "
                "penalty or spectral_norm"
            )
        if self.conditional and self.dataset not in CLASSES:
            raise ValueError(f"gan: the data set {self.dataset} has no classes for conditional")


# ------------------------------------------------------------------------------ the networks


class Generator(nn.Sequential):
    """The notes' G: noise (N, latent_dim) → images (N, output_dim) in [−1, 1].

    >>> Generator(100, 784)(tg.zeros((2, 100))).shape
    (2, 784)
    """

    def __init__(self, latent_dim: int, output_dim: int) -> None:
        super().__init__(
            *(nn.Linear(latent_dim, 256), nn.LeakyReLU(0.2)),
            *(nn.Linear(256, 512), nn.LeakyReLU(0.2)),
            *(nn.Linear(512, output_dim), nn.Tanh()),
        )


class Discriminator(nn.Sequential):
    """The notes' D: images (N, input_dim) → logits (N, 1), without their final sigmoid."""

    def __init__(self, input_dim: int) -> None:
        super().__init__(
            *(nn.Linear(input_dim, 512), nn.LeakyReLU(0.2)),
            *(nn.Linear(512, 256), nn.LeakyReLU(0.2)),
            nn.Linear(256, 1),
        )


class ConvGenerator(nn.Sequential):
    """DCGAN's G (Radford et al. 2016, fig. 1): noise (N, latent_dim) → images (N, 1, 32, 32).

    A linear layer makes a 4 × 4 image of many channels; each transposed convolution doubles its
    sides and halves its channels.

    >>> ConvGenerator(100, channels=32)(tg.zeros((2, 100))).shape
    (2, 1, 32, 32)
    """

    def __init__(self, latent_dim: int, channels: int) -> None:
        c = channels
        super().__init__(
            nn.Linear(latent_dim, 4 * c * 4 * 4, bias=False),  # the norm would remove a bias
            nn.Unflatten(1, (4 * c, 4, 4)),
            *(nn.BatchNorm2d(4 * c), nn.ReLU()),
            nn.ConvTranspose2d(4 * c, 2 * c, 4, stride=2, padding=1, bias=False),
            *(nn.BatchNorm2d(2 * c), nn.ReLU()),
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1, bias=False),
            *(nn.BatchNorm2d(c), nn.ReLU()),
            *(nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1), nn.Tanh()),
        )
        _initialize(self)


class ConvDiscriminator(nn.Sequential):
    """DCGAN's D: images (N, planes, 32, 32) → logits (N, 1), with or without batch norms."""

    def __init__(self, planes: int, channels: int, norm: bool = True) -> None:
        c = channels

        def norm_of(width: int) -> nn.Module:
            return nn.BatchNorm2d(width) if norm else nn.Identity()

        super().__init__(
            *(nn.Conv2d(planes, c, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),  # no norm
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=not norm),
            *(norm_of(2 * c), nn.LeakyReLU(0.2)),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1, bias=not norm),
            *(norm_of(4 * c), nn.LeakyReLU(0.2), nn.Flatten()),
            nn.Linear(4 * c * 4 * 4, 1),
        )
        _initialize(self)


def _initialize(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), those of norms from N(1, 0.02²), biases 0 (Radford et al., §4)."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.02)


def perceptron(input_dim: int, output_dim: int, hidden_dim: int) -> nn.Sequential:
    """Either player for points: three hidden layers (512 wide in Gulrajani et al.)."""
    h = hidden_dim
    return nn.Sequential(
        *(nn.Linear(input_dim, h), nn.ReLU()),
        *(nn.Linear(h, h), nn.ReLU()),
        *(nn.Linear(h, h), nn.ReLU()),
        nn.Linear(h, output_dim),
    )


class GAN(nn.Module):
    """The two players of a config.

    The players see images in [−1, 1]: flat for the notes' networks, padded to 32 × 32 for DCGAN.
    `inside` and `outside` convert from and to images (N, 1, 28, 28) in [0, 1]. Points are not
    changed.

    Attributes:
        classes: number of classes that the players see; 0: none.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.network, self.latent_dim = config.network, config.latent_dim
        self.classes = CLASSES[config.dataset] if config.conditional else 0
        inputs, shown = config.latent_dim + self.classes, self.classes
        if config.network == "mlp":
            self.generator: nn.Sequential = Generator(inputs, 784)
            self.discriminator: nn.Sequential = Discriminator(784 + shown)
        elif config.network == "dcgan":
            norm = not (config.penalty or config.spectral_norm)
            self.generator = ConvGenerator(inputs, config.channels)
            self.discriminator = ConvDiscriminator(1 + shown, config.channels, norm)
        else:
            self.generator = perceptron(inputs, 2, config.hidden_dim)
            self.discriminator = perceptron(2 + shown, 1, config.hidden_dim)
        if config.spectral_norm:
            for layer in list(self.discriminator.modules()):
                if isinstance(layer, (nn.Linear, nn.Conv2d)):
                    nn.spectral_norm(layer)

    def inside(self, x: Tensor) -> Tensor:
        """Data as inputs of the players; ValueError for a wrong shape or range."""
        if self.network == "plane":
            points2d.check("gan", x)
            return x
        mnist_like.check("gan", x)
        x = mnist_like.framed(x) if self.network == "dcgan" else x.reshape(len(x), -1)
        return 2 * x - 1

    def outside(self, x: Tensor) -> Tensor:
        """Outputs of G as data."""
        if self.network == "plane":
            return x
        x = (x + 1) / 2
        return mnist_like.cropped(x) if self.network == "dcgan" else x.reshape(-1, 1, 28, 28)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise (N, latent_dim), and any classes (N,) → fakes, as inputs of D."""
        fakes: Tensor = self.generator(with_class("gan", z, labels, self.classes))
        return fakes

    def judge(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Inputs of D, and any classes (N,) → D's logits (N,)."""
        logits: Tensor = self.discriminator(with_class("gan", x, labels, self.classes))
        return logits.reshape(-1)


# ------------------------------------------------------------------------------ the losses


def discriminator_loss(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    """The loss of D from its logits for data and fakes; −V for the first two losses.

    >>> discriminator_loss("non-saturating", tg.tensor([200.0]), tg.tensor([-200.0])).item()
    0.0
    """
    if loss == "least-squares":
        return 0.5 * tg.mean((real - 1) ** 2) + 0.5 * tg.mean(fake**2)
    if loss == "hinge":
        return tg.mean(F.relu(1 - real)) + tg.mean(F.relu(1 + fake))
    if loss == "wasserstein":
        return tg.mean(fake) - tg.mean(real)
    return tg.mean(F.softplus(-real)) + tg.mean(F.softplus(fake))


def generator_loss(loss: str, fake: Tensor) -> Tensor:
    """The loss of G from D's logits for its fakes.

    >>> logits = tg.tensor([-20.0], requires_grad=True)  # D is certain
    >>> for loss in ("saturating", "non-saturating"):
    ...     (slope,) = tg.grad(generator_loss(loss, logits), [logits])
    ...     print(f"{slope.item():.1g}")
    -2e-09
    -1
    """
    if loss == "non-saturating":
        return tg.mean(F.softplus(-fake))
    if loss == "saturating":
        return -tg.mean(F.softplus(fake))
    if loss == "least-squares":
        return 0.5 * tg.mean((fake - 1) ** 2)
    return -tg.mean(fake)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, generator: tg.Generator
) -> Tensor:
    """E (‖∇_x f(x)‖ − 1)², with one random x between each sample of the data and its fake.

    >>> critic = lambda x: x @ tg.tensor([3.0, 4.0])  # has the slope 5
    >>> gradient_penalty(critic, tg.zeros((6, 2)), tg.ones((6, 2)), tg.Generator(0)).item()
    16.0
    """
    u = tg.rand((len(real), *(1 for _ in real.shape[1:])), real.dtype, generator=generator)
    x = (u * real + (1 - u) * fake).detach().requires_grad_()
    # Each logit depends on its own x only, so the gradient of the sum has all their gradients.
    (slopes,) = tg.grad(tg.sum(critic(x)), [x], create_graph=True)
    return tg.mean((tg.norm(slopes.reshape(len(slopes), -1), axis=1) - 1) ** 2)


# ------------------------------------------------------------------------------ the training


def discriminator_step(
    model: GAN,
    optimizer: optim.Optimizer,
    real: Tensor,
    labels: Tensor,
    generator: tg.Generator,
    config: Config,
) -> dict[str, Tensor]:
    """One step of D, with as many fakes as data; G and its gradients are unchanged."""
    with tg.no_grad():  # no gradient reaches G
        fake = model.generate(noise(model, len(real), generator), labels)
    real_logits, fake_logits = model.judge(real, labels), model.judge(fake, labels)
    loss = discriminator_loss(config.loss, real_logits, fake_logits)
    found = {"loss": loss, "score": tg.mean(real_logits), "fake_score": tg.mean(fake_logits)}
    if config.penalty:
        excess = gradient_penalty(lambda x: model.judge(x, labels), real, fake, generator)
        found["penalty"] = excess
        loss = loss + config.penalty * excess
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return found


def generator_step(
    model: GAN,
    optimizer: optim.Optimizer,
    labels: Tensor,
    generator: tg.Generator,
    config: Config,
) -> dict[str, Tensor]:
    """One step of G, with one fake for each label; D and its gradients are unchanged."""
    with frozen(model.discriminator):
        fake = model.generate(noise(model, len(labels), generator), labels)
        loss = generator_loss(config.loss, model.judge(fake, labels))
        optimizer.zero_grad()
        loss.backward()
    optimizer.step()
    return {"generator_loss": loss}


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """A block in which a module passes gradients on, but its parameters get none."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def noise(model: GAN, count: int, generator: tg.Generator) -> Tensor:
    """z ~ N(0, I), of shape (count, latent_dim)."""
    return tg.randn((count, model.latent_dim), generator=generator)


def train(config: Config, run: Run) -> None:
    """Train both players alternately, and draw samples of the average of G's weights.

    A step is one step of G and `critic_steps` of D, each on its own data. Its metrics: "loss" of D
    without the penalty, "generator_loss", "score" and "fake_score", D's mean logits for data and
    fakes, and "penalty" without λ. After each epoch of a mixture: the number of covered "modes",
    and the fractions of samples that are "near" a mode and "sharp", as in `metrics.Modes`.
    """
    from .gallery import gan as gallery

    tg.manual_seed(config.seed)
    rows = config.critic_steps * config.batch_size
    source: data.Dataset = (
        points2d.Draws(config.dataset, STEPS * rows)
        if config.network == "plane"
        else mnist_like.load(config.dataset).train
    )
    model = GAN(config)
    ema = optim.EMA(model.generator, config.ema_decay, warmup=True)
    of_discriminator, of_generator = (
        optim.Adam(player.parameters(), config.learning_rate, (config.beta1, config.beta2))
        for player in (model.discriminator, model.generator)
    )

    def step(batch: tuple[Tensor, Tensor], generator: tg.Generator) -> dict[str, Tensor]:
        parts = batches(model.inside(batch[0]), batch[1], size=config.batch_size)
        for real, labels in parts:
            found = discriminator_step(model, of_discriminator, real, labels, generator, config)
        found |= generator_step(model, of_generator, labels, generator, config)
        ema.update()
        return found

    def coverage(epoch: int) -> dict[str, float] | None:
        if config.dataset not in metrics.MIXTURES:
            return None
        with ema.average():
            found = metrics.modes(sample(model, 2500, tg.Generator(0)), config.dataset)
        return {"modes": found.covered, "near": tg.sum(found.shares).item(), "sharp": found.sharp}

    @ema.average()
    def draw(generator: tg.Generator) -> Tensor | Image:
        return gallery.samples(model, config.dataset, generator)

    run.train(
        step,
        {
            "model": model,
            "discriminator_optimizer": of_discriminator,
            "generator_optimizer": of_generator,
            "ema": ema,
        },
        data.DataLoader(source, rows, shuffle=True, seed=config.seed),
        config.epochs,
        on_epoch=coverage,
        sample=draw,
    )
    with ema.average(), run.drawing():
        gallery.write_pictures(model, config.dataset, run.folder)


def restore(folder: str | Path) -> GAN:
    """Return the trained model of a run, with the averaged weights of G."""

    def load(model: GAN, state: dict[str, Any]) -> None:
        model.load_state_dict(state["model"])
        model.generator.load_state_dict(state["ema"]["model"])

    return restored(folder, Config, GAN, load).eval()


# ------------------------------------------------------------------------------ the samples


def sample(model: GAN, count: int, generator: tg.Generator, *, label: int | None = None) -> Tensor:
    """New images (count, 1, 28, 28) in [0, 1] or points (count, 2).

    A conditional model draws the class `label`, or all classes in turn. Raises ValueError for a
    class that the model does not have.
    """
    labels = labels_for(label, count, model.classes)
    return render(model, noise(model, count, generator), labels)


@tg.no_grad()
def render(model: GAN, z: Tensor, labels: Tensor) -> Tensor:
    """Noise (N, latent_dim) and classes (N,) → fakes as data, in evaluation mode."""
    with evaluating(model):
        return concatenated(lambda *batch: model.outside(model.generate(*batch)), z, labels)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained generator for 4 fakes, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    model = GAN(config)
    z, labels = noise(model, 4, tg.Generator(config.seed)), tg.arange(4) % max(model.classes, 1)
    model.discriminator.requires_grad_(False)  # as in the generator's step
    fake = model.generate(z, labels)
    logits = model.judge(fake, labels)
    loss = generator_loss(config.loss, logits)
    named = {"z": z, "G(z)": fake, "logits": logits, "loss": loss}
    return loss, {**named, **dict(model.named_parameters())}

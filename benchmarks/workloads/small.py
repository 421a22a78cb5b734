"""Small operations and matrix products: where what a library costs per operation counts most."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .training import Step, training, with_weights


def chain(lib: Library) -> Step:
    """200 operations on 4 numbers, forward and backward: y ← 1.01 · tanh(y · w + b), 50 times."""
    x, w, b = (lib.tensor(np.full(4, v, np.float32), requires_grad=True) for v in (1, 0.9, 0.1))

    def step() -> Any:
        y = x
        for _ in range(50):
            y = (y * w + b).tanh() * 1.01
        loss = y.sum()
        x.grad = w.grad = b.grad = None
        loss.backward()
        return loss

    return step


def names_mlp(lib: Library) -> Step:
    """Three letters of a name, embedded in 10 numbers each, 200 tanh units, batch 32, SGD."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 200), nn.Tanh(), nn.Linear(200, 27)
    )
    with_weights(lib, net)
    x, target = map(lib.tensor, names_data())
    optimizer = lib.optim["SGD"](net.parameters(), lr=0.1)
    return training(optimizer, lambda: lib.F.cross_entropy(net(x), target))


def names_data() -> tuple[Any, Any]:
    """Three letters each, and the letters that follow."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 27, (32, 3)), rng.integers(0, 27, 32)


def mlp(lib: Library) -> Step:
    """784-256-256-10 with ReLU, cross-entropy, batch 64, Adam."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )
    with_weights(lib, net)
    x, target = map(lib.tensor, mlp_data())
    optimizer = lib.optim["Adam"](net.parameters(), lr=1e-3)
    return training(optimizer, lambda: lib.F.cross_entropy(net(x), target))


def mlp_data() -> tuple[Any, Any]:
    """Rows of 784 numbers in ten classes."""
    rng = np.random.default_rng(1)
    return rng.random((64, 784), np.float32), rng.integers(0, 10, 64)


def vae(lib: Library) -> Step:
    """Encoder 784-256, μ and ln σ² of 20, decoder 20-256-784, Bernoulli; batch 128, Adam."""
    nn = lib.nn

    class VAE(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU())
            self.fc_mu, self.fc_log_var = nn.Linear(256, 20), nn.Linear(256, 20)
            self.decoder = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 784))

        def forward(self, x: Any, noise: Any) -> Any:
            h = self.encoder(x)
            mu, log_var = self.fc_mu(h), self.fc_log_var(h)
            logits = self.decoder(mu + (0.5 * log_var).exp() * noise)
            bce = lib.F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum()
            return (bce + kl) / len(x)

    net = with_weights(lib, VAE())
    x, noise = map(lib.tensor, vae_data())
    optimizer = lib.optim["Adam"](net.parameters(), lr=1e-3)
    return training(optimizer, lambda: net(x, noise))


def vae_data() -> tuple[Any, Any]:
    """Black and white pixels, and the noise for the codes."""
    rng = np.random.default_rng(1)
    pixels = (rng.random((128, 784)) < 0.13).astype(np.float32)
    return pixels, rng.standard_normal((128, 20), np.float32)


def gan(lib: Library) -> Step:
    """G 64-256-512-784 and D 784-512-256-1, batch 64: a step of D, a step of G, two Adams."""
    nn = lib.nn
    generator = nn.Sequential(
        *(nn.Linear(64, 256), nn.LeakyReLU(0.2)),
        *(nn.Linear(256, 512), nn.LeakyReLU(0.2)),
        *(nn.Linear(512, 784), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Linear(784, 512), nn.LeakyReLU(0.2)),
        *(nn.Linear(512, 256), nn.LeakyReLU(0.2)),
        nn.Linear(256, 1),
    )
    return adversarial(lib, generator, discriminator, *map(lib.tensor, gan_data()))


def gan_data() -> tuple[Any, Any]:
    """Real pictures and the generator's noise."""
    rng = np.random.default_rng(1)
    real = rng.uniform(-1, 1, (64, 784)).astype(np.float32)
    return real, rng.standard_normal((64, 64), np.float32)


def adversarial(lib: Library, generator: Any, discriminator: Any, real: Any, noise: Any) -> Step:
    """Non-saturating GAN: real up and detached fakes down for D, fakes up for G."""
    for net in (generator, discriminator):
        with_weights(lib, net)
    g_steps, d_steps = (
        lib.optim["Adam"](net.parameters(), lr=2e-5, betas=(0.5, 0.999))
        for net in (generator, discriminator)
    )

    def step() -> Any:
        fake = generator(noise)
        d_loss = lib.F.softplus(-discriminator(real)).mean()
        d_loss = d_loss + lib.F.softplus(discriminator(fake.detach())).mean()
        d_steps.zero_grad()
        d_loss.backward()
        d_steps.step()
        g_loss = lib.F.softplus(-discriminator(fake)).mean()
        g_steps.zero_grad()
        g_loss.backward()
        g_steps.step()
        return d_loss + g_loss

    return step


def adam(lib: Library) -> Step:
    """The update alone: Adam on 10 million parameters in ten tensors."""
    rng = np.random.default_rng(1)
    parameters = [
        lib.tensor(rng.standard_normal(1_000_000, np.float32), requires_grad=True)
        for _ in range(10)
    ]
    for parameter in parameters:
        parameter.grad = lib.tensor(rng.standard_normal(1_000_000, np.float32))
    optimizer = lib.optim["Adam"](parameters, lr=1e-3)

    def step() -> Any:
        optimizer.step()
        return parameters[0][:8].sum()

    return step

"""What is timed: each workload makes a step (forward, zero_grad, backward, update) in a library.

A step returns its loss, so that the harness can see that both libraries compute the same thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .libraries import Library

Step = Callable[[], Any]


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


def mlp(lib: Library) -> Step:
    """784-256-256-10 with ReLU, cross-entropy, batch 64, Adam."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )
    _set_weights(lib, net)
    rng = np.random.default_rng(1)
    x = lib.tensor(rng.random((64, 784), np.float32))
    target = lib.tensor(rng.integers(0, 10, 64))
    optimizer = lib.adam(net.parameters(), lr=1e-3)

    def step() -> Any:
        loss = lib.functional.cross_entropy(net(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


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
            bce = lib.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum()
            return (bce + kl) / len(x)

    net = VAE()
    _set_weights(lib, net)
    rng = np.random.default_rng(1)
    x = lib.tensor((rng.random((128, 784)) < 0.13).astype(np.float32))
    noise = lib.tensor(rng.standard_normal((128, 20), np.float32))
    optimizer = lib.adam(net.parameters(), lr=1e-3)

    def step() -> Any:
        loss = net(x, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _set_weights(lib: Library, net: Any) -> None:
    """The same weights in every library: U(±1/√fan_in) from one seed, in the order of the names."""
    rng = np.random.default_rng(0)
    shapes = {name: tuple(p.shape) for name, p in net.state_dict().items()}
    bounds = {name: shape[-1] ** -0.5 for name, shape in shapes.items()}
    drawn = {n: rng.uniform(-bounds[n], bounds[n], s).astype(np.float32) for n, s in shapes.items()}
    lib.load(net, drawn)


WORKLOADS = {"chain": chain, "mlp": mlp, "vae": vae}

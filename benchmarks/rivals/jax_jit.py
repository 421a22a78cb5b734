"""The workloads in JAX: a whole step is one compiled function whose state is donated.

A reference line and no rival: a compiler may fuse what NumPy must do operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..workloads.small import gan_data, mlp_data, names_data, vae_data
from ..workloads.training import Step
from .weights import DISCRIMINATOR_SIZES, GENERATOR_SIZES, VAE_SIZES, weights

version = jax.__version__


def _compiled(state: Any, advance: Callable[[Any], Any]) -> Step:
    """A step of the pure function `advance`: state → (loss, state)."""
    run, place = jax.jit(advance, donate_argnums=0), [jax.tree.map(jnp.array, state)]

    def step() -> Any:
        loss, place[0] = jax.block_until_ready(run(place[0]))
        return loss

    return step


def _first(arrays: list[Any]) -> Any:
    """Adam's state: the arrays, both moments, the count of steps."""
    return arrays, *([np.zeros_like(a) for a in arrays] for _ in range(2)), np.float32(0)


def _adam(state: Any, gradients: Any, lr: float = 1e-3, first: float = 0.9) -> Any:
    """Adam (Kingma & Ba 2015)."""
    arrays, m, v, count = state
    second, count = 0.999, count + 1
    m = [first * m + (1 - first) * g for m, g in zip(m, gradients, strict=True)]
    v = [second * v + (1 - second) * g * g for v, g in zip(v, gradients, strict=True)]
    rate, shrink = lr / (1 - first**count), (1 - second**count) ** -0.5
    arrays = [
        a - rate * m / (jnp.sqrt(v) * shrink + 1e-8) for a, m, v in zip(arrays, m, v, strict=True)
    ]
    return arrays, m, v, count


def _training(arrays: list[Any], loss_of: Callable[..., Any]) -> Step:
    """A step of Adam on a loss of the arrays."""

    def advance(state: Any) -> Any:
        loss, gradients = jax.value_and_grad(lambda arrays: loss_of(*arrays))(state[0])
        return loss, _adam(state, gradients)

    return _compiled(_first(arrays), advance)


def _leaky(x: Any) -> Any:
    return jax.nn.leaky_relu(x, 0.2)


def _dense(x: Any, *layers: Any, activation: Any = jax.nn.relu) -> Any:
    for i in range(0, len(layers), 2):
        x = (activation(x) if i else x) @ layers[i] + layers[i + 1]
    return x


def _cross_entropy(logits: Any, target: Any) -> Any:
    return -jnp.mean(jax.nn.log_softmax(logits)[np.arange(len(target)), target])


def chain() -> Step:
    leaves = [np.full(4, v, np.float32) for v in (1, 0.9, 0.1)]

    def loss(leaves: Any) -> Any:
        y, w, b = leaves
        for _ in range(50):
            y = jnp.tanh(y * w + b) * 1.01
        return y.sum()

    run = jax.jit(jax.value_and_grad(loss))
    leaves = [jnp.array(leaf) for leaf in leaves]
    return lambda: jax.block_until_ready(run(leaves))[0]


def names_mlp() -> Step:
    arrays, (x, target) = weights((30, 200), (200, 27), table=(27, 10)), names_data()

    def loss_of(arrays: Any) -> Any:
        table, *layers = arrays
        rows = table[x].reshape(len(x), 30)
        return _cross_entropy(_dense(rows, *layers, activation=jnp.tanh), target)

    def advance(arrays: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(arrays)
        return loss, [a - 0.1 * g for a, g in zip(arrays, gradients, strict=True)]

    return _compiled(arrays, advance)


def mlp() -> Step:
    arrays, (x, target) = weights((784, 256), (256, 256), (256, 10)), mlp_data()
    return _training(arrays, lambda *layers: _cross_entropy(_dense(x, *layers), target))


def vae() -> Step:
    x, noise = vae_data()

    def loss(*layers: Any) -> Any:
        h = jax.nn.relu(_dense(x, *layers[:2]))
        mu, log_var = _dense(h, *layers[2:4]), _dense(h, *layers[4:6])
        logits = _dense(mu + jnp.exp(0.5 * log_var) * noise, *layers[6:])
        bce = (jax.nn.softplus(logits) - x * logits).sum()
        kl = -0.5 * (1 + log_var - mu**2 - jnp.exp(log_var)).sum()
        return (bce + kl) / len(x)

    return _training(weights(*VAE_SIZES), loss)


def gan() -> Step:
    real, noise = gan_data()

    def made(makers: Any) -> Any:
        return jnp.tanh(_dense(noise, *makers, activation=_leaky))

    def judged(judges: Any, x: Any, sign: float) -> Any:
        return jax.nn.softplus(sign * _dense(x, *judges, activation=_leaky)).mean()

    def advance(states: Any) -> Any:
        makers, judges = states
        fake, backward = jax.vjp(made, makers[0])
        d_loss, gradients = jax.value_and_grad(
            lambda arrays: judged(arrays, real, -1) + judged(arrays, fake, 1)
        )(judges[0])
        judges = _adam(judges, gradients, 2e-5, 0.5)
        g_loss, of_fake = jax.value_and_grad(lambda fake: judged(judges[0], fake, -1))(fake)
        makers = _adam(makers, backward(of_fake)[0], 2e-5, 0.5)
        return d_loss + g_loss, (makers, judges)

    states = _first(weights(*GENERATOR_SIZES)), _first(weights(*DISCRIMINATOR_SIZES))
    return _compiled(states, advance)


workloads = {"chain": chain, "names-mlp": names_mlp, "mlp": mlp, "vae": vae, "gan": gan}

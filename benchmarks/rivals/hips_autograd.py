"""The workloads in HIPS autograd, which has no optimizers: ours work in place on its arrays."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad
from autograd.tracer import getval

from ..workloads.small import gan_data, mlp_data, names_data, vae_data
from ..workloads.training import Step
from .weights import DISCRIMINATOR_SIZES, GENERATOR_SIZES, VAE_SIZES, Adam, weights

version = version_of("autograd")


def _training(arrays: list[Any], loss_of: Callable[..., Any], update: Callable[..., Any]) -> Step:
    """A step that updates arrays with the gradients of a loss of them."""
    with_gradients = value_and_grad(lambda arrays: loss_of(*arrays))

    def step() -> Any:
        loss, gradients = with_gradients(arrays)
        update(gradients)
        return loss

    return step


def _relu(x: Any) -> Any:
    return anp.maximum(x, 0)


def _leaky(x: Any) -> Any:
    return anp.maximum(x, 0.2 * x)


def _dense(x: Any, *layers: Any, activation: Any = _relu) -> Any:
    for i in range(0, len(layers), 2):
        x = anp.dot(activation(x) if i else x, layers[i]) + layers[i + 1]
    return x


def _cross_entropy(logits: Any, target: Any) -> Any:
    shifted = logits - getval(logits).max(axis=1, keepdims=True)  # a constant: it cancels
    totals = anp.log(anp.sum(anp.exp(shifted), axis=1))
    return anp.mean(totals - shifted[np.arange(len(target)), target])


def chain() -> Step:
    leaves = [np.full(4, v, np.float32) for v in (1, 0.9, 0.1)]

    def loss(leaves: Any) -> Any:
        y, w, b = leaves
        for _ in range(50):
            y = anp.tanh(y * w + b) * 1.01
        return anp.sum(y)

    with_gradients = value_and_grad(loss)
    return lambda: with_gradients(leaves)[0]


def names_mlp() -> Step:
    arrays, (x, target) = weights((30, 200), (200, 27), table=(27, 10)), names_data()

    def loss(table: Any, *layers: Any) -> Any:
        rows = anp.reshape(table[x], (len(x), 30))
        return _cross_entropy(_dense(rows, *layers, activation=anp.tanh), target)

    def update(gradients: list[Any]) -> None:
        for array, gradient in zip(arrays, gradients, strict=True):
            array -= 0.1 * gradient

    return _training(arrays, loss, update)


def mlp() -> Step:
    arrays, (x, target) = weights((784, 256), (256, 256), (256, 10)), mlp_data()
    return _training(
        arrays, lambda *layers: _cross_entropy(_dense(x, *layers), target), Adam(arrays).step
    )


def vae() -> Step:
    arrays, (x, noise) = weights(*VAE_SIZES), vae_data()

    def loss(*layers: Any) -> Any:
        h = _relu(_dense(x, *layers[:2]))
        mu, log_var = _dense(h, *layers[2:4]), _dense(h, *layers[4:6])
        logits = _dense(mu + anp.exp(0.5 * log_var) * noise, *layers[6:])
        bce = anp.sum(anp.logaddexp(0, logits) - x * logits)
        kl = -0.5 * anp.sum(1 + log_var - mu**2 - anp.exp(log_var))
        return (bce + kl) / len(x)

    return _training(arrays, loss, Adam(arrays).step)


def gan() -> Step:
    makers, judges = weights(*GENERATOR_SIZES), weights(*DISCRIMINATOR_SIZES)
    g_steps, d_steps = (Adam(arrays, 2e-5, (0.5, 0.999)) for arrays in (makers, judges))
    real, noise = gan_data()

    def made(makers: Any) -> Any:
        return anp.tanh(_dense(noise, *makers, activation=_leaky))

    def judged(judges: Any, x: Any, sign: float) -> Any:
        return anp.mean(anp.logaddexp(0, sign * _dense(x, *judges, activation=_leaky)))

    d_loss_of = value_and_grad(
        lambda judges, fake: judged(judges, real, -1) + judged(judges, fake, 1)
    )
    g_loss_of = value_and_grad(lambda fake, judges: judged(judges, fake, -1))

    def step() -> Any:
        backward, fake = make_vjp(made)(makers)
        d_loss, gradients = d_loss_of(judges, fake)
        d_steps.step(gradients)
        g_loss, of_fake = g_loss_of(fake, judges)
        g_steps.step(backward(of_fake))
        return d_loss + g_loss

    return step


workloads = {"chain": chain, "names-mlp": names_mlp, "mlp": mlp, "vae": vae, "gan": gan}

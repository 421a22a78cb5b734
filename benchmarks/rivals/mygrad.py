"""The workloads in MyGrad, which has no optimizers: those are ours, in place on its arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import conv_nd, max_pool, relu, softmax_crossentropy

from ..workloads.small import gan_data, mlp_data, names_data, vae_data
from ..workloads.training import Step
from ..workloads.vision import pictures
from .weights import DISCRIMINATOR_SIZES, GENERATOR_SIZES, VAE_SIZES, Adam, weights

version = mg.__version__
mg.turn_memory_guarding_off()  # as its documentation advises where speed counts

ONE, HALF, SLOPE = np.float32(1), np.float32(0.5), np.float32(0.2)  # floats would give float64


def _training(arrays: list[Any], loss_of: Callable[..., Any], update: Callable[..., Any]) -> Step:
    """A step that updates arrays with the gradients of a loss of them."""
    leaves = [mg.tensor(array, copy=False) for array in arrays]

    def step() -> Any:
        loss = loss_of(*leaves)
        loss.backward()
        update([leaf.grad for leaf in leaves])
        return loss

    return step


def _dense(x: Any, *layers: Any, activation: Any = relu) -> Any:
    for i in range(0, len(layers), 2):
        x = mg.matmul(activation(x) if i else x, layers[i]) + layers[i + 1]
    return x


def chain() -> Step:
    leaves = [mg.tensor(np.full(4, v, np.float32)) for v in (1, 0.9, 0.1)]
    factor = np.float32(1.01)

    def step() -> Any:
        y, w, b = leaves
        for _ in range(50):
            y = mg.tanh(y * w + b) * factor
        loss = y.sum()
        loss.backward()
        return loss

    return step


def names_mlp() -> Step:
    arrays, (x, target) = weights((30, 200), (200, 27), table=(27, 10)), names_data()

    def loss(table: Any, *layers: Any) -> Any:
        rows = table[x].reshape(len(x), 30)
        return softmax_crossentropy(_dense(rows, *layers, activation=mg.tanh), target)

    def update(gradients: list[Any]) -> None:
        for array, gradient in zip(arrays, gradients, strict=True):
            array -= 0.1 * gradient

    return _training(arrays, loss, update)


def mlp() -> Step:
    arrays, (x, target) = weights((784, 256), (256, 256), (256, 10)), mlp_data()

    def loss(*layers: Any) -> Any:
        return softmax_crossentropy(_dense(x, *layers), target)

    return _training(arrays, loss, Adam(arrays).step)


def vae() -> Step:
    arrays, (x, noise) = weights(*VAE_SIZES), vae_data()

    def loss(*layers: Any) -> Any:
        h = relu(_dense(x, *layers[:2]))
        mu, log_var = _dense(h, *layers[2:4]), _dense(h, *layers[4:6])
        logits = _dense(mu + mg.exp(HALF * log_var) * noise, *layers[6:])
        bce = (mg.logaddexp(logits, 0 * ONE) - x * logits).sum()
        kl = -HALF * (ONE + log_var - mu**2 - mg.exp(log_var)).sum()
        return (bce + kl) / np.float32(len(x))

    return _training(arrays, loss, Adam(arrays).step)


def gan() -> Step:
    pairs = [weights(*sizes) for sizes in (GENERATOR_SIZES, DISCRIMINATOR_SIZES)]
    makers, judges = ([mg.tensor(a, copy=False) for a in arrays] for arrays in pairs)
    g_steps, d_steps = (Adam(arrays, 2e-5, (0.5, 0.999)) for arrays in pairs)
    real, noise = gan_data()

    def leaky(x: Any) -> Any:
        return mg.maximum(x, SLOPE * x)  # its own gives float64

    def judged(x: Any, sign: Any) -> Any:
        return mg.logaddexp(sign * _dense(x, *judges, activation=leaky), 0 * ONE).mean()

    def step() -> Any:
        fake = mg.tanh(_dense(noise, *makers, activation=leaky))
        d_loss = judged(real, -ONE) + judged(fake.data, ONE)
        d_loss.backward()
        d_steps.step([leaf.grad for leaf in judges])
        g_loss = judged(fake, -ONE)
        g_loss.backward()
        g_steps.step([leaf.grad for leaf in makers])
        return d_loss + g_loss

    return step


def lenet() -> Step:
    arrays = weights((32, 1, 3, 3), (64, 32, 3, 3), (3136, 128), (128, 10))
    x, target = pictures((64, 1, 28, 28))

    def loss(*layers: Any) -> Any:
        y = x
        for weight, bias in (layers[:2], layers[2:4]):
            y = conv_nd(y, weight, stride=1, padding=1) + bias.reshape(1, -1, 1, 1)
            y = max_pool(relu(y), (2, 2), 2)
        return softmax_crossentropy(_dense(y.reshape(len(x), -1), *layers[4:]), target)

    return _training(arrays, loss, Adam(arrays).step)


workloads = {
    "chain": chain,
    "names-mlp": names_mlp,
    "mlp": mlp,
    "vae": vae,
    "gan": gan,
    "lenet": lenet,
}

"""The workloads in PyDyNet, with its own layers and optimizers where they compute the same.

Its gradient of an index that occurs twice is wrong, so embeddings are products with one-hot rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that there is no CuPy
    import pydynet as pdn
from pydynet.nn import functional as F
from pydynet.optim import SGD, Adam

from ..workloads.sequences import lstm_data
from ..workloads.small import gan_data, mlp_data, names_data, vae_data
from ..workloads.training import Step, initial
from ..workloads.vision import pictures
from .weights import DISCRIMINATOR_SIZES, GENERATOR_SIZES, VAE_SIZES, weights

version = version_of("pydynet")
EPS = 4e-10  # its Adam does not correct the bias of √v before it adds this: as 1e-8 at first


def _leaves(arrays: list[Any]) -> list[Any]:
    return [pdn.Tensor(array, dtype=np.float32, requires_grad=True) for array in arrays]


def _training(optimizer: Any, loss_of: Callable[[], Any]) -> Step:
    def step() -> Any:
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _leaky(x: Any) -> Any:
    return F.leaky_relu(x, 0.2)


def _dense(x: Any, *layers: Any, activation: Any = F.relu) -> Any:
    for i in range(0, len(layers), 2):
        x = F.linear(activation(x) if i else x, layers[i], layers[i + 1])
    return x


def _softplus(x: Any) -> Any:
    size = pdn.maximum(x, -x)  # not `abs` or `minimum`: their gradients fail
    return pdn.maximum(0.0, x) + pdn.log(1.0 + pdn.exp(-size))


def chain() -> Step:
    leaves = _leaves([np.full(4, v) for v in (1, 0.9, 0.1)])

    def step() -> Any:
        y, w, b = leaves
        for _ in range(50):
            y = pdn.tanh(y * w + b) * 1.01
        loss = y.sum()
        for leaf in leaves:
            leaf.zero_grad()
        loss.backward()
        return loss

    return step


def names_mlp() -> Step:
    table, *layers = _leaves(weights((30, 200), (200, 27), table=(27, 10)))
    symbols, classes = names_data()
    x, target = pdn.Tensor(_one_hot(symbols, 27)), pdn.Tensor(classes)

    def loss() -> Any:
        rows = (x @ table).reshape(32, 30)
        return F.cross_entropy_loss(_dense(rows, *layers, activation=F.tanh), target)

    return _training(SGD([table, *layers], 0.1, momentum=0.0, nesterov=False), loss)


def _one_hot(numbers: Any, count: int) -> Any:
    return np.eye(count, dtype=np.float32)[numbers.reshape(-1)]


def mlp() -> Step:
    layers, (x, target) = _leaves(weights((784, 256), (256, 256), (256, 10))), mlp_data()
    x, target = pdn.Tensor(x), pdn.Tensor(target)
    return _training(
        Adam(layers, eps=EPS), lambda: F.cross_entropy_loss(_dense(x, *layers), target)
    )


def vae() -> Step:
    layers, (x, noise) = _leaves(weights(*VAE_SIZES)), map(pdn.Tensor, vae_data())

    def loss() -> Any:
        h = F.relu(_dense(x, *layers[:2]))
        mu, log_var = _dense(h, *layers[2:4]), _dense(h, *layers[4:6])
        logits = _dense(mu + pdn.exp(0.5 * log_var) * noise, *layers[6:])
        bce = (_softplus(logits) - x * logits).sum()
        kl = -0.5 * (1.0 + log_var - pdn.square(mu) - pdn.exp(log_var)).sum()
        return (bce + kl) / len(x)

    return _training(Adam(layers, eps=EPS), loss)


def gan() -> Step:
    makers, judges = (_leaves(weights(*s)) for s in (GENERATOR_SIZES, DISCRIMINATOR_SIZES))
    g_steps, d_steps = (Adam(leaves, 2e-5, (0.5, 0.999), EPS) for leaves in (makers, judges))
    real, noise = map(pdn.Tensor, gan_data())

    def made() -> Any:
        return pdn.tanh(_dense(noise, *makers, activation=_leaky))

    def judged(x: Any, sign: float) -> Any:
        return _softplus(sign * _dense(x, *judges, activation=_leaky)).mean()

    def step() -> Any:
        with pdn.no_grad():  # `backward` frees every node made before the loss: make them twice
            fake = made()
        d_loss = judged(real, -1.0) + judged(fake, 1.0)
        d_steps.zero_grad()
        d_loss.backward()
        d_steps.step()
        g_loss = judged(made(), -1.0)
        g_steps.zero_grad()
        g_loss.backward()
        g_steps.step()
        with pdn.no_grad():
            return d_loss + g_loss

    return step


def lenet() -> Step:
    leaves = _leaves(weights((32, 1, 3, 3), (64, 32, 3, 3), (3136, 128), (128, 10)))
    x, target = map(pdn.Tensor, pictures((64, 1, 28, 28)))

    def loss() -> Any:
        y = x
        for weight, bias in (leaves[:2], leaves[2:4]):
            y = F.conv2d(y, weight, padding=1) + bias.reshape(1, -1, 1, 1)
            y = F.max_pool2d(F.relu(y), 2, 2)
        return F.cross_entropy_loss(_dense(y.reshape(64, -1), *leaves[4:]), target)

    return _training(Adam(leaves, eps=EPS), loss)


def lstm() -> Step:
    gates = (512, 128)
    arrays = initial(
        {
            **{"table": (65, 128), "inputs": gates, "states": gates, "b": (512,), "c": (512,)},
            **{"head": (65, 128), "head bias": (65,)},
        }
    )
    for name in ("inputs", "states", "head"):
        arrays[name] = arrays[name].T.copy()
    table, inputs, states, b, c_bias, head, head_bias = leaves = _leaves(list(arrays.values()))
    symbols, classes = lstm_data()
    steps = [pdn.Tensor(_one_hot(row, 65)) for row in symbols]
    target, nothing = pdn.Tensor(classes), pdn.Tensor(np.zeros((32, 128), np.float32))

    def loss() -> Any:
        h = c = nothing
        outputs = []
        for x in steps:
            gates = (x @ table) @ inputs + b + (h @ states + c_bias)
            i, f, g, o = pdn.hsplit(gates, 4)
            c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
            h = F.sigmoid(o) * F.tanh(c)
            outputs.append(h)
        return F.cross_entropy_loss(F.linear(pdn.concat(outputs), head, head_bias), target)

    return _training(Adam(leaves, eps=EPS), loss)


workloads = {
    "chain": chain,
    "names-mlp": names_mlp,
    "mlp": mlp,
    "vae": vae,
    "gan": gan,
    "lenet": lenet,
    "lstm": lstm,
}

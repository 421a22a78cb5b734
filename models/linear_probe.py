"""What a linear classifier reads from the codes of images: a measure of a representation.

A good code has the class of an image in a direction of its own. So multinomial logistic regression
is trained on the codes, which themselves stay as they are (Alain and Bengio 2017, "Understanding
Intermediate Layers Using Linear Classifier Probes", section 3). With the codes z scaled to mean 0
and variance 1 it minimises

    −(1/N) Σ ln softmax(z W + b)_label + λ/2 ‖W‖²,

which is convex: the accuracy depends on the codes and λ only.
"""

from __future__ import annotations

from typing import NamedTuple

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn, optim
from tinygrad_gm.nn import Module

from . import autoencoder
from .vae import VAE
from .vqvae import TwoStages, VQVAE

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # λ, chosen on held-out codes


class Codes(NamedTuple):
    """Codes (N, D) of images, and the labels (N,) of these."""

    z: Tensor
    labels: Tensor


@tg.no_grad()
def codes(model: Module | TwoStages, images: Tensor) -> Tensor:
    """The codes (N, D) of images (N, 1, 28, 28): the means of a VAE, the codes of an autoencoder,
    the codebook entries of a VQ-VAE, 7 · 7 · D numbers.

    Raises ValueError for a model without codes, or a conditional VAE, whose code needs the class.
    """
    if isinstance(model, VAE) and not model.classes:
        return model.encode(images.reshape(len(images), -1))[0]
    if isinstance(model, autoencoder.Autoencoder):
        return autoencoder.encode(model, images)
    if isinstance(model, TwoStages):
        model = model.autoencoder
    if isinstance(model, VQVAE):
        return model.quantizer.lookup(model.encode(images)).reshape(len(images), -1)
    raise ValueError(f"codes: a {type(model).__name__} of this kind has no codes of images")


def fit(train: Codes, strength: float, steps: int = 200) -> nn.Linear:
    """Minimise the loss above with λ = `strength`, by Adam on all codes at once."""
    z, labels = train
    layer = nn.Linear(z.shape[1], int(tg.max(labels).item()) + 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    optimizer = optim.Adam(layer.parameters(), lr=0.05)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(z), labels) + strength * F.l2_penalty(layer.weight)
        loss.backward()
        optimizer.step()
        schedule.step()
    return layer


def accuracy(train: Codes, held_out: Codes, test: Codes) -> float:
    """The fraction of test codes whose class is read, with the λ that is best on held-out codes."""
    mean, std = tg.mean(train.z, axis=0), tg.std(train.z, axis=0)
    scaled = [Codes((z - mean) / (std + 1e-6), labels) for z, labels in (train, held_out, test)]
    layers = [fit(scaled[0], strength) for strength in STRENGTHS]
    best = max(layers, key=lambda layer: _right(layer, scaled[1]))
    return _right(best, scaled[2])


@tg.no_grad()
def _right(layer: nn.Linear, part: Codes) -> float:
    return float(tg.mean(tg.argmax(layer(part.z), axis=1) == part.labels))

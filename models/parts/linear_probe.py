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

from .. import autoencoder
from ..vae import VAE
from ..vqvae import VQVAE, TwoStages

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # λ, chosen on held-out codes


class Codes(NamedTuple):
    """Codes (N, D) of images, and the labels (N,) of these."""

    z: Tensor
    labels: Tensor


def has_codes(model: object) -> bool:
    """Whether `codes` accepts a model: a conditional VAE's code needs the class of the image."""
    if isinstance(model, VAE):
        return not model.classes
    return isinstance(model, (autoencoder.Autoencoder, VQVAE, TwoStages))


@tg.no_grad()
def codes(model: VAE | autoencoder.Autoencoder | VQVAE | TwoStages, images: Tensor) -> Tensor:
    """The codes (N, D) of images (N, 1, 28, 28): the means of a VAE, the codes of an autoencoder,
    the codebook entries of a VQ-VAE, 7 · 7 · D numbers.

    Raises ValueError for other models; see `has_codes`.
    """
    if not has_codes(model):
        raise ValueError(f"codes: {type(model).__name__} has no codes that depend on images alone")
    if isinstance(model, VAE):
        return model.encode(images.reshape(len(images), -1))[0]
    if isinstance(model, autoencoder.Autoencoder):
        return autoencoder.encode(model, images)
    network = model.autoencoder if isinstance(model, TwoStages) else model
    return network.quantizer.lookup(network.encode(images)).reshape(len(images), -1)


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

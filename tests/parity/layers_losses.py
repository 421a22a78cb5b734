"""Losses and distances: every reduction, and weights, which stand in the state dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pairs_losses
import torch
from comparer import Config
from drawing import Draw
from layers import Call, Layer


def as_layer(draw: Callable[[Draw], Config]) -> Callable[[Draw], Call]:
    """A call of the function as one of the layer, whose arguments are the static ones."""

    def call(d: Draw) -> Call:
        drawn = draw(d)
        arguments = {
            key: value.copy() if isinstance(value, np.ndarray) else value
            for key, value in drawn.params.items()
        }
        return Call(arguments, drawn.arrays, d.dtype)

    return call


def translate(arguments: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's words for axes, and its tensors for weights."""
    words = {"axis": "dim", "keepdims": "keepdim"}
    return {
        words.get(key, key): torch.tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in arguments.items()
    }


def regression(**options: Callable[[Draw], Any]) -> Callable[[Draw], Call]:
    """Draws an input and a target."""
    return as_layer(pairs_losses.alike((-2, 2), (-2, 2), **options))


def of(name: str, draw: Callable[[Draw], Config]) -> Layer:
    """The layer of a function's draws."""
    return Layer(name, as_layer(draw), translate=translate)


number, truth = pairs_losses.number, pairs_losses.truth
counts = pairs_losses.alike((0.1, 2), (0, 4), **pairs_losses.COUNTS)
logits = pairs_losses.with_weights("weight", "pos_weight", limits=(-4, 4))

LAYERS = [
    Layer("MSELoss", regression()),
    Layer("L1Loss", regression()),
    Layer("SmoothL1Loss", regression(beta=number(0.2, 2))),
    Layer("HuberLoss", regression(delta=number(0.2, 2))),
    of("GaussianNLLLoss", pairs_losses.gaussian),
    of("PoissonNLLLoss", counts),
    of("CrossEntropyLoss", pairs_losses.classes(smoothed=True)),
    of("CrossEntropyLoss (probabilities)", pairs_losses.soft_classes),
    of("NLLLoss", pairs_losses.classes(smoothed=False)),
    of("BCELoss", pairs_losses.with_weights("weight", limits=(0.05, 0.95))),
    of("BCEWithLogitsLoss", logits),
    of("KLDivLoss", pairs_losses.divergence),
    of("CosineSimilarity", pairs_losses.along_an_axis),
    of("PairwiseDistance", pairs_losses.vectors),
    of("HingeEmbeddingLoss", pairs_losses.distances),
    of("MarginRankingLoss", pairs_losses.pairs),
    of("TripletMarginLoss", pairs_losses.triplets),
    of("CosineEmbeddingLoss", pairs_losses.directions),
]

"""Layers against PyTorch's: names, shapes, outputs, gradients, state, initial distributions."""

from __future__ import annotations

from collections.abc import Callable

import layers_activations
import layers_attention
import layers_losses
import layers_norms
import layers_recurrent
import layers_simple
import layers_spatial
import numpy as np
import pytest
import torch
from differing import compared
from layers import Layer, compare, drawn_alike

import tinygrad_gm as tg
from tinygrad_gm import nn

TABLES = (
    layers_activations,
    layers_attention,
    layers_losses,
    layers_norms,
    layers_recurrent,
    layers_simple,
    layers_spatial,
)
LAYERS = [layer for table in TABLES for layer in table.LAYERS]
CONTAINERS = {"Module", "ModuleDict", "ModuleList", "Parameter", "ParameterList", "Sequential"}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # it may be slow
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")  # of KLDivLoss
@pytest.mark.sweep
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_equals_pytorchs_layer(layer: Layer, record_property: Callable[[str, int], None]) -> None:
    record_property("cases", compare(layer))


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer.large], ids=str)
def test_starts_from_pytorchs_distribution(layer: Layer) -> None:
    assert not drawn_alike(layer)


def test_every_layer_with_a_namesake_is_compared() -> None:
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    namesakes = {name for name in classes if hasattr(torch.nn, name)} - CONTAINERS
    assert namesakes == {layer.name.partition(" (")[0] for layer in LAYERS} & namesakes


def test_a_network_trains_as_pytorchs_does(record_property: Callable[[str, int], None]) -> None:
    """A perceptron with a cross-entropy loss, 20 steps of Adam: the same losses."""
    sizes = [(8, 16), (16, 16), (16, 3)]
    tg.manual_seed(0)
    layers = [layer for m, n in sizes for layer in (nn.Linear(m, n, dtype=tg.float64), nn.Tanh())]
    others = [o for m, n in sizes for o in (torch.nn.Linear(m, n), torch.nn.Tanh())]
    ours, theirs = nn.Sequential(*layers[:-1]), torch.nn.Sequential(*others[:-1]).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(32, 8)), rng.integers(0, 3, 32)
    steps = tg.optim.Adam(ours.parameters(), lr=0.01)
    torch_steps = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(20):
        loss = tg.cross_entropy(ours(tg.tensor(x)), tg.tensor(target))
        other = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(target))
        assert not compared("value", [loss], [other])
        steps.zero_grad()
        torch_steps.zero_grad()
        loss.backward()
        other.backward()
        steps.step()
        torch_steps.step()
    record_property("cases", 1)

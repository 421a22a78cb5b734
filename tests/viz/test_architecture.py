"""The table of a model's layers: published counts, closed forms, and a model left as it was."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.models.lenet import LeNet5

SVG = "{http://www.w3.org/2000/svg}"


def test_lenet_has_its_published_parameters_and_the_operations_of_its_formulas() -> None:
    table = viz.architecture(LeNet5(), (2, 1, 28, 28))
    assert table.parameters == 61_706  # LeCun et al. 1998, with all planes connected
    found = {layer.name: (layer.shape, layer.parameters, layer.flops) for layer in table.layers}
    assert found["conv1"] == ((2, 6, 28, 28), 6 * 26, 2 * 6 * 28 * 28 * (2 * 25 + 1))
    conv2 = 2 * 16 * 10 * 10 * (2 * 6 * 25 + 1)
    assert found["conv2"] == ((2, 16, 10, 10), 16 * 151, conv2)
    assert found["fc1"] == ((2, 120), 400 * 120 + 120, 2 * 120 * (2 * 400 + 1))
    own = 2 * (6 * 28 * 28 + 16 * 10 * 10 + 120 + 84)  # a ReLU is one operation per element
    assert sum(layer.flops for layer in table.layers if layer.name == "relu") == own
    assert [layer.name for layer in table.layers].count("pool") == 2
    assert table.flops == sum(layer.flops for layer in table.layers)


def test_alexnet_has_its_published_counts() -> None:
    sizes = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1)]
    convs = [nn.Conv2d(i, o, k, stride=s, padding=p) for i, o, k, s, p in sizes]
    last = nn.Conv2d(256, 256, 3, padding=1)
    pool = [nn.MaxPool2d(3, 2) for _ in range(3)]
    features = [convs[0], pool[0], convs[1], pool[1], *convs[2:], last, pool[2]]
    model = nn.Sequential(*features, nn.Flatten())
    table = viz.architecture(model, (1, 3, 224, 224))
    assert table.layers[-1].shape == (1, 9216)
    assert table.parameters == 2_469_696  # torchvision's 61,100,840 without its classifier
    multiply_adds = 655_566_528  # its 714,188,480 without those of the classifier, 58,621,952
    pools_and_biases = sum(layer.flops for layer in table.layers) - 2 * multiply_adds
    biases = 55**2 * 64 + 27**2 * 192 + 13**2 * (384 + 256 + 256)
    pools = 9 * (27**2 * 64 + 13**2 * 192 + 6**2 * 256)
    assert pools_and_biases == biases + pools


def test_parameters_are_counted_once_and_those_of_parts_that_nobody_calls_too() -> None:
    linear = nn.Linear(4, 4, bias=False)
    shared = viz.architecture(nn.Sequential(linear, nn.Tanh(), linear), (1, 4))
    assert shared.parameters == 16
    assert [layer.flops for layer in shared.layers] == [32, 4, 32]
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    table = viz.architecture(layer, (1, 5, 8))
    assert table.parameters == sum(parameter.size for parameter in layer.parameters())
    attention = next(row for row in table.layers if row.name == "self_attn")
    assert attention.parameters == 3 * 8 * 8 + 3 * 8
    assert attention.shape == (1, 5, 8)


def test_frozen_parameters_and_tokens_are_no_obstacle() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))
    table = viz.architecture(model, (3, 7), dtype=tg.int64)
    assert [row.shape for row in table.layers] == [(3, 7, 4), (3, 7, 2)]
    assert table.layers[1].flops == 21 * 2 * 9
    frozen = nn.Linear(3, 2)
    frozen.requires_grad_(False)
    assert viz.architecture(frozen, (1, 3)).flops == 14


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    model[2].train()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    viz.architecture(model, (1, 1, 8, 8))
    assert (model.training, model[1].training, model[2].training) == (True, False, True)
    assert all(np.array_equal(before[k], v.numpy()) for k, v in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_an_input_of_another_shape_is_refused_and_leaves_no_hooks() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="linear"):
        viz.architecture(model, (1, 4))
    assert not model._forward_hooks


def test_the_table_prints_as_text_and_as_markdown() -> None:
    table = viz.architecture(nn.Sequential(nn.Linear(3, 1200), nn.ReLU()), (1, 3))
    lines = repr(table).splitlines()
    assert lines[0] == "Sequential on an input (1, 3)"
    assert lines[2].split() == ["layer", "class", "output", "parameters", "FLOPs"]
    assert lines[4].split() == ["0", "Linear", "(1,", "1200)", "4,800", "8,400"]
    assert len({len(line) for line in lines[2:]}) == 1
    assert table.markdown().splitlines()[2] == "| 0 | Linear | (1, 1200) | 4,800 | 8,400 |"
    assert table.markdown().splitlines()[-1] == "| **total** |  |  | 4,800 | 9,600 |"


def test_the_picture_has_a_block_for_every_new_shape(tmp_path) -> None:
    table = viz.architecture(LeNet5(), (1, 1, 28, 28))
    root = ElementTree.fromstring(table.svg())
    blocks = [g for g in root.iter(f"{SVG}g") if g.get("class") == "block"]
    assert len(blocks) == 8  # the input, two convolutions, two pools, three linear layers
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"6 × 28 × 28", "16 × 5 × 5", "conv2", "48,120 par."} <= set(texts)
    width = float(root.get("viewBox", "").split()[2])
    assert all(0 < float(text.get("x", 0)) < width for text in root.iter(f"{SVG}text"))
    assert table.save(tmp_path / "lenet.svg").stat().st_size < 20_000
    assert table._repr_mimebundle_()["text/plain"] == repr(table)


def test_a_hostile_name_breaks_no_picture() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, "<b>&\"'", nn.Linear(2, 2))

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            (inner,) = self.children()
            out: tg.Tensor = inner(x)
            return out

    ElementTree.fromstring(viz.architecture(Model(), (1, 2)).svg())

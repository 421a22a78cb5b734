"""Every layer that selects: an infinite or NaN upstream gradient reaches only what was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn

F64: dict[str, Any] = {"dtype": np.float64}
Table = dict[str, list[tuple[Callable[[], Any], tuple[int, ...]]]]


def of(make: Callable[[], Any], *shape: int) -> list[tuple[Callable[[], Any], tuple[int, ...]]]:
    """One layer and the shape of its input."""
    return [(make, shape)]


SELECTING: Table = {
    "AdaptiveAvgPool1d": of(lambda: nn.AdaptiveAvgPool1d(3), 2, 2, 5),
    "AdaptiveAvgPool2d": of(lambda: nn.AdaptiveAvgPool2d((2, 3)), 1, 2, 5, 4),
    "AdaptiveMaxPool2d": of(lambda: nn.AdaptiveMaxPool2d((2, 3)), 1, 2, 5, 4),
    "AvgPool1d": of(lambda: nn.AvgPool1d(3, 2, 1), 2, 2, 6),
    "AvgPool2d": of(lambda: nn.AvgPool2d(2, 1, 1), 1, 2, 4, 3),
    "AvgPool3d": of(lambda: nn.AvgPool3d(2), 1, 1, 4, 2, 4),
    "CircularPad2d": of(lambda: nn.CircularPad2d(1), 1, 1, 3, 4),
    "Dropout": of(lambda: nn.Dropout(0.5), 4, 3),
    "Dropout1d": of(lambda: nn.Dropout1d(0.5), 3, 4, 2),
    "Dropout2d": of(lambda: nn.Dropout2d(0.5), 3, 4, 2, 2),
    "Dropout3d": of(lambda: nn.Dropout3d(0.5), 3, 4, 1, 2, 2),
    "Flatten": of(nn.Flatten, 2, 3, 2),
    "Hardsigmoid": of(nn.Hardsigmoid, 4, 5),
    "Hardswish": of(nn.Hardswish, 4, 5),
    "Hardtanh": of(nn.Hardtanh, 4, 5),
    "Identity": of(nn.Identity, 2, 3),
    "LeakyReLU": of(nn.LeakyReLU, 4, 5),
    "MaxPool1d": of(lambda: nn.MaxPool1d(3, 2, 1), 2, 2, 6),
    "MaxPool2d": of(lambda: nn.MaxPool2d(2, 1, 1), 1, 2, 4, 3),
    "MaxPool3d": of(lambda: nn.MaxPool3d(2), 1, 1, 4, 2, 4),
    "PReLU": of(lambda: nn.PReLU(**F64), 4, 5),
    "PixelShuffle": of(lambda: nn.PixelShuffle(2), 1, 4, 2, 2),
    "PixelUnshuffle": of(lambda: nn.PixelUnshuffle(2), 1, 1, 4, 4),
    "ReLU": of(nn.ReLU, 4, 5),
    "ReLU6": of(nn.ReLU6, 4, 5),
    "ReflectionPad2d": of(lambda: nn.ReflectionPad2d(1), 1, 1, 3, 4),
    "ReplicationPad2d": of(lambda: nn.ReplicationPad2d(1), 1, 1, 3, 4),
    "StochasticDepth": of(lambda: nn.StochasticDepth(0.5), 4, 3, 2),
    "Unflatten": of(lambda: nn.Unflatten(1, (2, 3)), 2, 6),
    "Upsample": of(lambda: nn.Upsample(scale_factor=2), 1, 2, 2, 3),
    "ZeroPad2d": of(lambda: nn.ZeroPad2d(1), 1, 1, 3, 4),
    **{
        name: [
            (lambda mode=mode, kind=kind: kind(2, 2, 3, padding=1, padding_mode=mode, **F64), shape)
            for mode in modes
        ]
        for name, kind, modes, shape in (
            ("Conv1d", nn.Conv1d, ("zeros", "reflect", "replicate", "circular"), (1, 2, 6)),
            ("Conv2d", nn.Conv2d, ("zeros", "reflect", "replicate", "circular"), (1, 2, 5, 4)),
            ("Conv3d", nn.Conv3d, ("zeros",), (1, 2, 4, 3, 3)),
        )
    },
    "ConvTranspose1d": of(lambda: nn.ConvTranspose1d(2, 2, 3, 2, 1, **F64), 1, 2, 4),
    "ConvTranspose2d": of(lambda: nn.ConvTranspose2d(2, 1, 3, 2, 1, **F64), 1, 2, 3, 3),
    "ConvTranspose3d": of(lambda: nn.ConvTranspose3d(1, 1, 2, **F64), 1, 1, 2, 3, 2),
}


def because(reason: str, names: str) -> dict[str, str]:
    """The same reason for several layers."""
    return dict.fromkeys(names.split(), reason)


REASONS = {
    **because(
        "has no mask, padding or window; its operations are swept by themselves",
        "CELU ELU GELU SELU GLU LogSigmoid LogSoftmax Mish SiLU Sigmoid Softmax Softplus Softsign "
        "Tanh Bilinear Linear CosineSimilarity PairwiseDistance BatchNorm1d BatchNorm2d "
        "BatchNorm3d GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d LayerNorm "
        "LocalResponseNorm RMSNorm SinusoidalPositionalEncoding",
    ),
    **because(
        "a state reads everything before it",
        "GRU GRUCell LSTM LSTMCell RNN RNNCell",
    ),
    **because(
        "takes a target; ignored rows have a test below",
        "BCELoss BCEWithLogitsLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HuberLoss "
        "HingeEmbeddingLoss KLDivLoss L1Loss MSELoss MarginRankingLoss NLLLoss PoissonNLLLoss "
        "SmoothL1Loss TripletMarginLoss",
    ),
    **because(
        "a masked weight is a factor 0 in a sum of products: 0 · ∞ is NaN",
        "KeyValueCache MultiheadAttention Transformer TransformerDecoder TransformerDecoderLayer "
        "TransformerEncoder TransformerEncoderLayer",
    ),
    **because("a container", "Module ModuleDict ModuleList Parameter ParameterList Sequential"),
    "DropConnect": "a dropped weight is a factor 0 in a sum of products",
    "Embedding": "its argument are integers; padding_idx has a test below",
}
CALLS = [
    pytest.param(make, shape, id=f"{name}-{i}")
    for name, calls in SELECTING.items()
    for i, (make, shape) in enumerate(calls)
]


def test_every_layer_is_in_the_table_or_has_a_reason() -> None:
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert {*SELECTING, *REASONS} == classes
    assert not {*SELECTING} & {*REASONS}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("create_graph", [False, True], ids=["arrays", "graph"])
@pytest.mark.parametrize(("make", "shape"), CALLS)
def test_an_upstream_gradient_that_is_not_finite_reaches_only_what_was_read(
    make: Any, shape: tuple[int, ...], create_graph: bool
) -> None:
    tg.manual_seed(0)
    layer = make()
    repeats = getattr(layer, "padding_mode", "zeros") != "zeros"  # ∞ − ∞ where a margin repeats
    values = np.random.default_rng(1).normal(size=shape) * 3.0
    x = tg.tensor(values, requires_grad=True)
    y = layer(x)
    for element in sorted({0, y.size // 3, y.size // 2, y.size - 1}):

        def gradient(value: float, element: int = element) -> Any:
            upstream = np.zeros(y.shape)
            upstream.flat[element] = value
            (found,) = tg.grad(
                y, x, tg.asarray(upstream), retain_graph=True, create_graph=create_graph
            )
            return found.numpy()

        read = gradient(1.0) != 0  # the weights are random: none is 0 by chance
        for value in (tg.inf, tg.nan):
            found = gradient(value)
            assert not found[~read].any(), (element, value)
            assert not np.isfinite(found[read]).any(), (element, value)
            if value == tg.inf and not repeats:
                assert not np.isnan(found[read]).any(), element


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_corner_reads_its_neighbours_with_weight_0_in_bilinear_upsampling(
    align_corners: bool,
) -> None:
    """As in PyTorch 2.13: 0 · ∞ at the three neighbours, exactly 0 elsewhere."""
    x = tg.tensor(np.ones((1, 1, 3, 3)), requires_grad=True)
    layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=align_corners)
    upstream = np.zeros((1, 1, 6, 6))
    upstream.flat[0] = np.inf
    layer(x).backward(tg.asarray(upstream))
    nan = np.nan
    wanted = [[[[np.inf, nan, 0.0], [nan, nan, 0.0], [0.0, 0.0, 0.0]]]]
    np.testing.assert_array_equal(x.grad.numpy(), wanted)


@pytest.mark.parametrize("value", [tg.inf, tg.nan])
def test_the_row_of_padding_gets_no_infinite_gradient(value: float) -> None:
    layer = nn.Embedding(4, 3, padding_idx=1)
    out = layer(tg.tensor([[1, 2], [0, 1]]))
    upstream = np.ones(out.shape, np.float32)
    upstream[0, 0] = upstream[1, 1] = value
    out.backward(tg.tensor(upstream))
    assert layer.weight.grad.tolist() == [[1.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3]


@pytest.mark.parametrize("create_graph", [False, True], ids=["arrays", "graph"])
@pytest.mark.parametrize("value", [tg.inf, tg.nan])
@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_ignored_row_gets_no_infinite_gradient(
    kind: Any, value: float, create_graph: bool
) -> None:
    x = tg.tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    loss = kind(reduction="none")(x, tg.tensor([0, -100, 2, 1]))
    upstream = tg.tensor([1.0, value, value, 1.0], dtype=np.float64)
    (found,) = tg.grad(loss, x, upstream, create_graph=create_graph)
    assert found.numpy()[1].tolist() == [0.0, 0.0, 0.0]
    assert not np.isfinite(found.numpy()[2, 2])
    assert np.isfinite(found.numpy()[[0, 3]]).all()

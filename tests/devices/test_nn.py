"""Every layer on a GPU: values, gradients and buffers are those of the CPU."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest
from devices import same

import tinygrad_gm as tg
from tinygrad_gm import nn


def floats(*shape: int, seed: int = 0) -> Any:
    """Numbers in [-2, 2)."""
    return np.random.default_rng([seed, *shape]).uniform(-2, 2, shape)


def shares(*shape: int, seed: int = 1) -> Any:
    """Numbers in (0, 1)."""
    return 0.25 * floats(*shape, seed=seed) + 0.5


def logs(*shape: int) -> Any:
    """Logarithms of numbers in (0, 1)."""
    return np.log(shares(*shape))


SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
CLASSES = np.array([2, 0, 1, 2])
LINE, PLANE, SPACE = floats(2, 4, 6), floats(2, 4, 6, 6), floats(2, 4, 4, 4, 4)
ROWS, OTHER = floats(4, 3), floats(4, 3, seed=1)
SEQUENCE, MEMORY = floats(5, 2, 4), floats(3, 2, 4)
PAD = np.array([[False, False, True], [False, True, True]])  # of MEMORY

Calls = dict[str, list[tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]]]


def on(
    x: Any, *others: Any, arguments: dict[str, Any] | None = None, **keywords: Any
) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]:
    """A call: the layer's arguments, and what it is called with."""
    return arguments or {}, (x, *others), keywords


def elementwise() -> Calls:
    """The layers that take any array, without arguments."""
    names = """CELU ELU GELU Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid LogSoftmax
    Mish ReLU ReLU6 SELU SiLU Sigmoid Softmax Softplus Softsign Tanh Flatten Dropout PReLU"""
    return {name: [on(LINE)] for name in names.split()}


def of_two() -> Calls:
    """Losses and distances of two arrays of one shape, or of three."""
    names = "CosineSimilarity HuberLoss L1Loss MSELoss PairwiseDistance SmoothL1Loss"
    return {
        **{name: [on(ROWS, OTHER)] for name in names.split()},
        "BCELoss": [on(shares(4, 3), shares(4, 3, seed=2))],
        "BCEWithLogitsLoss": [
            on(ROWS, shares(4, 3)),
            on(ROWS, shares(4, 3), arguments={"pos_weight": shares(3), "weight": shares(3)}),
        ],
        "CosineEmbeddingLoss": [on(ROWS, OTHER, SIGNS)],
        "CrossEntropyLoss": [
            on(ROWS, CLASSES),
            on(ROWS, CLASSES, arguments={"weight": shares(3), "label_smoothing": 0.1}),
            on(ROWS, shares(4, 3)),
        ],
        "GaussianNLLLoss": [on(ROWS, OTHER, shares(4, 3))],
        "HingeEmbeddingLoss": [on(ROWS[:, 0], SIGNS)],
        "KLDivLoss": [on(logs(4, 3), shares(4, 3), arguments={"reduction": "batchmean"})],
        "MarginRankingLoss": [on(ROWS[:, 0], OTHER[:, 0], SIGNS)],
        "NLLLoss": [
            on(logs(4, 3), CLASSES),
            on(logs(4, 3), CLASSES, arguments={"ignore_index": 2}),
        ],
        "PoissonNLLLoss": [on(ROWS, shares(4, 3), arguments={"full": True})],
        "TripletMarginLoss": [on(ROWS, OTHER, floats(4, 3, seed=2))],
    }


def spatial() -> Calls:
    """Convolutions, pools, norms, paddings and what else works on images."""
    calls: Calls = {}
    for n, x in (("1d", LINE), ("2d", PLANE), ("3d", SPACE)):
        conv = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        odd = {"stride": 2, "padding": 1, "groups": 2}
        calls |= {
            f"Conv{n}": [
                on(x, arguments=conv),
                on(x, arguments=conv | odd),
                on(x, arguments=conv | {"padding": "same", "padding_mode": "circular"}),
                on(x, arguments=conv | {"kernel_size": 1}),
                on(x, arguments=conv | {"out_channels": 4, "groups": 4}),
            ],
            f"ConvTranspose{n}": [on(x, arguments=conv), on(x, arguments=conv | odd)],
            f"MaxPool{n}": [on(x, arguments={"kernel_size": 2}), on(x, arguments=POOL)],
            f"AvgPool{n}": [on(x, arguments={"kernel_size": 2}), on(x, arguments=POOL)],
            f"BatchNorm{n}": [on(x, arguments={"num_features": 4})],
            f"InstanceNorm{n}": [on(x, arguments={"num_features": 4, "affine": True})],
            f"Dropout{n}": [on(x)],
        }
    calls |= {name: [on(PLANE, arguments={"padding": (1, 2, 0, 1)})] for name in PADDINGS}
    return calls | {
        "AdaptiveAvgPool1d": [on(LINE, arguments={"output_size": 4})],
        "AdaptiveAvgPool2d": [on(PLANE, arguments={"output_size": (4, 1)})],
        "AdaptiveMaxPool2d": [on(PLANE, arguments={"output_size": 4})],
        "GroupNorm": [on(PLANE, arguments={"num_groups": 2, "num_channels": 4})],
        "LocalResponseNorm": [on(PLANE, arguments={"size": 3})],
        "PixelShuffle": [on(PLANE, arguments={"upscale_factor": 2})],
        "PixelUnshuffle": [on(PLANE, arguments={"downscale_factor": 2})],
        "Upsample": [
            on(PLANE, arguments={"scale_factor": 2}),
            on(PLANE, arguments={"size": (4, 9), "mode": "bilinear"}),
        ],
    }


POOL = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
PADDINGS = ["CircularPad2d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"]


def affine() -> Calls:
    """Layers with weights on the last axis."""
    sizes = {"in_features": 6, "out_features": 3}
    return {
        "Bilinear": [on(ROWS, LINE[0], arguments=dict(zip(BILINEAR, (3, 6, 2), strict=True)))],
        "DropConnect": [on(LINE, arguments=sizes)],
        "StochasticDepth": [on(LINE)],
        "Embedding": [
            on(CLASSES.reshape(2, 2), arguments={"num_embeddings": 3, "embedding_dim": 4}),
            on(CLASSES, arguments={"num_embeddings": 3, "embedding_dim": 4, "padding_idx": 0}),
        ],
        "GLU": [on(LINE)],
        "LayerNorm": [on(LINE, arguments={"normalized_shape": (4, 6)})],
        "Linear": [on(LINE, arguments=sizes)],
        "RMSNorm": [on(LINE, arguments={"normalized_shape": 6})],
        "SinusoidalPositionalEncoding": [on(SEQUENCE, arguments={"d_model": 4, "dropout": 0.5})],
        "Unflatten": [on(LINE, arguments={"axis": 2, "unflattened_size": (2, 3)})],
    }


BILINEAR = ("in1_features", "in2_features", "out_features")


def sequences() -> Calls:
    """Recurrent layers and Transformers."""
    sizes = {"input_size": 4, "hidden_size": 3}
    deep = sizes | {"num_layers": 2, "bidirectional": True, "dropout": 0.5}
    state = floats(2, 3, seed=2)
    recurrent: Calls = {
        name: [
            on(SEQUENCE, arguments=sizes),
            on(SEQUENCE, arguments=deep, lengths=np.array([3, 5])),
        ]
        for name in ("GRU", "LSTM", "RNN")
    }
    block = {"d_model": 4, "nhead": 2, "dim_feedforward": 5}
    padding = {"memory_key_padding_mask": PAD, "tgt_is_causal": True}
    return recurrent | {
        "GRUCell": [on(SEQUENCE[0], state, arguments=sizes)],
        "LSTMCell": [on(SEQUENCE[0], (state, state), arguments=sizes)],
        "RNNCell": [on(SEQUENCE[0], state, arguments=sizes)],
        "MultiheadAttention": [
            on(SEQUENCE, SEQUENCE, SEQUENCE, arguments=HEADS, need_weights=False, is_causal=True),
            on(SEQUENCE, MEMORY, MEMORY, PAD, arguments=HEADS | {"dropout": 0.5}),
            on(SEQUENCE, MEMORY, MEMORY, arguments=HEADS | {"add_bias_kv": True}, attn_mask=MASK),
        ],
        "TransformerEncoderLayer": [on(MEMORY, arguments=block, src_key_padding_mask=PAD)],
        "TransformerDecoderLayer": [on(SEQUENCE, MEMORY, arguments=block, **padding)],
        "TransformerEncoder": [on(MEMORY, arguments={"encoder_layer": block, "num_layers": 2})],
        "TransformerDecoder": [
            on(SEQUENCE, MEMORY, arguments={"decoder_layer": block, "num_layers": 2}, **padding)
        ],
        "Transformer": [
            on(MEMORY, SEQUENCE, arguments=block | {"num_encoder_layers": 1, **ONE_DECODER})
        ],
    }


HEADS = {"embed_dim": 4, "num_heads": 2}
ONE_DECODER = {"num_decoder_layers": 1}
MASK = np.tri(5, 3, dtype=bool)
CALLS = elementwise() | of_two() | spatial() | affine() | sequences()
CONTAINERS = {"KeyValueCache", "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterList"}


def made(name: str, arguments: dict[str, Any]) -> Any:
    """The layer in float64, its weights drawn from seed 0."""
    tg.manual_seed(0)
    parts = {
        "encoder_layer": nn.TransformerEncoderLayer,
        "decoder_layer": nn.TransformerDecoderLayer,
    }
    arguments = {key: parts[key](**v) if key in parts else v for key, v in arguments.items()}
    return getattr(nn, name)(**arguments).to(tg.float64)


def leaves_of(value: Any, device: str) -> Any:
    """Arrays, also in tuples, as Tensors on a device: the floating ones as leaves."""
    if isinstance(value, tuple):
        return tuple(leaves_of(v, device) for v in value)
    if not isinstance(value, np.ndarray):
        return value
    return tg.tensor(value, device=device, requires_grad=value.dtype.kind == "f")


def tensors_in(value: Any) -> list[Any]:
    """The Tensors in nested tuples."""
    if isinstance(value, tuple):
        return [tensor for part in value for tensor in tensors_in(part)]
    return [value] if isinstance(value, tg.Tensor) else []


def results_of(layer: Any, inputs: Any, keywords: dict[str, Any], device: str) -> list[Any]:
    """A layer moved to a device and called there: outputs, gradients and buffers."""
    layer = copy.deepcopy(layer).to(device)
    inputs = leaves_of(inputs, device)
    keywords = {key: leaves_of(value, device) for key, value in keywords.items()}
    tg.manual_seed(1)
    outputs = tensors_in(layer(*inputs, **keywords))
    total = sum((out * out).sum() for out in outputs)
    if total.requires_grad:
        total.backward()
    learned = [*tensors_in(inputs), *layer.parameters()]
    return [*outputs, *(t.grad for t in learned if t.requires_grad), *layer.buffers()]


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("name", "number"), [(name, i) for name in CALLS for i in range(len(CALLS[name]))]
)
def test_a_layer_computes_what_it_does_on_the_cpu(name: str, number: int, device: str) -> None:
    arguments, inputs, keywords = CALLS[name][number]
    layer = made(name, arguments)
    for mode in (True, False):
        wanted = results_of(layer.train(mode), inputs, keywords, "cpu")
        found = results_of(layer, inputs, keywords, device)
        assert {t.device for t in found if t is not None} == {device}
        for ours, theirs in zip(found, wanted, strict=True):
            same(ours, theirs)


LARGE = floats(8, 16, 32, 32)  # 1 MB: where a layer works block by block
LARGE_CALLS: dict[str, dict[str, Any]] = {
    "AvgPool2d": {"kernel_size": 2},
    "BatchNorm2d": {"num_features": 16},
    "Conv2d": {"in_channels": 16, "out_channels": 16, "kernel_size": 3, "padding": 1},
    "ConvTranspose2d": {"in_channels": 16, "out_channels": 8, "kernel_size": 4, "stride": 2},
    "GELU": {"approximate": "tanh"},
    "GroupNorm": {"num_groups": 4, "num_channels": 16},
    "LayerNorm": {"normalized_shape": 32},
    "Linear": {"in_features": 32, "out_features": 64},
    "LogSoftmax": {"axis": 1},
    "MaxPool2d": {"kernel_size": 2},
    "Mish": {},
    "RMSNorm": {"normalized_shape": 32},
    "ReLU": {},
    "SELU": {},
    "SiLU": {},
    "Softmax": {},
    "Softplus": {},
    "Tanh": {},
}


@pytest.mark.sweep
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", LARGE_CALLS)
def test_a_layer_on_a_large_input(name: str, channels_last: bool, device: str) -> None:
    x = np.ascontiguousarray(LARGE.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    layer = made(name, LARGE_CALLS[name])
    inputs = (x if channels_last else LARGE,)
    wanted, found = (results_of(layer, inputs, {}, place) for place in ("cpu", device))
    for ours, theirs in zip(found, wanted, strict=True):
        same(ours, theirs)


def test_every_layer_is_among_them() -> None:
    classes = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert set(CALLS) | {"Sequential"} == classes - CONTAINERS

"""Integers, bytes and truth values given to every registered operation and to Python's numbers.

The result is that of the same numbers as floats, or the exact integer one (modulo 256 for uint8,
logical for bool), or one line of refusal.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from cases import CASES

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.ops import registry


def is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def agree(result: Any, wanted: Any) -> bool:
    got, floats = result.numpy(), wanted.numpy().astype(np.float64)
    if got.shape != floats.shape:
        return False
    if got.dtype == np.bool_ and wanted.dtype != np.bool_:
        return bool(np.array_equal(got, floats != 0))
    if got.dtype == np.uint8:
        return bool(np.array_equal(got, floats.astype(np.int64).astype(np.uint8)))
    return bool(np.allclose(got, floats, rtol=1e-4, atol=1e-5, equal_nan=True))


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whole_numbers_give_the_values_of_floats(name: str, dtype: Any) -> None:
    primitive: Any = registry[name].primitive
    for sample in CASES[name].samples:
        whole = [
            np.rint(np.abs(a) * 2).astype(dtype) if is_floating(a) else a for a in sample.arrays
        ]
        floats = [
            w.astype(np.float64) if is_floating(a) else a
            for w, a in zip(whole, sample.arrays, strict=True)
        ]
        try:
            wanted = primitive(*floats, *sample.params)
        except (ValueError, TypeError, IndexError):
            continue  # rounded, these numbers are no sample of it: a singular matrix
        try:
            result = primitive(*whole, *sample.params)
        except (ValueError, TypeError, IndexError) as error:
            text = str(error)
            if text.startswith(f"{name}:") and "\n" not in text:
                continue
            raise
        if name == "subtract" and dtype == np.bool_:
            continue
        pairs = (
            zip(result, wanted, strict=True) if isinstance(result, tuple) else [(result, wanted)]
        )
        assert all(agree(*pair) for pair in pairs), (name, [np.shape(a) for a in whole])


@pytest.mark.parametrize(
    "symbol",
    [
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.floordiv,
        operator.mod,
        operator.pow,
        tg.maximum,
        tg.minimum,
        tg.atan2,
        tg.logaddexp,
    ],
)
@pytest.mark.parametrize("number", [2.0, 0.5, 1.0, -1.0, 3.0])
def test_integers_and_a_python_float_give_the_default_dtype(symbol: Any, number: float) -> None:
    numbers = [1, 2, 3]
    whole, floats = tg.tensor(numbers), tg.tensor(numbers, dtype=tg.float64)
    for result, wanted in [
        (symbol(whole, number), symbol(floats, number)),
        (symbol(number, whole), symbol(number, floats)),
    ]:
        assert result.dtype == tg.float32
        np.testing.assert_allclose(result.numpy(), wanted.numpy(), rtol=1e-6)


def test_layer_norm_of_integers_is_that_of_floats() -> None:
    """PyTorch's numbers for the rows [0, 1, 2, 3] plus a constant, eps 1e-5."""
    for shape in ((1, 3, 4), (3, 4)):
        result = F.layer_norm(tg.arange(12).reshape(shape), (4,))
        assert result.dtype == tg.float32
        row = [-1.3416355, -0.44721183, 0.44721183, 1.3416355]
        np.testing.assert_allclose(result.numpy(), np.broadcast_to(row, shape), rtol=1e-6)


tg.manual_seed(0)
ATTENTION = nn.MultiheadAttention(4, 2, batch_first=True)
LAYERS: dict[str, Any] = {
    "rms_norm": lambda x: F.rms_norm(x, (4,)),
    "group_norm": lambda x: F.group_norm(x, 3),
    "batch_norm": lambda x: nn.BatchNorm1d(3, affine=False)(x),
    "instance_norm": lambda x: F.instance_norm(x),
    "normalize": F.normalize,
    "local_response_norm": lambda x: F.local_response_norm(x, 3),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 2),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, 3),
    "interpolate": lambda x: F.interpolate(x, 6, mode="linear"),
    "mse_loss": lambda x: F.mse_loss(x, x * 2),
    "l1_loss": lambda x: F.l1_loss(x, x * 2),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x * 2),
    "huber_loss": lambda x: F.huber_loss(x, x * 2),
    "kl_div": lambda x: F.kl_div(x, x * 2),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x + 1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "glu": F.glu,
    "softmax": F.softmax,
    "attention with a mask": lambda x: F.scaled_dot_product_attention(x, x, x, np.eye(3) > 0),
    "attention layer with a mask": lambda x: ATTENTION(x, x, x, attn_mask=np.eye(3) == 0)[0],
    "cross_entropy": lambda x: F.cross_entropy(x[0], [0, 1, 3], weight=[0.5, 0.25, 1.0, 0.125]),
    "smoothed cross_entropy": lambda x: F.cross_entropy(
        x[0], [0, 1, 3], weight=[0.5, 0.25, 1.0, 0.125], label_smoothing=0.1
    ),
    "cross_entropy of probabilities": lambda x: F.cross_entropy(
        x[0], np.full((3, 4), 0.25, np.float32), weight=[0.5, 0.25, 1.0, 0.125]
    ),
    "bilinear": lambda x: F.interpolate(x[None], (6, 5), mode="bilinear"),
    "positional encoding": nn.SinusoidalPositionalEncoding(4, dropout=0.0),
} | {
    name: getattr(F, name)
    for name in ("gelu", "silu", "mish", "elu", "selu", "celu", "leaky_relu", "hardswish", "relu6")
}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_of_integers_gives_the_values_of_floats(name: str) -> None:
    whole = tg.arange(12).reshape(1, 3, 4)
    result, wanted = LAYERS[name](whole), LAYERS[name](whole.astype(tg.float32))
    np.testing.assert_allclose(result.numpy(), wanted.numpy(), rtol=1e-6)


def test_padding_integers_with_what_does_not_fit_is_refused() -> None:
    assert tg.pad(tg.arange(2), 1, constant_values=7.0).tolist() == [7, 0, 1, 7]
    with pytest.raises(ValueError, match=r"^pad: constant_values 2\.5 does not fit into int64$"):
        tg.pad(tg.arange(2), 1, constant_values=2.5)


def test_truth_values_have_a_sign_and_a_sigmoid() -> None:
    truths = tg.tensor([True, False])
    assert tg.sign(truths).tolist() == [True, False]
    values = tg.sigmoid(truths)
    assert values.dtype == tg.float32
    np.testing.assert_allclose(values.numpy(), [0.7310585786300049, 0.5], rtol=1e-7)

"""Sums and products of large arrays, of which one may broadcast: the bits of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_kernels import (
    TARGETS,
    THREADS,
    computing,
    count_calls,
    needs_native,
    numbers,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import arithmetic, native

pytestmark = needs_native

OPERATIONS = {"add": (arithmetic.add, np.add), "multiply": (arithmetic.multiply, np.multiply)}
SHAPES = [
    ((70_003,), (70_003,)),
    ((70_003,), (1,)),
    ((1, 70_003), (3, 1)),
    ((3, 24_001), (24_001,)),
    ((33, 64, 128), (33, 1, 128)),
    ((33, 1, 128), (33, 64, 128)),
    ((33, 64, 128), (64, 128)),
    ((33, 64, 128), (128,)),
    ((33, 64, 128), (33, 64, 1)),
    ((33, 64, 128), (64, 1)),
    ((5, 1, 7, 1, 41, 53), (1, 3, 7, 2, 1, 53)),
    ((5, 3, 7, 2, 41, 53), (5, 1, 7, 1, 41, 1)),
    ((9001, 17), (9001, 1)),
    ((17, 9001), (17, 1)),
    ((40_000, 2), (2,)),
    ((1, 1, 300_001), ()),
]


def assert_has_the_bits_of_numpy(name: str, x: np.ndarray, y: np.ndarray) -> None:
    ours_of, numpys = OPERATIONS[name]
    with np.errstate(all="ignore"):
        expected = numpys(x, y)
    for target in TARGETS:
        for threads in THREADS:
            with computing(target, threads), np.errstate(all="ignore"):
                ours = ours_of(x, y)
            np.testing.assert_array_equal(ours, expected, strict=True)
            numbered = ~np.isnan(expected)
            assert (np.signbit(ours) == np.signbit(expected))[numbered].all()
            assert ours.strides == expected.strides


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("x", "y"), SHAPES)
def test_every_way_to_broadcast(
    name: str, x: Any, y: Any, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, name)
    first, second = with_special(numbers(x, dtype, 1)), np.asarray(numbers(y, dtype, 2))
    assert_has_the_bits_of_numpy(name, first, second)
    assert calls


def test_large_sums_and_products_and_their_gradients_use_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums, products = count_calls(monkeypatch, "add"), count_calls(monkeypatch, "multiply")
    x = tg.asarray(numbers((33, 64, 128), np.float32)).requires_grad_()
    scale = tg.asarray(numbers((33, 1, 128), np.float32)).requires_grad_()
    y = x * scale + x
    y.backward(tg.ones_like(y))
    assert len(products) == 3
    assert len(sums) == 2  # forward, and the two gradients of x
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(scale.numpy() + 1, x.shape))


@pytest.mark.parametrize("name", OPERATIONS)
def test_memory_orders(name: str) -> None:
    x, y = numbers((20, 30, 11, 13), np.float32, 1), numbers((20, 30, 11, 13), np.float32, 2)
    channels = numbers((20, 11, 13, 30), np.float32, 3).transpose(0, 3, 1, 2)
    parts = numbers((33, 1, 768), np.float32, 4)
    assert_has_the_bits_of_numpy(name, channels, channels.copy("K"))
    assert_has_the_bits_of_numpy(name, channels, numbers((1, 30, 1, 1), np.float32, 5))
    assert_has_the_bits_of_numpy(name, channels, numbers((20, 30, 1, 1), np.float32, 5))
    assert_has_the_bits_of_numpy(name, channels, numbers((20, 1, 11, 13), np.float32, 5))
    assert_has_the_bits_of_numpy(name, x, channels)
    assert_has_the_bits_of_numpy(name, x[:, ::2], y[:, ::2])
    assert_has_the_bits_of_numpy(name, x[:, ::2], numbers((20, 15, 11, 13), np.float32, 6))
    assert_has_the_bits_of_numpy(name, x, y[::-1])
    assert_has_the_bits_of_numpy(name, x.T, y.T)
    assert_has_the_bits_of_numpy(name, numbers((33, 64, 128), np.float32, 7), parts[..., 128:256])
    assert_has_the_bits_of_numpy(name, numbers((70_001, 2), np.float32, 8), parts[0, :, 3:700:400])
    assert_has_the_bits_of_numpy(name, np.broadcast_to(parts, (33, 9, 768)), parts)


@pytest.mark.parametrize("kernel", [native.add, native.multiply] if not native.missing else [])
def test_what_the_kernels_leave_to_numpy(kernel: Any) -> None:
    x = np.ones((40, 50), np.float32)
    assert kernel(x[:1], x[:, :1]) is None
    assert kernel(x, x[:3]) is None
    assert kernel(x, np.ones((50, 40), np.float32).T) is None
    assert kernel(x[:, ::2], x[:, ::2]) is None
    assert kernel(x, x[:, ::-1]) is None
    assert kernel(x[:0], x[:0]) is None
    with pytest.raises(TypeError):
        kernel(x, x.astype(np.float64))
    with pytest.raises(TypeError):
        kernel(x.astype(np.int32), x.astype(np.int32))
    with pytest.raises(TypeError):
        kernel(x)

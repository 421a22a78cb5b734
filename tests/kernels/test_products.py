"""Products of matrices, one or many, with and without a bias."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from native_kernels import (
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels import products as kernels

product = partial(kernels.product, np)
SIDES = [1, 2, 3, 5, 7, 16, 31, 64, 65, 129]


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (65, 64, 64),
        (1, 600, 600),
        (600, 600, 1),
        (600, 2, 601),
        (2, 70001, 2),
        (257, 129, 511),
        (769, 385, 129),
        (97, 1013, 193),
    ],
)
def test_a_product_agrees(m: int, k: int, n: int, dtype: type) -> None:
    assert_agrees(product, numbers((m, k), dtype, 1), numbers((k, n), dtype, 2), terms=k)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_remainder_of_a_block_agrees(dtype: type) -> None:
    x, y = numbers((129, 300), dtype, 1), numbers((300, 129), dtype, 2)
    bias = numbers(129, dtype, 3)
    for m, n in itertools.product(SIDES, SIDES):
        assert_agrees(product, x[:m], y[:, :n], bias[:n], terms=300)


@needs_native
@pytest.mark.parametrize("x", layouts((130, 270), np.float32, 1))
@pytest.mark.parametrize("y", layouts((270, 90), np.float32, 2))
def test_factors_in_every_memory_order_agree(x: np.ndarray, y: np.ndarray) -> None:
    bias = numbers(90, np.float32, 3)
    assert_agrees(lambda x, y: product(x, y, bias.astype(x.dtype)), x, y, terms=270)


@needs_native
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((6, 70, 32), (6, 32, 70)),
        ((2, 3, 70, 32), (2, 3, 32, 70)),
        ((2, 3, 70, 32), (32, 70)),
        ((70, 32), (2, 3, 32, 70)),
        ((2, 1, 70, 32), (3, 32, 70)),
        ((2, 1, 2, 1, 2, 1, 40, 20), (3, 1, 3, 1, 1, 20, 40)),
        ((9, 1, 300), (9, 300, 120)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_matrices_agree(x: tuple[int, ...], y: tuple[int, ...], dtype: type) -> None:
    assert_agrees(product, numbers(x, dtype, 1), numbers(y, dtype, 2), terms=x[-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((7,), (0,)),
        ((1, 1, 7), (0, 1, 2)),
        ((2, 3, 5, 7), (0, 1, 2, 3)),
        ((3, 2, 5, 7), (1, 0, 2, 3)),
        ((5, 2, 3, 7), (1, 2, 0, 3)),
        ((2, 3, 7, 5), (0, 1, 3, 2)),
        ((4, 1, 7), (1, 0, 2)),
        ((4, 3, 0), (0, 1, 2)),
        ((4, 0, 7), (0, 1, 2)),
    ],
)
def test_rows_in_every_order_meet_one_matrix(
    shape: tuple[int, ...], axes: tuple[int, ...], dtype: type
) -> None:
    x = numbers(shape, dtype, 1).transpose(axes)
    y, bias = numbers((x.shape[-1], 6), dtype, 2), numbers(6, dtype, 3)
    expected = np.matmul(x.astype(np.float64), y.astype(np.float64)) + bias
    out = product(x, y, bias)
    assert out.shape == (*x.shape[:-1], 6)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@needs_native
def test_rows_that_follow_each_other_are_those_of_one_product() -> None:
    x, y = numbers((6, 5, 4), np.float32, 1), numbers((4, 3), np.float32, 2)
    assert native.multiplies(x, y, None)
    assert native.multiplies(x[:, :1], y, None)  # one of five rows each
    assert native.multiplies(x[::2], y[None], None)
    assert not native.multiplies(x[:, ::2], y, None)  # would be six small products
    assert not native.multiplies(x.transpose(1, 0, 2), y, None)


@needs_native
def test_heads_are_multiplied_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "product")
    x, y = (numbers((3, 40, 4, 32), np.float32, seed).transpose(0, 2, 1, 3) for seed in (1, 2))
    assert_agrees(lambda x, y: product(x, y.swapaxes(-1, -2)), x, y, terms=32)
    assert calls


@needs_native
def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    x, y = numbers((200, 500), np.float32, 1), numbers((500, 150), np.float32, 2)
    for target in native.targets():
        with computing(target, 2):
            whole = product(x, y)
            for part in (slice(0, 7), slice(50, 83), slice(199, 200)):
                piece = native.product(x[part], y, None)
                np.testing.assert_array_equal(piece, whole[part])


@needs_native
def test_large_products_of_the_operations_are_native(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "product")
    x, w = (tg.tensor(numbers((100, 100), np.float32)) for _ in range(2))
    for tensor in (x, w):
        tensor.requires_grad_(True)
    with tg.kernels.use("native"):
        for expected, function in enumerate((tg.linear, tg.matmul), 1):
            (function(x, w) ** 2).sum().backward()
            assert len(calls) == 3 * expected


@needs_native
def test_a_gradient_of_one_number_everywhere_is_multiplied_natively(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = count_calls(monkeypatch, "product")
    ones = np.broadcast_to(np.float32(1), (90, 80))
    assert_agrees(
        lambda y: product(ones.astype(y.dtype), y), numbers((80, 70), np.float32), terms=80
    )
    assert_agrees(
        lambda y: product(np.broadcast_to(y[:1, :1], (90, 80)), y), numbers((80, 70), "f")
    )
    assert calls


@needs_native
def test_nan_and_infinity_go_where_they_go_in_numpy() -> None:
    x = with_special(numbers((90, 80), np.float32))
    assert_agrees(product, x, numbers((80, 70), np.float32, 3), terms=80)


@needs_native
def test_a_product_with_its_own_transpose_is_symmetric() -> None:
    x = numbers((300, 100), np.float32)
    for target in native.targets():
        with computing(target, 2):
            square = product(x, x.T)
        np.testing.assert_array_equal(square, square.T)


@needs_native
@pytest.mark.parametrize(
    "arguments",
    [
        (np.ones((3, 4)), np.ones((5, 6)), None),
        (np.ones((3, 4)), np.ones((4, 6), np.float32), None),
        (np.ones((3, 4)), np.ones(4), None),
        (np.ones((2, 3, 4)), np.ones((3, 4, 6)), None),
        (np.ones((3, 4), int), np.ones((4, 4), int), None),
        (np.ones((3, 0)), np.ones((0, 4)), None),
        (np.ones((1,) * 8 + (3, 4)), np.ones((4, 4)), None),
        (np.ones((3, 4)), np.ones((4, 6)), np.ones(5)),
        (np.ones((3, 4)), np.ones((4, 6)), np.ones(6, np.float32)),
        (np.ones((3, 4)), np.ones((4, 6)), np.ones(12)[::2]),
        (np.ones((3, 4)), np.ones((4, 6)), np.ones((1, 6))),
        (np.ones((3, 4)), np.ones((4, 6))),
        (np.ones((3, 4)), None, None),
    ],
)
def test_the_kernel_refuses_what_it_could_read_outside_of(arguments: tuple[object, ...]) -> None:
    assert not native.multiplies(*arguments)
    with pytest.raises(ValueError, match="not what `multiplies` accepts"):
        native.product(*arguments)


@needs_native
def test_the_threads_of_numpy_stay_as_they_were() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = threadpoolctl.threadpool_info()
    product(numbers((300, 300), np.float32), numbers((300, 300), np.float32))
    assert threadpoolctl.threadpool_info() == before

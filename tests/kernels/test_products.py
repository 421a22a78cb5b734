"""Products of matrices over the pool."""

from __future__ import annotations

import numpy as np
import pytest
from native_kernels import (
    assert_agrees,
    count_calls,
    layouts,
    needs_native,
    numbers,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels.products import product


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(65, 64, 64), (1, 600, 600), (600, 600, 1), (600, 2, 601), (2, 70001, 2), (257, 129, 511)],
)
def test_a_product_agrees(m: int, k: int, n: int, dtype: type) -> None:
    assert_agrees(product, numbers((m, k), dtype, 1), numbers((k, n), dtype, 2), terms=k)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("x", layouts((130, 70), np.float32, 1))
@pytest.mark.parametrize("y", layouts((70, 90), np.float32, 2))
def test_factors_in_every_memory_order_agree(x: np.ndarray, y: np.ndarray) -> None:
    assert_agrees(lambda x, y: product(x, y), x, y, terms=70)


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
def test_nan_and_infinity_go_where_they_go_in_numpy() -> None:
    x = with_special(numbers((90, 80), np.float32))
    assert_agrees(product, x, numbers((80, 70), np.float32, 3), terms=80)


@needs_native
def test_a_product_with_its_own_transpose_is_symmetric() -> None:
    x = numbers((300, 100), np.float32)
    square = product(x, x.T)
    np.testing.assert_array_equal(square, square.T)


@needs_native
@pytest.mark.parametrize(
    "factors",
    [
        (np.ones((3, 4)), np.ones((5, 6))),
        (np.ones((3, 4)), np.ones((4, 6), np.float32)),
        (np.ones((3, 4)), np.ones(4)),
        (np.ones((3, 4))[:, ::2], np.ones((2, 6))),
        (np.ones((3, 4), int), np.ones((4, 4), int)),
        (np.ones((3, 4)), None),
        (np.ones((3, 4)),),
    ],
)
def test_the_kernel_refuses_what_it_could_read_outside_of(factors: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="not two matrices that `multiplies` accepts"):
        native.product(*factors)


@needs_native
def test_the_threads_of_numpy_stay_as_they_were() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = threadpoolctl.threadpool_info()
    product(numbers((300, 300), np.float32), numbers((300, 300), np.float32))
    assert threadpoolctl.threadpool_info() == before

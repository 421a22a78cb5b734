"""Kernel of rows added to rows: the gradient of embeddings and of slices read by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_kernels import (
    TARGETS,
    THREADS,
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

pytestmark = needs_native
SIZES = [  # rows of the weight, rows that are read, width
    (1, 1, 1), (2, 7, 1), (65, 2048, 128), (27, 96, 10), (1000, 37, 31), (5, 3000, 33),
    (3, 50, 257), (1, 20_000, 3), (40_000, 100, 16), (130, 131, 512), (7, 40_000, 1),
]  # fmt: skip


def scatter(values: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    return tg.ops.scatter(tg.asarray(values), index, shape).numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rows_are_added_in_float64_in_the_order_in_which_they_come(
    sizes: tuple[int, int, int], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "add_rows")
    count, read, width = sizes
    values = numbers((read, width), dtype)
    index = np.random.default_rng(1).integers(0, count, read)
    right = np.zeros((count, width))
    np.add.at(right, index, values.astype(np.float64))
    for target in TARGETS:
        for threads in THREADS:
            with computing(target, threads):
                found = scatter(values, index, (count, width))
            np.testing.assert_array_equal(found, right.astype(dtype))
    assert calls


@pytest.mark.parametrize("shape", [(5, 6, 7), (6, 1), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_slices_along_every_axis(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    for axis, size in enumerate(shape):
        index = rng.integers(0, size, (4, 9)).astype(dtype)
        if np.issubdtype(dtype, np.signedinteger):
            index[0] -= size
        entries = (*(slice(None),) * axis, index)
        values = numbers(np.zeros(shape)[entries].shape, np.float32)
        right = np.zeros(shape)
        np.add.at(right, entries, values)
        with tg.kernels.use("native"):
            found = scatter(values, entries, shape)
        np.testing.assert_array_equal(found, right.astype(np.float32))


@pytest.mark.parametrize("g", layouts((40, 6), np.float32))
def test_gradient_of_an_embedding(g: np.ndarray) -> None:
    index = np.random.default_rng(1).integers(0, 9, 40)

    def gradient(weight: np.ndarray, g: np.ndarray) -> np.ndarray:
        weight = tg.asarray(weight).requires_grad_()
        out = tg.embedding(weight, index, padding_idx=3)
        return tg.grad(out, weight, tg.asarray(g))[0].numpy()

    assert_agrees(gradient, numbers((9, 6), np.float32, 2), g, terms=10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_stay_in_their_rows(dtype: type) -> None:
    values, index = with_special(numbers((50, 7), dtype)), np.arange(50) % 11
    assert_agrees(lambda values: scatter(values, index, (12, 7)), values, terms=5)


def test_many_small_numbers_are_not_lost_beside_a_large_one() -> None:
    values = np.ones((100_000, 2), np.float32)
    values[0] = 2**24
    with tg.kernels.use("native"):
        found = scatter(values, np.zeros(len(values), np.int64), (1, 2))
    np.testing.assert_array_equal(found, np.float32(2**24 + 99_999))


@pytest.mark.parametrize("wrong", [4, -5])
def test_a_number_out_of_range_is_an_error_as_in_numpy(wrong: int) -> None:
    with pytest.raises(IndexError, match=f"index {wrong} is out of bounds for axis 0 with size 4"):
        scatter(np.ones((3, 2)), np.array([0, wrong, 1]), (4, 2))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, np.ones((1, 4, 2))),
        (0, np.ones((2, 3, 2))),
        (0, np.ones((3, 2))),
        (0, np.ones((1, 3, 4))[..., ::2]),
        (1, np.arange(4)),
        (1, np.arange(6)[::2]),
        (2, np.zeros((1, 5, 3))),
        (2, np.zeros((1, 5, 4))[..., ::2]),
    ],
)
def test_the_kernel_refuses_what_it_could_read_or_write_outside_of(place: int, value: Any) -> None:
    args = [np.ones((1, 3, 2)), np.arange(3), np.zeros((1, 5, 2))]
    assert native.add_rows(*args)
    args[place] = value
    with pytest.raises(ValueError, match="add_rows"):
        native.add_rows(*args)


def test_the_kernel_takes_an_index_in_int64_alone() -> None:
    with pytest.raises(TypeError, match="int64"):
        native.add_rows(np.ones((1, 3, 2)), np.arange(3, dtype=np.int32), np.zeros((1, 5, 2)))

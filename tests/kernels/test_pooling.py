"""The kernels of pooling, forward and backward, along one and two axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_kernels import (
    assert_agrees,
    count_calls,
    layouts,
    needs_native,
    numbers,
    results_of,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels.pooling import (
    Pooling,
    max_pool,
    scatter_windows,
    sum_pool,
    sum_pool_transpose,
)
from tinygrad_gm.ops.pooling import pool_geometry

pytestmark = needs_native
DTYPES = [np.float32, np.float64]


def channels_last(array: np.ndarray) -> np.ndarray:
    """The same numbers with the channels of a position as neighbours."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def of_maxima(x: np.ndarray, values: np.ndarray, geometry: Pooling) -> tuple[Any, ...]:
    """The maxima, their places, and values written back to these."""
    out, places = max_pool(np, x, geometry)
    return out, places, scatter_windows(np, values, places, x.shape[2:], geometry)


def of_sums(x: np.ndarray, values: np.ndarray, geometry: Pooling) -> tuple[Any, ...]:
    """The sums, and values added in whole windows."""
    return sum_pool(np, x, geometry), sum_pool_transpose(np, values, x.shape[2:], geometry)


SHAPES = [(1, 1, 4, 6), (2, 3, 7, 5), (3, 16, 8, 8), (2, 17, 9, 6), (1, 64, 5, 31), (4, 1, 28, 28)]
SHAPES += [(1, 2, 1, 40), (2, 130, 6, 6), (64, 32, 14, 14), (3, 4, 70, 90)]
WINDOWS: list[dict[str, Any]] = [
    {"kernel": 2},
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": 3, "stride": 1, "padding": 1},
    {"kernel": (1, 4), "stride": (2, 3), "ceil_mode": True},
    {"kernel": (2, 3), "stride": 2, "padding": (1, 1), "dilation": (1, 2), "ceil_mode": True},
]


def fitting(shape: Any, how: dict[str, Any]) -> Pooling:
    """The geometry of these windows."""
    how = {"stride": None, "padding": 0, **how}
    try:
        return pool_geometry("pool", shape, **how)
    except ValueError:
        pytest.skip("no window fits")


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("how", WINDOWS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_windows(
    shape: Any, how: Any, arranged: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, calls_back = count_calls(monkeypatch, "pool"), count_calls(monkeypatch, "unpool")
    geometry = fitting(shape, how)
    x = arranged(numbers(shape, dtype))
    values = arranged(numbers((*shape[:2], *geometry[-1]), dtype, 1))
    assert_agrees(of_maxima, x, values, geometry, terms=9)
    assert calls
    assert calls_back
    if "dilation" not in how:
        assert_agrees(of_sums, x, values, geometry, terms=9)


@pytest.mark.parametrize("how", [{"kernel": 2}, {"kernel": 5, "stride": 1, "padding": 2}], ids=str)
@pytest.mark.parametrize("shape", [(3, 1, 9), (2, 5, 1000), (2, 32, 17)], ids=str)
def test_windows_along_one_axis(shape: Any, how: Any) -> None:
    geometry = fitting(shape, how)
    for arranged in (np.ascontiguousarray, channels_last):
        x = arranged(numbers(shape, np.float32))
        values = numbers((*shape[:2], *geometry[-1]), np.float32, 1)
        assert_agrees(of_maxima, x, values, geometry, terms=9)
        assert_agrees(of_sums, x, arranged(values), geometry, terms=9)


@pytest.mark.parametrize("how", WINDOWS, ids=str)
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
def test_equal_and_special_values_are_found_where_numpy_finds_them(arranged: Any, how: Any) -> None:
    shape = (4, 19, 12, 15)
    geometry = fitting(shape, how)
    values = arranged(numbers((*shape[:2], *geometry[-1]), np.float32, 1))
    few = np.random.default_rng(0).integers(0, 3, shape).astype(np.float32)
    cases = [few, np.zeros_like(few), np.full_like(few, -np.inf), np.full_like(few, np.nan)]
    odd = few.copy()
    for seed, value in enumerate([np.nan, np.inf, -np.inf, -0.0, 1e-42]):
        odd[np.random.default_rng(seed).random(shape) < 0.15] = value
    for x in (*cases, odd):
        assert_agrees(of_maxima, arranged(x), values, geometry, terms=9)
        assert_agrees(of_maxima, arranged(x), arranged(with_special(values)), geometry, terms=9)


def test_windows_in_the_padding_alone() -> None:
    geometry = (2, 2), (1, 1), (2, 2), (4, 4), (1, 1)
    for arranged in (np.ascontiguousarray, channels_last):
        x = arranged(numbers((2, 3, 1, 1), np.float32))
        assert_agrees(of_maxima, x, np.ones((2, 3, 1, 1), np.float32), geometry)


@pytest.mark.sweep
@pytest.mark.parametrize("values", layouts((3, 4, 2, 3), np.float32, 1))
@pytest.mark.parametrize("x", layouts((3, 4, 5, 6), np.float32))
def test_other_memory_orders(x: np.ndarray, values: np.ndarray) -> None:
    geometry = pool_geometry("pool", x.shape, 2, 2, 0)
    assert_agrees(of_maxima, x, values, geometry, terms=4)
    assert_agrees(of_sums, channels_last(x), values, geometry, terms=4)


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
def test_the_memory_order_of_x_is_that_of_the_results(arranged: Any) -> None:
    x, geometry = (
        arranged(numbers((3, 4, 6, 8), np.float32)),
        ((2, 2), (2, 2), (0, 0), (1, 1), (3, 4)),
    )
    with tg.kernels.use("numpy"):
        expected = of_maxima(x, np.ones((3, 4, 3, 4), np.float32), geometry)
    with tg.kernels.use("native"):
        ours = of_maxima(x, np.ones((3, 4, 3, 4), np.float32), geometry)
    assert [a.strides for a in ours] == [a.strides for a in expected]


def test_places_outside_of_a_window_are_left_alone() -> None:
    places = np.full((1, 2, 3, 3), 200, np.uint8)
    for arranged in (np.ascontiguousarray, channels_last):
        values, out = (
            arranged(np.ones((1, 2, 3, 3), np.float32)),
            arranged(np.ones((1, 2, 6, 6), "f")),
        )
        assert native.unpool(values, arranged(places), out, (2, 2), (2, 2), (0, 0), (1, 1))
        np.testing.assert_array_equal(out, 0)


def test_three_axes_and_large_windows_go_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "pool")
    with tg.kernels.use("native"):
        results_of(
            lambda: tg.max_pool(tg.tensor(numbers((1, 2, 4, 4, 4), np.float32)), 2).numpy(), ()
        )
        results_of(
            lambda: tg.max_pool(tg.tensor(numbers((1, 2, 32, 32), np.float32)), 16).numpy(), ()
        )
    assert not calls


def test_layers_call_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, calls_back = count_calls(monkeypatch, "pool"), count_calls(monkeypatch, "unpool")
    x = tg.tensor(numbers((2, 3, 8, 8), np.float32), requires_grad=True)
    with tg.kernels.use("native"):
        tg.nn.MaxPool2d(2)(x).sum().backward()
        tg.nn.AvgPool2d(3, 1, 1)(x).square().sum().backward()
    assert len(calls) == len(calls_back) == 2


# ------------------------------------------------------------------------- what entries refuse

X, OUT, PLACES = np.ones((2, 3, 4, 4), "f"), np.ones((2, 3, 2, 2), "f"), np.ones((2, 3, 2, 2), "B")
READ_ONLY = np.ones((2, 3, 2, 2), "B")
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({1: np.ones((2, 4, 2, 2), "f")}, "do not fit"),
        ({1: np.ones((2, 3, 2), "f")}, "do not fit"),
        ({1: OUT.astype("d")}, "one type"),
        ({2: PLACES[:1]}, "do not fit"),
        ({2: PLACES.astype(np.int8)}, "do not fit"),
        ({3: (2,)}, "do not fit"),
        ({3: (0, 2)}, "do not fit"),
        ({3: (16, 16)}, "do not fit"),
        ({4: (1 << 40, 1)}, "do not fit"),
        ({5: (-1, 0)}, "do not fit"),
        ({6: "ab"}, "do not fit"),
        ({6: (1.0, 1.0)}, "integer"),
    ],
)
def test_pool_refuses_what_it_could_read_outside_of(change: Any, error: str) -> None:
    args = [X, OUT.copy(), PLACES.copy(), (2, 2), (2, 2), (0, 0), (1, 1)]
    assert native.pool(*args)
    for place, value in change.items():
        args[place] = value
    with pytest.raises((ValueError, TypeError), match=error):
        native.pool(*args)
    if 1 in change or 2 in change:
        args[:3] = [args[1], args[2], X.copy()]
        with pytest.raises((ValueError, TypeError), match=error):
            native.unpool(*args)


def test_pool_leaves_other_memory_orders_alone() -> None:
    how = (2, 2), (2, 2), (0, 0), (1, 1)
    assert not native.pool(X.transpose(0, 1, 3, 2), OUT.copy(), PLACES.copy(), *how)
    assert not native.unpool(OUT[:, ::-1], PLACES, X.copy(), *how)
    with pytest.raises(ValueError, match="read-only"):
        native.pool(X, OUT.copy(), READ_ONLY, *how)

"""The error function: exact to the last places, at every size of its argument."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm.kernels.blocks import BLOCK

rng = np.random.default_rng(0)
EDGES = [1.0, 4.0, 6.0]  # of the intervals and of the tables
SIZES = 10.0 ** np.arange(-300, 0, 7)


def points(dtype: Any) -> Any:
    """Numbers of all sizes, dense where erf bends, next to every edge; of both signs."""
    near = [np.nextafter(dtype(edge), dtype(to)) for edge in EDGES for to in (0, 9)]
    x = np.concatenate([rng.uniform(0, 7, 40_000), SIZES, EDGES, near]).astype(dtype)
    return np.concatenate([x, -x])


def ulps(dtype: Any) -> float:
    """The largest error in units in the last place of the true value."""
    x = points(dtype)
    true = np.array([math.erf(value) for value in x])
    place = np.spacing(np.abs(true.astype(dtype))).astype(np.float64)
    return float(np.max(np.abs(tg.erf(tg.tensor(x)).numpy() - true) / place))


def test_erf_is_right_to_one_unit_in_the_last_place_in_float32() -> None:
    assert ulps(np.float32) <= 0.55


def test_erf_is_right_to_four_units_in_the_last_place_in_float64() -> None:
    assert ulps(np.float64) <= 2.5  # of which math.erf may have missed one


def test_erf_has_the_published_values() -> None:
    # Abramowitz & Stegun, Handbook of Mathematical Functions, table 7.1
    table = {0.02: 0.0225645747, 0.5: 0.5204998778, 1.0: 0.8427007929, 1.98: 0.9948920004}
    for x, value in table.items():
        assert abs(tg.erf(tg.tensor(x, dtype=tg.float64)).item() - value) <= 5e-11


def test_erf_is_odd_and_saturates() -> None:
    x = tg.tensor([0.0, -0.0, 1e-30, 9.0, 1000.0, math.inf, -math.inf, math.nan])
    out = tg.erf(x).numpy()
    np.testing.assert_array_equal(tg.erf(-x).numpy(), -out)
    np.testing.assert_array_equal(out[3:], [1, 1, 1, -1, math.nan])
    assert math.copysign(1.0, out[1]) == -1.0


def test_erf_of_a_large_array_is_that_of_its_parts_in_the_same_memory_order() -> None:
    x = rng.normal(size=(3, 5, 4, BLOCK // 16)).astype(np.float32).transpose(0, 3, 1, 2)
    out = tg.erf(tg.asarray(x)).numpy()
    assert out.strides == x.strides
    np.testing.assert_array_equal(out[1, :7], tg.erf(tg.asarray(x[1, :7].copy())).numpy())
    every_second = tg.erf(tg.asarray(x[:, ::-2])).numpy()
    np.testing.assert_array_equal(every_second, out[:, ::-2])


def test_erf_of_integers_is_that_of_floats() -> None:
    out = tg.erf(tg.tensor([0, 1, -2]))
    assert out.dtype == tg.float32
    np.testing.assert_allclose(out.numpy(), [0.0, 0.8427008, -0.9953223], rtol=1e-6)


def test_the_derivatives_of_erf_vanish_far_out() -> None:
    x = tg.tensor([-1000.0, 0.0, 1000.0], requires_grad=True)
    (slope,) = tg.grad(tg.erf(x).sum(), x, create_graph=True)
    assert slope.tolist() == [0.0, np.float32(2 / math.sqrt(math.pi)), 0.0]
    (curvature,) = tg.grad(slope.sum(), x)
    assert curvature.tolist() == [0.0, 0.0, 0.0]

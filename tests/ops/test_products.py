"""Cross and Kronecker products and mixtures, against NumPy's."""

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

RNG = np.random.default_rng(0)


def leaf(*shape):
    return tg.tensor(RNG.normal(size=shape), requires_grad=True)


@pytest.mark.parametrize(
    ("first", "second", "axis"),
    [((3,), (3,), -1), ((2, 3), (3,), -1), ((3, 2), (3, 1), 0), ((2, 3, 1), (2, 3, 4), 1)],
)
def test_a_cross_product_is_numpys(first, second, axis):
    x, y = leaf(*first), leaf(*second)
    wanted = np.cross(x.numpy(), y.numpy(), axis=axis)
    np.testing.assert_allclose(tg.cross(x, y, axis).numpy(), wanted, rtol=1e-12)
    assert gradcheck(lambda a, b: tg.cross(a, b, axis), [x, y], order=2)


@pytest.mark.parametrize(
    ("first", "second"),
    [((2, 3), (4, 2)), ((2,), (3,)), ((2, 2), (3,)), ((), (2, 2)), ((0, 2), (2,))],
)
def test_a_kronecker_product_is_numpys(first, second):
    x, y = leaf(*first), leaf(*second)
    np.testing.assert_array_equal(tg.kron(x, y).numpy(), np.kron(x.numpy(), y.numpy()))
    if x.size:
        assert gradcheck(tg.kron, [x, y], order=2)


def test_a_mixture_ends_exactly_at_both_ends():
    start, end = tg.tensor([0.1, 1e8]), tg.tensor([0.7, -3.0])
    for weight in (0.0, tg.tensor(0.0), 0):
        assert tg.lerp(start, end, weight).tolist() == start.tolist()
    for weight in (1.0, tg.ones(2), 1):
        assert tg.lerp(start, end, weight).tolist() == end.tolist()
    wide = tg.lerp(tg.tensor(0.0, dtype=tg.float64), tg.tensor(1.0, dtype=tg.float64), 0.9)
    assert wide.item() == 1.0 - (1.0 - 0.9)  # no rounding to float32
    x, y, w = leaf(3), leaf(3), tg.tensor([-0.3, 0.2, 0.8], dtype=tg.float64, requires_grad=True)
    assert gradcheck(tg.lerp, [x, y, w], order=2)


@pytest.mark.parametrize("bad", [((2,), (3,), -1), ((3, 2), (3,), 0), ((3, 3), (3,), 2)])
def test_cross_products_that_are_none_are_refused(bad):
    first, second, axis = bad
    with pytest.raises((ValueError, IndexError), match=r"^cross: "):
        tg.cross(tg.ones(first), tg.ones(second), axis)


def test_arrays_that_do_not_broadcast_are_named():
    with pytest.raises(ValueError, match=r"^broadcast_arrays: \(2,\), \(3,\) do not broadcast$"):
        tg.broadcast_arrays(tg.ones(2), tg.ones(3))
    x, y = tg.broadcast_arrays(leaf(2, 1), leaf(3))
    assert x.shape == y.shape == (2, 3)
    assert x.requires_grad

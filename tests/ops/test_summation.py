"""Sums over many rows: pairwise summation on every axis, in every memory order."""

import itertools

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.kernels.summation import summed

ONE_BIT = 2.0**-23  # the distance from 1 to the next float32


def worst(total, x, axis):
    """The largest relative error of `total`, float64 taken for exact."""
    exact = x.astype(np.float64).sum(axis=axis)
    return np.abs(np.asarray(total, float) / exact - 1).max()


def orders(values):
    """The same values with their axes in every memory order, sliced, and backwards."""
    axes = range(values.ndim)
    for order in itertools.permutations(axes):
        yield np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    spread = np.full([2 * n for n in values.shape], np.nan, values.dtype)
    every_second = tuple(slice(None, None, 2) for _ in axes)
    spread[every_second] = values
    yield spread[every_second]
    yield values[tuple(slice(None, None, -1) for _ in axes)]
    for axis in axes:
        yield np.broadcast_to(values.take([0], axis), values.shape)


@pytest.mark.parametrize("shape", [(30011,), (9001, 3), (3, 9001), (2, 4003, 3), (301, 2, 64)])
def test_sum_is_accurate_on_every_axis_in_every_memory_order(shape):
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    for x in orders(values):
        for count in range(1, x.ndim + 1):
            for axes in itertools.combinations(range(x.ndim), count):
                assert worst(summed(np, x, axes), x, axes) < 10 * ONE_BIT
        assert worst(summed(np, x), x, None) < 10 * ONE_BIT


def test_sums_over_many_rows_are_right_to_the_last_bits():
    x = np.random.default_rng(1).random((10**6, 10), dtype=np.float32)
    assert worst(tg.tensor(x).sum(axis=0).numpy(), x, 0) < 3 * ONE_BIT
    assert worst(tg.tensor(x).mean(axis=0).numpy() * 10**6, x, 0) < 4 * ONE_BIT


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "norm", "logsumexp"])
def test_reductions_of_many_equal_rows_are_exact_to_the_last_bits(name):
    rows = 1 << 20
    x = np.tile(np.float32([[0.1, 0.7]]), (rows, 1))
    x[::2] += np.float32(0.2)
    exact = x.astype(np.float64)
    references = {
        "norm": lambda x: np.sqrt((x * x).sum(0)),
        "logsumexp": lambda x: np.log(np.exp(x).sum(0)),
    }
    reference = references.get(name, lambda x: getattr(np, name)(x, 0))(exact)
    np.testing.assert_allclose(getattr(tg.tensor(x), name)(axis=0).numpy(), reference, rtol=1e-6)


def test_gradient_of_a_bias_counts_more_rows_than_float32_numbers_reach():
    rows = (1 << 24) + 1000
    bias = tg.zeros(1, requires_grad=True)
    for out in (
        tg.linear(tg.zeros((rows, 1)), tg.zeros((1, 1)), bias),
        tg.broadcast_to(bias, (rows, 1)),
    ):
        bias.grad = None
        out.sum().backward()
        assert bias.grad.item() == rows


def test_gradient_of_a_convolutions_bias_is_accurate():
    g = np.random.default_rng(2).random((4000, 2, 3, 3), dtype=np.float32)
    bias = tg.zeros(2, requires_grad=True)
    tg.conv(tg.zeros((4000, 1, 3, 3)), tg.zeros((2, 1, 1, 1)), bias).backward(tg.tensor(g))
    assert worst(bias.grad.numpy(), g, (0, 2, 3)) < 5 * ONE_BIT


def test_running_sums_do_not_stop_at_2_to_24():
    x = tg.concat([tg.tensor([2.0**24]), tg.ones(1000)])
    assert tg.cumulative_sum(x)[-1].item() == 2.0**24 + 1000


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_sums_and_products_of_integers_are_int64(name, dtype):
    x = tg.tensor(np.array([1, 1, 0], dtype))
    assert getattr(tg, name)(x).dtype == np.int64


def test_a_sum_of_uint8_can_become_negative():
    assert (tg.tensor(np.uint8([1, 2])).sum() - 4).item() == -1


def test_nan_and_infinity_stay_in_their_columns():
    x = np.ones((5000, 3), np.float32)
    x[70, 0], x[71, 1] = np.nan, np.inf
    assert str(summed(np, x, 0).tolist()) == "[nan, inf, 5000.0]"


MANY = 1 << 18  # rows
COLUMNS = np.random.default_rng(3).random((MANY, 2), dtype=np.float32)


def test_batch_norm_of_many_rows_has_an_accurate_mean_variance_and_gradient():
    x, g = tg.tensor(COLUMNS, requires_grad=True), COLUMNS[::-1].copy()
    weight, bias = tg.ones(2, requires_grad=True), tg.zeros(2, requires_grad=True)
    out, mean, variance = tg.batch_norm(x, weight, bias)
    out.backward(tg.tensor(g))
    exact, slopes = COLUMNS.astype(float), g.astype(float)
    normal = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(mean.numpy(), exact.mean(0), rtol=5e-7)
    np.testing.assert_allclose(variance.numpy(), exact.var(0), rtol=3e-6)
    np.testing.assert_allclose(bias.grad.numpy(), slopes.sum(0), rtol=5e-7)
    error = np.abs(weight.grad.numpy() - (slopes * normal).sum(0))
    assert error.max() < 1e-6 * np.abs(slopes * normal).sum(0).max()


def test_group_norm_of_many_positions_is_accurate():
    x = np.ascontiguousarray(COLUMNS.T)[None]
    exact = x.astype(float)
    normal = (exact - exact.mean(2, keepdims=True)) / np.sqrt(exact.var(2, keepdims=True) + 1e-5)
    found = tg.group_norm(tg.tensor(x), num_groups=2).numpy()
    np.testing.assert_allclose(found, normal, rtol=0, atol=3e-6)


def test_layer_norm_of_many_rows_has_accurate_gradients_of_weight_and_bias():
    weight, bias = tg.ones(2, requires_grad=True), tg.zeros(2, requires_grad=True)
    tg.layer_norm(tg.tensor(COLUMNS), weight, bias).backward(tg.tensor(COLUMNS))
    exact = COLUMNS.astype(float)
    spread = np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    normal = (exact - exact.mean(1, keepdims=True)) / spread
    np.testing.assert_allclose(bias.grad.numpy(), exact.sum(0), rtol=5e-7)
    error = np.abs(weight.grad.numpy() - (exact * normal).sum(0))
    assert error.max() < 1e-6 * np.abs(exact * normal).sum(0).max()


def test_mean_over_a_large_window_is_accurate():
    x = COLUMNS[:, :1].T[None]
    assert worst(tg.avg_pool(tg.tensor(x), MANY).numpy() * MANY, x, 2) < 3 * ONE_BIT
    wide = tg.avg_pool(tg.tensor(x[..., :1001]), 1000, 1).numpy()[0, 0]
    exact = x[0, 0, :1001].astype(float)
    np.testing.assert_allclose(wide, [exact[:-1].mean(), exact[1:].mean()], rtol=2e-7)


def test_gradient_of_overlapping_windows_is_accurate():
    x = tg.zeros((1, 1, 5000), requires_grad=True)
    tg.avg_pool(x, 2000, 1).sum().backward()
    shares = np.convolve(np.ones(3001), np.ones(2000)) / 2000
    np.testing.assert_allclose(x.grad.numpy()[0, 0], shares, rtol=2e-7)


@pytest.mark.parametrize("places", [1, 200])
def test_gradient_of_an_embedding_counts_every_mention(places):
    weight = tg.zeros((places, 1), requires_grad=True)
    rows = np.zeros((1 << 24) + 1000, np.int8)
    tg.embedding(weight, tg.tensor(rows)).sum().backward()
    assert weight.grad.numpy()[0, 0] == rows.size


def test_scatter_add_counts_every_mention():
    indices = np.zeros((1000, 1), np.int64)
    gained = tg.scatter_add(tg.zeros((2, 1)), indices, tg.ones((1000, 1)) * np.float32(0.1), axis=0)
    assert worst(gained.numpy()[:1], np.full((1000, 1), np.float32(0.1)), 0) < ONE_BIT

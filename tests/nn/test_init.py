"""Initial values: their bounds, spreads and seeds."""

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.nn import init

SHAPE = (60, 40, 5)  # fan in 200, fan out 300


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t, g: init.uniform_(t, -1, 3, generator=g), 4 / math.sqrt(12)),
        (lambda t, g: init.normal_(t, 2.0, 0.5, generator=g), 0.5),
        (lambda t, g: init.xavier_uniform_(t, 2.0, generator=g), 2 * math.sqrt(2 / 500)),
        (lambda t, g: init.xavier_normal_(t, generator=g), math.sqrt(2 / 500)),
        (lambda t, g: init.kaiming_uniform_(t, generator=g), math.sqrt(2 / 200)),
        (
            lambda t, g: init.kaiming_uniform_(t, 1.0, "fan_out", generator=g),
            math.sqrt(1 / 300),
        ),
        (
            lambda t, g: init.kaiming_normal_(t, nonlinearity="tanh", generator=g),
            5 / 3 / math.sqrt(200),
        ),
    ],
)
def test_the_spread_is_the_published_one_and_the_seed_decides(fill, std):
    first, second = tg.zeros(SHAPE), tg.zeros(SHAPE)
    assert fill(first, tg.Generator(5)) is first
    fill(second, tg.Generator(5))
    assert (first.numpy() == second.numpy()).all()
    assert abs(first.numpy().std() / std - 1) < 0.02
    assert first.dtype == np.float32


def test_uniform_draws_stay_within_their_bounds_and_reach_them():
    values = init.kaiming_uniform_(tg.zeros(SHAPE), generator=tg.Generator(0)).numpy()
    bound = math.sqrt(2) * math.sqrt(3 / 200)
    assert 0.99 * bound < abs(values).max() <= bound * (1 + 1e-6)
    values = init.uniform_(tg.zeros(10_000), -1, 3, generator=tg.Generator(0)).numpy()
    assert -1 <= values.min() < -0.99
    assert 2.99 < values.max() <= 3


def test_constants_fill_in_place():
    weight = nn.Parameter(tg.empty((2, 2)))
    array = weight._data
    assert init.constant_(weight, 1.5).tolist() == [[1.5, 1.5]] * 2
    assert init.zeros_(weight).tolist() == [[0.0, 0.0]] * 2
    assert init.ones_(weight).tolist() == [[1.0, 1.0]] * 2
    assert weight._data is array


def test_filling_counts_as_a_write():
    weight = nn.Parameter(tg.ones(2))
    loss = (weight * weight).sum()
    init.zeros_(weight)
    with pytest.raises(RuntimeError, match="written since"):
        loss.backward()


def test_gains():
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", math.sqrt(5)) == pytest.approx(math.sqrt(1 / 3))
    with pytest.raises(ValueError, match="calculate_gain: unknown nonlinearity 'gelu'"):
        init.calculate_gain("gelu")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"kaiming_uniform_.*\(3,\)"):
        init.kaiming_uniform_(tg.zeros(3))
    with pytest.raises(ValueError, match="mode is 'fan'"):
        init.kaiming_normal_(tg.zeros((3, 3)), mode="fan")
    assert init.kaiming_uniform_(tg.zeros((3, 0))).shape == (3, 0)

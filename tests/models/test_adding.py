"""The adding problem: its sequences, and gradients over time against recursion and differences."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator
from tinygrad_gm.models.lessons.adding import (
    PLATEAU,
    Adder,
    Sequences,
    gradient_over_time,
    sequences,
    squared_error,
)


@pytest.mark.parametrize("length", [2, 7, 100])
def test_one_number_of_each_half_is_marked_and_the_target_is_their_sum(length):
    x, y = (part.numpy() for part in sequences(500, length, Generator(0)))
    numbers, markers = x[..., 0], x[..., 1]
    assert (markers[:, : length // 2].sum(axis=1) == 1).all()
    assert (markers[:, length // 2 :].sum(axis=1) == 1).all()
    assert ((markers == 0) | (markers == 1)).all()
    np.testing.assert_allclose(y, (numbers * markers).sum(axis=1), rtol=1e-6)
    assert (markers.sum(axis=0) > 0).all()  # at every step


def test_the_constant_one_has_the_error_of_the_plateau():
    _, y = sequences(20_000, 10, Generator(0))
    assert np.mean((y.numpy() - 1) ** 2) == pytest.approx(PLATEAU, abs=0.005)


def test_each_batch_has_new_sequences():
    tg.manual_seed(0)
    one, other = (Sequences(10, 100).batch(range(5))[0].numpy() for _ in range(2))
    assert one.shape == (5, 10, 2)
    assert (one != other).any()


def test_the_gradient_over_time_of_an_rnn_is_the_product_of_its_jacobians():
    tg.manual_seed(0)
    model = Adder("rnn", 5).to(tg.float64)
    x, y = (part.astype(tg.float64) for part in sequences(3, 8, Generator(0)))
    states = model.recurrent(x)[0].numpy()
    u, w = model.recurrent.weight_hh_l0.numpy(), model.head.weight.numpy()[0]
    error = states[:, -1] @ w + model.head.bias.numpy()[0] - y.numpy()
    slope, norms = 2 * error[:, None] * w, []
    for t in reversed(range(8)):
        norms.append(np.linalg.norm(slope, axis=1).mean())
        slope = (slope * (1 - states[:, t] ** 2)) @ u
    np.testing.assert_allclose(gradient_over_time(model, x, y), norms[::-1], rtol=1e-9)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_gradient_over_time_is_that_of_differences(cell):
    tg.manual_seed(0)
    model, step = Adder(cell, 3).to(tg.float64), 2
    x, y = (part.astype(tg.float64) for part in sequences(1, 6, Generator(0)))
    _, reached = model.recurrent(x[:, :step])
    state = np.stack([part.numpy() for part in (reached if cell == "lstm" else (reached,))])

    def loss(state):
        parts = tuple(map(tg.asarray, state))
        outputs, _ = model.recurrent(x[:, step:], parts if cell == "lstm" else parts[0])
        return float(tg.sum((model.head(outputs[:, -1])[:, 0] - y) ** 2))

    slopes = []
    for place in np.ndindex(state.shape):
        moved = [state.copy(), state.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        slopes.append((loss(moved[0]) - loss(moved[1])) / 2e-6)
    found = gradient_over_time(model, x, y)
    assert len(found) == 6
    assert found[step - 1] == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


def test_the_gradient_vanishes_in_the_rnn_and_less_in_an_lstm_with_open_forget_gates():
    few, ratios = sequences(50, 100, Generator(0)), {}
    for cell in ("rnn", "lstm"):
        tg.manual_seed(0)
        norms = gradient_over_time(Adder(cell, 64), *few)
        ratios[cell] = norms[0] / norms[-1]
    assert ratios["rnn"] < 1e-3 * ratios["lstm"]


def test_the_squared_error_is_that_of_the_sums():
    model, (x, y) = Adder("rnn", 4), sequences(30, 5, Generator(0))
    wanted = np.mean((model(x).numpy() - y.numpy()) ** 2)
    assert squared_error(model, x, y) == pytest.approx(wanted, rel=1e-6)

"""The notes' small functions, against their formulas written out in plain Python and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models import notes


@pytest.mark.parametrize("z", [-700, -3.5, -1, 0, 0.25, 2, 40])
def test_sigmoid_is_the_formula_rounded_to_4(z):
    assert notes.sigmoid(z) == round(1 / (1 + math.exp(-z)), 4)


@pytest.mark.filterwarnings("error")
def test_sigmoid_and_softmax_do_not_overflow():
    assert (notes.sigmoid(-1000), notes.sigmoid(1000)) == (0.0, 1.0)
    assert notes.softmax([1000, 1000]) == [0.5, 0.5]
    assert notes.softmax([-1000, -1000, -1000]) == [0.3333] * 3


def test_softmax_is_the_formula_rounded_to_4():
    scores = [0.1, -2, 3, 1.5]
    powers = [math.exp(s) for s in scores]
    assert notes.softmax(scores) == [round(p / sum(powers), 4) for p in powers]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_softmax_is_the_formula_along_an_axis(axis):
    scores = np.random.default_rng(0).normal(size=(3, 4))
    expected = scores - np.log(np.exp(scores).sum(axis=axis, keepdims=True))
    np.testing.assert_allclose(notes.log_softmax(scores, axis), expected, rtol=1e-13)
    assert notes.log_softmax([1000, 0]).tolist() == [0.0, -1000.0]


@pytest.mark.parametrize("case", [(0, 1, 0, 1), (1.5, 0.3, -2, 2), (0, 3, 0, 0.5)])
def test_kl_is_the_integral_of_p_ln_p_over_q(case):
    mu_p, sigma_p, mu_q, sigma_q = case
    x = np.linspace(mu_p - 12 * sigma_p, mu_p + 12 * sigma_p, 200_001)

    def log_density(mu, sigma):
        return -((x - mu) ** 2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))

    log_p, log_q = log_density(mu_p, sigma_p), log_density(mu_q, sigma_q)
    integral = np.trapezoid(np.exp(log_p) * (log_p - log_q), x)
    assert math.isclose(notes.kl_divergence_normal(*case), integral, abs_tol=1e-9)


def test_kl_of_a_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match="sigmas must be positive, not 0 and 1"):
        notes.kl_divergence_normal(0, 0, 0, 1)


def test_adam_is_the_algorithm_written_out():
    rng = np.random.default_rng(0)
    matrix, x0 = rng.normal(size=(3, 3)), rng.normal(size=3)
    x, m, v = x0.copy(), np.zeros(3), np.zeros(3)
    for t in range(1, 11):
        g = 2 * matrix.T @ (matrix @ x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - 0.02 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    start = x0.copy()
    found = notes.adam_optimizer(
        lambda x: ((matrix @ x) ** 2).sum(), lambda x: 2 * matrix.T @ (matrix @ x), x0, 0.02
    )
    np.testing.assert_allclose(found, x, rtol=1e-12)
    assert np.array_equal(x0, start)


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 1), (2, 3), (1, 2)])
def test_conv_is_the_sum_over_the_window(padding, stride):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(6, 5)), rng.normal(size=(3, 2))
    padded = np.pad(x, padding)
    rows = (padded.shape[0] - 3) // stride + 1
    columns = (padded.shape[1] - 2) // stride + 1
    expected = [
        [
            (padded[i * stride : i * stride + 3, j * stride : j * stride + 2] * kernel).sum()
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    found = notes.simple_conv2d(x, kernel, padding, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_a_kernel_larger_than_the_input_is_refused():
    with pytest.raises(ValueError, match=r"conv2d.*(larger|smaller|does not fit)"):
        notes.simple_conv2d(np.ones((2, 2)), np.ones((3, 3)), 0, 1)


def test_rnn_forward_is_the_recurrence():
    rng = np.random.default_rng(0)
    sequence, h = rng.normal(size=(5, 3)), rng.normal(size=2)
    wx, wh, b = rng.normal(size=(2, 3)), rng.normal(size=(2, 2)), rng.normal(size=2)
    expected = h
    for x in sequence:
        expected = np.tanh(wx @ x + wh @ expected + b)
    found = notes.rnn_forward(sequence.tolist(), h.tolist(), wx.tolist(), wh.tolist(), b.tolist())
    assert found == [round(float(value), 4) for value in expected]


def plain_lstm(lstm, sequence, h, c):
    def gate(weight, bias, function):
        return function(weight @ np.vstack([h, x]) + bias)

    def logistic(z):
        return 1 / (1 + np.exp(-z))

    outputs = []
    for row in sequence:
        x = row.reshape(-1, 1)
        f, i = gate(lstm.Wf, lstm.bf, logistic), gate(lstm.Wi, lstm.bi, logistic)
        candidate, o = gate(lstm.Wc, lstm.bc, np.tanh), gate(lstm.Wo, lstm.bo, logistic)
        c = f * c + i * candidate
        h = o * np.tanh(c)
        outputs.append(h)
    return np.array(outputs), h, c


def test_lstm_is_its_four_gates():
    rng = np.random.default_rng(0)
    lstm = notes.LSTM(3, 4, forget_bias=1.0)
    lstm.bi, lstm.bo = rng.normal(size=(4, 1)), rng.normal(size=(4, 1))
    sequence, h, c = rng.normal(size=(6, 3)), rng.normal(size=(4, 1)), rng.normal(size=(4, 1))
    found, expected = lstm.forward(sequence, h, c), plain_lstm(lstm, sequence, h, c)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_lstm_starts_with_gates_that_are_neither_open_nor_shut():
    tg.manual_seed(0)
    lstm = notes.LSTM(input_size=10, hidden_size=64)
    weights = np.stack([lstm.Wf, lstm.Wi, lstm.Wc, lstm.Wo])
    assert weights.shape == (4, 64, 74)
    assert abs(weights).max() <= 1 / 8
    assert math.isclose(weights.std(), 1 / 8 / math.sqrt(3), rel_tol=0.02)
    assert (lstm.bf == 0).all()


def test_the_neurons_functions_are_among_them():
    probabilities, error = notes.single_neuron_model([[0.5, 1.0]], [0], [0.7, -0.4], -0.1)
    p = 1 / (1 + math.exp(0.15))
    assert (probabilities, error) == ([round(p, 4)], round(p * p, 4))
    assert notes.train_neuron([[1, 2]], [1], [0, 0], 0, 0.1, 0) == ([0.0, 0.0], 0.0, [])


def test_the_layers_give_the_same_from_the_same_weights():
    """`rnn_forward` and the single-sample LSTM are what `nn.RNN` and `nn.LSTM` compute."""
    rng = np.random.default_rng(1)
    sequence = rng.normal(size=(5, 3))
    rnn = nn.RNN(3, 2, dtype=tg.float64)
    state = {name: value.numpy() for name, value in rnn.state_dict().items()}
    _, last = rnn(tg.tensor(sequence))
    wx, wh = state["weight_ih_l0"], state["weight_hh_l0"]
    bias = state["bias_ih_l0"] + state["bias_hh_l0"]
    found = notes.rnn_forward(sequence.tolist(), [0.0, 0.0], wx, wh, bias)
    assert found == [round(value, 4) for value in last[0].tolist()]

    small, layer = notes.LSTM(3, 4), nn.LSTM(3, 4, dtype=tg.float64)
    gates = [small.Wi, small.Wf, small.Wc, small.Wo]  # PyTorch's order
    layer.load_state_dict(
        {
            "weight_ih_l0": np.concatenate([w[:, 4:] for w in gates]),
            "weight_hh_l0": np.concatenate([w[:, :4] for w in gates]),
            "bias_ih_l0": np.zeros(16),
            "bias_hh_l0": np.zeros(16),
        }
    )
    outputs, (h, c) = layer(tg.tensor(sequence))
    expected = small.forward(sequence, np.zeros((4, 1)), np.zeros((4, 1)))
    np.testing.assert_allclose(outputs.detach().numpy(), expected[0][..., 0], rtol=1e-12)
    np.testing.assert_allclose(h[0].detach().numpy(), expected[1][:, 0], rtol=1e-12)
    np.testing.assert_allclose(c[0].detach().numpy(), expected[2][:, 0], rtol=1e-12)

"""Recurrent layers and cells: their equations, unequal lengths, initial weights, mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.engine.backward import topological_order
from tinygrad_gm.testing import gradcheck

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def parts(result: Any) -> list[Any]:
    """The arrays of a layer's result: output, h, and for an LSTM c."""
    output, state = result
    states = state if isinstance(state, tuple) else (state,)
    return [output.numpy(), *(s.numpy() for s in states)]


# ------------------------------------------------------------------------- the notes' equations


def test_rnn_is_the_loop_h_becomes_tanh_of_wx_x_plus_wh_h_plus_b() -> None:
    inputs, hidden = 3, 4
    w_x, w_h, b = numbers(hidden, inputs), numbers(hidden, hidden), numbers(hidden)
    sequence, h = numbers(6, inputs, seed=1), numbers(hidden, seed=1)
    layer = nn.RNN(inputs, hidden, dtype=tg.float64)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    values = (w_x, w_h, b, np.zeros(hidden))
    layer.load_state_dict(dict(zip(names, values, strict=True)))
    output, last = layer(sequence, h[None])
    for t, x in enumerate(sequence):
        h = np.tanh(w_x @ x + w_h @ h + b)
        np.testing.assert_allclose(output.numpy()[t], h, rtol=1e-12)
    np.testing.assert_allclose(last.numpy()[0], h, rtol=1e-12)


def test_lstm_is_the_one_whose_gates_read_the_concatenation_of_h_and_x() -> None:
    """One sample as a column; forget, input, candidate and output gate each with a W for [h; x]."""
    inputs, hidden = 3, 4
    w_f, w_i, w_c, w_o = (numbers(hidden, hidden + inputs, seed=k) for k in range(4))
    b_f, b_i, b_c, b_o = (numbers(hidden, 1, seed=k) for k in range(4))
    sequence = numbers(6, inputs, seed=9)
    h, c = numbers(hidden, 1, seed=7), numbers(hidden, 1, seed=8)
    layer = nn.LSTM(inputs, hidden, dtype=tg.float64)
    stacked = np.concatenate([w_i, w_f, w_c, w_o])  # the layer's order: i, f, g, o
    layer.load_state_dict(
        {
            "weight_ih_l0": stacked[:, hidden:],
            "weight_hh_l0": stacked[:, :hidden],
            "bias_ih_l0": np.concatenate([b_i, b_f, b_c, b_o])[:, 0],
            "bias_hh_l0": np.zeros(4 * hidden),
        }
    )
    output, (last_h, last_c) = layer(sequence, (h.T, c.T))
    for t, x in enumerate(sequence):
        both = np.concatenate([h, x[:, None]])
        forget, write = sigmoid(w_f @ both + b_f), sigmoid(w_i @ both + b_i)
        c = forget * c + write * np.tanh(w_c @ both + b_c)
        h = sigmoid(w_o @ both + b_o) * np.tanh(c)
        np.testing.assert_allclose(output.numpy()[t], h[:, 0], rtol=1e-12)
    np.testing.assert_allclose(last_h.numpy(), h.T, rtol=1e-12)
    np.testing.assert_allclose(last_c.numpy(), c.T, rtol=1e-12)


# ------------------------------------------------------------------------- layers and cells


@pytest.mark.parametrize(("layer_class", "cell_class"), [*zip(LAYERS, CELLS, strict=True)])
def test_a_layer_is_its_cell_step_by_step(layer_class: Any, cell_class: Any) -> None:
    layer = layer_class(3, 4, dtype=tg.float64)
    cell = cell_class(3, 4, dtype=tg.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, state = tg.tensor(numbers(5, 2, 3)), None
    output, _ = layer(x)
    for t in range(5):
        state = cell(x[t], state)
        hidden = state[0] if isinstance(state, tuple) else state
        np.testing.assert_allclose(output[t].detach().numpy(), hidden.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.parametrize("extra", [{}, {"bidirectional": True}])
def test_batch_first_and_a_single_sequence_are_the_same_network(
    layer_class: Any, extra: Any
) -> None:
    layer = layer_class(3, 4, num_layers=2, dtype=tg.float64, **extra).eval()
    swapped = layer_class(3, 4, num_layers=2, batch_first=True, dtype=tg.float64, **extra)
    swapped.load_state_dict(layer.state_dict())
    x = numbers(5, 2, 3)
    with tg.no_grad():
        output, *states = parts(layer(x))
        other, *others = parts(swapped(x.swapaxes(0, 1)))
        single, *ends = parts(layer(x[:, 1]))
    np.testing.assert_allclose(other.swapaxes(0, 1), output, rtol=1e-12)
    np.testing.assert_allclose(single, output[:, 1], rtol=1e-12)
    for state, same, end in zip(states, others, ends, strict=True):
        np.testing.assert_allclose(same, state, rtol=1e-12)
        np.testing.assert_allclose(end, state[:, 1], rtol=1e-12)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_sequence_in_two_halves_carries_its_state_over(layer_class: Any) -> None:
    layer = layer_class(2, 3, num_layers=2, dtype=tg.float64)
    x = numbers(6, 2, 2)
    with tg.no_grad():
        whole, state = layer(x)
        first, between = layer(x[:2])
        second, end = layer(x[2:], between)
    np.testing.assert_allclose(tg.concat(first, second).numpy(), whole.numpy(), rtol=1e-12)
    for one, other in zip(parts((whole, state)), parts((whole, end)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_gradients_of_a_bidirectional_stack_are_those_of_differences(layer_class: Any) -> None:
    tg.manual_seed(0)
    layer = layer_class(2, 2, num_layers=2, bidirectional=True, dtype=tg.float64)
    x = tg.tensor(numbers(3, 2, 2), requires_grad=True)

    def loss(x: Any, *_: Any) -> Any:
        output, state = layer(x, lengths=[3, 2])
        last = state[1] if isinstance(state, tuple) else state
        return (output * output).sum() + (last * last * last).sum()

    assert gradcheck(loss, [x, *layer.parameters()])


def test_one_layer_in_one_direction_is_one_operation_for_all_steps() -> None:
    layer = nn.LSTM(3, 4)
    output, _ = layer(tg.ones((20, 2, 3)))
    names = [node.plan.op.name for node in topological_order(output)]
    assert names.count("lstm_sequence") == 1
    assert names.count("linear") == 1
    assert len(names) < 6


@pytest.mark.parametrize("layer_class", LAYERS)
def test_the_textbook_records_every_step(layer_class: Any) -> None:
    layer = layer_class(3, 4, dtype=tg.float64)
    x = numbers(4, 2, 3)
    fused = parts(layer(x))
    with tg.textbook():
        result = layer(x)
    names = [node.plan.op.name for node in topological_order(result[0])]
    assert not any(name.endswith(("_sequence", "_cell")) for name in names)
    assert names.count("tanh") >= 4
    for one, other in zip(fused, parts(result), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_dropout_acts_between_layers_in_training_only() -> None:
    tg.manual_seed(0)
    layer = nn.RNN(2, 3, num_layers=2, dropout=1.0, dtype=tg.float64)
    x = numbers(4, 1, 2)
    dropped = layer(x)[0].numpy()
    state = {k: v.numpy() for k, v in layer.state_dict().items()}
    h = np.zeros(3)
    for t in range(4):  # the second layer sees zeros
        total = state["bias_ih_l1"] + state["bias_hh_l1"] + state["weight_hh_l1"] @ h
        h = np.tanh(total)
        np.testing.assert_allclose(dropped[t, 0], h, rtol=1e-12)
    assert not np.allclose(layer.eval()(x)[0].numpy(), dropped)
    plain = nn.RNN(2, 3, num_layers=2, dtype=tg.float64)
    plain.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(plain(x)[0].numpy(), layer(x)[0].numpy())


def test_dropout_without_a_second_layer_is_pointed_out() -> None:
    with pytest.warns(UserWarning, match="LSTM: dropout=0.5 acts between layers"):
        nn.LSTM(2, 3, dropout=0.5)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_batch_of_nothing_gives_nothing(layer_class: Any) -> None:
    layer = layer_class(3, 4, bidirectional=True)
    for lengths in (None, np.zeros(0, int)):
        output, h, *_ = parts(layer(tg.zeros((5, 0, 3)), lengths=lengths))
        assert (output.shape, h.shape) == ((5, 0, 8), (2, 0, 4))


def test_gates_far_beyond_saturation_stay_finite() -> None:
    layer = nn.LSTM(1, 2)
    x = tg.tensor([[[1e4]], [[-1e4]], [[1e4]]], requires_grad=True)
    output, _ = layer(x)
    output.sum().backward()
    assert np.isfinite(output.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


# ------------------------------------------------------------------------- unequal lengths


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_sequences_give_the_result_of_the_unpadded_ones(
    layer_class: Any, bidirectional: bool, batch_first: bool
) -> None:
    tg.manual_seed(0)
    layer = layer_class(
        3, 4, 2, bidirectional=bidirectional, batch_first=batch_first, dtype=tg.float64
    )
    lengths, steps = [2, 5, 1, 4], 5
    x = numbers(steps, 4, 3)
    for n, length in enumerate(lengths):
        x[length:, n] = np.nan  # whatever lies there must not matter
    start = numbers(2 * (1 + bidirectional), 4, 4, seed=1)
    pair = layer_class is nn.LSTM
    given = tg.tensor(x.swapaxes(0, 1) if batch_first else x, requires_grad=True)
    output, state = layer(given, (start, start) if pair else start, lengths)
    whole, *finals = parts((output, state))
    whole = whole.swapaxes(0, 1) if batch_first else whole
    (output * output).sum().backward()
    gradient = given.grad.numpy().swapaxes(0, 1) if batch_first else given.grad.numpy()
    weights = [parameter.grad.numpy().copy() for parameter in layer.parameters()]
    layer.zero_grad()
    for n, length in enumerate(lengths):
        alone = tg.tensor(x[:length, n], requires_grad=True)
        own = (start[:, n], start[:, n]) if pair else start[:, n]
        result = layer(alone, own)
        (result[0] * result[0]).sum().backward()
        wanted, *ends = parts(result)
        np.testing.assert_allclose(whole[:length, n], wanted, rtol=1e-12)
        assert not whole[length:, n].any()
        for final, end in zip(finals, ends, strict=True):
            np.testing.assert_allclose(final[:, n], end, rtol=1e-12)
        np.testing.assert_allclose(gradient[:length, n], alone.grad.numpy(), rtol=1e-10)
        assert not gradient[length:, n].any()
    for found, parameter in zip(weights, layer.parameters(), strict=True):
        np.testing.assert_allclose(found, parameter.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_lengths_that_are_all_full_change_nothing() -> None:
    layer = nn.GRU(3, 4, 2, bidirectional=True)
    x = tg.tensor(numbers(5, 2, 3).astype(np.float32))
    for one, other in zip(parts(layer(x)), parts(layer(x, lengths=tg.tensor([5, 5]))), strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------- the initial weights


@pytest.mark.parametrize("cls", [*LAYERS, *CELLS])
def test_weights_are_drawn_evenly_up_to_one_over_root_hidden(cls: Any) -> None:
    tg.manual_seed(0)
    bound = 1 / math.sqrt(50)
    for parameter in cls(20, 50).parameters():
        values = parameter.numpy()
        assert 0.9 * bound < abs(values).max() <= np.float32(bound)
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)


@pytest.mark.parametrize("cls", [nn.LSTM, nn.LSTMCell])
def test_a_forget_bias_is_added_to_the_forget_gates_part_alone(cls: Any) -> None:
    tg.manual_seed(0)
    plain = cls(3, 5)
    tg.manual_seed(0)
    remembering = cls(3, 5, forget_bias=1.0)
    for name, value in plain.state_dict().items():
        wanted = value.numpy().copy()
        if name.startswith("bias_ih"):
            wanted[5:10] += 1
        np.testing.assert_array_equal(remembering.state_dict()[name].numpy(), wanted)
    tg.manual_seed(0)
    remembering.reset_parameters()
    assert remembering.state_dict().keys() == plain.state_dict().keys()
    with nn.no_init():
        assert not cls(3, 5, forget_bias=1.0).state_dict().popitem()[1].numpy().any()


def test_names_order_and_shapes_of_the_parameters() -> None:
    layer = nn.GRU(3, 4, 2, bidirectional=True)
    shapes = {name: parameter.shape for name, parameter in layer.named_parameters()}
    assert list(shapes)[:8] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
        "weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse",
    ]  # fmt: skip
    assert shapes["weight_ih_l0"] == (12, 3)
    assert shapes["weight_ih_l1_reverse"] == (12, 8)
    assert shapes["weight_hh_l1"] == (12, 4)
    assert shapes["bias_hh_l1"] == (12,)


def test_a_layers_text_says_what_is_not_the_default() -> None:
    assert repr(nn.LSTM(3, 4)) == "LSTM(3, 4)"
    assert repr(nn.GRU(3, 4, 2, batch_first=True)) == "GRU(3, 4, num_layers=2, batch_first=True)"
    assert repr(nn.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4, nonlinearity=relu)"
    assert repr(nn.RNNCell(3, 4, bias=False)) == "RNNCell(3, 4, bias=False)"


def test_weights_of_numbers_in_float32_stay_so() -> None:
    output, (h, c) = nn.LSTM(3, 4, bidirectional=True)(tg.ones((2, 2, 3)), lengths=[1, 2])
    assert {output.dtype, h.dtype, c.dtype} == {np.dtype(np.float32)}


# ------------------------------------------------------------------------- mistakes

X = tg.zeros((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.LSTM(3, 4)(tg.zeros((5, 2, 4))),
            r"^LSTM: expected an input \(L, N, 3\).*\(5, 2, 4\)$",
        ),
        (lambda: nn.GRU(3, 4)(tg.zeros(3)), r"^GRU: expected an input .*got \(3,\)$"),
        (lambda: nn.RNN(3, 4)(tg.zeros((0, 2, 3))), r"^RNN: input \(0, 2, 3\) has no steps$"),
        (lambda: nn.RNN(3, 4)(X, tg.zeros((2, 4))), r"^RNN: expected hx of shape \(1, 2, 4\)"),
        (
            lambda: nn.LSTM(3, 4)(X, (tg.zeros((1, 2, 4)), tg.zeros((1, 2, 3)))),
            r"^LSTM: expected c of shape \(1, 2, 4\); got \(1, 2, 3\)$",
        ),
        (lambda: nn.LSTM(3, 4)(X, tg.zeros((1, 2, 4))), r"^LSTM: hx is the pair \(h, c\)"),
        (
            lambda: nn.GRU(3, 4)(X, lengths=[5, 6]),
            r"^GRU: expected lengths in \[1, 5\]; got .* 5 to 6$",
        ),
        (
            lambda: nn.GRU(3, 4)(X, lengths=[0, 5]),
            r"^GRU: expected lengths in \[1, 5\]; got .* 0 to 5",
        ),
        (lambda: nn.GRU(3, 4)(X, lengths=[5]), r"^GRU: expected lengths \(2,\) of integers"),
        (lambda: nn.GRU(3, 4)(X, lengths=[5.0, 5.0]), r"^GRU: expected lengths .*float32"),
        (lambda: nn.GRU(3, 4)(X[:, 0], lengths=[5]), "^GRU: lengths need a batch"),
        (lambda: nn.GRU(3, 0), "^GRU: hidden_size is 0; expected an integer ≥ 1$"),
        (lambda: nn.RNN(3, 4, num_layers=0), "^RNN: num_layers is 0"),
        (lambda: nn.RNN(3, 4, 2, dropout=1.5), "^RNN: dropout is 1.5"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "^RNN: nonlinearity is 'sin'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sin"), "^RNNCell: nonlinearity is 'sin'"),
        (lambda: nn.LSTM(3, 4, bias=False, forget_bias=1.0), "^LSTM: forget_bias=1.0 needs"),
        (
            lambda: nn.LSTMCell(3, 4)(tg.zeros((2, 4))),
            r"^LSTMCell: expected an input \(N, 3\) or \(3,\)",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(tg.zeros((2, 3)), (tg.zeros((2, 4)), tg.zeros(4))),
            r"^LSTMCell: expected c of shape \(2, 4\); got \(4,\)$",
        ),
        (
            lambda: nn.GRUCell(3, 4)(tg.zeros((2, 3)), tg.zeros((1, 4))),
            r"^GRUCell: expected hx of shape \(2, 4\); got \(1, 4\)$",
        ),
    ],
)
def test_mistakes_are_named_in_one_sentence(call: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: tg.ops.lstm_sequence(X, tg.zeros((2, 3)), tg.zeros((2, 3)), tg.zeros((12, 3))),
            r"^lstm_sequence: expected inputs \(L, N, 4·H\) .*H = 3; got \(5, 2, 3\)$",
        ),
        (
            lambda: tg.ops.gru_sequence(X, tg.zeros((1, 1)), tg.zeros((3, 1))),
            r"^gru_sequence: expected hidden of shape \(2, 1\); got \(1, 1\)$",
        ),
        (
            lambda: tg.ops.gru_sequence(X, tg.zeros((2, 1)), tg.zeros((3, 1)), tg.zeros(1)),
            r"^gru_sequence: expected bias of shape \(3,\); got \(1,\)$",
        ),
        (
            lambda: tg.ops.rnn_sequence(X, tg.zeros((2, 3)), tg.zeros((3, 2))),
            r"^rnn_sequence: expected weight of shape \(H, H\); got \(3, 2\)$",
        ),
        (
            lambda: tg.ops.rnn_sequence(X, tg.zeros((2, 3)), tg.zeros((3, 3)), "sin"),
            "^rnn_sequence: nonlinearity is 'sin'",
        ),
    ],
)
def test_the_operations_name_the_shapes_that_do_not_fit(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

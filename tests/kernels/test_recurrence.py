"""Kernels of recurrent networks over a sequence: LSTM, GRU and RNN, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from tinygrad_gm.kernels import sequences as kernels
from tinygrad_gm.ops.fused.sequences import gru_sequence, lstm_sequence, rnn_sequence

pytestmark = needs_native
Arrays = tuple[np.ndarray, ...]
SIZES = [  # steps, batch, states
    (1, 1, 1), (3, 1, 16), (2, 2, 7), (5, 3, 17), (4, 8, 31), (3, 13, 64), (2, 31, 20), (6, 16, 33),
    (3, 33, 128), (2, 40, 160), (40, 4, 5),
]  # fmt: skip


def lstm(inputs: Any, hidden: Any, cell: Any, weight: Any, g: Any, h: Any) -> list[np.ndarray]:
    leaves = [tg.asarray(a).requires_grad_() for a in (inputs, hidden, cell, weight)]
    states, cells = lstm_sequence(*leaves)
    ((states * tg.asarray(g)).sum() + (cells * tg.asarray(h)).sum()).backward()
    return [states.numpy(), cells.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def gru(inputs: Any, hidden: Any, weight: Any, bias: Any, g: Any) -> list[np.ndarray]:
    given = [a for a in (inputs, hidden, weight, bias) if a is not None]
    leaves = [tg.asarray(a).requires_grad_() for a in given]
    states = gru_sequence(*leaves)
    (states * tg.asarray(g)).sum().backward()
    return [states.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def rnn(name: str) -> Callable[..., list[np.ndarray]]:
    def run(inputs: Any, hidden: Any, weight: Any, g: Any) -> list[np.ndarray]:
        leaves = [tg.asarray(a).requires_grad_() for a in (inputs, hidden, weight)]
        states = rnn_sequence(*leaves, name)
        (states * tg.asarray(g)).sum().backward()
        return [states.numpy(), *(leaf.grad.numpy() for leaf in leaves)]

    return run


RNNS = {"tanh": rnn("tanh"), "relu": rnn("relu")}


def weight_of(rows: int, size: int, dtype: Any, plain: bool = False) -> np.ndarray:
    """A weight (rows, H) in the memory order of the layers, or in C order."""
    weight = numbers((size, rows), dtype, 7) / dtype(size**0.5)
    return np.ascontiguousarray(weight.T) if plain else weight.T


def lstm_arrays(steps: int, batch: int, size: int, dtype: Any, plain: bool = False) -> Arrays:
    state = (batch, size)
    return (
        numbers((steps, batch, 4 * size), dtype, 1), numbers(state, dtype, 2),
        numbers(state, dtype, 3), weight_of(4 * size, size, dtype, plain),
        numbers((steps, *state), dtype, 4), numbers((steps, *state), dtype, 5),
    )  # fmt: skip


def gru_arrays(steps: int, batch: int, size: int, dtype: Any, plain: bool = False) -> Arrays:
    return (
        numbers((steps, batch, 3 * size), dtype, 1), numbers((batch, size), dtype, 2),
        weight_of(3 * size, size, dtype, plain), numbers((3 * size,), dtype, 6),
        numbers((steps, batch, size), dtype, 4),
    )  # fmt: skip


def rnn_arrays(steps: int, batch: int, size: int, dtype: Any, plain: bool = False) -> Arrays:
    return (
        numbers((steps, batch, size), dtype, 1), numbers((batch, size), dtype, 2),
        weight_of(size, size, dtype, plain), numbers((steps, batch, size), dtype, 4),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Arrays]]] = {
    "lstm": (lstm, lstm_arrays),
    "gru": (gru, gru_arrays),
    "rnn tanh": (RNNS["tanh"], rnn_arrays),
    "rnn relu": (RNNS["relu"], rnn_arrays),
}


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_sequences(
    name: str, sizes: tuple[int, int, int], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, arrays = CASES[name]
    kernel = name.split()[0]
    calls = [count_calls(monkeypatch, n) for n in (kernel, f"{kernel}_backward")]
    steps, batch, size = sizes
    assert_agrees(function, *arrays(*sizes, dtype), terms=steps * (batch + 4 * size + 32))
    assert all(calls)


@pytest.mark.parametrize("name", CASES)
def test_a_weight_in_another_memory_order_changes_no_bit(name: str) -> None:
    function, arrays = CASES[name]
    with tg.kernels.use("native"):
        ours, theirs = (function(*arrays(4, 9, 20, np.float32, plain)) for plain in (True, False))
    for one, other in zip(ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("inputs", layouts((5, 6, 68), np.float32))
def test_inputs_in_other_memory_orders(inputs: np.ndarray) -> None:
    _, *others = lstm_arrays(5, 6, 17, np.float32)
    assert_agrees(lstm, inputs, *others, terms=500)


@pytest.mark.parametrize("g", layouts((5, 6, 17), np.float32))
def test_gradients_in_other_memory_orders(g: np.ndarray) -> None:
    *others, _ = gru_arrays(5, 6, 17, np.float32)
    assert_agrees(gru, *others, g, terms=500)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_special_values_are_where_numpy_has_them(name: str, place: int, dtype: type) -> None:
    function, arrays = CASES[name]
    given = list(arrays(3, 10, 17, dtype))
    given[place] = with_special(given[place])
    assert_agrees(function, *given, terms=2000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_that_are_wide_open_or_shut(dtype: type) -> None:
    inputs, *others = lstm_arrays(4, 3, 18, dtype)
    assert_agrees(lstm, np.sign(inputs) * dtype(1e4), *others, terms=500)
    assert_agrees(lstm, inputs * dtype(30), *others, terms=500)


def test_a_gru_without_bias() -> None:
    inputs, hidden, weight, _, g = gru_arrays(4, 5, 18, np.float32)
    assert_agrees(gru, inputs, hidden, weight, None, g, terms=500)


def test_a_gradient_that_relu_does_not_pass_is_0() -> None:
    states = np.zeros((2, 3, 17), np.float32)
    weight = weight_of(17, 17, np.float32)
    with tg.kernels.use("native"):
        found = kernels.rnn_backward(np, states + np.float32(np.inf), weight, states, False)
    assert not np.any(found[0])


@pytest.mark.parametrize("module", [tg.nn.LSTM, tg.nn.GRU, tg.nn.RNN])
def test_layers_in_both_directions_with_lengths(module: Any) -> None:
    tg.manual_seed(0)
    net = module(5, 7, num_layers=2, batch_first=True, bidirectional=True)
    weights = [p.numpy().copy() for p in net.parameters()]

    def run(x: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
        tg.manual_seed(0)
        copy = module(5, 7, 2, batch_first=True, bidirectional=True, dtype=x.dtype)
        for parameter, value in zip(copy.parameters(), values, strict=True):
            parameter.data = tg.asarray(value)
        x = tg.asarray(x).requires_grad_()
        out, state = copy(x, lengths=[6, 1, 3, 4])
        last = state[0] if isinstance(state, tuple) else state
        ((out * out).sum() + last.sum()).backward()
        grads = [p.grad.numpy() for p in copy.parameters()]
        return [out.numpy(), last.numpy(), x.grad.numpy(), *grads]

    assert_agrees(run, numbers((4, 6, 5), np.float32), *weights, terms=2000)


def test_an_empty_batch_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "lstm")
    out, (h, c) = tg.nn.LSTM(3, 5)(tg.zeros((4, 0, 3)))
    assert (out.shape, h.shape, c.shape, calls) == ((4, 0, 5), (1, 0, 5), (1, 0, 5), [])


def test_one_step_with_many_weights_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [(tg.nn.LSTM, "lstm"), (tg.nn.GRU, "gru"), (tg.nn.RNN, "rnn")]:
        calls, net = count_calls(monkeypatch, name), module(3, 300)
        net(tg.ones((1, 1, 3)))
        assert not calls
        net(tg.ones((30, 2, 3)))
        assert calls


def test_second_derivatives_go_through_the_cells() -> None:
    def slopes(x: np.ndarray, hidden: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> Any:
        leaves = [tg.asarray(a).requires_grad_() for a in (x, hidden, weight, bias)]
        states = gru_sequence(*leaves)
        first = tg.grad((states * states).sum(), leaves, create_graph=True)
        second = tg.grad(sum(part.square().sum() for part in first), leaves)
        return [part.numpy() for part in (*first, *second)]

    assert_agrees(slopes, *gru_arrays(3, 4, 5, np.float64)[:4], terms=1000)


def test_backward_of_one_path_follows_forward_of_the_other() -> None:
    inputs, hidden, cell, weight, g, h = lstm_arrays(5, 6, 17, np.float64)
    found = []
    for forward, backward in [("native", "numpy"), ("numpy", "native")]:
        with tg.kernels.use(forward):
            _, cells, gates = kernels.lstm(np, inputs, hidden, cell, weight)
        with tg.kernels.use(backward):
            found.append(kernels.lstm_backward(np, g, h, cell, weight, cells, gates))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


def outputs(kernel: str) -> list[Any]:
    """Arguments of a kernel for 5 steps of 3 sequences of 4 states."""

    def new(*shape: int) -> np.ndarray:
        return np.ones(shape)

    state, states = (3, 4), (5, 3, 4)
    return {
        "lstm": [
            new(5, 3, 16), new(*state), new(*state), new(16, 4), new(*states), new(*states),
            new(5, 3, 4, 4),
        ],
        "lstm_backward": [
            new(*states), new(*states), new(*state), new(16, 4), new(*states), new(5, 3, 4, 4),
            new(5, 3, 16), new(*state), new(*state),
        ],
        "gru": [
            new(5, 3, 12), new(*state), new(12, 4), new(12), new(*states), new(5, 3, 4, 4),
        ],
        "gru_backward": [
            new(*states), new(*state), new(12, 4), new(*states), new(5, 3, 4, 4), new(5, 3, 12),
            new(5, 3, 12), new(*state),
        ],
        "rnn": [new(*states), new(*state), new(4, 4), new(*states), 1],
        "rnn_backward": [new(*states), new(4, 4), new(*states), new(*states), new(*state), 1],
    }[kernel]  # fmt: skip


@pytest.mark.parametrize(
    "kernel", ["lstm", "lstm_backward", "gru", "gru_backward", "rnn", "rnn_backward"]
)
def test_a_kernel_refuses_what_it_could_read_or_write_outside_of(kernel: str) -> None:
    entry, right = getattr(native, kernel), outputs(kernel)
    entry(*right)
    for place, array in enumerate(right):
        if not isinstance(array, np.ndarray):
            continue
        wrong = [array[:-1].copy(), np.ones((*array.shape[:-1], 2 * array.shape[-1]))[..., ::2]]
        if array.shape in ((16, 4), (12, 4)) or (array.shape == (4, 4) and "rnn" in kernel):
            wrong.pop()  # weights lie in any order
        for value in wrong:
            with pytest.raises(ValueError, match=kernel):
                entry(*right[:place], value, *right[place + 1 :])

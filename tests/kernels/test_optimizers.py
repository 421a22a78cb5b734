"""The optimizers' kernels: the same bits as NumPy's path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_kernels import (
    SIZES,
    TARGETS,
    THREADS,
    computing,
    count_calls,
    needs_native,
    numbers,
    same_bits,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm import nn, optim
from tinygrad_gm.kernels import native

pytestmark = needs_native
SHAPES = [[(size,)] for size in SIZES] + [
    [(64, 128), (128,), (), (3, 5, 7), (1,), (16384,), (2, 40_000), (13,)]
]
OPTIMIZERS = {
    "adam": [
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.Adam(p, betas=(0.0, 0.5), eps=1e-3, weight_decay=0.1, maximize=True),
        lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.5),
        lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
        lambda p: optim.AdamW(p, betas=(0.5, 0.1), weight_decay=0.1, amsgrad=True, maximize=True),
    ],
    "rmsprop": [
        lambda p: optim.RMSprop(p, lr=0.1),
        lambda p: optim.RMSprop(p, momentum=0.9, centered=True, weight_decay=0.1),
        lambda p: optim.RMSprop(p, centered=True, maximize=True),
    ],
    "sgd": [
        lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1, maximize=True),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ],
}
CASES = [
    pytest.param(kernel, make, id=f"{kernel}-{i}")
    for kernel, makers in OPTIMIZERS.items()
    for i, make in enumerate(makers)
]
Maker = Callable[[list[tg.Tensor]], optim.Optimizer]


def after_steps(make: Maker, values: list[Any], steps: list[list[Any]]) -> list[np.ndarray]:
    """The parameters and their states after a step for each list of gradients."""
    parameters = [tg.tensor(value, requires_grad=True) for value in values]
    optimizer = make(parameters)
    for gradients in steps:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else tg.asarray(gradient)
        with np.errstate(all="ignore"):
            optimizer.step()
    states = (state for p in parameters for state in optimizer.state.get(p, {}).values())
    return [tensor.numpy() for tensor in (*parameters, *states)]


def assert_same(make: Maker, values: list[Any], steps: list[list[Any]]) -> None:
    """Every target and number of threads leaves the bits that NumPy's path leaves."""
    with tg.kernels.use("numpy"):
        expected = after_steps(make, values, steps)
    for target in TARGETS:
        for threads in THREADS:
            with computing(target, threads):
                assert same_bits(after_steps(make, values, steps), expected), (target, threads)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize(("kernel", "make"), CASES)
def test_a_step_has_the_bits_of_numpy(
    kernel: str, make: Maker, shapes: Any, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, kernel)
    values = [numbers(shape, dtype, i) for i, shape in enumerate(shapes)]
    steps = [[numbers(s, dtype, 50 + 9 * t + i) for i, s in enumerate(shapes)] for t in range(3)]
    assert_same(make, values, steps)
    assert len(calls) == 3 * len(TARGETS) * len(THREADS)


@pytest.mark.parametrize(("kernel", "make"), CASES)
def test_special_values_have_the_bits_of_numpy(kernel: str, make: Maker) -> None:
    values = [with_special(numbers(1000, np.float32, 1), 1), numbers(17, np.float32)]
    steps = [[with_special(numbers(1000, np.float32, t), t), values[1]] for t in range(3)]
    assert_same(make, values, steps)


@pytest.mark.parametrize(("kernel", "make"), CASES)
def test_gradients_in_other_memory_orders(kernel: str, make: Maker) -> None:
    values = [numbers((30, 40), np.float32), numbers((4, 5, 6), np.float32)]
    turned = np.asfortranarray(numbers((30, 40), np.float32, 7))
    sparse = numbers((4, 5, 12), np.float32, 8)[..., ::2]
    behind = np.append(np.float32(0), numbers(1200, np.float32, 9))[1:].reshape(30, 40)
    assert_same(make, values, [[turned, sparse], [behind, sparse[::-1, ::-1]]])


@pytest.mark.parametrize(("kernel", "make"), CASES)
def test_a_parameter_without_a_gradient_is_left_out(kernel: str, make: Maker) -> None:
    values = [numbers(n, np.float32, n) for n in (5, 6, 7)]
    rest = [values[0], None, values[2]]
    assert_same(make, values, [rest, values, rest, [None, None, values[2]], values])


@pytest.mark.parametrize(("kernel", "make"), CASES)
def test_an_empty_parameter_is_no_obstacle(
    kernel: str, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, kernel)
    values = [numbers(n, np.float32, n) for n in (5, 0, 7)]
    assert_same(make, values, [values, values])
    assert calls
    assert_same(make, values[1:2], [values[1:2]])


def test_gradients_of_another_type_go_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "adam")
    with tg.kernels.use("native"):
        after_steps(optim.Adam, [numbers(5, np.float16)], [[numbers(5, np.float16)]])
    assert not calls


def test_the_state_of_one_path_goes_on_in_the_other() -> None:
    value, steps = numbers(5000, np.float32), [[numbers(5000, np.float32, t)] for t in range(4)]
    with tg.kernels.use("numpy"):
        expected = after_steps(optim.Adam, [value], steps)
    parameter = tg.tensor(value, requires_grad=True)
    optimizer = optim.Adam([parameter])
    for t, [gradient] in enumerate(steps):
        parameter.grad = tg.asarray(gradient)
        with tg.kernels.use(("native", "numpy")[t % 2]):
            optimizer.step()
    np.testing.assert_array_equal(parameter.numpy(), expected[0])


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_an_average_has_the_bits_of_numpy(
    size: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "average")
    first, second = with_special(numbers(size, dtype, 1)), with_special(numbers(size, dtype, 2))

    def averaged() -> list[np.ndarray]:
        model = nn.Module()
        model.weight = nn.Parameter(tg.tensor(first))
        ema = optim.EMA(model, decay=0.9)
        model.weight.copy_(second)
        with np.errstate(all="ignore"):
            ema.update()
        return [ema.model.weight.numpy()]

    with tg.kernels.use("numpy"):
        expected = averaged()
    for target in TARGETS:
        for threads in THREADS:
            with computing(target, threads):
                assert same_bits(averaged(), expected), (target, threads)
    assert len(calls) == len(TARGETS) * len(THREADS)


def test_arrays_in_two_memory_orders_are_not_averaged_by_the_kernel() -> None:
    x = np.ones((3, 4), np.float32)
    for mean, values in ((x.copy("F"), x), (x, x.T), (x[:, :2], x[:, :2])):
        with pytest.raises(ValueError, match="one shape and one memory order"):
            native.average(0.5, mean, values)


VECTOR = np.ones(6, np.float32)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({0: np.ones(5, np.float32)}, "expected contiguous arrays of 5 numbers"),
        ({0: np.ones(6)}, "arrays of one type"),
        ({0: np.ones(6, int)}, "expected float32 or float64"),
        ({0: np.broadcast_to(np.float32(1), 6)}, "read-only"),
        ({1: [np.ones(5, np.float32)]}, "gradients of 5 numbers for parameters of 6"),
        ({1: [np.ones(12, np.float32)[::2]]}, "gradient 0 is not contiguous"),
        ({1: [VECTOR, 3]}, "expected an array"),
        ({1: VECTOR}, "expected a list"),
        ({2: "one"}, "must be real number"),
        ({5: VECTOR[::-1]}, "contiguous arrays of 6"),
        ({6: VECTOR.astype(">f4")}, "byte order"),
        ({7: VECTOR[:5]}, "contiguous arrays of 6"),
        ({7: VECTOR.copy()}, None),
        ({}, None),
    ],
)
def test_the_kernel_refuses_what_it_could_read_outside_of(
    change: dict[int, Any], error: str | None
) -> None:
    args = [VECTOR.copy(), [VECTOR], 1.0, 0.0, 1.0, VECTOR.copy(), VECTOR.copy(), None]
    for place, value in change.items():
        args[place] = value
    if error is None:
        native.adam(*[0.5] * 5, *args)
        return
    with pytest.raises((TypeError, ValueError), match=error):
        native.adam(*[0.5] * 5, *args)


def test_the_kernel_counts_its_arguments() -> None:
    with pytest.raises(TypeError, match="adam: 0 arguments are too few"):
        native.adam()

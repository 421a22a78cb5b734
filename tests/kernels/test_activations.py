"""Elementwise kernels: activations and their gradients, exp, log and erf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_kernels import (
    SIZES,
    TARGETS,
    THREADS,
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
    results_of,
    same_bits,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native

pytestmark = needs_native
F = tg.nn.functional


def with_gradient(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The result and the gradient of a function of one array, for an upstream gradient."""

    def run(x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
        x = tg.asarray(x).requires_grad_()
        out = function(x)
        out.backward(tg.asarray(g))
        return [out.numpy(), x.grad.numpy()]

    return run


CHOICES = {
    "relu": (F.relu, {"relu", "relu_backward"}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), {"leaky_relu", "leaky_relu_backward"}),
    "steep_leaky_relu": (lambda x: F.leaky_relu(x, 3.0), {"leaky_relu", "leaky_relu_backward"}),
    "hardtanh": (F.hardtanh, {"hardtanh", "hardtanh_backward"}),
    "relu6": (F.relu6, {"hardtanh", "hardtanh_backward"}),
    "clip": (lambda x: tg.clip(x, -0.5, 1), {"hardtanh", "clip_backward"}),
    "floor": (lambda x: tg.clip(x, 0.25), {"hardtanh", "clip_backward"}),
}
SMOOTH = {
    "gelu": (F.gelu, {"gelu", "gelu_backward"}),
    "tanh_gelu": (lambda x: F.gelu(x, "tanh"), {"tanh_gelu", "tanh_gelu_backward"}),
    "silu": (F.silu, {"silu", "silu_backward"}),
    "sigmoid": (tg.sigmoid, {"sigmoid", "sigmoid_backward"}),
    "tanh": (tg.tanh, {"tanh", "tanh_backward"}),
    "exp": (tg.exp, {"exp"}),
    "log": (tg.log, {"log"}),
    "erf": (tg.erf, {"erf", "exp"}),
    "softplus": (F.softplus, {"softplus", "softplus_backward"}),
    "steep_softplus": (lambda x: F.softplus(x, 3.0, 5.0), {"softplus", "softplus_backward"}),
    "mish": (F.mish, {"mish", "mish_backward"}),
    "hardswish": (F.hardswish, {"hardswish", "hardswish_backward"}),
}
EVERY = {**CHOICES, **SMOOTH}


def in_range(name: str, x: np.ndarray) -> np.ndarray:
    """Positive numbers for logarithms."""
    return abs(x) + x.dtype.type(0.01) if name.startswith("log") else x


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EVERY)
def test_values_and_gradients(
    name: str, size: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, kernels = EVERY[name]
    if dtype is np.float64:  # where exp and log are NumPy's
        kernels = kernels - {"exp", "log"}
    calls = {kernel: count_calls(monkeypatch, kernel) for kernel in kernels}
    x = in_range(name, numbers(size, dtype) * dtype(3))
    terms = 1 if dtype is np.float32 else 64  # NumPy's path in float64 is no exact reference
    assert_agrees(with_gradient(function), x, numbers(size, dtype, 1), terms=terms)
    assert all(calls.values())


@pytest.mark.sweep
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("x", layouts((33, 7, 5), np.float32))
def test_memory_orders(name: str, x: np.ndarray) -> None:
    x, g = in_range(name, x), numbers((33, 7, 5), np.float32, 1)
    assert_agrees(with_gradient(EVERY[name][0]), x, g)
    last = np.ascontiguousarray(g.transpose(0, 2, 1)).transpose(0, 2, 1)
    assert_agrees(with_gradient(EVERY[name][0]), x, last)


@pytest.mark.sweep
@pytest.mark.parametrize("name", EVERY)
def test_the_result_has_the_memory_order_of_the_argument(name: str) -> None:
    x = in_range(name, numbers((4, 8, 8, 16), np.float32)).transpose(0, 3, 1, 2)
    with tg.kernels.use("native"):
        result, gradient = results_of(with_gradient(EVERY[name][0]), (x, x))
    assert result.strides == gradient.strides == x.strides


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CHOICES)
def test_choices_have_the_bits_of_numpy(name: str, dtype: type) -> None:
    for size in (1, 15, 16, 1009, 20_000):
        x, g = (with_special(numbers(size, dtype, i), i) for i in range(2))
        with tg.kernels.use("numpy"):
            expected = results_of(with_gradient(CHOICES[name][0]), (x, g))
        for target in TARGETS:
            for threads in THREADS:
                with computing(target, threads):
                    ours = results_of(with_gradient(CHOICES[name][0]), (x, g))
                if "relu6" != name != "hardtanh":  # NumPy's clip keeps the sign of 0 or not
                    assert same_bits(ours, expected), (target, threads, size)
                for a, b in zip(ours, expected, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.sweep
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("size", [1, 40, 1009])
def test_special_values(name: str, size: int) -> None:
    function = SMOOTH[name][0]
    for dtype in (np.float32, np.float64):
        x = with_special(numbers(size, dtype))
        if name == "gelu":
            x[np.isneginf(x)] = 0.0  # where float64 has −inf · 0
        assert_agrees(lambda x: function(tg.asarray(x)).numpy(), x)


@pytest.mark.parametrize("name", CHOICES)
def test_an_infinite_gradient_does_not_pass_where_the_function_is_flat(name: str) -> None:
    x = np.array([-9.0, -9.0, 0.5, 0.5] * 9, np.float32)
    g = np.array([np.inf, np.nan, np.inf, 2.0] * 9, np.float32)
    [_, gradient] = results_of(with_gradient(CHOICES[name][0]), (x, g))
    if "leaky" not in name:
        assert not gradient.reshape(9, 4)[:, :2].any()
    assert (gradient.reshape(9, 4)[:, 2:] == g.reshape(9, 4)[:, 2:]).all()


def exact_sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def exact_erf(x: np.ndarray) -> np.ndarray:
    """2/√π · e^(−x²) · Σ (2x²)^n·x / (1·3·…·(2n+1)), from 6.5 on ±1."""
    a = np.minimum(abs(x), np.longdouble(6.5))
    term = total = a
    for n in range(1, 200):
        term = term * 2 * a * a / (2 * n + 1)
        total = total + term
    root_of_pi = np.sqrt(np.longdouble("3.14159265358979323846264338327950288"))
    return np.copysign(total * np.exp(-a * a) * 2 / root_of_pi, x)


FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": exact_sigmoid,
    "erf": exact_erf,
}
ULPS = {  # of float32 and float64
    "exp": (1.1, 0.8),
    "log": (0.9, 0.9),
    "tanh": (1.4, 1.3),
    "sigmoid": (1.6, 1.9),
    "erf": (0.6, 1.5),
}


def finite_numbers(dtype: type, count: int) -> np.ndarray:
    """Numbers with random bits, and more of them where the functions bend and near 0."""
    generator = np.random.default_rng(7)
    wide = np.uint32 if dtype is np.float32 else np.uint64
    every = generator.integers(0, np.iinfo(wide).max, count, wide).view(dtype)
    size, sign = generator.uniform(-40, 3, count), generator.choice([-1, 1], count)
    bends = [generator.uniform(-limit, limit, count) for limit in (2, 20, 745)]
    return np.concatenate([every[np.isfinite(every)], *bends, sign * np.exp(size)]).astype(dtype)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ULPS)
def test_errors_in_units_in_the_last_place(name: str, target: str, dtype: type) -> None:
    x = finite_numbers(dtype, 4_000 if name == "erf" else 50_000)
    if dtype is np.float64 and np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("needs a type that is wider than float64")
    with computing(target, 1), np.errstate(all="ignore"):
        ours, exact = getattr(native, name)(x), FUNCTIONS[name](x.astype(np.longdouble))
        right = exact.astype(dtype)
        fits = np.isfinite(right)
        np.testing.assert_array_equal(ours[~fits], right[~fits])
        errors = abs(ours.astype(np.longdouble) - exact)[fits] / np.spacing(abs(right[fits]))
    assert errors.max() <= ULPS[name][dtype is np.float64]


@pytest.mark.parametrize("target", TARGETS)
def test_every_number_has_the_same_bits_wherever_it_is(target: str) -> None:
    for name in (*ULPS, "gelu", "tanh_gelu", "silu", "mish"):
        kernel = getattr(native, name)
        x = numbers(203, np.float64 if len(name) % 2 else np.float32) * 4
        with computing(target, 1), np.errstate(all="ignore"):
            whole = kernel(x)
            for start in (1, 2, 5, 100, 200, 202):
                np.testing.assert_array_equal(kernel(x[start:].copy()), whole[start:])
                np.testing.assert_array_equal(kernel(x[start:]), whole[start:])


@pytest.mark.sweep
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_of_logits(size: int, reduction: str) -> None:
    def run(x: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        x = tg.asarray(x).requires_grad_()
        loss = F.binary_cross_entropy_with_logits(x, tg.asarray(target), reduction=reduction)
        loss.sum().backward()
        return [loss.numpy(), x.grad.numpy()]

    x, target = numbers(size, np.float32) * np.float32(5), numbers(size, np.float32, 1) > 0
    assert_agrees(run, x, target.astype(np.float32))


def test_binary_cross_entropy_of_infinite_logits_is_zero_where_it_is_right() -> None:
    x = tg.tensor([np.inf, -np.inf, 1000.0, -1000.0] * 8)
    target = tg.tensor([1.0, 0.0, 1.0, 0.0] * 8)
    with tg.kernels.use("numpy"), np.errstate(invalid="ignore"):
        expected = F.binary_cross_entropy_with_logits(x, target, reduction="none").numpy()
    ours = F.binary_cross_entropy_with_logits(x, target, reduction="none").numpy()
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_selection_has_the_bits_of_numpy(
    size: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "select")
    x, g = (with_special(numbers(size, dtype, i), i) for i in range(2))

    def dropped(x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
        tg.manual_seed(3)
        return with_gradient(lambda x: F.dropout(x, 0.3))(x, g)

    with tg.kernels.use("numpy"):
        expected = results_of(dropped, (x, g))
    for target in TARGETS:
        for threads in THREADS:
            with computing(target, threads):
                assert same_bits(results_of(dropped, (x, g)), expected), (target, threads)
    assert len(calls) == 2 * len(TARGETS) * len(THREADS)


@pytest.mark.parametrize("x", layouts((33, 7, 5), np.float32))
def test_selection_in_other_memory_orders(x: np.ndarray) -> None:
    condition = numbers((33, 7, 5), np.float32, 3) > 0
    for c in (condition, np.asfortranarray(condition), condition[:1], condition[..., ::-1]):
        assert_agrees(lambda x, c=c: tg.ops.select(tg.asarray(x), tg.asarray(c), 1.5).numpy(), x)


def test_limits_that_are_arrays_or_nan_are_left_to_numpy() -> None:
    x = numbers((4, 5), np.float32)
    for least, most in ((np.float32([0.5]), 1.0), (np.nan, 1.0), (1.0, 0.0), (None, None)):
        np.testing.assert_array_equal(tg.clip(x, least, most).numpy(), np.clip(x, least, most))


ROW = np.ones(6, np.float32)


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("relu", [], "too few"),
        ("relu", [ROW, ROW], "too many"),
        ("relu", [ROW[::2]], "one memory order"),
        ("relu", [ROW.astype(">f4")], "byte order"),
        ("relu", [np.ones(3, int)], "expected float32 or float64"),
        ("relu_backward", [ROW, ROW[:5]], "one memory order"),
        ("relu_backward", [ROW, ROW.reshape(2, 3)], "one memory order"),
        ("relu_backward", [ROW, np.ones(6)], "arrays of one type"),
        ("relu_backward", [np.ones((2, 3), "f"), np.ones((3, 2), "f").T], "one memory order"),
        ("leaky_relu", [ROW, "a"], "must be real number"),
        ("exp", [np.ones(6, np.float16)], "expected float32 or float64"),
        ("tanh", [3.0], "expected an array"),
    ],
)
def test_a_kernel_refuses_what_it_could_read_outside_of(
    name: str, args: list[Any], error: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        getattr(native, name)(*args)

"""The convolutions' kernels against sums over windows, and against NumPy's path."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pytest
from native_kernels import (
    TARGETS,
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels.convolution import convolved, paired

Pairs = tuple[tuple[int, int], ...]
CHANNELS = (1, 3, 16, 17, 64)


class Case:
    """A convolution of x (N, *size, C) with a window; every setting has an entry per axis."""

    def __init__(
        self,
        count: int,
        size: tuple[int, ...],
        channels: tuple[int, int],
        kernel: tuple[int, ...],
        stride: tuple[int, ...] | int = 1,
        padding: Pairs | int = 0,
        dilation: tuple[int, ...] | int = 1,
        groups: int = 1,
    ) -> None:
        ndim = len(size)
        self.stride = (stride,) * ndim if isinstance(stride, int) else stride
        self.dilation = (dilation,) * ndim if isinstance(dilation, int) else dilation
        self.padding = ((padding, padding),) * ndim if isinstance(padding, int) else padding
        self.kernel, self.groups, self.outputs = kernel, groups, channels[1]
        axes = zip(size, kernel, self.stride, self.padding, self.dilation, strict=True)
        self.counts = tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
        self.x_shape = (count, *size, channels[0])
        self.w_shape = (channels[1], channels[0] // groups, *kernel)
        self.y_shape = (count, *self.counts, channels[1])

    def arrays(self, dtype: Any) -> tuple[Any, Any, Any, Any]:
        """x, weight, bias and an upstream gradient."""
        shapes = self.x_shape, self.w_shape, (self.outputs,), self.y_shape
        x, weight, bias, y = (numbers(shape, dtype, seed) for seed, shape in enumerate(shapes))
        return x, weight, bias, y

    def forward(self, x: Any, weight: Any, bias: Any = None) -> Any:
        geometry = self.stride, self.padding, self.dilation
        return convolved(np, x, weight, self.counts, geometry, self.groups, bias)

    def gradient(self, x: Any, y: Any) -> Any:
        geometry = self.stride, self.padding, self.dilation
        return paired(np, x, y, self.kernel, geometry, self.groups)

    def check(self, dtype: Any) -> None:
        x, weight, bias, y = self.arrays(dtype)
        assert_agrees(self.forward, x, weight, bias, terms=weight[0].size)
        assert_agrees(self.gradient, x, y, terms=y[..., 0].size)


def windows(case: Case, x: np.ndarray) -> np.ndarray:
    """(N, *counts, C, *kernel): the numbers of all windows, by indices."""
    ndim = len(case.kernel)
    most = 10 + max(max(pair) for pair in case.padding)
    x = np.pad(x, ((0, 0), *(((most, most),) * ndim), (0, 0)))
    for axis in range(ndim):
        start = most - case.padding[axis][0]
        places = start + np.add.outer(
            np.arange(case.counts[axis]) * case.stride[axis],
            np.arange(case.kernel[axis]) * case.dilation[axis],
        )
        x = np.moveaxis(np.take(x, places, axis=1 + axis), 2 + axis, -1)
    return x


@pytest.fixture(autouse=True)
def native_kernels() -> Any:
    if native.missing:
        yield
        return
    with tg.kernels.use("native"):
        yield


SUMS = [
    Case(2, (9,), (3, 5), (3,), 2, 1),
    Case(2, (7, 8), (3, 5), (3, 2), (2, 1), ((1, 2), (0, 3)), (1, 2)),
    Case(9, (4, 5), (2, 17), (3, 3), 1, 1),
    Case(1, (5, 4, 6), (2, 3), (2, 3, 2), (1, 2, 1), ((1, 0), (1, 1), (2, 0)), (2, 1, 1)),
    Case(1, (4,), (5, 17), (1,), 2, ((0, 3),), 2),
    Case(1, (4,), (5, 17), (1,), 2, ((0, 3),)),
    Case(2, (16, 17), (16, 32), (3, 3), 1, ((0, 1), (2, 1))),
    Case(1, (16, 16), (16, 16), (3, 3), 1, ((-1, 2), (1, -2))),
    Case(9, (3, 4), (5, 17), (3, 4)),
]


@pytest.mark.sweep
@pytest.mark.parametrize("kernels", ["numpy", pytest.param("native", marks=needs_native)])
@pytest.mark.parametrize("case", SUMS, ids=lambda case: f"{case.x_shape} {case.w_shape}")
def test_convolutions_are_sums_over_windows(case: Case, kernels: Any) -> None:
    x, weight, bias, y = case.arrays(np.float64)
    taken = windows(case, x)
    ndim = len(case.kernel)
    summed = [*range(1 + ndim, taken.ndim)]
    with tg.kernels.use(kernels):
        out = np.tensordot(taken, weight, (summed, [*range(1, weight.ndim)])) + bias
        np.testing.assert_allclose(case.forward(x, weight, bias), out, rtol=1e-12, atol=1e-12)
        places = [*range(1 + ndim)]
        slope = np.tensordot(y, taken, (places, places))
        found = np.moveaxis(case.gradient(x, y), -1, 1)
        np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-12)


def sweep() -> list[Case]:
    """One or two settings away from a plain convolution of 2 × 7 × 11 pixels."""
    cases = [
        Case(2, (7, 11), (c, o), (3, 3), 1, 1) for c, o in itertools.product(CHANNELS, CHANNELS)
    ]
    cases += [
        Case(2, (7, width), (3, 17), (2, 3), 1, 1) for width in (1, 2, 3, 4, 5, 8, 13, 14, 16, 31)
    ]
    cases += [
        Case(2, (13, 11), (5, 16), kernel, stride, 2, dilation)
        for kernel in ((1, 1), (3, 1), (1, 3), (5, 5))
        for stride in (1, 2, 3)
        for dilation in (1, 2)
    ]
    cases += [Case(n, (4, 4), (17, 33), (3, 3), 1, 1) for n in (1, 7, 8, 9, 13, 16, 17)]
    cases += [
        Case(16, (6, 5), (c, 32), (2, 3), s, 1, d) for c in (3, 16) for s, d in ((2, 1), (1, 2))
    ]
    cases += [
        Case(2, (40,), (c, 17), (k,), s, 3, d)
        for c in (1, 16)
        for k, s, d in ((7, 1, 1), (3, 2, 2))
    ]
    cases += [Case(n, (4, 5, 6), (3, 16), (3, 2, 3), (1, 2, 1), 1) for n in (1, 8)]
    cases += [Case(n, (4, 4), (c, 64), (3, 3), 1, 1) for n in (8, 29) for c in (5, 64)]
    cases += [Case(2, (9, 9), (12, 20), (3, 3), 1, 1, groups=g) for g in (2, 4)]
    cases += [Case(1, (300, 5), (17, 3), (3, 3), 1, 1), Case(1, (3, 700), (64, 3), (3, 5), 1, 2)]
    return cases


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case", sweep(), ids=lambda c: f"{c.x_shape} {c.w_shape} {c.stride} {c.dilation}"
)
def test_direct_kernels_are_as_exact_as_numpy(
    case: Case, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [count_calls(monkeypatch, name) for name in ("convolve", "convolve_weight")]
    case.check(dtype)
    assert all(calls)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 65])
@pytest.mark.parametrize("outputs", [1, 33])
def test_windows_of_whole_pictures(dtype: type, count: int, outputs: int) -> None:
    Case(count, (4, 5), (17, outputs), (4, 5)).check(dtype)


@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [(16, 16), (32, 48), (64, 16)])
@pytest.mark.parametrize("size", [(8, 8), (9, 11), (16, 64), (4, 33)])
def test_winograd_kernels_are_as_exact_as_numpy(
    size: tuple[int, int], channels: tuple[int, int], dtype: type
) -> None:
    for padding in (1, ((0, 2), (1, 0))):
        Case(4, size, channels, (3, 3), 1, padding).check(dtype)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [2, 3, 16, 17, 64, 80])
def test_depthwise_kernels_are_as_exact_as_numpy(
    channels: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [count_calls(monkeypatch, name) for name in ("depthwise", "depthwise_weight")]
    both, groups = (channels, channels), {"groups": channels}
    Case(2, (9, 13), both, (3, 3), 1, 1, **groups).check(dtype)
    Case(2, (9, 7), both, (5, 2), 2, ((2, 1), (0, 1)), (1, 2), **groups).check(dtype)
    Case(3, (31,), both, (4,), 1, 0, **groups).check(dtype)
    Case(1, (3, 4, 3), both, (2, 3, 3), 1, 1, **groups).check(dtype)
    assert all(calls)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kernel", ["convolve", "depthwise"])
@pytest.mark.parametrize("x", layouts((8, 9, 10, 16), np.float32))
def test_memory_orders(x: Any, kernel: str, padding: int) -> None:
    groups = 16 if kernel == "depthwise" else 1
    for size in ((3, 3), (2, 3)):
        case = Case(8, (9, 10), (16, 16), size, 1, padding, groups=groups)
        _, weight, _, y = case.arrays(np.float32)
        assert_agrees(case.forward, x, weight, terms=weight[0].size)
        assert_agrees(case.forward, x, weight.transpose(2, 3, 1, 0).copy().T.transpose(0, 1, 3, 2))
        assert_agrees(case.gradient, x, y, terms=y[..., 0].size)


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("groups", [1, "each"])
@pytest.mark.parametrize("size", [(6, 6), (12, 20)])
def test_special_numbers_reach_the_same_places_as_in_numpy(
    size: tuple[int, int], groups: Any, channels: int, dtype: type
) -> None:
    groups = channels if groups == "each" else 1
    case = Case(8, size, (channels, channels), (3, 3), 1, 1, groups=groups)
    x, weight, bias, y = case.arrays(dtype)
    assert_agrees(case.forward, with_special(x), weight, bias, terms=weight[0].size)
    assert_agrees(case.gradient, x, with_special(y), terms=y[..., 0].size)


@needs_native
def test_infinity_and_nan_reach_only_their_own_windows() -> None:
    case = Case(8, (16, 16), (16, 16), (3, 3), 1, 1)
    x, weight, _, _ = case.arrays(np.float32)
    for value in (np.inf, np.nan):
        x[3, 5, 6, 7] = value
        for target in TARGETS:
            with computing(target, 2):
                found = ~np.isfinite(case.forward(x, weight))
            assert found.sum() == 9 * 16
            assert found[3, 4:7, 5:8].all()


@needs_native
def test_negative_zeros_and_denormals() -> None:
    case = Case(2, (5, 9), (3, 4), (3, 3), 1, 1)
    x, weight, _, _ = case.arrays(np.float32)
    assert not np.signbit(case.forward(-np.zeros_like(x), weight)).any()
    tiny = case.forward(x * np.float32(1e-41), np.ones_like(weight))
    assert tiny.any()
    assert np.abs(tiny).max() < np.finfo(np.float32).tiny


@needs_native
def test_an_empty_batch_other_types_and_very_long_lines_go_to_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = count_calls(monkeypatch, "convolve")
    case = Case(0, (5, 5), (3, 4), (3, 3))
    x, weight, _, y = case.arrays(np.float32)
    assert case.forward(x, weight).shape == (0, 3, 3, 4)
    assert not case.gradient(x, y).any()
    case = Case(2, (5, 5), (3, 4), (3, 3))
    x, weight, _, _ = case.arrays(np.float32)
    case.forward(x, weight.astype(np.float64))
    case.forward(x.astype(np.float16), weight.astype(np.float16))
    case = Case(1, (70_000,), (16, 1), (2,), 1, 1)
    x, weight, _, _ = case.arrays(np.float32)
    case.forward(x, weight)
    assert not calls


@pytest.mark.sweep
@needs_native
@pytest.mark.parametrize("groups", [1, 2, 16])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_operations_and_all_their_gradients(kernel: int, stride: int, groups: int) -> None:
    def conv(x: Any, weight: Any, bias: Any) -> list[Any]:
        leaves = [tg.tensor(a, requires_grad=True) for a in (x, weight, bias)]
        y = tg.conv(*leaves, stride=stride, padding=1, groups=groups)
        return [y.numpy(), *(g.numpy() for g in tg.grad((y * y).sum(), leaves))]

    def transposed(x: Any, weight: Any, bias: Any) -> list[Any]:
        leaves = [tg.tensor(a, requires_grad=True) for a in (x, weight, bias)]
        y = tg.conv_transpose(*leaves, stride=stride, padding=1, groups=groups)
        return [y.numpy(), *(g.numpy() for g in tg.grad((y * y).sum(), leaves))]

    x = numbers((4, 16, 8, 9), np.float32)
    weight = numbers((16, 16 // groups, kernel, kernel), np.float32, 1)
    bias = numbers((16,), np.float32, 2)
    assert_agrees(conv, x, weight, bias, terms=x[:, 0].size)
    assert_agrees(transposed, x, weight, bias, terms=x[:, 0].size)


@needs_native
def test_python_threads_convolve_at_once() -> None:
    cases = [Case(8, (16, 16), (c, 32), (3, 3), 1, 1) for c in (3, 16, 17, 32)]
    arrays = [case.arrays(np.float32) for case in cases]
    expected = [
        (c.forward(x, w), c.gradient(x, y)) for c, (x, w, _, y) in zip(cases, arrays, strict=True)
    ]
    wrong = []

    def compute(which: int) -> None:
        x, weight, _, y = arrays[which]
        for _ in range(20):
            found = cases[which].forward(x, weight), cases[which].gradient(x, y)
            if not all(map(np.array_equal, found, expected[which])):
                wrong.append(which)

    threads = [threading.Thread(target=compute, args=(which,)) for which in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


X, W, Y = np.ones((2, 5, 5, 4)), np.ones((6, 4, 3, 3)), np.ones((2, 3, 3, 6))
SETTINGS = (1, 1), ((0, 0), (0, 0)), (1, 1)


@needs_native
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, np.ones((2, 5, 5, 8))[..., ::2]),
        (0, np.ones((3, 5, 5, 4))),
        (0, np.ones((2, 5, 5, 3))),
        (0, np.ones((2, 5, 4))),
        (1, np.ones((5, 4, 3, 3))),
        (1, np.ones((6, 4, 40, 40))),
        (3, np.ones((2, 3, 3, 12))[..., ::2]),
        (4, (0, 1)),
        (4, (1,)),
        (4, 1),
        (6, (1, -1)),
        (7, 2),
        (7, 0),
    ],
)
def test_a_kernel_refuses_what_it_could_read_outside_of(place: int, value: Any) -> None:
    args = [X, W, None, Y.copy(), *SETTINGS, 1]
    native.convolve(*args)
    args[place] = value
    with pytest.raises(ValueError, match="convolve"):
        native.convolve(*args)

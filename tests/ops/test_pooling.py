"""Pooling and resizing against their definitions in loops, and derivatives of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cases_spatial as truth
import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm.testing import gradcheck

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def some(rng: np.random.Generator, ndim: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high + 1, ndim))


def drawn(seed: int, dilated: bool) -> tuple[Any, ...]:
    """A random input with ties, and a window that fits into it."""
    rng = np.random.default_rng(seed)
    ndim = int(rng.choice([1, 2, 2, 3]))
    kernel, stride = some(rng, ndim, 1, 3), some(rng, ndim, 1, 3)
    dilation = some(rng, ndim, 1, 2) if dilated else (1,) * ndim
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    axes = zip(kernel, padding, dilation, strict=True)
    least = [max(1, d * (k - 1) + 1 - 2 * p, d) for k, p, d in axes]
    sizes = tuple(int(rng.integers(n, n + 4)) for n in least)
    x = rng.integers(-4, 5, (2, 2, *sizes)) / 2.0
    return ndim, x, kernel, stride, padding, dilation, bool(rng.integers(2))


# -------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("seed", range(40))
def test_max_pooling_is_its_definition_and_the_first_maximum_gets_the_gradient(seed: int) -> None:
    ndim, array, *how = drawn(seed, dilated=True)
    x = tg.tensor(array, requires_grad=True)
    y, indices = MAX[ndim](x, *how, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), truth.max_pool(array, *how))
    wanted = truth.argmax_pool(array, *how)
    np.testing.assert_array_equal(indices.numpy(), wanted)
    upstream = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(upstream)
    gradient = np.zeros((2, 2, math.prod(x.shape[2:])))
    for n, c in np.ndindex(2, 2):
        np.add.at(gradient[n, c], wanted[n, c].ravel(), upstream[n, c].ravel())
    np.testing.assert_allclose(x.grad.numpy(), gradient.reshape(x.shape), atol=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_average_pooling_is_its_definition(seed: int) -> None:
    ndim, x, kernel, stride, padding, _, ceil_mode = drawn(seed, dilated=False)
    for include in (True, False):
        how = (kernel, stride, padding, ceil_mode, include)
        found = AVG[ndim](tg.tensor(x), *how).numpy()
        np.testing.assert_allclose(found, truth.avg_pool(x, *how), atol=1e-12)


def test_maxima_of_nan_and_of_minus_infinity() -> None:
    x = tg.tensor([[[np.nan, 1.0, -np.inf, -np.inf]]], requires_grad=True)
    y, indices = F.max_pool1d(x, 2, return_indices=True)
    assert np.isnan(y.numpy()[0, 0, 0])
    assert y.numpy()[0, 0, 1] == -np.inf
    assert indices.tolist() == [[[0, 2]]]
    low = tg.tensor(np.full((1, 1, 3), -np.inf), requires_grad=True)
    F.max_pool1d(low, 3, 2, 1).sum().backward()  # the padding never gets a gradient
    assert low.grad.tolist() == [[[1.0, 1.0, 0.0]]]


def test_gradients_of_maxima_do_not_depend_on_the_order_in_memory() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 3, 7, 5)).astype(np.float32)  # with ties, and a line left over
    upstream = rng.standard_normal((2, 3, 3, 2), np.float32)
    wanted = np.zeros_like(x)
    for n, c, i, j in np.ndindex(upstream.shape):
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        row, column = divmod(int(window.argmax()), 2)
        wanted[n, c, 2 * i + row, 2 * j + column] = upstream[n, c, i, j]

    def channels_last(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)

    for picture, g in itertools.product((x, channels_last(x)), (upstream, channels_last(upstream))):
        leaf = tg.tensor(picture, requires_grad=True)
        F.max_pool2d(leaf, 2).backward(g)
        np.testing.assert_array_equal(leaf.grad.numpy(), wanted)
        assert leaf.grad.numpy().strides == leaf.numpy().strides


def test_the_argument_is_not_changed_and_not_returned() -> None:
    x = tg.ones((1, 1, 2, 2))
    for pooled in (F.avg_pool2d(x, 1, divisor_override=2), F.max_pool2d(x, 1)):
        pooled.data[...] = 5.0
    assert x.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


def test_pooling_takes_pictures_without_a_batch_and_empty_batches() -> None:
    x = tg.arange(16.0).reshape(1, 4, 4)
    assert F.max_pool2d(x, 2).tolist() == [[[5.0, 7.0], [13.0, 15.0]]]
    assert F.avg_pool2d(x, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert F.adaptive_avg_pool2d(x, 1).tolist() == [[[7.5]]]
    y, indices = F.max_pool2d(x, 4, return_indices=True)
    assert (y.tolist(), indices.tolist()) == ([[[15.0]]], [[[15]]])
    for pool in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        assert pool(tg.zeros((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)


def test_pooling_of_integers() -> None:
    x = tg.tensor([[[3, -1, -2, 5]]])
    assert F.max_pool1d(x, 3, 1, 1).tolist() == [[[3, 3, 5, 5]]]
    assert F.avg_pool1d(x, 2).tolist() == [[[1.0, 1.5]]]


# ------------------------------------------------------------------------------------- adaptive


@pytest.mark.parametrize(("size", "length"), [*itertools.product((1, 3, 4, 7), (1, 2, 3, 5))])
def test_adaptive_pooling_takes_means_and_maxima_of_its_bins(size: int, length: int) -> None:
    x = np.random.default_rng(0).integers(-4, 5, (2, 2, size, 6)) / 2.0
    bins = [
        [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in ((size, length), (6, 4))
    ]
    found = F.adaptive_avg_pool2d(tg.tensor(x), (length, 4)).numpy()
    largest, indices = F.adaptive_max_pool2d(tg.tensor(x), (length, 4), return_indices=True)
    plain = F.adaptive_max_pool2d(tg.tensor(x), (length, 4))
    np.testing.assert_array_equal(plain.numpy(), largest.numpy())
    for i, j in itertools.product(range(length), range(4)):
        part = x[:, :, bins[0][i], bins[1][j]]
        np.testing.assert_allclose(found[:, :, i, j], part.mean(axis=(2, 3)), atol=1e-12)
        np.testing.assert_array_equal(largest.numpy()[:, :, i, j], part.max(axis=(2, 3)))
        rows, columns = np.divmod(part.reshape(2, 2, -1).argmax(axis=-1), part.shape[3])
        flat = (rows + bins[0][i].start) * 6 + columns + bins[1][j].start
        np.testing.assert_array_equal(indices.numpy()[:, :, i, j], flat)


def test_adaptive_pooling_to_none_keeps_an_axis() -> None:
    x = tg.arange(12.0).reshape(1, 1, 3, 4)
    assert F.adaptive_avg_pool2d(x, (1, None)).tolist() == [[[[4.0, 5.0, 6.0, 7.0]]]]
    assert F.adaptive_avg_pool1d(x[0], 3).shape == (1, 3, 3)


# -------------------------------------------------------------------------------- interpolation


@pytest.mark.parametrize(("size", "length"), [*itertools.product((1, 2, 5, 8), (1, 3, 4, 8, 11))])
def test_linear_interpolation_is_that_of_numpy(size: int, length: int) -> None:
    x = np.random.default_rng(0).standard_normal(size)
    corners = np.linspace(0, size - 1, length) if length > 1 else np.zeros(1)
    edges = (np.arange(length) + 0.5) * size / length - 0.5
    for align, places in ((True, corners), (False, edges)):
        found = F.interpolate(tg.tensor(x[None, None]), length, mode="linear", align_corners=align)
        wanted = np.interp(places, np.arange(size), x)  # which stands still outside, as here
        np.testing.assert_allclose(found.numpy()[0, 0], wanted, atol=1e-12)


def test_interpolation_of_pictures_goes_axis_by_axis() -> None:
    x = tg.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    both = F.interpolate(x, (7, 3), mode="bilinear")
    rows = F.interpolate(x, (7, 5), mode="bilinear")
    np.testing.assert_allclose(both.numpy(), F.interpolate(rows, (7, 3), mode="bilinear").numpy())
    volume = F.interpolate(x[:, :, None], scale_factor=(2, 2, 1), mode="trilinear")
    doubled = F.interpolate(x, scale_factor=(2, 1), mode="bilinear").numpy()
    np.testing.assert_allclose(volume.numpy(), np.stack([doubled, doubled], 2), atol=1e-12)
    np.testing.assert_allclose(
        F.interpolate(x, (2, 5), mode="area").numpy(), F.avg_pool2d(x, (2, 1)).numpy()
    )


def test_nearest_interpolation_repeats_and_skips() -> None:
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    doubled = F.interpolate(tg.tensor(x), scale_factor=2)
    np.testing.assert_array_equal(doubled.numpy(), x.repeat(2, 2).repeat(2, 3))
    assert F.interpolate(tg.tensor(x[0]), size=2).tolist() == [
        [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]
    ]
    assert F.interpolate(tg.tensor(x), size=(2, 3)).tolist() == [
        [[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]]
    ]


def test_pixel_shuffle_puts_channels_between_pixels() -> None:
    x = np.random.default_rng(0).standard_normal((2, 12, 3, 5))
    y = F.pixel_shuffle(tg.tensor(x), 2)
    assert y.shape == (2, 3, 6, 10)
    for c, i, j in np.ndindex(3, 2, 2):
        np.testing.assert_array_equal(y.numpy()[:, c, i::2, j::2], x[:, c * 4 + i * 2 + j])
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2).numpy(), x)
    assert F.pixel_shuffle(tg.zeros((8, 2, 2)), 2).shape == (2, 4, 4)


def test_resizing_leaves_the_channels_last_in_memory_and_float32_as_it_is() -> None:
    x = tg.asarray(np.ones((2, 5, 7, 3), np.float32).transpose(0, 3, 1, 2))
    for y in (
        F.interpolate(x, scale_factor=2),
        F.interpolate(x, scale_factor=2, mode="bilinear"),
        F.adaptive_avg_pool2d(x, 3),
        F.max_pool2d(x, 3, 2, 1),
    ):
        assert y.dtype == np.float32
        assert y.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


# ---------------------------------------------------------------------------------- derivatives

SMOOTH: list[Any] = [
    lambda x: F.max_pool2d(x, 3, 2, 1),
    lambda x: F.max_pool2d(x, 2, 1, 0, 2, True),
    lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    lambda x: F.adaptive_max_pool2d(x, (3, 2)),
    lambda x: F.interpolate(x, scale_factor=1.7),
    lambda x: F.interpolate(x, (3, 7), mode="bilinear"),
    lambda x: F.interpolate(x, (7, 2), mode="bilinear", align_corners=True),
    lambda x: F.pixel_shuffle(x.reshape(1, 4, 2, 2), 2),
    lambda x: F.pixel_unshuffle(x, 2),
]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("number", range(len(SMOOTH)))
def test_derivatives_are_those_of_differences(number: int, order: int) -> None:
    spread = np.random.default_rng(number).permutation(16).reshape(1, 1, 4, 4) / 4.0 - 1.0
    x = tg.tensor(spread, requires_grad=True)
    assert gradcheck(lambda x: SMOOTH[number](x * x * x), [x], order, rtol=1e-4)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x[0, 0], 2), r"max_pool2d: .*\(N, C, H, W\) or \(C, H, W\)"),
        (lambda x: F.max_pool2d(x, 5), "max_pool2d: a window"),
        (
            lambda x: F.max_pool2d(x, 3, padding=2),
            "max_pool2d: padding is 2; expected at most half",
        ),
        (lambda x: F.max_pool2d(x, 2, stride=0), "max_pool2d: stride must be an integer"),
        (lambda x: F.avg_pool2d(x, (2, 2, 2)), "avg_pool2d: kernel_size .*each axis .2.; got"),
        (lambda x: F.avg_pool2d(x, 2.5), "avg_pool2d: kernel_size"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "avg_pool2d: divisor_override"),
        (lambda x: F.avg_pool1d(x, 2), r"avg_pool1d: .*\(N, C, L\)"),
        (lambda x: tg.max_pool(x, 5), "max_pool: a window"),
        (lambda x: tg.avg_pool(x[0, 0], 2), "avg_pool: .*spatial"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), "adaptive_avg_pool2d: output_size"),
        (lambda x: F.adaptive_max_pool2d(x, (1, 2, 3)), "adaptive_max_pool2d: output_size"),
        (lambda x: F.interpolate(x), "exactly one of size and scale_factor"),
        (lambda x: F.interpolate(x, 2, 2), "exactly one of size and scale_factor"),
        (lambda x: F.interpolate(x, 2, mode="linear"), "'linear' does not fit"),
        (lambda x: F.interpolate(x, 2, mode="cubic"), "'cubic' does not fit"),
        (lambda x: F.interpolate(x, 2, align_corners=True), "has no align_corners"),
        (lambda x: F.interpolate(x, (2, 2, 2)), "one per axis"),
        (lambda x: F.interpolate(x, scale_factor=0.1), "sizes ≥ 1"),
        (lambda x: F.pixel_shuffle(x, 2), "pixel_shuffle: .*r=2"),
        (lambda x: F.pixel_unshuffle(x, 3), "pixel_unshuffle: .*r=3"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(tg.ones((1, 1, 4, 4)))
    assert "\n" not in str(caught.value)

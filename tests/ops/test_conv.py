"""Convolutions against their definition in loops, their adjointness, and derivatives of them."""

from __future__ import annotations

import importlib
from typing import Any

import cases_spatial as truth
import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm.ops import conv_weight_gradient
from tinygrad_gm.testing import gradcheck

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MODULE = importlib.import_module("tinygrad_gm.kernels.convolution")
LARGEST = {1: 9, 2: 6, 3: 4}


def variable(rng: np.random.Generator, *shape: int) -> tg.Tensor:
    return tg.tensor(rng.standard_normal(shape), requires_grad=True)


def some(rng: np.random.Generator, ndim: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high + 1, ndim))


class Drawn:
    """A random convolution: sizes, stride, padding, dilation, groups and the three arrays."""

    def __init__(self, seed: int, ndim: int | None = None) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.ndim = ndim or int(rng.choice([1, 2, 2, 3]))
        self.kernel = some(rng, self.ndim, 1, 3)
        self.stride, self.dilation = some(rng, self.ndim, 1, 3), some(rng, self.ndim, 1, 2)
        self.padding = some(rng, self.ndim, 0, 2)
        self.groups = int(rng.choice([1, 1, 2, 3]))
        self.inner, self.each = (int(v) for v in rng.integers(1, 3, 2))
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        least = [max(1, r - 2 * p) for r, p in zip(reach, self.padding, strict=True)]
        self.sizes = tuple(int(rng.integers(n, n + LARGEST[self.ndim] // 2 + 1)) for n in least)
        self.x = variable(rng, 2, self.groups * self.inner, *self.sizes)
        self.weight = variable(rng, self.groups * self.each, self.inner, *self.kernel)
        self.bias = variable(rng, self.groups * self.each)

    @property
    def how(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


# --------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("seed", range(40))
def test_convolution_is_its_definition_in_loops(seed: int) -> None:
    drawn = Drawn(seed)
    y = CONV[drawn.ndim](drawn.x, drawn.weight, drawn.bias, *drawn.how)
    arrays = (drawn.x.numpy(), drawn.weight.numpy(), drawn.bias.numpy())
    np.testing.assert_allclose(y.numpy(), truth.conv(*arrays, *drawn.how), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_transposed_convolution_is_its_definition_in_loops(seed: int) -> None:
    drawn = Drawn(seed)
    stride, _, dilation, groups = drawn.how
    extra = tuple(int(drawn.rng.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True))
    sizes = tuple(n + 2 for n in drawn.sizes)  # large enough for the padding to leave something
    x = variable(drawn.rng, 2, drawn.weight.shape[0], *sizes)
    bias = variable(drawn.rng, drawn.inner * groups)
    padding = tuple(min(p, 1) for p in drawn.padding)
    y = TRANSPOSED[drawn.ndim](x, drawn.weight, bias, stride, padding, extra, groups, dilation)
    arrays = (x.numpy(), drawn.weight.numpy(), bias.numpy())
    wanted = truth.conv_transpose(*arrays, stride, padding, extra, dilation, groups)
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "groups"),
    [(3, 5, 3, 1), (40, 24, 3, 1), (32, 32, 1, 1), (16, 16, 3, 16), (8, 16, 3, 8), (8, 12, 5, 4)],
)
def test_larger_pictures_go_through_in_parts(
    channels: int, outputs: int, kernel: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, channels, 14, 11))
    weight = rng.standard_normal((outputs, channels // groups, kernel, kernel))
    results = []
    for cache in (1, 1 << 14, 1 << 30):  # one line of windows, some of them, everything at once
        monkeypatch.setattr(MODULE, "CACHE", cache)
        leaves = tg.tensor(x, requires_grad=True), tg.tensor(weight, requires_grad=True)
        y = F.conv2d(*leaves, None, 2, kernel // 2, 1, groups)
        results.append([y, *tg.grad((y * y).sum(), leaves)])
    for found in results[1:]:
        for a, b in zip(results[0], found, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9)
    wanted = sum(  # the definition once more, as a sum of shifted pictures
        np.einsum(
            "ngihw,goi->ngohw",
            np.pad(x, ((0, 0), (0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2))[
                :, :, r : r + 14 : 2, c : c + 11 : 2
            ].reshape(3, groups, channels // groups, 7, 6),
            weight[:, :, r, c].reshape(groups, outputs // groups, channels // groups),
        )
        for r in range(kernel)
        for c in range(kernel)
    )
    y = results[0][0].numpy()
    np.testing.assert_allclose(y, wanted.reshape(y.shape), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("stride", "padding", "width"), [(1, 1, 3), (2, 1, 4), (1, 0, 3), (2, 0, 5)]
)
def test_a_window_at_the_end_of_a_line_sees_nothing_of_the_next(
    stride: int, padding: int, width: int
) -> None:
    x = np.zeros((2, 4, 9, 7))
    x[:, :, 3, 0] = x[:, :, 5, 6] = np.nan
    y = F.conv2d(x, np.ones((5, 4, width, width)), None, stride, padding).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), (2, 3))
    touched = np.isnan(windows[:, :, ::stride, ::stride]).any(axis=(1, 4, 5))
    np.testing.assert_array_equal(np.isnan(y), np.repeat(touched[:, None], 5, 1))


def test_same_padding_keeps_the_size_and_puts_the_odd_zero_behind() -> None:
    x = tg.tensor([[[1.0, 2.0, 3.0]]])
    assert F.conv1d(x, tg.ones((1, 1, 2)), padding="same").tolist() == [[[3.0, 5.0, 3.0]]]
    pictures, weight = tg.ones((1, 2, 7, 6)), tg.ones((3, 2, 4, 3))
    assert F.conv2d(pictures, weight, padding="same", dilation=2).shape == (1, 3, 7, 6)
    assert F.conv2d(pictures, weight, padding="valid").shape == (1, 3, 4, 4)


def test_an_input_without_a_batch_gives_a_result_without_one() -> None:
    rng = np.random.default_rng(0)
    x, weight = variable(rng, 2, 5, 4), variable(rng, 2, 2, 3, 3)
    for function in (F.conv2d, F.conv_transpose2d):
        alone, batch = function(x, weight), function(x[None], weight)
        np.testing.assert_array_equal(alone.numpy(), batch[0].numpy())


def test_an_empty_batch_gives_an_empty_result_and_zero_weight_gradients() -> None:
    weight = tg.ones((4, 3, 3, 3), requires_grad=True)
    y = F.conv2d(tg.zeros((0, 3, 8, 8)), weight, padding=1, stride=2)
    assert y.shape == (0, 4, 4, 4)
    y.sum().backward()
    assert not weight.grad.numpy().any()
    assert F.conv_transpose2d(tg.zeros((0, 4, 2, 2)), weight, stride=2).shape == (0, 3, 5, 5)


def test_float32_stays_float32_and_lists_and_integers_are_accepted() -> None:
    y = F.conv2d(tg.ones((1, 2, 4, 4)), tg.ones((3, 2, 3, 3)), tg.ones(3))
    assert y.dtype == np.float32
    assert F.conv1d([[[1.0, 2.0, 4.0]]], [[[-1.0, 1.0]]]).tolist() == [[[1.0, 2.0]]]
    assert F.conv1d(tg.tensor([[[1, 2, 4]]]), tg.tensor([[[-1, 1]]])).tolist() == [[[1, 2]]]


def test_results_lie_in_memory_with_the_channels_last() -> None:
    x = tg.ones((2, 3, 8, 8))
    y = F.conv2d(x, tg.ones((5, 3, 3, 3)), padding=1)
    assert y.numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    up = F.conv_transpose2d(y, tg.ones((5, 4, 4, 4)), stride=2)
    assert up.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


# ---------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("seed", range(30))
def test_the_three_convolutions_are_adjoint(seed: int) -> None:
    """⟨conv(x, w), g⟩ = ⟨x, conv_transpose(g, w)⟩ = ⟨w, conv_weight_gradient(x, g)⟩."""
    drawn = Drawn(100 + seed)
    x, weight = drawn.x.detach(), drawn.weight.detach()
    y = tg.conv(x, weight, None, *drawn.how)
    g = tg.tensor(drawn.rng.standard_normal(y.shape))
    forward = (y * g).sum().item()
    axes = zip(
        drawn.sizes,
        y.shape[2:],
        drawn.kernel,
        drawn.stride,
        drawn.padding,
        drawn.dilation,
        strict=True,
    )
    extra = tuple(n + 2 * p - d * (k - 1) - 1 - (m - 1) * s for n, m, k, s, p, d in axes)
    stride, padding, dilation, groups = drawn.how
    back = tg.conv_transpose(g, weight, None, stride, padding, extra, dilation, groups)
    assert back.shape == x.shape
    assert (x * back).sum().item() == pytest.approx(forward, rel=1e-10, abs=1e-10)
    pairing = conv_weight_gradient(x, g, drawn.kernel, *drawn.how)
    assert (weight * pairing).sum().item() == pytest.approx(forward, rel=1e-10, abs=1e-10)


@pytest.mark.sweep
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_derivatives_of_random_convolutions_are_those_of_differences(seed: int, order: int) -> None:
    drawn = Drawn(200 + seed, ndim=1 + seed % 2)

    def fn(x: Any, weight: Any, bias: Any) -> Any:
        y = tg.conv(x, weight, bias, *drawn.how)
        return (y * y).sum()

    assert gradcheck(fn, [drawn.x[:1].detach().requires_grad_(), drawn.weight, drawn.bias], order)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_of_a_transposed_convolution_longer_than_its_stride(order: int) -> None:
    rng = np.random.default_rng(3)
    x, weight, bias = variable(rng, 1, 2, 3, 2), variable(rng, 2, 1, 2, 2), variable(rng, 1)

    def fn(*arrays: Any) -> Any:  # output_padding ≥ stride, which dilation admits
        y = F.conv_transpose2d(*arrays, (1, 2), (1, 0), (2, 2), 1, 3)
        return (y * y).sum()

    assert gradcheck(fn, [x, weight, bias], order)


def test_the_bias_gradient_is_the_sum_over_batch_and_space() -> None:
    rng = np.random.default_rng(0)
    bias, g = variable(rng, 3), rng.standard_normal((2, 3, 4, 4))
    F.conv2d(variable(rng, 2, 2, 6, 6), variable(rng, 3, 2, 3, 3), bias).backward(g)
    np.testing.assert_allclose(bias.grad.numpy(), g.sum(axis=(0, 2, 3)), rtol=1e-12)


def layer_norm(x: Any) -> Any:
    """Over all axes but the batch, without parameters."""
    axes = (1, 2, 3)
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred / (centred.square().mean(axis=axes, keepdims=True) + 1e-5).sqrt()


def penalty(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any) -> Any:
    """WGAN-GP's (‖∇ₓ critic(x)‖ − 1)² (Gulrajani et al. 2017, equation 3)."""
    h = layer_norm(F.leaky_relu(F.conv2d(x, w1, b1, stride=2, padding=1), 0.2))
    h = F.conv2d(h, w2, b2, padding=1)
    score = F.linear(h.reshape(len(x), -1), w3)
    (slope,) = tg.grad(score.sum(), [x], create_graph=True)
    return ((slope.square().sum(axis=(1, 2, 3)).sqrt() - 1.0) ** 2).mean()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_channel_by_itself_has_the_weight_gradient_it_has_alone(stride: int) -> None:
    rng = np.random.default_rng(stride)
    x = rng.standard_normal((2, 32, 24, 24))  # lines longer than what one call is worth it for
    y = rng.standard_normal((2, 32, 24 // stride, 24 // stride))
    together = conv_weight_gradient(x, y, (3, 3), stride, 1, 1, 32).numpy()
    for c in range(32):
        part = slice(c, c + 1)
        alone = conv_weight_gradient(x[:, part], y[:, part], (3, 3), stride, 1).numpy()
        np.testing.assert_allclose(together[part], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [0, 3])
def test_a_single_pixel_stamps_the_weight(count: int) -> None:
    rng = np.random.default_rng(count)
    x, weight = rng.standard_normal((count, 4, 1, 1)), rng.standard_normal((4, 2, 3, 5))
    bias = rng.standard_normal(2)
    out = tg.conv_transpose(x, weight, bias, 2)
    wanted = np.einsum("nc,cohw->nohw", x[:, :, 0, 0], weight) + bias[:, None, None]
    np.testing.assert_allclose(out.numpy(), wanted, atol=1e-12)
    assert np.moveaxis(out.numpy(), 1, -1).flags.c_contiguous


def test_the_parameter_gradient_of_a_gradient_penalty_is_that_of_differences() -> None:
    rng = np.random.default_rng(0)
    x = variable(rng, 2, 2, 6, 6)
    shapes = [(3, 2, 3, 3), (3,), (2, 3, 3, 3), (2,), (1, 18)]
    parameters = [variable(rng, *shape) for shape in shapes]
    found = tg.grad(penalty(x, *parameters), parameters, allow_unused=True)
    eps = 1e-6
    for number, (parameter, gradient) in enumerate(zip(parameters, found, strict=True)):
        numeric = np.zeros(parameter.shape)
        for place in np.ndindex(parameter.shape):
            values = []
            for step in (eps, -eps):
                moved = parameter.numpy().copy()
                moved[place] += step
                others = [*parameters]
                others[number] = tg.tensor(moved)
                values.append(penalty(x, *others).item())
            numeric[place] = (values[0] - values[1]) / (2 * eps)
        analytic = 0.0 if gradient is None else gradient.numpy()
        np.testing.assert_allclose(analytic, numeric, rtol=1e-5, atol=1e-7)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(tg.ones((4, 4)), tg.ones((1, 1, 2, 2))), r"conv2d: .*\(N, C, H, W\)"),
        (lambda: F.conv2d(tg.ones((1, 2, 4, 4)), tg.ones((1, 2, 2))), r"conv2d: .*\(1, 2, 2\)"),
        (lambda: F.conv2d(tg.ones((1, 3, 4, 4)), tg.ones((1, 2, 2, 2))), "needs 2 input channels"),
        (lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 1, 2)), groups=2), "conv1d: groups must"),
        (
            lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 2, 2)), tg.ones(2)),
            r"expected bias of shape \(3,\)",
        ),
        (lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 2, 5))), "conv1d: a kernel .* larger"),
        (lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 2, 2)), stride=0), "conv1d: stride"),
        (lambda: F.conv1d(tg.ones((1, 1, 4)), tg.ones((1, 1, 2)), dilation=(1, 2)), "dilation"),
        (lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 2, 2)), padding=-1), "conv1d: padding"),
        (lambda: F.conv1d(tg.ones((1, 2, 4)), tg.ones((3, 2, 2)), padding="full"), "'full'"),
        (lambda: F.conv1d(tg.ones((1, 1, 4)), tg.ones((1, 1, 2)), None, 2, "same"), "stride 1"),
        (
            lambda: F.conv_transpose1d(tg.ones((1, 1, 4)), tg.ones((1, 1, 2)), output_padding=1),
            "conv_transpose1d: expected output_padding less",
        ),
        (
            lambda: F.conv_transpose1d(tg.ones((1, 1, 1)), tg.ones((1, 1, 2)), padding=1),
            "conv_transpose1d: padding .* size .0,.",
        ),
        (
            lambda: F.conv_transpose2d(tg.ones((1, 2, 4, 4)), tg.ones((3, 2, 2, 2))),
            "conv_transpose2d: .*3 input channels",
        ),
        (lambda: tg.conv(tg.ones((1, 2, 4)), tg.ones((3, 2, 5))), "conv: a kernel"),
        (
            lambda: conv_weight_gradient(tg.ones((1, 2, 4)), tg.ones((1, 3, 4)), (2,)),
            "conv_weight_gradient: expected y",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_wrong_pixel_reaches_the_weights_that_read_it_only(wrong):
    x = np.ones((1, 1, 3, 3), np.float32)
    x[0, 0, 0, 2] = wrong
    weight = tg.ones((1, 1, 2, 2), requires_grad=True)
    tg.conv(tg.tensor(x), weight).sum().backward()
    assert np.isfinite(weight.grad.numpy()[0, 0]).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_wrong_gradient_reaches_the_weights_that_did_not_read_the_margin(wrong):
    weight = tg.ones((1, 1, 3, 3), requires_grad=True)
    y = tg.conv(tg.ones((1, 1, 4, 5)), weight, padding=1)
    g = np.ones(y.shape, np.float32)
    g[0, 0, 0, 0] = wrong
    y.backward(tg.tensor(g))
    finite = [[True, True, True], [True, False, False], [True, False, False]]  # PyTorch's
    assert np.isfinite(weight.grad.numpy()[0, 0]).tolist() == finite

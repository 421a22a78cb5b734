"""Norms: their defining properties, constant rows, memory order, running statistics, mistakes."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from samples import laid_out

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm.kernels.blocks import BLOCK

rng = np.random.default_rng(0)


def leaf(values: Any, dtype: Any = tg.float64) -> Any:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


def test_layer_norm_gives_mean_0_and_variance_1_of_each_example() -> None:
    out = F.layer_norm(leaf(rng.normal(3.0, 5.0, (4, 6, 8))), (6, 8)).numpy()
    np.testing.assert_allclose(out.mean(axis=(1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=(1, 2)), 1.0, rtol=1e-4)


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1, 8), (2, 4), (1, 2, 4), (1,)])
def test_layer_norm_of_one_example_is_that_of_a_row_of_two(shape: tuple[int, ...]) -> None:
    tail = shape[-2:] if shape[-2:] == (2, 4) else shape[-1:]
    pair, weight, bias = (rng.normal(3.0, 2.0, s) for s in ((2, *tail), tail, tail))
    g = rng.normal(size=tail)
    results = []
    for x in (leaf(pair[0].reshape(shape)), leaf(pair)):
        w, b = leaf(weight), leaf(bias)
        out = F.layer_norm(x, tail, w, b)
        first = out.reshape(-1, *tail)[0]
        (first * g).sum().backward()
        slopes = x.grad.numpy().reshape(-1, *tail)[0]
        results.append([first.detach().numpy(), slopes, w.grad.numpy(), b.grad.numpy()])
    for one, row in zip(*results, strict=True):
        np.testing.assert_allclose(one, row, rtol=1e-12, atol=1e-12)


def test_layer_norm_of_one_example_of_equal_numbers_without_eps_is_nan() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.layer_norm(tg.ones(3), 3, eps=0.0).numpy()).all()


def test_the_gradient_of_layer_norm_is_orthogonal_to_1_and_to_x() -> None:
    # neither a shift nor (with eps → 0) a scale of x changes the result
    x = leaf(rng.normal(size=(3, 8)))
    (F.layer_norm(x, 8, eps=1e-14) * rng.normal(size=(3, 8))).sum().backward()
    np.testing.assert_allclose(x.grad.numpy().sum(axis=1), 0.0, atol=1e-10)
    np.testing.assert_allclose((x.grad.numpy() * x.numpy()).sum(axis=1), 0.0, atol=1e-10)


def test_rms_norm_ignores_a_scale_and_gives_mean_square_1() -> None:
    x = leaf(rng.normal(2.0, 1.0, (3, 8)))
    out = F.rms_norm(x, 8)
    np.testing.assert_allclose((out.numpy() ** 2).mean(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(F.rms_norm(x * 7.0, 8).numpy(), out.numpy(), rtol=1e-12)
    np.testing.assert_allclose(F.rms_norm(tg.tensor([3e-4, 4e-4]), 2, eps=1.0).numpy()[0], 3e-4)


def test_one_group_is_a_layer_norm_and_one_per_channel_an_instance_norm() -> None:
    x = rng.normal(size=(2, 4, 3, 5))
    np.testing.assert_allclose(
        F.group_norm(x, 1).numpy(), F.layer_norm(x, (4, 3, 5)).numpy(), rtol=1e-12
    )
    each = F.layer_norm(x, (3, 5)).numpy()
    np.testing.assert_allclose(F.group_norm(x, 4).numpy(), each, rtol=1e-12)


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: F.layer_norm(x, x.shape[1:]),
        lambda x: F.group_norm(x, 2),
        lambda x: tg.batch_norm(x)[0],
    ],
)
def test_equal_numbers_become_0_with_a_finite_gradient(norm: Any) -> None:
    for value in (0.0, 0.1, 1e6):
        x = leaf(np.full((3, 4, 2), value), tg.float32)
        out = norm(x)
        assert np.abs(out.numpy()).max() <= 0.1  # the mean of equal numbers is rounded
        (out * rng.normal(size=out.shape)).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


def test_rms_norm_of_zeros_is_0_with_a_finite_gradient() -> None:
    x = leaf(np.zeros((2, 3)), tg.float32)
    out = F.rms_norm(x, 3)
    out.sum().backward()
    assert out.tolist() == [[0.0] * 3] * 2
    assert np.isfinite(x.grad.numpy()).all()


def test_a_large_mean_does_not_drown_the_variance_in_float32() -> None:
    x = rng.normal(1000.0, 1.0, (64, 32))
    out = F.layer_norm(tg.tensor(x.astype(np.float32)), 32).numpy()
    single = x.astype(np.float32).astype(np.float64)
    spread = np.sqrt(single.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(
        out, (single - single.mean(axis=1, keepdims=True)) / spread, atol=2e-4
    )


@pytest.mark.parametrize("norm", [lambda x, w: F.group_norm(x, 2, w, w), None])
def test_channels_last_in_channels_last_out_with_all_parameters(norm: Any) -> None:
    norm = norm or (lambda x, w: tg.batch_norm(x, w, w)[0])
    x = tg.asarray(laid_out(rng.normal(size=(2, 4, 3, 5)), "NHWC")).requires_grad_()
    weight = leaf(rng.normal(size=4))
    out = norm(x, weight)
    upstream = laid_out(rng.normal(size=out.shape), "NHWC")
    out.backward(tg.asarray(upstream))
    assert out.numpy().strides == x.grad.numpy().strides == x.numpy().strides
    plain = leaf(x.numpy().copy(order="C"))
    norm(plain, weight.detach()).backward(upstream.copy(order="C"))
    np.testing.assert_allclose(x.grad.numpy(), plain.grad.numpy(), rtol=1e-9, atol=1e-12)


LARGE = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, x.shape[1:], w, b), (300, 257), (257,)),
    "layer_norm over two axes": (
        lambda x, w, b: F.layer_norm(x, x.shape[-2:], w, b), (40, 5, 11, 37), (11, 37),
    ),
    "group_norm": (lambda x, w, b: F.group_norm(x, 4, w, b), (5, 12, 47, 33), (12,)),
    "group_norm of one example": (
        lambda x, w, b: F.group_norm(x, 2, w, b), (1, 6, 128, 130), (6,),
    ),
    "batch_norm": (lambda x, w, b: tg.batch_norm(x, w, b)[0], (20, 8, 24, 20), (8,)),
    "batch_norm of vectors": (lambda x, w, b: tg.batch_norm(x, w, b)[0], (900, 100), (100,)),
    "batch_norm's statistics": (
        lambda x, w, b: tg.batch_norm(x)[1] * w + tg.batch_norm(x)[2] * b, (20, 8, 24, 20), (8,),
    ),
}  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("order", ["C", "NHWC"])
@pytest.mark.parametrize("far", [0.0, 50.0])  # σ away from 0: other formulas serve there
@pytest.mark.parametrize("name", LARGE)
def test_a_norm_worked_out_in_blocks_is_its_textbook_twin(
    name: str, far: float, order: str
) -> None:
    norm, shape, of_weight = LARGE[name]
    assert math.prod(shape) > BLOCK
    x = rng.normal(far, 1.0, shape)
    x = laid_out(x, order if x.ndim == 4 else "C")
    w, b = rng.normal(size=of_weight), rng.normal(size=of_weight)
    upstream = None
    results = []
    for textbook in (False, True):
        with tg.textbook() if textbook else contextlib.nullcontext():
            inputs = [tg.asarray(array.view()).requires_grad_() for array in (x, w, b)]
            out = norm(*inputs)
            upstream = rng.normal(size=out.shape) if upstream is None else upstream
            results.append([out, *tg.grad((out * upstream).sum(), inputs)])
    for ours, twin in zip(*results, strict=True):
        largest = np.abs(twin.numpy()).max()
        np.testing.assert_allclose(ours.numpy(), twin.numpy(), rtol=0, atol=1e-10 * largest)


@pytest.mark.parametrize("shape", [(20, 8, 24, 20), (20, 16, 8, 32)])
def test_float32_statistics_of_channels_far_from_0_are_as_good_as_near_it(shape: Any) -> None:
    values = rng.normal(size=shape).astype(np.float32) + np.float32(3e3)
    for norm in (lambda x: tg.batch_norm(x)[0], lambda x: F.group_norm(x, 4)):
        exact = norm(tg.tensor(values, dtype=tg.float64)).numpy()
        found = norm(tg.tensor(values)).numpy()
        assert np.abs(found - exact).max() < 3e-3  # of numbers rounded to 1.2e-4


# -------------------------------------------------------------------------- batch statistics


def test_running_statistics_move_towards_the_unbiased_ones_of_the_batch() -> None:
    x = rng.normal(size=(5, 3, 2))
    mean, var = tg.tensor(rng.normal(size=3)), tg.tensor(rng.uniform(1, 2, 3))
    old = mean.numpy().copy(), var.numpy().copy()
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    batch = x.mean(axis=(0, 2)), x.var(axis=(0, 2), ddof=1)
    np.testing.assert_allclose(mean.numpy(), 0.75 * old[0] + 0.25 * batch[0], rtol=1e-12)
    np.testing.assert_allclose(var.numpy(), 0.75 * old[1] + 0.25 * batch[1], rtol=1e-12)


def test_evaluation_uses_the_running_statistics_and_leaves_them_alone() -> None:
    x, weight, bias = leaf(rng.normal(size=(4, 3))), leaf(rng.normal(size=3)), leaf(np.ones(3))
    mean, var = tg.tensor([0.5, 0.0, -1.0]), tg.tensor([1.0, 4.0, 9.0])
    out = F.batch_norm(x, mean, var, weight, bias, eps=0.0 + 1e-12)
    normal = (x.numpy() - mean.numpy()) / np.sqrt(var.numpy())
    np.testing.assert_allclose(out.numpy(), normal * weight.numpy() + 1, rtol=1e-6)
    out.sum().backward()
    slope = weight.numpy() / np.sqrt(var.numpy())
    np.testing.assert_allclose(x.grad.numpy(), np.tile(slope, (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(weight.grad.numpy(), normal.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(bias.grad.numpy(), [4.0, 4.0, 4.0])
    assert mean.tolist() == [0.5, 0.0, -1.0]
    assert var.tolist() == [1.0, 4.0, 9.0]


def test_running_statistics_move_once_whatever_backward_runs_again() -> None:
    x, mean, var = leaf(rng.normal(size=(6, 2))), tg.zeros(2), tg.ones(2)
    once = tg.zeros(2), tg.ones(2)
    F.batch_norm(x, *once, training=True)
    out = tg.checkpoint(lambda x: F.batch_norm(x, mean, var, training=True), x)
    (slope,) = tg.grad((out * out * out).sum(), x, create_graph=True)
    (slope * slope).sum().backward()
    np.testing.assert_array_equal(mean.numpy(), once[0].numpy())
    np.testing.assert_array_equal(var.numpy(), once[1].numpy())


def test_the_statistics_of_batch_norm_have_gradients_of_their_own() -> None:
    x = leaf(rng.normal(size=(4, 2)))
    _, mean, variance = tg.batch_norm(x)
    (mean * tg.tensor([1.0, 2.0]) + variance).sum().backward()
    deviation = x.numpy() - x.numpy().mean(axis=0)
    np.testing.assert_allclose(x.grad.numpy(), np.array([0.25, 0.5]) + deviation / 2, rtol=1e-6)


MISTAKES: list[tuple[Any, str]] = [
    (
        lambda: F.layer_norm(tg.ones((2, 3)), 2),
        r"layer_norm: expected an input whose shape ends in \(2,\); got \(2, 3\)",
    ),
    (
        lambda: F.layer_norm(tg.ones((2, 3)), ()),
        r"layer_norm: expected an input whose shape ends in \(\)",
    ),
    (
        lambda: F.layer_norm(tg.ones((2, 3)), 3, tg.ones(2)),
        r"expected weight of shape \(3,\); got \(2,\)",
    ),
    (lambda: tg.layer_norm(tg.ones(3), ndim=2), r"ndim is 2, but the input of shape \(3,\) has 1"),
    (
        lambda: F.rms_norm(tg.ones((2, 3)), (3, 3)),
        r"rms_norm: expected an input whose shape ends in \(3, 3\)",
    ),
    (
        lambda: F.rms_norm(tg.ones((2, 3)), 3, tg.ones(1)),
        r"rms_norm: expected weight of shape \(3,\)",
    ),
    (lambda: F.group_norm(tg.ones((2, 3)), 2), "group_norm: 2 groups do not divide 3 channels"),
    (
        lambda: F.group_norm(tg.ones(3), 1),
        r"group_norm: expected an input \(N, C, …\); got \(3,\)",
    ),
    (lambda: F.group_norm(tg.ones((2, 4)), 2, None, tg.ones(3)), r"expected bias of shape \(4,\)"),
    (
        lambda: tg.batch_norm(tg.ones((2, 4)), tg.ones(3)),
        r"batch_norm: expected weight of shape \(4,\)",
    ),
    (
        lambda: F.batch_norm(tg.ones((1, 4)), None, None, training=True),
        "more than one number per channel",
    ),
    (lambda: F.batch_norm(tg.ones((2, 4)), None, None), "evaluation needs running_mean"),
]


@pytest.mark.parametrize(("call", "words"), MISTAKES)
def test_mistakes_are_named(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

"""Margins, other resolutions, other shapes: the layers without arithmetic, and `F.pad`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.testing import gradcheck

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
NUMPYS: Any = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}

# --------------------------------------------------------------------------------------- margins


@pytest.mark.parametrize("mode", NUMPYS)
def test_a_margin_is_numpys_with_the_last_axis_first(mode: str) -> None:
    wanted = np.pad(X, ((0, 0), (0, 0), (3, 1), (2, 4)), mode=NUMPYS[mode])
    np.testing.assert_array_equal(F.pad(tg.tensor(X), (2, 4, 3, 1), mode).numpy(), wanted)


@pytest.mark.parametrize("mode", NUMPYS)
@pytest.mark.parametrize("pad", [*itertools.product((-2, -1, 0, 1), repeat=2)])
def test_negative_widths_cut_off_before_the_margin_comes(mode: str, pad: tuple[int, int]) -> None:
    cropped = X[..., max(0, -pad[0]) : 5 - max(0, -pad[1])]
    margin = (max(0, pad[0]), max(0, pad[1]))
    wanted = np.pad(cropped, ((0, 0), (0, 0), (0, 0), margin), mode=NUMPYS[mode])
    np.testing.assert_array_equal(F.pad(tg.tensor(X), pad, mode).numpy(), wanted)


def test_a_value_fills_the_margin_and_integers_stay_integers() -> None:
    assert F.pad([[1, 2]], (0, 1, 1, 0), value=7).tolist() == [[7, 7, 7], [1, 2, 7]]
    assert F.pad(tg.tensor([1, 2]), [1, 0]).dtype == tg.tensor([1, 2]).dtype
    assert F.pad(tg.zeros((0, 2)), (1, 1, 1, 1)).tolist() == [[0.0] * 4] * 2


@pytest.mark.parametrize("mode", NUMPYS)
@pytest.mark.parametrize("order", [1, 2])
def test_the_derivatives_of_a_margin_are_those_of_differences(mode: str, order: int) -> None:
    x = tg.tensor(X[:1, :1, :3, :3], requires_grad=True)

    def fn(x: Any) -> Any:
        return (F.pad(x, (1, -1, 1, 2), mode) ** 3).sum()

    assert gradcheck(fn, [x], order)


@pytest.mark.parametrize(
    ("layer", "mode"),
    [
        (nn.ZeroPad2d, "constant"),
        (nn.ReflectionPad2d, "reflect"),
        (nn.ReplicationPad2d, "replicate"),
        (nn.CircularPad2d, "circular"),
    ],
)
def test_the_layers_take_one_width_or_left_right_top_bottom(layer: Any, mode: str) -> None:
    x = tg.tensor(X)
    four, one = layer((1, 2, 3, 0))(x), layer(2)(x)
    np.testing.assert_array_equal(four.numpy(), F.pad(x, (1, 2, 3, 0), mode).numpy())
    np.testing.assert_array_equal(one.numpy(), F.pad(x, (2, 2, 2, 2), mode).numpy())
    assert repr(layer(1)) == f"{layer.__name__}((1, 1, 1, 1))"


def test_channels_last_memory_stays_channels_last() -> None:
    layers = [nn.ReflectionPad2d(1), nn.ZeroPad2d(2), nn.Upsample(scale_factor=2)]
    for layer in [*layers, nn.Upsample(9, mode="bilinear")]:
        x = tg.asarray(np.moveaxis(np.ones((2, 7, 6, 5), np.float32), -1, 1)).requires_grad_()
        y = layer(x)
        (y * y).sum().backward()
        for array in (y.numpy(), x.grad.numpy()):
            assert np.moveaxis(array, 1, -1).flags.c_contiguous


# ----------------------------------------------------------------------------------- resolutions


def test_nearest_repeats_pixels() -> None:
    wanted = X.repeat(3, 2).repeat(3, 3)
    np.testing.assert_array_equal(nn.Upsample(scale_factor=3)(tg.tensor(X)).numpy(), wanted)
    np.testing.assert_array_equal(nn.Upsample((12, 15))(tg.tensor(X)).numpy(), wanted)
    for size in (3, 4):  # by a whole factor and by none
        assert nn.Upsample(size)(tg.tensor([[[1, 2]]])).dtype == np.int64


@pytest.mark.parametrize("align_corners", [False, True])
def test_bilinear_keeps_a_plane_a_plane_away_from_the_edge(align_corners: bool) -> None:
    rows, columns = np.arange(6.0)[:, None], np.arange(5.0)
    layer = nn.Upsample((12, 10), mode="bilinear", align_corners=align_corners)
    y = layer(tg.tensor((2 * rows + 3 * columns)[None, None])).numpy()[0, 0]
    i, j = np.arange(12)[:, None], np.arange(10)
    if align_corners:
        wanted = 2 * i * 5 / 11 + 3 * j * 4 / 9
    else:
        wanted = 2 * np.clip(i / 2 - 0.25, 0, 5) + 3 * np.clip(j / 2 - 0.25, 0, 4)
    np.testing.assert_allclose(y, wanted, atol=1e-12)


def test_pixel_unshuffle_undoes_pixel_shuffle_and_both_only_move_pixels() -> None:
    x = tg.tensor(np.arange(2 * 18 * 4 * 5.0).reshape(2, 18, 4, 5))
    y = nn.PixelShuffle(3)(x)
    assert y.shape == (2, 2, 12, 15)
    assert y[0, 1, 2 * 3 + 1, 4 * 3 + 2].item() == x[0, 1 * 9 + 1 * 3 + 2, 2, 4].item()
    np.testing.assert_array_equal(nn.PixelUnshuffle(3)(y).numpy(), x.numpy())


# ---------------------------------------------------------------------------------------- shapes


def test_flatten_keeps_the_batch_and_unflatten_undoes_it() -> None:
    x = tg.tensor(X)
    flat = nn.Flatten()(x)
    np.testing.assert_array_equal(flat.numpy(), X.reshape(2, -1))
    np.testing.assert_array_equal(nn.Unflatten(1, (3, 4, 5))(flat).numpy(), X)
    np.testing.assert_array_equal(nn.Unflatten(-1, [3, -1, 5])(flat).numpy(), X)
    assert nn.Flatten(0, 2)(x).shape == (24, 5)
    assert nn.Flatten(-2)(x).shape == (2, 3, 20)
    assert nn.Flatten()(tg.zeros((0, 3, 4))).shape == (0, 12)
    assert repr(nn.Flatten()) == "Flatten(start_axis=1, end_axis=-1)"
    assert repr(nn.Unflatten(1, [2, 3])) == "Unflatten(axis=1, unflattened_size=(2, 3))"


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.pad(tg.ones(3), (1,)), r"^pad: expected two integers .*got \(1,\)"),
        (lambda: F.pad(tg.ones(3), 1), "^pad: expected two integers .*got 1 for"),
        (lambda: F.pad(tg.ones(3), ((1, 1),)), "^pad: expected two integers"),
        (lambda: F.pad(tg.ones(3), (1, 1, 1, 1)), "of 1 dimensions$"),
        (lambda: F.pad(tg.ones(3), (1.5, 1)), "^pad: expected two integers"),
        (lambda: F.pad(tg.ones(3), (1, 1), "edge"), "^pad: mode must be one of constant, .*'edge'"),
        (lambda: F.pad(tg.ones(3), (1, 1), "reflect", 1.0), "^pad: mode 'reflect' takes no value"),
        (lambda: F.pad(tg.ones(3), (3, 0), "reflect"), "^pad: mode .* at least 4 .*; got 3"),
        (lambda: F.pad(tg.ones(3), (0, 4), "circular"), "^pad: mode .* at least 4 .*; got 3"),
        (lambda: F.pad(tg.ones(0), (1, 0), "replicate"), "^pad: mode .* at least 1 .*; got 0"),
        (lambda: F.pad(tg.ones(3), (-2, -2)), r"^pad: \(-2, -2\) crops more"),
        (lambda: F.pad(tg.ones(3), (-4, 9)), r"^pad: \(-4, 9\) crops more"),
        (lambda: nn.ZeroPad2d((1, 2)), "^ZeroPad2d: padding must be an integer or .left, right"),
        (lambda: nn.ReflectionPad2d(0.5), "^ReflectionPad2d: padding must be an integer"),
        (lambda: nn.Upsample(), "^Upsample: expected exactly one of size and scale_factor"),
        (lambda: nn.Upsample(2, 2.0), "^Upsample: expected exactly one of size and scale_factor"),
        (lambda: nn.Upsample(2, mode="bicubic")(tg.ones((1, 1, 2, 2))), "mode 'bicubic' does not"),
        (lambda: nn.PixelShuffle(2)(tg.ones((1, 3, 2, 2))), "^pixel_shuffle: .*C·r²"),
        (lambda: nn.Unflatten(1, 6), "^Unflatten: unflattened_size must be a tuple"),
        (lambda: nn.Unflatten(1, (-1, -1)), "^Unflatten: unflattened_size must be a tuple"),
        (lambda: nn.Unflatten(1, (2, 3))(tg.ones((2, 5))), r"^Unflatten: axis 1 .* 5 elements"),
        (lambda: nn.Unflatten(1, (2, -1))(tg.ones((2, 5))), r"^Unflatten: axis 1 .* 5 elements"),
        (lambda: nn.Flatten(2, 1)(tg.ones((2, 3, 4))), "^flatten: end_axis 1 is before"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_axis_that_does_not_exist_is_named() -> None:
    with pytest.raises(IndexError, match=r"^Unflatten: axis 2 is out of range"):
        nn.Unflatten(2, (1, 2))(tg.ones((2, 2)))
    with pytest.raises(IndexError, match=r"^flatten: axis 1 is out of range"):
        nn.Flatten()(tg.ones(3))


# ------------------------------------------------------- numbers that are not finite stay local


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_adaptive_means_read_their_own_bin_only(wrong: float) -> None:
    x = tg.tensor([[[1.0, wrong, 3.0, 4.0, 5.0]]], requires_grad=True)
    y = F.adaptive_avg_pool1d(x, 3)
    np.testing.assert_array_equal(y.numpy(), [[[wrong, wrong, 4.5]]])
    y.backward(tg.tensor([[[wrong, 1.0, 1.0]]]))
    third = 1.0 / 3.0
    wanted = [wrong, wrong, third, third + 0.5, 0.5]
    np.testing.assert_allclose(x.grad.numpy()[0, 0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "value", "slope"),
    [
        (
            {"size": 8},
            [1.0, 1.4375, np.nan, np.nan, np.nan, np.nan, 4.5625, 5.0],
            [1.5625, np.nan, np.nan, 1.6875, 1.5625],
        ),
        ({"size": 3}, [4 / 3, np.nan, 14 / 3], [2 / 3, 1 / 3, 1.0, np.nan, np.nan]),
        ({"size": 5}, [1.0, 2.0, np.nan, 4.0, 5.0], [1.0, 1.0, np.nan, 1.0, 1.0]),
        (
            {"size": 9, "align_corners": True},
            [1.0, 1.5, np.nan, np.nan, np.nan, np.nan, 4.0, 4.5, 5.0],
            [1.5, np.nan, np.nan, 2.0, 1.5],
        ),
        ({"size": 3, "align_corners": True}, [1.0, np.nan, 5.0], [1.0, 0.0, 1.0, 0.0, np.nan]),
    ],
)
def test_linear_interpolation_reads_two_neighbours_only(
    options: Any, value: Any, slope: Any
) -> None:
    x = tg.tensor([[[1.0, 2.0, np.nan, 4.0, 5.0]]], requires_grad=True)
    y = F.interpolate(x, mode="linear", **options)
    np.testing.assert_allclose(y.numpy()[0, 0], value, rtol=1e-6)
    seed = np.ones(y.shape, np.float32)
    seed[0, 0, 2] = np.nan
    y.backward(tg.tensor(seed))
    np.testing.assert_allclose(x.grad.numpy()[0, 0], slope, rtol=1e-6)


def test_one_wrong_pixel_does_not_spread_along_its_line() -> None:
    x = np.ones((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 2] = np.nan
    wrong = np.isnan(F.interpolate(tg.tensor(x), (4, 6), mode="bilinear").numpy()[0, 0])
    wanted = np.zeros((4, 6), bool)
    wanted[1:3, 2:4] = True
    np.testing.assert_array_equal(wrong, wanted)

"""Resizing and crops: Pillow's pixels, torchvision's numbers, closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm.data import transforms as T
from tinygrad_gm.data.resizing import cubic, resized, triangle

RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 3, 7, 5), np.float32)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def g(seed=0):
    return tg.Generator(seed)


def as_batch(pixels):
    """Pixels (H, W, 3) of 8 bits as (1, 3, H, W)."""
    return (pixels / np.float32(255)).transpose(2, 0, 1)[None]


def picture(height, width):
    i, j, c = np.ogrid[:height, :width, :3]
    return ((i * i * 3 + j * j * 5 + i * j * c + c * 40) % 256).astype(np.uint8)


# ------------------------------------------------------------- against Pillow and torchvision


@pytest.mark.parametrize("interpolation", FILTERS)
def test_pictures_of_8_bits_are_resized_to_pillows_pixels(interpolation):
    for case in range(60):
        height, width = sorted(RNG.integers(1, 90, 2))  # Pillow 13 resizes tall ones height first
        short = int(RNG.integers(1, 90))
        pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
        if case % 2:
            pixels = RNG.choice(np.array([0, 255, 128], np.uint8), pixels.shape)
        resize = T.Resize(short, interpolation, levels=255)
        found = resize(as_batch(pixels)).numpy()[0].transpose(1, 2, 0)
        size = (int(short * width / height), short)
        wanted = np.asarray(Image.fromarray(pixels).resize(size, FILTERS[interpolation]))
        assert found.shape == wanted.shape
        assert (np.rint(found * 255) == wanted).all()


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("shape", [(20, 11), (4, 30), (7, 5), (1, 1), (3, 3)])
def test_floats_are_resized_to_pillows_numbers_without_rounding(interpolation, shape):
    found = T.Resize(shape, interpolation)(IMAGES).numpy()
    for ours, image in zip(found.reshape(-1, *shape), IMAGES.reshape(-1, 7, 5), strict=True):
        theirs = Image.fromarray(image).resize(shape[::-1], FILTERS[interpolation])
        np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-6)


# Of torchvision 0.28's `transforms._presets.ImageClassification(crop_size=32, resize_size=36)` on
# `picture(height, width)`: four pixels, the sum, and the sum of squares.
PRESET = [
    ((50, 70), "bilinear", [0.279562, 0.222689, 0.130196, 0.228187], 654.096, 1522.199),
    ((50, 70), "bicubic", [0.330936, 0.135154, 0.025621, 0.159688], 657.34, 2147.017),
    ((70, 50), "bilinear", [-0.576676, 0.012605, 0.426493, -0.268431], 653.086, 1392.484),
    ((70, 50), "bicubic", [-0.713674, -0.004902, 0.461351, -0.354054], 652.869, 1974.965),
    ((30, 30), "bilinear", [-1.741159, -0.407563, 0.897081, 0.896053], 664.014, 2163.726),
    ((30, 30), "bicubic", [-1.758284, -0.442577, 0.966798, 1.135799], 669.321, 3303.548),
]


@pytest.mark.parametrize(("size", "interpolation", "pixels", "total", "squares"), PRESET)
def test_the_preprocessing_of_classifiers_is_torchvisions(
    size, interpolation, pixels, total, squares
):
    preset = T.ImageClassification(crop_size=32, resize_size=36, interpolation=interpolation)
    y = preset(as_batch(picture(*size))).numpy()[0].astype(np.float64)
    found = [y[0, 0, 0], y[1, 5, 9], y[2, 31, 31], y[0, 16, 7]]
    np.testing.assert_allclose(found, pixels, atol=2e-6)
    np.testing.assert_allclose([y.sum(), (y * y).sum()], [total, squares], atol=2e-3)


# ------------------------------------------------------------- closed forms


def test_halving_by_the_triangle_is_a_weighted_mean_of_four():
    x = RNG.random((1, 1, 1, 12))
    found = resized(x, (1, 6)).ravel()
    line = x.ravel()
    inside = [line[i - 1 : i + 3] @ [1, 3, 3, 1] / 8 for i in range(2, 10, 2)]
    np.testing.assert_allclose(found[1:5], inside, rtol=1e-12)
    np.testing.assert_allclose(found[0], line[:3] @ [3, 3, 1] / 7, rtol=1e-12)


@pytest.mark.parametrize("interpolation", FILTERS)
def test_constants_stay_and_a_ramp_stays_a_ramp(interpolation):
    ones = resized(np.ones((1, 9, 13)), (31, 4), interpolation)
    np.testing.assert_allclose(ones, 1, rtol=1e-12)
    ramp = np.arange(40.0)[None] * np.ones((3, 1))
    found = resized(ramp, (3, 10), interpolation)
    np.testing.assert_allclose(
        found[:, 2:-2], (np.arange(10) * 4 + 1.5)[None, 2:-2] + 0 * found[:, 2:-2]
    )


def test_the_kernels_are_1_at_0_and_0_at_other_integers_and_add_up_to_1():
    for kernel in (triangle, cubic):
        np.testing.assert_allclose(kernel(np.arange(-3, 4)), [0, 0, 0, 1, 0, 0, 0], atol=1e-15)
        shifts = np.linspace(0, 1, 11)[:, None] + np.arange(-3, 4)
        np.testing.assert_allclose(kernel(shifts).sum(axis=1), 1, rtol=1e-12)


def test_bicubic_levels_are_clipped_and_floats_overshoot():
    step = np.repeat([0.0, 1.0], 8)[None, None, None].astype(np.float32)
    assert T.Resize((1, 40), "bicubic")(step).max().item() > 1.01
    rounded = T.Resize((1, 40), "bicubic", levels=255)(step).numpy()
    assert (rounded.min(), rounded.max()) == (0, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "transform", [T.Resize(4), T.Resize(5, levels=255), T.CenterCrop(3), T.RandomResizedCrop(4)]
)
def test_the_dtype_is_kept_and_the_argument_is_not_changed(transform, dtype):
    images = tg.tensor(IMAGES.astype(dtype), requires_grad=True)
    before = images.numpy().copy()
    found = transform(images)
    assert (found.dtype, len(found), found.requires_grad) == (dtype, 6, False)
    found.numpy()[...] = 9.0
    assert (images.numpy() == before).all()
    assert len(transform(images[:0])) == 0


def test_the_shorter_side_gets_the_size_and_the_longer_one_is_rounded_down():
    assert T.Resize(10)(np.zeros((1, 1, 3, 8), np.float32)).shape == (1, 1, 10, 26)
    assert T.Resize(10)(np.zeros((1, 1, 8, 3), np.float32)).shape == (1, 1, 26, 10)
    assert T.Resize((2, 9))(np.zeros((1, 1, 8, 3), np.float32)).shape == (1, 1, 2, 9)


# ------------------------------------------------------------- crops


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((7, 5), slice(0, 7), slice(0, 5)),
        (3, slice(2, 5), slice(1, 4)),
        ((4, 2), slice(2, 6), slice(2, 4)),  # 1.5 is rounded to the even 2, as in torchvision
        ((6, 1), slice(0, 6), slice(2, 3)),
    ],
)
def test_the_centre_is_cropped_where_torchvision_crops_it(size, rows, columns):
    np.testing.assert_array_equal(T.CenterCrop(size)(IMAGES).numpy(), IMAGES[:, :, rows, columns])


def test_a_crop_that_is_larger_is_padded_with_zeros_on_both_sides():
    found = T.CenterCrop((10, 3))(IMAGES).numpy()
    np.testing.assert_array_equal(found[:, :, 1:8], IMAGES[:, :, :, 1:4])
    assert not found[:, :, [0, 8, 9]].any()


def test_random_resized_crops_of_the_whole_are_resized_images():
    found = T.RandomResizedCrop((4, 9), scale=(1, 1), ratio=(5 / 7, 5 / 7))(IMAGES, g())
    np.testing.assert_array_equal(found.numpy(), T.Resize((4, 9))(IMAGES).numpy())


def test_random_resized_crops_have_area_and_ratio_in_their_bounds_and_every_position():
    """On a picture of coordinates, the corners of the result show the rectangle."""
    height, width, n = 40, 60, 400
    rows = np.broadcast_to(np.arange(height)[:, None], (height, width))
    columns = np.broadcast_to(np.arange(width), (height, width))
    images = np.broadcast_to(np.stack([rows, columns]).astype(np.float64), (n, 2, height, width))
    crop = T.RandomResizedCrop(64, scale=(0.1, 0.3), ratio=(0.5, 2.0))
    found = crop(images, g()).numpy()
    top, left = found[:, 0, 0, 0].round(), found[:, 1, 0, 0].round()
    tall, wide = found[:, 0, -1, 0].round() + 1 - top, found[:, 1, 0, -1].round() + 1 - left
    area, rounding = tall * wide / (height * width), (tall + wide) / (height * width)
    assert (area > 0.1 - rounding).all()
    assert (area < 0.3 + rounding).all()
    assert (wide / tall > 0.5 * (1 - 2 / tall)).all()
    assert (wide / tall < 2 * (1 + 2 / tall)).all()
    assert abs(area.mean() - 0.2) < 4 * 0.2 / math.sqrt(12 * n) + 0.005
    assert abs(np.log(wide / tall).mean()) < 4 * math.log(4) / math.sqrt(12 * n) + 0.01
    assert top.min() == 0
    assert (top + tall).max() == height
    assert left.min() == 0
    assert (left + wide).max() == width
    again = crop(images, g()).numpy()
    np.testing.assert_array_equal(found, again)


def test_a_rectangle_that_never_fits_is_the_centre_with_the_nearest_ratio():
    wide = np.broadcast_to(np.arange(40.0), (1, 1, 4, 40))
    found = T.RandomResizedCrop((4, 8), scale=(1, 1), ratio=(0.5, 2.0))(wide, g()).numpy()
    np.testing.assert_allclose(found[0, 0, 0], np.arange(16, 24))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: T.Resize(0), "Resize: size must be at least 1, not 0"),
        (lambda: T.Resize(3, "nearest"), 'interpolation must be "bilinear" or "bicubic"'),
        (lambda: T.Resize(3)(np.zeros((1, 3, 0, 4), np.float32)), "0 × 4 pixels are empty"),
        (lambda: T.CenterCrop(0), "CenterCrop: size must be at least 1"),
        (lambda: T.RandomResizedCrop(0), "RandomResizedCrop: size must be at least 1"),
        (lambda: T.RandomResizedCrop(3, scale=(0.0, 1)), r"scale within \(0, 1\]"),
        (
            lambda: T.RandomResizedCrop(3, interpolation="nearest"),
            'must be "bilinear" or "bicubic"',
        ),
        (lambda: T.ImageClassification(std=0.0), "std must be positive"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

"""Augmentation: exact on simple cases, and equal to plain transcriptions, image by image."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data
from tinygrad_gm.data import transforms as T
from tinygrad_gm.data.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 3, 7, 5), np.float32)
SQUARES = RNG.random((4, 1, 8, 8), np.float32)


def g(seed=0):
    return tg.Generator(seed)


ALL = [
    T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomAffine(20, (0.2, 0.2), (0.8, 1.2)),
    T.RandomAffine(20, (0.2, 0.2), (0.8, 1.2), interpolation="bilinear"),
    T.RandomRotation(30),
    T.RandomCrop(5, padding=2),
    T.RandomErasing(),
    T.RandomErasing(value="random"),
    T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    T.Compose([T.RandomHorizontalFlip(), T.RandomCrop((4, 3)), T.ColorJitter(brightness=0.5)]),
]
IDS = [f"{type(t).__name__}{i}" for i, t in enumerate(ALL)]


# ------------------------------------------------------------------- all of them


@pytest.mark.parametrize("transform", ALL, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_and_the_argument_is_not_changed(transform, dtype):
    images = tg.tensor(IMAGES.astype(dtype), requires_grad=True)
    before = images.numpy().copy()
    found = transform(images, g())
    assert (found.dtype, len(found), found.requires_grad) == (dtype, 6, False)
    assert (images.numpy() == before).all()
    found.numpy()[...] = 9.0
    assert (images.numpy() == before).all()


@pytest.mark.parametrize("transform", ALL[1:], ids=IDS[1:])
def test_a_seed_repeats_the_draws_and_each_image_has_its_own(transform):
    same = np.repeat(IMAGES[:1], 40, axis=0)
    first, second = transform(same, g(3)).numpy(), transform(same, g(3)).numpy()
    other = transform(same, g(4)).numpy()
    assert (first == second).all()
    assert (first != other).any()
    assert len(np.unique(first.reshape(40, -1), axis=0)) > 1
    with tg.random.using(g(3)):
        assert (transform(tg.tensor(same)).numpy() == first).all()


@pytest.mark.parametrize("transform", ALL[1:], ids=IDS[1:])
def test_an_empty_batch_stays_empty(transform):
    assert len(transform(IMAGES[:0], g())) == 0


# ------------------------------------------------------------------- normalisation, flips


def test_normalize_has_mean_zero_and_deviation_one_after_its_own_statistics():
    mean, std = IMAGES.mean((0, 2, 3)), IMAGES.std((0, 2, 3))
    found = T.Normalize(mean, std)(IMAGES).numpy()
    np.testing.assert_allclose(found.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((0, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(T.Normalize(0.5, 0.25)(SQUARES).numpy(), (SQUARES - 0.5) / 0.25)


@pytest.mark.parametrize(("kind", "axis"), [(T.RandomHorizontalFlip, 3), (T.RandomVerticalFlip, 2)])
def test_a_flip_is_numpys_and_undone_by_another(kind, axis):
    once = kind(p=1.0)(IMAGES)
    np.testing.assert_array_equal(once.numpy(), np.flip(IMAGES, axis))
    np.testing.assert_array_equal(kind(p=1.0)(once).numpy(), IMAGES)
    np.testing.assert_array_equal(kind(p=0.0)(IMAGES).numpy(), IMAGES)


@pytest.mark.parametrize("kind", [T.RandomHorizontalFlip, T.RandomVerticalFlip])
def test_a_flip_happens_with_its_probability(kind):
    same = np.repeat(IMAGES[:1], 2000, axis=0)
    flipped = (kind(p=0.3)(same, g()).numpy() != same).any((1, 2, 3))
    assert abs(flipped.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


# ------------------------------------------------------------------- rotation, shift, scale


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 3])
def test_rotation_by_right_angles_is_numpys_rot90(quarters, size, interpolation):
    images = RNG.random((3, 2, size, size), np.float32)
    angle = 90.0 * quarters
    found = T.RandomRotation((angle, angle), interpolation)(images, g()).numpy()
    wanted = np.rot90(images, quarters, axes=(2, 3))
    np.testing.assert_allclose(found, wanted, atol=0 if interpolation == "nearest" else 1e-6)
    other_way = T.RandomAffine((-angle, -angle), interpolation=interpolation)(images, g()).numpy()
    np.testing.assert_array_equal(other_way, found)


def test_a_half_turn_of_an_oblong_is_exact():
    found = T.RandomRotation((180, 180))(IMAGES, g()).numpy()
    np.testing.assert_array_equal(found, IMAGES[..., ::-1, ::-1])


def test_shifts_are_by_whole_pixels_within_their_bounds_and_bring_in_the_fill():
    same = np.repeat(SQUARES[:1], 500, axis=0)
    found = T.RandomAffine(0, translate=(0.25, 0.125), fill=-1.0)(same, g()).numpy()
    wide = np.pad(SQUARES[0, 0], 3, constant_values=-1.0)
    wanted = {
        (dx, dy): wide[3 - dy : 11 - dy, 3 - dx : 11 - dx]
        for dx in range(-2, 3)
        for dy in range(-1, 2)
    }
    seen = [next(shift for shift, image in wanted.items() if (image == x[0]).all()) for x in found]
    assert set(seen) == set(wanted)


def test_doubling_shows_each_pixel_four_times():
    image = RNG.random((1, 1, 4, 4), np.float32)
    found = T.RandomAffine(0, scale=(2.0, 2.0))(image, g()).numpy()[0, 0]
    np.testing.assert_array_equal(found, image[0, 0, 1:3, 1:3].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_an_affine_map_equals_a_transcription_pixel_by_pixel(interpolation):
    angle, factor = 23.0, 0.8
    transform = T.RandomAffine(
        (angle, angle), scale=(factor, factor), interpolation=interpolation, fill=(0.1, 0.2, 0.3)
    )
    found = transform(IMAGES, g()).numpy()
    height, width = 7, 5
    turn, fill = math.radians(angle), (0.1, 0.2, 0.3)

    def pixel(n, c, i, j):
        return IMAGES[n, c, i, j] if 0 <= i < height and 0 <= j < width else fill[c]

    for n, c, i, j in np.ndindex(IMAGES.shape):
        # Clockwise on a screen, whose y points down: x + iy is multiplied by e^{iθ}.
        there = complex(j - (width - 1) / 2, i - (height - 1) / 2)
        here = there / factor * complex(math.cos(turn), -math.sin(turn))
        x, y = here.real + (width - 1) / 2, here.imag + (height - 1) / 2
        if interpolation == "nearest":
            wanted = pixel(n, c, round(y), round(x))
        else:
            a, b = math.floor(y), math.floor(x)
            wanted = sum(
                pixel(n, c, a + k, b + m) * (1 - abs(y - a - k)) * (1 - abs(x - b - m))
                for k in (0, 1)
                for m in (0, 1)
            )
        assert found[n, c, i, j] == pytest.approx(wanted, abs=1e-6)


def test_a_bilinear_rotation_there_and_back_nearly_gives_a_smooth_image():
    place = np.arange(21) - 10
    smooth = np.exp(-(place[:, None] ** 2 + (place - 2) ** 2) / 18).astype(np.float32)[None, None]
    there = T.RandomRotation((33, 33), "bilinear")(smooth, g())
    back = T.RandomRotation((-33, -33), "bilinear")(there, g()).numpy()
    assert np.abs(there.numpy() - smooth).max() > 0.2
    # Each interpolation errs by (|f_xx| + |f_yy|) / 8 at most, and |f_xx| is at most 1/9 here.
    assert np.abs(back - smooth).max() < 2 * (2 / 9) / 8


# ------------------------------------------------------------------- crops


def test_crops_are_parts_of_the_image_and_every_part_occurs():
    same = np.repeat(IMAGES[:1], 400, axis=0)
    found = T.RandomCrop((5, 3))(same, g()).numpy()
    parts = {(i, j): IMAGES[0, :, i : i + 5, j : j + 3] for i in range(3) for j in range(3)}
    places = [next(p for p, part in parts.items() if (part == x).all()) for x in found]
    counts = [places.count(place) for place in parts]
    assert min(counts) > 400 / 9 - 4 * math.sqrt(400 / 9)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(
    ("padding", "widths"),
    [(2, ((2, 2), (2, 2))), ((1, 3), ((3, 3), (1, 1))), ((1, 2, 3, 0), ((2, 0), (1, 3)))],
)
def test_padding_is_numpys_and_the_whole_of_it_can_be_cut_out(mode, padding, widths):
    wanted = np.pad(IMAGES, ((0, 0), (0, 0), *widths), mode=mode)
    crop = T.RandomCrop(wanted.shape[2:], padding, padding_mode=mode)
    np.testing.assert_array_equal(crop(IMAGES, g()).numpy(), wanted)


def test_a_padding_shows_the_fill_of_each_channel():
    found = T.RandomCrop((9, 7), padding=1, fill=(0.1, 0.2, 0.3))(IMAGES, g()).numpy()
    np.testing.assert_allclose(found[:, :, 0, 0], np.tile(np.float32([0.1, 0.2, 0.3]), (6, 1)))
    np.testing.assert_array_equal(found[:, :, 1:-1, 1:-1], IMAGES)


# ------------------------------------------------------------------- erasing


def test_what_is_erased_is_one_rectangle_with_area_and_ratio_in_their_bounds():
    ones = np.ones((500, 2, 40, 40), np.float32)
    found = T.RandomErasing(p=1.0, scale=(0.05, 0.2), ratio=(0.5, 2.0), value=(3.0, 4.0))(
        ones, g()
    ).numpy()
    tops = set()
    for image in found:
        rows, columns = (np.flatnonzero((image[0] == 3).any(axis)) for axis in (1, 0))
        tall, wide = len(rows), len(columns)
        assert (image[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 3).all()
        assert (image[0] == 3).sum() == tall * wide
        assert ((image[1] == 4) == (image[0] == 3)).all()
        rounding = (tall + wide) / 2 + 0.25
        assert 0.05 * 1600 - rounding <= tall * wide <= 0.2 * 1600 + rounding
        assert 0.5 * (wide - 0.5) - 0.5 <= tall <= 2 * (wide + 0.5) + 0.5
        tops.add(rows[0])
    assert len(tops) > 25


def test_erasing_happens_with_its_probability_and_by_random_values():
    found = T.RandomErasing(p=0.4, value="random")(np.full((1500, 1, 12, 12), 9.0), g()).numpy()
    erased = (found != 9).any((1, 2, 3))
    assert abs(erased.mean() - 0.4) < 4 * math.sqrt(0.24 / 1500)
    painted = found[found != 9]
    assert abs(painted.mean()) < 4 / math.sqrt(painted.size)
    assert abs(painted.std() - 1) < 4 / math.sqrt(2 * painted.size)


def test_an_image_that_no_try_fits_is_left_alone():
    found = T.RandomErasing(p=1.0, scale=(1.0, 1.0))(SQUARES, g()).numpy()
    np.testing.assert_array_equal(found, SQUARES)


# ------------------------------------------------------------------- colour


def grey(pixel):
    return 0.2989 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.7])
def test_brightness_contrast_and_saturation_equal_their_formulas_pixel_by_pixel(factor):
    brightness, contrast, saturation = (
        change(IMAGES, np.float32(factor))
        for change in (adjust_brightness, adjust_contrast, adjust_saturation)
    )
    for n in range(len(IMAGES)):
        pixels = IMAGES[n].reshape(3, -1).T.astype(np.float64)
        mean = sum(map(grey, pixels)) / len(pixels)
        for k, pixel in enumerate(pixels):
            place = (n, slice(None), *divmod(k, 5))
            for found, other in ((brightness, 0.0), (contrast, mean), (saturation, grey(pixel))):
                wanted = np.clip(factor * pixel + (1 - factor) * other, 0, 1)
                np.testing.assert_allclose(found[place], wanted, atol=1e-6)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 1 / 3, 0.5])
def test_hue_equals_pythons_colorsys(turn):
    special = np.array([[0, 0, 0], [1, 1, 1], [0.3, 0.3, 0.3], [1, 0, 0], [1, 1, 0], [0, 0.5, 0.5]])
    pixels = np.concatenate([special, RNG.random((44, 3))])
    images = pixels.T.reshape(1, 3, 5, 10)
    found = adjust_hue(images, np.full((1, 1, 1, 1), turn)).reshape(3, -1).T
    for pixel, ours in zip(pixels, found, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        wanted = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
        np.testing.assert_allclose(ours, wanted, atol=1e-12)


def test_a_picture_in_grey_has_no_saturation_and_no_hue():
    for change in (adjust_saturation, adjust_hue):
        np.testing.assert_array_equal(change(SQUARES, np.float32(0.3)), SQUARES)
    found = T.ColorJitter(contrast=(0.0, 0.0))(SQUARES, g()).numpy()
    means = SQUARES.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(means, SQUARES.shape), rtol=1e-5)


def test_the_factors_of_a_jitter_are_uniform_between_their_bounds():
    grey_images = np.full((3000, 1, 1, 1), 0.25)
    factors = T.ColorJitter(brightness=0.5)(grey_images, g()).numpy().ravel() / 0.25
    assert 0.5 <= factors.min() < 0.51
    assert 1.49 < factors.max() <= 1.5
    assert abs(factors.mean() - 1) < 4 / math.sqrt(12 * 3000)
    black = T.ColorJitter(brightness=(0.0, 3.0))(grey_images, g()).numpy()
    assert 0 <= black.min() < 0.01
    assert T.ColorJitter(brightness=2.0).brightness == (0.0, 3.0)


def test_a_jitter_applies_its_changes_in_every_order():
    same = np.repeat(IMAGES[:1].astype(np.float64), 60, axis=0)
    found = T.ColorJitter((0.5, 0.5), (0.5, 0.5), (1, 1), (0, 0))(same, g()).numpy()
    half = np.float64(0.5)
    first = adjust_contrast(adjust_brightness(same[:1], half), half)
    second = adjust_brightness(adjust_contrast(same[:1], half), half)
    np.testing.assert_allclose(first, second)  # these two commute; a clip in between does not:
    found = T.ColorJitter((3.0, 3.0), (0.5, 0.5))(same, g()).numpy()
    first = adjust_contrast(adjust_brightness(same[:1], 3.0), half)[0]
    second = adjust_brightness(adjust_contrast(same[:1], half), 3.0)[0]
    kinds = [(np.allclose(x, first), np.allclose(x, second)) for x in found]
    assert set(kinds) == {(True, False), (False, True)}
    assert 15 <= kinds.count((True, False)) <= 45


# ------------------------------------------------------------------- in a data set


def test_compose_applies_any_functions_in_their_order_from_one_generator():
    drawn = []
    both = T.Compose([lambda x: x + 1, T.Normalize(1.0, 2.0), lambda x: drawn.append(x) or x * 3])
    np.testing.assert_allclose(both(SQUARES).numpy(), SQUARES * 1.5, rtol=1e-5)
    assert len(drawn) == 1
    noise = T.Compose([lambda x: x + tg.rand(x.shape)])
    np.testing.assert_array_equal(
        noise(SQUARES, g(5)).numpy(), SQUARES + g(5).uniform(SQUARES.shape).numpy()
    )


def test_a_transformed_data_set_changes_images_and_passes_the_rest_on():
    whole = data.TensorDataset(tg.tensor(IMAGES), tg.arange(6), tg.arange(6) * 2)
    flipped = data.Transformed(whole, T.RandomHorizontalFlip(p=1.0))
    images, labels, doubles = flipped.batch([4, 1])
    np.testing.assert_array_equal(images.numpy(), IMAGES[[4, 1], :, :, ::-1])
    assert (labels.tolist(), doubles.tolist(), len(flipped)) == ([4, 1], [8, 2], 6)
    image, label, _ = flipped[3]
    np.testing.assert_array_equal(image.numpy(), IMAGES[3, :, :, ::-1])
    assert label.item() == 3


def test_a_data_set_of_bare_images_is_transformed_too():
    class Bare(data.Dataset):
        def __getitem__(self, index):
            return tg.tensor(IMAGES[index])

        def __len__(self):
            return 6

    flipped = data.Transformed(Bare(), T.RandomVerticalFlip(p=1.0))
    np.testing.assert_array_equal(flipped.batch([0, 5]).numpy(), IMAGES[[0, 5], :, ::-1])
    np.testing.assert_array_equal(flipped[2].numpy(), IMAGES[2, :, ::-1])


@pytest.mark.parametrize("prefetch", [0, 2])
def test_in_a_loader_the_draws_are_those_of_seed_epoch_and_number(prefetch):
    erase = T.RandomErasing(p=0.7)
    whole = data.Transformed(data.TensorDataset(tg.tensor(IMAGES), tg.arange(6)), erase)
    loader = data.DataLoader(whole, 2, seed=9, prefetch=prefetch)
    for epoch in range(2):
        for number, (images, _) in enumerate(loader):
            wanted = erase(IMAGES[2 * number : 2 * number + 2], tg.Generator((9, epoch, number)))
            np.testing.assert_array_equal(images.numpy(), wanted.numpy())


# ------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: T.RandomRotation(5)(IMAGES[0]), ValueError, r"RandomRotation: .*got \(3, 7, 5\)"),
        (
            lambda: T.ColorJitter()(np.zeros((1, 3, 2, 2), np.uint8)),
            TypeError,
            "ColorJitter: expected floating images; got uint8",
        ),
        (lambda: T.Normalize((0.5, 0.5), 1.0)(IMAGES), ValueError, r"mean has the shape \(2,\)"),
        (lambda: T.Normalize(0.5, (1.0, 0.0)), ValueError, "std must be positive"),
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, r"RandomHorizontalFlip: p must lie in"),
        (lambda: T.RandomRotation(-5), ValueError, "RandomRotation: degrees must be a number ≥ 0"),
        (lambda: T.RandomRotation((5, -5)), ValueError, r"or bounds \(low, high\)"),
        (lambda: T.RandomAffine(0, (1.5, 0)), ValueError, r"translate must lie in \[0, 1\]"),
        (lambda: T.RandomAffine(0, scale=(0, 1)), ValueError, "scale must be positive"),
        (lambda: T.RandomRotation(5, "cubic"), ValueError, "RandomRotation: .*not 'cubic'"),
        (
            lambda: T.RandomCrop(8)(IMAGES),
            ValueError,
            "RandomCrop: 8 × 8 pixels do not fit in 7 × 5",
        ),
        (lambda: T.RandomCrop(0)(IMAGES), ValueError, "0 × 0 pixels"),
        (lambda: T.RandomCrop(4, padding=(1, 2, 3)), ValueError, "padding must be 1, 2 or 4"),
        (lambda: T.RandomCrop(4, padding=-1), ValueError, "padding must be 1, 2 or 4 numbers ≥ 0"),
        (lambda: T.RandomCrop(4, padding_mode="wrap"), ValueError, "no padding_mode 'wrap'"),
        (lambda: T.RandomErasing(scale=(0.5, 2.0)), ValueError, r"scale must lie in \[0, 1\]"),
        (lambda: T.RandomErasing(ratio=(0.0, 1.0)), ValueError, "ratio be positive"),
        (lambda: T.ColorJitter(hue=0.7), ValueError, r"hue must lie in \[−0.5, 0.5\]"),
        (lambda: T.ColorJitter(contrast=(-1.0, 1.0)), ValueError, "must not be negative"),
        (
            lambda: T.ColorJitter(0.5)(np.zeros((1, 2, 3, 3))),
            ValueError,
            "expected images of 1 or 3 channels; got 2",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()

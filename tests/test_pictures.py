"""Sheets and curves: sizes, places and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm import pictures


def test_a_sheet_has_every_image_at_its_place():
    images = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 4, 6))
    sheet = np.asarray(pictures.grid(images, columns=3, scale=1, gap=1))
    assert sheet.shape == (2 * 5 + 1, 3 * 7 + 1)
    for number in range(5):
        row, column = divmod(number, 3)
        cell = sheet[1 + 5 * row : 5 + 5 * row, 1 + 7 * column : 7 + 7 * column]
        assert (cell == round(255 * number / 4)).all()
    assert (sheet[6:, 15:] == 255).all()  # the empty sixth place


def test_colour_images_scale_and_values_outside_the_range(tmp_path):
    images = tg.full((1, 3, 2, 2), 7.0)
    sheet = pictures.grid(images, scale=3, gap=0, path=tmp_path / "sheet.png")
    assert sheet.mode == "RGB"
    assert sheet.size == (6, 6)
    assert Image.open(tmp_path / "sheet.png").getpixel((0, 0)) == (255, 255, 255)


LEVELS = np.array([[[0, 1, 127], [128, 254, 255]]])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (LEVELS.astype(np.uint8), LEVELS),
        (tg.tensor(LEVELS.astype(np.uint8)), LEVELS),
        (LEVELS, LEVELS),
        (LEVELS.astype(np.int16) * 2 - 10, [[[0, 0, 244], [246, 255, 255]]]),
        ((LEVELS // 2).astype(np.int8), [[[0, 0, 63], [64, 127, 127]]]),
        (LEVELS > 127, [[[0, 0, 0], [255, 255, 255]]]),
        ((LEVELS > 127).astype(np.int64), [[[0, 0, 0], [255, 255, 255]]]),
        ((LEVELS > 127).astype(np.uint8), [[[0, 0, 0], [1, 1, 1]]]),
        (LEVELS / 255, LEVELS),
        ((LEVELS / 255).astype(np.float16), LEVELS),
        (
            np.array([[[-1.0, 2.0, math.nan], [math.inf, -math.inf, 1.0]]]),
            [[[0, 255, 0], [255, 0, 255]]],
        ),
    ],
)
def test_images_of_every_dtype_have_their_levels(images, expected):
    sheet = pictures.grid(images, scale=1, gap=0)
    np.testing.assert_array_equal(np.asarray(sheet), np.asarray(expected)[0])
    assert pictures.sheet(images).mode == "L"


def test_points_and_curves_of_integers_are_those_of_floats():
    points = np.array([[-128, 0], [100, 127]], np.int8)
    whole, floats = (pictures.scatter({"a": a}, size=100) for a in (points, points * 1.0))
    assert (np.asarray(whole) == np.asarray(floats)).all()
    heights = np.array([200, 3, 255], np.uint8)
    whole, floats = (pictures.curves({"a": a}, size=(200, 150)) for a in (heights, heights * 1.0))
    assert (np.asarray(whole) == np.asarray(floats)).all()


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"got \(3, 2, 8, 8\)"):
        pictures.grid(np.zeros((3, 2, 8, 8)))


def test_a_falling_line_falls():
    picture = np.asarray(pictures.curves({"loss": [10.0, 5.0, 1.0]}, size=(300, 200)))
    blue = np.argwhere((picture == [0x00, 0x72, 0xB2]).all(-1))
    below_legend = blue[blue[:, 0] > 50]
    left, right = (
        below_legend[below_legend[:, 1].argmin()],
        below_legend[below_legend[:, 1].argmax()],
    )
    assert left[0] < right[0]


def test_a_long_legend_is_above_the_lines():
    """The rows of the last and highest line: first its entry, 17 pixels a name, then it."""
    series = {str(number): [number, number] for number in range(8)}
    picture = np.asarray(pictures.curves(series, size=(300, 400))).astype(int)
    shade = [int(pictures.COLOURS[7][i : i + 2], 16) for i in (1, 3, 5)]
    rows = np.unique(np.argwhere((abs(picture - shade) < 12).all(-1))[:, 0])
    assert abs(rows.min() - 8 * 17) < 3
    assert rows.max() > rows.min() + 5


def test_panels_have_their_places_and_none_is_refused():
    shades = [Image.new("RGB", (4, 3), (shade,) * 3) for shade in (10, 20, 30)]
    sheet = np.asarray(pictures.panels(shades, columns=2))[..., 0]
    assert sheet.shape == (6, 8)
    assert (sheet[:3, :4] == 10).all()
    assert (sheet[:3, 4:] == 20).all()
    assert (sheet[3:, :4] == 30).all()
    assert (sheet[3:, 4:] == 255).all()
    with pytest.raises(ValueError, match="at least one picture"):
        pictures.panels([])


def test_values_that_are_not_finite_leave_a_gap_and_nothing_finite_is_refused():
    pictures.curves({"loss": [1.0, math.nan, 2.0], "test": ([1, 3], [2.0, math.inf])})
    with pytest.raises(ValueError, match="at least one finite value"):
        pictures.curves({"loss": [math.nan]})


def test_x_and_y_values_of_different_length_are_refused():
    with pytest.raises(ValueError, match="'a' has 2 x values and 1 y values"):
        pictures.curves({"a": ([1.0, 2.0], [1.0])})


@pytest.mark.parametrize("values", [[0.0, 1.0], [5.0, 5.0], [0.0, 0.0], [-3e-7, 2e-7], [1e6, 3e9]])
def test_ticks_are_few_round_and_enclose_the_values(values):
    ticks = pictures._ticks(values)
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= min(values)
    assert ticks[-1] >= max(values)
    assert all(len(f"{tick:.3g}") <= 9 for tick in ticks)


def places(picture: Image.Image, colour: str) -> np.ndarray:
    """Rows and columns of the pixels that have a colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere((np.asarray(picture) == wanted).all(-1))


def test_points_lie_where_their_coordinates_say():
    clouds = {"data": [[1.0, 1.0]], "samples": [[-1.0, 0.5]]}
    picture = pictures.scatter(clouds, bounds=(-2, 2), size=400)
    found = places(picture, pictures.COLOURS[0])
    row, column = found[found[:, 0] > 24].mean(axis=0)
    assert (row, column) == pytest.approx((24 + 400 * 1.5 / 4, 400 * 1 / 4), abs=1)
    found = places(picture, "#B8B8B8")
    row, column = found[found[:, 0] > 24].mean(axis=0)
    assert (row, column) == pytest.approx((24 + 400 * 1 / 4, 400 * 3 / 4), abs=1)


def test_classes_have_ten_colours_and_their_names_in_the_middle_of_their_points():
    clouds = {str(i): np.array([[i - 4.5, 0.0]] * 3) for i in range(10)}
    picture = pictures.scatter(clouds, bounds=(-5, 5), ground=False, size=500)
    assert len(set(pictures.COLOURS)) == 10
    for number, colour in enumerate(pictures.COLOURS):
        assert (places(picture, colour)[:, 0] < 24).any()  # in the legend
        middle = np.asarray(picture)[264:284, 50 * number + 15 : 50 * number + 35]
        assert (middle < 0x50).all(-1).sum() > 10  # of the name, which is bigger than a point
    assert len(places(picture, "#B8B8B8")) < 10  # but for edges of letters: no ground


def test_points_outside_and_not_finite_are_left_out_and_wrong_clouds_refused():
    far = pictures.scatter({"a": [[9.0, 9.0], [math.nan, 0.0]]}, bounds=(-1, 1), size=100)
    inside = places(far, pictures.COLOURS[0])
    assert (inside[:, 0] < 24).all()  # the legend alone
    pictures.scatter({"a": np.zeros((0, 2))})
    with pytest.raises(ValueError, match=r"a: expected points \(N, 2\); got \(3, 3\)"):
        pictures.scatter({"a": np.zeros((3, 3))})
    with pytest.raises(ValueError, match="at least one cloud"):
        pictures.scatter({})


def test_arrows_go_from_their_start_along_their_displacement():
    starts, moves = [[-1.0, -1.0], [math.nan, 0.0]], [[1.5, 0.0], [1.0, 1.0]]
    picture = pictures.scatter(
        {"a": [[9.0, 9.0]]}, bounds=(-2, 2), size=400, arrows=(starts, moves)
    )
    ink = np.argwhere((np.asarray(picture) < 0x80).all(-1))
    ink = ink[(ink[:, 0] > 30) & (ink[:, 1] > 2)]
    assert ink[:, 1].min() == pytest.approx(100, abs=2)
    assert ink[:, 1].max() == pytest.approx(250, abs=2)
    assert ink[:, 0].mean() == pytest.approx(24 + 300, abs=1)
    barbs = ink[np.abs(ink[:, 0] - 324) > 1]
    assert (barbs[:, 1] > 235).all()  # at the end


def test_samples_are_drawn_as_what_they_are(tmp_path):
    assert pictures.sheet(np.zeros((4, 2)), path=tmp_path / "cloud.png").mode == "RGB"
    assert pictures.sheet(tg.zeros((4, 1, 8, 8))).mode == "L"
    assert (tmp_path / "cloud.png").exists()


def test_a_film_shows_every_frame_in_order_and_the_last_one_longer(tmp_path):
    frames = [tmp_path / f"{i}.png" for i in range(3)]
    for number, path in enumerate(frames):
        pictures.grid(np.full((1, 4, 4), number / 2), path=path)
    pictures.film(frames, tmp_path / "film.gif", seconds=0.1)
    with Image.open(tmp_path / "film.gif") as film:
        shown, lengths = [], []
        for number in range(film.n_frames):
            film.seek(number)
            shown.append(film.convert("L").getpixel((6, 6)))
            lengths.append(film.info["duration"])
    assert shown == pytest.approx([0, 128, 255], abs=1)
    assert lengths == [100, 100, 2100]
    with pytest.raises(ValueError, match="at least one frame"):
        pictures.film([], tmp_path / "none.gif")


@pytest.mark.parametrize("key", [1, None, (0, 1), 0.5])
def test_names_need_not_be_strings(key):
    lines, words = ({name: [3.0, 1.0, 2.0], "b": [1.0]} for name in (key, str(key)))
    assert np.array_equal(pictures.curves(lines), pictures.curves(words))
    clouds, names = ({name: [[0.0, 1.0]], "b": [[1.0, 0.0]]} for name in (key, str(key)))
    assert np.array_equal(pictures.scatter(clouds), pictures.scatter(names))
    titled = pictures.curves({key: [3.0, 1.0]}, title=str(key))
    assert np.array_equal(titled, pictures.curves({str(key): [3.0, 1.0]}, title=str(key)))
    with pytest.raises(ValueError, match="scatter: "):
        pictures.scatter({key: [1.0]})

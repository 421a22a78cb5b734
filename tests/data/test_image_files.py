"""Pictures from files: modes, orientation, transparency, damage."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tinygrad_gm import data

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)


def written(tmp_path, picture, name="picture.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def levels(x):
    """The pixels as 8 bits, (H, W, C)."""
    return np.rint(x.numpy() * 255).astype(int).transpose(1, 2, 0)


def luminance(pixels):
    return pixels @ np.array([0.299, 0.587, 0.114])


def test_colours_are_channels_first_within_0_and_1(tmp_path):
    x = data.read_image(written(tmp_path, Image.fromarray(COLOURS)))
    assert (x.shape, x.dtype) == ((3, 5, 7), np.float32)
    assert (x.numpy() == COLOURS.transpose(2, 0, 1) / np.float32(255)).all()


def test_one_channel_is_the_luminance_and_grey_fills_three(tmp_path):
    grey = levels(data.read_image(written(tmp_path, Image.fromarray(COLOURS)), channels=1))
    assert grey.shape == (5, 7, 1)
    assert np.abs(grey[..., 0] - luminance(COLOURS)).max() <= 0.51
    path = written(tmp_path, Image.fromarray(GREY))
    assert (levels(data.read_image(path, channels=1))[..., 0] == GREY).all()
    assert (levels(data.read_image(path)) == GREY[..., None]).all()


def test_black_and_white_is_0_and_1(tmp_path):
    path = written(tmp_path, Image.fromarray(GREY > 100))
    assert (data.read_image(path, channels=1).numpy()[0] == (GREY > 100)).all()


def test_dark_digits_become_light_ones(tmp_path):
    path = written(tmp_path, Image.fromarray(GREY))
    assert (levels(data.read_image(path, channels=1, invert=True))[..., 0] == 255 - GREY).all()


def test_sixteen_bits_of_grey_are_kept(tmp_path):
    wide = RNG.integers(0, 65536, (5, 7), np.uint16)
    for name in ("picture.png", "picture.tiff"):
        path = written(tmp_path, Image.fromarray(wide), name)
        x = data.read_image(path, channels=1).numpy()[0]
        assert (np.rint(x * 65535) == wide).all()
        assert (data.read_image(path).numpy() == x).all()


def test_floats_are_clipped(tmp_path):
    values = np.array([[-1.0, 0.25, 2.0]], np.float32)
    path = written(tmp_path, Image.fromarray(values), "picture.tiff")
    assert data.read_image(path, channels=1).tolist() == [[[0.0, 0.25, 1.0]]]


def test_a_palette_shows_its_colours(tmp_path):
    few = Image.fromarray(COLOURS // 128 * 255).quantize(8)
    path = written(tmp_path, few, "picture.gif")
    assert (levels(data.read_image(path)) == np.asarray(few.convert("RGB"))).all()


@pytest.mark.parametrize(("background", "level"), [(1.0, 255), (0.0, 0), (0.5, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_show_the_background(tmp_path, background, level, channels):
    alpha = RNG.integers(0, 256, (5, 7, 1), np.uint8)
    alpha[0, :3, 0] = 0, 255, 0
    path = written(tmp_path, Image.fromarray(np.concatenate([COLOURS, alpha], 2)))
    x = levels(data.read_image(path, channels, background=background))
    share = alpha / 255
    wanted = COLOURS * share + level * (1 - share)
    wanted = wanted if channels == 3 else luminance(wanted)[..., None]
    assert np.abs(x - wanted).max() <= 1.01
    assert (x[0, 0] == level).all()


def test_transparent_grey_and_transparent_palettes_show_the_background(tmp_path):
    alpha = np.where(GREY > 128, 255, 0).astype(np.uint8)
    both = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    for path in (
        written(tmp_path, both),
        written(tmp_path, Image.fromarray(GREY), "other.png", transparency=7),
        written(tmp_path, Image.fromarray(GREY).convert("P"), "p.png", transparency=7),
    ):
        shown = alpha > 0 if path.name == "picture.png" else GREY != 7
        wanted = np.where(shown, GREY, 255)
        assert (levels(data.read_image(path, channels=1))[..., 0] == wanted).all()


def test_inks_are_converted_to_light(tmp_path):
    inks = np.zeros((2, 2, 4), np.uint8)
    inks[0, 1] = [255, 0, 0, 0]
    inks[1] = [0, 0, 0, 255], [0, 0, 0, 0]
    path = written(tmp_path, Image.fromarray(inks, "CMYK"), "picture.tiff")
    wanted = [[[255, 255, 255], [0, 255, 255]], [[0, 0, 0], [255, 255, 255]]]
    assert levels(data.read_image(path)).tolist() == wanted


TURNS = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.fliplr(np.rot90(x, -1)),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.fliplr(np.rot90(x, 1)),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_as_its_exif_data_say(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = written(tmp_path, Image.fromarray(COLOURS), exif=exif)
    assert (levels(data.read_image(path)) == TURNS[orientation](COLOURS)).all()


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("L", (7, 5), level) for level in (10, 200)]
    path = written(tmp_path, frames[0], "film.gif", save_all=True, append_images=frames[1:])
    assert (levels(data.read_image(path)) == 10).all()


# ------------------------------------------------------------- damage


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_part_of_a_picture_gives_one_line_with_the_files_name(tmp_path, kind):
    buffer, path = io.BytesIO(), tmp_path / "picture"
    Image.fromarray(RNG.integers(0, 256, (40, 50, 3), np.uint8)).save(buffer, kind)
    content = buffer.getvalue()
    for length in [0, 1, 4, 10, *RNG.integers(0, int(0.99 * len(content)), 30)]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"not a picture|truncated or damaged") as caught:
            data.read_image(path)
        assert str(caught.value).startswith(f"cannot read {path}: ")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_damaged_bytes_give_a_picture_or_one_line(tmp_path, kind):
    buffer, path = io.BytesIO(), tmp_path / "picture"
    Image.fromarray(RNG.integers(0, 256, (20, 25, 3), np.uint8)).save(buffer, kind)
    for _ in range(60):
        content = bytearray(buffer.getvalue())
        for place in RNG.integers(0, len(content), 3):
            content[place] = RNG.integers(256)
        path.write_bytes(content)
        words = f"cannot read {path}: "
        try:
            x = data.read_image(path).numpy()
        except ValueError as error:
            words, x = str(error), np.zeros((3, 1, 1))
        assert words.startswith(f"cannot read {path}: ")
        assert x.shape[0] == 3
        assert ((x >= 0) & (x <= 1)).all()


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("a text, not a picture")
    with pytest.raises(ValueError, match=r"notes\.txt: it is not a picture that Pillow knows"):
        data.read_image(tmp_path / "notes.txt")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    path = written(tmp_path, Image.fromarray(COLOURS))
    with pytest.raises(ValueError, match=r"picture\.png: it has too many pixels"):
        data.read_image(path)


def test_missing_files_and_wrong_arguments_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot read .*none\.png: no such file"):
        data.read_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        data.read_image(tmp_path)
    with pytest.raises(ValueError, match="channels must be 1 or 3, not 4"):
        data.read_image("a.png", 4)
    with pytest.raises(ValueError, match=r"background must be within \[0, 1\], not 255"):
        data.read_image("a.png", background=255)

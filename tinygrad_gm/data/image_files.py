"""`read_image`: pictures from files, as the arrays that classifiers expect."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..io import PathLike, failure
from ..tensor import Tensor, asarray

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDE = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's names for 16 bits of grey
DAMAGE = (  # what Pillow raises for damaged pictures
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, struct.error),
    *(OverflowError, ZeroDivisionError, AssertionError, MemoryError),
)


def read_image(
    path: PathLike,
    channels: Literal[1, 3] = 3,
    *,
    background: float = 1.0,
    invert: bool = False,
) -> Tensor:
    """Read a picture: any format that Pillow knows, in the orientation that its EXIF data state.

    Palettes, CMYK and other colour spaces are converted to red, green and blue; for one channel, to
    the luminance 0.299 R + 0.587 G + 0.114 B. 16-bit grey keeps its precision. Of an animation the
    first frame is read.

    Args:
        path: path of the file.
        channels: 3 for red, green and blue, or 1 for grey.
        background: level of grey behind transparent pixels: 0 is black, 1 white.
        invert: return 1 − x, for a net that was trained on light digits and a picture of dark ones.

    Returns:
        (channels, H, W), float32 in [0, 1].

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not a picture, is truncated or damaged, or has more pixels than Pillow's
            `Image.MAX_IMAGE_PIXELS`.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "digits.png")
    >>> _ = tg.pictures.grid(tg.zeros((2, 8, 8)), scale=1, gap=0, path=path)
    >>> tg.data.read_image(path, channels=1).shape
    (1, 8, 16)
    """
    if channels not in (1, 3):
        raise ValueError(f"read_image: channels must be 1 or 3, not {channels}")
    if not 0 <= background <= 1:
        raise ValueError(f"read_image: background must be within [0, 1], not {background}")
    pixels = _pixels(_opened(path), channels, background)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    x = np.ascontiguousarray(np.broadcast_to(pixels, (channels, *pixels.shape[1:])))
    return asarray(1 - x if invert else x)


def _opened(path: PathLike) -> Image:
    """The decoded picture, turned as it was taken."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about details of a format
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(file)
            picture.load()
            return ImageOps.exif_transpose(picture)
    except UnidentifiedImageError:
        raise ValueError(f"cannot read {path}: it is not a picture that Pillow knows") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"cannot read {path}: it has too many pixels") from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise failure(f"cannot read {path}", error) from None
        raise ValueError(f"cannot read {path}: the picture is truncated or damaged") from None


def _pixels(picture: Image, channels: int, background: float) -> Any:
    """(H, W) or (H, W, 3), float32 in [0, 1]."""
    from PIL import Image

    if picture.mode in _WIDE or picture.mode == "I":  # "I": 32 bits, for 16 in older versions
        return np.asarray(picture).astype(np.float32).clip(0, 65535) / np.float32(65535)
    if picture.mode == "F":
        return np.nan_to_num(np.asarray(picture)).clip(0, 1)
    if picture.has_transparency_data:
        level = round(255 * background)
        ground = Image.new("RGBA", picture.size, (level, level, level, 255))
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    if channels == 3 or picture.mode not in ("1", "L"):
        picture = picture.convert("RGB")
    if channels == 1:
        picture = picture.convert("L")
    return np.asarray(picture) / np.float32(255)

"""Pictures of data and of training: images, clouds of points, curves, films; as Pillow images.

Lines and points are drawn at twice the size and then halved, which smooths them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import ArrayLike
from .io import replacing
from .tensor import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

# From Okabe and Ito 2008 and Tol: distinguishable with colour blindness.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
    *("#882255", "#999933", "#000000", "#F0E442"),
)
INK, PALE = "#222222", "#E3E3E3"
LARGEST = 1e300  # beyond it, differences and round numbers overflow


def grid(
    images: ArrayLike,
    columns: int | None = None,
    *,
    scale: int = 2,
    gap: int = 2,
    path: str | Path | None = None,
) -> Image:
    """Draw images on a sheet, row by row.

    Args:
        images: (N, H, W), (N, 1, H, W) or (N, 3, H, W). Floats and booleans are intensities in [0,
            1]; integers are levels from 0 to 255, except that integers wider than uint8 that are
            all 0 or 1 are intensities. Other values are clipped.
        columns: number of images in a row; None: an almost square sheet.
        scale: screen pixels per image pixel.
        gap: number of pixels between images.
        path: path of a file for the sheet; the suffix gives the format. None: not saved.

    Raises:
        ValueError: another shape, or no image.

    >>> grid(tg.zeros((6, 8, 8)), columns=3, scale=1).size
    (32, 22)
    """
    from PIL import Image

    pixels = _as_pixels(images)
    count, height, width, channels = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, channels)
    sheet = np.full(shape, 255, np.uint8)
    for number, image in enumerate(pixels):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return _saved(Image.fromarray(sheet[..., 0] if channels == 1 else sheet), path)


def sheet(samples: ArrayLike, *, path: str | Path | None = None) -> Image:
    """Draw samples of a model: points (N, 2) by `scatter`, images by `grid`.

    >>> sheet(tg.zeros((5, 2))).size == scatter({"samples": tg.zeros((5, 2))}).size
    True
    """
    if len(samples.shape) == 2:
        return scatter({"samples": samples}, path=path)
    return grid(samples, path=path)


def scatter(
    clouds: Mapping[Any, ArrayLike],
    *,
    bounds: tuple[float, float] | None = None,
    ground: bool = True,
    arrows: tuple[ArrayLike, ArrayLike] | None = None,
    size: int = 480,
    path: str | Path | None = None,
) -> Image:
    """Draw clouds of points in the plane, each in its own colour, the last one on top.

    Args:
        clouds: points (N, 2) by name.
        bounds: the smallest and the largest coordinate shown, on both axes; None: ±1.1 times the
            largest absolute value. Points that are not finite or outside are omitted.
        ground: whether the first of several clouds is drawn pale, as the background of the others.
            Otherwise all are alike, as for classes, with their names also at their medians.
        arrows: the starts (M, 2) and the displacements (M, 2) of arrows below all clouds but the
            ground; None: no arrows.
        size: width and height of the square in pixels; a line for the names is added at the top.
        path: path of a file for the picture; the suffix gives the format. None: not saved.

    Raises:
        ValueError: there is no cloud, or one has another shape.

    >>> scatter({"data": [[0.0, 1.0]], "samples": [[1.0, 0.0]]}, size=200).size
    (200, 224)
    """
    from PIL import Image, ImageDraw, ImageFont

    points = {name: _as_cloud(name, cloud) for name, cloud in clouds.items()}
    if not points:
        raise ValueError("scatter: expected at least one cloud")
    reach = max((float(np.abs(cloud).max()) for cloud in points.values() if cloud.size), default=1)
    low, high = bounds or (-1.1 * (reach or 1.0), 1.1 * (reach or 1.0))
    picture = Image.new("RGB", (2 * size, 2 * size + 48), "white")
    draw, font, left = ImageDraw.Draw(picture), ImageFont.load_default(24), 16.0
    colours = ("#B8B8B8", *COLOURS) if ground and len(points) > 1 else COLOURS
    middles: list[tuple[tuple[float, float], str]] = []
    for number, (name, cloud) in enumerate(points.items()):
        if arrows is not None and number == len(points) - 1:
            starts, moves = (np.asarray(part, np.float64) for part in arrows)
            lines = np.stack([starts, starts + moves], axis=1) - low  # (M, 2, 2)
            lines = lines[np.isfinite(lines).all((1, 2))] * (2 * size / (high - low))
            for (x0, y0), (x1, y1) in lines.tolist():
                _draw_arrow(draw, (x0, 2 * size + 48 - y0), (x1, 2 * size + 48 - y1))
        colour = colours[number % len(colours)]
        draw.ellipse([(left, 16), (left + 16, 32)], colour)
        draw.text((left + 24, 24), _plain(name), INK, font, anchor="lm")
        left += 56 + draw.textlength(_plain(name), font=font)
        inside = cloud[((cloud >= low) & (cloud <= high)).all(axis=1)]
        across = (inside[:, 0] - low) / (high - low) * 2 * size
        down = 48 + (high - inside[:, 1]) / (high - low) * 2 * size
        for x, y in zip(across.tolist(), down.tolist(), strict=True):
            draw.ellipse([(x - 3, y - 3), (x + 3, y + 3)], colour)
        if not ground and len(inside):
            middles.append(((float(np.median(across)), float(np.median(down))), _plain(name)))
    for middle, name in middles:  # above all clouds
        bold = ImageFont.load_default(40)
        draw.text(middle, name, INK, bold, anchor="mm", stroke_width=4, stroke_fill="white")
    draw.rectangle([(0, 48), (2 * size - 1, 2 * size + 47)], outline=PALE, width=2)
    return _saved(picture.resize((size, size + 24), Image.Resampling.LANCZOS), path)


def film(frames: Sequence[str | Path], path: str | Path, *, seconds: float = 0.25) -> None:
    """Write an animated GIF of pictures of one size, which repeats.

    Args:
        frames: the files of the pictures, in order.
        path: path of the GIF.
        seconds: duration of a frame; the last is shown for two more seconds.

    Raises:
        ValueError: there is no frame.
    """
    from PIL import Image

    if not frames:
        raise ValueError("film: expected at least one frame")
    first, *others = (
        Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames
    )
    pause = round(1000 * seconds)
    lengths = [pause] * len(others) + [pause + 2000]
    with replacing(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=lengths, loop=0)


def clips(films: ArrayLike, columns: int | None = None, *, path: str | Path) -> None:
    """Write films (N, T, C, H, W) side by side as an animated GIF, ten frames a second, which
    repeats. Frames are drawn as by `grid`.

    >>> import os, tempfile
    >>> clips(tg.rand((2, 3, 1, 8, 8)), path=os.path.join(tempfile.mkdtemp(), "clips.gif"))
    """
    array = films.numpy() if isinstance(films, Tensor) else np.asarray(films)
    if array.ndim != 5 or not array.size:
        raise ValueError(f"clips: expected films (N, T, C, H, W); got {array.shape}")
    first, *rest = (grid(array[:, t], columns) for t in range(array.shape[1]))
    with replacing(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=rest, duration=100, loop=0)


def sheet_in(folder: Path, samples: ArrayLike) -> Path:
    """Draw samples of a model into a folder, films as `samples.gif`, others by `sheet` as
    `samples.png`; return the path.
    """
    path = folder / ("samples.gif" if len(samples.shape) == 5 else "samples.png")
    if path.suffix == ".gif":
        clips(samples, path=path)
    else:
        sheet(samples, path=path)
    return path


def curves(
    series: Mapping[Any, Sequence[float] | tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
    x_label: str = "step",
    y_label: str = "",
    size: tuple[int, int] = (720, 400),
    path: str | Path | None = None,
) -> Image:
    """Draw lines on one pair of axes.

    Args:
        series: the values of each line by name, or pairs (x values, y values). Without x values the
            points are numbered from 1. Values that are not finite, or beyond ±1e300, leave a gap.
        title: title above the axes.
        x_label: label below the horizontal axis.
        y_label: label of the vertical axis, below the title.
        size: width and height in pixels.
        path: path of a file for the picture; the suffix gives the format. None: not saved.

    Raises:
        ValueError: there is no finite value.

    >>> curves({"loss": [3.0, 2.0, 1.5]}, size=(300, 200)).size
    (300, 200)
    """
    from PIL import Image, ImageDraw

    lines = {name: _as_points(name, values) for name, values in series.items()}
    points = [(x, y) for line in lines.values() for x, y in line if _is_drawable(x, y)]
    if not points:
        raise ValueError("curves: expected at least one finite value")
    width, height = 2 * size[0], 2 * size[1]
    picture = Image.new("RGB", (width, height), "white")
    entries = [] if [str(name) for name in lines] == [title or y_label] else [*lines]
    axes = _Axes(ImageDraw.Draw(picture), (width, height), points, len(entries))
    axes.draw_frame(title, x_label, y_label)
    for number, line in enumerate(lines.values()):
        axes.draw_line(line, COLOURS[number % len(COLOURS)])
    for number, name in enumerate(entries):
        axes.draw_legend(number, name, COLOURS[number % len(COLOURS)])
    return _saved(picture.resize(size, Image.Resampling.LANCZOS), path)


def panels(sheets: Sequence[Image], columns: int = 1, *, path: str | Path | None = None) -> Image:
    """Put pictures of one size on a sheet, row by row.

    Args:
        sheets: the pictures, such as those of `curves`.
        columns: number of pictures in a row.
        path: path of a file for the sheet; the suffix gives the format. None: not saved.

    Raises:
        ValueError: there is no picture.

    >>> panels([curves({"loss": [2.0, 1.0]}, size=(300, 200))] * 3, columns=2).size
    (600, 400)
    """
    from PIL import Image

    if not sheets:
        raise ValueError("panels: expected at least one picture")
    width, height = sheets[0].size
    rows = math.ceil(len(sheets) / columns)
    whole = Image.new("RGB", (columns * width, rows * height), "white")
    for number, each in enumerate(sheets):
        row, column = divmod(number, columns)
        whole.paste(each, (column * width, row * height))
    return _saved(whole, path)


def _draw_arrow(draw: ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line with two barbs, from start to end, in pixels."""
    draw.line([start, end], INK, 2)
    across, down = end[0] - start[0], end[1] - start[1]
    length, angle = math.hypot(across, down), math.atan2(down, across)
    for turn in (-2.6, 2.6):  # radians
        barb = min(0.4 * length, 9)
        tip = end[0] + barb * math.cos(angle + turn), end[1] + barb * math.sin(angle + turn)
        draw.line([end, tip], INK, 2)


class _Axes:
    """A coordinate system on a drawing, with its ticks, below a number of legend entries."""

    def __init__(
        self,
        draw: ImageDraw,
        size: tuple[int, int],
        points: Sequence[tuple[float, float]],
        entries: int,
    ) -> None:
        from PIL import ImageFont

        self.draw, self.size = draw, size
        self.font, self.bold = ImageFont.load_default(24), ImageFont.load_default(30)
        self.x_ticks = _ticks([x for x, _ in points])
        self.y_ticks = _ticks([y for _, y in points])
        label_width = max(self.draw.textlength(_text(y), font=self.font) for y in self.y_ticks)
        self.left, self.right = 30 + label_width, size[0] - 40
        self.top, self.bottom = max(110, 34 + 34 * entries), size[1] - 90

    def place(self, x: float, y: float) -> tuple[int, int]:
        """The pixel of a point."""
        (x0, x1), (y0, y1) = _ends(self.x_ticks), _ends(self.y_ticks)
        across = (x - x0) / (x1 - x0) * (self.right - self.left)
        up = (y - y0) / (y1 - y0) * (self.bottom - self.top)
        return round(self.left + across), round(self.bottom - up)

    def draw_frame(self, title: str, x_label: str, y_label: str) -> None:
        for y in self.y_ticks:
            _, height = self.place(self.x_ticks[0], y)
            self.draw.line([(self.left, height), (self.right, height)], PALE, 2)
            self.draw.text((self.left - 14, height), _text(y), INK, self.font, anchor="rm")
        for x in self.x_ticks:
            across, _ = self.place(x, self.y_ticks[0])
            self.draw.line([(across, self.bottom), (across, self.bottom + 8)], INK, 2)
            self.draw.text((across, self.bottom + 14), _text(x), INK, self.font, anchor="ma")
        self.draw.line([(self.left, self.bottom), (self.right, self.bottom)], INK, 2)
        self.draw.text((24, 22), _plain(title or y_label), INK, self.bold)
        if title and y_label:
            self.draw.text((24, 66), _plain(y_label), INK, self.font)
        middle = (self.left + self.right) / 2
        self.draw.text((middle, self.size[1] - 12), _plain(x_label), INK, self.font, anchor="md")

    def draw_line(self, line: Sequence[tuple[float, float]], colour: str) -> None:
        run: list[tuple[int, int]] = []
        for x, y in [*line, (0.0, math.nan)]:
            if _is_drawable(x, y):
                run.append(self.place(x, y))
                continue
            if len(run) == 1:
                self._dot(run[0], 6, colour)
            elif run:
                self.draw.line(run, colour, 6, joint="curve")
                for point in run:
                    self._dot(point, 2.5, colour)
            run = []

    def _dot(self, centre: tuple[int, int], radius: float, colour: str) -> None:
        x, y = centre
        self.draw.ellipse([(x - radius, y - radius), (x + radius, y + radius)], colour)

    def draw_legend(self, number: int, name: object, colour: str) -> None:
        height = 34 + 34 * number
        text = _plain(name)
        length = self.draw.textlength(text, font=self.font)
        start = self.right - length - 56
        self.draw.line([(start, height), (start + 40, height)], colour, 6)
        self.draw.text((start + 56, height), text, INK, self.font, anchor="lm")


def _as_pixels(images: ArrayLike) -> Any:
    """Images as bytes, channels last."""
    array = images.numpy() if isinstance(images, Tensor) else np.asarray(images)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not array.size:
        raise ValueError(
            f"grid: expected images (N, H, W), (N, 1, H, W) or (N, 3, H, W); got {array.shape}"
        )
    return as_levels(array).transpose(0, 2, 3, 1)


def as_levels(array: Any) -> Any:
    """Convert the values that `grid` accepts to levels from 0 to 255, uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind in "iu" and array.size and array.max() > 1:
        return array.clip(0, 255).astype(np.uint8)
    shares = np.nan_to_num(array.astype(np.float64)).clip(0, 1)
    return (shares * 255).round().astype(np.uint8)


def _as_cloud(name: object, cloud: ArrayLike) -> Any:
    """The finite points of a cloud, (N, 2), in float64."""
    array = np.asarray(cloud.numpy() if isinstance(cloud, Tensor) else cloud, np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"scatter: {name}: expected points (N, 2); got {array.shape}")
    return array[(np.abs(array) <= LARGEST).all(axis=1)]


def _is_drawable(x: float, y: float) -> bool:
    return abs(x) <= LARGEST and abs(y) <= LARGEST  # False for NaN


def _as_points(name: object, values: Any) -> list[tuple[float, float]]:
    xs, ys = values if isinstance(values, tuple) else (range(1, len(values) + 1), values)
    if len(xs) != len(ys):
        raise ValueError(f"curves: {name!r} has {len(xs)} x values and {len(ys)} y values")
    return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def _ticks(values: Sequence[float]) -> list[float]:
    """Four to nine round numbers that enclose the values."""
    low, high = min(values), max(values)
    span, size = high - low, max(abs(low), abs(high))
    if span <= max(1e-12 * size, 1 / LARGEST):  # the differences are rounding errors
        span = size if size > 1 / LARGEST else 1.0
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if span / (unit * part) <= 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _ends(ticks: Sequence[float]) -> tuple[float, float]:
    return ticks[0], ticks[-1]


def _text(value: float) -> str:
    return f"{value:.6g}"


def _plain(text: object) -> str:
    """A text in the characters of Pillow's built-in font."""
    return str(text).replace("−", "-").replace("×", "x")


def save(picture: Image, path: str | Path) -> None:
    """Write a picture to a file by `io.replacing`; the suffix gives the format.

    Raises:
        ValueError: the suffix is unknown to Pillow.
        OSError: the file cannot be written; an existing one is unchanged.
    """
    from PIL import Image

    suffix = Path(path).suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind is None:
        raise ValueError(f"cannot write {path}: unknown file extension {suffix!r}")
    with replacing(path) as temporary:
        picture.save(temporary, kind)


def _saved(picture: Image, path: str | Path | None) -> Image:
    if path is not None:
        save(picture, path)
    return picture

"""The numbers of a run: its `metrics.jsonl` read, and drawn as curves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pictures
from .io import PathLike, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

POINTS = 60  # of a curve, at most: each is the mean over a stretch of steps


def read_metrics(folder: PathLike) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`, oldest first, but for a last one that is cut off."""
    lines = (Path(folder) / "metrics.jsonl").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]


def write_curves(folder: PathLike) -> None:
    """Draw all metrics of a run over its steps, into `curves.png`; without any, do nothing."""
    sheet = curves(folder)
    if sheet is not None:
        with replacing(Path(folder) / "curves.png") as path:
            sheet.save(path, format="PNG")


def curves(folder: PathLike) -> Image | None:
    """All metrics of a run over its steps, as a picture; None where none is written.

    Each metric has axes of its own, but for one called by another's name with a word in front:
    `test_loss` is drawn beside `loss`.
    """
    from PIL import Image

    lines = [line for line in read_metrics(folder) if "step" in line]
    names = [name for name in {n: None for line in lines for n in line} if name not in _PLACE]
    panels: dict[str, list[str]] = {}
    for name in names:
        base = name.partition("_")[2]
        panels.setdefault(base if base in names else name, []).append(name)
    if not panels:
        return None
    columns = 1 if len(panels) < 4 else 2
    sheet = Image.new("RGB", (columns * _WIDTH, -(-len(panels) // columns) * _HEIGHT), "white")
    for number, (title, members) in enumerate(panels.items()):
        series = {name: _curve(lines, name) for name in sorted(members, key=names.index)}
        picture = pictures.curves(series, y_label=title, size=(_WIDTH, _HEIGHT))
        row, column = divmod(number, columns)
        sheet.paste(picture, (column * _WIDTH, row * _HEIGHT))
    return sheet


_PLACE = ("step", "epoch")  # where a line was written, and not what was measured
_WIDTH, _HEIGHT = 720, 320  # pixels of a pair of axes


def _curve(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values: the means over equal stretches of the run."""
    length = math.ceil(lines[-1]["step"] / POINTS)
    stretches: dict[int, list[tuple[int, float]]] = {}
    for line in lines:
        if name in line:
            stretch = (line["step"] - 1) // length
            stretches.setdefault(stretch, []).append((line["step"], line[name]))
    points = [zip(*stretch, strict=True) for stretch in stretches.values()]
    means = [[sum(values) / len(values) for values in point] for point in points]
    return [step for step, _ in means], [value for _, value in means]

"""The metrics of a run: reading `metrics.jsonl`, and drawing curves."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import pictures
from ..io import PathLike

if TYPE_CHECKING:
    from PIL.Image import Image

POINTS = 60  # maximum number of points of a curve: each is the mean of an interval of steps


def read_metrics(folder: PathLike) -> list[dict[str, Any]]:
    """Read the lines of a run's `metrics.jsonl`, oldest first, ignoring a truncated last one.
    Raises ValueError or TypeError, naming the line, if one is not an object of numbers.
    """
    path = Path(folder) / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_read_line(f"line {number} of {path}", line) for number, line in enumerate(lines, 1)]


def _read_line(place: str, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"read_metrics: {place} is not JSON") from None
    if not isinstance(found, dict):
        raise ValueError(f"read_metrics: {place} is not an object of numbers")
    for name, value in found.items():
        as_number(f"read_metrics: {place}", name, value)
        if name in _PLACE and not (type(value) is int and value >= 0):
            raise ValueError(f"read_metrics: {place}: {name!r} is {value}; expected an int ≥ 0")
    return found


def as_number(caller: str, name: Any, value: Any) -> float:
    """Convert a metric to a number; raise TypeError, in the name of a caller, for other types.

    >>> as_number("log", "loss", tg.tensor([0.5]))
    0.5
    """
    if not isinstance(name, str):
        raise TypeError(f"{caller}: {name!r} is the name of a metric; expected a string")
    size = getattr(value, "size", 1)
    number = value.item() if size == 1 and hasattr(value, "item") else value
    if isinstance(number, (int, float)) and abs(number) <= sys.float_info.max:
        return number
    if isinstance(number, float):  # NaN or infinite
        return number
    given = f"of shape {value.shape}" if size != 1 else _in_brief(number)
    raise TypeError(f"{caller}: {name!r} is {given}; expected a number, or a Tensor of one element")


def _in_brief(value: Any) -> str:
    if isinstance(value, int):
        return "beyond the largest float"
    words = f"{value!r}"
    return words if len(words) <= 60 else f"{words[:60]}…"


def write_curves(folder: PathLike) -> None:
    """Draw all metrics of a run over its steps into `curves.png`, if there are any. Raises the
    errors of `read_metrics`.
    """
    sheet = curves(folder)
    if sheet is not None:
        pictures.save(sheet, Path(folder) / "curves.png")


def curves(folder: PathLike) -> Image | None:
    """Draw all metrics of a run over its steps; return None if there is nothing to draw. Each
    metric has its own axes, except that a prefixed name shares those of the other: `test_loss` is
    drawn with `loss`.
    """
    lines = [line for line in read_metrics(folder) if "step" in line]
    names = list({name: None for line in lines for name in line if _is_drawable(line, name)})
    panels: dict[str, list[str]] = {}
    for name in names:
        base = name.partition("_")[2]
        panels.setdefault(base if base in names else name, []).append(name)
    if not panels:
        return None
    drawn = []
    for title, members in panels.items():
        series = {name: _curve(lines, name) for name in sorted(members, key=names.index)}
        drawn.append(pictures.curves(series, y_label=title, size=(_WIDTH, _HEIGHT)))
    return pictures.panels(drawn, columns=1 if len(drawn) < 4 else 2)


_PLACE = ("step", "epoch")  # the position of a line, not a measurement
_WIDTH, _HEIGHT = 720, 320  # pixels of a pair of axes


def _is_drawable(line: dict[str, Any], name: str) -> bool:
    return name not in _PLACE and abs(line.get(name, math.nan)) <= pictures.LARGEST


def _curve(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values: means over equal intervals of the run."""
    length = max(math.ceil(max(line["step"] for line in lines) / POINTS), 1)
    stretches: dict[int, list[tuple[int, float]]] = {}
    for line in lines:
        if _is_drawable(line, name):
            stretch = max(line["step"] - 1, 0) // length
            stretches.setdefault(stretch, []).append((line["step"], line[name]))
    points = [zip(*stretch, strict=True) for stretch in stretches.values()]
    means = [[sum(values) / len(values) for values in point] for point in points]
    return [step for step, _ in means], [value for _, value in means]

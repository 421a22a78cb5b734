"""Types and choices of arguments of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import inf
from pathlib import Path

DRAWN = (  # name, help and choices of what a drawing chooses by itself
    ("detail", "content of a node: shapes, values or full", ("shapes", "values", "full")),
    (
        "direction",
        "direction of the drawing, left to right (LR) or top to bottom (TB)",
        ("LR", "TB"),
    ),
)


def add_rendering(parser: argparse.ArgumentParser, engines: Sequence[str]) -> None:
    """Add the flags of the layout engine, and of the pixels of a PNG."""
    names = f"{', '.join(engines)} (default: the first available)"
    parser.add_argument("--engine", choices=engines, help=f"layout engine: {names}")
    pixels = "pixels of a .png per pixel of the drawing (default 1.5; at most 8,000 a side)"
    parser.add_argument("--scale", type=_positive, help=pixels)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number


def folder(name: str) -> Path:
    """Return the path of a folder; an error for an empty name."""
    if not name:
        raise argparse.ArgumentTypeError("the name of the folder is empty")
    return Path(name)


def box(text: str) -> tuple[int, int] | None:
    """Return width and height of `1600x900`; None of `none`."""
    if text == "none":
        return None
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT or none, got {text!r}")
    return int(width), int(height)

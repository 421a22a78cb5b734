"""Recurrences of loops: their lines, with a cell for the gradient in each step."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from .. import style
from ..annotate.diagnosis import warmth
from ..themes import Theme

CELL = 10.0  # points: side of a cell with its gap
MOST_CELLS = 24  # of more steps several share a cell
WRITTEN = 100  # steps with a number in the tooltip


def fields_of(loop: Mapping[str, Any], theme: Theme, numbers: bool) -> dict[str, Any]:
    """Return the fields of the line of a recurrence; `numbers`: with the range of the gradients."""
    sizes = loop["sizes"]
    steps = f"{loop['steps']:,} steps"
    steps += f", {loop['span']} later" if loop["span"] > 1 else ""
    text = f"{style.elided(loop['name'], 20)}, {steps}" if loop["name"] else steps
    known = [size for size in sizes if isfinite(size) and size > 0]
    ends = [style.number(size, 3).lstrip("+") for size in (min(known), max(known))] if known else []
    written = ", ".join(style.number(size, 3).lstrip("+") for size in sizes[:WRITTEN])
    tooltip = f"recurrence: {text}\ngradient in each step: {written}" if sizes else "recurrence"
    return {
        "is_recurrence": True,
        "local": (text,) if sizes else (),
        "flow": f"∂ {' … '.join(dict.fromkeys(ends))}" if ends and numbers else "",
        "cells": tuple(_colour(size, known, theme) for size in _merged(sizes)) if known else (),
        "tooltip": tooltip,
        "matrix": (),
    }


def _merged(sizes: list[float]) -> list[float]:
    """Return at most MOST_CELLS sizes: of several steps the largest."""
    length = -(-len(sizes) // MOST_CELLS)
    return [max(sizes[start : start + length]) for start in range(0, len(sizes), length)]


def _colour(size: float, known: list[float], theme: Theme) -> str:
    """Return the fill of a cell: the larger, the darker."""
    if not size > 0:
        return theme.paper
    low, high = min(known), max(known)
    place = warmth(size, low, high) if low < high else 0.5
    return theme.heat[min(int(place * len(theme.heat)), len(theme.heat) - 1)]

"""The figure of a view in one of three details."""

from __future__ import annotations

from ..graph.view import View
from ..themes import theme as theme_of
from .compact import compact
from .figure import Figure, compose
from .nesting import framed

DETAILS = ("full", "values", "shapes")  # from the largest picture to the smallest


def check_detail(detail: str | None) -> None:
    """Raise ValueError for an unknown detail; None is one to be chosen."""
    if detail is not None and detail not in DETAILS:
        raise ValueError(f'draw: detail is {detail!r}; use "shapes", "values" or "full"')


def figure_of(view: View, theme: str, detail: str, tables: bool = False) -> Figure:
    """Return the framed figure of a view; `tables`: chains of operations share a box."""
    colours = theme_of(theme)
    if detail == "full":
        return framed(compose(view, colours), view)
    return framed(compact(view, colours, detail == "values", tables), view)

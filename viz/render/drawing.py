"""The drawn graph that `draw` returns, and its formats: DOT, SVG, PNG, PDF, JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from tinygrad_gm.io import write_file

from ..compose.figure import Figure
from ..fold.collapse import check_size
from ..graph import data
from ..graph.view import View
from ..interactive.page import page
from . import dot, engine, raster
from .fit import Choice, Wish, choose
from .picture import Picture


class Drawing(Picture):
    """A drawn graph: DOT text in `.source`, pictures by `.svg()`, `.png()` and `.save(path)`.

    Graphviz computes the layout if it is installed, otherwise `layered`. Notebooks display it.
    """

    def __init__(
        self,
        view: View,
        direction: str | None = "LR",
        theme: str = "light",
        engine: str | None = None,
        force: bool = False,
        detail: str | None = "full",
        fit: tuple[float, float] | None = None,
        may_close: bool = False,
        tables: bool = False,
        whole: View | None = None,
    ) -> None:
        self._theme, self._engine, self._force = theme, engine, force
        self._named, self._whole = view, whole or view
        self._wish = Wish(fit, detail, direction, may_close, tables)
        self._choice: Choice = choose(view, self._wish, theme, engine)

    @property
    def _figure(self) -> Figure:
        return self._choice.figure

    @property
    def _view(self) -> View:
        return self._choice.view

    @cached_property
    def source(self) -> str:
        """The picture as DOT text."""
        return dot.source(self._figure, self._choice.direction)

    @cached_property
    def _picture(self) -> str:
        """The SVG of the layout engine."""
        choice = self._choice
        return choice.svg or engine.picture(choice.figure, choice.direction, self._engine)

    def svg(self) -> str:
        """Return the picture as SVG text, which can be embedded in an HTML page with others.

        Raises:
            ValueError: more than 2,000 nodes without `force`.
            RuntimeError: the requested engine fails.
        """
        self._check_size()
        return engine.with_own_ids(self._picture)

    def _rasterized(self, scale: float | None) -> bytes:
        """Return the PNG of resvg, without it that of Graphviz."""
        self._check_size()
        scale = raster.scale_of(self._picture, scale)
        if not raster.is_available():
            png = engine.render(self.source, "png", self._engine, scale)
            if png is not None:
                return png
        return raster.rasterize(self.svg(), self._figure.theme.paper, scale=scale)

    def pdf(self) -> bytes:
        """Return the picture as PDF; RuntimeError if Graphviz is not installed."""
        self._check_size()
        pdf = engine.render(self.source, "pdf", self._engine)
        if pdf is None:
            raise engine.MissingEngine(f"a PDF needs Graphviz: {engine.HINT}")
        return pdf

    def html(self) -> str:
        """Return a page to explore: modules open and close, and a box shows all its numbers.

        The numbers are read now: save the page before the optimizer changes the parameters.
        """
        detail = "shapes" if self._wish.detail == "shapes" else "values"
        with np.errstate(all="ignore"):
            return page(self._whole, self._named, self._theme, detail, self._wish.direction)

    def json(self) -> str:
        """Return the graph as JSON, with unrounded numbers; `load` reads it."""
        choice = self._choice
        settings: dict[str, str | bool] = {
            "direction": choice.direction,
            "theme": self._theme,
            "detail": choice.detail,
            "tables": choice.tables,
        }
        return data.dumps(self._view, settings)

    def save(self, path: str | Path, scale: float | None = None) -> Path:
        """Write the picture to a file, and its DOT text to a file with the suffix .gv.

        Args:
            path: ends in .svg, .png, .pdf (needs Graphviz), .html (a page to explore), .json (see
                `load`), .gv or .dot.
            scale: of a .png, pixels per pixel of the drawing. None: 1.5, or less if a side would be
                longer than 8,000 pixels, with a warning.

        Raises:
            ValueError: another suffix, or too many nodes for a picture.
            RuntimeError: no installed program makes this format; the .gv is written.
        """
        suffix = Path(path).suffix.lower()
        if suffix in (".svg", ".png", ".pdf"):
            write_file(Path(path).with_suffix(".gv"), self.source)
        return super().save(path, scale)

    def _formats(self) -> dict[str, Callable[[], str | bytes]]:
        texts = dict.fromkeys((".gv", ".dot"), lambda: self.source)
        return {
            **super()._formats(),
            ".pdf": self.pdf,
            ".html": self.html,
            ".json": self.json,
            **texts,
        }

    def _check_size(self) -> None:
        check_size(len(self._figure.boxes), self._force)

    def __repr__(self) -> str:
        return f"<Drawing: {len(self._figure.boxes)} nodes, {len(self._figure.lines)} edges>"


def load(path: str | Path) -> Drawing:
    """Read a drawing saved as JSON; its `.source` is the same as before saving.

    Raises:
        ValueError: the file is not a drawing saved as JSON.

    >>> import tempfile
    >>> x = tg.tensor(3.0, requires_grad=True, name="x")
    >>> picture = viz.draw(x * x)
    >>> path = picture.save(f"{tempfile.mkdtemp()}/square.json")
    >>> viz.load(path).source == picture.source
    True
    """
    view, settings = data.loads(Path(path).read_text(encoding="utf-8"))
    return Drawing(view, **settings)

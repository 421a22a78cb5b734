"""The graph of a computation as a picture: `viz.draw(loss)`.

The record that `backward` walks is drawn as it is: `view` reads it and asks the engine for numbers,
`figure` decides what is written where, `dot` writes that down for Graphviz, and `layered` and `svg`
draw it where Graphviz is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gm.record import Traced

from . import dot, engine, svg
from .figure import Figure, compose
from .view import look

__all__ = ["Drawing", "draw"]

DIRECTIONS = ("LR", "TB")


def draw(
    t: Any,
    *,
    names: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    direction: str = "LR",
) -> Drawing:
    """Draw the graph that computed `t`: a card per variable, a disc per operation.

    A card shows name, shape and dtype, the value (of large tensors mean ± standard deviation) and
    the gradient of `t` with respect to it. An edge shows the local derivative, and for single
    numbers what flows back along it. Values and gradients are computed for the drawing: it makes no
    difference whether `backward` has run, and nobody's `.grad` changes. A parameter's card has an
    extra row `.grad` while that differs from the gradient: `·` until `backward` has stored one, or
    more than one pass added up.

    Args:
        t: a Tensor, or a list of them; of several, and of one with several elements, the gradients
            are those of the sum of all elements.
        names: names for tensors that have none of their own, as {"weight": w}, or
            `model.named_parameters()`. They win over `t.name`.
        direction: "LR" (left to right) or "TB" (top to bottom).

    Raises:
        TypeError: what is to be drawn, or named, is not a Tensor.
        ValueError: another direction, or nothing to draw.

    >>> x = tg.tensor(3.0, requires_grad=True, name="x")
    >>> picture = draw(x * x)
    >>> picture.source.count("->")  # x into either slot of ×, and the result
    3
    """
    roots = [t] if isinstance(t, Traced) else list(t) if isinstance(t, (list, tuple)) else []
    if not roots or not all(isinstance(root, Traced) for root in roots):
        raise TypeError(f"draw: a Tensor or a list of Tensors is wanted, not {t!r:.60}")
    if direction not in DIRECTIONS:
        raise ValueError(f'draw: direction is {direction!r}; "LR" or "TB" is wanted')
    named = dict(names or {})
    for name, tensor in named.items():
        if not isinstance(tensor, Traced):
            raise TypeError(f"draw: names[{name!r}] is no Tensor but a {type(tensor).__name__}")
    with np.errstate(all="ignore"):
        return Drawing(compose(look(roots, named)), direction)


class Drawing:
    """A drawn graph: DOT text in `.source`, pictures by `.svg()`, `.png()` and `.save(path)`.

    Graphviz's `dot` renders it where it is installed, else a layout of our own; a notebook shows
    it.
    """

    def __init__(self, figure: Figure, direction: str) -> None:
        self._figure, self._direction = figure, direction
        self.source = dot.source(figure, direction)

    def svg(self) -> str:
        """The picture as SVG text, ready to stand in an HTML page."""
        rendered = engine.try_dot(self.source, "svg")
        return engine.inline(self._own_svg() if rendered is None else rendered.decode())

    def png(self) -> bytes:
        """The picture as PNG; RuntimeError where neither `dot` nor resvg is installed."""
        return engine.try_dot(self.source, "png") or engine.rasterize(self._own_svg())

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file; beside it, with the suffix .gv, its DOT text.

        Args:
            path: ends in .svg, .png, .pdf (needs `dot`), .gv or .dot.

        Raises:
            ValueError: another suffix.
            RuntimeError: nothing installed can make this kind of picture; the .gv is there.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in (".svg", ".png", ".pdf", ".gv", ".dot"):
            raise ValueError(f"save: {path} should end in .svg, .png, .pdf, .gv or .dot")
        text = path if kind in (".gv", ".dot") else path.with_suffix(".gv")
        text.write_text(self.source, encoding="utf-8")
        if kind == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        elif kind == ".png":
            path.write_bytes(self.png())
        elif kind == ".pdf":
            path.write_bytes(engine.run_dot(self.source, "pdf"))
        return path

    def _own_svg(self) -> str:
        return svg.draw(self._figure, self._direction)

    def __repr__(self) -> str:
        return f"<Drawing: {len(self._figure.boxes)} nodes, {len(self._figure.lines)} edges>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

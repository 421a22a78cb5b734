"""A picture as SVG text, and the files that it is saved to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tinygrad_gm.io import write_file

from .. import style
from ..themes import Theme
from . import raster


class Picture:
    """A picture: `.svg()`, `.png()`, `.save(path)`; notebooks display it."""

    def __init__(self, svg: str) -> None:
        self._svg = svg

    def svg(self) -> str:
        """Return the picture as SVG text, which can be embedded in an HTML page."""
        return self._svg

    def png(self, scale: float | None = None) -> bytes:
        """Return the picture as PNG.

        Args:
            scale: pixels of the PNG per pixel of the picture. None: 1.5, or less if a side would
                be longer than 8,000 pixels, with a warning.

        Raises:
            ValueError: the scale is not positive.
            RuntimeError: resvg is not installed.
        """
        if scale not in self._pngs:
            self._pngs[scale] = self._rasterized(scale)
        return self._pngs[scale]

    @cached_property
    def _pngs(self) -> dict[float | None, bytes]:
        """The PNG of each scale that was asked for."""
        return {}

    def _rasterized(self, scale: float | None) -> bytes:
        return raster.rasterize(self._svg, scale=raster.scale_of(self._svg, scale))

    def save(self, path: str | Path, scale: float | None = None) -> Path:
        """Write the picture to a .svg or .png file; ValueError for another suffix.

        `scale` is that of `png`.
        """
        path, formats = Path(path), self._formats()
        kind = path.suffix.lower()
        if kind not in formats:
            *others, last = formats
            raise ValueError(f"save: {path} should end in {', '.join(others)} or {last}")
        if scale is not None and kind != ".png":
            raise ValueError(f"save: scale= is for .png files, not {path}")
        write_file(path, self.png(scale) if kind == ".png" else formats[kind]())
        return path

    def _formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Return by suffix the method that makes the content of a file."""
        return {".svg": self.svg, ".png": self.png}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}


def sheet(parts: Sequence[str], width: float, height: float, theme: Theme, spoken: str) -> str:
    """Return an SVG of `width` × `height` points on the theme's paper; `spoken` describes it."""
    from html import escape

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{height:.0f}pt" '
        f'viewBox="0 0 {width:.2f} {height:.2f}" font-family="{style.FONT}" role="img" '
        f'aria-label="{escape(spoken)}" style="max-width:100%;height:auto">'
        f'<rect width="100%" height="100%" fill="{theme.paper}"/>{"".join(parts)}</svg>\n'
    )

"""SVG to PNG by resvg, with a bundled font: texts look the same on every machine."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

SCALE = 1.5  # pixels of a PNG per pixel of the drawing, of which there are 96 an inch
LARGEST = 8000  # pixels of a side of a PNG, unless its scale is given
FAMILY = "Drawing Sans"  # a subset of DejaVu Sans, with the same widths
FONTS = Path(__file__).with_name("fonts")


def size(svg: str) -> tuple[float, float]:
    """Return width and height of an SVG in pixels."""
    start = svg[: svg.index(">", svg.index("<svg"))]
    width, height = (re.findall(rf' {side}="([\d.]+)pt"', start)[0] for side in ("width", "height"))
    return float(width) * 4 / 3, float(height) * 4 / 3


def scale_of(svg: str, scale: float | None) -> float:
    """Return the scale of a PNG: the given one, or 1.5 or less, so that no side is too long."""
    if scale is not None:
        if not scale > 0:
            raise ValueError(f"png: scale is {scale}; use a positive number")
        return scale
    width, height = size(svg)
    most = LARGEST / max(width, height)
    if most < SCALE:
        warnings.warn(
            f"png: drawn at scale={most:.2g}, with {LARGEST:,} pixels on the longer side; "
            f"scale={SCALE} makes {width * SCALE:,.0f} × {height * SCALE:,.0f} pixels",
            stacklevel=4,
        )
    return min(SCALE, most)


def rasterize(
    svg: str, paper: str | None = None, system_fonts: bool = True, scale: float = SCALE
) -> bytes:
    """Convert an SVG to PNG; RuntimeError if resvg is not installed.

    `paper` is the colour of transparent pixels, such as those at the edges after rounding. With
    `system_fonts` characters missing in the bundled font come from the fonts of the system.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise RuntimeError(
            "a PNG needs resvg: pip install 'tinygrad_gm[render]', or Graphviz's `dot` program"
        ) from error
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        background=paper,
        dpi=96,
        zoom=scale,
        font_files=[str(file) for file in sorted(FONTS.glob("*.ttf"))],
        sans_serif_family=FAMILY,
        skip_system_fonts=not system_fonts,
    )
    return bytes(png)


def is_available() -> bool:
    """Return whether resvg is installed."""
    from importlib.util import find_spec

    return find_spec("resvg_py") is not None

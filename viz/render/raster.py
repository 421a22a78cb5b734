"""SVG to PNG by resvg, with a bundled font: texts look the same on every machine."""

from __future__ import annotations

from pathlib import Path

RESOLUTION = 144  # dots per inch of a PNG
FAMILY = "Drawing Sans"  # a subset of DejaVu Sans, with the same widths
FONTS = Path(__file__).with_name("fonts")


def rasterize(svg: str, paper: str | None = None, system_fonts: bool = True) -> bytes:
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
        zoom=RESOLUTION / 96,
        font_files=[str(file) for file in sorted(FONTS.glob("*.ttf"))],
        sans_serif_family=FAMILY,
        skip_system_fonts=not system_fonts,
    )
    return bytes(png)


def is_available() -> bool:
    """Return whether resvg is installed."""
    from importlib.util import find_spec

    return find_spec("resvg_py") is not None

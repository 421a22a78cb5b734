"""SVG as PNG, by resvg, with a font of our own: texts look the same on a machine without any."""

from __future__ import annotations

from pathlib import Path

RESOLUTION = 144  # dots per inch of a PNG
FAMILY = "Drawing Sans"  # a part of DejaVu Sans, as wide as that
FONTS = Path(__file__).with_name("fonts")


def rasterize(svg: str, paper: str | None = None, system_fonts: bool = True) -> bytes:
    """The PNG of an SVG; RuntimeError where resvg is not installed.

    `paper` is the colour where the SVG has none, as at its rim when lengths are rounded. With
    `system_fonts` a letter that our font does not have is taken from the machine's.
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
    """Whether resvg is installed."""
    from importlib.util import find_spec

    return find_spec("resvg_py") is not None

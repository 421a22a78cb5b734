"""Texts and rectangles as SVG, placed in points."""

from __future__ import annotations

from html import escape


def label(
    text: str,
    x: float,
    top: float,
    size: float,
    ink: str,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{top + 0.95 * size:.1f}" font-size="{size}" fill="{ink}" '
        f'text-anchor="{anchor}"{weight} xml:space="preserve">{escape(text)}</text>'
    )


def rectangle(
    x: float, y: float, width: float, height: float, paint: str, radius: float = 0.0
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius:.1f}" {paint}/>'
    )

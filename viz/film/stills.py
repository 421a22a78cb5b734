"""Frames as single pictures, with caption and legend, and as a GIF."""

from __future__ import annotations

import io
import itertools
import re
import textwrap
import xml.etree.ElementTree as ElementTree

from .. import style
from ..render.engine import with_own_ids
from ..render.raster import rasterize
from .captions import HIDE, SHOW
from .frames import SVG, Element, Stage
from .recorder import Frame
from .states import PHASES, palette, sheet

GIF_WIDTH = 1600  # largest width in pixels
NEAR = 30  # least distance between two colours of a GIF, summed over channels
NARROWEST = 620.0  # points: least width, for the caption
MARGIN, BAR, LEADING, TEXT_SIZE = 12.0, 5.0, 15.0, 11.0  # points
HEAD, FOOT = 46.0, 26.0  # above the caption's first line; for the legend


def still(stage: Stage, k: int) -> str:
    """Return frame k with its caption above and a legend below, as SVG text."""
    frame, colours = stage.frames[k], palette(stage.theme)
    left, top, width, height = map(float, stage.root.get("viewBox", "0 0 1 1").split())
    room = max(width, NARROWEST)
    head = HEAD + LEADING * max(len(_wrapped(each, room)) for each in stage.frames)
    total = head + height + FOOT
    size = {"width": f"{room:.0f}pt", "height": f"{total:.0f}pt"}
    box = {"viewBox": f"0 0 {room:.2f} {total:.2f}", "font-family": style.FONT}
    svg = Element("svg", {"xmlns": SVG[1:-1], **size, **box})
    ElementTree.SubElement(svg, "style").text = sheet(colours)
    _rectangle(svg, 0, 0, room, total, colours["paper"])
    _progress(svg, stage, k, room)
    last = len(stage.frames) - 1
    title = f"{PHASES[frame.phase]} · step {k} of {last}"
    _text(svg, title, MARGIN, 26, 13, colours["ink"], bold=True)
    for row, line in enumerate(_wrapped(frame, room)):
        _text(svg, line, MARGIN, HEAD + LEADING * row, TEXT_SIZE, colours["ink"])
    place = f"translate({(room - width) / 2 - left:.2f} {head - top:.2f})"
    drawing = ElementTree.SubElement(svg, "g", {"transform": place})
    drawing.extend(stage.paint(stage.scene(frame)))
    _legend(svg, stage, head + height)
    return with_own_ids(ElementTree.tostring(svg, encoding="unicode"))


def gif(stage: Stage, seconds: float) -> bytes:
    """Return all frames as an animated GIF, the last one shown three times as long."""
    from PIL import Image

    stills = [still(stage, k) for k in range(len(stage.frames))]
    colours = Image.new("P", (1, 1))
    colours.putpalette(_mixtures(stage, stills[0]))
    pictures = []
    for svg in stills:
        with Image.open(io.BytesIO(rasterize(svg))) as picture:
            flat = picture.convert("RGB")
            flat.thumbnail((GIF_WIDTH, GIF_WIDTH), Image.Resampling.LANCZOS)
            pictures.append(flat.quantize(palette=colours, dither=Image.Dither.NONE))
    lengths = [round(1000 * seconds)] * (len(pictures) - 1) + [round(3000 * seconds)]
    out = io.BytesIO()
    pictures[0].save(
        out, "GIF", save_all=True, append_images=pictures[1:], duration=lengths, loop=0
    )
    return out.getvalue()


def _mixtures(stage: Stage, svg: str) -> list[int]:
    """Return the drawing's colours and their mixtures with paper and ink (for smooth edges)."""
    named = palette(stage.theme)
    written = [named["paper"], *named.values(), *re.findall(r"#[0-9A-Fa-f]{6}\b", svg)]
    pure = [tuple(bytes.fromhex(colour[1:])) for colour in written]
    grounds = [tuple(bytes.fromhex(named[name][1:])) for name in ("paper", "ink")]
    mixed = [
        tuple((part * a + (4 - part) * b) // 4 for a, b in zip(colour, ground, strict=True))
        for part, ground, colour in itertools.product((1, 2, 3), grounds, pure)
    ]
    chosen: list[tuple[int, ...]] = []
    for colour in (*pure, *mixed):  # near ones would be confused by quantization
        if all(sum(abs(a - b) for a, b in zip(colour, c, strict=True)) > NEAR for c in chosen):
            chosen.append(colour)
    return [channel for colour in chosen[:256] for channel in colour]


def _progress(svg: Element, stage: Stage, k: int, room: float) -> None:
    """Draw a bar along the upper edge: a part per phase, filled up to this frame."""
    colours, step = palette(stage.theme), room / len(stage.frames)
    for phase in PHASES:
        places = [i for i, frame in enumerate(stage.frames) if frame.phase == phase]
        if places:
            start, end = places[0] * step, (places[-1] + 1) * step
            done = min(max((k + 1) * step, start), end)
            _rectangle(svg, start, 0, end - start - 1, BAR, colours["track"])
            _rectangle(svg, start, 0, done - start, BAR, colours[phase])


def _legend(svg: Element, stage: Stage, top: float) -> None:
    colours = palette(stage.theme)
    entries = {
        "untouched": "no gradient yet: ·",
        "partial": "partial sum: 1/2 arrived",
        "final": "gradient complete",
        "work": "at work",
        "updated": "new value",
    }
    x = MARGIN
    for name, words in entries.items():
        _rectangle(svg, x, top + 7, 12, 10, colours[name], colours["line"])
        _text(svg, words, x + 17, top + 15.5, 9, colours["quiet"])
        x += 31 + style.text_width(words, 9)


def _wrapped(frame: Frame, room: float) -> list[str]:
    """Return the lines of a caption, wrapped to the width of the picture."""
    lines = []
    for line in frame.caption:
        text = line.replace(HIDE, "").replace(SHOW, "")
        letter = style.text_width(text, TEXT_SIZE) / max(len(text), 1)
        letters = max(int((room - 2 * MARGIN) / letter), 20)
        lines += textwrap.wrap(text, letters, subsequent_indent="    ")
    return lines


def _rectangle(
    parent: Element, x: float, y: float, width: float, height: float, fill: str, stroke: str = ""
) -> None:
    places = {"x": x, "y": y, "width": width, "height": height}
    attributes = {name: f"{value:.1f}" for name, value in places.items()}
    attributes |= {"fill": fill} | ({"stroke": stroke} if stroke else {})
    ElementTree.SubElement(parent, "rect", attributes)


def _text(
    parent: Element, text: str, x: float, y: float, size: float, ink: str, bold: bool = False
) -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{size}", "fill": ink}
    attributes |= {"font-weight": "bold"} if bold else {}
    ElementTree.SubElement(parent, "text", attributes).text = text

"""The colours of a drawing: light, dark, and for print.

Borders and lines use the palette of Okabe and Ito (2008), which is distinguishable with any kind of
colour vision; fills only decorate. Texts have a contrast of 4.5:1 to their fill, borders of 3:1 to
the paper (WCAG 2.2, 1.4.3 and 1.4.11). No information is given by colour alone: a shape, a width, a
dash or a sign repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

BLUE, GREEN, VERMILION, PURPLE = "#0072B2", "#009E73", "#D55E00", "#CC79A7"  # Okabe–Ito
GREY = "#6A6A6A"


class Look(NamedTuple):
    """The colours and the border of one kind of box."""

    ground: str
    text: str
    border: str
    width: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class Theme:
    """All colours of a drawing."""

    name: str
    paper: str
    ink: str  # of texts; `quiet` is for secondary ones
    quiet: str
    line: str  # of edges
    flow: str  # of contributions to gradients
    zero: str  # fill of a gradient that is zero
    looks: Mapping[str, Look]  # by kind of node; "group" is several nodes drawn as one
    cluster: Look  # frame of a module
    alarm: Look  # the first NaN or infinity
    orders: tuple[str, str, str]  # borders by order of differentiation
    heat: tuple[str, ...]  # fills from small to large
    states: Mapping[str, str]  # fills of `steps`: partial sum, complete sum, operation at work
    phases: Mapping[str, str]  # strokes of the phases of `steps`, dark enough for text in the
    # paper's colour on them; the track of the slider; fills before the gradient, after the update


_COLOURS = {  # light, dark, print
    "paper": ("#FFFFFF", "#17191C", "#FFFFFF"),
    "ink": ("#000000", "#F2F2F2", "#000000"),
    "quiet": ("#595959", "#B4B4B4", "#404040"),
    "line": ("#595959", "#A0A4AA", "#404040"),
    "flow": ("#A34700", "#FF9E57", "#000000"),
    "zero": ("#FAF3B0", "#4A4310", "#FFFFFF"),
    # fills of nodes
    "parameter": ("#D6EAF8", "#0F3650", "#FFFFFF"),
    "result": ("#F1F1F1", "#2A2D32", "#FFFFFF"),
    "root": ("#CFEDE2", "#0C4434", "#FFFFFF"),
    "constant": ("#FAFAFA", "#1E2124", "#FFFFFF"),
    "operation": ("#F8E6EF", "#47293A", "#FFFFFF"),
    "alarm": ("#FFE0CC", "#5A2600", "#FFFFFF"),
    # fill, title and border of a module's frame
    "cluster": ("#F8F9FB", "#1E2227", "#FFFFFF"),
    "cluster title": ("#3D4957", "#C3CBD5", "#000000"),
    "cluster border": ("#8A98A8", "#5E6874", "#8C8C8C"),
    # fills by the size of the gradient
    "heat 1": ("#FFF9EC", "#241D17", "#FFFFFF"),
    "heat 2": ("#FDE8C4", "#3D2A1A", "#ECECEC"),
    "heat 3": ("#F9CF94", "#5A371B", "#D9D9D9"),
    "heat 4": ("#F2AF6A", "#78451B", "#C4C4C4"),
    "heat 5": ("#E88D4B", "#94541D", "#ADADAD"),
    # states and phases of `steps`
    "partial": ("#FBF0A0", "#5C4F00", "#F4F4F4"),
    "final": ("#D6EAF8", "#0F3F60", "#E2E2E2"),
    "work": ("#F3B54A", "#8A5A00", "#BDBDBD"),
    "forward": ("#0072B2", "#56B4E9", "#6B6B6B"),
    "backward": ("#C04C00", "#F08A4B", "#000000"),
    "update": ("#00765A", "#2FC79B", "#474747"),
    "track": ("#E3E3E3", "#33373D", "#D9D9D9"),
    "untouched": ("#FFFFFF", "#23262B", "#FFFFFF"),
    "updated": ("#BFE8D8", "#0A5540", "#CFCFCF"),
}


def _theme(name: str, c: Mapping[str, str]) -> Theme:
    """Return the theme with the colours `c`."""
    ink = c["ink"]
    looks = {
        "parameter": Look(c["parameter"], ink, BLUE, 2),
        "result": Look(c["result"], ink, ink),
        "root": Look(c["root"], ink, GREEN, 3),
        "constant": Look(c["constant"], c["quiet"], GREY, 1, dashed=True),
        "operation": Look(c["operation"], ink, PURPLE, 2),
        "group": Look(c["result"], ink, ink, 2),
    }
    return Theme(
        name,
        paper=c["paper"],
        ink=ink,
        quiet=c["quiet"],
        line=c["line"],
        flow=c["flow"],
        zero=c["zero"],
        looks=looks,
        cluster=Look(c["cluster"], c["cluster title"], c["cluster border"]),
        alarm=Look(c["alarm"], ink, VERMILION, 4),
        orders=(ink, BLUE, VERMILION),
        heat=tuple(c[f"heat {level}"] for level in range(1, 6)),
        states={name: c[name] for name in ("partial", "final", "work")},
        phases={
            name: c[name]
            for name in ("forward", "backward", "update", "track", "untouched", "updated")
        },
    )


THEMES = {
    name: _theme(name, {part: colours[column] for part, colours in _COLOURS.items()})
    for column, name in enumerate(("light", "dark", "print"))
}


def variables(name: str) -> str:
    """Return the colours of a theme as variables of a style sheet."""
    column = list(THEMES).index(name)
    return ";".join(f"{_variable(part)}:{colours[column]}" for part, colours in _COLOURS.items())


def _variable(part: str) -> str:
    return f"--{part.replace(' ', '-')}"


# Colours that the style sheet of a page defines, by `variables`.
PAGE = _theme("page", {part: f"var({_variable(part)})" for part in _COLOURS})


def theme(name: str) -> Theme:
    """Return the theme with a name; ValueError if it is unknown."""
    if name not in THEMES:
        raise ValueError(f'draw: theme is "{name}"; use "light", "dark" or "print"')
    return THEMES[name]

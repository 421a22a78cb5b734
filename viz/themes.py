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
    states: Mapping[str, str]  # fills of `steps`: partial sum, complete sum, current node
    heat: tuple[str, ...]  # fills from small to large


def _looks(
    ink: str, quiet: str, parameter: str, result: str, root: str, constant: str, operation: str
) -> dict[str, Look]:
    """Return the looks of all kinds of nodes with the given fills."""
    return {
        "parameter": Look(parameter, ink, BLUE, 2),
        "result": Look(result, ink, ink),
        "root": Look(root, ink, GREEN, 3),
        "constant": Look(constant, quiet, GREY, 1, dashed=True),
        "operation": Look(operation, ink, PURPLE, 2),
        "group": Look(result, ink, ink, 2),
    }


THEMES = {
    theme.name: theme
    for theme in (
        Theme(
            name="light",
            paper="#FFFFFF",
            ink="#000000",
            quiet="#595959",
            line="#595959",
            flow="#A34700",
            zero="#FAF3B0",
            looks=_looks(
                "#000000", "#595959", "#D6EAF8", "#F1F1F1", "#CFEDE2", "#FAFAFA", "#F8E6EF"
            ),
            cluster=Look("#F8F9FB", "#3D4957", "#8A98A8"),
            alarm=Look("#FFE0CC", "#000000", VERMILION, 4),
            orders=("#000000", BLUE, VERMILION),
            states={"partial": "#FBF0A0", "done": "#D6EAF8", "current": "#F3B54A"},
            heat=("#FFF9EC", "#FDE8C4", "#F9CF94", "#F2AF6A", "#E88D4B"),
        ),
        Theme(
            name="dark",
            paper="#17191C",
            ink="#F2F2F2",
            quiet="#B4B4B4",
            line="#A0A4AA",
            flow="#FF9E57",
            zero="#4A4310",
            looks=_looks(
                "#F2F2F2", "#B4B4B4", "#0F3650", "#2A2D32", "#0C4434", "#1E2124", "#47293A"
            ),
            cluster=Look("#1E2227", "#C3CBD5", "#5E6874"),
            alarm=Look("#5A2600", "#F2F2F2", VERMILION, 4),
            orders=("#F2F2F2", BLUE, VERMILION),
            states={"partial": "#5C4F00", "done": "#0F3F60", "current": "#8A5A00"},
            heat=("#241D17", "#3D2A1A", "#5A371B", "#78451B", "#94541D"),
        ),
        Theme(
            name="print",
            paper="#FFFFFF",
            ink="#000000",
            quiet="#404040",
            line="#404040",
            flow="#000000",
            zero="#FFFFFF",
            looks=_looks(
                "#000000", "#404040", "#FFFFFF", "#FFFFFF", "#FFFFFF", "#FFFFFF", "#FFFFFF"
            ),
            cluster=Look("#FFFFFF", "#000000", "#8C8C8C"),
            alarm=Look("#FFFFFF", "#000000", VERMILION, 4),
            orders=("#000000", BLUE, VERMILION),
            states={"partial": "#F4F4F4", "done": "#E2E2E2", "current": "#BDBDBD"},
            heat=("#FFFFFF", "#ECECEC", "#D9D9D9", "#C4C4C4", "#ADADAD"),
        ),
    )
}


def theme(name: str) -> Theme:
    """Return the theme with a name; ValueError if it is unknown."""
    if name not in THEMES:
        raise ValueError(f'draw: theme is "{name}"; use "light", "dark" or "print"')
    return THEMES[name]

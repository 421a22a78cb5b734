"""How the states of a film look: colours by name, and the style sheet of the drawing.

A state never speaks by colour alone: a partial sum has a dotted rim and a count such as 1/2, what
is at work a thick rim, what has no gradient yet a dot in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..themes import Theme

PHASES = {"forward": "Forward", "backward": "Backward", "update": "Update"}

# What a theme has no word for: strokes of the three phases (Okabe and Ito's blue, vermilion and
# green, dark enough to carry the paper's colour as text), and three grounds.
PHASE_COLOURS = {
    "light": {"forward": "#0072B2", "backward": "#C04C00", "update": "#00765A"},
    "dark": {"forward": "#56B4E9", "backward": "#F08A4B", "update": "#2FC79B"},
    "print": {"forward": "#6B6B6B", "backward": "#000000", "update": "#474747"},
}
GROUNDS = {
    "light": {"track": "#E3E3E3", "untouched": "#FFFFFF", "updated": "#BFE8D8"},
    "dark": {"track": "#33373D", "untouched": "#23262B", "updated": "#0A5540"},
    "print": {"track": "#D9D9D9", "untouched": "#FFFFFF", "updated": "#CFCFCF"},
}

CSS = """
.variable .ground{fill:$untouched}
.variable.constant .ground{fill:$paper}
.variable text{fill:$ink}
.variable.unknown{opacity:.45}
.variable.unknown g,.variable.unknown image{visibility:hidden}
.variable.partial .ground{fill:$partial}
.variable.partial .rim{stroke-dasharray:2,2;stroke-width:2.5}
.variable.final .ground{fill:$final}
.variable.updated .ground{fill:$updated}
.variable.fresh .rim,.variable.source .rim,.variable.current .rim{stroke-width:3.5;stroke:$ink}
.operation .ground{fill:$untouched;stroke:$line}
.operation text{fill:$ink}
.operation.current .ground{fill:$work;stroke:$ink;stroke-width:2.5}
.edge .wire{stroke:$line}
.edge .tip{fill:$line;stroke:$line}
.edge text{fill:$ink;stroke:$paper;stroke-width:2;stroke-linejoin:round;paint-order:stroke}
.edge text.flow{fill:$flow}
.edge .back{fill:none;stroke:none}
.edge.moving .wire{stroke-width:3}
.edge.moving.forward .wire{stroke:$forward}
.edge.moving.forward .tip{fill:$forward;stroke:$forward}
.edge.moving.backward .wire{stroke:$backward;marker-end:none}
.edge.moving.backward .tip{fill:none;stroke:none}
.edge.moving.backward .back{fill:$backward}
.badge rect{fill:$paper;stroke:$line}
.badge text{fill:$ink;font-weight:bold}
.variable .badge{opacity:0}
.variable.untouched .badge,.variable.partial .badge,.variable.final .badge{opacity:1}
"""


def palette(theme: Theme) -> dict[str, str]:
    """The colours that the looks speak of, by name."""
    states = theme.states
    plain = {"ink": theme.ink, "quiet": theme.quiet, "paper": theme.paper, "line": theme.line}
    grounds = {"partial": states["partial"], "final": states["done"], "work": states["current"]}
    own = PHASE_COLOURS[theme.name] | GROUNDS[theme.name]
    return plain | grounds | own | {"flow": theme.flow}


def sheet(colours: Mapping[str, str]) -> str:
    """The style sheet in the given colours, for the page and the stills."""
    return re.sub(r"\$(\w+)", lambda match: colours[match[1]], CSS)

"""Colours by name, and the style sheet of the drawing, for the states of a step.

No state is shown by colour alone: a partial sum has a dotted border and a count such as 1/2, the
current node a thick border, a missing gradient a dot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..themes import Theme

PHASES = {"forward": "Forward", "backward": "Backward", "update": "Update"}

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
    """Return the colours of the style sheet by name."""
    plain = {"ink": theme.ink, "quiet": theme.quiet, "paper": theme.paper, "line": theme.line}
    return plain | dict(theme.states) | dict(theme.phases) | {"flow": theme.flow}


def sheet(colours: Mapping[str, str]) -> str:
    """Return the style sheet in the given colours, for page and stills."""
    return re.sub(r"\$(\w+)", lambda match: colours[match[1]], CSS)

"""The film of the neuron: its graph on a fixed grid, and what each step shows of it."""

from __future__ import annotations

from html import escape
from typing import Any

from ...models import neuron
from ...viz import steps, style
from ...viz.film.captions import HIDE, SHOW
from ...viz.film.recorder import Frame
from ...viz.film.states import PHASES
from ...viz.graph.view import Variable, View

# Column and row of each variable; an operation is drawn at its result.
PLACES = {
    **{"x1": (0, 0), "w1": (0, 1), "x2": (0, 2), "w2": (0, 3)},
    **{"m1": (1, 0.5), "m2": (1, 2.5), "m": (2, 1.5), "b": (2, 3)},
    **{"z": (3, 1.5), "p": (4, 1.5), "y": (4, 3), "d": (5, 1.5), "L": (6, 1.5)},
}
LEARNING_RATE = 0.5


def film() -> dict[str, Any]:
    """Return nodes, edges and steps as plain data for the script of the page."""
    loss, leaves = neuron.example(neuron.Config())
    played = steps(loss, names=leaves, lr=LEARNING_RATE)
    view = played.view
    drawn = {variable.id: variable for variable in view.variables}
    result = {edge.tail: edge.head for edge in view.edges if edge.tail not in drawn}
    return {
        "phases": PHASES,
        "nodes": [_node(variable, view) for variable in drawn.values()],
        "edges": [
            {
                "id": edge.id,
                "tail": edge.tail,
                "head": result[edge.head],
                "local": ""
                if edge.contribution is None
                else f"×{_number(edge.contribution / edge.upstream, 2)}",
                "flow": "" if edge.contribution is None else _number(edge.contribution),
            }
            for edge in view.edges
            if edge.tail in drawn
        ],
        "steps": [_step(frame, drawn, result) for frame in played.frames],
    }


def captions(data: dict[str, Any]) -> str:
    """Return the captions of all steps as HTML, one block each."""
    blocks = []
    last = len(data["steps"]) - 1
    for number, step in enumerate(data["steps"]):
        lines = "".join(f"<p>{_emphasized(line)}</p>" for line in step.pop("caption"))
        title = f"{PHASES[step['phase']]} · step {number} of {last}"
        now = " now" * (number == 0)
        blocks.append(f'<div class="step {step["phase"]}{now}"><h3>{title}</h3>{lines}</div>')
    return "\n".join(blocks)


def _node(variable: Variable, view: View) -> dict[str, Any]:
    column, row = PLACES[variable.name]
    makers = [edge.tail for edge in view.edges if edge.head == variable.id]
    symbols = [operation.op.symbol for operation in view.operations if operation.id in makers]
    return {
        "id": variable.id,
        "name": variable.name,
        "role": "root" if variable.is_root else variable.role,
        "symbol": "".join(symbols),
        "column": column,
        "row": row,
    }


def _step(frame: Frame, drawn: dict[str, Variable], result: dict[str, str]) -> dict[str, Any]:
    new = {name: _number(value) for name, value in frame.updated.items()}
    known = {name: _number(drawn[name].value) for name in frame.known}
    return {
        "phase": frame.phase,
        "caption": frame.caption,
        "at": result.get(frame.at, frame.at),
        "moving": frame.moving,
        "sent": sorted(frame.sent),
        "values": known | new,
        "gradients": {name: _number(total) for name, total in frame.sums.items()},
        "updated": sorted(new),
    }


def _number(value: Any, decimals: int = 4) -> str:
    """Format a number with fixed decimals, without a plus sign."""
    return style.number(float(value), decimals).lstrip("+")


def _emphasized(line: str) -> str:
    return escape(line).replace(HIDE, "<b>").replace(SHOW, "</b>")

"""Backpropagation step by step: `viz.steps(loss)`.

`recorder` makes the states, `captions` and `updates` their texts, `frames` the changes of one
drawing, `stills` its pictures.
"""

from __future__ import annotations

import linecache
import sys
import xml.etree.ElementTree as ElementTree
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_gm.engine.memory import array_of
from tinygrad_gm.engine.record import Traced
from tinygrad_gm.engine.replay import replay
from tinygrad_gm.io import write_file

from ..graph.names import Names, named
from ..graph.view import View, look
from ..render.html import ICON, filled, script_text
from ..render.picture import Picture
from .frames import Scene, Stage
from .recorder import Frame, record
from .states import PHASES, palette, sheet
from .stills import gif, still
from .updates import updates_of

if TYPE_CHECKING:
    from tinygrad_gm.optim import Optimizer

MOST_NODES = 300  # largest number of drawn nodes
TEMPLATE = Path(__file__).with_name("steps.html")
LONGEST_NAME = 60  # characters of a name in the page's title


def steps(
    loss: Any,
    optimizer: Optimizer | None = None,
    lr: float = 0.1,
    names: Names = None,
    direction: str = "LR",
    theme: str = "light",
) -> Steps:
    """Show forward pass, backward pass and update of a loss, one operation at a time.

    All frames are one drawing, laid out once with the final numbers: only colours and numbers
    change. Weights, gradients and the state of the optimizer are copied, never modified.

    Args:
        loss: a Tensor with one element that requires a gradient.
        optimizer: the optimizer of the update, shown with its formula and its state so far; None:
            plain gradient descent, w ← w − lr · ∂L/∂w.
        lr: learning rate of plain gradient descent; ignored with an optimizer.
        names: names of tensors, as in `draw`: {"weight": w}, `model.named_parameters()` or
            `locals()`; without a name that of the caller's variable, unless False.
        direction: "LR" (left to right) or "TB" (top to bottom).
        theme: the colours, as in `draw`.

    Returns:
        Steps: `.save(path)` writes a page, an animation or pictures; a notebook shows it.

    Raises:
        TypeError: the loss is not a Tensor.
        ValueError: the loss has several elements, or no recorded operation, or over 300 nodes.
        RuntimeError: weights were modified after the loss was computed.

    >>> w, x = tg.tensor(-0.4, requires_grad=True, name="w"), tg.tensor(2.0, name="x")
    >>> film = viz.steps(tg.tanh(w * x), lr=0.5)
    >>> [frame.phase[0] for frame in film.frames]
    ['f', 'f', 'f', 'b', 'b', 'b', 'u', 'u']
    """
    if not isinstance(loss, Traced):
        raise TypeError(f"steps: loss must be a Tensor, not {loss!r:.60}")
    if loss._data.size != 1:
        raise ValueError(
            f"steps: the loss has shape {loss.shape}; make it one number with .sum() or .mean()"
        )
    if loss.node is None:
        raise ValueError(
            "steps: no operation is recorded: no input of the loss requires a gradient, or it was "
            "computed under no_grad()"
        )
    if direction not in ("LR", "TB"):
        raise ValueError(f'steps: direction is {direction!r}; use "LR" or "TB"')
    given, found = named(names, sys._getframe(1).f_locals)
    with np.errstate(all="ignore"):
        view = look([loss], given, found=found)
        if len(view.nodes) > MOST_NODES:
            raise ValueError(
                f"steps: {len(view.nodes)} nodes are too many (at most {MOST_NODES}); use a "
                "smaller model, or viz.draw"
            )
        refusals = [remark for remark in view.remarks if "shown" in remark]
        if refusals:
            raise RuntimeError(f"steps: {refusals[0]}")
        leaves = {i: t for t, i in view.ids.items() if isinstance(t, Traced) and t._requires_grad}
        gradients = {v.id: v.gradient for v in view.variables if v.gradient is not None}
        moved = updates_of(optimizer, lr, view, leaves, gradients)
        after = {leaves[i]: update.after for i, update in moved.items()}
        replayed = replay(loss, lambda x: after[x] if x in after else array_of(x))
        new_loss = replayed[loss.node].value
        return Steps(view, record(view, moved, new_loss), direction, theme)


class Steps:
    """The frames, `.frames`, of a graph, `.view`, and their exports; `len()` counts the frames."""

    def __init__(self, view: View, frames: list[Frame], direction: str, theme: str) -> None:
        self.view, self.frames = view, frames
        self._stage = Stage(view, frames, direction, theme)

    def save(self, path: str | Path, scale: float | None = None) -> Path:
        """Write a page, an animation, or one picture per step.

        Args:
            path: ends in .html (a page), .gif (an animation), .png or .svg: film.png makes
                film-000.png, film-001.png …; without a suffix it is a folder, for step-000.svg,
                step-001.svg …
            scale: of the .png, pixels per pixel of the picture, as in `Drawing.save`.

        Returns:
            Path: the file or the folder; of several pictures the first.

        Raises:
            ValueError: another suffix.
            RuntimeError: resvg, which a .gif and a .png need, is not installed.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if scale is not None and kind != ".png":
            raise ValueError(f"save: scale= is for .png files, not {path}")
        if kind == ".html":
            return self.html(path)
        if kind == ".gif":
            return self.gif(path)
        if kind in (".svg", ".png"):
            return self._pictures(path, scale)[0]
        if kind:
            raise ValueError(
                f"save: {path} should end in .html, .gif, .png or .svg, or name a folder"
            )
        self.svgs(path)
        return path

    def html(self, path: str | Path) -> Path:
        """Write one self-contained page: a slider, play, arrow keys, `#k` for step k.

        "Predict, then reveal" hides the new numbers of each step until a click.
        """
        path = Path(path)
        write_file(path, _page(self._stage))
        return path

    def gif(self, path: str | Path, seconds: float = 1.5) -> Path:
        """Write an animation that shows each frame for `seconds`, the last one three times as long.

        Raises:
            RuntimeError: resvg is not installed.
        """
        path = Path(path)
        write_file(path, gif(self._stage, seconds))
        return path

    def svgs(self, folder: str | Path) -> list[Path]:
        """Write each frame as step-000.svg, step-001.svg …; return the paths."""
        return self._pictures(Path(folder) / "step.svg")

    def _pictures(self, path: Path, scale: float | None = None) -> list[Path]:
        """Write each frame to a file with its number at the end of the name; return the paths."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return [
            Picture(self.svg(k)).save(path.with_stem(f"{path.stem}-{k:03}"), scale)
            for k in range(len(self))
        ]

    def svg(self, k: int) -> str:
        """Return frame k with its caption as SVG text; negative k counts from the end."""
        return still(self._stage, range(len(self))[k])

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"<Steps: {len(self)} frames>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": _embedded(self._stage), "text/plain": repr(self)}


# ---------------------------------------------------------------------------------- the page
#
# The drawing once, and for every step its differences. The template `steps.html` has the texts,
# styles and script; the page loads no other file.


def _page(stage: Stage) -> str:
    """Return the whole page as HTML."""
    name = stage.top if len(stage.top) <= LONGEST_NAME else stage.top[:LONGEST_NAME] + "…"
    colours = palette(stage.theme)
    parts = {
        "title": f"Backpropagation of {escape(name)}, step by step",
        "variables": ";".join(f"--{name}:{colour}" for name, colour in colours.items()),
        "looks": sheet(colours),
        "icon": ICON,
        "svg": _svg(stage),
        "film": script_text(_film(stage)),
    }
    return filled(TEMPLATE, parts)


def _embedded(stage: Stage) -> str:
    """Return the page as an iframe for another page, such as a notebook."""
    *_, width, height = map(float, stage.root.get("viewBox", "0 0 1 1").split())
    high = round(min(max(height * min(4 / 3, 900 / width) + 380, 560), 900))
    return (
        f'<iframe srcdoc="{escape(_page(stage))}" style="width:100%;height:{high}px;border:0" '
        'title="Backpropagation, step by step"></iframe>'
    )


def _svg(stage: Stage) -> str:
    """Return the drawing before the first step, without numbers."""
    root = stage.paint(Scene(dict.fromkeys(stage.groups, ""), dict.fromkeys(stage.texts, "")))
    width, height = root.get("viewBox", "0 0 1 1").split()[2:]
    attributes = {"viewBox": root.get("viewBox", ""), "data-width": width, "data-height": height}
    svg = ElementTree.Element("svg", {**attributes, "id": "drawing", "role": "img"})
    svg.set("aria-label", "the graph of the computation")
    svg.extend(root)
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False)


def _film(stage: Stage) -> dict[str, Any]:
    """Return the data of the script: for each step its caption and the changes to the drawing."""
    steps, before = [], Scene({}, {})
    for frame, scene in zip(stage.frames, stage.scenes(), strict=True):
        steps.append(
            {
                "phase": frame.phase,
                "caption": frame.caption,
                "classes": _changes(before.classes, scene.classes),
                "texts": _changes(before.texts, scene.texts),
                "at": frame.at,
                "where": frame.where,
            }
        )
        before = scene
    return {"phases": PHASES, "steps": steps, "code": _code(stage)}


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    return {name: now for name, now in after.items() if now != before.get(name, "")}


def _code(stage: Stage) -> list[tuple[str, str]]:
    """Return the source lines of the steps, sorted by file and line."""
    places = sorted({_place(frame.where) for frame in stage.frames if frame.where})
    lines = ((f"{file}:{line}", linecache.getline(file, line).rstrip()) for file, line in places)
    return [(where, text) for where, text in lines if text]


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return file, int(line)

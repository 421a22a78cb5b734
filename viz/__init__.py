"""The graph of a computation as a picture: `viz.draw(loss)`.

The record that `backward` walks is drawn as it is: `view` reads it and asks the engine for numbers,
annotations mark what they find out, `collapse` closes what is too much to see, `figure` decides
what is written where, `dot` writes that down for Graphviz, and `layered` and `svg` draw it where
Graphviz is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from tinygrad_gm.engine.record import Traced, topological_order
from tinygrad_gm.nn import Module
from tinygrad_gm.pictures import grid

from .annotate import check as differences
from .annotate import cost as costs
from .annotate import diagnosis, jacobians, orders, paths
from .architecture import Architecture, architecture
from .curves import curves
from .film.steps import Steps, steps
from .fold.collapse import visible
from .graph import detached, example
from .graph import textbook as twins
from .graph.view import look
from .receptive_field import ReceptiveField, receptive_field
from .render.drawing import Drawing, load
from .render.engine import MissingEngine
from .render.engine import check as check_engine
from .themes import theme as theme_of
from .tree import tree

__all__ = [
    "Architecture",
    "Drawing",
    "MissingEngine",
    "ReceptiveField",
    "Steps",
    "architecture",
    "curves",
    "draw",
    "grid",
    "load",
    "receptive_field",
    "steps",
    "tree",
]

DIRECTIONS = ("LR", "TB")


def draw(
    t: Any,
    *inputs: Any,
    names: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    direction: str = "LR",
    depth: int | None = None,
    collapse: Callable[[str], bool] | Iterable[str] | None = None,
    focus: str | None = None,
    force: bool = False,
    textbook: bool = False,
    jacobian: bool = False,
    heat: bool = False,
    cost: bool = False,
    path_to: Any = None,
    check: bool = False,
    theme: str = "light",
    engine: str | None = None,
) -> Drawing:
    """Draw the graph that computed `t`: a card per variable, a disc per operation.

    A card shows name, shape and dtype, the value (of large tensors mean ± standard deviation) and
    the gradient of `t` with respect to it. An edge shows the local derivative, and what flows back
    along it. Values and gradients are computed for the drawing, whether or not
    `backward` has run, and no `.grad` changes. A parameter's card has an extra row `.grad`
    while that differs from the gradient: `·` until `backward` has stored one, or more than one pass
    added up. Operations of a module stand in a frame. Where a leaf was written since, there are
    shapes and no numbers: draw before the step. The first operation with a NaN or an infinity is
    marked, and units of ReLU that are zero for the whole batch are counted.

    Args:
        t: a Tensor, or a list of them; of several, and of one with several elements, the gradients
            are those of the sum of all elements. Or a Module: what it makes of the inputs is drawn,
            and its buffers and the random numbers are left as they were.
        *inputs: the example inputs of a Module: tensors, arrays, or whatever its `forward` takes.
        names: names for tensors that have none of their own, as {"weight": w}, or
            `model.named_parameters()`, or `locals()`: what is not a Tensor is left out. They win
            over `t.name`.
        direction: "LR" (left to right) or "TB" (top to bottom).
        depth: close the modules that are so deep: 1 are those of the model itself. Without
            `depth`, `collapse` and `focus` a graph of more than 200 nodes is closed by itself until
            at most 60 are left.
        collapse: close the modules with these paths, or those for whose path this is true.
        focus: the path of the one module that is drawn open, as "blocks.1".
        force: draw everything, however many nodes there are.
        textbook: draw the decompositions of fused operations instead.
        jacobian: print local Jacobians of up to 64 entries.
        heat: colour cards by the root mean square of their gradient, on a logarithmic scale.
        cost: print time, floating-point operations and bytes saved for backward on every operation.
        path_to: a tensor; highlight the paths to it, with the products of the local derivatives
            along them, and dim the rest.
        check: compare the gradients of leaves with central differences.
        theme: "light", "dark" or "print".
        engine: "dot", "pygraphviz" or "builtin"; by default the first that is installed.

    Raises:
        TypeError: `t` is not a Tensor, a list of Tensors or a Module.
        ValueError: another direction, theme or engine, no such module, or nothing to draw.
        RuntimeError: the engine that was asked for is not installed; the message says how to.

    >>> x = tg.tensor(3.0, requires_grad=True, name="x")
    >>> picture = draw(x * x)
    >>> picture.source.count("->")  # x into both arguments of ×, and the result
    3
    """
    if direction not in DIRECTIONS:
        raise ValueError(f'draw: direction is {direction!r}; use "LR" or "TB"')
    theme_of(theme)
    check_engine(engine)
    named = {name: each for name, each in dict(names or {}).items() if isinstance(each, Traced)}
    is_model = isinstance(t, Module)
    given: list[Traced] = []
    keeping: Any = example.untouched(t) if is_model else nullcontext()
    with np.errstate(all="ignore"), keeping:
        if is_model:
            roots, known, given = example.outputs(t, inputs)
            named = known | named
        else:
            roots = _roots(t, inputs)
        if textbook:
            roots, named = twins.opened(roots, named)
        view = look(roots, named, given)
        jacobians.annotate(view, jacobian)
        orders.tell(view)
        diagnosis.nonfinite(view)
        diagnosis.dead_units(view)
        if heat:
            diagnosis.heat(view)
        if cost:
            costs.measure(view, topological_order(*roots))
        if check:
            differences.differences(view, roots)
        if path_to is not None:
            paths.highlight(view, paths.find(view, path_to))
        detached.show(view)
        drawn = visible(view, depth, collapse, focus, force)
    return Drawing(drawn, direction, theme, engine, force)


def _roots(t: Any, inputs: tuple[Any, ...]) -> list[Traced]:
    """The tensors to be drawn."""
    roots = [t] if isinstance(t, Traced) else list(t) if isinstance(t, (list, tuple)) else []
    if not roots or not all(isinstance(root, Traced) for root in roots):
        raise TypeError(
            f"draw: a Tensor, a list of Tensors or a Module with inputs is wanted, not {t!r:.60}"
        )
    if inputs:
        raise TypeError("draw: inputs are for a Module, and what is to be drawn is a Tensor")
    return roots

"""The graph of a computation as a picture: `viz.draw(loss)`.

`graph.view` reads the record that `backward` walks, `annotate` adds marks to it, and
`fold.collapse` closes modules of large graphs. `compose.figure` makes boxes and texts of the view;
`render.dot` writes them for Graphviz, `render.layered` and `render.svg` draw them without it, and
`interactive` makes a page of them on which modules open and close.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_gm import pictures
from tinygrad_gm.engine.record import Traced, topological_order
from tinygrad_gm.nn import Module
from tinygrad_gm.pictures import grid
from tinygrad_gm.training import Run, metrics

from .annotate import attention, diagnosis, jacobians, orders, paths
from .annotate import check as differences
from .annotate import cost as costs
from .architecture import Architecture, architecture
from .compose.levels import check_detail
from .film.steps import Steps, steps
from .fold.collapse import visible
from .graph import example
from .graph import textbook as twins
from .graph.names import Names, named
from .graph.view import look, show_detached
from .receptive_field import ReceptiveField, receptive_field
from .render.drawing import Drawing, load
from .render.engine import MissingEngine
from .render.engine import check as check_engine
from .render.fit import check_fit
from .themes import theme as theme_of
from .tree import tree

if TYPE_CHECKING:
    from PIL.Image import Image

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

Series = Mapping[str, Sequence[float] | tuple[Sequence[float], Sequence[float]]]


def draw(
    t: Any,
    *inputs: Any,
    names: Names = None,
    fit: tuple[float, float] | None = (1600, 900),
    detail: str | None = None,
    direction: str | None = None,
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
    the gradient of `t` with respect to it. An edge shows the local derivative and the contribution
    to the gradient. Values and gradients are computed for the drawing, whether or not `backward`
    has run, and no `.grad` changes. A parameter's card has an extra row `.grad` if that differs
    from the gradient: `·` before `backward`, or the sum of several passes. Operations of a module
    are in a frame. If a leaf was modified since the forward pass, there are shapes and no numbers:
    draw before the step. The first operation with a NaN or an infinity is marked, and units of ReLU
    that are zero for the whole batch are counted.

    Args:
        t: a Tensor or a list of Tensors; the gradients are those of the sum of all their elements.
            Or a Module: its outputs for the inputs are drawn; its buffers and the random generator
            are restored.
        *inputs: example inputs of a Module: tensors, arrays, or other arguments of its `forward`.
        names: names of tensors: {"weight": w}, `model.named_parameters()` or `locals()`; values
            other than tensors are ignored. They override `t.name`. Tensors and models without a
            name have that of the caller's variable; False: not that either.
        fit: a width and a height in pixels that the picture fits, with text of at least 11 pixels:
            detail and direction are chosen, and equal modules are drawn as one or modules are
            closed where needed. A line below the picture says what it leaves out. None: all of it.
        detail: "shapes": an operation with its result is one small box; "values": with value and
            gradient, of several elements the root mean square; "full": cards with histograms,
            local derivatives and contributions. None: the most that fits.
        direction: "LR" (left to right) or "TB" (top to bottom). None: the one that fits.
        depth: close the modules at this depth: 1 are the children of the model.
        collapse: paths of modules to close, or a function of a path that returns whether to.
        focus: the path of the only module to draw open, such as "blocks.1".
        force: draw everything, whatever the number of nodes, also what does not fit.
        textbook: draw the decompositions of fused operations instead.
        jacobian: print local Jacobians of up to 64 entries.
        heat: colour cards by the root mean square of their gradient, on a logarithmic scale.
        cost: print time, floating-point operations and bytes saved for backward on every operation.
        path_to: a tensor; highlight the paths from it to the root, print the products of the local
            derivatives along them, and dim all other nodes.
        check: compare the gradients of leaves with central differences.
        theme: "light", "dark" or "print".
        engine: "dot", "pygraphviz" or "builtin"; by default the first that is installed.

    Raises:
        TypeError: `t` is not a Tensor, a list of Tensors or a Module; `names` has no names.
        ValueError: the detail, direction, theme, engine or a module's path is unknown, or `fit` is
            no width and height.
        RuntimeError: the requested engine is not installed; the message says how to install it.

    >>> x = tg.tensor(3.0, requires_grad=True, name="x")
    >>> picture = draw(x * x, detail="full")
    >>> picture.source.count("->")  # x into both arguments of ×, and the result
    3
    """
    if direction not in (None, "LR", "TB"):
        raise ValueError(f'draw: direction is {direction!r}; use "LR" or "TB"')
    check_detail(detail)
    check_fit(fit)
    theme_of(theme)
    check_engine(engine)
    given, found = named(names, sys._getframe(1).f_locals)
    is_model = isinstance(t, Module)
    passed: list[Traced] = []
    keeping: Any = example.untouched(t) if is_model else nullcontext()
    with np.errstate(all="ignore"), keeping:
        if is_model:
            roots, known, passed = example.outputs(t, inputs)
            for name, tensor in known.items():
                found.add(name, tensor)
        else:
            roots = _roots(t, inputs)
        if textbook:
            roots, given, found = twins.opened(roots, given, found)
        view = look(roots, given, passed, found)
        view.put_off.append(partial(jacobians.annotate, view, jacobian))
        orders.tell(view)
        attention.tell(view)
        diagnosis.nonfinite(view)
        diagnosis.dead_units(view)
        if heat:
            diagnosis.heat(view)
        if cost:
            costs.measure(view, topological_order(*roots))
        if check:
            differences.differences(view, roots)
        if path_to is not None:
            view.complete()
            paths.highlight(view, paths.find(view, path_to))
        show_detached(view)
        drawn = visible(view, depth, collapse, focus)
        fit = None if force else fit
        free = depth is None and collapse is None and focus is None
        return Drawing(
            drawn, direction, theme, engine, force, detail, fit, may_close=free, whole=view
        )


def curves(run: Run | str | os.PathLike[str] | Series, **options: Any) -> Image:
    """Plot the curves of a training run: a Run, its folder, or series of numbers by name.

    Args:
        run: of a Run or its folder all metrics are plotted over the steps, each in its own axes
            (`test_loss` with `loss`); series share one pair of axes.
        **options: options of `pictures.curves` for series: title, x_label, y_label, size, path.

    Raises:
        ValueError: the run has no metrics.
        FileNotFoundError: the folder holds no metrics.

    >>> curves({"loss": [3.0, 2.0, 1.5]}, size=(300, 200)).size
    (300, 200)
    """
    if isinstance(run, Mapping):
        return pictures.curves(run, **options)
    if options:
        raise TypeError(f"curves: {', '.join(options)} is for series of numbers, not for a run")
    folder = run.folder if isinstance(run, Run) else run
    sheet = metrics.curves(folder)
    if sheet is None:
        raise ValueError(f"curves: the run in {os.fspath(folder)} has no metrics yet")
    return sheet


def _roots(t: Any, inputs: tuple[Any, ...]) -> list[Traced]:
    """Return the tensors to draw."""
    roots = [t] if isinstance(t, Traced) else list(t) if isinstance(t, (list, tuple)) else []
    if not roots or not all(isinstance(root, Traced) for root in roots):
        raise TypeError(
            f"draw: expected a Tensor, a list of Tensors or a Module with inputs, got {t!r:.60}"
        )
    if inputs:
        raise TypeError(
            f"draw: expected no inputs with a Tensor, got {len(inputs)}; they are for a Module"
        )
    return roots

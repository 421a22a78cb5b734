"""A model as a table of layers, and as a row of blocks.

The model is run once on zeros. Hooks record the calls of modules and their outputs, the record has
the operations of each call, and `cost.flops` counts theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod, sqrt
from typing import Any, NamedTuple

import tinygrad_gm as tg
from tinygrad_gm.engine.modes import enable_grad
from tinygrad_gm.engine.record import Node, next_seq, topological_order
from tinygrad_gm.nn import Module
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.tensor import Tensor

from . import style
from .annotate.cost import flops
from .compose.shapes import label
from .graph.example import device_and_dtype, outputs, untouched
from .graph.view import Operation
from .render.picture import Picture, sheet
from .style import SMALL_SIZE, TEXT_SIZE, text_width
from .themes import Look, Theme
from .themes import theme as theme_of

HEADINGS = ("layer", "class", "output", "parameters", "FLOPs")


class Layer(NamedTuple):
    """A row of the table: one call of a module."""

    name: str  # its path in the model; "" for the model itself
    kind: str  # its class
    shape: tuple[int, ...] | None  # of its (first) output; None if that is no tensor
    parameters: int  # of its own, counted at the first call
    flops: int  # of its own operations; a multiply-add counts two


class Architecture(Picture):
    """The layers of a model in the order of their calls; its `repr` is the table.

    Attributes:
        layers: the rows of the table. A module with children has one if it has operations or
            parameters of its own.
        parameters: number of parameters of the whole model.
        flops: number of operations of one forward pass; a multiply-add counts two.
    """

    def __init__(
        self,
        name: str,
        layers: Sequence[Layer],
        input_shape: tuple[int, ...],
        theme: str = "light",
    ) -> None:
        self.name, self.layers, self.input_shape = name, tuple(layers), input_shape
        self.parameters = sum(layer.parameters for layer in layers)
        self.flops = sum(layer.flops for layer in layers)
        super().__init__(_drawn(self, theme_of(theme)))

    def markdown(self) -> str:
        """Return the table in Markdown."""
        header = f"| {' | '.join(HEADINGS)} |\n|---|---|---|--:|--:|"
        rows = (row if row[0] != "total" else [f"**{row[0]}**", *row[1:]] for row in _cells(self))
        return "\n".join([header, *(f"| {' | '.join(row)} |" for row in rows)])

    def __repr__(self) -> str:
        rows = [list(HEADINGS), *_cells(self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            columns = enumerate(zip(row, widths, strict=True))
            aligned = (t.ljust(width) if i < 3 else t.rjust(width) for i, (t, width) in columns)
            lines.append("  ".join(aligned).rstrip())
        rule = "─" * max(map(len, lines))
        lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
        return "\n".join([f"{self.name} on an input {self.input_shape}", "", *lines])


def architecture(
    model: Module, input_shape: Sequence[int], *, dtype: Any = None, theme: str = "light"
) -> Architecture:
    """Return the layers of a model with output shapes, parameters and FLOPs: a table and a picture.

    The model is run once on zeros, in evaluation mode; its mode, its buffers and the random
    generator are restored.

    Args:
        model: a model with one input tensor.
        input_shape: shape of the input, with the batch: (1, 3, 224, 224).
        dtype: dtype of the input, by default that of the parameters; for tokens, tg.int64.
        theme: "light", "dark" or "print".

    Raises:
        ValueError: the shape does not fit the model.

    >>> architecture(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (1, 3))
    Sequential on an input (1, 3)
    <BLANKLINE>
    layer  class   output  parameters  FLOPs
    ────────────────────────────────────────
    0      Linear  (1, 4)          16     28
    1      ReLU    (1, 4)           0      4
    ────────────────────────────────────────
    total                          16     32
    """
    with untouched(model), evaluating(model), enable_grad():
        calls, roots = _run(model, _zeros(model, tuple(input_shape), dtype))
    return Architecture(
        type(model).__name__, _layers(model, calls, roots), tuple(input_shape), theme
    )


# ------------------------------------------------------------------------------ running


class _Call(NamedTuple):
    """A call of a module, with the numbers of the record at its start and end."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    start: int
    end: int


def _zeros(model: Module, shape: tuple[int, ...], dtype: Any) -> Tensor:
    chosen = {} if dtype is None else {"dtype": dtype}
    x = tg.zeros(shape, **device_and_dtype(model) | chosen)
    if x.dtype.kind == "f":
        x.requires_grad = True  # so that every operation is recorded
    return x


def _run(model: Module, x: Tensor) -> tuple[list[_Call], list[Any]]:
    """Return all calls of modules, inner before outer, and the output tensors."""
    calls: list[_Call] = []
    starts: list[int] = []
    handles = []

    def begin(module: Module, args: Any) -> None:
        starts.append(next_seq())

    for name, module in model.named_modules():

        def end(module: Module, args: Any, output: Any, name: str = name) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            shape = first.shape if isinstance(first, Tensor) else None
            kind = type(module).__name__
            calls.append(_Call(name, kind, shape, starts.pop(), next_seq()))

        handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        roots, *_ = outputs(model, [x])
    finally:
        for handle in handles:
            handle.remove()
    return calls, roots


def _layers(model: Module, calls: Sequence[_Call], roots: Sequence[Any]) -> list[Layer]:
    """Return a row for each call, except calls that only call other modules."""
    work = dict.fromkeys(calls, 0)
    order = topological_order(*roots)
    results: dict[Node, list[tuple[int, ...]]] = {}
    for node in order:
        if node.plan.op.is_part:
            results.setdefault(node.parents[0], []).append(node.shape)
    for node in order:
        call = next((call for call in calls if call.start < node.seq < call.end), None)
        if call is not None and not node.plan.op.is_part:
            work[call] += _flops(node, results.get(node, [node.shape]))
    counts = _parameters(model, calls)
    layers = []
    for call in calls:
        inner = any(call.start < c.start and c.end < call.end for c in calls)
        parameters = counts.pop(call.name, 0)
        if not inner or work[call] or parameters:
            layers.append(Layer(call.name, call.kind, call.shape, parameters, work[call]))
    return layers


def _parameters(model: Module, calls: Sequence[_Call]) -> dict[str, int]:
    """Return by path the number of parameters of a called module and its uncalled children."""
    called = {call.name for call in calls}
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        path = name.rpartition(".")[0]
        while path not in called:
            path = path.rpartition(".")[0]
        counts[path] = counts.get(path, 0) + parameter.size
    return counts


def _flops(node: Node, results: Sequence[tuple[int, ...]]) -> int:
    op = node.plan.op
    params = dict(zip(op.names[op.arity :], node.params, strict=False))
    shapes = {
        argnum: tuple(getattr(parent, "shape", ()))
        for argnum, parent in enumerate(node.parents)
        if parent is not None
    }
    return flops(Operation("", op, params), shapes, results)


def _cells(table: Architecture) -> list[list[str]]:
    """Return the texts of the table, with the total in the last row."""
    rows = [
        [
            style.printable(layer.name) or "(the model)",
            style.printable(layer.kind),
            "" if layer.shape is None else str(layer.shape),
            f"{layer.parameters:,}",
            f"{layer.flops:,}",
        ]
        for layer in table.layers
    ]
    return [*rows, ["total", "", "", f"{table.parameters:,}", f"{table.flops:,}"]]


# ------------------------------------------------------------------------------ drawing

WIDTH, SIDE, SLANT = 900.0, 96.0, 0.3  # points: width of a row, largest block; depth
MARGIN, GAP, LEADING, NAME_LENGTH = 20.0, 26.0, 1.3, 22


class _Block(NamedTuple):
    """A block and the texts below it; lengths in points."""

    front: float  # for the channels
    height: float
    depth: float
    look: Look
    texts: tuple[str, ...]  # the shape, and the layers

    @property
    def breadth(self) -> float:
        """Return the width of the block, seen from the left."""
        return self.front + SLANT * self.depth

    @property
    def rise(self) -> float:
        """Return the height of the block, seen from above."""
        return self.height + SLANT * self.depth

    @property
    def width(self) -> float:
        """Return the width of the block or of its texts, whichever is larger."""
        bold = text_width(self.texts[0], TEXT_SIZE, bold=True)
        return max([self.breadth, bold, *(text_width(text, SMALL_SIZE) for text in self.texts[1:])])


def _drawn(table: Architecture, theme: Theme) -> str:
    """Return the SVG: blocks in rows, with arrows between them."""
    rows: list[list[_Block]] = [[]]
    used = 0.0
    for block in _blocks(table, theme):
        if used + block.width > WIDTH and rows[-1]:
            rows.append([])
            used = 0.0
        rows[-1].append(block)
        used += block.width + GAP
    total = f"{table.parameters:,} parameters · {table.flops:,} FLOPs for an input "
    title = f"{style.elided(style.printable(table.name), 40)} · {total}{table.input_shape}"
    room = max(
        text_width(title, style.NAME_SIZE, bold=True),
        *(sum(block.width + GAP for block in row) - GAP for row in rows),
    )
    parts = [label(title, MARGIN + room / 2, 14, style.NAME_SIZE, theme.ink, "middle", bold=True)]
    top = 14 + 2 * LEADING * style.NAME_SIZE
    for number, row in enumerate(rows):
        parts.append('<g class="row">')
        top = _draw_row(parts, row, top, number > 0, theme)
        parts.append("</g>")
    return sheet(parts, room + 2 * MARGIN, top + 4, theme, f"the layers of {title}")


def _draw_row(
    parts: list[str], row: Sequence[_Block], top: float, continued: bool, theme: Theme
) -> float:
    """Draw blocks side by side, aligned in the middle; return the lower end of their texts."""
    x, last = MARGIN, MARGIN - 20  # `last` is the right side of the block before
    high = max(block.rise for block in row)
    for number, block in enumerate(row):
        middle = x + block.width / 2
        left = middle - block.breadth / 2
        parts.append(_solid(block, left, top + (high + block.rise) / 2 - block.height, theme))
        if number or continued:
            start = last + 4
            parts.append(
                f'<path fill="none" stroke="{theme.line}" d="M{start:.1f},{top + high / 2:.1f}'
                f'H{max(left - 4, start + 12):.1f}m-5,-3 5,3-5,3"/>'
            )
        last = left + block.breadth
        y = top + high + 8
        for line, text in enumerate(block.texts):
            size = SMALL_SIZE if line else TEXT_SIZE
            ink = theme.quiet if line else theme.ink
            parts.append(label(text, middle, y, size, ink, "middle", bold=not line))
            y += LEADING * size
        x += block.width + GAP
    lines = max(len(block.texts) for block in row)
    return top + high + 8 + LEADING * (TEXT_SIZE + SMALL_SIZE * (lines - 1)) + 22


def _solid(block: _Block, left: float, top: float, theme: Theme) -> str:
    """Return the SVG of a block, seen from the upper left."""
    look, shift = block.look, SLANT * block.depth
    right, bottom = left + block.front, top + block.height
    paint = f'stroke="{look.border}" stroke-width="{min(look.width, 2) * 0.7:.1f}"'
    dashes = ' stroke-dasharray="4,2"' * look.dashed
    faces = [
        f"M{left:.1f},{top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z",
        f"M{left:.1f},{top:.1f}l{shift:.1f},{-shift:.1f}h{block.front:.1f}L{right:.1f},{top:.1f}z",
        f"M{right:.1f},{top:.1f}l{shift:.1f},{-shift:.1f}v{block.height:.1f}"
        f"L{right:.1f},{bottom:.1f}z",
    ]
    grounds = (look.ground, theme.paper, look.ground)
    if not shift:
        faces = faces[:1]
    shapes = "".join(
        f'<path fill="{ground}" {paint}{dashes} stroke-linejoin="round" d="{face}"/>'
        for face, ground in zip(faces, grounds, strict=False)
    )
    return f'<g class="block">{shapes}</g>'


def _blocks(table: Architecture, theme: Theme) -> list[_Block]:
    """Return a block per layer with parameters or a new shape; others add a text to the last."""
    looks = theme.looks
    names = [layer.name for layer in table.layers if layer.name]
    around = {name for name in names if any(n.startswith(f"{name}.") for n in names)} | {""}
    around -= {layer.name for layer in table.layers if layer.parameters}
    steps: list[tuple[tuple[int, ...], Look, list[str]]] = [
        (table.input_shape, looks["constant"], ["input"])
    ]
    for layer in table.layers:
        shape = layer.shape or ()
        name = style.elided(style.printable(layer.name), NAME_LENGTH)
        kind = style.elided(style.printable(layer.kind), NAME_LENGTH)
        if layer.name in around:
            continue
        if not layer.parameters and shape == steps[-1][0]:
            steps[-1][2].append(kind)
            continue
        look = looks["parameter" if layer.parameters else "result"]
        texts = [kind, name] if name else [kind]
        texts += [f"{layer.parameters:,} par."] * (layer.parameters > 0)
        steps.append((shape, look, texts))
    if len(steps) > 1:
        steps[-1] = (steps[-1][0], looks["root"], steps[-1][2])
    largest = max((max(shape[2:]) for shape, *_ in steps if len(shape) > 2), default=1)
    longest = max((prod(shape[1:]) for shape, *_ in steps if len(shape) <= 2), default=2)
    return [_block(shape, look, texts, largest, longest) for shape, look, texts in steps]


def _block(
    shape: tuple[int, ...], look: Look, texts: Sequence[str], largest: int, longest: int
) -> _Block:
    """Return a block: height and depth by extents (square root), front by channels (logarithm)."""
    written = " × ".join(map(str, shape[1:])) or str(shape)
    if len(shape) > 2:
        front = 5 + 5 * log2(max(shape[1], 1))
        sides = [max(SIDE * sqrt(extent / largest), 5.0) for extent in shape[2:][-2:]]
        height, depth = sides if len(sides) == 2 else (sides[0], 0.0)
        return _Block(front, height, depth, look, (written, *texts))
    count = prod(shape[1:])
    height = 14 + (SIDE - 14) * log2(max(count, 1)) / max(log2(max(longest, 2)), 1)
    return _Block(9.0, height, 0.0, look, (written, *texts))

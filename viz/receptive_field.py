"""The receptive field of a unit of a convolutional network: computed, and measured.

Computed: with kernel k, stride s, padding p and dilation d, outputs [u, v] of a layer depend on its
inputs [s·u − p, s·v − p + d(k − 1)], and a step between outputs is s steps between inputs (Araujo,
Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", equations 1 to
6). Over several paths the field is the union. Measured: the pixels at which the gradient of the
unit is not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tinygrad_gm as tg
from tinygrad_gm.engine.modes import enable_grad
from tinygrad_gm.engine.record import Node, topological_order
from tinygrad_gm.nn import Module
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.ops.pooling import pool_geometry
from tinygrad_gm.tensor import Tensor

from . import style
from .compose import heatmap
from .compose.shapes import label, rectangle
from .graph.example import device_and_dtype, untouched
from .render.picture import Picture, sheet
from .style import SMALL_SIZE, TEXT_SIZE, text_width
from .themes import Theme
from .themes import theme as theme_of

PROBES = (16, 32, 64, 128, 256, 512)  # pixels: input sizes, the smallest that is large enough
POINTWISE_FILES = ("elementwise", "choosing", "activations", "special")
POINTWISE = ("concat", "batch_norm")  # in other files; batch_norm in evaluation mode


class Axis(NamedTuple):
    """The field along one spatial axis: of unit u, `size` pixels from start + stride · u on."""

    size: int
    stride: int
    start: int


class ReceptiveField(Picture):
    """A receptive field, computed and measured; one number per spatial axis.

    Attributes:
        size: number of pixels in the field of a unit.
        stride: number of pixels between the fields of neighbouring units.
        start: first pixel of the field of unit 0; negative in the padding.
        unit: position of the unit in the layer; `units` is the number of units.
        computed: first and last pixel of its field, clipped to the input.
        measured: first and last pixel whose gradient is not zero; None if all are zero.
        gradient: mean absolute gradient over the input's channels, (H, W) or (L,).
    """

    def __init__(
        self,
        layer: str,
        axes: Sequence[Axis],
        unit: tuple[int, ...],
        units: tuple[int, ...],
        gradient: NDArray[np.float64],
        theme: str = "light",
    ) -> None:
        self.layer, self.unit, self.units, self.gradient = layer, unit, units, gradient
        self.size, self.stride, self.start = (tuple(values) for values in zip(*axes, strict=True))
        firsts = [axis.start + axis.stride * u for axis, u in zip(axes, unit, strict=True)]
        self.computed = tuple(
            (max(first, 0), min(first + axis.size, length) - 1)
            for first, axis, length in zip(firsts, axes, gradient.shape, strict=True)
        )
        seen = [np.unique(places).tolist() for places in np.nonzero(gradient)]
        self.measured = tuple((places[0], places[-1]) for places in seen) if seen[0] else None
        super().__init__(_drawn(self, theme_of(theme)))

    def __repr__(self) -> str:
        return (
            f"<ReceptiveField of unit {self.unit} of {self.layer!r}: "
            f"{_times(self.size)}, stride {_same(self.stride)}>"
        )


def receptive_field(
    model: Module,
    layer: str,
    unit: Sequence[int] | None = None,
    *,
    input_shape: Sequence[int] | None = None,
    samples: int = 1,
    theme: str = "light",
) -> ReceptiveField:
    """Draw the receptive field of one unit of a layer, by formula and by its gradient.

    The model is run up to the layer on standard normal input, in evaluation mode, and its state is
    restored. The measured field may be smaller than the computed one: max-pooling and ReLU pass the
    gradient to some of their inputs only; more samples show more of the field.

    Args:
        model: a model of convolutions, pooling and pointwise operations.
        layer: the path of a layer, as in `model.named_modules()`: "features.12".
        unit: position in the layer's output, (row, column), or (channel, row, column) to measure
            one channel; by default all channels at a position far from the border.
        input_shape: (C, H, W) or (C, L) of the input; by default large enough for the field.
        samples: number of random inputs to average over.
        theme: "light", "dark" or "print".

    Raises:
        ValueError: the layer or the unit does not exist, the layer's output has no spatial axes, or
            the formula does not cover an operation before the layer.

    >>> pair = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2))
    >>> field = receptive_field(pair, "1", (2, 2), input_shape=(1, 11, 11))
    >>> field.size, field.stride, field.start, field.computed
    ((5, 5), (2, 2), (0, 0), ((4, 8), (4, 8)))
    """
    target = dict(model.named_modules()).get(layer)
    if target is None:
        names = ", ".join(name for name, _ in model.named_modules() if name)
        raise ValueError(f"receptive_field: unknown layer {layer!r}; the layers are {names:.300}")
    with untouched(model), evaluating(model), enable_grad():
        if input_shape is None:
            axes, least = _probed(model, target, layer)
            place = None if unit is None else _place(unit, len(axes), layer)[1]
            lengths = (max(length, least) for length in _lengths(axes, place))
            input_shape = (_channels(model), *lengths)
        x = _input(model, samples, input_shape)
        out = _output(model, target, layer, x)
    axes = _fields(out, x)
    channel, place = (
        _place(unit, len(axes), layer) if unit is not None else (None, _middle(axes, x))
    )
    indices = zip((channel or 0, *place), out.shape[1:], strict=True)
    if not all(0 <= index < size for index, size in indices):
        raise ValueError(
            f"receptive_field: unit {tuple(unit or place)} is outside of the output of layer "
            f"{layer!r}: (channels, *positions) = {out.shape[1:]}"
        )
    at = (slice(None), slice(None) if channel is None else channel, *place)
    (gradient,) = tg.grad(out[at].sum(), x)
    measured = np.abs(gradient.numpy().astype(float)).mean(axis=(0, 1))
    return ReceptiveField(layer, axes, place, out.shape[2:], measured, theme)


# ------------------------------------------------------------------------------ running


class _Reached(Exception):  # noqa: N818 (no error)
    """The layer has run; the rest of the model is skipped."""


def _output(model: Module, target: Module, layer: str, x: Tensor) -> Tensor:
    """Return the output of the layer for the input x."""
    found: list[Any] = []

    def stop(_: Module, __: Any, output: Any) -> None:
        found.append(output)
        raise _Reached

    handle = target.register_forward_hook(stop)
    try:
        model(x)
    except _Reached:
        pass
    finally:
        handle.remove()
    if not found:
        raise ValueError(f"receptive_field: the model does not call layer {layer!r}")
    out = found[0]
    if not isinstance(out, Tensor) or out.ndim not in (3, 4) or out.ndim != x.ndim:
        what = f"shape {out.shape}" if isinstance(out, Tensor) else f"class {type(out).__name__}"
        raise ValueError(
            f"receptive_field: expected an output (N, C, L) or (N, C, H, W) of layer {layer!r}, "
            f"got {what}"
        )
    return out


def _input(model: Module, samples: int, shape: Sequence[int]) -> Tensor:
    """Return standard normal numbers on the model's device and in its dtype."""
    values = np.random.default_rng(0).standard_normal((samples, *shape))
    return tg.tensor(values, requires_grad=True, **device_and_dtype(model))


def _channels(model: Module) -> int:
    first = (m for m in model.modules() if hasattr(m, "in_channels"))
    return next((int(m.in_channels) for m in first), 1)


def _probed(model: Module, target: Module, layer: str) -> tuple[list[Axis], int]:
    """Return the fields, with the smallest probe that is large enough for the model, and its length
    if a smaller one was refused.
    """
    flat = any(type(module).__name__ == "Conv1d" for module in model.modules())
    refusal: ValueError | None = None
    for length in PROBES:
        x = _input(model, 1, (_channels(model), *[length] * (1 if flat else 2)))
        try:
            out = _output(model, target, layer, x)
        except ValueError as error:
            if str(error).startswith("receptive_field"):
                raise
            refusal = error
        else:
            return _fields(out, x), 0 if refusal is None else length
    raise ValueError(
        f"receptive_field: no input of up to {length} pixels reaches layer {layer!r}; "
        f"pass input_shape= ({refusal})"
    )


def _lengths(axes: Sequence[Axis], unit: Sequence[int] | None) -> Iterator[int]:
    """Yield for each axis an input length with as many pixels before the unit's field as after."""
    for number, axis in enumerate(axes):
        half = -(-axis.size // 2)
        place = -(-(half - axis.start) // axis.stride) if unit is None else unit[number]
        first = axis.start + axis.stride * place
        yield first + axis.size + max(first, axis.stride)


def _middle(axes: Sequence[Axis], x: Tensor) -> tuple[int, ...]:
    """Return the unit whose field is nearest to the middle of the input."""
    pairs = zip(axes, x.shape[2:], strict=True)
    return tuple(
        max(round(((length - axis.size) / 2 - axis.start) / axis.stride), 0)
        for axis, length in pairs
    )


def _place(unit: Sequence[int], ndim: int, layer: str) -> tuple[int | None, tuple[int, ...]]:
    """Return a unit's channel, None for all, and its position."""
    numbers = tuple(map(int, unit))
    if len(numbers) not in (ndim, ndim + 1):
        axes = "row, column" if ndim == 2 else "position"
        raise ValueError(
            f"receptive_field: expected a unit ({axes}) or (channel, {axes}) of layer {layer!r}, "
            f"got {numbers}"
        )
    return (numbers[0] if len(numbers) > ndim else None), numbers[-ndim:]


# ---------------------------------------------------------------------------- computing


def _fields(out: Tensor, x: Tensor) -> list[Axis]:
    """Return the field of an output in the input: the recursion over all paths between them."""
    reaches: set[Any] = {x}
    order: list[Node] = []
    for node in topological_order(out):
        if any(source in reaches for source in _sources(node)):
            reaches.add(node)
            order.append(node)
    ndim = out.ndim - 2
    unit = [(0, 0, 1)] * ndim  # first, last, and pixels per step
    fields: dict[Any, list[tuple[int, int, int]]] = {out.node: unit}
    if out.node is None or out.node not in reaches:
        raise ValueError("receptive_field: the layer's output does not depend on the input")
    for node in reversed(order):
        if node not in fields:
            continue
        sources = [source for source in _sources(node) if source in reaches]
        windows = _windows(node, sources, ndim)
        for source in sources:
            field = [
                (s * first - p, s * last - p + d * (k - 1), s * step)
                for (first, last, step), (k, s, p, d) in zip(fields[node], windows, strict=True)
            ]
            fields[source] = _union(fields.get(source, field), field)
    return [Axis(last - first + 1, step, first) for first, last, step in fields[x]]


def _sources(node: Node) -> list[Any]:
    """Return the nodes and leaves that an operation reads."""
    return [p for p in node.parents if isinstance(p, (Node, Tensor))]


def _windows(node: Node, sources: Sequence[Any], ndim: int) -> list[tuple[int, int, int, int]]:
    """Return kernel, stride, padding and dilation of an operation for each spatial axis."""
    op = node.plan.op
    given = dict(zip(op.names[op.arity :], node.params, strict=False))
    if op.name == "conv":
        kernel = node.parents[1].shape[2:]
        before = [pair[0] for pair in given["padding"]]
        return list(zip(kernel, given["stride"], before, given["dilation"], strict=True))
    if op.name in ("max_pool", "argmax_pool", "avg_pool"):
        how = (given["kernel_size"], given["stride"], given["padding"], given.get("dilation", 1))
        shape = node.parents[0].shape
        geometry = pool_geometry(op.name, shape, *how, given["ceil_mode"])
        return list(zip(*geometry[:4], strict=True))
    if op.name == "pad" and not any(given["pad_width"][0]):
        return [(1, 1, before, 1) for before, _ in given["pad_width"][2:]]
    if op.name == "getitem" and (places := _sliced(given["index"], sources[0].shape)):
        return [(1, place.step, -place.start, 1) for place in places[2:]]
    same = all(source.shape[2:] == node.shape[2:] for source in sources)
    local = op.forward.__module__.endswith(POINTWISE_FILES) or op.name in POINTWISE or op.is_part
    if local and same and len(node.shape) == ndim + 2:
        return [(1, 1, 0, 1)] * ndim
    where = f" of module {node.scope.name!r}" if node.scope is not None else ""
    raise ValueError(
        "receptive_field: expected convolutions, pooling and pointwise operations, got "
        f"{op.name}{where}"
    )


def _sliced(index: Any, shape: Sequence[int]) -> list[range] | None:
    """Return the positions along each axis that slices with positive steps read, else None."""
    slices = index if isinstance(index, tuple) else (index,)
    slices += (slice(None),) * (len(shape) - len(slices))
    if not all(isinstance(entry, slice) for entry in slices):
        return None
    places = [range(*s.indices(length)) for s, length in zip(slices, shape, strict=True)]
    return places if all(place.step > 0 for place in places) else None


def _union(
    one: list[tuple[int, int, int]], two: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Return the interval around both, for each axis."""
    if any(a[2] != b[2] for a, b in zip(one, two, strict=True)):
        raise ValueError("receptive_field: two paths to the layer have different strides")
    return [(min(a[0], b[0]), max(a[1], b[1]), a[2]) for a, b in zip(one, two, strict=True)]


# ------------------------------------------------------------------------------ drawing

SHADE = "#7F9FB2"  # half of the gradient's colour
SIDE, STRIP, MARGIN, LEADING = 330.0, 46.0, 30.0, 1.45  # points; lines of text


def _drawn(field: ReceptiveField, theme: Theme) -> str:
    """Return the SVG: the gradient as an image, both fields as frames, and a legend."""
    plane = field.gradient if field.gradient.ndim == 2 else field.gradient[None]
    rows, columns = plane.shape
    pixel = SIDE / max(plane.shape)
    width, height = columns * pixel, rows * pixel if field.gradient.ndim == 2 else STRIP
    texts = _texts(field)
    room = max([width, *(text_width(text, TEXT_SIZE) + 24 for text in texts)])
    left, top = MARGIN + (room - width) / 2, MARGIN + LEADING * TEXT_SIZE
    scale = width / columns, height / rows
    shown = heatmap.sequential(np.sqrt(plane))
    name = style.elided(style.printable(field.layer), 40)
    title = f"receptive field of unit {field.unit} of layer {name}"
    parts = [
        label(title, MARGIN + room / 2, 14, style.NAME_SIZE, theme.ink, "middle", bold=True),
        heatmap.image(shown, left, top, width, height),
        rectangle(left, top, width, height, f'fill="none" stroke="{theme.line}"'),
        _steps(field, left, top, scale, theme),
    ]
    looks = {"computed": theme.looks["parameter"], "measured": theme.alarm}
    for name, dashes in (("computed", ""), ("measured", ' stroke-dasharray="6,4"')):
        ranges = getattr(field, name)
        if ranges is None:
            continue
        (y0, y1), (x0, x1) = ranges if len(ranges) == 2 else ((0, 0), ranges[0])
        wide = 4 if name == "computed" else 1.8
        paint = f'fill="none" stroke="{looks[name].border}" stroke-width="{wide}"{dashes}'
        place = left + x0 * scale[0], top + y0 * scale[1]
        frame = rectangle(*place, (x1 - x0 + 1) * scale[0], (y1 - y0 + 1) * scale[1], paint)
        parts.append(f'<g class="{name}">{frame}</g>')
    for column in (0, columns - 1):
        x = left + (column + 0.5) * scale[0]
        parts.append(label(str(column), x, top + height + 3, SMALL_SIZE, theme.quiet, "middle"))
    for row in (0, rows - 1) if field.gradient.ndim == 2 else ():
        y = top + (row + 0.5) * scale[1] - SMALL_SIZE / 2
        parts.append(label(str(row), left - 4, y, SMALL_SIZE, theme.quiet, "end"))
    y = top + height + 22
    keys = (
        f'stroke="{looks["computed"].border}" stroke-width="4"',
        f'stroke="{looks["measured"].border}" stroke-width="1.8" stroke-dasharray="6,4"',
        f'stroke="{theme.flow}" stroke-width="2.5" stroke-linecap="round" stroke-dasharray="0,7"',
    )
    for text, key in zip(texts, (*keys, f'stroke="{SHADE}" stroke-width="9"'), strict=False):
        middle = y + TEXT_SIZE * 0.6
        parts.append(f'<path fill="none" {key} d="M{MARGIN:.1f},{middle:.1f}h17"/>')
        parts.append(label(text, MARGIN + 24, y, TEXT_SIZE, theme.ink))
        y += LEADING * TEXT_SIZE
    return sheet(parts, room + 2 * MARGIN, y + 12, theme, title)


def _steps(
    field: ReceptiveField, left: float, top: float, scale: tuple[float, float], theme: Theme
) -> str:
    """Return the SVG of a dot in the middle of each unit's field and a ring at the drawn unit."""
    axes = list(zip(field.start, field.size, field.stride, field.units, field.unit, strict=True))
    if len(axes) == 1:
        axes = [(0, 1, 1, 1, 0), *axes]
    ys, xs = (
        [corner + pixel * (start + size / 2 + stride * u) for u in range(count)]
        for corner, pixel, (start, size, stride, count, _) in zip(
            (top, left), scale[::-1], axes, strict=True
        )
    )
    row, column = (unit for *_, unit in axes)
    dots = []
    if min(field.stride) * scale[0] >= 6:  # closer dots would touch
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.3"/>' for y in ys for x in xs]
    ring = f'<circle cx="{xs[column]:.1f}" cy="{ys[row]:.1f}" r="5" fill="none" '
    halo = f'{ring} stroke="{theme.paper}" stroke-width="4"/>'
    return (
        f'<g class="units" fill="{theme.flow}">{"".join(dots)}{halo}'
        f'{ring} stroke="{theme.flow}" stroke-width="2"/></g>'
    )


def _texts(field: ReceptiveField) -> list[str]:
    """Return the texts of the legend."""
    names = ("rows ", "columns ") if len(field.size) == 2 else ("",)
    at = _ranges(names, field.computed)
    texts = [f"computed: {_times(field.size)} pixels, {at}"]
    if field.measured is None:
        texts.append("measured: the gradient is zero everywhere")
    else:
        extents = [last - first + 1 for first, last in field.measured]
        at = _ranges(names, field.measured)
        texts.append(f"measured: {_times(extents)} pixels, {at}: the gradient is not zero")
    apart = f"{_same(field.stride)} pixel{'s' * (max(field.stride) > 1)}"
    texts.append(f"a dot in the middle of each unit's field, {apart} apart; the ring: this unit")
    return [*texts, "the gradient's size, mean over channels; darker is larger (square root)"]


def _ranges(names: Sequence[str], ranges: Sequence[tuple[int, int]]) -> str:
    pairs = zip(names, ranges, strict=True)
    return ", ".join(f"{name}{first} … {last}" for name, (first, last) in pairs)


def _same(numbers: Sequence[int]) -> str:
    return _times(numbers if len(set(numbers)) > 1 else numbers[:1])


def _times(numbers: Sequence[int]) -> str:
    return " × ".join(map(str, numbers))

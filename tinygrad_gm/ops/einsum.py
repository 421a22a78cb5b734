"""Einstein summation: products of arrays with labelled axes, summed over some labels.

The primitive `contract` transposes and reshapes two arrays to batches of matrices, without copying
if the strides allow it, and multiplies them; its gradients are contractions too. `einsum` plans a
specification once per shapes, and reduces it to contractions of two arrays at a time.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..hints import named
from . import reduction, shape
from .linalg import diagonal

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["einsum", "outer", "tensordot", "vecdot"]

Labels = Shape  # one per axis: a letter's code, or −1, −2, … for the axes of an ellipsis


# ------------------------------------------------------------------------------- primitive


class _Recipe(NamedTuple):
    """How to make matrices of two arrays, and the result of their product."""

    x_axes: Shape
    x_shape: Shape
    x_swapped: bool  # whether the matrix is then transposed
    y_axes: Shape
    y_shape: Shape
    y_swapped: bool
    summed: bool
    shape: Shape
    axes: Shape


@functools.lru_cache(maxsize=1024)
def _recipe(
    x_labels: Labels, y_labels: Labels, labels: Labels, x_shape: Shape, y_shape: Shape
) -> _Recipe:
    size = dict(zip(x_labels + y_labels, x_shape + y_shape, strict=True))
    batch = [a for a in x_labels if a in y_labels and a in labels]
    left = [a for a in x_labels if a not in y_labels]
    right = [a for a in y_labels if a not in x_labels]
    larger = x_labels if math.prod(x_shape) > math.prod(y_shape) else y_labels
    inner = [a for a in larger if a in x_labels and a in y_labels and a not in labels]

    def matrices(own: Labels, rows: list[int], columns: list[int]) -> tuple[Any, Any, bool]:
        """Axes and shape of (batch, rows, columns), or of the transposed form without a copy."""
        order = [a for a in own if a not in batch]
        swapped = bool(rows) and bool(columns) and order == columns + rows
        first, second = (columns, rows) if swapped else (rows, columns)
        axes = tuple(own.index(a) for a in (*batch, *first, *second))
        sides = (math.prod(size[a] for a in side) for side in (first, second))
        return axes, (*(size[a] for a in batch), *sides), swapped

    x_axes, x_form, x_swapped = matrices(x_labels, left, inner)
    y_axes, y_form, y_swapped = matrices(y_labels, inner, right)
    if not inner:  # no sum: a product that broadcasts
        x_form = (*(size[a] for a in (*batch, *left)), *(1 for _ in right))
        y_form = (*(size[a] for a in batch), *(1 for _ in left), *(size[a] for a in right))
    order = [*batch, *left, *right]
    sizes, axes = tuple(size[a] for a in order), tuple(order.index(a) for a in labels)
    return _Recipe(
        x_axes, x_form, x_swapped, y_axes, y_form, y_swapped, bool(inner), sizes, axes
    )  # fmt: skip


def _as_matrices(xp: Namespace, x: Array, axes: Shape, form: Shape, swapped: bool) -> Any:
    x = x.transpose(axes).reshape(form)
    if swapped:
        x = x.swapaxes(-1, -2)
    if x.itemsize in x.strides[-2:]:
        return x
    return xp.ascontiguousarray(x)  # BLAS needs rows or columns that are contiguous


@op(
    lambda xp, g, y, x_labels, y_labels, labels: xp.contract(g, y, labels, y_labels, x_labels),
    lambda xp, g, x, x_labels, y_labels, labels: xp.contract(g, x, labels, x_labels, y_labels),
    symbol="einsum",
    local=["y", "x"],
)
def contract(
    xp: Namespace, x: ArrayLike, y: ArrayLike, x_labels: Labels, y_labels: Labels, labels: Labels
) -> Any:
    """The einsum of two arrays, with integers as labels of their axes and of the result's.

    No array repeats a label, and the result has the labels that only one of the arrays has.

    >>> tg.ops.contract(tg.ones((2, 3)), tg.ones((3, 4)), (0, 1), (1, 2), (2, 0)).shape
    (4, 2)
    """
    x, y = xp.asarray(x), xp.asarray(y)
    plan = _recipe(x_labels, y_labels, labels, x.shape, y.shape)
    if not plan.summed:
        x = x.transpose(plan.x_axes).reshape(plan.x_shape)
        return (x * y.transpose(plan.y_axes).reshape(plan.y_shape)).transpose(plan.axes)
    left = _as_matrices(xp, x, plan.x_axes, plan.x_shape, plan.x_swapped)
    right = _as_matrices(xp, y, plan.y_axes, plan.y_shape, plan.y_swapped)
    return xp.matmul(left, right).reshape(plan.shape).transpose(plan.axes)


# ---------------------------------------------------------------- spelled with the primitive


def einsum(spec: str, *operands: ArrayLike) -> Tensor:
    """Einstein summation, as `numpy.einsum`: `"ij,jk->ik"` is the matrix product.

    Axes with the same label have the same index, and labels that are not in the result are summed
    over. More than two operands are contracted in pairs, first the pair with the smallest result.

    Args:
        spec: a letter per axis of each operand, with commas between operands, and after `->` the
            letters of the result. A letter repeated in one operand takes its diagonal; `...` means
            all other axes, which broadcast. Without `->` the result has the axes of the ellipsis,
            then the letters that occur once, in alphabetical order.
        operands: the arrays. Axes with the same letter have the same size, or size 1.

    Raises:
        TypeError: the specification is not a string.
        ValueError: it does not match the number, dimensions or sizes of the operands.

    >>> x, w = tg.ones((2, 3, 4)), tg.ones((5, 4))
    >>> tg.einsum("...i,oi->...o", x, w).shape
    (2, 3, 5)
    >>> tg.einsum("ii", tg.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    if not isinstance(spec, str):
        raise TypeError(f"einsum: expected a specification as a string; got {type(spec).__name__}")
    plan = _plan(spec, tuple(map(np.shape, operands)))
    values = list(operands)
    for position, function, params in plan.prepare:
        values[position] = function(values[position], *params)
    for first, second, *labels in plan.pairs:
        y, x = values.pop(second), values.pop(first)
        values.append(contract(x, y, *labels))
    result: Tensor = values[0]
    return result


class _Plan(NamedTuple):
    """The steps of an einsum: functions of single operands, then contractions of pairs."""

    prepare: list[tuple[int, Any, tuple[Any, ...]]]
    pairs: list[tuple[int, int, Labels, Labels, Labels]]


@functools.lru_cache(maxsize=1024)
def _plan(spec: str, shapes: tuple[Shape, ...]) -> _Plan:
    terms, out = _parse(spec, shapes)
    sizes = _sizes(spec, terms, shapes)
    prepare: list[tuple[int, Any, tuple[Any, ...]]] = []
    for position, (labels, own) in enumerate(zip(terms, shapes, strict=True)):
        lengths = list(own)
        for label in [a for a, count in Counter(labels).items() for _ in range(count - 1)]:
            axis1 = labels.index(label)
            axis2 = labels.index(label, axis1 + 1)
            prepare.append((position, diagonal, (0, axis1, axis2)))
            del labels[axis2], labels[axis1], lengths[axis2], lengths[axis1]
            labels.append(label)
            lengths.append(sizes[label])
        if any(n != sizes[a] for a, n in zip(labels, lengths, strict=True)):
            labels[:] = [a for a, n in zip(labels, lengths, strict=True) if n == sizes[a]]
            prepare.append((position, shape.reshape, (tuple(sizes[a] for a in labels),)))
    readers = Counter(label for labels in terms for label in set(labels))
    for position, labels in enumerate(terms):
        alone = [i for i, a in enumerate(labels) if readers[a] == 1 and a not in out]
        if alone:
            prepare.append((position, reduction.sum, (tuple(alone),)))
            labels[:] = [a for i, a in enumerate(labels) if i not in alone]
    if len(terms) == 1:
        prepare.append((0, shape.permute_dims, (tuple(terms[0].index(a) for a in out),)))
    return _Plan(prepare, _pairs([tuple(labels) for labels in terms], out, sizes))


def _pairs(terms: list[Labels], out: Labels, sizes: dict[int, int]) -> list[Any]:
    """The pairs of operands to contract, in order: each the pair with the smallest result."""
    pairs = []
    while len(terms) > 1:
        choices = []
        for j in range(len(terms)):
            for i in range(j):
                others = {
                    *out,
                    *(a for k, term in enumerate(terms) if k not in (i, j) for a in term),
                }
                left = tuple(a for a in dict.fromkeys(terms[i] + terms[j]) if a in others)
                before = (_volume(terms[i], sizes), _volume(terms[j], sizes))
                work = _volume({*terms[i], *terms[j]}, sizes)
                choices.append((_volume(left, sizes) - sum(before), work, i, j, left))
        _, _, i, j, left = min(choices)
        labels = out if len(terms) == 2 else left
        pairs.append((i, j, terms[i], terms[j], labels))
        terms = [term for k, term in enumerate(terms) if k not in (i, j)] + [labels]
    return pairs


def _volume(labels: Iterable[int], sizes: dict[int, int]) -> int:
    return math.prod(sizes[a] for a in labels)


def _parse(spec: str, shapes: Sequence[Shape]) -> tuple[list[list[int]], Labels]:
    """The labels of each operand and of the result."""
    inputs, arrow, output = spec.replace(" ", "").partition("->")
    parts = inputs.split(",")
    if len(parts) != len(shapes):
        raise ValueError(
            f"einsum: {spec!r} has {len(parts)} operands, but {len(shapes)} were given"
        )
    for part in (*parts, output):
        letters = part.replace("...", "", 1)
        if not (letters == "" or (letters.isascii() and letters.isalpha())):
            raise ValueError(
                f"einsum: {part!r} in {spec!r}: expected letters, and at most one '...'"
            )
    terms, longest = [], 0
    for part, own in zip(parts, shapes, strict=True):
        letters = part.replace("...", "")
        rest = len(own) - len(letters)
        if rest < 0 or (rest > 0 and "..." not in part):
            raise ValueError(
                f"einsum: {part!r} in {spec!r} does not label the {len(own)} axes of an operand of "
                f"shape {own}"
            )
        longest = max(longest, rest)
        terms.append(_labels(part, rest))
    if not arrow:
        counts = Counter(label for labels in terms for label in labels)
        once = sorted(a for a, count in counts.items() if a >= 0 and count == 1)
        return terms, (*range(-longest, 0), *once)
    if longest and "..." not in output:
        raise ValueError(f"einsum: {spec!r}: the result must have the '...' of the operands")
    out = tuple(_labels(output, longest))
    for label in out:
        if out.count(label) > 1 or not any(label in labels for labels in terms):
            fault = "is repeated in the result" if out.count(label) > 1 else "is in no operand"
            raise ValueError(f"einsum: {spec!r}: the label {chr(label)!r} {fault}")
    return terms, out


def _labels(part: str, ellipsis: int) -> list[int]:
    before, _, after = part.partition("...")
    filled = range(-ellipsis, 0) if "..." in part else ()
    return [*map(ord, before), *filled, *map(ord, after)]


def _sizes(spec: str, terms: list[list[int]], shapes: Sequence[Shape]) -> dict[int, int]:
    """The size of each label; size 1 broadcasts."""
    sizes: dict[int, int] = {}
    for labels, own in zip(terms, shapes, strict=True):
        for label, n in zip(labels, own, strict=True):
            known, first = sizes.get(label, 1), own[labels.index(label)]
            if n != first or (n != known and 1 not in (n, known)):
                name = chr(label) if label >= 0 else "..."
                raise ValueError(
                    f"einsum: {spec!r}: the axes of {name!r} differ in size: {n} and "
                    f"{first if n != first else known}"
                )
            sizes[label] = n if known == 1 else known
    return sizes


@named
def tensordot(x: ArrayLike, y: ArrayLike, axes: Any = 2) -> Tensor:
    """Products of x and y summed over pairs of axes; the remaining axes of x, then those of y.

    Args:
        axes: n for the last n axes of x with the first n of y; or a sequence of axes of x and one
            of the corresponding axes of y.

    >>> tg.tensordot(tg.ones((2, 3, 4)), tg.ones((3, 4, 5))).shape
    (2, 5)
    """
    shapes = np.shape(x), np.shape(y)
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(map(len, shapes)):
            raise ValueError(
                f"tensordot: axes={axes} of operands of shape {shapes[0]}, {shapes[1]}"
            )
        axes = range(len(shapes[0]) - axes, len(shapes[0])), range(axes)
    pairs = [
        [shape.normalize_axis("tensordot", a, len(own)) for a in np.atleast_1d(side).tolist()]
        for side, own in zip(map(np.asarray, axes), shapes, strict=True)
    ]
    first, second = ([own[a] for a in side] for own, side in zip(shapes, pairs, strict=True))
    if first != second or any(len(set(side)) < len(side) for side in pairs):
        raise ValueError(
            f"tensordot: the axes {tuple(pairs[0])} of {shapes[0]} and {tuple(pairs[1])} of "
            f"{shapes[1]} do not match in number and size"
        )
    x_labels, y_labels = (
        list(range(len(shapes[0]))),
        [len(shapes[0]) + a for a in range(len(shapes[1]))],
    )
    for a, b in zip(*pairs, strict=True):
        y_labels[b] = a
    out = [a for a in x_labels if a not in pairs[0]]
    out += [a for i, a in enumerate(y_labels) if i not in pairs[1]]
    return contract(x, y, tuple(x_labels), tuple(y_labels), tuple(out))


@named
def vecdot(x: ArrayLike, y: ArrayLike, axis: int = -1) -> Tensor:
    """The dot products of the vectors along `axis` of x and y; the other axes broadcast.

    >>> tg.vecdot(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 10.0])).tolist()
    [21.0, 43.0]
    """
    lengths = []
    for value in (x, y):
        own = np.shape(value)
        lengths.append(own[shape.normalize_axis("vecdot", axis, len(own))])
    if lengths[0] != lengths[1]:
        raise ValueError(
            f"vecdot: the vectors along axis {axis} of {np.shape(x)} and {np.shape(y)} differ in "
            "length"
        )
    if operator.index(axis) != -1:
        x, y = shape.moveaxis(x, axis, -1), shape.moveaxis(y, axis, -1)
    return einsum("...i,...i->...", x, y)


@named
def outer(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The products of every element of x with every element of y: (n,), (m,) gives (n, m).

    Arrays of other dimensions are flattened, as by `numpy.outer`.

    >>> tg.outer(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 10.0])).tolist()
    [[1.0, 10.0], [2.0, 20.0]]
    """
    x, y = (value if np.ndim(value) == 1 else shape.flatten(value) for value in (x, y))
    return contract(x, y, (0,), (1,), (0, 1))

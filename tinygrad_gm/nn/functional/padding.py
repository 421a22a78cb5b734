"""Padding of images, and crops, with PyTorch's order of the widths: the last axis first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import ops
from ...backend import ArrayLike
from ...kernels.windows import last_axes
from ...tensor import Tensor, asarray

__all__ = ["pad"]

MODES: Any = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(
    input: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pad the last axes of the input; negative widths crop instead.

    (`tg.pad` is the same with NumPy's order of the widths, the first axis first.)

    Args:
        input: an array (…, H, W) of any number of axes.
        pad: two integers, before and after, for the last axis, then two for the one before it, and
            so on: (left, right, top, bottom). Cropping comes first, then padding.
        mode: the values of the padding: "constant", `value`; "reflect", the mirror image about the
            outermost element, so that a width is less than the axis; "replicate", the outermost
            element; "circular", the other end, so that a width is at most the axis.
        value: the number of mode "constant"; None: 0.

    Raises:
        ValueError: widths that are not integers or do not fit the axes, an unknown mode, or a value
            in another mode than "constant".

    >>> F.pad(tg.tensor([[1, 2, 3]]), (1, 2)).tolist()
    [[0, 1, 2, 3, 0, 0]]
    >>> F.pad(tg.tensor([[1, 2, 3]]), (1, -1), mode="replicate").tolist()
    [[1, 1, 2]]
    """
    x = asarray(input)
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(MODES)}; got {mode!r}")
    if value is not None and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value; got {value}")
    pairs = _pairs(pad, x.ndim)
    if any(width < 0 for pair in pairs for width in pair):
        x = _cropped(x, pairs, pad)
    margins = tuple((max(0, before), max(0, after)) for before, after in pairs)
    for size, margin in zip(x.shape, margins, strict=True):
        least = max(margin) + (mode == "reflect") if mode != "replicate" else 1
        if mode != "constant" and max(margin) and size < least:
            raise ValueError(
                f'pad: mode "{mode}" with widths {margin} needs at least {least} elements along '
                f"the axis; got {size} (input {x.shape}, pad {tuple(pad)})"
            )
    return ops.pad(x, margins, MODES[mode], 0.0 if value is None else value)


def _pairs(pad: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """A pair (before, after) for every axis, the first axis first."""
    widths = tuple(pad) if isinstance(pad, (tuple, list)) else ()
    integers = bool(widths) and all(hasattr(width, "__index__") for width in widths)
    if not integers or len(widths) % 2 or len(widths) > 2 * ndim:
        raise ValueError(
            "pad: expected two integers (before, after) for each of the last axes, the last one "
            f"first; got {pad!r} for an input of {ndim} dimensions"
        )
    pairs = [*zip(map(int, widths[::2]), map(int, widths[1::2]), strict=True)]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(reversed(pairs))


def _cropped(x: Tensor, pairs: Sequence[tuple[int, int]], pad: Any) -> Tensor:
    """x cropped by the negative widths."""
    cuts = [(max(0, -before), max(0, -after)) for before, after in pairs]
    if any(sum(cut) > size for size, cut in zip(x.shape, cuts, strict=True)):
        raise ValueError(f"pad: {tuple(pad)} crops more than the input {x.shape} has")
    ends = zip(x.shape, cuts, strict=True)
    return x[last_axes(*(slice(before, size - after) for size, (before, after) in ends))]

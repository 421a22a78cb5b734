"""Texts of a drawing: fonts, formatting of numbers, widths."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device

FONT = "DejaVu Sans,Verdana,sans-serif"  # the first two have equal widths
NAME_SIZE, TEXT_SIZE, SMALL_SIZE = 12, 10, 9


# --------------------------------------------------------------------------------- numbers

NOT_YET, UNKNOWN = "· not yet", "·"
FIGURE_SPACE = "\u2007"  # as wide as a digit
DECIMALS = 4
SHOWN = 16  # largest number of elements written out
SHOWN_COLUMNS = 4
TINY = 1e-30  # a smaller sum of squares may have lost some of them in single precision


def number(value: Any, decimals: int = DECIMALS) -> str:
    """Format a number with its sign (a true minus) and fixed decimals, for alignment.

    >>> number(-0.4), number(3), number(0.0), number(1.5e-7), number(float("nan"))
    ('−0.4000', '3', '0', '+1.50e−07', 'NaN')
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(value).replace("-", "−")
    value = float(value)
    if value == 0:
        return "0"
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "+∞" if value > 0 else "−∞"
    plain = 1e-3 <= abs(value) < 1e5
    text = f"{value:+.{decimals}f}" if plain else f"{value:+.{decimals - 2}e}"
    return text.replace("-", "−")


def literal(value: Any) -> str:
    """Format a constant of the program: 2, 0.5, −1."""
    return f"{value:g}".replace("-", "−") if isinstance(value, float) else number(value)


def describe(array: Any) -> tuple[str, ...]:
    """Describe an array in a few lines: its few values, else mean ± standard deviation.

    >>> describe(np.array([1.0, -2.0]))
    ('+1.000\u2007−2.000',)
    >>> describe(np.arange(100.0))
    ('+49.5000 ± 28.8661',)
    """
    array = to_device(array, "cpu")
    if array.size == 0:
        return ("empty",)
    if array.size == 1:
        return (number(array.reshape(-1)[0]),)
    columns = array.shape[-1] if array.ndim else 1
    if array.ndim <= 2 and array.size <= SHOWN and columns <= SHOWN_COLUMNS:
        texts = [[number(value, 3) for value in row] for row in array.reshape(-1, columns).tolist()]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        aligned = (
            [text.rjust(w, FIGURE_SPACE) for text, w in zip(row, widths, strict=True)]
            for row in texts
        )
        return tuple(FIGURE_SPACE.join(row).lstrip(FIGURE_SPACE) for row in aligned)
    if array.dtype.kind == "b":
        return (f"{array.sum()} of {array.size} True",)
    if array.dtype.kind in "iu":
        return (f"{number(array.min())} … {number(array.max())}",)
    if wrong := array.size - int(np.isfinite(array).sum()):
        return (f"{wrong} of {array.size} not finite",)
    mean, std = float(array.mean(dtype=float)), float(array.std(dtype=float))
    return (f"{number(mean)} ± {number(std).lstrip('+')}",)


def size(array: Any) -> str:
    """Return the number in an array of one element; of several the root mean square.

    >>> size(np.array([-2.0])), size(np.array([3.0, -4.0]))
    ('−2.0000', '3.536')
    """
    array = np.asarray(to_device(array, "cpu"))
    if array.size == 1 or array.dtype.kind != "f" or not array.size:
        return describe(array)[0]
    squares = sum_of_squares(array)
    if not np.isfinite(squares) and not np.isfinite(array).all():
        return describe(array)[0]
    return number(np.sqrt(squares / array.size), 3).lstrip("+")


PIECE = 1 << 16  # elements whose squares are summed in their own precision


def sum_of_squares(array: Any) -> float:
    """Return the sum of the squares of an array, in float64 over pieces of it.

    >>> sum_of_squares(np.full((2, 3), 2.0))
    24.0
    """
    flat = np.ravel(to_device(array, "cpu"), order="K")  # of a transposed array no copy
    if flat.dtype.kind == "f" and flat.itemsize >= 4:
        starts = range(0, flat.size, PIECE)
        pieces = (flat[start : start + PIECE] for start in starts)
        with np.errstate(all="ignore"):
            total = sum(float(np.dot(piece, piece)) for piece in pieces)
        if np.isfinite(total) and total > TINY:
            return total
    return float(np.square(flat, dtype=float).sum())


# ---------------------------------------------------------------------------------- texts

_WIDTHS = {
    0.30: "'ijlIJ",
    0.36: " ,.·/:;\\|f-",
    0.40: "()[]t⌊⌋!²³₀₁₂₃₄₅₆₇₈₉¹rᵀ",
    0.53: '"*_`sz∂?⁻c',
    0.62: "FkvxyγPTYaoeL",
    0.84: "#+<=>^~−×÷±≤≥→OQ&w",
    1.00: "%mMW@…",
}  # of DejaVu Sans, as multiples of the font size
_WIDTH_OF = {letter: width for width, letters in _WIDTHS.items() for letter in letters}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Estimate the width of a text, from above."""
    units = sum(_WIDTH_OF.get(c, 0.69 if ord(c) < 0x2E80 else 1.0) for c in text)
    return units * size * (1.13 if bold else 1.0)


def printable(text: str) -> str:
    """Replace line breaks and characters that XML forbids by spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def operand(name: str) -> str:
    """Put a name in parentheses for a formula, unless it is one word or a plain number."""
    return name if re.fullmatch(r"[\w.…]+", name) else f"({name})"


def elided(text: str, length: int) -> str:
    """Shorten a text in the middle; of a dotted path more of the end is kept."""
    head = length // 3
    return text if len(text) <= length else f"{text[:head]}…{text[head + 1 - length :]}"

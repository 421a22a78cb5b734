"""Numbers and texts as they are drawn, and colours that can be told apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinygrad_gm.viz import style


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, two: str) -> float:
    darker, lighter = sorted([luminance(one), luminance(two)])
    return (lighter + 0.05) / (darker + 0.05)


def test_every_text_stands_out_from_its_ground() -> None:
    pairs = [(look.text, look.ground) for look in style.LOOKS.values()]
    pairs += [(look.text, ground) for look in style.LOOKS.values() for ground in GROUNDS]
    pairs += [(ink, style.PAPER) for ink in (style.INK, style.QUIET, style.FLOW)]
    assert all(contrast(*pair) >= 4.5 for pair in pairs)


GROUNDS = (style.PAPER, style.ZERO)


def test_every_border_stands_out_from_the_paper() -> None:
    assert all(contrast(look.border, style.PAPER) >= 3 for look in style.LOOKS.values())


def test_no_two_kinds_of_card_differ_by_colour_alone() -> None:
    cards = [look for kind, look in style.LOOKS.items() if kind != "operation"]
    for one, two in itertools.combinations(cards, 2):
        assert (one.width, one.dashed) != (two.width, two.dashed)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "+0.2500"),
        (-0.25, "−0.2500"),
        (-0.0, "0"),
        (12345.678, "+12345.6780"),
        (1e5, "+1.00e+05"),
        (-0.00099, "−9.90e−04"),
        (np.float32(0.1), "+0.1000"),
        (-7, "−7"),
        (np.int64(3), "3"),
        (np.bool_(True), "True"),
        (float("inf"), "+∞"),
        (float("-inf"), "−∞"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_has_its_sign_and_fixed_decimals(value: float, text: str) -> None:
    assert style.number(value) == text


@pytest.mark.parametrize(
    ("array", "lines"),
    [
        (np.array(0.5), ("+0.5000",)),
        (np.array([[2.0]]), ("+2.0000",)),
        (np.zeros((0, 3)), ("empty",)),
        (np.array([[1.0, -10.5], [0.0, 2.0]]), ("+1.000 −10.500", "     0  +2.000")),
        (np.array([1, -2, 3]), ("1 −2 3",)),
        (np.arange(3, 40), ("3 … 39",)),
        (np.arange(20) < 5, ("5 of 20 True",)),
        (np.tile([1.0, 2.0], 10), ("+1.5000 ± 0.5000",)),
        (np.array([np.nan, np.inf] + [1.0] * 18), ("2 of 20 not finite",)),
    ],
)
def test_an_array_is_written_out_or_summed_up(array: np.ndarray, lines: tuple[str, ...]) -> None:
    written = tuple(line.replace(style.FIGURE_SPACE, " ") for line in style.describe(array))
    assert written == tuple(line.lstrip() for line in lines)


def test_half_precision_is_summed_up_without_overflow() -> None:
    assert style.describe(np.full(100, 60000.0, np.float16)) == ("+60000.0000 ± 0",)


def test_estimated_widths_are_never_narrower_than_the_font() -> None:
    image_font = pytest.importorskip("PIL.ImageFont")
    for file, bold in (("DejaVuSans.ttf", False), ("DejaVuSans-Bold.ttf", True)):
        try:
            font = image_font.truetype(file, 1000)
        except OSError:
            pytest.skip("DejaVu Sans is not installed here")
        for text in (
            "encoder.layers.0.weight",
            "+0.1234 ± 0.5678",
            "(128, 784) · float32",
            "∂L/∂w",
        ):
            real, guess = font.getlength(text) / 100, style.text_width(text, 10, bold)
            assert real <= guess * 1.01
            assert guess <= real * 1.15


def test_a_long_name_keeps_its_ends() -> None:
    assert style.elided("short", 10) == "short"
    assert style.elided("encoder.layers.11.attention.weight", 20) == "encode…ention.weight"

"""Numbers and texts as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_gm.viz import style


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


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_root_mean_square_is_that_of_float64(scale: float) -> None:
    numbers = np.random.default_rng(0).normal(size=(300, 400)) * scale
    for array in (numbers.astype(np.float32), numbers.astype(np.float32).T):
        wanted = float((array.astype(np.float64) ** 2).sum())
        assert style.sum_of_squares(array) == pytest.approx(wanted, rel=1e-5)
    assert style.size(np.array([3.0, -4.0])) == "3.536"  # √12.5
    assert style.size(np.array([1.0, np.nan])) == style.describe(np.array([1.0, np.nan]))[0]


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

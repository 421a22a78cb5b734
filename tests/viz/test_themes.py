"""Colours: every text can be read, and every kind of border is told apart by every kind of eye."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinygrad_gm.viz.themes import THEMES, Theme, theme

every_theme = pytest.mark.parametrize("colours", THEMES.values(), ids=THEMES)


def linear(colour: str) -> np.ndarray:
    """Linear light of an sRGB colour "#RRGGBB"."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    weights = [0.2126, 0.7152, 0.0722]
    darker, lighter = sorted(float(linear(colour) @ weights) for colour in (one, two))
    return (lighter + 0.05) / (darker + 0.05)


# What people without one kind of cone see, on linear light: Machado, Oliveira and Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.0.
EYES = {
    "all three kinds of cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of linear sRGB light."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x, y, z = to_xyz @ np.clip(light, 0, 1) / [0.95047, 1.0, 1.08883]
    fx, fy, fz = (
        np.cbrt(t) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)
    )
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def difference(one: np.ndarray, two: np.ndarray) -> float:
    """ΔE2000 of two CIELAB colours (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, two
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = (1 - np.sqrt(mean**7 / (mean**7 + 25**7))) / 2
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = h2 - h1
    if c1 * c2 == 0:
        turn, hue = 0.0, h1 + h2
    elif abs(turn) <= 180:
        hue = (h1 + h2) / 2
    else:
        turn += 360 if turn < 0 else -360
        hue = (h1 + h2 + 360) / 2 if h1 + h2 < 360 else (h1 + h2 - 360) / 2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    def cos(degrees: float) -> float:
        return float(np.cos(np.radians(degrees)))

    t = 1 - 0.17 * cos(hue - 30) + 0.24 * cos(2 * hue)
    t += 0.32 * cos(3 * hue + 6) - 0.20 * cos(4 * hue - 63)
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    spread = 2 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    rotation = -spread * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    dl, dc = (l2 - l1) / s_l, (c2 - c1) / s_c
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / s_h
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


@pytest.mark.parametrize(
    ("one", "two", "published"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_of_colours_is_the_published_one(one, two, published: float) -> None:
    assert difference(np.array(one), np.array(two)) == pytest.approx(published, abs=5e-5)


def test_a_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)


def texts_on_grounds(colours: Theme) -> set[tuple[str, str]]:
    pairs = {(look.text, look.ground) for look in colours.looks.values()}
    # a card's rows are written in its look's text on the paper, or on what a row says
    rows = (colours.paper, colours.zero)
    pairs |= {(look.text, ground) for look in colours.looks.values() for ground in rows}
    pairs |= {(ink, colours.paper) for ink in (colours.ink, colours.quiet, colours.flow)}
    pairs |= {(colours.ink, ground) for ground in (*colours.states.values(), *colours.heat)}
    clusters = (colours.cluster.ground, colours.cluster.text)
    pairs |= {(clusters[1], clusters[0])}
    pairs |= {(ink, clusters[0]) for ink in (colours.ink, colours.quiet, colours.flow)}
    pairs |= {(colours.alarm.text, colours.alarm.ground)}
    return pairs


@every_theme
def test_every_text_stands_out_from_its_ground(colours: Theme) -> None:
    weak = {pair: contrast(*pair) for pair in texts_on_grounds(colours) if contrast(*pair) < 4.5}
    assert not weak


@every_theme
def test_borders_and_lines_stand_out_from_the_paper(colours: Theme) -> None:
    borders = [look.border for look in colours.looks.values()] + [colours.line, *colours.orders]
    borders.append(colours.alarm.border)
    weak = {border: contrast(border, colours.paper) for border in borders}
    assert not {border: ratio for border, ratio in weak.items() if ratio < 3}


@every_theme
@pytest.mark.parametrize("eye", EYES)
def test_borders_are_told_apart_by_every_kind_of_eye(colours: Theme, eye: str) -> None:
    groups = [
        {kind: look.border for kind, look in colours.looks.items() if kind != "group"}
        | {"alarm": colours.alarm.border},
        dict(enumerate(colours.orders)),
    ]
    for borders in groups:
        seen = {kind: lab(EYES[eye] @ linear(colour)) for kind, colour in borders.items()}
        for one, two in itertools.combinations(seen, 2):
            assert difference(seen[one], seen[two]) >= 10, (one, two)


@every_theme
def test_no_two_kinds_of_card_differ_by_colour_alone(colours: Theme) -> None:
    cards = [look for kind, look in colours.looks.items() if kind not in ("operation", "group")]
    for one, two in itertools.combinations([*cards, colours.alarm], 2):
        assert (one.width, one.dashed) != (two.width, two.dashed)


@every_theme
def test_heat_rises_in_equal_order_of_lightness(colours: Theme) -> None:
    lightness = [lab(linear(ground))[0] for ground in colours.heat]
    steps = np.diff(lightness)
    assert (steps < 0).all() or (steps > 0).all()


def test_an_unknown_theme_is_refused() -> None:
    assert theme("dark") is THEMES["dark"]
    with pytest.raises(ValueError, match='theme is "sepia"; use "light", "dark" or "print"'):
        theme("sepia")

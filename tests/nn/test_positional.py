"""Sinusoidal positional encoding against the paper's formula and what it promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn


def by_hand(position: int, width: int) -> list[float]:
    """Vaswani et al. 2017, §3.5: entry 2i a sine, 2i + 1 the cosine of the same angle."""
    angles = [position / 10000 ** (2 * (entry // 2) / width) for entry in range(width)]
    return [math.cos(a) if entry % 2 else math.sin(a) for entry, a in enumerate(angles)]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8])
def test_the_code_is_the_papers_for_even_and_odd_widths(width: int) -> None:
    encoding = nn.SinusoidalPositionalEncoding(width, max_len=60, dtype=tg.float64)
    wanted = [by_hand(position, width) for position in range(60)]
    np.testing.assert_allclose(
        encoding(tg.zeros((60, width))).numpy(), wanted, rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(encoding.pe.numpy(), wanted, rtol=1e-12, atol=1e-14)


def test_a_shift_of_the_position_rotates_every_pair() -> None:
    """PE(p + k) is a linear function of PE(p), the reason the paper gives for its choice."""
    pe = nn.SinusoidalPositionalEncoding(8, max_len=100, dtype=tg.float64).pe.numpy()
    for pair in range(4):
        k = 7
        angle = k / 10000 ** (2 * pair / 8)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        part = pe[:, 2 * pair : 2 * pair + 2]
        np.testing.assert_allclose(part[k:], part[:-k] @ turn.T, atol=1e-12)


def test_late_positions_are_exact_in_float32() -> None:
    last = nn.SinusoidalPositionalEncoding(4, max_len=100_000).pe.numpy()[-1]
    np.testing.assert_allclose(last, by_hand(99_999, 4), atol=1e-7)


def test_the_code_is_added_along_the_sequence_in_either_layout() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
    encoding = nn.SinusoidalPositionalEncoding(5, batch_first=False)
    out = encoding(tg.tensor(x)).numpy()
    np.testing.assert_allclose(out, x + encoding.pe.numpy()[:3, None], rtol=1e-6)
    first = nn.SinusoidalPositionalEncoding(5)
    np.testing.assert_array_equal(first(tg.tensor(x.swapaxes(0, 1))).numpy(), out.swapaxes(0, 1))
    for one in (encoding, first):
        np.testing.assert_array_equal(one(tg.tensor(x[:, 0])).numpy(), out[:, 0])


def test_the_batch_comes_first_unless_it_is_said_otherwise() -> None:
    encoding = nn.SinusoidalPositionalEncoding(4, max_len=7)
    out = encoding(tg.zeros((2, 7, 4))).numpy()
    np.testing.assert_allclose(out, [[by_hand(p, 4) for p in range(7)]] * 2, rtol=1e-5, atol=1e-6)
    assert repr(encoding).startswith("SinusoidalPositionalEncoding(\n  d_model=4, max_len=7\n")
    other = nn.SinusoidalPositionalEncoding(4, max_len=7, batch_first=False)
    assert "max_len=7, batch_first=False" in repr(other)


def test_steps_from_a_start_are_the_whole() -> None:
    encoding, x = nn.SinusoidalPositionalEncoding(4, max_len=6), tg.ones((2, 6, 4))
    steps = [encoding(x[:, t : t + 1], start=t) for t in range(6)]
    np.testing.assert_array_equal(tg.concat(steps, axis=1).numpy(), encoding(x).numpy())


def test_the_gradient_of_the_input_is_the_identity() -> None:
    x = tg.zeros((3, 2, 4), requires_grad=True)
    nn.SinusoidalPositionalEncoding(4)(x).sum().backward()
    assert (x.grad.numpy() == 1).all()


def test_dropout_comes_after_the_sum() -> None:
    encoding = nn.SinusoidalPositionalEncoding(50, dropout=0.5)
    tg.manual_seed(0)
    x = tg.full((20, 50), 3.0)
    whole = x + encoding.pe[:20]
    out = encoding(x).numpy()
    kept = out != 0  # 3 + a sine is never 0
    assert abs(kept.mean() - 0.5) < 4 * 0.5 / math.sqrt(1000)
    np.testing.assert_allclose(out[kept], 2 * whole.numpy()[kept], rtol=1e-6)
    np.testing.assert_array_equal(encoding.eval()(x).numpy(), whole.numpy())


def test_the_code_moves_with_the_layer_but_is_not_part_of_its_state() -> None:
    encoding = nn.SinusoidalPositionalEncoding(4, max_len=10)
    assert list(encoding.state_dict()) == []
    assert list(encoding.parameters()) == []
    assert encoding.to(tg.float64).pe.dtype == tg.float64
    for dtype in (tg.float32, tg.float64):
        assert encoding(tg.zeros((2, 4), dtype=dtype)).dtype == dtype


MISTAKES: list[tuple[Any, str]] = [
    (lambda layer: layer(tg.zeros((1, 11, 4))), "a sequence of length 11 .* than max_len 10"),
    (lambda layer: layer(tg.zeros((1, 2, 4)), start=9), "length 2 from position 9 on .* 10"),
    (lambda layer: layer(tg.zeros((3, 1, 5))), r"d_model = 4; got \(3, 1, 5\)"),
    (lambda layer: layer(tg.zeros(4)), r"got \(4,\)"),
    (lambda layer: nn.SinusoidalPositionalEncoding(0), "max_len ≥ 1; got 0 and 5000"),
]


@pytest.mark.parametrize(("call", "words"), MISTAKES)
def test_mistakes_are_named(call: Any, words: str) -> None:
    layer = nn.SinusoidalPositionalEncoding(4, max_len=10)
    with pytest.raises(ValueError, match=rf"^SinusoidalPositionalEncoding: [^\n]*{words}"):
        call(layer)

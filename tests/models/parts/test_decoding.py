"""The choice of the next symbol: temperature, top-k, top-p, and the end of a text."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator
from tinygrad_gm.models.parts import decoding
from tinygrad_gm.nn import functional as F

LOGITS = tg.randn((40, 7), generator=Generator(0)) * 2


def kept_sets(logits: tg.Tensor, **limits: float) -> list[set[int]]:
    rows = tg.isfinite(decoding.kept(logits, **limits)).tolist()
    return [{i for i, keep in enumerate(row) if keep} for row in rows]


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.99, 1.0])
def test_top_p_keeps_the_smallest_set_with_that_probability(top_p: float) -> None:
    probabilities = F.softmax(LOGITS.astype(tg.float64), axis=-1).numpy()
    for p, found in zip(probabilities, kept_sets(LOGITS, top_p=top_p), strict=True):
        sizes = range(1, 8)
        sets = (s for size in sizes for s in itertools.combinations(range(7), size))
        smallest = next(
            len(s) for s in sets if sum(p[i] for i in s) >= top_p - (1e-12 if top_p == 1 else 0)
        )
        assert len(found) == smallest
        assert found == set(np.argsort(-p)[:smallest].tolist())
        assert sum(p[i] for i in found) >= top_p - 1e-12


@pytest.mark.parametrize("top_k", [1, 3, 7, 1000])
def test_top_k_keeps_the_k_likeliest_or_all(top_k: int) -> None:
    for row, found in zip(LOGITS.numpy(), kept_sets(LOGITS, top_k=top_k), strict=True):
        assert found == set(np.argsort(-row)[:top_k].tolist())


def test_of_equally_likely_symbols_the_first_are_kept() -> None:
    assert kept_sets(tg.zeros((1, 8)), top_k=3) == [{0, 1, 2}]
    assert kept_sets(tg.zeros((1, 8)), top_p=0.5) == [{0, 1, 2, 3}]


def test_top_p_applies_to_what_top_k_and_the_temperature_leave() -> None:
    logits = tg.log(tg.tensor([[0.4, 0.3, 0.2, 0.1]]))
    assert kept_sets(logits, top_k=2, top_p=0.55) == [{0}]  # 4/7 of the two
    assert kept_sets(logits, top_p=0.55) == [{0, 1}]
    assert kept_sets(logits, top_p=0.53, temperature=0.5) == [{0}]  # 16/30


def test_kept_logits_are_divided_by_the_temperature_and_stay_in_place() -> None:
    found = decoding.kept(LOGITS, temperature=2.0, top_k=4).numpy()
    keep = np.isfinite(found)
    assert (keep.sum(axis=1) == 4).all()
    assert (found[keep] == (LOGITS.numpy() / 2)[keep]).all()
    assert (found[~keep] == -math.inf).all()


def test_symbols_are_drawn_as_often_as_they_are_likely() -> None:
    logits = tg.tile(LOGITS[:1], (20_000, 1))
    drawn = decoding.choose(logits, 0.7, top_k=4, generator=Generator(2))
    p = F.softmax(decoding.kept(LOGITS[:1], 0.7, top_k=4), axis=-1)[0].numpy()
    share = np.bincount(drawn.numpy(), minlength=7) / 20_000
    assert (abs(share - p) <= 4 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_temperature_0_takes_the_likeliest() -> None:
    assert (decoding.choose(LOGITS, temperature=0) == tg.argmax(LOGITS, axis=-1)).all()


def test_a_logit_of_minus_infinity_is_never_chosen() -> None:
    logits = tg.tensor([[-math.inf, 0.0, -math.inf]])
    for limits in ({}, {"top_k": 3}, {"top_p": 1.0}, {"temperature": 0.0}):
        assert decoding.choose(logits, generator=Generator(0), **limits).tolist() == [1]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"temperature": -0.5}, "temperature is -0.5"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused(limits: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decoding.choose(LOGITS, **limits)


def test_symbols_are_computed_when_they_are_asked_for() -> None:
    calls = []

    def decoder(new: tg.Tensor) -> tg.Tensor:
        calls.append(new.shape)
        return tg.zeros((len(new), 3))

    symbols = decoding.symbols(decoder, tg.zeros((2, 4), dtype=tg.int64), 5, generator=Generator(0))
    assert calls == []
    next(symbols)
    assert calls == [(2, 4)]
    assert len([*symbols]) == 4
    assert calls == [(2, 4)] + [(2, 1)] * 4

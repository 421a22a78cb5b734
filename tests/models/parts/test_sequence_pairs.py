"""Pairs of sequences: dates in words, letters copied or reversed, their tokens."""

from __future__ import annotations

import datetime
import itertools
import re

import pytest

from tinygrad_gm.models import transformer
from tinygrad_gm.models.parts import dates, sequence_pairs


def test_held_out_years_are_neither_trained_on_nor_validated_with():
    years = dates.years()
    assert sorted(itertools.chain(*years.values())) == list(range(1700, 2200))
    assert [len(years[split]) for split in sequence_pairs.SPLITS] == [400, 50, 50]
    for split in sequence_pairs.SPLITS:
        pairs = sequence_pairs.held_out(sequence_pairs.Dates(), 300, split)
        assert {int(pair.target[:4]) for pair in pairs} <= set(years[split])


def test_every_date_can_be_encoded_in_every_format():
    task = sequence_pairs.Dates()
    for year in range(1700, 2200, 29):
        each = itertools.product(range(1, 13), range(len(dates.FORMATS)), (False, True))
        for month, form, words in each:
            date = datetime.date(year, month, 1 + (year + 5 * month) % 28)
            text = dates.written(date, form, words, weekday=words)
            assert task.normalised(text) == text
            assert task.decode(task.encode([text])[0, 1:]) == text
    longest = dates.written(datetime.date(1777, 8, 27), 0, words=True, weekday=True)
    assert longest == "wednesday the twenty-seventh of august seventeen seventy-seven"


def test_a_date_is_read_as_it_is_said():
    words = {
        1700: "seventeen hundred",
        1801: "eighteen oh one",
        1999: "nineteen ninety-nine",
        2000: "two thousand",
        2009: "two thousand and nine",
        2010: "twenty ten",
        2100: "twenty-one hundred",
        2140: "twenty-one forty",
    }
    assert {year: dates.year_in_words(year) for year in words} == words
    ends = [dates.written(datetime.date(2000, 1, day), 5).split()[1] for day in (1, 2, 3, 4)]
    assert ends == ["1st", "2nd", "3rd", "4th"]
    ends = [dates.written(datetime.date(2000, 1, day), 5).split()[1] for day in (11, 12, 13, 22)]
    assert ends == ["11th", "12th", "13th", "22nd"]


@pytest.mark.parametrize("reverse", [False, True])
def test_letters_are_copied_or_reversed(reverse):
    task = sequence_pairs.Letters(reverse, symbols=20, length=20)
    pairs = sequence_pairs.held_out(task, 50)
    assert all(len(pair.source) == 20 for pair in pairs)
    assert {pair.target for pair in pairs} == {
        pair.source[::-1] if reverse else pair.source for pair in pairs
    }
    assert pairs == sequence_pairs.held_out(task, 50)
    assert pairs != sequence_pairs.held_out(task, 50, "validation")


def test_tokens_of_texts_have_a_start_an_end_and_padding():
    task = sequence_pairs.Task("cab", longest=3)
    assert task.encode(["ab", "cab", "c"]).tolist() == [
        [1, 3, 4, 2, 0],
        [1, 5, 3, 4, 2],
        [1, 5, 2, 0, 0],
    ]
    assert task.decode([3, 4, 2, 5]) == "ab"
    assert task.decode([3, 4]) == "ab"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a!bc", "'a!bc' contains '!'; the model knows the characters 'abc'"),
        ("abcab", "'abcab' has 5 characters; the model was trained on texts of 4"),
        ("", "'' has 0 characters; the model was trained on texts of 4"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_in_one_line(text, words):
    model = transformer.build(transformer.Config(symbols=3, length=4, d_model=8))
    with pytest.raises(ValueError, match=re.escape(words)):
        model.translate([text])

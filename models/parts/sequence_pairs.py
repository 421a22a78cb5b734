"""Pairs of texts for the Transformer: letters to copy or reverse, and dates to translate.

A pair is drawn each time it is used, so no epoch repeats another. Letters are held out by chance:
there are 20²⁰ sequences of 20 letters. Dates are held out by year: 400 of the years 1700 to 2199
are for training, 50 for validation, to choose settings, and 50 for the test.
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data
from tinygrad_gm.backend import ArrayLike

from . import dates

PADDING, START, END = 0, 1, 2  # the tokens before those of the characters
SPLITS = ("train", "validation", "test")
TASKS = ("copy", "reverse", "dates")


class Pair(NamedTuple):
    """A text and its translation."""

    source: str
    target: str


class Task:
    """Texts to translate, as tokens.

    Args:
        characters: the characters of all texts, in any order.
        longest: largest number of characters of a text.
        shortest: smallest number.

    Attributes: `tokens`, the number of different tokens, and `max_len`, the largest number of them
    in a sequence.
    """

    def __init__(self, characters: str, longest: int, shortest: int = 1) -> None:
        self.characters = "".join(sorted(characters))
        self.longest, self.shortest = longest, shortest
        self.tokens, self.max_len = END + 1 + len(characters), longest + 2
        self._numbers = {c: END + 1 + i for i, c in enumerate(self.characters)}

    def draw(self, count: int, split: str = "train") -> list[Pair]:
        """New pairs, from the default generator."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts as tokens (N, L) between START and END, and padding after them.

        Raises:
            ValueError: the length of a text or a character does not fit the task.
        """
        for text in texts:
            if not self.shortest <= len(text) <= self.longest:
                least = "" if self.shortest == self.longest else f"{self.shortest} to "
                raise ValueError(
                    f"{_shortened(text)!r} has {len(text)} characters; the model was trained on "
                    f"texts of {least}{self.longest}"
                )
            if unknown := sorted(set(text) - self._numbers.keys()):
                raise ValueError(
                    f"{_shortened(text)!r} contains {unknown[0]!r}; the model knows the characters "
                    f"{self.characters!r}"
                )
        width = 2 + max(map(len, texts), default=0)
        rows = [[START, *(self._numbers[c] for c in text), END] for text in texts]
        for row in rows:
            row += [PADDING] * (width - len(row))
        return tg.asarray(np.array(rows, np.int64).reshape(-1, width))  # faster than from lists

    def decode(self, tokens: ArrayLike) -> str:
        """The text of tokens (L,) up to the first END; other special tokens are left out."""
        numbers = list(tg.asarray(tokens).tolist())
        text = numbers[: numbers.index(END)] if END in numbers else numbers
        return "".join(self.characters[number - END - 1] for number in text if number > END)

    def normalised(self, text: str) -> str:
        """A text as the task writes it: in lower case, with single spaces and without commas."""
        return " ".join(text.lower().replace(",", " ").split())


class Letters(Task):
    """Random letters, to copy or to reverse.

    Args:
        reverse: reverse the order.
        symbols: number of different letters, at most 26.
        length: number of letters of each sequence.

    >>> with tg.random.using(Generator(0)):
    ...     Letters(reverse=True, symbols=3, length=4).draw(1, "test")
    [Pair(source='cbba', target='abbc')]
    """

    def __init__(self, reverse: bool, symbols: int, length: int) -> None:
        super().__init__("abcdefghijklmnopqrstuvwxyz"[:symbols], length, length)
        self.reverse = reverse

    def draw(self, count: int, split: str = "train") -> list[Pair]:
        """New sequences, for every split alike."""
        numbers = tg.randint(0, len(self.characters), (count, self.longest)).tolist()
        texts = ["".join(self.characters[number] for number in row) for row in numbers]
        return [Pair(text, text[::-1] if self.reverse else text) for text in texts]


class Dates(Task):
    """Dates in English, to write as ISO 8601: see `dates`.

    >>> with tg.random.using(Generator(0)):
    ...     Dates().draw(1, "test")
    [Pair(source='august the sixteenth 1789', target='1789-08-16')]
    """

    def __init__(self) -> None:
        super().__init__("abcdefghijklmnopqrstuvwxyz0123456789 -", dates.LONGEST)
        self.years = dates.years()

    def draw(self, count: int, split: str = "train") -> list[Pair]:
        """New dates, of the years of the split."""
        years = self.years[split]
        sizes = len(years), 12, 31, len(dates.FORMATS), 2, 3
        draws = (tg.randint(0, size, (count,)).tolist() for size in sizes)
        found = []
        for year, month, day, form, words, weekday in zip(*draws, strict=True):
            last = calendar.monthrange(years[year], month + 1)[1]
            date = datetime.date(years[year], month + 1, day % last + 1)
            text = dates.written(date, form, words == 1, weekday == 1)
            found.append(Pair(text, date.isoformat()))
        return found


def task(name: str, symbols: int, length: int) -> Task:
    """A task by name: "copy" and "reverse" of letters, or "dates"."""
    if name == "dates":
        return Dates()
    return Letters(name == "reverse", symbols, length)


class Draws(data.Dataset):
    """Pairs of a task as tokens, newly drawn for each batch.

    In a loader they depend on (seed, epoch, batch number) only.

    Args:
        task: the task.
        count: number of pairs in an epoch.

    >>> source, target = Draws(Letters(False, symbols=20, length=5), 1000).batch(range(64))
    >>> source.shape == target.shape
    True
    """

    def __init__(self, task: Task, count: int) -> None:
        self.task, self.count = task, count

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        source, target = self.batch([index])
        return source[0], target[0]

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: ArrayLike) -> tuple[Tensor, ...]:
        """New pairs, one for each index: tokens (N, S) and (N, L)."""
        sources, targets = zip(*self.task.draw(len(indices)), strict=True)
        return self.task.encode(sources), self.task.encode(targets)


def held_out(task: Task, count: int, split: str = "test") -> list[Pair]:
    """The same pairs of a split in every call."""
    with tg.random.using(Generator(SPLITS.index(split))):
        return task.draw(count, split)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."

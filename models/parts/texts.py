"""Texts for the language models: the data sets by name, their vocabulary, and blocks of symbols."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor, data
from tinygrad_gm.backend import ArrayLike
from tinygrad_gm.data.text import read_text

IGNORED = -1  # a target that does not count
BOUNDARIES = {"names": "."}  # data sets of many texts, and the symbol before and after each
_TEXTS: dict[str, Callable[[], str]] = {
    "shakespeare_small": data.shakespeare_small,
    "shakespeare": data.shakespeare,
}
SETS = (*_TEXTS, "names")


class Corpus(NamedTuple):
    """The texts of a data set: a list of words, or of a single long text, in each part.

    Attributes:
        vocabulary: the characters of all parts.
        boundary: the symbol before and after each text; None: the text is a part of a longer one.
        train, validation: the texts to learn from, and those to choose settings with.
        test: further texts for the final figure; none if there is only one text.
    """

    vocabulary: data.Characters
    boundary: str | None
    train: list[str]
    validation: list[str]
    test: list[str]

    def encoded(self, text: str) -> Tensor:
        """The symbols of a text as integers, with the boundaries."""
        boundary = self.boundary or ""
        return self.vocabulary.encode(f"{boundary}{text}{boundary}")

    def blocks(self, part: Sequence[str], context: int) -> data.TensorDataset:
        """All symbols of a part, in blocks of at most `context`, each predicted exactly once.

        Returns:
            Pairs of inputs and targets, int64 (N, context). The target of an input is the next
            symbol. The rest of a shorter block is filled with 0 and `IGNORED`.

        Raises:
            ValueError: a short text does not fit into a block, or a long one has no block.

        >>> corpus = Corpus(data.Characters("abc."), ".", ["ab"], [], [])
        >>> inputs, targets = corpus.blocks(corpus.train, 4).tensors
        >>> inputs.tolist(), targets.tolist()
        ([[0, 1, 2, 0]], [[1, 2, 0, -1]])
        """
        rows: list[Any] = []
        for text in part:
            symbols = self.encoded(text).numpy()
            if self.boundary and len(symbols) > context + 1:
                raise ValueError(
                    f"the text {text!r} with its boundaries needs a context of {len(symbols) - 1} "
                    f"symbols, not {context}"
                )
            rows += [
                symbols[start : start + context + 1]
                for start in range(0, len(symbols) - 1, context)
            ]
        if not rows:
            raise ValueError("a text of at least two characters is needed, to predict the second")
        inputs = np.zeros((len(rows), context), np.int64)
        targets = np.full((len(rows), context), IGNORED)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1], targets[i, : len(row) - 1] = row[:-1], row[1:]
        return data.TensorDataset(tg.tensor(inputs), tg.tensor(targets))

    def examples(self, context: int) -> data.Dataset:
        """The training examples: whole words, or every window of `context` symbols of the text.

        Raises:
            ValueError: a word is longer than the context, or the text is shorter.
        """
        if self.boundary:
            return self.blocks(self.train, context)
        return Windows(self.encoded(self.train[0]), context)


class Windows(data.Dataset):
    """Every window of a sequence of symbols, with the symbols that follow: pairs (context,).

    >>> inputs, targets = Windows(tg.arange(5), 3).batch([0, 1])
    >>> inputs.tolist(), targets.tolist()
    ([[0, 1, 2], [1, 2, 3]], [[1, 2, 3], [2, 3, 4]])
    """

    def __init__(self, symbols: Tensor, context: int) -> None:
        if len(symbols) <= context:
            raise ValueError(
                f"a context of {context} symbols needs a longer text: this one has {len(symbols)}"
            )
        self.symbols, self.context = symbols, context

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.batch([index])
        return inputs[0], targets[0]

    def __len__(self) -> int:
        return len(self.symbols) - self.context

    def batch(self, indices: ArrayLike) -> tuple[Tensor, Tensor]:
        """The windows that begin at the indices."""
        places = tg.asarray(indices)[:, None] + tg.arange(self.context)
        return self.symbols[places], self.symbols[places + 1]


class Draws(data.Dataset):
    """`count` random items of a data set, each drawn from all items by the default generator.

    >>> draws = Draws(Windows(tg.arange(5), 3), 100)
    >>> len(draws), len(draws.batch(range(8))[0])
    (100, 8)
    """

    def __init__(self, dataset: data.Dataset, count: int) -> None:
        self.dataset, self.count = dataset, count

    def __getitem__(self, index: int) -> Any:
        return self.dataset[tg.randint(len(self.dataset), (1,)).item()]

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: ArrayLike) -> Any:
        """As many random items as there are indices."""
        return self.dataset.batch(tg.randint(len(self.dataset), (len(indices),)))


def load(name: str) -> Corpus:
    """The corpus of a data set.

    `names` is split into 80, 10 and 10 % after `random.seed(42)` and `random.shuffle`, as by
    Karpathy's makemore; of a text the first 90 % are for training.

    Args:
        name: "names", "shakespeare", "shakespeare_small", or the path of a text in UTF-8.

    Raises:
        FileNotFoundError: the file is missing; the message says where to put it.
        ValueError: the file is not text in UTF-8, or has fewer than 20 characters.

    >>> corpus = load("shakespeare_small")
    >>> len(corpus.vocabulary), len(corpus.validation[0])
    (62, 20000)
    """
    if name == "names":
        words = data.names()
        random.Random(42).shuffle(words)
        first, second = int(0.8 * len(words)), int(0.9 * len(words))
        boundary = BOUNDARIES[name]
        vocabulary = data.Characters(boundary + "".join(words))
        return Corpus(vocabulary, boundary, words[:first], words[first:second], words[second:])
    if name in _TEXTS:
        text = _TEXTS[name]()
    elif Path(name).exists():
        text = read_text(Path(name))
    else:
        raise FileNotFoundError(
            f"there is no file {name!r}, nor a data set; those are {', '.join(SETS)}"
        )
    if len(text) < 20:
        raise ValueError(f"{name} has {len(text)} characters; expected at least 20")
    cut = int(0.9 * len(text))
    return Corpus(data.Characters(text), None, [text[:cut]], [text[cut:]], [])

"""The picture of an n-gram model: how often each character follows each other one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tinygrad_gm as tg
from tinygrad_gm import Tensor, pictures

from ..ngram import Counts, pairs
from ..parts.texts import Corpus
from .classifier import mixed

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = {"\n": "\\n", " ": "sp"}  # names of characters that leave no ink
MOST = 100  # characters in the table, the most frequent ones


def write_picture(corpus: Corpus, folder: Path) -> None:
    """Write `bigrams.png`, the counts of the training texts, to a run's folder."""
    found = counts(corpus)
    frequent = tg.sort(tg.argsort(-found.sum(axis=1))[:MOST])
    symbols = corpus.vocabulary.decode(frequent)
    picture = table(found[frequent][:, frequent], symbols)
    pictures.save(picture, folder / "bigrams.png")


def counts(corpus: Corpus) -> Tensor:
    """How often character j follows character i in the training texts, (V, V)."""
    model = Counts(len(corpus.vocabulary), context=1)
    model.count(*pairs(model, corpus, corpus.train))
    found = tg.zeros((model.symbols, model.symbols))
    found[model.rows] = model.counts[:-1]
    return found


def table(counts: Tensor, symbols: str) -> Image:
    """Draw counts (V, V): a row for the first character, a column for the second, the darker the
    more. With up to 30 characters the pairs and counts are written into the cells.
    """
    from PIL import Image, ImageDraw, ImageFont

    written = len(symbols) <= 30
    cell = 36 if written else 14
    small, font = ImageFont.load_default(10), ImageFont.load_default(13 if written else 10)
    names = [SHOWN.get(symbol, symbol) for symbol in symbols]
    left, size = 30, cell * len(names)
    picture = Image.new("RGB", (left + size + 8, left + size + 8), "white")
    draw = ImageDraw.Draw(picture)
    most = max(counts.max().item(), 1.0)
    for i, row in enumerate(counts.tolist()):
        middle = left + cell * i + cell // 2
        draw.text((left - 6, middle), names[i], pictures.INK, font, "rm")
        draw.text((middle, left - 6), names[i], pictures.INK, font, "ms")
        for j, count in enumerate(row):
            x, y = left + cell * j, left + cell * i
            share = (count / most) ** 0.5
            draw.rectangle([(x, y), (x + cell - 2, y + cell - 2)], mixed("#0072B2", share))
            if written:
                ink = "white" if share > 0.65 else pictures.INK
                draw.text((x + cell // 2, y + 10), names[i] + names[j], ink, small, "mm")
                draw.text((x + cell // 2, y + 24), f"{count:.0f}", ink, small, "mm")
    return picture

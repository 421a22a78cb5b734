"""Pictures of a classifier: its confusion matrix, and its most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tinygrad_gm as tg
from tinygrad_gm import Tensor, pictures

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 56  # pixels of a cell of the matrix
TALL = 72  # least height of an image among the mistakes


def write_pictures(
    images: Tensor, labels: Tensor, logits: Tensor, classes: Sequence[str], folder: Path
) -> None:
    """Write `confusion.png`, and `mistakes.png` if there are any, to a run's folder."""
    counts = confusion(tg.argmax(logits, axis=1), labels, len(classes))
    pictures.save(matrix(counts, classes), folder / "confusion.png")
    if (sheet := mistakes(images, labels, logits, classes)) is not None:
        pictures.save(sheet, folder / "mistakes.png")


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The number of images of class i that are taken for class j, (classes, classes).

    >>> confusion(tg.tensor([0, 1, 1]), tg.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels * classes + predicted
    return tg.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def matrix(counts: Tensor, classes: Sequence[str]) -> Image:
    """Draw a confusion matrix: rows are labels, columns predictions, in percent of each row."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(15)
    left = 24 + round(max(font.getlength(name) for name in classes))
    top = left + 20
    size = CELL * len(classes)
    picture = Image.new("RGB", (left + size + 12, top + size + 12), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((8, 8), "label \\ prediction, %", pictures.INK, font)
    for row, of_label in enumerate(counts.tolist()):
        middle = top + CELL * row + CELL // 2
        draw.text((left - 8, middle), classes[row], pictures.INK, font, anchor="rm")
        for column, count in enumerate(of_label):
            share = count / max(sum(of_label), 1)
            x, y = left + CELL * column, top + CELL * row
            shade = mixed("#009E73" if row == column else "#D55E00", share**0.5)
            draw.rectangle([(x, y), (x + CELL - 2, y + CELL - 2)], shade)
            if count:
                draw.text((x + CELL // 2, middle), f"{100 * share:.3g}", pictures.INK, font, "mm")
    for column, name in enumerate(classes):
        _upright(picture, name, (left + CELL * column + CELL // 2, top - 8), font)
    return picture


def mixed(colour: str, share: float) -> tuple[int, ...]:
    """A colour mixed with white."""
    levels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return tuple(round(255 + (level - 255) * share) for level in levels)


def _upright(picture: Image, text: str, foot: tuple[int, int], font: Any) -> None:
    """Write a text from a point upwards."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (round(font.getlength(text)) + 2, 20), "white")
    ImageDraw.Draw(strip).text((0, 10), text, pictures.INK, font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    picture.paste(turned, (foot[0] - turned.width // 2, foot[1] - turned.height))


def mistakes(
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    classes: Sequence[str],
    count: int = 40,
    columns: int = 8,
) -> Image | None:
    """Draw the misclassified images with the highest probability, each with that probability, the
    predicted class and the label; None if all are right.

    Args:
        images: (N, 1, H, W) or (N, 3, H, W), in [0, 1].
        labels: (N,).
        logits: (N, K).
        classes: the names of the K classes.
        count: maximum number of images.
        columns: number of images in a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    probabilities = tg.softmax(logits, axis=1)
    sure, predicted = tg.max(probabilities, axis=1), tg.argmax(logits, axis=1)
    wrong = tg.nonzero(predicted != labels)[0]
    order = wrong[tg.argsort(-sure[wrong])][:count].tolist()
    if not order:
        return None
    font = ImageFont.load_default(12)
    scale = max(1, -(-TALL // images.shape[-1]))
    width, height = images.shape[-1] * scale + 12, images.shape[-2] * scale + 44
    rows = -(-len(order) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(order)), height * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for number, i in enumerate(order):
        row, column = divmod(number, columns)
        x, y = column * width + 6, row * height + 6
        sheet.paste(pictures.grid(images[i][None], scale=scale, gap=0).convert("RGB"), (x, y))
        y += images.shape[-2] * scale + 2
        guess = f"{100 * sure[i].item():.0f} % {classes[int(predicted[i])]}"
        draw.text((x, y), guess, "#A03000", font)
        draw.text((x, y + 15), f"is {classes[int(labels[i])]}", pictures.INK, font)
    return sheet

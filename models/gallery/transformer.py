"""Pictures of a Transformer: what each head attends to, and the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor, pictures
from tinygrad_gm.training.metrics import read_metrics

from ..parts.sequence_pairs import END, START, Pair, held_out
from ..transformer import Translator

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 12  # pixels of a weight
MARGIN, GAP = 24, 12  # of a panel, for its tokens; between panels
SYMBOLS = {START: "‹", END: "›"}


@tg.no_grad()
def attention(model: Translator, pair: Pair) -> dict[str, Tensor]:
    """The weights of all heads when a pair is read: (layers, heads, queries, keys) each.

    Returns:
        "encoder", the self-attention of the source; "decoder", that of the target without its end;
        and "memory", the attention of the target to the source. Query i of the target is of the
        step that predicts its token i + 1.
    """
    network: Any = model.network
    encoder, decoder = network.encoder.layers, network.decoder.layers
    attentions = {
        "encoder": [layer.self_attn for layer in encoder],
        "decoder": [layer.self_attn for layer in decoder],
        "memory": [layer.src_attn for layer in decoder],
    }
    found: dict[Any, Tensor] = {}

    def note(module: Any, inputs: tuple[Any, ...], _: Any) -> None:
        query, key, _, mask = inputs[:4]
        found[module] = module.weights(query, key, mask)[0]

    handles = [
        module.register_forward_hook(note) for modules in attentions.values() for module in modules
    ]
    training = model.training
    try:
        source, target = model.task.encode([pair.source]), model.task.encode([pair.target])
        model.eval()(source, target[:, :-1])
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return {name: tg.stack([found[m] for m in modules]) for name, modules in attentions.items()}


def panels(weights: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Image:
    """Draw weights (layers, heads, L, S), a row of panels for each layer, dark where a query (row)
    attends to a key (column).
    """
    from PIL import Image, ImageDraw, ImageFont

    layers, heads, height, width = weights.shape
    across, down = MARGIN + CELL * width + GAP, MARGIN + CELL * height + GAP
    sheet = Image.new("RGB", (heads * across + GAP, layers * down + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for layer, head in np.ndindex(layers, heads):
        left, top = GAP + head * across, GAP + layer * down
        title = f"{layer + 1}.{head + 1}"
        draw.text((left + 4, top + 4), title, "#999999", font)
        for column, symbol in enumerate(columns):
            x = left + MARGIN + CELL * column + CELL // 2
            draw.text((x, top + MARGIN - 2), symbol, pictures.INK, font, anchor="ms")
        for row, symbol in enumerate(rows):
            y = top + MARGIN + CELL * row + CELL // 2
            draw.text((left + MARGIN - 7, y), symbol, pictures.INK, font, anchor="mm")
        levels = 1 - weights[layer, head]
        cells = pictures.grid(levels[None], scale=CELL, gap=0)
        corner = (left + MARGIN, top + MARGIN)
        sheet.paste(cells.convert("RGB"), corner)
        ends = corner[0] + CELL * width, corner[1] + CELL * height
        draw.rectangle([corner, ends], outline=pictures.PALE)
    return sheet


def write_pictures(model: Translator, folder: Path) -> None:
    """Write the attention of one held-out pair to a run's folder: `encoder.png`, `decoder.png` and
    `memory.png`.
    """
    (pair,) = held_out(model.task, 1)
    source, target = (
        [_symbol(model, number) for number in model.task.encode([text])[0].tolist()]
        for text in pair
    )
    labels = {
        "encoder": (source, source),
        "decoder": (target[:-1], target[:-1]),
        "memory": (target[1:], source),  # each query with the token it predicts
    }
    for name, weights in attention(model, pair).items():
        pictures.save(panels(weights, *labels[name]), folder / f"{name}.png")


def write_learning_curve(folder: Path) -> None:
    """Write `learning.png`: the mean loss over every 1 % of the steps."""
    lines = [line for line in read_metrics(folder) if "loss" in line]
    every = -(-len(lines) // 100) or 1
    parts = [lines[start : start + every] for start in range(0, len(lines), every)]
    means = [sum(line["loss"] for line in part) / len(part) for part in parts]
    curves = {"training": ([part[-1]["step"] for part in parts], means)}
    path = folder / "learning.png"
    pictures.curves(curves, x_label="step", y_label="nats per token", path=path)


def _symbol(model: Translator, number: int) -> str:
    return SYMBOLS.get(number) or model.task.characters[number - END - 1]

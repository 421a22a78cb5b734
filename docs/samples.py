"""Makes `pictures/samples.png` of models.md: a row of samples from each trained model.

    python docs/samples.py NAME=MODEL:FOLDER …

draws twelve from the model in each run's folder and writes its name beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tinygrad_gm import Generator, models, pictures

PICTURE = Path(__file__).with_name("pictures") / "samples.png"
MARGIN = 190  # pixels for the names


def main() -> None:
    """One row for each argument, in their order."""
    rows = []
    for argument in sys.argv[1:]:
        name, _, source = argument.partition("=")
        model, _, folder = source.partition(":")
        module = models.load(model)
        drawn = module.sample(module.restore(folder), 12, Generator(0))
        rows.append((name, pictures.grid(drawn, columns=12)))
    width, height = rows[0][1].size
    sheet = Image.new("RGB", (MARGIN + width, len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for number, (name, row) in enumerate(rows):
        sheet.paste(row, (MARGIN, number * height))
        draw.text((8, (number + 0.5) * height), name, "#222222", font, anchor="lm")
    sheet.save(PICTURE)


if __name__ == "__main__":
    main()

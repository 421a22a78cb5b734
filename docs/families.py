"""Compares the families of generative models: the picture and the table of models.md.

    python docs/families.py                            draws pictures/families.svg
    python docs/families.py NAME=MODEL:FOLDER,… …      prints a row of the table for each NAME

The folders of one name are runs with different seeds; a cell has the smallest and the largest
figure. `--count` is the number of samples that are judged, `--images` that of the training images,
of the held-out ones and of the test images for the linear classifier.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, models
from tinygrad_gm.models.parts import linear_probe, metrics, mnist_like
from tinygrad_gm.training import read_checkpoint
from tinygrad_gm.viz.compose.shapes import label, rectangle

PICTURE = Path(__file__).with_name("pictures") / "families.svg"


class Family(NamedTuple):
    """A leaf of the tree.

    Attributes:
        path: the names of the branches that lead to it.
        models: names in `models.NAMES`.
        title: their names in the picture.
        facts: lines about their density.
        density: the same in a word or two, for the table.
        error: number of the error of the notes at this place; 0: none.
    """

    path: tuple[str, str]
    models: tuple[str, ...]
    title: str
    facts: tuple[str, ...]
    density: str
    error: int = 0


EXPLICIT, IMPLICIT = "explicit density", "implicit density"
FAMILIES = (
    Family(
        (EXPLICIT, "exact"),
        ("ngram", "rnn", "gpt", "transformer", "made", "pixelcnn"),
        "n-gram, RNN, GPT, Transformer, MADE, PixelCNN",
        ("autoregressive: p(x) = Π p(xᵢ | x₁, …, xᵢ₋₁)",),
        "exact",
    ),
    Family(
        (EXPLICIT, "exact for codes"),
        ("vqvae",),
        "VQ-VAE with a PixelCNN as its prior; DALL·E",
        ("p(codes) is exact and autoregressive;", "ln p(x) ≥ ln p(x | codes) + ln p(codes)"),
        "exact for codes, bound",
        error=1,
    ),
    Family(
        (EXPLICIT, "bound"),
        ("vae",),
        "VAE",
        ("one latent code, a learned encoder: ln p(x) ≥ ELBO",),
        "bound",
    ),
    Family(
        (EXPLICIT, "bound"),
        ("diffusion", "dit", "sora", "diffusion_policy"),
        "diffusion, DiT, Sora, Diffusion Policy",
        (
            "T latent codes, a fixed encoder: the ELBO has T terms;",
            "the probability-flow ODE has an exact density",
        ),
        "bound (flow: exact)",
        error=2,
    ),
    Family(
        (IMPLICIT, "none"),
        ("gan",),
        "GAN",
        ("x = G(z): samples without a density",),
        "none",
    ),
)
ERRORS = (
    "1  In the notes DALL·E is a diffusion model. The first DALL·E is autoregressive over discrete "
    "codes.",
    "2  In the notes diffusion is a third class. It maximises a bound on an explicit density, as "
    "the VAE does.",
)
INK, QUIET, RED, LINE = "#222222", "#666666", "#B00020", "#8A8A8A"
COLUMNS, WIDTHS = (16, 178, 344, 508), (128, 132, 130, 408)
WIDTH, TOP, APART = 932, 46, 78


# --------------------------------------------------------------------------- the picture


def picture() -> str:
    """The tree of the families, from left to right, as SVG."""
    places = [TOP + APART * number for number in range(len(FAMILIES))]
    rows: dict[tuple[str, ...], list[float]] = {}
    for family, y in zip(FAMILIES, places, strict=True):
        for depth in range(3):
            rows.setdefault(family.path[:depth], []).append(y)
    middles = {path: (min(ys) + max(ys)) / 2 for path, ys in rows.items()}
    parts = [
        _link(len(path), middles[path[:-1]], middle) for path, middle in middles.items() if path
    ]
    parts += [_link(3, middles[family.path], y) for family, y in zip(FAMILIES, places, strict=True)]
    for path, middle in middles.items():
        parts.append(_box(len(path), middle, path[-1] if path else "generative"))
        if not path:
            parts.append(label("models", COLUMNS[0] + 64, middle + 1, 14, INK, "middle", bold=True))
    parts += [_leaf(family, y) for family, y in zip(FAMILIES, places, strict=True)]
    below = places[-1] + 52
    parts.append(label("Where the study notes err", 16, below, 13, RED, bold=True))
    for number, text in enumerate(ERRORS):
        parts.append(label(text, 16, below + 22 + 20 * number, 13, INK))
    height = below + 30 + 20 * len(ERRORS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" font-family="DejaVu Sans, sans-serif">'
        + rectangle(0, 0, WIDTH, height, 'fill="white"')
        + "".join(parts)
        + "</svg>\n"
    )


def _link(depth: int, start: float, end: float) -> str:
    x0, x1 = COLUMNS[depth - 1] + WIDTHS[depth - 1], COLUMNS[depth]
    middle = (x0 + x1) / 2
    return (
        f'<path d="M{x0} {start:.1f}C{middle} {start:.1f} {middle} {end:.1f} {x1} {end:.1f}" '
        f'fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    )


def _box(depth: int, middle: float, title: str) -> str:
    x, width = COLUMNS[depth], WIDTHS[depth]
    paint = f'fill="#EEF3F8" stroke="{LINE}"'
    tall = 44 if depth == 0 else 32
    up = 17 if depth == 0 else 8
    return rectangle(x, middle - tall / 2, width, tall, paint, 6) + label(
        title, x + width / 2, middle - up, 14, INK, "middle", bold=True
    )


def _leaf(family: Family, middle: float) -> str:
    x, width, tall = COLUMNS[3], WIDTHS[3], 30 + 17 * len(family.facts)
    edge, top = RED if family.error else LINE, middle - tall / 2
    drawn = rectangle(x, top, width, tall, f'fill="white" stroke="{edge}"', 6)
    drawn += label(family.title, x + 10, top + 6, 14, INK, bold=True)
    for number, fact in enumerate(family.facts):
        drawn += label(fact, x + 10, top + 26 + 17 * number, 12, QUIET)
    if family.error:
        drawn += f'<circle cx="{x + width}" cy="{top}" r="10" fill="{RED}"/>'
        drawn += label(str(family.error), x + width, top - 8, 13, "white", "middle", bold=True)
    return drawn


# ----------------------------------------------------------------------------- the table

HEADER = (
    "| | density | LeNet distance | sure | minutes of training | seconds for 64 samples | "
    "linear classifier on codes |\n|---|---|---|---|---|---|---|"
)
DIFFUSION = {"sampler": "ddim", "steps": 50}
OPTIONS: dict[str, dict[str, Any]] = {"diffusion": DIFFUSION, "dit": DIFFUSION}  # of `sample`


class Figures(NamedTuple):
    """The figures of one run; None: the model has no samples or no codes."""

    distance: float | None
    sure: float | None
    minutes: float
    seconds: float | None
    accuracy: float | None


def figures(name: str, folder: Path, count: int, images: int) -> Figures:
    """Restore a run of the model `name`, judge `count` samples and classify its codes."""
    module = models.load(name)
    model = module.restore(folder)
    distance = sure = seconds = None
    if hasattr(module, "sample"):
        options = OPTIONS.get(name, {})
        # The first sampling also fills caches.
        seconds = min(_seconds(module, model, options) for _ in range(2))
        generator = Generator(0)
        parts = [min(500, count - done) for done in range(0, count, 500)]
        drawn = tg.concat([module.sample(model, part, generator, **options) for part in parts])
        distance, sure = metrics.lenet_distance(drawn).value, metrics.classes(drawn).purity
    dataset = read_checkpoint(folder)["run"]["config"]["dataset"]
    accuracy = None
    if linear_probe.has_codes(model):
        accuracy = read_by_a_classifier(lambda x: linear_probe.codes(model, x), dataset, images)
    return Figures(distance, sure, minutes(folder), seconds, accuracy)


def _seconds(module: Any, model: Any, options: dict[str, Any]) -> float:
    began = time.perf_counter()
    module.sample(model, 64, Generator(1), **options)
    return time.perf_counter() - began


def read_by_a_classifier(codes: Any, dataset: str, images: int) -> float:
    """The accuracy of a linear classifier on the codes of `images` training images, tested on the
    same number of test images; λ is chosen on as many other training images.
    """
    train, test = mnist_like.load(dataset)
    known = min(images, len(train) // 2)

    def coded(part: tuple[Tensor, Tensor]) -> linear_probe.Codes:
        return linear_probe.Codes(codes(part[0]), part[1])

    parts = (train[:known], train[known : 2 * known], test[:images])
    return linear_probe.accuracy(*map(coded, parts))


def minutes(folder: Path) -> float:
    """The minutes on the clock that a run took, with its stages and all its resumptions."""
    total = 0.0
    for log in (folder / "log.jsonl", *folder.glob("*/log.jsonl")):
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        ends = [i for i, event in enumerate(events) if event["event"] == "start" and i]
        total += sum(events[i - 1]["seconds"] for i in [*ends, len(events)])
    return total / 60


def row(name: str, model: str, found: list[Figures]) -> str:
    """A row of the table, from the figures of the runs with different seeds."""
    density = next((f.density for f in FAMILIES if model in f.models), "none")
    columns = list(zip(*found, strict=True))
    formats = (("{:.1f}", 1), ("{:.1f}", 100), ("{:.1f}", 1), ("{:.2g}", 1), ("{:.1f}", 100))
    units = ("", " %", "", "", " %")
    cells = [
        _between(form, [scale * value for value in column], unit) if None not in column else ""
        for column, (form, scale), unit in zip(columns, formats, units, strict=True)
    ]
    return f"| {name} | {density} | " + " | ".join(cells) + " |"


def _between(form: str, values: list[float], unit: str) -> str:
    """The smallest and the largest value, or one if they read alike."""
    low, high = form.format(min(values)), form.format(max(values))
    return f"{low if low == high else f'{low}–{high}'}{unit}"


def main() -> None:
    """Draw the picture, or print the table of the runs that the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="NAME=MODEL:FOLDER,…", help="runs to compare")
    parser.add_argument("--count", type=int, default=5000, help="samples that are judged")
    parser.add_argument("--images", type=int, default=10_000, help="images for the classifier")
    args = parser.parse_args()
    if not args.rows:
        PICTURE.write_text(picture(), encoding="utf-8")
        return
    print(HEADER)
    dataset = "mnist"
    for argument in args.rows:
        name, _, source = argument.partition("=")
        model, _, folders = source.partition(":")
        runs = [Path(folder) for folder in folders.split(",")]
        dataset = read_checkpoint(runs[0])["run"]["config"]["dataset"]
        found = [figures(model, folder, args.count, args.images) for folder in runs]
        print(row(name, model, found), flush=True)
    pixels = read_by_a_classifier(lambda x: x.reshape(len(x), -1), dataset, args.images)
    print(f"| the pixels themselves | | | | | | {100 * pixels:.1f} % |")


if __name__ == "__main__":
    main()

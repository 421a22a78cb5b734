"""`index.html` of the quickstart: one file with everything in it, read from a finished run."""

from __future__ import annotations

import json
import os
import platform
import shlex
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_gm as tg

from ... import viz
from ...io import write_file
from ...models import vae
from ...models.parts import mnist_like
from ...training.metrics import read_metrics
from ...viz.render.html import ICON, data_uri, filled, script_text
from ...viz.render.raster import size
from ...viz.themes import variables
from . import charts, neuron, sprites

HERE = Path(__file__).parent
TIMES = "time.json"  # the time of the training, which a second run of the command does not repeat
STARTS = (7, 0, 2)  # classes of the digits that the sliders start from
PAIRS = 10  # reconstructions
ROOM = (1340, 640)  # pixels of the graph
DOCS = {
    "tensors.md": "Tensors and operations",
    "gradients.md": "Gradients",
    "engine.md": "The engine in one page",
    "drawing.md": "Drawing graphs",
    "models.md": "The models",
    "runs.md": "Training runs",
}


def write_page(folder: Path, command: str) -> None:
    """Write `index.html` to a folder with the run `vae/` and the drawing `vae-graph.html`."""
    config = vae.Config()
    model = vae.restore(folder / "vae")
    test, labels = mnist_like.load(config.dataset, config.images).test.tensors
    film = neuron.film()
    captions = neuron.captions(film)
    starts = test[[int(np.argmax(labels.numpy() == digit)) for digit in STARTS]]
    digits, codes = sprites.sliders(model, starts)
    sheet, frames = sprites.samples(folder / "vae")
    lines = read_metrics(folder / "vae")
    parts = {
        "icon": ICON,
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "light": variables("light"),
        "dark": variables("dark"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "data": script_text({**film, "codes": codes, "stops": sprites.STOPS, "frames": frames}),
        "captions": captions,
        "facts": _facts(lines, folder, model),
        "charts": _charts(lines),
        "reconstructions": data_uri(sprites.reconstructions(model, test[:PAIRS]), "image/png"),
        "samples": data_uri(sheet, "image/png"),
        "last": str(frames),
        "sliders": _sliders(digits),
        "graph": _graph(config),
        "command": escape(command),
        "machine": escape(_machine()),
        "commands": _commands(folder),
        "documents": _documents(folder),
    }
    write_file(folder / "index.html", filled(HERE / "page.html", parts))


def _facts(lines: list[dict[str, Any]], folder: Path, model: vae.VAE) -> str:
    """Return the run in numbers: its time, its steps, its parameters and its result."""
    found = json.loads((folder / TIMES).read_text(encoding="utf-8"))
    final = lines[-1]
    facts = {
        "training time": f"{found['seconds']:.0f} s",
        "processor time": f"{found['processor_seconds']:.0f} s",
        f"steps, in {final['epoch']} epochs": f"{final['step']:,}",
        "parameters": f"{sum(p.size for p in model.parameters()):,}",
        "nats per test image": f"{final['test_loss']:.1f}",
    }
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())


def _charts(lines: list[dict[str, Any]]) -> str:
    """Return a chart of the loss, and one of each of its parts, over the epochs."""
    epochs = sorted({line["epoch"] for line in lines})
    titles = {
        "loss": "−ELBO, the loss: nats per image",
        "reconstruction": "Reconstruction: −ln p(x|z)",
        "kl": "Divergence of the code from N(0, I)",
    }
    drawn = []
    for name, title in titles.items():
        trained = [
            [line[name] for line in lines if line["epoch"] == e and name in line] for e in epochs
        ]
        series = {
            "training": [(e, sum(row) / len(row)) for e, row in zip(epochs, trained, strict=True)],
            "test": [
                (line["epoch"], line[f"test_{name}"]) for line in lines if f"test_{name}" in line
            ],
        }
        if name == "loss" and "iwae50_loss" in lines[-1]:
            series["test, 50 codes per image"] = [(epochs[-1], lines[-1]["iwae50_loss"])]
        first, last = series["test"][0][1], series["test"][-1][1]
        spoken = f"{title}; on test images {first:.1f} after one epoch, {last:.1f} at the end"
        drawn.append(
            f"<figure><figcaption>{title}</figcaption>"
            f"{charts.chart(series, 'epoch', spoken)}</figure>"
        )
    return "".join(drawn)


def _sliders(digits: list[bytes]) -> str:
    """Return the rules that give each starting digit its sprite, and its button."""
    rules = "".join(
        f'.digit[data-start="{number}"]{{background-image:url({data_uri(png, "image/png")})}}'
        for number, png in enumerate(digits)
    )
    buttons = "".join(
        f'<button data-start="{number}" aria-pressed="{"false" if number else "true"}">a {digit}'
        "</button>"
        for number, digit in enumerate(STARTS)
    )
    return (
        f'<style>{rules}</style><div class="starts" role="group" aria-label="start from">'
        f"<span>Start from</span>{buttons}</div>"
    )


def _graph(config: vae.Config) -> str:
    """Return the closed graph of a training step, in the colours of the reader's choice."""
    loss, leaves = vae.example(config)
    drawn = {}
    for theme in ("light", "dark"):
        drawn[theme] = viz.draw(loss, names=leaves, theme=theme, fit=ROOM).svg()
    width, height = map(round, size(drawn["light"]))
    light, dark = (data_uri(svg.encode(), "image/svg+xml") for svg in drawn.values())
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{width}" height="{height}" '
        'alt="The graph of a training step: encoder, code, decoder and loss"></picture>'
    )


def _machine() -> str:
    """Return the machine and the versions that this run used."""
    return (
        f"{platform.system()} {platform.machine()} with {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, tinygrad_gm {tg.__version__}"
    )


def _commands(folder: Path) -> str:
    """Return five commands to try next."""
    run = shlex.quote(str(folder / "vae"))
    commands = {
        f"tinygrad-gm sample vae --out {run} --count 64": "New digits from the model just trained.",
        "tinygrad-gm train vae --latent-dim 2": "A code of two numbers, and the whole plane of "
        "digits it can draw.",
        "tinygrad-gm draw vae --out vae.html": "The graph of a training step, to open and close.",
        "tinygrad-gm draw neuron --steps": "The neuron above on a page of its own, which lets you "
        "predict each number.",
        "tinygrad-gm models": "All models, from a bigram to diffusion; each is trained by one "
        "command.",
    }
    return "".join(
        f"<li><code>{escape(command)}</code><span>{text}</span></li>"
        for command, text in commands.items()
    )


def _documents(folder: Path) -> str:
    """Return links to the pages of the documentation, where the source distribution is."""
    docs = Path(tg.__file__ or "").resolve().parents[1] / "docs"
    found = {docs / name: title for name, title in DOCS.items() if (docs / name).exists()}
    if not found:
        return "<li><code>python -m pydoc tinygrad_gm</code></li>"
    return "".join(
        f'<li><a href="{escape(_relative(path, folder))}">{title}</a></li>'
        for path, title in found.items()
    )


def _relative(path: Path, folder: Path) -> str:
    """Return the address of a file, seen from a page in a folder."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.as_uri()

"""`tinygrad-gm quickstart`: train one model, and show the results on one page.

`neuron` makes the data of its film, `charts` the curves, `sprites` the images of digits; `page`
puts them into `page.html`, with the style sheet `page.css` and the script `page.js`.
"""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

from ...engine.anomaly import detect_anomaly
from ...io import write_file
from .page import TIMES, write_page


def run(folder: Path) -> None:
    """Play a neuron, train a VAE, and write `index.html` and its drawings to `folder`."""
    from ... import viz
    from ...models import neuron, vae
    from ...training import Run

    folder.mkdir(parents=True, exist_ok=True)
    print("1/3  a neuron, step by step")
    with detect_anomaly():  # which records the lines of the model's file
        loss, leaves = neuron.example(neuron.Config())
    viz.steps(loss, names=leaves, lr=0.5).save(folder / "neuron.html")

    print("2/3  a variational autoencoder on 9,000 handwritten digits")
    config, command = vae.Config(), shlex.join(["tinygrad-gm", "quickstart", "--out", str(folder)])
    began, processor = time.perf_counter(), time.process_time()
    with Run(folder / "vae", config, resume=True, command=command) as training:
        already = training.step
        vae.train(config, training)
    if training.step > already:
        seconds = time.perf_counter() - began, time.process_time() - processor
        times = dict(zip(("seconds", "processor_seconds"), seconds, strict=True))
        write_file(folder / TIMES, json.dumps(times))

    print("3/3  the graph of its training step")
    with detect_anomaly():
        loss, leaves = vae.example(config)
    viz.draw(loss, names=leaves).save(folder / "vae-graph.html")
    write_page(folder, command)
    print(f"done: open {(folder / 'index.html').resolve()}")

"""`tinygrad-gm quickstart`: train one model, and show the results on one page."""

from __future__ import annotations

import base64
import html
import shlex
from pathlib import Path

from ..io import write_file

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tinygrad_gm: the tour</title>
<style>
  body {{ font: 17px/1.55 system-ui, sans-serif; color: #222; background: #fff;
         max-width: 76rem; margin: 3rem auto; padding: 0 1.5rem; }}
  h1 {{ font-size: 2rem; margin-bottom: .3rem; }}
  h2 {{ font-size: 1.25rem; margin: 2.8rem 0 .3rem; }}
  p {{ max-width: 44rem; margin: .3rem 0 1rem; }}
  figure {{ margin: 0; overflow-x: auto; border: 1px solid #ddd; border-radius: 8px;
           padding: 1rem; background: #fff; }}
  img {{ display: block; max-width: 100%; }}
  code {{ background: #f2f2f2; padding: .1em .3em; border-radius: 4px; }}
</style>
<h1>What a small autograd engine can do</h1>
<p>{lead}</p>
{sections}
</html>
"""
SECTION = """<h2>{title}</h2>
<p>{text}</p>
<figure><img src="data:{mime};base64,{data}" alt="{alt}"></figure>
"""


def run(folder: Path) -> None:
    """Draw a neuron, train a VAE, and write pictures and `index.html` to `folder`."""
    from .. import viz
    from ..models import neuron, vae
    from ..training import Run

    folder.mkdir(parents=True, exist_ok=True)
    print("1/3  the graph of a neuron")
    loss, leaves = neuron.example(neuron.Config())
    viz.draw(loss, fit=None, names=leaves).save(folder / "neuron.svg")

    print("2/3  a variational autoencoder on 9,000 handwritten digits")
    config, command = vae.Config(), shlex.join(["tinygrad-gm", "quickstart", "--out", str(folder)])
    with Run(folder / "vae", config, resume=True, command=command) as training:
        vae.train(config, training)

    print("3/3  the graph of its training step")
    loss, leaves = vae.example(config)
    viz.draw(loss, names=leaves, direction="TB").save(folder / "vae-graph.svg")
    write_page(folder)
    print(f"done: open {(folder / 'index.html').resolve()}")


def write_page(folder: Path) -> None:
    """Write `index.html`, which contains all pictures with a text each, in one file."""
    sections = "".join(
        SECTION.format(
            title=html.escape(title),
            text=text,
            mime="image/svg+xml" if path.suffix == ".svg" else "image/png",
            data=base64.b64encode(path.read_bytes()).decode(),
            alt=html.escape(title),
        )
        for title, text, path in ((title, text, folder / name) for title, text, name in CONTENTS)
    )
    page = PAGE.format(lead=LEAD, sections=sections)
    write_file(folder / "index.html", page)


LEAD = (
    "A <em>variational autoencoder</em> has been trained on handwritten digits, with NumPy only. "
    "All numbers on this page are from this run; the checkpoint and the metrics are in "
    "<code>vae/</code>."
)
CONTENTS = (
    (
        "A neuron, and how it learns",
        "Two inputs, two weights, a bias, a sigmoid, a squared error. Values are computed from "
        "left to right, gradients from right to left: the gradient that arrives at a disc is "
        "multiplied by the local derivative on the edge and passed on to the left. If two arrows "
        "leave one card, their gradients are added.",
        "neuron.svg",
    ),
    (
        "Learning",
        "The loss −ELBO in nats per image, on the training images and on 1,000 test images, and "
        "its two parts. Predicting each pixel independently would cost 207.8 nats. The dots at the "
        "end are tighter bounds, with 5 and 50 codes per image.",
        "vae/curves.png",
    ),
    (
        "Reconstructions",
        "Test images (upper rows), encoded as 20 numbers and decoded (lower rows).",
        "vae/reconstructions.png",
    ),
    (
        "New digits",
        "Samples of the model: decoded codes drawn from N(0, I).",
        "vae/samples.png",
    ),
    (
        "The numbers of the code",
        "One digit; in each row one of its 20 numbers changes from −3 to 3. The first rows are the "
        "numbers with the most information about this digit.",
        "vae/traversal.png",
    ),
    (
        "The graph of a training step",
        "The recorded graph that <code>backward()</code> traverses: each card is a variable with "
        "its gradient, each disc an operation.",
        "vae-graph.svg",
    ),
)

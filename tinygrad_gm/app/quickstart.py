"""The tour of the command line: one trained model and one page that shows what happened."""

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
    """Draw a neuron, train the VAE, and write pictures and `index.html` into `folder`."""
    from .. import viz
    from ..models import neuron, vae
    from ..training import Run

    folder.mkdir(parents=True, exist_ok=True)
    print("1/3  the graph of a neuron")
    loss, leaves = neuron.example(neuron.Config())
    viz.draw(loss, names=leaves).save(folder / "neuron.svg")

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
    """`index.html` with all pictures inside it, a sentence each: one file that can be passed on."""
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
    "A <em>variational autoencoder</em> has just learned handwritten digits here, on nothing but "
    "NumPy. Every number on this page comes from this run; the checkpoint and the measured values "
    "lie beside it in <code>vae/</code>."
)
CONTENTS = (
    (
        "A neuron, and how it learns",
        "Two inputs, two weights, a bias, a sigmoid, a squared error. Read it from left to right "
        "for the values, from right to left for the gradients: what arrives at a disc from the "
        "right is multiplied by the local derivative on the edge and handed on to the left. Where "
        "two arrows leave one card, what they bring back adds up.",
        "neuron.svg",
    ),
    (
        "Learning",
        "The loss −ELBO in nats per image, on the training images and on 1,000 images that the "
        "model has never seen, and its two parts. Predicting each pixel on its own would cost "
        "207.8 nats. The dots at the end are tighter bounds, by 5 and by 50 codes for an image.",
        "vae/curves.png",
    ),
    (
        "Seen and reconstructed",
        "Digits the model has never seen (upper rows), squeezed into 20 numbers and decoded again "
        "(lower rows).",
        "vae/reconstructions.png",
    ),
    (
        "Digits nobody wrote",
        "Codes drawn from N(0, I), decoded: samples of the model.",
        "vae/samples.png",
    ),
    (
        "A walk through the code",
        "One digit; in each row one of its 20 numbers moves from −3 to 3. The rows at the top move "
        "what matters most for this digit.",
        "vae/traversal.png",
    ),
    (
        "The training step, drawn",
        "The record that <code>backward()</code> walks, drawn as it is: each card a variable with "
        "its gradient, each disc an operation.",
        "vae-graph.svg",
    ),
)

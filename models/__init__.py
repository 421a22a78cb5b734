"""The models, one file each: architecture, loss, training recipe, sampling.

Each module has a `Config` dataclass, the network, the loss with its equation, `train(config, run)`,
`restore(folder)`, the trained model, and `example(config)`, a small training graph to draw.
Generative models also have `sample(model, count, generator)`.

The fields of a Config are the flags of the command line. Their metadata has a "help", and for words
the "choices", for numbers the "least" that is allowed where it is not 1 (of floats: 0).
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

NAMES = ("neuron", "lenet", "autoencoder", "vae", "vqvae", "pixelcnn", "gan", "diffusion")


def load(name: str) -> ModuleType:
    """The module of the model `name`; ValueError, with the nearest name, where there is none.

    >>> load("vae").__name__.rpartition(".")[2]
    'vae'
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no model {name!r}, only {', '.join(NAMES)}{hint}")
    return importlib.import_module(f".{name}", __name__)


def summary(name: str) -> str:
    """The first line of the model's description."""
    return (load(name).__doc__ or "").partition("\n")[0]

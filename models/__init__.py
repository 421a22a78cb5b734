"""The models, one file each: architecture, loss, training recipe, sampling.

Each module has a `Config` dataclass, the network, the loss with its equation, `train(config, run)`,
`restore(folder)`, the trained model, and `example(config)`, a small training graph to draw.
Generative models also have `sample(model, count, generator)`.

The fields of a Config are the flags of the command line. Their metadata has a "help", and for words
the "choices", for numbers the "least" that is allowed where it is not 1 (of floats: 0), and the
"most" where there is such a number.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training.state import read_checkpoint

NAMES = ("neuron", "lenet", "autoencoder", "vae", "vqvae", "pixelcnn", "gan", "diffusion")


def load(name: str) -> ModuleType:
    """Return the module of the model `name`; ValueError, with the nearest name, if it does not
    exist.

    >>> load("vae").__name__.rpartition(".")[2]
    'vae'
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no model {name!r}, only {', '.join(NAMES)}{hint}")
    return importlib.import_module(f".{name}", __name__)


def restore(folder: str | Path) -> Any:
    """The model that a run has trained, whichever it is of: what its module's `restore` returns.

    Raises:
        FileNotFoundError: there is no checkpoint in the folder.
        CheckpointError: it is damaged, of none of the models, or does not fit this version of it.
    """
    name = read_checkpoint(folder)["run"]["model"]
    if name not in NAMES:
        of = f"there is no model {name!r}" if name else "its checkpoint names no model"
        raise CheckpointError(f"restore: {folder} holds a run of another kind: {of}")
    return load(name).restore(folder)


def summary(name: str) -> str:
    """The first line of the model's description."""
    return (load(name).__doc__ or "").partition("\n")[0]

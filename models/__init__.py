"""The models, one file each: derivation, network, loss, training, sampling.

Each module has a `Config`, whose fields are the flags of the command line (see `training.option`);
the network; the loss with its equation; `train(config, run)`; `restore(folder)`, which returns the
trained model; and `example(config)`, a small training graph to draw. Generative models also have
`sample(model, count, generator)`. What several models use is in `parts`, and their pictures are in
`gallery`.

The convolutional classifiers, from `alexnet` to `efficientnet`, share the training of
`parts.classifier`; `judge(folder)` describes their accuracy. `load_pretrained` reads their weights
from a file. The language models share the training of `parts.language`; they have `generate(model,
prompt)`, an iterator of the pieces of a text.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training import read_checkpoint

from .pretrained import load_pretrained as load_pretrained
from .pretrained import unknown

NAMES = (
    *("neuron", "lenet", "alexnet", "vgg", "googlenet", "resnet", "mobilenet", "efficientnet"),
    *("ngram", "rnn", "transformer", "gpt"),
    *("autoencoder", "vae", "vqvae", "pixelcnn", "made", "gan", "diffusion"),
    *("dit", "sora", "diffusion_policy"),
)


def load(name: str) -> ModuleType:
    """Return the module of the model `name`. Raises ValueError, with the nearest name, if there is
    none.

    >>> load("vae").__name__.rpartition(".")[2]
    'vae'
    """
    if name not in NAMES:
        raise unknown("model", name, NAMES)
    return importlib.import_module(f".{name}", __name__)


def restore(folder: str | Path) -> Any:
    """Return the trained model of a run, by `restore` of the module that its checkpoint names.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
        CheckpointError: the checkpoint is damaged, is not that of a model of this package, or does
            not fit this version of the model.
    """
    name = read_checkpoint(folder)["run"]["model"]
    if name not in NAMES:
        of = f"there is no model {name!r}" if name else "its checkpoint names no model"
        raise CheckpointError(f"restore: {folder} holds a run of another kind: {of}")
    return load(name).restore(folder)


def summary(name: str) -> str:
    """Return the first line of the docstring of a model."""
    return (load(name).__doc__ or "").partition("\n")[0]

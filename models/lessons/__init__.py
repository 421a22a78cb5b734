"""Questions of the study notes that take a training to answer: one question, one file.

`answer(folder)` of a lesson trains the networks that its question compares, each in a run of its
own, draws their curves into the folder, and returns the figures as text. `tinygrad-gm lesson NAME`
calls it, and pages in `docs` show the pictures. The arguments of
`answer` are the settings.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from ..pretrained import unknown

NAMES = (
    "shift",
    "overfitting",
    "saturation",
    "degradation",
    "gradients",
    "adding",
    "descent",
    "sparsity",
)


def load(name: str) -> ModuleType:
    """Return the lesson `name`. An unknown name raises ValueError with the nearest known one.

    >>> load("shift").__name__.rpartition(".")[2]
    'shift'
    """
    if name not in NAMES:
        raise unknown("lesson", name, NAMES)
    return importlib.import_module(f".{name}", __name__)

"""tinygrad_gm: a small reverse-mode autograd engine on NumPy, and the models it carries.

    import tinygrad_gm as tg
    from tinygrad_gm import nn, optim, data, models, viz

Array functions carry the names of the array-API standard (NumPy 2's), `nn`, `optim` and `data`
those of PyTorch. The subpackages are loaded when they are first used.
"""

from . import interrupts  # noqa: F401 (before NumPy, whose import takes a moment)

# ruff: noqa: F403
# isort: split
import importlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING

from numpy import (
    bool,
    e,
    float16,
    float32,
    float64,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    newaxis,
    pi,
    uint8,
)

from . import creation, cuda, derivatives, dtypes, hints, kernels, linalg, ops, random
from .backend import (
    default_device,
    default_dtype,
    set_default_device,
    set_default_dtype,
)
from .creation import *
from .derivatives import *
from .dtypes import *
from .engine.anomaly import detect_anomaly
from .engine.backward import grad
from .engine.call import op
from .engine.checkpointing import checkpoint
from .engine.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled, textbook
from .io import load, save
from .ops import *
from .random import (
    Generator,
    bernoulli,
    default_generator,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from .tensor import (
    Tensor,
    asarray,
    stop_gradient,
    tensor,
)
from .version import __version__

if TYPE_CHECKING:
    from . import data, models, nn, optim, pictures, testing, torch_files, training, viz


__all__ = [
    "Generator",
    "Tensor",
    "__version__",
    "asarray",
    "bernoulli",
    "bool",
    "checkpoint",
    "cuda",
    "data",
    "default_device",
    "default_dtype",
    "default_generator",
    "detect_anomaly",
    "e",
    "enable_grad",
    "float16",
    "float32",
    "float64",
    "grad",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_grad_enabled",
    "kernels",
    "linalg",
    "load",
    "manual_seed",
    "models",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "pi",
    "pictures",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "save",
    "set_default_device",
    "set_default_dtype",
    "set_grad_enabled",
    "stop_gradient",
    "tensor",
    "testing",
    "textbook",
    "torch_files",
    "training",
    "uint8",
    "viz",
]


class _Checkout:
    """Finds `models` and `viz` in the folder above this one, where a checkout has them."""

    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    names = (f"{__name__}.models", f"{__name__}.viz")

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The package of that name in the checkout; None for every other name."""
        return PathFinder.find_spec(name, [cls.folder]) if name in cls.names else None


if not os.path.isfile(os.path.join(__path__[0], "models", "__init__.py")):  # as an installation has
    sys.meta_path.insert(0, _Checkout)

_LAZY = ("data", "models", "nn", "optim", "pictures", "testing", "torch_files", "training", "viz")

if not TYPE_CHECKING:  # a type checker would take any misspelt name for an Any
    __all__ += [*creation.__all__, *derivatives.__all__, *dtypes.__all__, *ops.__all__]

    def __getattr__(name):
        if name in _LAZY:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(hints.missing(f"module {__name__!r}", name))


def __dir__() -> list[str]:
    return __all__

"""Layers and losses as functions, under PyTorch's names: what `nn` has, without its parameters.

    import tinygrad_gm.nn.functional as F

The first array is called `input`; the other parameters have PyTorch's names and order, except that
`dim` is `axis` and `keepdim` is `keepdims`. A loss has a `reduction`: "mean" over all its elements,
"sum", or "none" for all of them. The `__all__` of each file names its public functions.
"""

# ruff: noqa: F403

from types import FunctionType
from typing import TYPE_CHECKING

from .activations import *
from .attention import *
from .distances import *
from .dropout import *
from .embedding import *
from .linear import *
from .losses import *
from .norms import *
from .padding import *
from .probabilities import *
from .resizing import *
from .spatial import *

if not TYPE_CHECKING:  # type checkers follow the star imports
    __all__ = sorted(name for name, value in globals().items() if type(value) is FunctionType)

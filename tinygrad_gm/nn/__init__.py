"""Layers: a `Module` is a tree of parameters with a `forward`, and the layers are its leaves.

Names, arguments, shapes and initial distributions are PyTorch's; only the keyword for an axis is
`axis`, as everywhere here. `nn.functional` has the same layers as functions, and the losses. The
`__all__` of each file names its public classes and functions.
"""

# ruff: noqa: F403

from typing import TYPE_CHECKING

from . import functional as functional
from . import init as init
from . import utils as utils
from .activation import *
from .attention import *
from .cells import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .embedding import *
from .flatten import *
from .linear import *
from .loss import *
from .module import *
from .normalization import *
from .padding import *
from .parameter import *
from .pooling import *
from .positional import *
from .recurrent import *
from .reparametrization import *
from .resizing import *
from .transformer import *

if not TYPE_CHECKING:  # type checkers follow the star imports
    __all__ = sorted(name for name, value in globals().items() if callable(value))
    __all__ += ["functional", "init", "utils"]

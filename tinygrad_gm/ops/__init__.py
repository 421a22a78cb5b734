"""Every operation on arrays, one file per kind; `registry` holds the primitives by name.

The `__all__` of a file names the functions that users call, `tg.NAME`. Layers and gradient rules
import the other operations from their files; `ops.NAME` finds those in the registry.
"""

# ruff: noqa: F403

from types import FunctionType
from typing import TYPE_CHECKING

from ..engine.op import registry as registry
from .choosing import *
from .comparison import *
from .conv import *
from .einsum import *
from .elementwise import *
from .fused.activations import *
from .fused.attention import *
from .fused.linear import *
from .fused.losses import *
from .fused.norms import *
from .fused.recurrent import *
from .fused.sequences import *
from .fused.softmax import *
from .indexing import *
from .linalg import *
from .matmul import *
from .pooling import *
from .products import *
from .reduction import *
from .resampling import *
from .shape import *
from .sorting import *
from .special import *

if not TYPE_CHECKING:  # type checkers follow the star imports
    __all__ = sorted(name for name, value in globals().items() if type(value) is FunctionType)

    def __getattr__(name):
        if name in registry:
            return registry[name].primitive
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

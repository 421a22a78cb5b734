"""Layers: a `Module` is a tree of parameters with a `forward`, and the layers are its leaves.

Names, arguments, shapes and initial distributions are PyTorch's; only the keyword for an axis is
`axis`, as everywhere here. `nn.functional` has the same layers as functions, and the losses.
"""

from . import functional, init
from .activation import LeakyReLU, ReLU, Sigmoid, Tanh
from .container import Sequential
from .linear import Linear
from .module import Module
from .parameter import Parameter

__all__ = [
    "LeakyReLU",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
]

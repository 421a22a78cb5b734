"""Layers: a `Module` is a tree of parameters with a `forward`, and the layers are its leaves.

Names, arguments, shapes and initial distributions are PyTorch's; only the keyword for an axis is
`axis`, as everywhere here. `nn.functional` has the same layers as functions, and the losses.
"""

from . import functional, init
from .activation import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardswish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    SiLU,
    Softplus,
)
from .container import ModuleDict, ModuleList, ParameterList, Sequential
from .linear import Linear
from .module import Module
from .parameter import Parameter, no_init
from .squashing import (
    GLU,
    Hardsigmoid,
    Hardtanh,
    LogSigmoid,
    LogSoftmax,
    Sigmoid,
    Softmax,
    Softsign,
    Tanh,
)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "PReLU",
    "Parameter",
    "ParameterList",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "functional",
    "init",
    "no_init",
]

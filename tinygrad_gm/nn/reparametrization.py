"""Reparametrisation: a weight that is computed from other parameters before each forward pass.

The optimizer then updates those parameters instead of the weight: `spectral_norm` keeps the largest
singular value of a matrix at 1, `weight_norm` separates a weight's length from its direction.
Either replaces the parameter of the module by its sources and registers a hook before `forward`;
until the next call the attribute holds the last computed weight.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .. import ops
from ..engine.modes import no_grad, rerunning
from ..random import default_generator
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Parameter, is_placeholder

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)
_FIRST_STEPS = 15  # power iterations from random vectors: σ is then approximately right


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    axis: int | None = None,
) -> M:
    """Divide a weight W by its largest singular value: W ← W/σ(W) (Miyato et al. 2018).

    A linear layer is then 1-Lipschitz, and so is a network of such layers with 1-Lipschitz
    activations: a discriminator's gradients are bounded. σ is computed by the power method, with 15
    steps at first, as in PyTorch, and one in each forward pass in training, starting from the last
    result:

        v ← Wᵀu/‖Wᵀu‖,  u ← Wv/‖Wv‖,  σ = uᵀWv

    u and v are constants in the gradient (section 2 and algorithm 1 of the paper). Evaluation does
    not change them, nor does a recomputed `tg.checkpoint`: in one, call the module once per step,
    as the second run uses u and v of the last call.

    Args:
        module: the module, changed in place. Its parameter `name` becomes `name`_orig, and u and v
            are the buffers `name`_u and `name`_v.
        name: name of the parameter; one of more than two axes is reshaped to a matrix (size of
            `axis`, product of the others).
        n_power_iterations: number of power iterations per forward pass.
        eps: keeps the division by a norm finite.
        axis: the outputs' axis; None: 1 for transposed convolutions, else 0.

    Returns:
        The module.

    Raises:
        ValueError: the module has no such parameter, or n_power_iterations < 1.

    >>> layer = nn.spectral_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    >>> for _ in range(20):
    ...     _ = layer(tg.ones((1, 3)))
    >>> round(float(np.linalg.norm(layer.weight.numpy(), 2)), 4)
    1.0
    """
    if n_power_iterations < 1:
        raise ValueError(
            f"spectral_norm: expected n_power_iterations ≥ 1; got {n_power_iterations}"
        )
    weight = _take(module, name, "spectral_norm")
    if axis is None:
        axis = int(type(module).__name__.startswith("ConvTranspose"))
    rule = _Spectral(name, n_power_iterations, eps, axis)
    module.register_parameter(f"{name}_orig", weight)
    with no_grad():
        for letter, length in zip("uv", rule.matrix(weight).shape, strict=True):
            start = default_generator().normal((length,), weight.dtype).to(weight.device)
            module.register_buffer(f"{name}_{letter}", F.normalize(start, axis=0, eps=eps))
        if not is_placeholder(weight):
            rule.advance(module, _FIRST_STEPS)
            setattr(module, name, rule.compute(module))
    module.register_forward_pre_hook(rule)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the current weight, divided by σ, a parameter again; return the module."""
    return _remove(module, name, _Spectral)


def weight_norm(module: M, name: str = "weight", axis: int | None = 0) -> M:
    """Learn a weight's norm and direction separately: W = g · V/‖V‖ (Salimans & Kingma 2016).

    Args:
        module: the module, changed in place. Its parameter `name` becomes `name`_g, the lengths,
            and `name`_v, the directions.
        name: name of the parameter.
        axis: the axis whose slices have a norm each; None: one norm for all.

    Returns:
        The module.

    Raises:
        ValueError: the module has no such parameter.

    >>> layer = nn.weight_norm(nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('bias', (2,)), ('weight_g', (2, 1)), ('weight_v', (2, 3))]
    """
    weight = _take(module, name, "weight_norm")
    rule = _Length(name, axis)
    with no_grad():
        module.register_parameter(f"{name}_g", Parameter(rule.length(weight)))
    module.register_parameter(f"{name}_v", weight)
    module.register_forward_pre_hook(rule)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight g · V/‖V‖ a parameter again; return the module."""
    return _remove(module, name, _Length)


class _Rule:
    """A pre-hook that computes the weight `name`; it does not refer to the module: no cycles."""

    sources: tuple[str, ...]  # suffixes of the names of the sources

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, args: object) -> None:
        if module.training and not rerunning.get():
            self.train(module)
        weight = self.compute(module)
        weight.name = self.name
        setattr(module, self.name, weight)

    def read(self, module: Module) -> list[Any]:
        return [getattr(module, self.name + source) for source in self.sources]

    def train(self, module: Module) -> None:
        """The changes of a forward pass in training."""

    def compute(self, module: Module) -> Tensor:
        """The weight."""
        raise NotImplementedError


class _Spectral(_Rule):
    sources = ("_orig", "_u", "_v")

    def __init__(self, name: str, iterations: int, eps: float, axis: int) -> None:
        super().__init__(name)
        self.iterations, self.eps, self.axis = iterations, eps, axis

    def matrix(self, weight: Tensor) -> Tensor:
        return ops.moveaxis(weight, self.axis, 0).reshape(weight.shape[self.axis], -1)

    def train(self, module: Module) -> None:
        self.advance(module, self.iterations)

    def advance(self, module: Module, steps: int) -> None:
        """Do power iterations."""
        weight, u, v = self.read(module)
        matrix = self.matrix(weight.detach())
        for _ in range(steps):
            v.copy_(F.normalize(u @ matrix, axis=0, eps=self.eps))
            u.copy_(F.normalize(matrix @ v, axis=0, eps=self.eps))

    def compute(self, module: Module) -> Tensor:
        weight, u, v = self.read(module)
        u, v = u.copy(), v.copy()  # the graph must not see the next step
        divided: Tensor = weight / (u @ (self.matrix(weight) @ v))
        return divided


class _Length(_Rule):
    sources = ("_g", "_v")

    def __init__(self, name: str, axis: int | None) -> None:
        super().__init__(name)
        self.axis = axis

    def length(self, weight: Tensor) -> Tensor:
        if self.axis is None:
            return ops.norm(weight)
        kept = self.axis % weight.ndim
        others = tuple(axis for axis in range(weight.ndim) if axis != kept)
        return ops.norm(weight, axis=others, keepdims=True)

    def compute(self, module: Module) -> Tensor:
        lengths, directions = self.read(module)
        scaled: Tensor = directions * (lengths / self.length(directions))
        return scaled


def _take(module: Module, name: str, what: str) -> Parameter:
    """Remove a parameter from a module; the attribute keeps its last values."""
    parameter = vars(module).get(name)
    if not isinstance(parameter, Parameter):
        raise ValueError(f"{what}: {type(module).__name__} has no parameter {name!r}")
    delattr(module, name)
    setattr(module, name, parameter.detach())
    parameter.name = None  # it gets the name of its new attribute
    return parameter


def _remove(module: M, name: str, kind: type[_Rule]) -> M:
    hooks: dict[object, Any] = module._forward_pre_hooks
    mine = (key for key, hook in hooks.items() if isinstance(hook, kind) and hook.name == name)
    if (key := next(mine, None)) is None:
        what = "spectral_norm" if kind is _Spectral else "weight_norm"
        raise ValueError(f"remove_{what}: {type(module).__name__} has no {what} of {name!r}")
    rule: _Rule = hooks.pop(key)
    with no_grad():
        weight = rule.compute(module)
    for attribute in (name, *(name + source for source in rule.sources)):
        delattr(module, attribute)
    module.register_parameter(name, Parameter(weight))
    return module

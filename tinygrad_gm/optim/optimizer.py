"""The base of the optimizers: parameter groups, state, and steps over flat memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, ClassVar

from ..backend import device_of
from ..engine.modes import enable_grad
from ..nn.parameter import clear_gradients
from ..options import as_flag, as_number, as_pair
from ..tensor import Tensor
from .flat import Blocks, Flat

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """Base class of the optimizers.

    A subclass passes its options with their defaults to `__init__` and defines `update`, its
    formula. The base class implements these options:

    - "maximize": ascend along the gradient instead of descending.
    - "weight_decay", λ, adds λ · parameter to the gradient. It is the derivative of an L2 penalty
      ½λ‖parameter‖² in the loss. An optimizer that divides by the gradients' size divides this
      term too: weights with large gradients decay less.
    - "decoupled_weight_decay": the gradient stays as it is, and every step multiplies the
      parameter by 1 − lr · λ instead: all weights decay at one rate (Loshchilov & Hutter 2019).
      For plain SGD the two are the same.

    Args:
        params: the tensors to optimize, or dicts, each a *group*: "params" and options of its own.
        defaults: default options of the groups.

    The parameters' arrays become views of the optimizer's memory, with the same values: move a
    model to its device and dtype first.

    Raises:
        TypeError: a parameter that is not a tensor, a set of parameters, or an option that is not a
            number where one is expected.
        ValueError: no parameters, a duplicate, or an option out of range.

    >>> class SignDescent(optim.Optimizer):
    ...     def update(self, group, step, blocks):
    ...         for block in blocks:
    ...             block.param -= group["lr"] * np.sign(block.grad)
    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], {"lr": 0.5})
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    """

    param_groups: list[dict[str, Any]]
    numbers: ClassVar[Mapping[str, float]] = {}  # state of one number per parameter: at the start

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}: params is one tensor; expected a list of them")
        groups: list[Any] = self._in_order(params)
        if not groups:
            raise ValueError(f"{name}: there are no parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self._build(groups)

    def _build(self, groups: list[dict[str, Any]]) -> None:
        self.param_groups = []
        self._flats: list[list[Flat]] = []  # for each group, one per dtype and device
        self._places: dict[Tensor, tuple[Flat, int]] = {}
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own: `{"params": […], "lr": 1e-4}`."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{type(self).__name__}: a group must be a dict with the key "params"')
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else self._in_order(given)
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        kinds: dict[Any, list[Tensor]] = {}
        for parameter in params:
            self._check_parameter(parameter)
            kinds.setdefault((parameter.dtype, device_of(parameter._data)), []).append(parameter)
        if len(set(params)) < len(params) or not self._places.keys().isdisjoint(params):
            raise ValueError(f"{type(self).__name__}: a parameter is given twice")
        flats = [Flat(alike, self.numbers) for alike in kinds.values()]
        for flat in flats:
            self._places.update((p, (flat, i)) for i, p in enumerate(flat.parameters))
        self._flats.append(flats)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Check the options of a group and convert them to numbers; subclasses check their own.

        Raises:
            TypeError: an option is not a number, or not True or False where it must be.
            ValueError: an option is out of range, NaN or infinite.
        """
        for name in group.keys() & {"lr", "weight_decay", "eps"}:
            group[name] = as_number(self, name, group[name])
        for name in group.keys() & {"maximize", "decoupled_weight_decay"}:
            group[name] = as_flag(self, name, group[name])
        if "betas" in group:
            group["betas"] = as_pair(self, "betas", group["betas"])

    def _in_order(self, params: Any) -> list[Any]:
        """Return the parameters as a list; TypeError if they are unordered."""
        name, kind = type(self).__name__, type(params).__name__
        if isinstance(params, (Set, Mapping)) or not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params is a {kind}; expected a list or another ordered iterable"
            )
        return list(params)

    def _check_parameter(self, parameter: Any) -> None:
        name = type(self).__name__
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{name}: expected tensors; got a {type(parameter).__name__}")
        if not parameter.is_leaf:
            raise ValueError(
                f"{name}: a tensor of shape {parameter.shape} is the result of `{parameter.op}`; "
                "only leaves can be optimized"
            )
        if parameter.dtype.kind != "f":
            raise TypeError(f"{name}: a parameter of {parameter.dtype} has no gradient to follow")

    # ------------------------------------------------------------------------ a step

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros.

        `step` skips a parameter without a gradient, but may move one with a zero gradient (by
        momentum or weight decay).
        """
        clear_gradients(self._places, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the result of `closure`, or None.

        Args:
            closure: called first: recomputes the loss and its gradients, and returns the loss.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group, flats in zip(self.param_groups, self._flats, strict=True):
            sign, decay = -1 if group.get("maximize") else 1, group.get("weight_decay", 0)
            keep = 1.0
            if group.get("decoupled_weight_decay"):
                keep, decay = 1 - group["lr"] * decay, 0
            for flat in flats:
                for step, blocks in flat.advance(sign * self.scale(group), sign * decay, keep):
                    self.update(group, step, blocks)
        return loss

    def scale(self, group: dict[str, Any]) -> float:
        """The factor of the gradients when blocks are filled; saves `update` a pass over them."""
        return 1.0

    def update(self, group: dict[str, Any], step: int, blocks: Blocks) -> None:
        """Apply the optimizer's formula to `blocks`, in their step number `step`."""
        raise NotImplementedError(
            f"{type(self).__name__}: define update(self, group, step, blocks)"
        )

    # ------------------------------------------------------------------------ the state

    @property
    def state(self) -> dict[Tensor, dict[str, Tensor]]:
        """The step count and the moments, by name, of every parameter that was updated."""
        states = {p: flat.state_of(i) for p, (flat, i) in self._places.items()}
        return {parameter: state for parameter, state in states.items() if state}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer; parameters are numbered in the order of the groups.

        `{"state": {number: {"step": …, name: Tensor, …}}, "param_groups": [{"lr": …, …, "params":
        [number, …]}, …]}`. The moments share the optimizer's memory, as in PyTorch, so
        they change with later steps; options and numbers are copies.
        `copy.deepcopy(optimizer.state_dict())` is a snapshot.
        """
        numbers = {p: number for number, p in enumerate(self._parameters())}
        groups = [
            {**_options(group), "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        states = {numbers[p]: state for p, state in self.state.items()}
        return {"state": dict(sorted(states.items())), "param_groups": groups}

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the options and, in place, the moments of a `state_dict`.

        All moments are read before the first is written, so they may share memory with the
        optimizer's: `optimizer.load_state_dict(optimizer.state_dict())` changes nothing.

        Raises:
            TypeError, ValueError: the groups of parameters differ, or an option is invalid; the
                optimizer is then unchanged.
        """
        saved, states = state_dict["param_groups"], state_dict["state"]
        theirs, ours = ([len(g["params"]) for g in gs] for gs in (saved, self.param_groups))
        if theirs != ours:
            raise ValueError(
                f"load_state_dict: the state has groups of {theirs} parameters, the optimizer "
                f"{ours}"
            )
        pairs = zip(self.param_groups, saved, strict=True)
        options = [{**group, **_options(new)} for group, new in pairs]
        for group in options:
            self.check(group)
        numbers = [number for group in saved for number in group["params"]]
        self._load({p: states.get(n, {}) for p, n in zip(self._parameters(), numbers, strict=True)})
        for group, new in zip(self.param_groups, options, strict=True):
            group.update(new)

    def _load(self, states: Mapping[Tensor, Mapping[str, Any]]) -> None:
        flats = [flat for flats in self._flats for flat in flats]
        vectors = [vector for flat in flats for vector in flat.states.values()]
        read = [
            (flat, i, flat.read_state(i, states.get(parameter, {}), vectors))
            for parameter, (flat, i) in self._places.items()
        ]
        for flat, i, state in read:
            flat.load_state_of(i, state)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy` and pickle: without the flat memory, whose views would separate."""
        memory = ("_flats", "_places")
        rest = {name: value for name, value in vars(self).items() if name not in memory}
        return {"attributes": rest, "state": self.state}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update(saved["attributes"])
        self._build(self.param_groups)
        self._load(saved["state"])

    def __repr__(self) -> str:
        lines = []
        for group in self.param_groups:
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            lines.append(f"{len(group['params'])} parameters: {options}")
        return "\n    ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a group's options."""
    return copy.deepcopy({name: value for name, value in group.items() if name != "params"})

"""One optimizer step on the drawn parameters, and its formula with the numbers.

The optimizer itself makes the step, on copies of the parameters and of its state, so the new
weights are right for every optimizer. For SGD and Adam the formula has the numbers filled in; for
others it is quoted from their docstring.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_gm.backend import Array, to_device
from tinygrad_gm.engine.record import Traced, wrap

from ..graph.view import View
from ..style import elided, operand
from .captions import WRITTEN, answer, factor, plain

if TYPE_CHECKING:
    from tinygrad_gm.optim import Optimizer


@dataclass(frozen=True)
class Update:
    """A parameter before and after the step, and the formula for one of its elements."""

    before: Array
    after: Array
    lines: tuple[str, ...]


def updates_of(
    optimizer: Optimizer | None,
    lr: float,
    view: View,
    leaves: Mapping[str, Traced],
    gradients: Mapping[str, Array],
) -> dict[str, Update]:
    """Return the updates of the drawn parameters by id, in the order of the drawing."""
    names = {v.id: operand(elided(v.name, WRITTEN)) for v in view.variables}
    (top,) = (operand(elided(v.name, WRITTEN)) for v in view.variables if v.is_root)
    moving = {i for i, gradient in gradients.items() if i in leaves and gradient.size}
    drawn = [v.id for v in view.variables if v.id in moving]
    if optimizer is None:
        old = {i: leaves[i]._data for i in drawn}
        new = {i: old[i] - np.asarray(lr, old[i].dtype) * gradients[i] for i in drawn}
        steps = {i: _Step(names[i], top, old[i], new[i], gradients[i], {"lr": lr}) for i in drawn}
        return {i: step.update(_sgd) for i, step in steps.items()}
    stepped, copies = _step_copies(optimizer, {leaves[i]: gradients[i] for i in drawn})
    groups = {p: g for g in optimizer.param_groups for p in g["params"]}
    states: Any = optimizer.state
    after: Any = stepped.state
    updates = {}
    for i in drawn:
        leaf = leaves[i]
        if leaf in groups:
            copied = copies[leaf]
            step = _Step(names[i], top, leaf._data, copied._data, gradients[i], groups[leaf])
            step.read(states.get(leaf, {}), after.get(copied, {}))
            updates[i] = step.update(_formula(optimizer))
    return updates


def _step_copies(
    optimizer: Optimizer, gradients: Mapping[Traced, Array]
) -> tuple[Optimizer, dict[Any, Any]]:
    """Return a copy of the optimizer after its step, and the copied parameters by original."""
    copies: dict[Any, Any] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            copies[parameter] = new = wrap(parameter._data.copy())
            new._requires_grad = True
            if parameter in gradients:
                new.grad = wrap(gradients[parameter].copy())
    stepped = copy.deepcopy(optimizer, {id(p): new for p, new in copies.items()})
    stepped.step()
    return stepped, copies


# --------------------------------------------------------------------------------- formulas


class _Step:
    """The numbers of one element, the one with the largest absolute gradient."""

    def __init__(
        self,
        name: str,
        top: str,
        before: Array,
        after: Array,
        gradient: Array,
        options: Mapping[str, Any],
    ) -> None:
        self.names, self.before, self.after = (name, top), before, after
        flat = to_device(gradient, "cpu").reshape(-1)
        self.place = int(np.argmax(np.abs(flat))) if flat.size else 0
        self.index = tuple(map(int, np.unravel_index(self.place, gradient.shape)))
        self.size, self.options = flat.size, options
        self.old, self.new, self.g = (self.element(array) for array in (before, after, gradient))
        self.old_state: dict[str, float] = {}
        self.state: dict[str, float] = {}

    def element(self, array: Any) -> float:
        flat = np.asarray(to_device(getattr(array, "_data", array), "cpu")).reshape(-1)
        return float(flat[self.place if flat.size > 1 else 0]) if flat.size else 0.0

    def read(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self.old_state = {name: self.element(v) for name, v in before.items() if v is not None}
        self.state = {name: self.element(v) for name, v in after.items() if v is not None}

    def update(self, formula: Callable[[_Step], list[str]]) -> Update:
        return Update(self.before, self.after, (*self.head(), *formula(self)))

    def option(self, name: str) -> Any:
        return self.options.get(name) or 0

    @property
    def w(self) -> str:
        """Return the parameter's name in formulas, for a tensor with the element's index."""
        return self.names[0] + (f"[{', '.join(map(str, self.index))}]" if self.size > 1 else "")

    def head(self) -> list[str]:
        """Return lines for the element shown, maximize and weight decay."""
        name, top = self.names
        lines = []
        if self.size > 1:
            place = ", ".join(map(str, self.index))
            lines.append(
                f"{name} has {self.size:,} elements; shown is {self.w}, with the largest |g|"
            )
            lines.append(f"g = (∂{top}/∂{name})[{place}] = {plain(self.g)}")
        elif self.state or self.option("weight_decay") or self.option("maximize"):
            lines.append(f"g = ∂{top}/∂{name} = {plain(self.g)}")
        self.symbol = "g" if lines else f"∂{top}/∂{name}"
        if self.option("maximize"):
            self.g = -self.g
            lines.append(f"g ← −g = {plain(self.g)}  (maximize)")
        decay = self.option("weight_decay")
        if decay and self.option("decoupled_weight_decay"):
            keep = 1 - self.option("lr") * decay
            shrunk = self.old * keep
            lines.append(
                f"{self.w} ← (1 − lr · λ) · {self.w} = {keep:.8g} · {factor(self.old)}"
                f" = {plain(shrunk)}  (weight decay)"
            )
            self.old = shrunk
        elif decay:
            decay = -decay if self.option("maximize") else decay
            grown = self.g + decay * self.old
            lines.append(
                f"g ← g + λ · {self.w} = {plain(self.g)} + {plain(decay)} · {factor(self.old)}"
                f" = {plain(grown)}  (weight decay)"
            )
            self.g = grown
        return lines

    def moved(self, formula: str, numbers: str) -> str:
        """Return the last line, with the new weight."""
        w = self.w
        return f"{w} ← {w} − {formula} = {plain(self.old)} − {numbers} = {answer(plain(self.new))}"


def _sgd(step: _Step) -> list[str]:
    momentum, lr, g = step.option("momentum"), step.option("lr"), step.g
    if not momentum:
        return [step.moved(f"lr · {step.symbol}", f"{plain(lr)} · {factor(g)}")]
    b = step.state["momentum_buffer"]
    if "momentum_buffer" in step.old_state:
        old, share = step.old_state["momentum_buffer"], 1 - step.option("dampening")
        part = "" if share == 1 else f"{plain(share)} · "
        numbers = f"{plain(momentum)} · {factor(old)} + {part}{factor(g)}"
        line = f"b ← momentum · b + {part}g = {numbers} = {answer(plain(b))}"
    else:
        line = f"b ← g = {answer(plain(b))}  (the first step)"
    if step.option("nesterov"):
        numbers = f"{plain(lr)} · ({plain(g)} + {plain(momentum)} · {factor(b)})"
        return [line, step.moved("lr · (g + momentum · b)", numbers)]
    return [line, step.moved("lr · b", f"{plain(lr)} · {factor(b)}")]


def _adam(step: _Step) -> list[str]:
    (beta1, beta2), lr, eps, g = step.option("betas"), step.option("lr"), step.option("eps"), step.g
    t, m, v = int(step.state["step"]), step.state["exp_avg"], step.state["exp_avg_sq"]
    largest = step.state.get("max_exp_avg_sq", v)
    m_hat, v_hat = m / (1 - beta1**t), largest / (1 - beta2**t)
    old_m, old_v = (step.old_state.get(name, 0.0) for name in ("exp_avg", "exp_avg_sq"))
    power = f"^{t}" if t > 1 else ""
    lines = [
        f"m ← β₁ · m + (1 − β₁) · g = {plain(beta1)} · {factor(old_m)} + {plain(1 - beta1)} · "
        f"{factor(g)} = {plain(m)}",
        f"v ← β₂ · v + (1 − β₂) · g² = {plain(beta2)} · {factor(old_v)} + {plain(1 - beta2)} · "
        f"{factor(g)}² = {plain(v)}",
    ]
    if step.option("amsgrad"):
        lines.append(f"the largest v so far = {plain(largest)}")
    lines += [
        f"m̂ = m / (1 − {plain(beta1)}{power}) = {answer(plain(m_hat))}",
        f"v̂ = v / (1 − {plain(beta2)}{power}) = {answer(plain(v_hat))}  (t = {t})",
        step.moved(
            "lr · m̂ / (√v̂ + ε)",
            f"{plain(lr)} · {factor(m_hat)} / ({plain(float(np.sqrt(v_hat)))} + {plain(eps)})",
        ),
    ]
    return lines


def _formula(optimizer: Optimizer) -> Callable[[_Step], list[str]]:
    from tinygrad_gm import optim

    known = {optim.SGD.update: _sgd, optim.Adam.update: _adam}
    written = [
        line.strip()
        for line in (inspect.getdoc(type(optimizer)) or "").splitlines()
        if line.startswith("    ") and "←" in line and ">>>" not in line
    ]

    def documented(step: _Step) -> list[str]:
        state = [f"{name} = {plain(value)}" for name, value in step.state.items()]
        w, name = step.w, type(optimizer).__name__
        moved = f"{w}: {plain(step.old)} → {answer(plain(step.new))}  (θ is {w}, by {name})"
        return [*written, *([", ".join(state)] if state else []), moved]

    return known.get(type(optimizer).update, documented)

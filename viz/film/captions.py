"""Captions of the steps: one to a few lines each, with the numbers filled in.

The result of a line, which a reader may be asked to predict, stands between HIDE and SHOW.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device

from ..graph.view import Edge, Operation, Variable
from ..style import DECIMALS, describe, elided, number, operand, printable

HIDE, SHOW = "\x02", "\x03"  # `printable` removes them from names
WRITTEN = 20  # characters of a name in a formula
LISTED = 8  # largest number of elements written out in a line


def plain(value: Any) -> str:
    """Format a number with at least four significant digits.

    >>> plain(0.4), plain(np.float32(-2)), plain(0.012346), plain(1.5e-7), plain(3)
    ('0.4', '−2.0', '0.01235', '1.5e−07', '3')
    """
    small = isinstance(value, (float, np.floating)) and 1e-3 <= abs(value) < 0.1
    decimals = 5 + (abs(value) < 0.01) if small else DECIMALS
    mantissa, e, exponent = number(value, decimals).lstrip("+").partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0")
        mantissa = mantissa.rstrip(".") if e else mantissa + "0" * mantissa.endswith(".")
    return mantissa + e + exponent


def factor(value: Any) -> str:
    """Format a number inside a formula, in parentheses if it is negative."""
    text = said(value)
    return f"({text})" if text.startswith("−") else text


def answer(text: str) -> str:
    """Mark a part of a caption that a reader may be asked to predict."""
    return f"{HIDE}{text}{SHOW}"


def said(array: Any) -> str:
    """Format an array in one line: its few numbers, or mean and standard deviation.

    >>> said(np.array([[1.0, -2.0]])), said(np.arange(100.0))
    ('[1.0, −2.0]', '+49.5000 ± 28.8661')
    """
    array = np.asarray(array if isinstance(array, (int, float)) else to_device(array, "cpu"))
    if array.size == 1:
        return plain(array.reshape(-1)[0])
    if 0 < array.size <= LISTED:
        rows = array.reshape(-1, array.shape[-1]).tolist()
        return "[" + "; ".join(", ".join(map(plain, row)) for row in rows) + "]"
    if array.dtype.kind == "f" and array.size > LISTED:
        array = array.astype(float)
        return f"{number(array.mean())} ± {number(array.std()).lstrip('+')}"
    return "; ".join(describe(array))


class Captions:
    """The captions of one graph with root `top`."""

    def __init__(self, variables: Mapping[str, Variable], top: str) -> None:
        self.variables, self.top = variables, operand(elided(top, WRITTEN))

    def name(self, variable: Variable | str) -> str:
        """Return a variable's name in a formula; for a constant number the number."""
        if isinstance(variable, str):
            variable = self.variables[variable]
        return operand(elided(variable.name, WRITTEN))

    def slope(self, variable: Variable | str) -> str:
        """Return the symbol of its gradient, ∂L/∂w."""
        return f"∂{self.top}/∂{self.name(variable)}"

    # ------------------------------------------------------------------------------ forward

    def start(self) -> tuple[str, ...]:
        return (
            "The computation starts from its inputs and its weights.",
            f"In the forward pass each operation computes its result from its arguments, up to "
            f"{self.top}.",
        )

    def forward(
        self, operation: Operation, arguments: Sequence[Edge], outputs: Sequence[Variable]
    ) -> tuple[str, ...]:
        given = [self.variables[edge.tail] for edge in arguments]
        results = ", ".join(map(self.name, outputs))
        formula = _call(operation, list(map(self.name, given)))
        known = all(v.value is not None and np.size(v.value) == 1 for v in (*given, *outputs))
        if known and len(outputs) == 1:
            numbers = _call(operation, [said(v.value) for v in given])
            result = answer(said(outputs[0].value))
            return (f"{results} = {formula} = {numbers} = {result}",)
        lines = [f"{results} = {formula}"]
        for output in outputs:
            if output.value is not None:
                shape = f" (shape {output.shape})" if output.shape else ""
                lines.append(f"{self.name(output)} = {answer(said(output.value))}{shape}")
        return tuple(lines)

    # ----------------------------------------------------------------------------- backward

    def seed(self) -> tuple[str, ...]:
        top = self.top
        return (
            f"∂{top}/∂{top} = {answer('1')}: the backward pass starts here.",
            "Each edge now shows its local derivative: the change of the operation's result per "
            "change of this argument.",
            "Chain rule: the gradient of the result times the local derivative is the contribution "
            "to the argument's gradient; contributions are summed.",
        )

    def backward(self, operation: Operation, outputs: Sequence[Variable]) -> tuple[str, ...]:
        symbol = printable(operation.op.symbol)
        there = [v for v in outputs if v.gradient is not None]
        what = " and ".join(f"{self.slope(v)} = {said(v.gradient)}" for v in there[:3])
        more = " …" * (len(there) > 3)
        complete = "are complete" if len(there) > 1 else "is complete"
        return (f"{what}{more} {complete}; “{symbol}” passes it on, times the local derivative:",)

    def contribution(
        self,
        edge: Edge,
        outputs: Sequence[Variable],
        before: Any,
        total: Any,
        arrived: tuple[int, int],
    ) -> str:
        """Describe one edge: upstream · local = contribution, and the sum so far."""
        count, due = arrived
        target = self.slope(edge.tail)
        results = ", ".join(map(self.name, outputs))
        if len(outputs) > 1:
            results = f"({results})"
        sign = "=" if due == 1 else "+="
        up = f"∂{self.top}/∂{results}"
        line = f"{target} {sign} {up} · ∂{results}/∂{self.name(edge.tail)} = "
        sent = edge.contribution
        if sent is None:  # unknown: several rerun parts contributed
            known = "" if total is None else f": the sum is {answer(said(total))}"
            return f"{target} {sign} the contribution of the rerun part{known} ({count} of {due})"
        single = np.size(sent) == 1 and getattr(edge.upstream, "size", 0) == 1
        if single and edge.upstream.item():
            local = sent.item() / edge.upstream.item()
            line += f"{said(edge.upstream)} · {factor(local)} = {answer(said(sent))}"
        elif single:
            line += f"0 · {operand(edge.local or 'anything')} = {answer(said(sent))}"
        else:
            line += answer(said(sent))
        if due == 1:
            return line
        parts = f"{said(before)} + {factor(sent)} = " if before is not None and single else ""
        if count == due:
            return f"{line}; sum {parts}{answer(said(total))}, complete with {due} of {due}"
        if before is None:
            return f"{line}; contribution {count} of {due}"
        return f"{line}; partial sum {parts}{answer(said(total))} ({count} of {due})"

    # ------------------------------------------------------------------------------- update

    def end(self, root: Variable, new_loss: Any, moved: Sequence[str]) -> tuple[str, ...]:
        old, new = np.asarray(root.value).item(), np.asarray(new_loss).item()
        change = "fell" if new < old else "rose" if new > old else "stayed the same"
        names = ", ".join(self.name(i) for i in moved[:6]) + " …" * (len(moved) > 6)
        lines = [
            f"With the new {names} the same computation gives {self.top} = {answer(plain(new))}; "
            f"it was {plain(old)}: it {change}."
        ]
        if new > old:
            lines.append(
                "The step was too large: the gradient is the slope at the old weights only."
            )
        else:
            lines.append("This is one training step. The next one starts from the new weights.")
        return tuple(lines)


def _call(operation: Operation, arguments: list[str]) -> str:
    """Format the call as a formula: a × b, tanh(a), d²."""
    symbol = printable(operation.op.symbol)
    worded = any(c.isalpha() for c in symbol)
    if len(arguments) == 2 and not worded and len(symbol) <= 2:
        return f"{arguments[0]} {symbol} {operand(arguments[1])}"
    if len(arguments) == 1:
        pattern = r"(?<![A-Za-z])x(?![A-Za-z])"
        if re.search(pattern, symbol):
            inside = operand(arguments[0])
            return re.sub(pattern, lambda _: inside, symbol)
        if symbol in ("−", "√"):
            return symbol + operand(arguments[0])
        if symbol == "[ ]":
            return f"{arguments[0]}[…]"
    shown = arguments if len(arguments) <= 4 else [*arguments[:2], "…", arguments[-1]]
    return f"{symbol}({', '.join(shown)})"

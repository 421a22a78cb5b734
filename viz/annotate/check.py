"""Check gradients by central differences: the record is run again with a leaf perturbed.

The difference quotient does not use the gradient rules: if the two differ, a rule between this leaf
and the root is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_gm.backend import module_of, to_device
from tinygrad_gm.engine.record import Traced
from tinygrad_gm.engine.replay import replay

from ..graph.view import Variable, View

EACH = 16  # up to this size each element of a leaf is perturbed; else random directions
DIRECTIONS = 3
RIGHT, WRONG, KINK = "✓", "✗", "kink"


FINE = 1e-5, 1e-4  # in float64: step size, and largest accepted relative error
COARSE = 1e-2, 2e-2  # with float32 in the record


def differences(view: View, roots: Sequence[Traced]) -> None:
    """Mark every leaf that requires a gradient with `check`: a `verdict` and the relative `error`.

    Central differences in float64 of the sum of the roots: element by element of small leaves, of
    large ones along three random directions. The verdict is "✓" or "✗", or "kink" where the slopes
    on both sides differ, so that there is no derivative to compare with.
    """
    leaves = {view.ids[key]: key for key in view.ids if isinstance(key, Traced)}
    try:
        program = _Program(roots)
    except RuntimeError as refusal:
        view.remarks.append(f"not checked: {str(refusal).removeprefix('replay: ')}")
        return
    parameters = (variable for variable in view.variables if variable.role == "parameter")
    checked = [variable for variable in parameters if getattr(variable.gradient, "size", 0)]
    for variable in checked:
        variable.marks["check"] = _compare(program, leaves[variable.id], variable)
    if checked:
        view.remarks.append(
            "differences: ✓ if the gradient agrees with central differences, ✗ if not, with the "
            "relative error; at a kink there is no derivative"
        )


def badge(check: dict[str, Any]) -> str:
    """Format a verdict and its relative error.

    >>> badge({"verdict": "✓", "error": 2.1e-9}), badge({"verdict": "kink", "error": 0.5})
    ('✓ 2e−9', 'kink')
    """
    if check["verdict"] == KINK or not np.isfinite(check["error"]):
        return str(check["verdict"])
    mantissa, _, exponent = f"{check['error']:.0e}".partition("e")
    size = f"{mantissa}e{int(exponent)}".replace("-", "−") if check["error"] else "0"
    return f"{check['verdict']} {size}"


class _Program:
    """The record as a function of its leaves, in float64 unless an operation casts."""

    def __init__(self, roots: Sequence[Traced]) -> None:
        self.roots = [root for root in roots if root._requires_grad]
        self.fine = True
        self.value = self()
        self.precision = FINE if self.fine else COARSE

    def __call__(self, leaf: Traced | None = None, move: Any = 0.0) -> float:
        """Return the sum of the roots with `move` added to a leaf."""

        def read(source: Any) -> Any:
            array = source._data if isinstance(source, Traced) else source
            if getattr(getattr(array, "dtype", None), "kind", "") != "f":
                return array
            xp = module_of(array)
            moved = array + xp.asarray(move) if source is leaf else array
            return xp.asarray(moved, dtype=np.float64)  # an array: numbers take another's dtype

        total = 0.0
        for root in self.roots:
            values = replay(root, read)
            floats = (v.value.dtype for v in values.values() if hasattr(v.value, "dtype"))
            self.fine &= all(dtype.itemsize == 8 for dtype in floats if dtype.kind == "f")
            value = values[root.node].value if root.node is not None else read(root)
            total += float(value.sum())
        return total


def _compare(program: _Program, leaf: Traced, variable: Variable) -> dict[str, Any]:
    gradient = to_device(variable.gradient, "cpu").astype(np.float64)
    step, bound = program.precision
    digits = float(np.finfo(leaf.dtype).eps)  # of the gradient
    bound = max(bound, 3 * digits**0.5)
    slopes, found = [], []
    for direction in _directions(gradient.shape):
        ahead, behind = program(leaf, step * direction), program(leaf, -step * direction)
        slopes.append([(ahead - program.value) / step, (program.value - behind) / step])
        found.append(float((gradient * direction).sum()))
    sides, analytic = np.array(slopes), np.array(found)
    numeric = sides.mean(axis=1)
    scale = max(np.abs(numeric).max(), np.abs(analytic).max(), 1e-4 * max(1, abs(program.value)))
    errors = np.abs(numeric - analytic) / scale
    bent = np.abs(sides[:, 0] - sides[:, 1]) / scale > 0.01
    right = errors <= bound
    verdict = RIGHT if right.all() else KINK if (bent | right).all() else WRONG
    return {"verdict": verdict, "error": float(errors.max())}


def _directions(shape: tuple[int, ...]) -> list[Any]:
    size = int(np.prod(shape))
    if size <= EACH:
        return list(np.eye(size).reshape(size, *shape))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (DIRECTIONS, *shape))
    return list(signs / np.sqrt(size))

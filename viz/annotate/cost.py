"""What each operation costs: time, floating-point operations, and memory saved for backward.

Times are measured by running an operation and its gradient rule again on the values of the record.
Operations are counted from shapes: a product of matrices (m, k) and (k, n) has 2·m·n·k, an
elementwise operation one per element, an operation that only moves numbers none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf, log2, prod
from typing import Any

import numpy as np

from tinygrad_gm.engine.memory import saved_arrays
from tinygrad_gm.engine.record import Node

from ..graph.view import Operation, View
from .jacobians import Call

RUNS = 3  # the fastest counts

Shape = tuple[int, ...]
Shapes = Mapping[int, Shape]
Params = Mapping[str, Any]


def measure(view: View, order: Sequence[Node]) -> None:
    """Mark every operation with `cost`: seconds `forward` and `backward`, `flops`, bytes `saved`.

    `order` holds the nodes of the record of the view. Times are missing where values are
    unknown. `saved` counts the bytes of the arrays that the record keeps alive, each
    at the first operation that saves it; the sum over all operations is `memory.saved_bytes`.
    """
    nodes = [node for node in order if not node.plan.op.is_part]
    saved = _saved(nodes)
    total: dict[str, float] = {}
    for node, (operation, arguments, results) in zip(nodes, view.calls(), strict=True):
        shapes = {argnum: variable.shape for argnum, (_, variable) in arguments.items()}
        values = {argnum: variable.value for argnum, (_, variable) in arguments.items()}
        cost: dict[str, float] = {
            "flops": flops(operation, shapes, [result.shape for result in results]),
            "saved": saved[node],
        }
        if all(value is not None for value in values.values()):
            argnums = [argnum for argnum, (edge, _) in arguments.items() if edge.differentiable]
            call = Call(operation, values, argnums)
            seed = np.ones(call.size)
            cost["forward"] = _seconds(call.forward)
            cost["backward"] = _seconds(lambda: call.pull_back(seed))  # noqa: B023 (called at once)
        operation.marks["cost"] = cost
        total = {name: total.get(name, 0) + amount for name, amount in cost.items()}
    if nodes:
        view.remarks.append(f"all operations together: {text_of(total)}")


def text_of(cost: Mapping[str, float]) -> str:
    """Format a cost on one line.

    >>> text_of({"flops": 2_000_000, "saved": 4096, "forward": 2.5e-4, "backward": 1e-3})
    '0.25 ms, back 1 ms · 2 MFLOP · saved 4.1 kB'
    """
    texts = [f"{_scaled(cost['flops'])}FLOP", f"saved {_scaled(cost['saved'])}B"]
    if "forward" in cost:
        times = _milliseconds(cost["forward"]), _milliseconds(cost["backward"])
        texts.insert(0, f"{times[0]}, back {times[1]}")
    return " · ".join(texts)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.2g} ms" if seconds < 1 else f"{seconds:.2g} s"


def _scaled(amount: float) -> str:
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if amount >= 10**power:
            digits = ".2g" if amount < 100 * 10**power else ".0f"
            return f"{amount / 10**power:{digits}} {letter}"
    return f"{amount:.0f} "


# ------------------------------------------------------------------------------ measured


def _seconds(function: Callable[[], Any]) -> float:
    """Return the shortest time of a few runs."""
    best = inf
    with np.errstate(all="ignore"):
        for _ in range(RUNS):
            start = time.perf_counter()
            function()
            best = min(best, time.perf_counter() - start)
    return best


def _saved(nodes: Sequence[Node]) -> dict[Node, int]:
    """Return the bytes of the arrays that each node is the first to save."""
    arrays = saved_arrays(nodes)
    first = {id(array): node for node in reversed(nodes) for array in arrays[node]}
    sizes = dict.fromkeys(nodes, 0)
    for node in nodes:
        for array in {id(array): array for array in arrays[node]}.values():
            sizes[node] += array.nbytes if first[id(array)] is node else 0
    return sizes


# ------------------------------------------------------------------------------- counted


def flops(operation: Operation, shapes: Mapping[int, Shape], results: Sequence[Shape]) -> int:
    """Count the floating-point operations of a forward call from argument and result shapes."""
    op, params = operation.op, operation.params
    out = sum(map(prod, results))
    if op.name in PRODUCTS:
        return PRODUCTS[op.name](shapes, results[0], params)
    if op.view or op.forward.__module__.endswith((".shape", ".indexing")) or op.name in MOVES:
        return 0
    size = max([out, *map(prod, shapes.values())])
    return int(size * log2(size)) if op.name == "sort" and size else size


MOVES = "embedding", "scatter_windows", "gather_windows"


Formula = Callable[[Shapes, Shape, Params], int]


def _contract(shapes: Shapes, out: Shape, params: Params) -> int:
    sizes = dict(zip(params["x_labels"], shapes[0], strict=True))
    sizes |= dict(zip(params["y_labels"], shapes[1], strict=True))
    summed = set(sizes) - set(params["labels"])
    return (2 if summed else 1) * prod(sizes.values())


def _attention(shapes: Shapes, out: Shape, params: Params) -> int:
    """Scores, their softmax (one per score), and the weighted sum of the values."""
    scores = prod(out[:-1]) * shapes[1][-2]
    return scores * (2 * shapes[0][-1] + 1 + 2 * out[-1])


def _sequence(shapes: Shapes, out: Shape, params: Params) -> int:
    """A product with the recurrent weight at every step, and the gates element by element."""
    return prod(shapes[0]) * (2 * shapes[1][-1] + 1)


def _pool(shapes: Shapes, out: Shape, params: Params) -> int:
    kernel = params["kernel_size"]
    windows = kernel ** (len(out) - 2) if isinstance(kernel, int) else prod(kernel)
    return prod(out) * int(windows)


def _matrices(factor: float) -> Formula:
    """`factor` · n³ for every n × n matrix."""
    return lambda shapes, out, params: int(factor * prod(shapes[0]) * shapes[0][-1])


def _biased(product: Formula) -> Formula:
    """A product, and a sum with argument 2, the bias, where there is one."""
    return lambda shapes, out, params: product(shapes, out, params) + prod(out) * (2 in shapes)


PRODUCTS: dict[str, Formula] = {
    "matmul": lambda shapes, out, params: 2 * prod(out) * shapes[0][-1],
    "linear": _biased(lambda shapes, out, params: 2 * prod(out) * shapes[1][-1]),
    "conv": _biased(lambda shapes, out, params: 2 * prod(out) * prod(shapes[1][1:])),
    "conv_transpose": _biased(
        lambda shapes, out, params: 2 * prod(shapes[0]) * prod(shapes[1][1:])
    ),
    "conv_weight_gradient": lambda shapes, out, params: 2 * prod(shapes[1]) * prod(out[1:]),
    "contract": _contract,
    "attention": _attention,
    "lstm_sequence": _sequence,
    "gru_sequence": _sequence,
    "rnn_sequence": _sequence,
    "max_pool": _pool,
    "avg_pool": _pool,
    "inv": _matrices(2.0),
    "det": _matrices(2 / 3),
    "log_abs_det": _matrices(2 / 3),
    "cholesky": _matrices(1 / 3),
    "solve": lambda shapes, out, params: (
        int(2 / 3 * prod(shapes[0]) * shapes[0][-1]) + 2 * prod(out) * shapes[0][-1]
    ),
}

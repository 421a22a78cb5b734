"""Trading time for memory: `checkpoint` drops intermediate arrays and recomputes them in backward.

A checkpoint is a node of an operation that has a decomposition and no rules. Backward expands it,
as it expands every such node: the function runs again, recorded, and the walk goes on into the
nodes of that run, on the same heap. So closures, higher orders and `tg.grad` need no special code.
The parents of the node are the arguments, followed by all other tensors the function read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from .anomaly import place_of_call
from .call import record
from .modes import Mode, recording, rerunning, textbook_mode
from .op import Op
from .record import Node, Traced, next_seq, topological_order, wrap

__all__ = ["checkpoint"]

# Called before the first run of a checkpoint, each returns a function that makes a context manager
# in which the second run finds the same state: `random` puts back its generator.
preserved: list[Callable[[], Callable[[], AbstractContextManager[object]]]] = []


def checkpoint(fn: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call fn(*args, **keywords) without saving intermediate arrays; backward recomputes them. The
    graph keeps the arguments and the results only; in backward the function is called a second
    time, recorded. With a network cut into segments, the memory of a step is that of one segment
    plus the arrays between them, at the cost of one more forward pass (Chen et al. 2016, "Training
    deep nets with sublinear memory cost", section 3).

    The gradient is that of the plain call, bit for bit, of any order, also for tensors that the
    function closes over. To repeat the first run exactly, the second one restores the state of the
    default generator (not that of generators passed by name) and the `textbook` mode, and backward
    raises if an argument or a closed-over leaf that requires a gradient was written since. Side
    effects happen twice.

    Args:
        fn: returns a Tensor, or a list or tuple with Tensors in it.
        args, keywords: passed to `fn`. Tensors in lists are allowed, but stay in memory.

    Returns:
        The result of `fn`, unchanged under `no_grad` or if nothing requires a gradient.

    Raises:
        TypeError: the function returned something else.
        RuntimeError: (in backward) the second run gave other shapes than the first.

    >>> w = tg.tensor([2.0, 3.0], requires_grad=True)
    >>> y = tg.checkpoint(lambda x: tg.exp(x * w).sum(), tg.zeros(2))
    >>> y.op
    'checkpoint'
    >>> y.backward()
    >>> w.grad.tolist()
    [0.0, 0.0]
    """
    if recording.get() is False:
        return fn(*args, **keywords)
    call = _Call(fn, args, keywords)
    tensors = call.tensors(args, keywords)
    raw = fn(*args, **keywords)
    outputs = call.results(raw)
    if not any(output._requires_grad for output in outputs):
        return raw
    call.shapes = [output.shape for output in outputs]
    parents = [tensor.node or tensor for tensor in tensors]
    parents += _closed_over(outputs, call.moment, parents)
    argnums = tuple(i for i, p in enumerate(parents) if type(p) is Node or p._requires_grad)
    arrays = tuple(output._data for output in outputs)
    op, data = _operation(len(outputs)), [tensor._data for tensor in tensors]
    out = arrays[0] if op.outputs == 1 else arrays
    made = record(op, argnums, tuple(parents), data, (call,), place_of_call(), out, None)
    parts = [made] if op.outputs == 1 else made
    pairs = zip(outputs, parts, strict=True)
    ours = iter([part if output._requires_grad else output for output, part in pairs])
    if isinstance(raw, Traced):
        return next(ours)
    rebuilt = [next(ours) if isinstance(value, Traced) else value for value in raw]
    return rebuilt if isinstance(raw, list) else tuple(rebuilt)


class _Call:
    """A call that can be repeated: the function, its arguments except Tensors, the modes."""

    def __init__(self, fn: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.fn, self.textbook = fn, textbook_mode.get()
        self.args = [None if isinstance(v, Traced) else v for v in args]
        self.keywords = {k: None if isinstance(v, Traced) else v for k, v in keywords.items()}
        self.argnums = [i for i, v in enumerate(args) if isinstance(v, Traced)]
        self.words = [k for k, v in keywords.items() if isinstance(v, Traced)]
        self.count = len(self.argnums) + len(self.words)
        self.states = [preserve() for preserve in preserved]
        self.moment = next_seq()
        self.shapes: list[tuple[int, ...]] = []

    def tensors(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> list[Any]:
        """The Tensors among the arguments."""
        return [
            *(args[argnum] for argnum in self.argnums),
            *(keywords[word] for word in self.words),
        ]

    def results(self, raw: Any) -> list[Any]:
        """The Tensors in the result of the function."""
        if not isinstance(raw, (Traced, list, tuple)):
            raise TypeError(
                f"checkpoint: the function returned {type(raw).__name__}; expected a Tensor, or a "
                "list or tuple with Tensors in it"
            )
        return [v for v in ([raw] if isinstance(raw, Traced) else raw) if isinstance(v, Traced)]

    def again(self, tensors: Sequence[Any]) -> list[Any]:
        """Run again, with the random numbers of the first run."""
        args, keywords = list(self.args), dict(self.keywords)
        for argnum, tensor in zip(self.argnums, tensors[: len(self.argnums)], strict=True):
            args[argnum] = tensor
        keywords |= zip(self.words, tensors[len(self.argnums) :], strict=True)
        with ExitStack() as modes:
            for state in (*(restore() for restore in self.states), Mode(rerunning, True)):
                modes.enter_context(state)
            modes.enter_context(Mode(textbook_mode, self.textbook))
            outputs = self.results(self.fn(*args, **keywords))
        shapes = [output.shape for output in outputs]
        if shapes != self.shapes:
            raise RuntimeError(
                f"checkpoint: the function returned {self.shapes} in the first run and {shapes} "
                "when it was run again for backward; it must do the same every time"
            )
        return outputs


class _Checkpoint(Op):
    """The operation of checkpoint nodes with a certain number of outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__(_forward, (), 1, symbol="⟲", decomposition=_decomposition, outputs=outputs)
        self.closes_over = False  # it is all among the parents

    def run_again(self, data: list[Any], params: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
        """What `replay` asks for: the arrays once more, nothing recorded."""
        (call,) = params
        arguments = data[: call.count]
        with Mode(recording, False):
            outputs = call.again([wrap(array) for array in arguments])
        arrays = tuple(output._data for output in outputs)
        return (arrays[0] if self.outputs == 1 else arrays), None, arguments


def _forward(xp: Any, *tensors: Any, call: _Call) -> Any:
    raise NotImplementedError  # `checkpoint` computes, `run_again` computes again


_forward.__name__ = "checkpoint"


def _decomposition(*tensors_and_call: Any) -> Any:
    *tensors, call = tensors_and_call
    return tuple(call.again(tensors[: call.count]))


@functools.cache
def _operation(outputs: int) -> _Checkpoint:
    return _Checkpoint(outputs)


def _closed_over(outputs: list[Any], moment: int, arguments: list[Any]) -> list[Any]:
    """The leaves and earlier nodes that a run read without receiving them as arguments."""
    made = topological_order(*outputs, newer_than=moment)
    read = [parent for node in made for parent in node.parents]
    read += [output.node or output for output in outputs]
    known, found = {id(argument) for argument in arguments}, []
    for parent in read:
        earlier = parent.seq <= moment if type(parent) is Node else _is_variable(parent)
        if earlier and id(parent) not in known:
            known.add(id(parent))
            found.append(parent)
    return found


def _is_variable(parent: Any) -> bool:
    return isinstance(parent, Traced) and parent._requires_grad

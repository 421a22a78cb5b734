"""The memory of an optimizer: many small parameters become one long vector.

A call of NumPy costs half a microsecond, and a pass over memory outside the caches costs more than
its arithmetic. So the parameters of one group, dtype and device are stored in one vector, each
array a view of its slice, and so are their moments. An optimizer's formula runs on *blocks* of that
vector: long enough that the cost of calls is negligible, short enough that one call's result is
still in the cache when the next one reads it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, device_of, module_of, to_device, unshared
from ..engine.in_place import mark_written
from ..kernels import native
from ..tensor import Tensor, asarray

LINE = 16  # float32 elements of a cache line, where blocks begin
BLOCK = 3 << 15  # elements: few calls of NumPy, and each result still in the cache for the next


class Block:
    """A slice of the vector: `param`, its gradient `grad`, and `scratch` to compute in.

    All are vectors of one length, of the array module `xp`. `param` and the results of `state` are
    updated in place; `grad` may alias a user array and is read-only; `scratch` is uninitialised.
    The methods after `state` are what the formulas have in common; they overwrite `scratch`.
    """

    __slots__ = (
        "_gathered", "_pieces", "_states", "_stretch", "_stretches",
        "grad", "param", "scratch", "xp",
    )  # fmt: skip
    grad: Array

    def __init__(self, flat: Flat, lo: int, hi: int) -> None:
        self.param, self.grad, self.xp = flat.vector[lo:hi], None, module_of(flat.vector)
        self.scratch, self._gathered = (vector[: hi - lo] for vector in flat.scratch)
        self._states, self._stretch = flat.states, slice(lo, hi)
        self._stretches: dict[str, Array] = {}
        self._pieces: list[tuple[int, slice | None, Array]] = []  # parameter, its part, place here
        i = bisect_right(flat.starts, lo) - 1
        while i < len(flat.starts) and flat.starts[i] < hi:
            whole = flat.stretch(i)
            first, last = max(whole.start, lo), min(whole.stop, hi)
            part = slice(first - whole.start, last - whole.start)
            place = self._gathered[first - lo : last - lo]
            if first == whole.start and last == whole.stop:
                self._pieces.append(
                    (i, None, place.reshape(flat.in_memory(i, flat.views[i]).shape))
                )
            else:
                self._pieces.append((i, part, place))
            i += 1

    def fill(self, gradients: Sequence[Array], scale: float, decay: float, keep: float) -> None:
        """Set `grad` to scale · (gradients + decay · param), and multiply param by `keep`."""
        xp, grad = self.xp, self._gathered
        for i, part, place in self._pieces:
            source = gradients[i] if part is None else gradients[i].reshape(-1)[part]
            if scale != 1:
                xp.multiply(source, scale, place)
            elif len(self._pieces) == 1:
                grad = source.reshape(-1)  # the gradient's own memory where it is contiguous
            else:
                place[...] = source
        if decay:
            xp.multiply(self.param, scale * decay, self.scratch)
            grad = xp.add(grad, self.scratch, self._gathered)
        if keep != 1:
            xp.multiply(self.param, keep, self.param)
        self.grad = grad

    def state(self, name: str) -> Array:
        """The slice of a state vector such as "exp_avg"; a new one is all zeros."""
        stretch = self._stretches.get(name)
        if stretch is None:
            stretch = self._stretches[name] = self._states[name][self._stretch]
        return stretch

    def average(self, name: str, rate: float, value: Array, share: float) -> Array:
        """Update a state, s ← rate · s + share · value, and return it."""
        xp, state = self.xp, self.state(name)
        xp.multiply(value, share, self.scratch)
        xp.multiply(state, rate, state)
        return xp.add(state, self.scratch, state)

    def squares(self) -> Array:
        """The squares of `grad`, in `scratch`."""
        return self.xp.multiply(self.grad, self.grad, self.scratch)

    def ratio(self, value: Array, squares: Array, eps: float) -> Array:
        """value / (√squares + ε), in `scratch`."""
        xp, scratch = self.xp, self.scratch
        xp.sqrt(squares, scratch)
        xp.add(scratch, eps, scratch)
        return xp.divide(value, scratch, scratch)

    def descend(self, direction: Array, lr: float) -> None:
        """θ ← θ − lr · direction."""
        self.xp.multiply(direction, lr, self.scratch)
        self.xp.subtract(self.param, self.scratch, self.param)


class Blocks:
    """The blocks of neighbouring parameters with the same step count, iterated once per step.

    `numbers` is the part of their state that is one number per parameter; a formula that uses it
    updates it in place.
    """

    __slots__ = ("_blocks", "_filling", "_param", "_states", "_stretch", "members", "numbers")

    def __init__(
        self, flat: Flat, members: list[int], blocks: list[Block], numbers: dict[str, float]
    ) -> None:
        self.members, self.numbers = members, numbers
        self._blocks = blocks
        self._stretch = slice(flat.stretch(members[0]).start, flat.stretch(members[-1]).stop)
        self._param, self._states = flat.vector[self._stretch], flat.states

    def fill_with(
        self, gradients: Sequence[Array], scale: float, decay: float, keep: float
    ) -> Blocks:
        """Set how each block is filled when it is reached."""
        self._filling = gradients, scale, decay, keep
        return self

    def for_kernel(self, *states: str | None) -> tuple[Any, ...] | None:
        """The arguments of a native kernel that updates all blocks in one pass, or None.

        (param, gradients, scale, decay, keep, *states): `param` and the states are vectors as long
        as all blocks together (None for None), the gradients are one array per parameter, and the
        formula's gradient is scale · gradient + decay · param. None: iterate over the blocks.
        """
        if not native.fits(self._param):
            return None
        gradients, scale, decay, keep = self._filling
        wanted = [gradients[i] for i in self.members if gradients[i].size]
        if not native.fits(self._param, *wanted):
            return None
        del self._filling  # do not keep the user's gradients alive
        vectors = (name and self._states[name][self._stretch] for name in states)
        contiguous = [np.ascontiguousarray(gradient) for gradient in wanted]
        return self._param, contiguous, scale, scale * decay, keep, *vectors

    def __iter__(self) -> Iterator[Block]:
        filling = self._filling
        del self._filling  # do not keep the user's gradients alive
        for block in self._blocks:
            block.fill(*filling)
            yield block
            block.grad = None


class Stored(NamedTuple):
    """The state of one parameter, checked and ready to be written."""

    step: int
    numbers: dict[str, float]
    arrays: dict[str, Array]


class States(dict[str, Array]):
    """Vectors like a given one, by name, created as zeros on first access."""

    def __init__(self, vector: Array) -> None:
        super().__init__()
        self._vector = vector

    def __missing__(self, name: str) -> Array:
        vector = self[name] = _zeros(self._vector.size, like=self._vector)
        return vector


class Flat:
    """Parameters of one dtype and device in one vector, with state vectors of the same layout.

    A parameter whose array was replaced (`p.data = …`) is copied in and bound again at the next
    step. One without a gradient is left unchanged, with its state and its step count.
    """

    def __init__(self, parameters: list[Tensor], numbers: Mapping[str, float]) -> None:
        first = parameters[0]._data
        stops = list(accumulate(p.size for p in parameters))
        self.parameters, self.starts = parameters, [0, *stops[:-1]]
        self.vector = _zeros(stops[-1], like=first)
        self.states = States(self.vector)
        self.block = BLOCK if module_of(first) is np else max(stops[-1], 1)
        longest = min(stops[-1], self.block + LINE)
        self.scratch = [_zeros(longest, like=first) for _ in range(2)]
        places = zip(parameters, self.starts, stops, strict=True)
        self.orders = [_memory_order(p._data) for p in parameters]
        self.views = [
            _view(self.vector[lo:hi], p.shape, order)
            for (p, lo, hi), order in zip(places, self.orders, strict=True)
        ]
        for parameter, view in zip(parameters, self.views, strict=True):
            _bind(parameter, view)
        self.steps, self._first_numbers = [0] * len(parameters), numbers
        self.numbers = [dict(numbers) for _ in parameters]
        self._live: list[bool] = []  # which parameters had gradients when the runs were made
        self._runs: list[Blocks] = []

    # ------------------------------------------------------------------------ a step

    def advance(
        self, scale: float, decay: float, keep: float = 1.0
    ) -> Iterator[tuple[int, Blocks]]:
        """Count a step of every parameter that has a gradient, and yield the blocks to update.

        Yields (step, blocks) for every run of neighbours with the same step count, from 1. A
        block's gradient is scale · (gradient + decay · param), and its param is multiplied by
        `keep`.
        """
        gradients, live = [], []
        for parameter, view, order in zip(self.parameters, self.views, self.orders, strict=True):
            if parameter._data is not view:
                _bind(parameter, view)
            gradient = parameter._grad
            if gradient is not None:
                array = gradient._data
                gradient = array.transpose(order) if len(order) > 1 else array
                if gradient.size > BLOCK:  # it will be sliced: make it contiguous once
                    gradient = module_of(gradient).ascontiguousarray(gradient)
            gradients.append(gradient)
            live.append(gradient is not None)
        if live != self._live:
            self._plan(live)
        for blocks in self._runs:
            for i in blocks.members:
                self.steps[i] += 1
            yield self.steps[blocks.members[0]], blocks.fill_with(gradients, scale, decay, keep)
            mark_written([self.parameters[i] for i in blocks.members])

    def _plan(self, live: list[bool]) -> None:
        """Cut the vector into runs of neighbours with equal counts, and each run into blocks.

        The counts and numbers of a run change together, so the plan holds while the same
        parameters have gradients.
        """
        self._live, self._runs = live, []
        keys = [
            (count, *numbers.values()) if alive else None
            for count, numbers, alive in zip(self.steps, self.numbers, live, strict=True)
        ]
        for key, run in groupby(range(len(keys)), keys.__getitem__):
            if key is None:
                continue
            members = list(run)
            lo, hi = self.stretch(members[0]).start, self.stretch(members[-1]).stop
            count = -(-(hi - lo) // self.block)
            inner = (lo + (hi - lo) * k // count // LINE * LINE for k in range(1, count))
            cuts = [lo, *inner, hi] if count else []
            numbers = self.numbers[members[0]].copy()  # shared by this run only
            for i in members:
                self.numbers[i] = numbers
            blocks = [Block(self, *cut) for cut in pairwise(cuts)]
            self._runs.append(Blocks(self, members, blocks, numbers))

    def stretch(self, i: int) -> slice:
        """The slice of the vector that holds parameter i."""
        return slice(self.starts[i], self.starts[i] + self.views[i].size)

    def in_memory(self, i: int, array: Array) -> Array:
        """An array shaped like parameter i, its axes in the order of that parameter's memory."""
        return array.transpose(self.orders[i])

    # ------------------------------------------------------------------------ the state

    def state_of(self, i: int) -> dict[str, Tensor]:
        """The state of parameter i in the same memory, and its count of steps; {} before any."""
        if not self.steps[i]:
            return {}
        facts, stretch = (self.views[i].shape, self.orders[i]), self.stretch(i)
        vectors = {name: _view(vector[stretch], *facts) for name, vector in self.states.items()}
        numbers = {name: np.array(number) for name, number in self.numbers[i].items()}
        arrays = {"step": np.array(self.steps[i]), **numbers, **vectors}
        return {name: Tensor._of(array) for name, array in arrays.items()}

    def read_state(self, i: int, state: Mapping[str, Any], vectors: Sequence[Array]) -> Stored:
        """Check and convert a state of parameter i, copying arrays that alias `vectors`.

        Raises ValueError for a moment or a number of another shape.
        """
        shape, arrays, numbers = self.views[i].shape, {}, dict(self._first_numbers)
        for name, value in state.items():
            if value is None:
                continue
            array, single = asarray(value)._data, name == "step" or name in numbers
            if array.shape != (() if single else shape):
                raise ValueError(
                    f"load_state_dict: {name} of shape {array.shape} does not belong to a "
                    f"parameter of shape {shape}"
                )
            if name in numbers:
                numbers[name] = float(array)
            elif name != "step":
                array = to_device(array, device_of(self.vector)).astype(
                    self.vector.dtype, copy=False
                )
                arrays[name] = unshared(self.in_memory(i, array).reshape(-1), vectors)
        step = int(asarray(state.get("step", 1))._data) if state else 0
        return Stored(step, numbers, arrays)

    def load_state_of(self, i: int, stored: Stored) -> None:
        """Write a state of parameter i in place; missing entries become zero."""
        stretch = self.stretch(i)
        for vector in self.states.values():
            vector[stretch] = 0
        for name, array in stored.arrays.items():
            self.states[name][stretch] = array
        self.steps[i], self.numbers[i] = stored.step, stored.numbers
        self._live = []  # different counts may be equal now: rebuild the runs


def _zeros(count: int, like: Array) -> Array:
    """A vector of zeros aligned to a cache line: loads across two lines slow Adam by 10 %."""
    xp, dtype = module_of(like), like.dtype
    if xp is not np:
        return xp.zeros(count, dtype)
    vector = np.zeros(count + 64 // dtype.itemsize, dtype)
    address: int = vector.__array_interface__["data"][0]
    return vector[-address % 64 // dtype.itemsize :][:count]


def _memory_order(array: Array) -> tuple[int, ...]:
    """The axes in the order of decreasing stride."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))


def _view(stretch: Array, shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    """A slice of a vector as an array of `shape` whose memory has the axes in `order`."""
    back = sorted(range(len(order)), key=order.__getitem__)
    return stretch.reshape([shape[axis] for axis in order]).transpose(back)


def _bind(parameter: Tensor, view: Array) -> None:
    """Copy a parameter's values into the vector, and make that slice its array."""
    array = parameter._data
    here, wanted = ((a.shape, a.dtype, device_of(a)) for a in (array, view))
    if here != wanted:
        raise RuntimeError(
            f"step: a parameter of {_facts(*wanted)} has become one of {_facts(*here)}; make the "
            "optimizer after such changes"
        )
    view[...] = array
    parameter._data = view


def _facts(shape: tuple[int, ...], dtype: Any, device: str) -> str:
    return f"shape {shape}, {dtype}, on {device}"

"""Random graphs of the registry's operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from registry import SMOOTH, call, slots_of
from samples import Sample

import tinygrad_gm as tg

# A step of a graph is a sample of an operation whose arrays are replaced by earlier results: each
# is brought to the shape of the array, and into the range of its numbers, where the call is sound.
STEPS: list[tuple[str, Sample]] = [
    (name, sample)
    for name, sample in (parameter.values for parameter in SMOOTH)
    if all(1 <= np.size(array) <= 64 for array in sample.arrays if array is not None)
]
BY_NAME = {name: [sample for n, sample in STEPS if n == name] for name, _ in STEPS}
NARROW = {name for name, op in tg.ops.registry.items() if op.forward.__module__.endswith("linalg")}


def adapted(value: Any, array: Any, narrow: bool) -> Any:
    """`value` in the shape of a sample's array: all over its range, or close to it."""
    size = array.size
    elements = value.reshape(-1)[np.arange(size) % value.size]
    waves = tg.tanh(elements + np.sin(1.0 + 2.0 * np.arange(size))).reshape(array.shape)
    if narrow or size == 1:  # a matrix stays regular, a number within its margin from kinks
        return array + 0.04 * waves
    return (array.max() + array.min()) / 2 + 0.49 * (array.max() - array.min()) * waves


@st.composite
def registry_graphs(draw: Any) -> Any:
    """A function of a vector: up to twelve operations of the registry, one reading the other."""
    step = st.sampled_from(sorted(BY_NAME)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.sampled_from(BY_NAME[name]), st.lists(st.integers(0, 3), min_size=3)
        )
    )
    steps = draw(st.lists(step, min_size=1, max_size=12))

    def function(x: Any) -> Any:
        values = [x]
        for name, sample, places in steps:
            arrays = list(sample.arrays)
            for position, slot in enumerate(slots_of(name, sample)):
                back = places[position % len(places)] % len(values)  # 0: the last result
                arrays[slot] = adapted(values[-1 - back], arrays[slot], name in NARROW)
            result = call(name, arrays, sample.params)
            if result.size:
                values.append(2 * tg.tanh(result / 2))
        return sum((value * np.cos(np.arange(value.size)).reshape(value.shape)).mean()
                   for value in values)  # fmt: skip

    return function

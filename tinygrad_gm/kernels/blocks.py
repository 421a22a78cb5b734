"""Long formulas, one block of the arrays at a time.

NumPy runs a formula step by step, and each step reads and writes whole arrays. If those are larger
than the processor's cache, the steps wait for memory. In blocks only the first step waits: its
result is still in the cache when the next one reads it. A GPU needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array, Namespace

BLOCK = 1 << 16  # elements: a few such blocks fit into 1 MB of cache per core, and calls are few


def in_cache(xp: Namespace, size: int) -> bool:
    """Whether arrays of this size are processed whole."""
    return size <= BLOCK or xp.__name__ != "numpy"


def in_blocks(xp: Namespace, function: Callable[..., None], *arrays: Array) -> Any:
    """An elementwise function of arrays of one shape, in the memory order of the first.

    Args:
        xp: the array module.
        function: called as `function(xp, out, *arrays)`, writes its result to `out`.
        arrays: of floats; integers are converted to float64.
    """
    if arrays[0].dtype.kind != "f":
        arrays = tuple(array.astype(xp.float64) for array in arrays)
    out = xp.empty_like(arrays[0])
    if in_cache(xp, out.size):
        function(xp, out, *arrays)
        return out
    blocks = xp.nditer(
        [out, *arrays],
        flags=["external_loop", "buffered"],
        op_flags=[["writeonly"], *(["readonly"] for _ in arrays)],
        buffersize=BLOCK,
    )
    with blocks:
        for target, *sources in blocks:
            function(xp, target, *sources)
    return out

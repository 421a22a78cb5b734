"""Times `tg.einsum` and `np.einsum(…, optimize=True)` in turns; prints the ratio of the medians.

    python -m benchmarks.einsum [--turns N]

A ratio below 1 means that ours is faster. Both get the same float32 arrays, and their results must
agree. Ours carries no gradient here; what recording adds is the same for every operation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_gm as tg

PATTERNS: dict[str, tuple[str, list[tuple[int, ...]]]] = {
    "attention scores": ("bqhd,bkhd->bhqk", [(8, 128, 8, 64), (8, 128, 8, 64)]),
    "attention scores, heads first": ("bhqd,bhkd->bhqk", [(8, 8, 128, 64), (8, 8, 128, 64)]),
    "attention output": ("bhqk,bkhd->bqhd", [(8, 8, 128, 128), (8, 128, 8, 64)]),
    "small attention": ("bqhd,bkhd->bhqk", [(2, 16, 4, 16), (2, 16, 4, 16)]),
    "projection to heads": ("btm,mhd->bthd", [(8, 128, 256), (256, 8, 32)]),
    "bilinear layer": ("bi,oij,bj->bo", [(64, 64), (32, 64, 64), (64, 64)]),
    "bilinear form": ("bi,ij,bj->b", [(256, 128), (128, 128), (256, 128)]),
    "low-rank bilinear": ("bi,ir,jr,bj->b", [(256, 128), (128, 16), (128, 16), (256, 128)]),
}


def seconds(work: Callable[[], Any], at_least: float = 0.02) -> float:
    """The time of one call, averaged over as many as fill `at_least` seconds."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < at_least:
        work()
        calls += 1
    return (time.perf_counter() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description="tg.einsum against np.einsum(optimize=True)")
    parser.add_argument("--turns", type=int, default=15, help="how often each is timed (15)")
    turns = parser.parse_args().turns
    rng = np.random.default_rng(0)
    print(f"{'pattern':32}{'spec':22}{'ours':>10}{'NumPy':>10}{'ratio':>8}")
    for name, (spec, shapes) in PATTERNS.items():
        arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
        tensors = [tg.asarray(array) for array in arrays]
        ours = np.asarray(tg.einsum(spec, *tensors))
        theirs = np.einsum(spec, *arrays, optimize=True)
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max(), name
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(turns):
            times[0].append(seconds(lambda: tg.einsum(spec, *tensors)))  # noqa: B023
            times[1].append(seconds(lambda: np.einsum(spec, *arrays, optimize=True)))  # noqa: B023
        mine, numpys = map(statistics.median, times)
        print(f"{name:32}{spec:22}{mine * 1e6:8.0f}µs{numpys * 1e6:8.0f}µs{mine / numpys:8.2f}")


if __name__ == "__main__":
    main()

"""Times the drawing of big graphs, from the record to the SVG, against the limits wished for.

python -m benchmarks.drawing
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import nn, viz

RUNS = 5


def encoder() -> tg.Tensor:
    """The loss of a transformer encoder of 12 layers, 64 wide, on 2 sequences of 16 tokens."""
    tg.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 12)
    loss: tg.Tensor = (model(tg.randn((2, 16, 64))) ** 2).mean()
    return loss


def irregular(nodes: int) -> tg.Tensor:
    """A graph of about so many nodes, in which nothing repeats."""
    rng = np.random.default_rng(0)
    known = [tg.tensor(float(value), requires_grad=True) for value in rng.normal(size=8)]
    ends = list(known)
    for _ in range(nodes * 3 // 8):
        one, two = (known[-i] for i in rng.integers(1, 9, size=2))
        new = [tg.tanh(one), tg.sin(one * 0.5), one + two, one * two][rng.integers(4)]
        known.append(new)
        ends = [end for end in ends if end is not one and end is not two] + [new]
    total = ends[0]
    for end in ends[1:]:
        total = total + end
    return total


CASES: dict[str, tuple[Callable[[], viz.Drawing], str, float]] = {
    "a transformer encoder of 12 layers, closed": (lambda: viz.draw(encoder()), "any", 3.0),
    "2,000 nodes through dot": (lambda: viz.draw(irregular(2000), force=True), "dot", 5.0),
    "200 nodes by the built-in layout": (
        lambda: viz.draw(irregular(200), force=True, engine="builtin"),
        "builtin",
        2.0,
    ),
}


def main() -> None:
    """Print the median times."""
    for name, (draw, engine, limit) in CASES.items():
        if engine == "dot" and shutil.which("dot") is None:
            print(f"{name}: no dot here")
            continue
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            picture = draw()
            picture.svg()
            times.append(time.perf_counter() - start)
        median = statistics.median(times)
        print(f"{name}: {median:.2f} s, at most {limit:.0f} s wished for; {picture!r}")


if __name__ == "__main__":
    main()

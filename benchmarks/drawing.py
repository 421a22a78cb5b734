"""Times drawings, from the record to the picture, against the limits wished for.

python -m benchmarks.drawing

`make compared` times the drawing of the same networks by other libraries.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import viz

from .drawn_nets import encoder, nets

RUNS = 3


def encoder_loss() -> tg.Tensor:
    """The loss of a transformer encoder of 12 layers, 64 wide, on 2 sequences of 16 tokens."""
    tg.manual_seed(0)
    model, inputs = encoder(tg)
    loss: tg.Tensor = (model(*inputs) ** 2).mean()
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


def png_of(name: str) -> Callable[[], bytes]:
    """A function that draws one of the six networks as PNG."""

    def draw() -> bytes:
        tg.manual_seed(0)
        model, inputs = nets(tg)[name]()
        return viz.draw(model, *inputs).png()

    return draw


def cases() -> dict[str, tuple[Callable[[], object], str, float]]:
    """What to draw, the engine it needs, and the limit in seconds."""
    loss, large, small = encoder_loss(), irregular(2000), irregular(200)
    return {
        "a transformer encoder of 12 layers": (lambda: viz.draw(loss).svg(), "any", 0.5),
        "2,000 nodes, closed": (lambda: viz.draw(large).svg(), "any", 3.0),
        "2,000 nodes, all of them, through dot": (
            lambda: viz.draw(large, force=True).svg(),
            "dot",
            5.0,
        ),
        "200 nodes by the built-in layout": (
            lambda: viz.draw(small, force=True, engine="builtin").svg(),
            "builtin",
            2.0,
        ),
        **{f"{name} as PNG": (png_of(name), "any", 1.0) for name in nets(tg)},
    }


def main() -> None:
    """Print the median times."""
    for name, (draw, engine, limit) in cases().items():
        if engine == "dot" and shutil.which("dot") is None:
            print(f"{name}: no dot here")
            continue
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            draw()
            times.append(time.perf_counter() - start)
        print(f"{name}: {statistics.median(times):.2f} s, at most {limit:g} s wished for")


if __name__ == "__main__":
    main()

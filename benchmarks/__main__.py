"""Times our training steps and the rivals' in turns and prints the ratios of the medians.

Each library works in a process of its own, so that one's idle threads do not slow another down, and
they take turns, so that a drift of the machine's speed hits all alike. All start from the same
weights and data, and their losses must agree over three steps before anything is timed.

    python -m benchmarks [WORKLOAD …] [--turns N] [--seconds S] [--rivals] [--write]
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .rivals import RIVALS
from .startup import seconds_to_first_gradient
from .workloads import PICTURES, WORKLOADS

OURS, TORCH, CHANNELS_LAST = "tinygrad_gm", "torch", "torch, channels last"
RESULTS = Path(__file__).with_name("RESULTS.md")


class Contestant:
    """A worker process: one library on one workload."""

    def __init__(self, workload: str, library: str) -> None:
        # a forced kernel suits one BLAS and hampers another: let each choose its own
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        command = [sys.executable, "-m", "benchmarks.worker", workload, library]
        self.library = library
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.times: list[float] = []
        hello = self._answer()
        self.losses, self.version = hello["losses"], hello["version"]

    def work(self, seconds: float, counted: bool = True) -> None:
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.times += answer["times"] if counted else []
        self.peak_mb, self.grown_mb = answer["peak_mb"], answer["grown_mb"]

    @property
    def median_ms(self) -> float:
        return 1e3 * statistics.median(self.times)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended early: {self.process.args}")
        return json.loads(line)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def contest(workload: str, libraries: Sequence[str], turns: int, seconds: float) -> Any:
    """All libraries on one workload, after the three losses of each were found to agree."""
    contestants: list[Contestant] = []
    try:
        for library in libraries:
            contestants.append(Contestant(workload, library))
            losses, wanted = contestants[-1].losses, contestants[0].losses
            if not np.allclose(losses, wanted, rtol=1e-4):
                raise RuntimeError(f"{workload}: {library} has losses {losses}, ours are {wanted}")
        for turn in range(turns + 1):
            for contestant in contestants:
                contestant.work(seconds, counted=turn > 0)
    finally:
        for contestant in contestants:
            contestant.end()
    return contestants


def against_torch(workloads: Sequence[str], turns: int, seconds: float) -> list[str]:
    """The table of our steps and PyTorch's, its better memory order where there are pictures."""
    torch = f"PyTorch {version('torch').partition('+')[0]}"
    lines = [
        f"| workload | tinygrad_gm, ms | {torch}, ms | PyTorch/ours | memory, MB | PyTorch's |",
        "|---|---|---|---|---|---|",
    ]
    ratios = {}
    for workload in workloads:
        if workload == "import":
            ours, theirs = (1e3 * seconds_to_first_gradient(lib, turns) for lib in (OURS, TORCH))
            lines.append(f"| import | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f} | | |")
        else:
            orders = [TORCH, CHANNELS_LAST] if workload in PICTURES else [TORCH]
            mine, *others = contest(workload, [OURS, *orders], turns, seconds)
            best = min(others, key=lambda other: other.median_ms)
            note = " (channels last)" if best.library == CHANNELS_LAST else ""
            ratios[workload] = best.median_ms / mine.median_ms
            lines.append(
                f"| {workload} | {mine.median_ms:.3f} | {best.median_ms:.3f}{note} "
                f"| {ratios[workload]:.2f} | {mine.grown_mb:.0f} | {best.grown_mb:.0f} |"
            )
        print(lines[-1], flush=True)
    if ratios:
        mean = math.exp(statistics.mean(map(math.log, ratios.values())))
        lines += ["", f"Geometric mean of the ratios without `import`: {mean:.2f}"]
        print(lines[-1])
    return lines


def against_rivals(workloads: Sequence[str], turns: int, seconds: float) -> list[str]:
    """The table of the rivals' times relative to ours, on what they can run."""
    rivals = {name: load() for name, load in RIVALS.items()}
    titles = [f"{name} {rival.version}/ours" for name, rival in rivals.items()]
    lines = [
        f"| workload | tinygrad_gm, ms | {' | '.join(titles)} |",
        "|---|---|" + "---|" * len(rivals),
    ]
    for workload in workloads:
        able = [name for name, rival in rivals.items() if workload in rival.workloads]
        if not able:
            continue
        mine, *others = contest(workload, [OURS, *able], turns, seconds)
        ratios = {other.library: other.median_ms / mine.median_ms for other in others}
        cells = [f"{ratios[name]:.2f}" if name in ratios else "–" for name in rivals]
        lines.append(f"| {workload} | {mine.median_ms:.3f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*WORKLOADS, "import"]
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--turns", type=int, default=8, help="turns of each library")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--rivals", action="store_true", help="also the NumPy engines and JAX")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args()
    if unknown := set(args.workloads) - set(names):
        parser.error(f"no workload {sorted(unknown)}; there are {', '.join(names)}")
    workloads = args.workloads or names
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    lines = [f"`{command}`, {datetime.date.today()}, {_machine()}", ""]
    print(lines[0], "\n")
    lines += against_torch(workloads, args.turns, args.seconds)
    if args.rivals:
        print()
        lines += ["", *against_rivals(workloads, args.turns, args.seconds)]
    if args.write:
        RESULTS.write_text("\n".join([HEAD, *lines, ""]), encoding="utf-8")


def _machine() -> str:
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{processor}, {os.cpu_count()} cores; {versions}"


HEAD = """# Measured

A step in ms, medians. *PyTorch/ours* above 1 means that ours is faster. Memory is the peak of the
process above its size after the model was built. What the workloads are, and how they are timed, is
said in [README.md](README.md).
"""

if __name__ == "__main__":
    main()

"""Times our training steps and PyTorch's in turns and prints the ratio of the medians.

Each library works in a process of its own, so that one's idle threads do not slow the other down,
and the two take turns, so that a drift of the machine's speed hits both alike. Both start from the
same weights and data, and their losses must agree over three steps before anything is timed.

    python -m benchmarks [WORKLOAD …] [--turns N] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from typing import Any

import numpy as np

from .workloads import WORKLOADS

RIVAL = "torch"


class Contestant:
    """A worker process: one library on one workload."""

    def __init__(self, workload: str, library: str) -> None:
        # a forced kernel suits one BLAS and hampers another: let each choose its own
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        command = [sys.executable, "-m", "benchmarks.worker", workload, library]
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
        self.peak_mb = answer["peak_mb"]

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


def compare(workload: str, turns: int, seconds: float) -> str:
    """One line of the table."""
    ours, rival = Contestant(workload, "tinygrad_gm"), Contestant(workload, RIVAL)
    try:
        if not np.allclose(ours.losses, rival.losses, rtol=1e-4):
            raise RuntimeError(f"{workload}: losses differ: {ours.losses} and {rival.losses}")
        for turn in range(turns + 1):
            for contestant in (ours, rival):
                contestant.work(seconds, counted=turn > 0)
    finally:
        ours.end()
        rival.end()
    our_time, their_time = (1e3 * statistics.median(c.times) for c in (ours, rival))
    return (
        f"| {workload} | {our_time:.3f} | {their_time:.3f} | {our_time / their_time:.2f} "
        f"| {ours.peak_mb:.0f} | {rival.peak_mb:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--turns", type=int, default=10, help="turns of each library")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    args = parser.parse_args()
    unknown = set(args.workloads) - WORKLOADS.keys()
    if unknown:
        parser.error(f"no workload {sorted(unknown)}; there are {', '.join(WORKLOADS)}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, Python {platform.python_version()}, NumPy {np.__version__}")
    print("a step in ms (medians), peak memory of the process in MB\n")
    print(f"| workload | tinygrad_gm | {RIVAL} | ours/{RIVAL} | peak | peak {RIVAL} |")
    print("|---|---|---|---|---|---|")
    for workload in args.workloads or WORKLOADS:
        print(compare(workload, args.turns, args.seconds), flush=True)


if __name__ == "__main__":
    main()

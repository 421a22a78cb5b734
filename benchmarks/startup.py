"""The time from the start of a process to its first gradient."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "tinygrad_gm": "import tinygrad_gm as lib; x = lib.tensor([1.0], requires_grad=True)",
    "torch": "import torch as lib; x = lib.tensor([1.0], requires_grad=True)",
}


def seconds_to_first_gradient(library: str, turns: int, checkout: str = "") -> float:
    """The median over fresh processes; the first one, which warms the disk, does not count."""
    command = [sys.executable, "-c", PROGRAMS[library] + "; (x * x).sum().backward()"]
    times = []
    for _ in range(turns + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=checkout or None)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])

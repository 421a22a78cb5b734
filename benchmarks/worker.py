"""One library on one workload, in a process of its own that works when it is told to.

Standard input has one line per turn: how many seconds to work. Each turn answers with one line of
JSON. The first answer, before any turn, holds the losses of three steps. Each turn begins with new
weights: a network that has learnt its one batch by heart has denormal gradients, with which a
processor computes several times more slowly.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from functools import partial

from .libraries import LIBRARIES
from .rivals import RIVALS
from .workloads import WORKLOADS


def main(workload: str, library: str, checkout: str) -> None:
    if checkout:
        sys.path.insert(0, checkout)  # whose `tinygrad_gm` is then imported
    if library in LIBRARIES:
        lib = LIBRARIES[library]()
        version, build = lib.version, partial(WORKLOADS[workload], lib)
    else:
        rival = RIVALS[library]()
        version, build = rival.version, rival.workloads[workload]
    step = build()
    built = _resident_mb()
    losses = [step().item() for _ in range(3)]
    print(json.dumps({"version": version, "losses": losses}), flush=True)
    for line in sys.stdin:
        del step
        step = build()
        step()
        end = time.perf_counter() + float(line)
        times = []
        while (start := time.perf_counter()) < end:
            step()
            times.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {"times": times, "peak_mb": peak, "grown_mb": peak - built}
        print(json.dumps(answer), flush=True)


def _resident_mb() -> float:
    """The memory that the process has at this moment."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One library on one workload, in a process of its own that works when it is told to.

Standard input has one line per turn: how many seconds to work, for five steps at least. Each turn
answers with one line of JSON. The first answer, before any turn, holds the losses of three steps.
Each turn begins with new weights: a network that has learnt its one batch by heart has denormal
gradients, with which a processor computes several times more slowly.
"""

from __future__ import annotations

import json
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
    built = _status_mb("VmRSS")
    losses = [step().item() for _ in range(3)]
    print(json.dumps({"version": version, "losses": losses}), flush=True)
    for line in sys.stdin:
        del step
        step = build()
        _begin_peak()
        step()
        end = time.perf_counter() + float(line)
        times = []
        while (start := time.perf_counter()) < end or len(times) < 5:
            step()
            times.append(time.perf_counter() - start)
        peak = _status_mb("VmHWM")
        answer = {"times": times, "peak_mb": peak, "grown_mb": peak - built}
        print(json.dumps(answer), flush=True)


def _begin_peak() -> None:
    """Forget the peak of memory so far, which is that of building the network."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _status_mb(name: str) -> float:
    """The memory that the process has ("VmRSS"), or its peak ("VmHWM")."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])

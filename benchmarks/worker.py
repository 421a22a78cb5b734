"""One library on one workload, in a process of its own that works when it is told to.

Standard input has one line per turn: how many seconds to work. Each turn answers with one line of
JSON. The first answer, before any turn, holds the losses of three steps.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from .libraries import LIBRARIES
from .workloads import WORKLOADS


def main(workload: str, library: str) -> None:
    lib = LIBRARIES[library]()
    step = WORKLOADS[workload](lib)
    losses = [step().item() for _ in range(3)]
    print(json.dumps({"version": lib.version, "losses": losses}), flush=True)
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        times = []
        while (start := time.perf_counter()) < end:
            step()
            times.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"times": times, "peak_mb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

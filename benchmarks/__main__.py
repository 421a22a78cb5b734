"""Times our training steps and PyTorch's alternately and prints the ratios of the medians.

Each library works in a process of its own, so that one's idle threads do not slow another down.
They are timed alternately, so that a drift of the machine's speed affects all equally. All start
from the same weights and data, and their losses must agree over three steps before the timing.

    python -m benchmarks [WORKLOAD …] [--turns N] [--seconds S] [--rivals] [--load] [--write]
    python -m benchmarks [WORKLOAD …] [--turns N] [--seconds S] --against CHECKOUT
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import sys
from pathlib import Path

import numpy as np

from . import tables
from .workloads import WORKLOADS

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*WORKLOADS, "import"]
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--turns", type=int, default=8, help="turns of each library")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--rivals", action="store_true", help="also the NumPy engines and JAX")
    parser.add_argument(
        "--load", action="store_true", help="also while a process spins on one of the cores"
    )
    parser.add_argument(
        "--against",
        metavar="CHECKOUT",
        help="compare with another checkout of this library instead: the commit before",
    )
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args()
    if unknown := set(args.workloads) - set(names):
        parser.error(f"no workload {sorted(unknown)}; there are {', '.join(names)}")
    workloads = args.workloads or names
    if args.against and not Path(args.against, "tinygrad_gm").is_dir():
        parser.error(f"--against: there is no folder tinygrad_gm in {args.against}")
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    lines = [f"`{command}`, {datetime.date.today()}, {_machine()}", ""]
    print(lines[0], "\n")
    if args.against:
        tables.against_checkout(workloads, args.against, args.turns, args.seconds)
        return
    lines += tables.against_torch(workloads, args.turns, args.seconds)
    if args.rivals:
        print()
        lines += ["", *tables.against_rivals(workloads, args.turns, args.seconds)]
    if args.load:
        print()
        loaded = [name for name in tables.LOADED if name in workloads]
        lines += ["", *tables.under_load(loaded, args.turns, args.seconds)]
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
process above its size after the model was built. *Loaded*: while another process spins on one of
the cores. What the workloads are, and how they are timed, is said in [README.md](README.md).
"""

if __name__ == "__main__":
    main()

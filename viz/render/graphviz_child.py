"""Run pygraphviz in a subprocess: `python -m … svg < text > picture`.

A long layout cannot be interrupted from Python, and a crash in the library ends its process; so
the caller starts this process with a timeout.
"""

from __future__ import annotations

import sys

KINDS = ("svg", "png", "pdf")


def main(kind: str) -> None:
    """Read DOT text, write the picture."""
    import pygraphviz

    if kind not in KINDS:  # svgz would end the process
        raise SystemExit(f"the kind of picture is {kind!r}, not one of {KINDS}")
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    sys.stdout.buffer.write(graph.draw(format=kind, prog="dot"))


if __name__ == "__main__":
    main(sys.argv[1])

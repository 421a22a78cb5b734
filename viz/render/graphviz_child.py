"""Graphviz from pygraphviz's wheel, in a process of its own: `python -m … svg < text > picture`.

A library that lays out for minutes cannot be interrupted from Python, and one that crashes takes
its process with it; so the drawing program starts this one and holds the clock.
"""

from __future__ import annotations

import sys

KINDS = ("svg", "png", "pdf")


def main(kind: str) -> None:
    """Read DOT text, write the picture."""
    import pygraphviz

    if kind not in KINDS:  # svgz ends the process, and nobody asks for others
        raise SystemExit(f"the kind of picture is {kind!r}, not one of {KINDS}")
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    sys.stdout.buffer.write(graph.draw(format=kind, prog="dot"))


if __name__ == "__main__":
    main(sys.argv[1])

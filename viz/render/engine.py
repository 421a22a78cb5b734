"""The programs that lay a drawing out: Graphviz's `dot`, and pygraphviz in a process of its own.

Where both are missing, or fail, the layout in `layered` draws: a picture always appears.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from ..compose.figure import Figure
from . import dot, svg
from .normalize import normalize
from .raster import RESOLUTION

TIMEOUT = 30.0  # seconds
BUILTIN = "builtin"
HINT = (
    "install Graphviz (apt install graphviz, brew install graphviz, winget install "
    "Graphviz.Graphviz, or conda install graphviz), or its library: pip install "
    "'tinygrad_gm[render]'"
)


class MissingEngine(RuntimeError):  # noqa: N818 (it names what is wrong)
    """What is needed for a picture is not installed; the message says how to install it."""


def check(name: str | None) -> None:
    """Refuse an engine that there is not, or that is not installed here."""
    if name in (None, BUILTIN):
        return
    if name not in _COMMANDS:
        known = ", ".join(f'"{engine}"' for engine in _COMMANDS)
        raise ValueError(f'draw: engine is {name!r}; {known} or "{BUILTIN}" is wanted')
    if _COMMANDS[name]("svg") is None:
        raise MissingEngine(f"the engine {name} is not here: {HINT}")


def picture(figure: Figure, direction: str, name: str | None = None) -> str:
    """The SVG of a figure by an engine (see `render`), in the form that all have in common."""
    rendered = render(dot.source(figure, direction), "svg", name)
    drawn = svg.draw(figure, direction) if rendered is None else rendered.decode()
    return normalize(drawn, figure)


def render(source: str, kind: str, name: str | None = None) -> bytes | None:
    """What Graphviz makes of a DOT text, or None where the built-in layout is to draw.

    Args:
        source: DOT text.
        kind: "svg", "png" or "pdf".
        name: the engine; by default the first that is installed and does not fail.

    Raises:
        MissingEngine: the engine that was asked for is not installed.
        RuntimeError: it fails, writes less than a whole file, or takes more than 30 seconds.
    """
    check(name)
    if name == BUILTIN:
        return None
    if name is not None:
        return _run(name, source, kind)
    for engine, command in _COMMANDS.items():
        if command(kind) is None:
            continue
        try:
            return _run(engine, source, kind)
        except (OSError, RuntimeError) as error:
            warnings.warn(f"{error}; drawn with the next engine instead", stacklevel=3)
    return None


def _run(name: str, source: str, kind: str) -> bytes:
    command: Any = _COMMANDS[name](kind)
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # as this process finds things
    environment = {**os.environ, **paths} if command[0] == sys.executable else None
    try:
        done = subprocess.run(
            command,
            input=source.encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} did not finish within {TIMEOUT:.0f} s") from error
    except subprocess.CalledProcessError as error:
        complaints = error.stderr.decode(errors="replace").strip().splitlines()
        complaint = complaints[-1 if name == "pygraphviz" else 0] if complaints else error
        raise RuntimeError(f"{name} failed: {complaint}") from error
    start, end = _ENDS[kind]
    if start not in done.stdout[:4096] or end not in done.stdout[-64:]:
        raise RuntimeError(f"{name} wrote {len(done.stdout)} bytes that are not a whole {kind}")
    return done.stdout


def _dot(kind: str) -> Sequence[str] | None:
    program = shutil.which("dot")
    resolution = [f"-Gdpi={RESOLUTION}"] if kind == "png" else []
    return None if program is None else [program, f"-T{kind}", *resolution]


def _pygraphviz(kind: str) -> Sequence[str] | None:
    if find_spec("pygraphviz") is None:
        return None
    return [sys.executable, "-m", "tinygrad_gm.viz.render.graphviz_child", kind]


_ENDS = {  # how a whole file begins and ends
    "svg": (b"<svg", b"</svg>"),
    "png": (b"\x89PNG", b"IEND"),
    "pdf": (b"%PDF", b"%%EOF"),
}
_COMMANDS: dict[str, Callable[[str], Sequence[str] | None]] = {
    "dot": _dot,
    "pygraphviz": _pygraphviz,
}
ENGINES = (*_COMMANDS, BUILTIN)

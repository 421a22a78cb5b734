"""The layers of the package and the arrows between them: what may import what.

`python tests/architecture.py [picture.svg]` prints the layers, their sizes and the arrows that are
there, and draws them. `tests/test_architecture.py` holds the arrows to the order below.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "tinygrad_gm"

# From the bottom up. A module belongs to the longest name here that it starts with, and imports at
# run time only from its own layer and from those before it.
LAYERS = [
    "interrupts",
    "version backend hints cuda",
    "engine.modes engine.descriptions",
    "engine.op",
    "engine.half",
    "engine.record",
    "engine.checks",
    "engine.messages engine.results engine.decompositions",
    "engine.in_place engine.memory engine.anomaly",
    "engine.fast_call",
    "engine.call",
    "engine.higher_order engine.hooks engine.replay engine.checkpointing",
    "engine.backward",
    "engine",
    "kernels",
    "ops",
    "operators protocols tensor",
    "options dtypes creation random linalg derivatives",
    "io pictures torch_files",
    "nn",
    "optim data testing",
    "training",
    "",  # the package itself, which drawings and models use as its users do
    "viz",
    "models",
    "app __main__",
]
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in (layer.split() or [""])}
FORBIDDEN = [("models", "viz")]  # beside the order: drawings are no part of a model

THE_HOUR = ["__init__", "op", "record", "call", "backward"]  # of the engine, in reading order
BUDGET = 900  # lines of these files together


def files() -> dict[str, Path]:
    """Every module of the package by its name below it, `models` and `viz` included."""
    found = {}
    for folder, prefix in ((PACKAGE, ""), ("models", "models"), ("viz", "viz")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [prefix, *path.relative_to(ROOT / folder).with_suffix("").parts]
            name = ".".join(part for part in parts if part and part != "__init__")
            found[name] = path
    return found


def layer_of(module: str) -> str:
    """The name in `LAYERS` that a module belongs to."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in RANKS:
            return ".".join(parts[:end])
    return ""


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """What a module imports of the package at run time, lazily too: (module, line) each."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _at_run_time(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif node.level:
            parts = package.split(".") if package else []
            base = ".".join([PACKAGE, *parts[: len(parts) - node.level + 1], *_words(node.module)])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            if target.partition(".")[0] == PACKAGE:
                name = target.removeprefix(PACKAGE).removeprefix(".")
                yield name if name in known else name.rpartition(".")[0], node.lineno


def _words(module: str | None) -> list[str]:
    return module.split(".") if module else []


def _at_run_time(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        else:
            yield from _at_run_time(node)


def arrows() -> dict[tuple[str, str], list[str]]:
    """(importing layer, imported layer) and where: "file:line" of every import."""
    known, found = files(), defaultdict(list)
    for module, path in known.items():
        for target, line in imports(module, path, known):
            here, there = layer_of(module), layer_of(target)
            if here != there:
                found[here, there].append(f"{path.relative_to(ROOT)}:{line}")
    return dict(found)


def against_the_order(found: dict[tuple[str, str], list[str]]) -> list[str]:
    """The imports that point up, or that are forbidden, as sentences."""
    return [
        f"{place}: {here or 'the package'} imports {there or 'the package'}, which stands above it"
        for (here, there), places in found.items()
        for place in places
        if RANKS[there] > RANKS[here] or (here, there) in FORBIDDEN
    ]


def lines_of_the_hour() -> dict[str, int]:
    """The lines of each file of the engine that is read in the first hour."""
    folder = ROOT / PACKAGE / "engine"
    return {
        name: len((folder / f"{name}.py").read_text(encoding="utf-8").splitlines())
        for name in THE_HOUR
    }


def sizes() -> Counter[str]:
    """Lines of Python per layer."""
    lines: Counter[str] = Counter()
    for module, path in files().items():
        lines[layer_of(module)] += len(path.read_text(encoding="utf-8").splitlines())
    return lines


def main() -> None:
    """Print the layers from the bottom up, and draw them where a file is named."""
    found, lines = arrows(), sizes()
    for layer in LAYERS:
        for name in layer.split() or [""]:
            below = sorted({there for here, there in found if here == name}, key=RANKS.__getitem__)
            print(f"{name or PACKAGE:22} {lines[name]:6,} lines  ← {', '.join(below) or 'nothing'}")
    print(f"\nthe hour: {lines_of_the_hour()}, {sum(lines_of_the_hour().values())} of {BUDGET}")
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]))


def draw(path: Path) -> None:
    """The layers as a picture, folders only; an arrow points to the imported layer."""
    import graphviz

    graph = graphviz.Digraph(format=path.suffix[1:])
    graph.attr(rankdir="TB", bgcolor="white", nodesep="0.25", ranksep="0.3")
    graph.attr("node", shape="box", style="rounded,filled", fillcolor="#eef3fb", fontname="sans")
    graph.attr("edge", color="#7a8aa5")
    lines: Counter[str] = Counter()
    for name, count in sizes().items():
        lines[_room(name)] += count
    for room, count in lines.items():
        graph.node(room, f"{room}\n{count:,} lines")
    edges = {(_room(here), _room(there)) for here, there in arrows()}
    for here, there in sorted(_reduced({edge for edge in edges if edge[0] != edge[1]})):
        graph.edge(here, there)
    graph.render(outfile=path, cleanup=True)


def _room(layer: str) -> str:
    return layer.partition(".")[0] or PACKAGE


def _reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that no longer path says already."""

    def reachable(start: str, skipped: tuple[str, str]) -> set[str]:
        seen, stack = set(), [start]
        while stack:
            here = stack.pop()
            new = {b for a, b in edges if a == here and (a, b) != skipped} - seen
            seen |= new
            stack.extend(new)
        return seen

    return {edge for edge in edges if edge[1] not in reachable(edge[0], edge)}


if __name__ == "__main__":
    main()

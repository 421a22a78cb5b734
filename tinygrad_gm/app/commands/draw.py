"""`tinygrad-gm draw MODEL`."""

from __future__ import annotations

import argparse
from math import inf
from pathlib import Path

from ...engine.anomaly import detect_anomaly
from ..parser import Parser
from .of_model import model_of

ENGINES = ("dot", "pygraphviz", "builtin")
THEMES = ("light", "dark", "print")
DETAILS = ("shapes", "values", "full")
DIRECTIONS = ("LR", "TB")


def draw(argv: list[str]) -> None:
    """Draw the training graph of a model, or with --steps its gradients step by step."""
    name, module, rest = model_of(draw, argv, "neuron")
    parser = Parser(f"draw {name}", draw.__doc__, f"--out {name}.svg")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        help="output file: .svg, .png, .pdf, .html (to explore), .json or .gv; with --steps .html, "
        ".gif, .png or .svg, numbered, or a folder for .svg "
        f"(default {name}.svg or {name}.html)",
    )
    parser.add_argument(
        "--depth", type=int, help="depth of the modules drawn as one node (1: direct submodules)"
    )
    parser.add_argument(
        "--steps",
        action="store_true",
        help="draw the forward pass, the backward pass and the update step by step",
    )
    themes = f"colours of the drawing: {', '.join(THEMES)} (default {THEMES[0]})"
    parser.add_argument("--theme", default=THEMES[0], choices=THEMES, help=themes)
    details = "content of a node: shapes, values or full (default: the most that fits)"
    parser.add_argument("--detail", choices=DETAILS, help=details)
    directions = "left to right (LR) or top to bottom (TB) (default: the first that fits)"
    parser.add_argument("--direction", choices=DIRECTIONS, help=directions)
    fits = "WIDTHxHEIGHT in pixels that the drawing fits, or none (default 1600x900)"
    parser.add_argument("--fit", type=_box, default=(1600, 900), help=fits)
    engines = f"layout engine: {', '.join(ENGINES)} (default: the first available)"
    parser.add_argument("--engine", choices=ENGINES, help=engines)
    pixels = "pixels of a .png per pixel of the drawing (default 1.5; at most 8,000 a side)"
    parser.add_argument("--scale", type=_positive, help=pixels)
    args = parser.parse_args(rest)
    path = args.out or Path(f"{name}.html" if args.steps else f"{name}.svg")
    if args.steps and not (args.depth is args.engine is None):
        parser.error("--depth and --engine cannot be combined with --steps")
    if args.scale is not None and path.suffix.lower() != ".png":
        parser.error(f"--scale is for a .png, not {path}")
    if args.steps and path.suffix.lower() not in (".html", ".gif", ".png", ".svg", ""):
        parser.error(f"--steps writes .html, .gif, .png, .svg or a folder, not {path}")
    if path.suffix.lower() == ".gif" and not args.steps:
        parser.error("a .gif shows the steps; it needs --steps")
    from ... import viz

    with detect_anomaly():  # which records the lines of the model's file
        loss, leaves = module.example(module.Config())
    look = {"names": leaves, "theme": args.theme}
    try:
        if args.steps:
            film = viz.steps(loss, direction=args.direction or "LR", **look)
            path = film.save(path, args.scale)
        else:
            shown = {name: getattr(args, name) for name in ("fit", "detail", "direction", "depth")}
            viz.draw(loss, engine=args.engine, **shown, **look).save(path, args.scale)
    except viz.MissingEngine as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"written to {path}")


def _positive(text: str) -> float:
    """Return a positive number."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number


def _box(text: str) -> tuple[int, int] | None:
    """Return width and height of `1600x900`; None of `none`."""
    if text == "none":
        return None
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT or none, got {text!r}")
    return int(width), int(height)

"""`tinygrad-gm sample MODEL`."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable
from typing import Any

from ..parser import Parser, add_out
from .of_model import model_of, of_run, sampler_of

# Flags of the sampling of a language model, which its `generate` has as parameters.
WRITING: tuple[tuple[str, Callable[[str], Any], float | None, str], ...] = (
    ("--length", int, 500, "largest number of characters"),
    ("--temperature", float, 1.0, "factor of the randomness; 0: always the likeliest character"),
    ("--top-k", int, None, "draw from this number of the likeliest characters"),
    ("--top-p", float, None, "draw from the likeliest characters of this total probability"),
    ("--width", int, 4, "number of hypotheses of the beam search; 1: greedy"),
    ("--count", int, 1, "number of texts"),
    ("--seed", int, 0, "seed of the random choices"),
)


def sample(argv: list[str]) -> None:
    """Draw samples from a trained model: a picture of them, or texts on the terminal."""
    name, module, rest = model_of(sample, argv, "vae --count 64")
    if hasattr(module, "generate"):
        _write(name, module, rest)
        return
    film = getattr(module, "film", None)
    args, _, samples, _ = sampler_of(sample, argv, count=4 if film else 64)
    from ... import pictures

    began = time.perf_counter()
    drawn = samples(args.count)
    seconds = time.perf_counter() - began
    path = film(args.out, drawn) if film else pictures.sheet_in(args.out, drawn)
    print(f"{args.count} samples in {seconds:.2f} s, written to {path}")


def _write(name: str, module: Any, rest: list[str]) -> None:
    """Write texts of a language model to standard output, piece by piece."""
    parser = Parser(f"sample {name}", sample.__doc__, '--prompt "ROMEO:" --count 3')
    add_out(parser, name)
    parser.add_argument(
        "--prompt", default="", help="beginning of the text, or a text to translate (default none)"
    )
    offered = {"count", "seed", *inspect.signature(module.generate).parameters}
    for flag, kind, default, text in WRITING:
        if flag.strip("-").replace("-", "_") not in offered:
            continue
        shown = "no limit" if default is None else default
        parser.add_argument(flag, type=kind, default=default, help=f"{text} (default {shown})")
    args = vars(parser.parse_args(rest))
    folder, count, seed = args.pop("out"), args.pop("count"), args.pop("seed")
    if count < 1:
        parser.error(f"--count is {count}; expected at least 1")
    from ...random import Generator

    model, generator = of_run(name, module, folder, module.restore), Generator(seed)
    several_lines = False
    for number in range(count):
        if number and several_lines:
            print("-" * 40)
        try:
            pieces = module.generate(model, generator=generator, **args)
        except ValueError as error:
            parser.error(str(error))
        try:
            for piece in itertools.chain([args["prompt"]], pieces):
                several_lines |= "\n" in piece
                print(piece, end="", flush=True)
        finally:
            print()

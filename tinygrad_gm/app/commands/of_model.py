"""What the commands of a model share: its module, its run, and samples of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..parser import PROGRAM, Command, Parser, add_out

# Flags for optional parameters of a model's `sample`.
WISHES = {
    "label": ("--class", int, "draw this class only"),
    "sampler": ("--sampler", str, "sampler: ancestral, ddim, euler, heun or euler-maruyama"),
    "steps": ("--steps", int, "number of steps of the sampler"),
    "eta": ("--eta", float, "η of DDIM, from 0 (no noise) to 1 (ancestral sampling)"),
    "guidance": ("--guidance", float, "weight of classifier-free guidance (default 0)"),
    "frames": ("--frames", int, "number of frames of a clip (default: as in training)"),
    "image": ("--image", Path, "file of the first frame of a clip"),
}


def model_of(command: Command, argv: list[str], example: str) -> tuple[str, Any, list[str]]:
    """The name and the module of a command's model, and the arguments after it."""
    from ... import models as catalogue

    parser = Parser(command.__name__, command.__doc__, example)
    parser.add_argument("model", metavar="MODEL", help=f"model: {', '.join(catalogue.NAMES)}")
    name = parser.parse_args(argv[:1] or ["--help"]).model
    try:
        return name, catalogue.load(name), argv[1:]
    except ValueError as error:
        parser.error(str(error))


def of_run(name: str, module: Any, folder: Path, restore: Callable[[Path], Any]) -> Any:
    """What a function makes of a run; the error for a missing one says how to train the model."""
    try:
        return restore(folder)
    except FileNotFoundError as error:
        begun = (folder / "checkpoint.safetensors").exists()
        if begun and hasattr(module, "judge"):
            raise  # the data set is missing, not the run
        advice = f"{PROGRAM} train {name} --out {folder}{' --resume' if begun else ''}"
        raise FileNotFoundError(f"{error}: `{advice}` takes {module.TRAINING_TIME}") from None


def sampler_of(
    command: Command, argv: list[str], count: int
) -> tuple[Any, Any, Callable[[int], Any], Callable[[int], Any]]:
    """Return the arguments of a sampling command, the model's Config class, a function that draws
    a number of samples, and one that returns the classes asked for, or None.
    """
    name, module, rest = model_of(command, argv, f"vae --count {count}")
    parser = Parser(f"{command.__name__} {name}", command.__doc__, "--seed 1")
    add_out(parser, name)
    parser.add_argument(
        "--count", type=int, default=count, help=f"number of samples (default {count})"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default 0)")
    if not hasattr(module, "sample"):
        parser.error(f"{name} is not a generative model")
    offered = [wish for wish in WISHES if wish in inspect.signature(module.sample).parameters]
    for wish in offered:
        flag, kind, text = WISHES[wish]
        parser.add_argument(flag, dest=wish, type=kind, help=text)
    args = parser.parse_args(rest)
    if args.count < 1:
        parser.error(f"--count is {args.count}; expected at least 1")
    from ...random import Generator

    model = of_run(name, module, args.out, module.restore)
    wishes = {wish: getattr(args, wish) for wish in offered if getattr(args, wish) is not None}
    generator = Generator(args.seed)

    def samples(count: int) -> Any:
        try:
            return module.sample(model, count, generator, **wishes)
        except ValueError as error:
            parser.error(str(error))

    def classes(count: int) -> Any:
        asked = getattr(module, "asked", None)
        return asked(model, count, wishes.get("label")) if asked else None

    return args, module.Config, samples, classes

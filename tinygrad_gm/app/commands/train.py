"""`tinygrad-gm train MODEL`."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..parser import PROGRAM, Parser, add_out
from .of_model import model_of


def train(argv: list[str]) -> None:
    """Train a model; every field of its Config is a flag."""
    name, module, rest = model_of(train, argv, "vae --epochs 5")
    parser = Parser(f"train {name}", module.__doc__, "--out runs/first")
    add_out(parser, name)
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    for field in dataclasses.fields(module.Config):
        _add_field(parser, field)
    args = vars(parser.parse_args(rest))
    folder, resume = args.pop("out"), args.pop("resume")
    from ...training import Run

    config = module.Config(**args)
    command = shlex.join([PROGRAM, "train", *argv, *([] if resume else ["--resume"])])
    with Run(folder, config, resume=resume, command=command) as run:
        module.train(config, run)
    print(f"written to {folder}")


def _add_field(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """Add a flag for a field of a Config: on or off, one of its choices, or a value of its type."""
    flag = f"--{field.name.replace('_', '-')}"
    choices, path = field.metadata.get("choices"), field.metadata.get("path")
    listed = f": {', '.join(map(str, choices))}{' or a path' if path else ''}" if choices else ""
    default = "none" if field.default == "" else field.default
    text = f"{field.metadata['help']}{listed} (default {default})"
    if isinstance(field.default, bool):
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=field.default, help=text
        )
        return
    parser.add_argument(
        flag,
        type=_checked(field),
        default=field.default,
        choices=None if path else choices,
        metavar=type(field.default).__name__.upper(),
        help=text,
    )


def _checked(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """A function that converts and checks an argument for a field; the parser checks choices."""
    from ...training.config import complaint

    kind: Any = type(field.default)

    def value(word: str) -> Any:
        found = kind(word)
        if kind is not str and (wrong := complaint(field, found)):
            raise argparse.ArgumentTypeError(f"{word} {wrong}")
        known = word in ("", *field.metadata.get("choices", ()))
        if field.metadata.get("path") and not known and not Path(word).exists():
            raise argparse.ArgumentTypeError(f"there is no file or folder {word!r}")
        return found

    value.__name__ = kind.__name__  # argparse's "invalid int value"
    return value

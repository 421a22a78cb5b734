"""The command line: `tinygrad-gm COMMAND`, or `python -m tinygrad_gm COMMAND`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from .. import interrupts
from ..io import CheckpointError
from .commands.classify import classify
from .commands.convert import convert
from .commands.draw import draw
from .commands.info import info
from .commands.judge import judge
from .commands.lesson import lesson
from .commands.models import models
from .commands.quickstart import quickstart
from .commands.sample import sample
from .commands.train import train
from .parser import PROGRAM, Command, Parser

COMMANDS: dict[str, Command] = {
    command.__name__: command
    for command in (
        quickstart,
        models,
        train,
        sample,
        judge,
        classify,
        convert,
        draw,
        lesson,
        info,
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 (failure) or 2 (wrong argument or folder)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # cp1252 has no ∂, UTF-8 no lone surrogates
    try:
        interrupts.raise_again()
        try:
            return _command(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # here, where a failure can still be reported
    except KeyboardInterrupt:
        return interrupts.EXIT_CODE
    except OSError as error:  # of standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 128 + 13  # the exit code of a program ended by SIGPIPE
        print(f"{PROGRAM}: standard output: {error}", file=sys.stderr)
        return 1


def _command(arguments: list[str]) -> int:
    """Run the command that the first argument names."""
    from .. import __version__

    parser = Parser("", "An autograd engine to learn from.", "quickstart")
    width = max(map(len, COMMANDS))
    parser.epilog = "commands:\n" + "\n".join(
        f"  {name:{width}}  {(command.__doc__ or '').partition(chr(10))[0]}"
        for name, command in COMMANDS.items()
    )
    parser.epilog += f"\n\nexample: {PROGRAM} train vae --epochs 5"
    parser.add_argument("--version", action="version", version=f"tinygrad_gm {__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", choices=COMMANDS, help="one of the commands below"
    )
    chosen = parser.parse_args(arguments[:1] or ["--help"]).command
    try:
        COMMANDS[chosen](arguments[1:])
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        complaint = " ".join(str(error).split()) or "there is not enough memory"
        print(f"{PROGRAM} {chosen}: {complaint}", file=sys.stderr)
        return 2 if isinstance(error, CheckpointError) else 1
    return 0

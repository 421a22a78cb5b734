"""The parser of a command, and the flag of the folder of a run."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

PROGRAM = "tinygrad-gm"
Command = Callable[[list[str]], None]  # takes the words after its name


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one plain line, and whose help ends with an example."""

    def __init__(self, command: str, description: str | None, example: str) -> None:
        program = f"{PROGRAM} {command}".rstrip()
        super().__init__(
            prog=program,
            description=(description or "").partition("\n")[0],
            epilog=f"example: {program} {example}".rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments; an error for an unknown one names the nearest flag."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = self._nearest(next((word for word in unknown if word.startswith("-")), ""))
            hint = f"; did you mean {near}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known

    def _nearest(self, word: str) -> str | None:
        """The flag with these initials or this beginning, or else the most similar one."""
        word = word.partition("=")[0]
        flags = [flag for action in self._actions for flag in action.option_strings]
        for flag in flags:
            initials = "".join(part[:1] for part in flag.strip("-").split("-"))
            if word.strip("-") and (word.strip("-") == initials or flag.startswith(word)):
                return flag
        return next(iter(difflib.get_close_matches(word, flags, 1)), None)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see --help\n")


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the flag of the folder of a run; by default the one with this name."""
    default = Path("runs") / name
    text = f"folder of the run (default {default})"
    parser.add_argument("--out", type=folder_path, default=default, help=text)


def folder_path(name: str) -> Path:
    """Return the path of a folder; an error for an empty name."""
    if not name:
        raise argparse.ArgumentTypeError("the name of the folder is empty")
    return Path(name)

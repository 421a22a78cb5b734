"""Ctrl-C while the command line starts: an end in silence, with the exit code that shells use.

NumPy and the package take a moment to import, and an interrupt then would end in a traceback of an
import. Only the program `tinygrad-gm` is meant: where the package is imported as a library, an
interrupt is the KeyboardInterrupt that it always is.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

EXIT_CODE = 128 + int(signal.SIGINT)


def is_command() -> bool:
    """Whether this process is `tinygrad-gm` or `python -m tinygrad_gm`, still starting."""
    program = os.path.basename((getattr(sys, "argv", None) or [""])[0])
    if program != "-m":  # sys.argv[0] until Python has found the module
        return program in ("tinygrad-gm", "tinygrad-gm.exe")
    words = iter(sys.orig_argv[1:])
    flag = next((word for word in words if word.startswith("-") and "m" in word), "")
    return (flag.partition("m")[2] or next(words, "")) == __package__


def end_in_silence() -> None:
    """Let an interrupt end the process, unless a handler of the program is installed."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _end)
        except ValueError:  # not in the main thread, where interrupts arrive
            return


def raise_again() -> None:
    """Let an interrupt be a KeyboardInterrupt again; nothing changes where it is one."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: Any) -> None:
    os._exit(EXIT_CODE)


if is_command():
    end_in_silence()

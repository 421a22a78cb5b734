"""Makes the pictures of drawing.md again, by running the examples on that page."""

from __future__ import annotations

import doctest
import os
from pathlib import Path

PAGE = Path(__file__).with_name("drawing.md")
PICTURES = PAGE.with_name("pictures")


def main() -> None:
    """Run the page in the folder of its pictures; only what the page shows stays there."""
    PICTURES.mkdir(exist_ok=True)
    os.chdir(PICTURES)
    failures = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8").failed
    for source in PICTURES.glob("*.gv"):
        source.unlink()
    raise SystemExit(failures and 1)


if __name__ == "__main__":
    main()

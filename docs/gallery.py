"""Makes the pictures of some pages again, by running the examples of these pages.

python docs/gallery.py [PAGE.md …]
"""

from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = ("drawing.md", "convolution.md", "notes.md")


def main() -> None:
    """Run the pages in the folder of their pictures; only what the pages show stays there."""
    pages = [DOCS.resolve() / name for name in sys.argv[1:] or PAGES]
    pictures = DOCS / "pictures"
    pictures.mkdir(exist_ok=True)
    os.chdir(pictures)
    failures = sum(
        doctest.testfile(
            str(page),
            module_relative=False,
            encoding="utf-8",
            optionflags=doctest.ELLIPSIS,
        ).failed
        for page in pages
    )
    for source in (*Path().glob("*.gv"), *Path().glob("*.html")):
        source.unlink()
    raise SystemExit(failures and 1)


if __name__ == "__main__":
    main()

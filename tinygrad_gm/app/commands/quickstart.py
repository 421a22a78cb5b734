"""`tinygrad-gm quickstart`."""

from __future__ import annotations

from pathlib import Path

from ..parser import Parser, folder_path


def quickstart(argv: list[str]) -> None:
    """Train a VAE on handwritten digits and show the results, in 90 seconds."""
    parser = Parser("quickstart", quickstart.__doc__, "--out tour")
    folder = Path("runs/quickstart")
    parser.add_argument(
        "--out", type=folder_path, default=folder, help=f"output folder (default {folder})"
    )
    args = parser.parse_args(argv)
    from .. import quickstart as tour

    tour.run(args.out)

"""`tinygrad-gm lesson LESSON`."""

from __future__ import annotations

from pathlib import Path

from ..parser import Parser, folder_path


def lesson(argv: list[str]) -> None:
    """Train what a question of the study notes compares, and draw the answer."""
    from ...models import lessons

    parser = Parser("lesson", lesson.__doc__, "overfitting")
    parser.add_argument(
        "lesson", metavar="LESSON", choices=lessons.NAMES, help=f"one of {', '.join(lessons.NAMES)}"
    )
    parser.add_argument(
        "--out", type=folder_path, help="folder of the runs and the picture (default runs/LESSON)"
    )
    args = parser.parse_args(argv)
    folder = args.out or Path("runs") / args.lesson
    folder.mkdir(parents=True, exist_ok=True)
    print(lessons.load(args.lesson).answer(folder))
    print(f"written to {folder / args.lesson}.png")

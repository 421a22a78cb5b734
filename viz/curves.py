"""The curves of a run, or of any series of numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_gm import pictures
from tinygrad_gm.training import Run, metrics

if TYPE_CHECKING:
    from PIL.Image import Image

Series = Mapping[str, Sequence[float] | tuple[Sequence[float], Sequence[float]]]


def curves(run: Run | str | os.PathLike[str] | Series, **options: Any) -> Image:
    """The curves of a training run: a Run, its folder, or series of numbers by name.

    Args:
        run: of a Run or its folder all metrics are drawn, each over the steps with axes of its own,
            but `test_loss` beside `loss`; series share one pair of axes.
        **options: for series, those of `pictures.curves`: title, x_label, y_label, size, path.

    Raises:
        ValueError: there is nothing to draw.
        FileNotFoundError: the folder holds no metrics.

    >>> curves({"loss": [3.0, 2.0, 1.5]}, size=(300, 200)).size
    (300, 200)
    """
    if isinstance(run, Mapping):
        return pictures.curves(run, **options)
    if options:
        raise TypeError(f"curves: {', '.join(options)} is for series of numbers, not for a run")
    folder = run.folder if isinstance(run, Run) else run
    sheet = metrics.curves(folder)
    if sheet is None:
        raise ValueError(f"curves: the run in {os.fspath(folder)} has no metrics yet")
    return sheet

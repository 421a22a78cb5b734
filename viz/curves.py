"""Plot the metrics of a run, or series of numbers."""

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
    """Plot the curves of a training run: a Run, its folder, or series of numbers by name.

    Args:
        run: for a Run or its folder all metrics are plotted over the steps, each in its own axes
            (`test_loss` with `loss`); series share one pair of axes.
        **options: options of `pictures.curves` for series: title, x_label, y_label, size, path.

    Raises:
        ValueError: the run has no metrics.
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

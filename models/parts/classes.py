"""Classes of conditional models: as a further input, and as the wish for a sample."""

from __future__ import annotations

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor

from . import mnist_like

# number of classes of the data sets that have classes
CLASSES = {"ring": 8, "grid": 25, "moons": 2, **dict.fromkeys(mnist_like.DATASETS, 10)}


def with_class(model: str, x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot class: to rows as numbers, to images (N, C, H, W) as planes.

    Without classes x is returned. Raises ValueError, in the name of the `model`, if there are
    classes but no labels.

    >>> with_class("vae", tg.zeros((2, 1)), tg.tensor([0, 1]), 2).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if not classes:
        return x
    if labels is None:
        raise ValueError(f"{model}: a conditional model needs the class of each sample")
    hot = F.one_hot(labels, classes).astype(x.dtype).reshape(len(x), classes, *[1] * (x.ndim - 2))
    return tg.concat([x, tg.broadcast_to(hot, (len(x), classes, *x.shape[2:]))], axis=1)


def check_class(label: int | None, classes: int) -> None:
    """Raise ValueError if a sample of a class is wanted that the model has not learned.

    >>> check_class(10, 10)
    Traceback (most recent call last):
        ...
    ValueError: cannot draw class 10: the model has the classes 0 to 9
    """
    if label is not None and not 0 <= label < classes:
        known = f"the classes 0 to {classes - 1}" if classes else "no classes"
        raise ValueError(f"cannot draw class {label}: the model has {known}")


def labels_for(label: int | None, count: int, classes: int) -> Tensor:
    """The classes (count,) of samples: all of one, or with None all classes in turn.

    Raises ValueError as `check_class` does.
    """
    check_class(label, classes)
    return tg.arange(count) % max(classes, 1) if label is None else tg.full(count, label)

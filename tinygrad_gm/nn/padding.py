"""Padding layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from . import functional as F
from .module import Module

__all__ = ["CircularPad2d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"]


class _Pad2d(Module):
    """Base of the padding layers."""

    _mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        given = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 4
        if len(given) != 4 or not all(hasattr(width, "__index__") for width in given):
            raise ValueError(
                f"{type(self).__name__}: padding must be an integer or (left, right, top, bottom); "
                f"got {padding!r}"
            )
        self.padding: tuple[int, ...] = given

    def forward(self, x: Any) -> Any:
        """(…, H, W) → (…, top + H + bottom, left + W + right)."""
        return F.pad(x, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(_Pad2d):
    """Pad images with zeros.

    Args:
        padding: one width for all four sides, or (left, right, top, bottom); negative ones crop.

    Shapes: x (…, H, W), y (…, top + H + bottom, left + W + right); so in the layers below.

    >>> nn.ZeroPad2d((1, 0, 0, 1))(tg.tensor([[[1, 2], [3, 4]]])).tolist()
    [[[0, 1, 2], [0, 3, 4], [0, 0, 0]]]
    """

    _mode = "constant"


class ReflectionPad2d(_Pad2d):
    """Pad images with their mirror image, without repeating the outermost pixels. It adds no
    artificial edge, as zeros do, and is therefore common in image generation.

    Args:
        padding: one width for all four sides, or (left, right, top, bottom), each less than the
            image.

    >>> nn.ReflectionPad2d((2, 0, 0, 0))(tg.tensor([[[1, 2, 3]]])).tolist()
    [[[3, 2, 1, 2, 3]]]
    """

    _mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """Pad images by repeating their outermost pixels.

    Args:
        padding: one width for all four sides, or (left, right, top, bottom).

    >>> nn.ReplicationPad2d((2, 0, 0, 0))(tg.tensor([[[1, 2, 3]]])).tolist()
    [[[1, 1, 1, 2, 3]]]
    """

    _mode = "replicate"


class CircularPad2d(_Pad2d):
    """Pad images circularly, as if they were tiled.

    Args:
        padding: one width for all four sides, or (left, right, top, bottom), each at most the
            image.

    >>> nn.CircularPad2d((2, 0, 0, 0))(tg.tensor([[[1, 2, 3]]])).tolist()
    [[[2, 3, 1, 2, 3]]]
    """

    _mode = "circular"

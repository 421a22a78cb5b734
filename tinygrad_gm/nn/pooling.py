"""Pooling: the maximum or the mean of every window of the pixels.

It reduces the resolution and the sensitivity to small shifts (LeCun et al. 1998, section II.A). The
adaptive layers take the size of the result instead of that of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..kernels.windows import PerAxis
from . import functional as F
from .function_layer import FunctionLayer

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

Sizes = int | Sequence[int | None]
WINDOW = ("kernel_size", "stride", "padding")  # options of all the layers with windows


class _MaxPool(FunctionLayer):
    """Base of the three layers: arguments and `repr`."""

    _options = (*WINDOW, "dilation", "ceil_mode", "return_indices")

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        dilation: PerAxis = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """`MaxPool2d` with one spatial axis: (N, C, L) or (C, L).

    >>> nn.MaxPool1d(2)(tg.tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
    [[[3.0, 2.0]]]
    """

    _function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of every window.

        y[n, c, i] = max_k x[n, c, stride·i + dilation·k − padding]

    Among equal elements the gradient goes to the first.

    Args:
        kernel_size: the size of the window, a number or one per axis, as below.
        stride: step between windows; None: kernel_size.
        padding: number of −inf elements added to each side, at most half of the window.
        dilation: step between the elements of a window.
        return_indices: also return the index of each maximum in the flattened H × W.
        ceil_mode: round the number of windows up; the last may extend past the end.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H′, W′) or (C, H′, W′) with

        H′ = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1

    Raises:
        ValueError: when called: no window fits, or too much padding.

    >>> nn.MaxPool2d(3, stride=2, padding=1)(tg.zeros((8, 16, 28, 28))).shape
    (8, 16, 14, 14)
    """

    _function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """`MaxPool2d` with three spatial axes: (N, C, D, H, W) or (C, D, H, W).

    >>> nn.MaxPool3d(2)(tg.zeros((1, 2, 4, 4, 4))).shape
    (1, 2, 2, 2, 2)
    """

    _function = staticmethod(F.max_pool3d)


class _AvgPool(FunctionLayer):
    """Base of the three layers: arguments and `repr`."""

    _options: ClassVar[tuple[str, ...]] = (
        *WINDOW, "ceil_mode", "count_include_pad", "divisor_override"
    )  # fmt: skip

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """`AvgPool2d` with one spatial axis, (N, C, L) or (C, L), and without divisor_override.

    >>> nn.AvgPool1d(2)(tg.tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
    [[[2.0, 1.0]]]
    """

    _function = staticmethod(F.avg_pool1d)
    _options = (*WINDOW, "ceil_mode", "count_include_pad")

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of every window.

        y[n, c, i] = Σ_k x[n, c, stride·i + k − padding] / (the number of elements)

    Args:
        kernel_size: the size of the window, a number or one per axis, as below.
        stride: step between windows; None: kernel_size.
        padding: number of zeros added to each side, at most half of the window.
        ceil_mode: round the number of windows up; the last may extend past the end.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: divisor instead of the number of elements.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H′, W′) or (C, H′, W′) with

        H′ = ⌊(H + 2·padding − kernel_size) / stride⌋ + 1

    Raises:
        ValueError: when called: no window fits, too much padding, or a divisor of 0.

    >>> nn.AvgPool2d(2)(tg.tensor([[[1.0, 3.0], [2.0, 0.0]]])).tolist()
    [[[1.5]]]
    """

    _function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """`AvgPool2d` with three spatial axes: (N, C, D, H, W) or (C, D, H, W).

    >>> nn.AvgPool3d(2)(tg.zeros((1, 2, 4, 4, 4))).shape
    (1, 2, 2, 2, 2)
    """

    _function = staticmethod(F.avg_pool3d)


class _AdaptiveAvgPool(FunctionLayer):
    """Base of the two layers: argument."""

    _options = ("output_size",)

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """`AdaptiveAvgPool2d` with one spatial axis: (N, C, L) or (C, L).

    >>> nn.AdaptiveAvgPool1d(2)(tg.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[1.5, 2.5]]]
    """

    _function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean of every bin: bin i of L holds the positions ⌊i·S/L⌋ … ⌈(i+1)·S/L⌉−1.

    With output_size 1 it is the mean of every channel, "global average pooling" (Lin et al. 2014),
    which lets a network take images of any size.

    Args:
        output_size: a number, or one per axis; None keeps that axis.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, *output_size) or (C, *output_size).

    >>> nn.AdaptiveAvgPool2d(1)(tg.ones((8, 16, 7, 5))).shape
    (8, 16, 1, 1)
    """

    _function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveMaxPool2d(FunctionLayer):
    """The largest element of every bin of `AdaptiveAvgPool2d`; among equal ones the first.

    Args:
        output_size: a number, or one per axis; None keeps that axis.
        return_indices: also return the index of each maximum in the flattened H × W.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, *output_size) or (C, *output_size).

    >>> nn.AdaptiveMaxPool2d(2)(tg.arange(9.0).reshape(1, 3, 3)).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """

    _function = staticmethod(F.adaptive_max_pool2d)
    _options = ("output_size", "return_indices")

    def __init__(self, output_size: Sizes, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"

"""Convolutions and their transposes: one small weight, applied at every position of the input.

It is local and the same everywhere, so it has few parameters, and it commutes with shifts of the
image (LeCun et al. 1998, *Gradient-based learning applied to document recognition*, section II.A).
As everywhere in this field, "convolution" is cross-correlation: the kernel is not flipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..creation import empty
from ..kernels.windows import PerAxis, per_axis
from . import functional as F
from . import init
from .functional.spatial import Padding, same_padding
from .module import Module
from .parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """Base of the six layers: checks, parameters and their initial values, `repr`."""

    _ndim: ClassVar[int]  # the number of spatial axes
    _function: ClassVar[Callable[..., Any]]

    in_channels: int
    out_channels: int
    groups: int
    weight: Parameter
    bias: Parameter | None
    padding: Any
    padding_mode: str
    output_padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int,
        kernel_size: PerAxis,
        stride: PerAxis,
        dilation: PerAxis,
    ) -> None:
        super().__init__()
        name, ndim = type(self).__name__, self._ndim
        counts = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
        for argument, count in counts.items():
            if not hasattr(count, "__index__") or count < 1:
                raise ValueError(f"{name}: {argument} must be an integer ≥ 1; got {count!r}")
            setattr(self, argument, int(count))
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups must divide in_channels={in_channels} and "
                f"out_channels={out_channels}; got {groups}"
            )
        self.kernel_size: tuple[int, ...] = per_axis(name, "kernel_size", kernel_size, ndim)
        self.stride: tuple[int, ...] = per_axis(name, "stride", stride, ndim)
        self.dilation: tuple[int, ...] = per_axis(name, "dilation", dilation, ndim)
        self.output_padding = (0,) * ndim

    def _add_parameters(self, rows: int, columns: int, bias: bool, device: Any, dtype: Any) -> None:
        """Add a weight (rows, columns, *kernel_size) and, if asked for, a bias; initialise them."""
        self.weight = Parameter(empty((rows, columns, *self.kernel_size), dtype, device=device))
        self.bias = Parameter(empty((self.out_channels,), dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise weight and bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # its bound is 1/√(fan in)
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def _check_input(self, x: Any) -> None:
        shape, ndim = tuple(np.shape(x)), self._ndim
        if len(shape) not in (ndim + 1, ndim + 2) or shape[-1 - ndim] != self.in_channels:
            shapes = f"{self.in_channels}, {('L', 'H, W', 'D, H, W')[ndim - 1]}"
            raise ValueError(
                f"{type(self).__name__}: expected an input (N, {shapes}) or ({shapes}) for "
                f"in_channels={self.in_channels}; got {shape}"
            )

    def extra_repr(self) -> str:
        none, one = (0,) * self._ndim, (1,) * self._ndim
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != none else ""
        text += f", dilation={self.dilation}" if self.dilation != one else ""
        text += f", output_padding={self.output_padding}" if self.output_padding != none else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        mode = self.padding_mode
        return text + (f", padding_mode={mode}" if mode != "zeros" else "")


class _Conv(_Convolution):
    """Base of the three convolutions: arguments and forward."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, groups, kernel_size, stride, dilation)
        self.padding, self.padding_mode = self._checked_padding(padding), padding_mode
        if padding_mode not in MODES:
            raise ValueError(
                f"{type(self).__name__}: padding_mode must be one of {', '.join(MODES)}; "
                f"got {padding_mode!r}"
            )
        self._add_parameters(out_channels, in_channels // groups, bias, device, dtype)

    def _checked_padding(self, padding: Padding) -> str | tuple[int, ...]:
        name = type(self).__name__
        if not isinstance(padding, str):
            widths: tuple[int, ...] = per_axis(name, "padding", padding, self._ndim, least=0)
            return widths
        if padding not in ("same", "valid"):
            raise ValueError(
                f'{name}: padding must be a number, "same" or "valid"; got {padding!r}'
            )
        if padding == "same" and self.stride != (1,) * self._ndim:
            raise ValueError(f'{name}: padding="same" needs stride 1; got stride={self.stride}')
        return padding

    def forward(self, x: Any) -> Any:
        """The input convolved with the weight, plus the bias."""
        self._check_input(x)
        padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            x, padding = F.pad(x, self._margin(), self.padding_mode), 0
        how = (self.stride, padding, self.dilation, self.groups)
        return self._function(x, self.weight, self.bias, *how)

    def _margin(self) -> tuple[int, ...]:
        """The padding in the order of `F.pad`: a pair for each axis, the last axis first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        else:
            pairs = tuple((width, width) for width in self.padding)
        return tuple(width for pair in reversed(pairs) for width in pair)


class Conv1d(_Conv):
    """`Conv2d` with one spatial axis: x (N, C, L), weight (O, C / groups, K).

    >>> nn.Conv1d(4, 8, 3, dilation=2)(tg.zeros((5, 4, 20))).shape
    (5, 8, 16)
    """

    _ndim = 1
    _function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Convolution of images with a bank of learned filters (LeCun et al. 1998).

        y[n, o, i] = bias[o] + Σ_c Σ_k x[n, c, stride·i + dilation·k − padding] · weight[o, c, k]

    with i and k over both spatial axes. Weight and bias are drawn from U(−1/√f, 1/√f), where
    f = (in_channels / groups) · KH · KW is the number of inputs of one output element.

    Args:
        in_channels: C.
        out_channels: O, the number of filters.
        kernel_size: (KH, KW); a number or one per axis, as below.
        stride: step between windows, in pixels of the input.
        padding: number of pixels added to each side; "valid": none; "same": the number that keeps
            the size, with stride 1.
        dilation: step between the elements of the kernel, in pixels.
        groups: number of separate blocks of input and output channels; C: depthwise.
        bias: whether to add a bias.
        padding_mode: the values of the padding: "zeros", or "reflect", "replicate", "circular" as
            in `F.pad`.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, O, H′, W′) or (O, H′, W′) with

        H′ = ⌊(H + 2·padding − dilation·(KH − 1) − 1) / stride⌋ + 1

    (Dumoulin & Visin 2016, *A guide to convolution arithmetic*); `weight` (O, C / groups, KH, KW),
    `bias` (O,) or None.

    Raises:
        ValueError: invalid arguments, or groups that do not divide the channels; when called: a
            number of channels other than C, or a kernel larger than the padded input.

    >>> layer = nn.Conv2d(3, 16, 5, stride=2, padding=2)
    >>> layer(tg.zeros((8, 3, 28, 28))).shape
    (8, 16, 14, 14)
    >>> print(layer)
    Conv2d(3, 16, kernel_size=(5, 5), stride=(2, 2), padding=(2, 2))
    """

    _ndim = 2
    _function = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """`Conv2d` with three spatial axes: x (N, C, D, H, W), weight (O, C / groups, KD, KH, KW).

    >>> nn.Conv3d(2, 4, (1, 3, 3), padding="same")(tg.zeros((1, 2, 5, 6, 7))).shape
    (1, 4, 5, 6, 7)
    """

    _ndim = 3
    _function = staticmethod(F.conv3d)


class _ConvTranspose(_Convolution):
    """Base of the three transposed convolutions: arguments and forward."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PerAxis = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, groups, kernel_size, stride, dilation)
        name, ndim = type(self).__name__, self._ndim
        self.padding = per_axis(name, "padding", padding, ndim, least=0)
        self.output_padding = per_axis(name, "output_padding", output_padding, ndim, least=0)
        self.padding_mode = padding_mode
        if padding_mode != "zeros":
            raise ValueError(f'{name}: padding_mode can only be "zeros"; got {padding_mode!r}')
        self._add_parameters(in_channels, out_channels // groups, bias, device, dtype)

    def forward(self, x: Any, output_size: Sequence[int] | None = None) -> Any:
        """The transposed convolution of the input, plus the bias.

        `output_size`, the spatial shape of the result (with or without the leading axes), replaces
        output_padding: with a stride s, s output sizes are possible for one input size.
        """
        self._check_input(x)
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(np.shape(x), output_size)
        how = (self.stride, self.padding, extra, self.groups, self.dilation)
        return self._function(x, self.weight, self.bias, *how)

    def _extra(self, shape: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
        """The output_padding for a given output_size."""
        name, ndim = type(self).__name__, self._ndim
        if isinstance(output_size, (tuple, list)) and len(output_size) == len(shape):
            output_size = output_size[-ndim:]
        wanted = per_axis(name, "output_size", output_size, ndim)
        how = (self.stride, self.padding, self.dilation, self.kernel_size)
        axes = zip(shape[-ndim:], *how, strict=True)
        least = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in axes)
        extra = tuple(size - low for size, low in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
            raise ValueError(
                f"{name}: an input {shape} gives sizes from {least} to {most}; got "
                f"output_size={wanted}"
            )
        return extra


class ConvTranspose1d(_ConvTranspose):
    """`ConvTranspose2d` with one spatial axis: x (N, C, L), weight (C, O / groups, K).

    >>> nn.ConvTranspose1d(4, 8, 4, stride=2, padding=1)(tg.zeros((5, 4, 10))).shape
    (5, 8, 20)
    """

    _ndim = 1
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of `Conv2d`'s linear map: each input pixel adds scaled filters to the output.

        y[n, o, stride·i + dilation·k − padding] += x[n, c, i] · weight[c, o, k], over all c, i, k

    It is the adjoint of the convolution with the same weight, stride, padding and dilation,
    ⟨conv(a), b⟩ = ⟨a, convᵀ(b)⟩, and computes the gradient of a convolution with respect to its
    input (Dumoulin & Visin 2016, chapter 4). It is not an interpolation followed by a convolution
    (that is `Upsample` and a `Conv2d`), nor does it undo a convolution. With a kernel size that is
    not a multiple of the stride, some pixels get more terms than others: a checkerboard.

    Weight and bias are drawn from U(−1/√f, 1/√f) with f = (out_channels / groups) · KH · KW.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (KH, KW); a number or one per axis, as below.
        stride: step between the windows, in pixels of the output.
        padding: number of pixels removed from each side.
        output_padding: number of pixels added at the end; less than the stride or the dilation.
        groups: number of separate blocks of input and output channels.
        bias: whether to add a bias.
        dilation: step between the elements of the kernel, in pixels.
        padding_mode: only "zeros".
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, O, H′, W′) or (O, H′, W′) with

        H′ = (H − 1)·stride − 2·padding + dilation·(KH − 1) + output_padding + 1

    `weight` (C, O / groups, KH, KW), `bias` (O,) or None.

    Raises:
        ValueError: invalid arguments, or groups that do not divide the channels; when called: a
            number of channels other than C, an impossible output_size, or too much padding.

    >>> conv, back = nn.Conv2d(3, 8, 4, 2, 1), nn.ConvTranspose2d(8, 3, 4, 2, 1)
    >>> y = conv(tg.zeros((1, 3, 15, 15)))
    >>> y.shape, back(y).shape, back(y, output_size=(15, 15)).shape
    ((1, 8, 7, 7), (1, 3, 14, 14), (1, 3, 15, 15))
    """

    _ndim = 2
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """`ConvTranspose2d` with three spatial axes: x (N, C, D, H, W), weight (C, O / groups, …).

    >>> nn.ConvTranspose3d(2, 4, 2, stride=2)(tg.zeros((1, 2, 3, 4, 5))).shape
    (1, 4, 6, 8, 10)
    """

    _ndim = 3
    _function = staticmethod(F.conv_transpose3d)

"""Resizing layers: interpolation and pixel shuffle."""

from __future__ import annotations

from collections.abc import Sequence

from . import functional as F
from .function_layer import FunctionLayer

__all__ = ["PixelShuffle", "PixelUnshuffle", "Upsample"]


class Upsample(FunctionLayer):
    """Resize the input by interpolation.

    A convolution after it makes the "resize-convolution" (Odena et al. 2016, *Deconvolution and
    Checkerboard Artifacts*), which is not a transposed convolution.

    Args:
        size: the spatial shape of the result, a number or one per axis.
        scale_factor: factor of the size, instead of `size`, a number or one per axis.
        mode: "nearest"; "linear", "bilinear" or "trilinear" (for one, two and three axes); "area".
        align_corners: in the linear modes, True aligns the centres of the corner elements, False
            (None) the outer edges of the image.

    Raises:
        ValueError: not exactly one of size and scale_factor; when called: a mode that does not fit
            the input, or align_corners in a mode without it.

    Shapes: x (N, C, *spatial) with one to three spatial axes, y (N, C, *size); of an axis of S
    there is ⌊S · scale_factor⌋.

    >>> nn.Upsample(scale_factor=2)(tg.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """

    _function = staticmethod(F.interpolate)
    _options = ("size", "scale_factor", "mode", "align_corners")

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: expected exactly one of size and scale_factor")
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def extra_repr(self) -> str:
        if self.size is None:
            return f"scale_factor={self.scale_factor}, mode={self.mode!r}"
        return f"size={self.size}, mode={self.mode!r}"


class PixelShuffle(FunctionLayer):
    """Rearrange channels into pixels: (…, C·r², H, W) → (…, C, H·r, W·r) (Shi et al. 2016).

    A convolution before it, at the low resolution, is the "sub-pixel convolution".

    Args:
        upscale_factor: r.

    >>> nn.PixelShuffle(2)(tg.zeros((8, 12, 5, 5))).shape
    (8, 3, 10, 10)
    """

    _function = staticmethod(F.pixel_shuffle)
    _options = ("upscale_factor",)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor


class PixelUnshuffle(FunctionLayer):
    """The reverse of `PixelShuffle`: (…, C, H·r, W·r) → (…, C·r², H, W).

    Args:
        downscale_factor: r.

    >>> nn.PixelUnshuffle(2)(tg.zeros((8, 3, 10, 10))).shape
    (8, 12, 5, 5)
    """

    _function = staticmethod(F.pixel_unshuffle)
    _options = ("downscale_factor",)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

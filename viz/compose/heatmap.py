"""Arrays as pixels: numbers to colours, and colours to a PNG inside an SVG.

Signed values are blue below zero, white at zero and vermilion above; unsigned ones go from white to
blue. The ends differ for every kind of colour vision.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (height, width, 3)

WHITE, NEGATIVE, POSITIVE = (255, 255, 255), (0, 78, 122), (176, 60, 0)
SIZE = (0, 63, 102)
NONFINITE = (204, 121, 167)
SHADES = 24  # from white to full: more are not visible and make files larger
COLOURS = 64  # largest number in one image


def diverging(plane: NDArray[np.float64], span: float) -> Pixels:
    """Return the colours of a signed matrix, saturated at ± `span`."""
    share = np.nan_to_num(plane / span, nan=0.0, posinf=0.0, neginf=0.0)[..., None]
    end = np.where(share < 0, np.array(NEGATIVE), np.array(POSITIVE))
    return _mixed(plane, np.abs(share), end)


def sequential(plane: NDArray[np.float64], top: float | None = None) -> Pixels:
    """Return the colours of a matrix from 0 (white) to `top` (default: its maximum)."""
    span = _largest(plane) if top is None else top
    share = np.nan_to_num(plane / span, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 1)
    return _mixed(plane, share[..., None], np.array(SIZE))


def grey(image: NDArray[np.float64]) -> Pixels:
    """Return the pixels of an image (H, W) or (H, W, 3) with values in [0, 1]."""
    if image.ndim == 2:
        image = image[..., None].repeat(3, axis=2)
    pixels: Pixels = (np.nan_to_num(image).clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def image(pixels: Pixels, x: float, y: float, width: float, height: float) -> str:
    """Return an SVG image at a position, in points, without smoothing between pixels."""
    from PIL import Image

    out = io.BytesIO()
    picture = Image.fromarray(pixels).quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(out, "PNG", optimize=True)
    data = base64.b64encode(out.getvalue()).decode()
    return (
        f'<image x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        'preserveAspectRatio="none" image-rendering="optimizeSpeed" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def _largest(plane: NDArray[np.float64]) -> float:
    finite = plane[np.isfinite(plane)]
    return float(finite.max(initial=0.0)) or 1.0


def _mixed(plane: NDArray[np.float64], share: NDArray[np.float64], end: object) -> Pixels:
    share = (share * SHADES).round() / SHADES
    mixed = (1 - share) * np.array(WHITE) + share * np.asarray(end)
    mixed[~np.isfinite(plane)] = NONFINITE
    pixels: Pixels = mixed.round().astype(np.uint8)
    return pixels

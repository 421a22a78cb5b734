"""Which CUDA devices there are."""

from __future__ import annotations

__all__ = ["device_count", "is_available"]


def is_available() -> bool:
    """Whether `device="cuda"` can be used: CuPy is installed, and it finds a GPU."""
    return device_count() > 0


def device_count() -> int:
    """How many CUDA devices there are; 0 without CuPy or without a driver.

    >>> tg.cuda.is_available() == (tg.cuda.device_count() > 0)
    True
    """
    try:
        import cupy
    except ImportError:
        return 0
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0

"""What moves data to a device and compares results across devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device


def on_device(value: Any, device: str) -> Any:
    """Every array of NumPy, also in tuples, on a device."""
    if isinstance(value, np.ndarray):
        return to_device(value, device)
    return tuple(on_device(v, device) for v in value) if isinstance(value, tuple) else value


def same(found: Any, wanted: Any, bound: float = 1e-12) -> None:
    """|found − wanted| ≤ bound · max|wanted| for Tensors on any devices, or both None."""
    if found is None or wanted is None:
        assert found is wanted
        return
    assert found.dtype == wanted.dtype
    found, wanted = found.numpy(), wanted.numpy()
    largest = np.max(np.abs(wanted), initial=1.0, where=np.isfinite(wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=bound * largest)

"""What some tests need that is not there everywhere."""

from __future__ import annotations

import pytest

from tinygrad_gm.data.files import find

needs_mnist = pytest.mark.skipif(
    find("mnist_full.npz", "t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte") is None,
    reason="MNIST's test images are neither in $TINYGRAD_GM_DATA nor in the cache folder",
)

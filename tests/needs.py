"""What some tests need that is not there everywhere."""

from __future__ import annotations

import pytest

from tinygrad_gm.data.files import find

needs_mnist = pytest.mark.skipif(
    find("mnist_full.npz", "t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte") is None,
    reason="MNIST's test images are neither in $TINYGRAD_GM_DATA nor in the cache folder",
)
needs_resnet20 = pytest.mark.skipif(
    find("resnet20_cifar10.safetensors") is None or find("cifar10_sub.npz") is None,
    reason="the trained ResNet-20 or the images of CIFAR-10 are not in $TINYGRAD_GM_DATA",
)
needs_names = pytest.mark.skipif(
    find("names.txt") is None, reason="names.txt is neither in $TINYGRAD_GM_DATA nor in the cache"
)

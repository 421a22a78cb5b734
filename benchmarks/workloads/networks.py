"""Whole networks for photographs: those of `tinygrad_gm.models` and torchvision's, which have the
same names of parameters. They run in the environment of `make references`, which has torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..libraries import Library
from .training import Step, inference

SHAPE = (1, 3, 224, 224)


def network(name: str) -> Callable[[Library], Step]:
    """The workload of a network with random weights on one image; no gradients."""

    def workload(lib: Library) -> Step:
        net = lib.network(name)
        return inference(lib, lib.load(net, weights(net)), SHAPE)

    return workload


def weights(net: Any) -> dict[str, Any]:
    """Weights from N(0, 2/fan in) by one seed, in the order of their names; norms as they start.

    The outputs of all layers are of a similar size then: none is denormal, and none overflows.
    """
    state = {name: np.array(t.detach().numpy()) for name, t in net.state_dict().items()}
    rng = np.random.default_rng(0)
    for name, array in sorted(state.items()):
        if array.ndim > 1:
            fan_in = np.prod(array.shape[1:])
            state[name] = rng.standard_normal(array.shape, np.float32) * np.float32(
                (2 / fan_in) ** 0.5
            )
    return state


NETWORKS = {
    "resnet50": network("resnet50"),
    "mobilenet-v2": network("mobilenet_v2"),
    "efficientnet-b0": network("efficientnet_b0"),
}
HAS_TORCHVISION = find_spec("torchvision") is not None

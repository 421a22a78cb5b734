"""What every workload does: weights from one seed, and a whole training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Library

Step = Callable[[], Any]


def with_weights(lib: Library, net: Any) -> Any:
    """The network with the same weights in every library: U(±1/√fan_in), norms as they start."""
    rng = np.random.default_rng(0)
    state = {}
    for name, tensor in net.state_dict().items():
        array = np.array(tensor.detach().numpy())
        if array.dtype == np.float32 and array.ndim > 1:
            bound = float(np.prod(array.shape[1:])) ** -0.5
            array = rng.uniform(-bound, bound, array.shape).astype(np.float32)
        elif array.dtype == np.float32 and not name.endswith(("running_var", "running_mean")):
            array = np.full_like(array, 1.0 if (array == 1).all() else 0.01)
        state[name] = array
    return lib.load(net, state)


def training(optimizer: Any, loss_of: Callable[[], Any]) -> Step:
    """A step: loss, zero_grad, backward, update."""

    def step() -> Any:
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step

"""What every workload does: weights from one seed, and a whole training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Library

Step = Callable[[], Any]


def with_weights(lib: Library, net: Any) -> Any:
    """The network with the weights of `initial` in every library, its norms as they start."""
    state = {name: np.array(t.detach().numpy()) for name, t in net.state_dict().items()}
    drawn = {
        name: array.shape
        for name, array in state.items()
        if array.dtype == np.float32
        and not name.endswith(("running_var", "running_mean"))
        and not (array.ndim == 1 and (array == 1).all())
    }
    return lib.load(net, state | initial(drawn))


def initial(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Weights from U(±1/√fan_in) by one seed, in the order given; vectors are 0.01."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        bound = float(np.prod(shape[1:])) ** -0.5
        array = rng.uniform(-bound, bound, shape) if len(shape) > 1 else np.full(shape, 0.01)
        arrays[name] = array.astype(np.float32)
    return arrays


def inference(lib: Library, net: Any, shape: tuple[int, ...]) -> Step:
    """A step: the network on the same random numbers (N, C, *spatial); no gradients."""
    net.eval()
    x = lib.images(np.random.default_rng(1).standard_normal(shape, np.float32))

    def step() -> Any:
        with lib.no_grad():
            return net(x).mean()

    return step


def training(optimizer: Any, loss_of: Callable[[], Any]) -> Step:
    """A step: loss, zero_grad, backward, update."""

    def step() -> Any:
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step

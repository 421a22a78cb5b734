"""The two libraries behind one set of names, so that every workload is written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Library:
    """What a workload may use: PyTorch's names, and what differs under a common one."""

    name: str
    version: str
    nn: Any
    functional: Any
    tensor: Any  # array → tensor; keyword requires_grad
    adam: Any  # parameters, lr → optimizer
    load: Any  # module, {name: array} → None


def tinygrad_gm() -> Library:
    import tinygrad_gm as tg
    from tinygrad_gm import nn, optim

    def load(module: Any, arrays: dict[str, Any]) -> None:
        module.load_state_dict({name: tg.tensor(array) for name, array in arrays.items()})

    return Library("tinygrad_gm", tg.__version__, nn, nn.functional, tg.tensor, optim.Adam, load)


def torch() -> Library:
    import torch

    def tensor(array: Any, requires_grad: bool = False) -> Any:
        return torch.from_numpy(np.array(array)).requires_grad_(requires_grad)

    def adam(parameters: Any, lr: float) -> Any:
        return torch.optim.Adam(parameters, lr=lr, fused=True)

    def load(module: Any, arrays: dict[str, Any]) -> None:
        module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})

    version = torch.__version__.partition("+")[0]
    return Library("torch", version, torch.nn, torch.nn.functional, tensor, adam, load)


LIBRARIES = {"tinygrad_gm": tinygrad_gm, "torch": torch}

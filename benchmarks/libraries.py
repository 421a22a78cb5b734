"""The two libraries behind one set of names, so that every workload is written once.

Our `nn` and `F` have PyTorch's names; here is the little that differs: how tensors are made, a few
functions of arrays, and which optimizers are the fast ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Library:
    """What a workload may use besides the methods that tensors have in both libraries."""

    name: str
    version: str
    nn: Any
    F: Any
    network: Any  # name of torchvision → module
    tensor: Any  # array → tensor; keyword requires_grad
    images: Any  # array (N, C, *spatial) → tensor in the memory order that suits the library
    optim: dict[str, Any]  # name → function of parameters and options
    load: Any  # module, {name: array} → module
    no_grad: Any
    concat: Any  # tensors, axis
    permute: Any  # tensor, axes
    split: Any  # tensor, number of parts, last axis
    argmax: Any  # tensor → int


def tinygrad_gm() -> Library:
    import tinygrad_gm as tg
    from tinygrad_gm import nn, optim

    def network(name: str) -> Any:
        from tinygrad_gm.models import pretrained

        return pretrained.architecture(name)()

    def images(array: Any) -> Any:  # channels last in memory, as every convolution gives them
        return tg.asarray(np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1))

    def load(module: Any, arrays: dict[str, Any]) -> Any:
        module.load_state_dict({name: tg.tensor(array) for name, array in arrays.items()})
        return module

    return Library(
        name="tinygrad_gm",
        version=tg.__version__,
        nn=nn,
        F=nn.functional,
        network=network,
        tensor=tg.tensor,
        images=images,
        optim={"Adam": optim.Adam, "AdamW": optim.AdamW, "SGD": optim.SGD},
        load=load,
        no_grad=tg.no_grad,
        concat=lambda tensors, axis: tg.concat(tensors, axis=axis),
        permute=tg.permute_dims,
        split=lambda x, parts: tg.split(x, parts, axis=-1),
        argmax=lambda x: x.argmax().item(),
    )


def torch(channels_last: bool = False) -> Library:
    import torch

    orders = {4: torch.channels_last, 5: torch.channels_last_3d} if channels_last else {}

    def ordered(x: Any) -> Any:
        return x.to(memory_format=orders.get(x.ndim, torch.preserve_format))

    def tensor(array: Any, requires_grad: bool = False) -> Any:
        return torch.from_numpy(np.array(array)).requires_grad_(requires_grad)

    def load(module: Any, arrays: dict[str, Any]) -> Any:
        module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        for weight in module.parameters():
            weight.data = ordered(weight.data)
        return module

    def network(name: str) -> Any:
        library = torch.library.Library("torchvision", "DEF")
        for missing in ("nms", "qnms"):  # without CUDA; its import asks for them
            library.define(f"{missing}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        return torchvision.models.get_model(name)

    def fused(kind: Any) -> Callable[..., Any]:
        return lambda parameters, **options: kind(parameters, fused=True, **options)

    return Library(
        name="torch",
        version=torch.__version__.partition("+")[0],
        nn=torch.nn,
        F=torch.nn.functional,
        network=network,
        tensor=tensor,
        images=lambda array: ordered(tensor(array)),
        optim={name: fused(getattr(torch.optim, name)) for name in ("Adam", "AdamW", "SGD")},
        load=load,
        no_grad=torch.no_grad,
        concat=torch.cat,
        permute=torch.permute,
        split=lambda x, parts: x.chunk(parts, dim=-1),
        argmax=lambda x: int(x.argmax()),
    )


LIBRARIES: dict[str, Callable[[], Library]] = {
    "tinygrad_gm": tinygrad_gm,
    "torch": torch,
    "torch, channels last": lambda: torch(channels_last=True),
}

"""What is timed: each workload makes a step (forward, zero_grad, backward, update) in a library.

A step returns its loss, so that the harness can see that both libraries compute the same thing.
"""

from __future__ import annotations

from collections.abc import Callable

from ..libraries import Library
from . import diffusion, networks, sequences, small, unseen, vision
from .training import Step

WORKLOADS: dict[str, Callable[[Library], Step]] = {
    "chain": small.chain,
    "names-mlp": small.names_mlp,
    "mlp": small.mlp,
    "vae": small.vae,
    "gan": small.gan,
    "lenet": vision.lenet,
    "resnet20": vision.resnet20,
    "dcgan": vision.dcgan,
    "mobile": vision.mobile,
    "lstm": sequences.lstm,
    "gpt": sequences.gpt,
    "unet": diffusion.unet,
    "dit": diffusion.dit,
    "adam": small.adam,
    "infer-gpt": sequences.infer_gpt,
    "gpt-512": sequences.gpt512,
    "unet-1d": unseen.unet1d,
    "voxnet": unseen.voxnet,
    "infer-resnet": unseen.infer_resnet,
    "infer-mobile": unseen.infer_mobile,
    **(networks.NETWORKS if networks.HAS_TORCHVISION else {}),
}
PICTURES = {  # where the order of memory matters
    *("lenet", "resnet20", "dcgan", "mobile", "unet", "voxnet", "infer-resnet", "infer-mobile"),
    *networks.NETWORKS,
}

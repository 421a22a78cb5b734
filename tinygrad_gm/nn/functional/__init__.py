"""Layers and losses as functions, under PyTorch's names: what `nn` has, without its parameters.

    import tinygrad_gm.nn.functional as F

Many are operations of `tinygrad_gm.ops` themselves; those composed of several stand in the files
beside this one, by subject. A loss has a `reduction`: "mean" over all its elements, "sum", or
"none" for all of them.
"""

from ...ops import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    gelu,
    linear,
    log_softmax,
    mish,
    mse_loss,
    nll_loss,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .activations import leaky_relu
from .embedding import embedding
from .losses import kl_normal
from .norms import batch_norm, group_norm, layer_norm, rms_norm
from .resizing import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
)
from .spatial import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "embedding",
    "gelu",
    "group_norm",
    "interpolate",
    "kl_normal",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]

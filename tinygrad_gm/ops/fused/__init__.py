"""Operations fused for speed or stability, each beside its decomposition.

A decomposition is the definition that a course would write, composed of primitives. Tests compare
value, gradient and second derivative of the two; `with tg.textbook():` records the decomposition,
so that a drawing shows its steps.
"""

from .activations import gelu, mish, silu, softplus
from .attention import attention, scaled_dot_product_attention
from .linear import embedding, linear
from .losses import binary_cross_entropy as binary_cross_entropy
from .losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from .norms import batch_norm, group_norm, layer_norm, rms_norm
from .recurrent import gru_cell, lstm_cell
from .sequences import gru_sequence, lstm_sequence, rnn_sequence
from .softmax import log_softmax, softmax

__all__ = [
    "attention",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "embedding",
    "gelu",
    "group_norm",
    "gru_cell",
    "gru_sequence",
    "layer_norm",
    "linear",
    "log_softmax",
    "lstm_cell",
    "lstm_sequence",
    "mish",
    "mse_loss",
    "nll_loss",
    "rms_norm",
    "rnn_sequence",
    "scaled_dot_product_attention",
    "silu",
    "softmax",
    "softplus",
]

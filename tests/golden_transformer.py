"""A tiny Transformer whose weights a formula gives, and its logits as PyTorch computes them."""

from __future__ import annotations

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm.models.transformer import Transformer

SIZES = {"num_layers": 2, "d_model": 6, "n_head": 2, "hidden_dim": 8, "max_len": 9}
SOURCE = [[3, 1, 4, 1, 5], [2, 6, 5, 0, 0]]  # 0 is padding
TARGET = [[1, 5, 1, 3], [1, 4, 2, 0]]
PLACES = [(0, 0), (0, 3), (1, 2)]  # sample and position of the logits
# By norm_first, of PyTorch 2.13 in float64; `tests/parity` computes them again.
GOLDEN = {
    False: [
        [-0.897511, -1.20451, -2.990661, 2.358212, -0.134033, -2.825088, 0.703947],
        [-0.897167, -1.202756, -2.988818, 2.356839, -0.132785, -2.828345, 0.703529],
        [-1.015646, -1.363268, -3.227045, 2.438908, -0.284782, -2.625169, 0.791052],
    ],
    True: [
        [-1.960496, 0.394787, 1.596184, 1.161552, -2.439032, -1.140995, 0.576315],
        [-1.678597, -0.82333, 2.738783, 0.934288, -2.29261, -1.332753, 1.123259],
        [-0.344846, -0.834217, 1.738193, -1.482417, 0.516012, 0.457839, 0.728741],
    ],
}


def golden(norm_first: bool) -> Transformer:
    """The network whose weights are sin k², k = 1, 2, …, over all parameters in their order."""
    model, k = Transformer(7, 7, norm_first=norm_first, **SIZES), 1  # type: ignore[arg-type]
    for tensor in model.buffers():
        tensor.data = tensor.data.astype(tg.float64)
    for parameter in model.parameters():
        numbers = np.arange(k, k + parameter.size, dtype=np.float64)
        parameter.data = np.sin(numbers**2).reshape(parameter.shape)
        k += parameter.size
    return model.eval()

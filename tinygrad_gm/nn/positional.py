"""Positional encoding: attention itself does not depend on the order of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..backend import ArrayLike, floating_dtype
from ..tensor import Tensor, asarray
from .dropout import Dropout
from .module import Module

__all__ = ["SinusoidalPositionalEncoding"]


class SinusoidalPositionalEncoding(Module):
    """x plus a fixed code of each position, then dropout (Vaswani et al. 2017, §3.5).

        pe[p, 2i] = sin(p / 10000^(2i/d_model))      pe[p, 2i + 1] = cos(p / 10000^(2i/d_model))

    An odd d_model has one sine more than cosines. The entries of the code are of order 1, so the
    embeddings should be, too: the paper draws them from N(0, 1/d_model), so that their matrix can
    be shared with the output layer, and multiplies by √d_model before the sum.

    Args:
        d_model: the width of x.
        max_len: the longest sequence.
        dropout: the probability of dropping an entry of the sum, in training.
        batch_first: the layout of a batch: (N, L, d_model), or (L, N, d_model) if False. `nn.RNN`,
            `nn.Transformer` and other sequence layers take the latter by default, as in PyTorch.
        device, dtype: of the code; None: the defaults.

    Shapes: x (N, L, d_model), (L, N, d_model) without `batch_first`, or (L, d_model); out the same.
    The buffer `pe` (max_len, d_model) follows from the arguments: it is not in the state dict.

    >>> encoding = nn.SinusoidalPositionalEncoding(3, max_len=10)
    >>> encoding(tg.zeros((2, 3))).round(2).tolist()[0]
    [0.0, 1.0, 0.0]
    """

    pe: Tensor

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        dropout: float = 0.0,
        batch_first: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if d_model < 1 or max_len < 1:
            raise ValueError(
                "SinusoidalPositionalEncoding: expected d_model ≥ 1 and max_len ≥ 1; got "
                f"{d_model} and {max_len}"
            )
        self.d_model, self.max_len, self.batch_first = d_model, max_len, batch_first
        self.dropout = Dropout(dropout)
        self.register_buffer("pe", _code(max_len, d_model, dtype, device), persistent=False)

    def forward(self, x: ArrayLike, start: int = 0) -> Tensor:
        """x + pe, of the positions from `start` on.

        In step-by-step decoding, `start` is the number of previous positions.

        Raises:
            ValueError: a sequence longer than max_len, or a width other than d_model.
        """
        x = asarray(x)
        layout = "(N, L, d_model)" if self.batch_first else "(L, N, d_model)"
        if x.ndim not in (2, 3) or x.shape[-1] != self.d_model:
            raise ValueError(
                f"SinusoidalPositionalEncoding: expected {layout} or (L, d_model) with d_model = "
                f"{self.d_model}; got {x.shape}"
            )
        length = x.shape[1 if self.batch_first and x.ndim == 3 else 0]
        if not 0 <= start <= self.max_len - length:
            raise ValueError(
                f"SinusoidalPositionalEncoding: a sequence of length {length} from position {start}"
                f" on is longer than max_len {self.max_len}"
            )
        code = self.pe[start : start + length].astype(floating_dtype(x.dtype))
        if x.ndim == 3 and not self.batch_first:
            code = code[:, None]
        return self.dropout(x + code)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        layout = "" if self.batch_first else ", batch_first=False"
        return f"d_model={self.d_model}, max_len={self.max_len}{layout}"


def _code(length: int, width: int, dtype: Any, device: str | None) -> Tensor:
    """The code (length, width), computed in float64: large float32 angles are inaccurate."""
    exponents = np.arange(0, width, 2) / width
    angles = np.arange(length)[:, None] / 10000**exponents
    code = np.empty((length, width))
    code[:, 0::2] = np.sin(angles)
    code[:, 1::2] = np.cos(angles[:, : width // 2])
    return asarray(code, dtype or backend.default_dtype(), device or backend.default_device())

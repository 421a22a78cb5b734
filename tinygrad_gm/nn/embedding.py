"""A table of learned vectors, looked up by number."""

from __future__ import annotations

from typing import Any

from ..backend import ArrayLike
from ..creation import empty
from ..engine.modes import no_grad
from ..tensor import Tensor, asarray
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, is_placeholder, no_init


class Embedding(Module):
    """One learned vector per word: the rows of the weight at integers x.

    The weight is drawn from N(0, 1). A Transformer that multiplies what it looks up by √width wants
    `nn.init.normal_(layer.weight, std=width**-0.5)` instead.

    Args:
        num_embeddings: how many words there are.
        embedding_dim: the length of their vectors, the width.
        padding_idx: a word (counted from the end where it is negative) whose vector starts as zeros
            and gets no gradient.
        device: where the parameters lie; None: the default device.
        dtype: theirs; None: the default dtype.

    Shapes: x integers (…) in [0, num_embeddings), y (…, embedding_dim), `weight` (num_embeddings,
    embedding_dim).

    >>> layer = nn.Embedding(10, 3, padding_idx=0)
    >>> layer(tg.tensor([[4, 0], [9, 4]])).shape, layer(tg.tensor([0])).tolist()
    ((2, 2, 3), [[0.0, 0.0, 0.0]])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx is {padding_idx}; of {num_embeddings} words, one in "
                f"[{-num_embeddings}, {num_embeddings - 1}] is wanted"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty((num_embeddings, embedding_dim), dtype, device=device))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: ArrayLike, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer whose weight is `embeddings` (words, width), in the same memory.

        Args:
            embeddings: the vectors, floating.
            freeze: whether they stay as they are; False: they are learned further.
            padding_idx: a word that gets no gradient; its vector stays as it is given.

        >>> nn.Embedding.from_pretrained([[0.5, 1.0], [2.0, 3.0]])(tg.tensor(1)).tolist()
        [2.0, 3.0]
        """
        weight = asarray(embeddings)
        if weight.ndim != 2:
            raise ValueError(
                f"Embedding.from_pretrained: embeddings (words, width) are wanted; got the shape "
                f"{weight.shape}"
            )
        with no_init():
            layer = cls(weight.shape[0], weight.shape[1], padding_idx)
        layer.weight = Parameter(weight, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draw the weight afresh."""
        init.normal_(self.weight)
        if self.padding_idx is not None and not is_placeholder(self.weight):
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Any) -> Tensor:
        """The vectors of the words; IndexError where there is no such word."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes, and which word is padding."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"

"""A table of learned vectors, looked up by index."""

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

__all__ = ["Embedding"]


class Embedding(Module):
    """One learned vector per word: the rows of the weight at integers x.

    The weight is drawn from N(0, 1). For a Transformer that multiplies the embeddings by √width,
    use `nn.init.normal_(layer.weight, std=width**-0.5)` instead.

    Args:
        num_embeddings: number of words.
        embedding_dim: the length of their vectors, the width.
        padding_idx: index of a word (negative: from the end) whose vector starts as zeros and gets
            no gradient.
        device, dtype: of the parameters; None: the defaults.

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
                f"Embedding: padding_idx is {padding_idx}; expected an index in "
                f"[{-num_embeddings}, {num_embeddings - 1}]"
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
            freeze: whether to keep them constant; False: they are trained.
            padding_idx: index of a word that gets no gradient; its vector is not changed.

        >>> nn.Embedding.from_pretrained([[0.5, 1.0], [2.0, 3.0]])(tg.tensor(1)).tolist()
        [2.0, 3.0]
        """
        weight = asarray(embeddings)
        if weight.ndim != 2:
            raise ValueError(
                "Embedding.from_pretrained: expected embeddings (words, width); got the shape "
                f"{weight.shape}"
            )
        with no_init():
            layer = cls(weight.shape[0], weight.shape[1], padding_idx)
        layer.weight = Parameter(weight, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Re-initialise the weight."""
        init.normal_(self.weight)
        if self.padding_idx is not None and not is_placeholder(self.weight):
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Any) -> Tensor:
        """Return the vectors of the words; raise IndexError for an index out of range."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"

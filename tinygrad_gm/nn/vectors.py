"""All parameters as one vector, and back: for methods that work on the whole of a model."""

from __future__ import annotations

from collections.abc import Iterable

from ..ops import concat
from ..tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all the parameters' numbers, in order; gradients flow back through it.

    >>> nn.utils.parameters_to_vector([tg.ones((2, 2)), tg.zeros(1)]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    return concat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the numbers of a vector into the parameters' arrays, in order.

    Raises:
        ValueError: the vector has more or fewer numbers than the parameters. Nothing is
            written then.

    >>> layer = nn.Linear(2, 1)
    >>> nn.utils.vector_to_parameters(tg.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    several, array = list(parameters), vec._data
    wanted = sum(parameter.size for parameter in several)
    if array.shape != (wanted,):
        raise ValueError(
            f"vector_to_parameters: expected a vector of shape ({wanted},); got {array.shape}"
        )
    start = 0
    for parameter in several:
        parameter.copy_(array[start : start + parameter.size].reshape(parameter.shape))
        start += parameter.size

"""Decoding: choosing the next symbol, one after the other.

A language model gives logits z of the next symbol. What it writes depends on how the symbol is
chosen from them:

- **temperature** T: drawn from softmax(z / T). Below 1 likely symbols become likelier; in the limit
  T = 0 the likeliest is taken (greedy).
- **top-k**: drawn from the k likeliest (Fan et al. 2018, "Hierarchical Neural Story Generation").
- **top-p**, *nucleus sampling*: drawn from the smallest set of likeliest symbols whose
  probabilities sum to p or more (Holtzman et al. 2020, "The Curious Case of Neural Text
  Degeneration", equation 2).

They are applied in this order. Unlikely symbols are each improbable, but together they are not: a
long text drawn without a limit soon contains one, and the model continues from what it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor

# Called first with a prompt (N, L), then with each chosen symbol (N, 1): logits (N, V) of the next.
Decoder: TypeAlias = Callable[[Tensor], Tensor]


def kept(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The logits (N, V) divided by the temperature, and −inf for symbols that are left out.

    Args:
        logits: logits of the next symbol.
        temperature: T > 0.
        top_k: number of symbols that are kept; None, or more than there are: all.
        top_p: probability, in (0, 1], that the kept symbols have at least; None: 1.

    Among equally likely symbols the one of the smallest number comes first.

    >>> logits = tg.log(tg.tensor([[0.1, 0.5, 0.4]]))
    >>> [tg.isfinite(kept(logits, top_p=p)).tolist() for p in (0.45, 0.75)]
    [[[False, True, False]], [[False, True, True]]]
    """
    scaled = logits / temperature
    if top_k is None and top_p is None:
        return scaled
    order = tg.argsort(scaled, axis=-1, descending=True)
    best = tg.take_along_axis(scaled, order, axis=-1)
    rank = tg.arange(best.shape[-1], device=best.device)
    keep = rank < (best.shape[-1] if top_k is None else top_k)
    if top_p is not None:
        p = F.softmax(tg.where(keep, best, -math.inf).astype(tg.float64), axis=-1)
        keep = keep & (tg.cumulative_sum(p, axis=-1) - p < top_p)
    back = tg.argsort(order, axis=-1)
    return tg.take_along_axis(tg.where(keep, best, -math.inf), back, axis=-1)


def choose(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """The next symbol, int64 (N,), given logits (N, V): drawn, or at temperature 0 the likeliest.

    Arguments as for `kept`. Raises ValueError for one that is out of range.

    >>> choose(tg.tensor([[1.0, 3.0, 2.0]]), temperature=0).tolist()
    [1]
    """
    check(temperature, top_k, top_p)
    if temperature == 0:
        return tg.argmax(logits, axis=-1)
    return tg.random.categorical(kept(logits, temperature, top_k, top_p), generator=generator)


def check(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError for a temperature, top_k or top_p that is out of range.

    >>> check(1.0, 0, None)
    Traceback (most recent call last):
        ...
    ValueError: top_k is 0; expected at least 1
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"the temperature is {temperature}; expected a finite number ≥ 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; expected at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; expected a probability in (0, 1]")


def symbols(
    decoder: Decoder,
    prompt: Tensor,
    count: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
    stop: int | None = None,
) -> Iterator[Tensor]:
    """Yield up to `count` symbols (N,) after a prompt (N, L), each given all before it.

    Args:
        decoder: function of the prompt, then of each chosen symbol (N, 1), that returns the logits
            of the next.
        prompt: integers, L ≥ 1.
        count: largest number of symbols.
        temperature, top_k, top_p, generator: as for `choose`.
        stop: a symbol after which a row is filled with it; the end when all rows have one.

    >>> def successor(symbol):
    ...     return tg.one_hot((symbol[:, -1] + 1) % 5, 5, dtype=tg.float32)
    >>> [s.item() for s in symbols(successor, tg.tensor([[0, 1]]), 9, temperature=0, stop=4)]
    [2, 3, 4]
    """
    check(temperature, top_k, top_p)
    if prompt.ndim != 2 or not prompt.shape[1]:
        raise ValueError(f"expected a prompt (N, L) of at least one symbol; got {prompt.shape}")
    new, ended = prompt, tg.zeros(len(prompt), dtype=tg.bool, device=prompt.device)
    for _ in range(count):
        with tg.no_grad():
            chosen = choose(decoder(new), temperature, top_k, top_p, generator)
            if stop is not None:
                chosen = tg.where(ended, stop, chosen)
                ended = ended | (chosen == stop)
        yield chosen
        if ended.all():
            return
        new = chosen[:, None]

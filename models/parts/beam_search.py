"""Translation by a Transformer: step by step, greedily or by beam search.

**Step by step.** The likeliest y cannot be computed at once: y_i depends on all tokens before it.
Each step gives the logits of one token. The keys and values of the tokens before it are the same in
every step, as are those of the memory, so they are kept in caches; a step computes one position.

**Greedy** decoding takes the likeliest token in each step. The sequence need not be the likeliest:
a good start may have no good continuation.

**Beam search** keeps `width` sequences. Each step extends them by every token, and keeps the best
`width` of the results that do not end; those that end are set aside. ln p falls with every token,
so among them short ones would win. They are compared by

    score = ln p(y | x) / lp(y),     lp(y) = ((5 + |y|) / 6)^α

(Wu et al. 2016, "Google's Neural Machine Translation System", equation 14), where |y| counts the
end, too. The search is over when `width` sequences have ended and none of the others has a higher
score than the best of them. Vaswani et al. 2017, section 6.1: width 4, α = 0.6. A width of 1 is
greedy decoding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn

from ..transformer import Transformer, padding_mask
from . import decoding


class Steps:
    """A Transformer, step by step: called with tokens (N, L), it returns the logits (N, tgt_vocab)
    of the next. Call it first with the start, then with each token that was chosen: a
    `decoding.Decoder`.

    Args:
        model: the network, in evaluation mode.
        src: tokens (N, S).

    >>> model = Transformer(9, 9, num_layers=1, d_model=8, n_head=2, hidden_dim=8).eval()
    >>> with tg.no_grad():
    ...     steps = Steps(model, tg.tensor([[3, 4, 5]]))
    ...     print(steps(tg.tensor([[1]])).shape, steps(tg.tensor([[7]])).shape)
    (1, 9) (1, 9)
    """

    def __init__(self, model: Transformer, src: Tensor) -> None:
        self.model = model
        self.src_mask = padding_mask(src, model.padding)
        self.memory = model.encode(src, self.src_mask)
        self.caches = [
            (nn.KeyValueCache(), nn.KeyValueCache()) for _ in range(len(model.decoder.layers))
        ]

    def __call__(self, tokens: Tensor) -> Tensor:
        logits = self.model.decode(tokens, self.memory, self.src_mask, caches=self.caches)
        self.memory = self.memory[:, :0]  # its keys and values are in the caches
        return logits[:, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Continue with the sequences at these places of the batch, in this order."""
        self.src_mask, self.memory = self.src_mask[rows], self.memory[rows]
        for pair in self.caches:
            for cache in pair:
                cache.select(rows)


class Hypothesis(NamedTuple):
    """A sequence that beam search found."""

    tokens: list[int]  # without the start, with the end
    log_p: float  # ln p of the tokens
    score: float  # ln p / lp


@tg.no_grad()
def greedy(model: Transformer, src: Tensor, max_len: int, start: int, end: int) -> Tensor:
    """The likeliest token in each step, until all sequences have ended.

    Args:
        model: the network, in evaluation mode.
        src: tokens (N, S).
        max_len: largest number of tokens.
        start: token before the first.
        end: token after the last; a sequence that has ended is filled with it.

    Returns:
        Integers (N, L), L ≤ max_len, without the start.
    """
    first = tg.full((len(src), 1), start, device=src.device)
    chosen = decoding.symbols(Steps(model, src), first, max_len, temperature=0, stop=end)
    return tg.stack([*chosen], axis=1)


@tg.no_grad()
def beam_search(
    model: Transformer,
    src: Tensor,
    max_len: int,
    start: int,
    end: int,
    width: int = 4,
    alpha: float = 0.6,
) -> list[Hypothesis]:
    """The sequences with the highest scores that a beam finds, the best first.

    Args:
        model, max_len, start, end: as in `greedy`.
        src: tokens (S,) of one sequence.
        width: number of sequences kept; 1: greedy decoding.
        alpha: exponent α of the length in the score; 0: ln p.

    Returns:
        Up to `width` hypotheses. Those of `max_len` tokens may have no end.

    Raises:
        ValueError: `width` is less than 1, or α negative.
    """
    if width < 1 or not alpha >= 0:
        raise ValueError(f"beam_search: expected width ≥ 1 and alpha ≥ 0; got {width} and {alpha}")

    def hypothesis(tokens: list[int], log_p: float) -> Hypothesis:
        return Hypothesis(tokens, log_p, log_p / ((5 + len(tokens)) / 6) ** alpha)

    steps, ended = Steps(model, src[None]), list[Hypothesis]()
    beam: list[tuple[list[int], float]] = [([], 0.0)]
    last = tg.tensor([[start]], device=src.device)
    for _ in range(max_len):
        logits = steps(last)
        before = tg.tensor([log_p for _, log_p in beam], logits.dtype, logits.device)
        sums = F.log_softmax(logits, axis=1) + before[:, None]
        best, places = tg.topk(sums.reshape(-1), min(2 * width, sums.size))
        rows, extended = list[int](), list[tuple[list[int], float]]()
        for rank, (log_p, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            row, token = divmod(place, sums.shape[1])
            tokens = [*beam[row][0], token]
            if token != end and len(extended) < width:
                rows.append(row)
                extended.append((tokens, log_p))
            elif token == end and rank < width:
                ended.append(hypothesis(tokens, log_p))
        beam = extended
        best_open = max((hypothesis(*each).score for each in beam), default=-math.inf)
        if len(ended) >= width and max(each.score for each in ended) >= best_open:
            break
        steps.select(rows)
        last = tg.tensor([tokens[-1:] for tokens, _ in beam], device=src.device)
    else:
        ended += [hypothesis(*each) for each in beam]
    return sorted(ended, key=lambda found: -found.score)[:width]

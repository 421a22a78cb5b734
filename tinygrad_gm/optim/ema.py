"""EMA: a moving average of a model's weights, which often generalises better than the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

from ..backend import device_of, module_of
from ..kernels import native
from ..nn import Module
from ..options import as_flag, as_number
from ..tensor import Tensor


class EMA:
    """The exponential moving average of a model's weights, kept in a copy of the model.

    The average θ̄ starts as a copy of the model's weights θ. Each `update`, to be called after the
    optimizer's step, computes

        θ̄ ← d θ̄ + (1 − d) θ

    so that θ̄ is a mean over about the last 1 / (1 − d) steps (Polyak & Juditsky 1992, the mean of
    all; Tarvainen & Valpola 2017, this one). With `warmup` it is d = min(decay, (1 + t) / (10 + t))
    in update t = 0, 1, …, so that the first weights are forgotten quickly. With `power` p it is
    d = min(decay, 1 − t^(−p)), and 0 for t ≤ 1, so that the mean extends over the more steps, about
    t^p, the longer the training (Chi et al. 2023, "Diffusion Policy": p = ¾).

    Args:
        model: the model to average; it may have an optimizer, made before or afterwards.
        decay: d, in [0, 1].
        warmup: use a smaller d in the first updates, as above.
        power: p > 0, let d grow as above; None: d is constant, or follows `warmup`.
        use_buffers: average the floating buffers too, such as the running statistics of norms, so
            that they fit the averaged weights. Otherwise they are copied from the model, as integer
            buffers always are.

    Attributes:
        model: the copy, in evaluation mode, with the averaged weights.
        updates: number of updates so far.

    Raises:
        ValueError: decay is not in [0, 1], power is not positive, or both warmup and power are
            given.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = model.weight.copy_(0.0)
    >>> ema = optim.EMA(model, decay=0.75)
    >>> _ = model.weight.copy_(1.0)
    >>> ema.update()
    >>> ema.model.weight.item()
    0.25
    >>> with ema.average():
    ...     print(model.weight.item())
    0.25
    >>> model.weight.item()
    1.0
    """

    def __init__(
        self,
        model: Module,
        decay: float = 0.999,
        *,
        warmup: bool = False,
        power: float | None = None,
        use_buffers: bool = True,
    ) -> None:
        self.decay = as_number(self, "decay", decay, high=1)
        self.warmup = as_flag(self, "warmup", warmup)
        if power is not None and warmup:
            raise ValueError("EMA: warmup and power exclude each other; choose one")
        self.power = None if power is None else as_number(self, "power", power, without="low")
        self.use_buffers = as_flag(self, "use_buffers", use_buffers)
        self.updates = 0
        self._source, self._swapped = model, False
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.model.zero_grad()

    def update(self) -> None:
        """Update the average with the model's current weights.

        Raises:
            RuntimeError: called within `average`, where the model holds the averaged weights.
        """
        if self._swapped:
            raise RuntimeError(
                "EMA: update cannot be called within `with ema.average()`; call it afterwards"
            )
        share = 1 - self.decay_at(self.updates)
        learned = {id(p) for p in self.model.parameters()}
        for mean, tensor in self._pairs():
            averaged = id(mean) in learned or (self.use_buffers and mean.dtype.kind == "f")
            _move(mean, tensor, share if averaged else 1.0)
        self.updates += 1

    def decay_at(self, update: int) -> float:
        """The d of an update, 0 for the first.

        >>> ema = optim.EMA(nn.Linear(1, 1), decay=0.9999, power=0.75)
        >>> [round(ema.decay_at(update), 4) for update in (1, 2, 10, 1000)]
        [0.0, 0.4054, 0.8222, 0.9944]
        """
        if self.power is not None:
            grown: float = 1 - max(update, 1) ** -self.power
            return min(self.decay, grown)
        return min(self.decay, (1 + update) / (10 + update)) if self.warmup else self.decay

    @contextmanager
    def average(self) -> Iterator[None]:
        """Give the model the averaged weights and buffers within the block, for evaluation.

        The arrays are swapped, not copied. Do not train within the block; graphs recorded before it
        can no longer be differentiated.
        """
        pairs = [(mean, tensor, tensor._data) for mean, tensor in self._pairs()]
        outer, self._swapped = self._swapped, True
        try:
            for mean, tensor, _ in pairs:
                tensor._data = mean._data
                tensor.mark_written()
            yield
        finally:
            self._swapped = outer
            for _, tensor, array in pairs:
                tensor._data = array
                tensor.mark_written()

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of the average's tensors and the model's."""
        ours, theirs = (chain(m.parameters(), m.buffers()) for m in (self.model, self._source))
        return zip(ours, theirs, strict=True)

    def state_dict(self) -> dict[str, Any]:
        """`{"updates": …, "model": …}`; the Tensors share the average's memory."""
        return {"updates": self.updates, "model": self.model.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a `state_dict` in place; it may share memory with the average.

        Raises:
            KeyError: "updates" or "model" is missing. Then nothing was changed.
            RuntimeError: it belongs to another model. Then nothing was changed.
            ValueError: its "updates" is not a number of steps. Then nothing was changed.
        """
        updates, model = state_dict["updates"], state_dict["model"]
        if type(updates) is not int or not 0 <= updates < 2**53:
            raise ValueError(f"EMA: updates is {updates!r}, not a number of steps")
        self.model.load_state_dict(model)
        self.updates = updates


def _move(mean: Tensor, tensor: Tensor, share: float) -> None:
    """Move a tensor towards another by a fraction of their difference, in place."""
    ours, theirs = mean._data, tensor._data
    if device_of(ours) != device_of(theirs):
        raise RuntimeError(
            f"EMA: a tensor on {device_of(theirs)} has its mean on {device_of(ours)}; make the EMA "
            "after the model was moved"
        )
    if share == 1:
        ours[...] = theirs
    elif native.dense(ours, theirs):
        native.average(share, ours, theirs)
    else:
        xp = module_of(ours)
        difference = xp.subtract(theirs, ours)
        difference *= share
        xp.add(ours, difference, ours, casting="same_kind")
    mean.mark_written()

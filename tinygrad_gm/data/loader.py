"""The loader: batches in an order determined by the seed, so that a run can be resumed. All
randomness of a batch depends on (seed, epoch, batch number) alone, not on earlier batches. A loader
set to a position therefore continues bit for bit, and batches can be prefetched in a thread without
changing them.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np

from ..options import as_integer
from ..random import Generator, using
from .dataset import Items, batch_of

T = TypeVar("T")
R = TypeVar("R")


class DataLoader:
    """Iterate over a data set in batches; every pass over the loader is an epoch. Several passes
    may be active at once, as in `zip(loader, loader)` or nested loops: each is a separate epoch
    with its own order.

    Args:
        dataset: a `Dataset`, or any object with a length and items by index.
        batch_size: items per batch.
        shuffle: a new random order in every epoch.
        drop_last: drop the last batch if it is smaller.
        collate_fn: function that makes a batch of a list of items; None: `collate`.
        generator: generator from which the seed is drawn, instead of `seed`.
        seed: seed of the order and of all randomness in a batch.
        prefetch: number of batches that a thread makes in advance; 0: each is made on request. The
            batches are the same. Useful if the data set reads files or transforms images: NumPy
            releases the GIL in long operations.

    Attributes:
        epoch: the epoch of the last batch, from 0; after the end of a pass that of the next.
        batch: number of batches returned in that epoch.
        batch_generator: the random generator of the last batch. It is the default generator while
            the data set makes the batch.

    Raises:
        TypeError: `dataset` has no length or no items, or a count is not a number.
        ValueError: the data set has no batch, or an argument is out of range.

    >>> loader = tg.data.DataLoader(tg.data.TensorDataset(tg.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    >>> len(loader), loader.epoch
    (3, 1)
    """

    def __init__(
        self,
        dataset: Items,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
        *,
        seed: int = 0,
        prefetch: int = 0,
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                "DataLoader: expected a data set with a length and items by index; got a "
                f"{type(dataset).__name__}"
            )
        self.batch_size = as_integer(self, "batch_size", batch_size)
        self.prefetch = as_integer(self, "prefetch", prefetch, low=0)
        self.dataset, self.shuffle, self.drop_last = dataset, bool(shuffle), bool(drop_last)
        self.collate_fn = collate_fn
        self.seed = (
            operator.index(seed) if generator is None else int(generator.integers(0, 2**63 - 1, ()))
        )
        self.epoch, self.batch, self._next_epoch = 0, 0, 0
        self.batch_generator = Generator((self.seed, 0, 0))
        self._resumed = False
        if len(self) == 0:
            why = f"batch_size {batch_size} with drop_last" if len(dataset) else "it is empty"
            raise ValueError(f"DataLoader: the data set of {len(dataset)} has no batch: {why}")

    def __len__(self) -> int:
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        epoch, start = (self.epoch, self.batch) if self._resumed else (self._next_epoch, 0)
        self._resumed, self._next_epoch = False, max(self._next_epoch, epoch + 1)
        count = len(self.dataset)
        order = np.arange(count)
        if self.shuffle:
            order = Generator((self.seed, epoch)).permutation(count).numpy()

        def make(number: int) -> tuple[Any, Generator]:
            generator = Generator((self.seed, epoch, number))
            with using(generator):
                return self._fetch(order[number * self.batch_size :][: self.batch_size]), generator

        numbers = range(start, len(self))
        made = _map_ahead(make, numbers, self.prefetch) if self.prefetch else map(make, numbers)
        for number, (batch, generator) in zip(numbers, made, strict=True):
            self.epoch, self.batch, self.batch_generator = epoch, number + 1, generator
            yield batch
        self.epoch, self.batch = self._next_epoch, 0

    def _fetch(self, indices: Any) -> Any:
        if self.collate_fn is None:
            return batch_of(self.dataset, indices)
        return self.collate_fn([self.dataset[i] for i in indices.tolist()])

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the last batch, and the options it depends on."""
        position = {"epoch": self.epoch, "batch": self.batch, "next_epoch": self._next_epoch}
        return {**position, **self._facts()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a position: the next pass begins with the batch after it. Raises
        ValueError, without changes, if the position belongs to another order of batches.

        >>> loader = tg.data.DataLoader(tg.data.TensorDataset(tg.arange(6)), 2, shuffle=True)
        >>> batches = iter(loader)
        >>> first, position = next(batches), loader.state_dict()
        >>> rest = [x.tolist() for (x,) in batches]
        >>> again = tg.data.DataLoader(tg.data.TensorDataset(tg.arange(6)), 2, shuffle=True)
        >>> again.load_state_dict(position)
        >>> [x.tolist() for (x,) in again] == rest
        True
        """
        facts = self._facts()
        missing = [name for name in ("epoch", "batch", *facts) if name not in state]
        if missing:
            raise ValueError(f"DataLoader: the position has no {', '.join(missing)}")
        for name, now in facts.items():
            if state[name] != now:
                raise ValueError(
                    f"DataLoader: {name} is {now}; the position is of a loader with {name} "
                    f"{state[name]}"
                )
        epoch, batch = state["epoch"], state["batch"]
        following = state.get("next_epoch", epoch)
        if not all(type(n) is int and 0 <= n < 2**53 for n in (epoch, batch, following)):
            raise ValueError(
                "DataLoader: the position's epoch, batch and next_epoch must be integers ≥ 0, "
                f"not {epoch!r}, {batch!r} and {following!r}"
            )
        if batch > len(self):
            raise ValueError(f"DataLoader: the position is batch {batch} of {len(self)}")
        self.epoch, self.batch, self._next_epoch, self._resumed = epoch, batch, following, True

    def _facts(self) -> dict[str, Any]:
        return {
            "items": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": self.seed,
        }


def _map_ahead(function: Callable[[T], R], values: Iterable[T], ahead: int) -> Iterator[R]:
    """As `map`, with the next `ahead` calls made in a thread while a result is used. A call runs in
    the modes of the consumer, where its exception is raised in order. The thread ends with the
    iterator.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    thread = ThreadPoolExecutor(1, thread_name_prefix="DataLoader")
    calls: deque[Future[R]] = deque()
    try:
        for value in values:
            calls.append(thread.submit(copy_context().run, function, value))
            if len(calls) > ahead:
                yield calls.popleft().result()
        while calls:
            yield calls.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)

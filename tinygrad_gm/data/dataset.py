"""Data sets: objects with a length and items by index.

The loader calls `batch(indices)` of a `Dataset`. The default implementation fetches the items one
by one and stacks them; `TensorDataset` has a faster one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .. import ops
from ..backend import ArrayLike, to_device
from ..engine.record import Traced
from ..random import Generator, default_generator
from ..tensor import Tensor, asarray, tensor


class Dataset:
    """Base class of data sets, which define `__getitem__` and `__len__`.

    >>> class Squares(tg.data.Dataset):
    ...     def __getitem__(self, index):
    ...         return float(index), float(index * index)
    ...     def __len__(self):
    ...         return 4
    >>> xs, ys = next(iter(tg.data.DataLoader(Squares(), batch_size=3)))
    >>> xs.tolist(), ys.tolist()
    ([0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def batch(self, indices: ArrayLike) -> Any:
        """The items at `indices`, integers or a mask of all items, stacked by `collate`."""
        rows = as_indices(type(self).__name__, indices, len(self))
        return collate([self[index] for index in rows.tolist()])


Items: TypeAlias = Dataset | Sequence[Any]


def batch_of(dataset: Items, indices: ArrayLike) -> Any:
    """The items at `indices` as one batch, of a `Dataset` or of any sequence."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    rows = as_indices(type(dataset).__name__, indices, len(dataset))
    return collate([dataset[index] for index in rows.tolist()])


class TensorDataset(Dataset):
    """Arrays of one length; item i is the tuple of their i-th entries, and slices work as well.

    >>> pairs = tg.data.TensorDataset(tg.arange(3), tg.tensor([0.0, 0.5, 1.0]))
    >>> x, y = pairs[2]
    >>> x.item(), y.item(), len(pairs)
    (2, 1.0, 3)
    """

    def __init__(self, *tensors: ArrayLike) -> None:
        self.tensors = tuple(asarray(t) for t in tensors)
        shapes = [t.shape for t in self.tensors]
        if not shapes or not all(shape and shape[0] == shapes[0][0] for shape in shapes):
            raise ValueError(
                f"TensorDataset: expected tensors whose first axes agree; got shapes {shapes}"
            )

    def __getitem__(self, index: int | slice) -> tuple[Tensor, ...]:
        if not isinstance(index, slice) and np.ndim(index) == 0:
            index = _as_index("TensorDataset", index, len(self))
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def batch(self, indices: ArrayLike) -> tuple[Tensor, ...]:
        """Copies of the rows at `indices`, by one indexing operation per tensor."""
        rows = as_indices("TensorDataset", indices, len(self))
        return tuple(t[rows] for t in self.tensors)


class Transformed(Dataset):
    """`dataset` with `transform`, such as one of `data.transforms`, applied to its images at each
    access.

    Args:
        dataset: a `Dataset` or a sequence. Its items are images (C, H, W), or tuples whose first
            entry is one.
        transform: called with a batch of images (N, C, H, W), returns a batch of N images. It draws
            random numbers from the default generator, which in a loader is that of the batch.

    >>> digits = tg.data.digits().train
    >>> augmented = tg.data.Transformed(digits, tg.data.transforms.RandomCrop(8, padding=1))
    >>> images, labels = next(iter(tg.data.DataLoader(augmented, batch_size=32)))
    >>> images.shape, bool((labels == digits.tensors[1][:32]).all())
    ((32, 1, 8, 8), True)
    """

    def __init__(self, dataset: Items, transform: Callable[[Tensor], Tensor]) -> None:
        self.dataset, self.transform = dataset, transform

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        image, *rest = item if isinstance(item, (tuple, list)) else (item,)
        changed = self.transform(asarray(image)[None])[0]
        return (changed, *rest) if isinstance(item, (tuple, list)) else changed

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: ArrayLike) -> Any:
        """The batch of the whole data set, with the transform called once."""
        batch = batch_of(self.dataset, indices)
        if isinstance(batch, (tuple, list)):
            return (self.transform(batch[0]), *batch[1:])
        return self.transform(batch)


class Subset(Dataset):
    """The items of `dataset`, a `Dataset` or a sequence, at `indices`, in their order.

    Args:
        dataset: the data set to select from.
        indices: integers, where −1 is the last item; or a boolean mask with one entry per item.

    Raises:
        TypeError: indices that are neither.
        IndexError: an index beyond the data set, or a mask of another length.

    >>> [int(x) for (x,) in tg.data.Subset(tg.data.TensorDataset(tg.arange(9)), [7, 0])]
    [7, 0]
    >>> list(tg.data.Subset("abc", [True, False, True]))
    ['a', 'c']
    """

    def __init__(self, dataset: Items, indices: ArrayLike) -> None:
        self.dataset, self.indices = dataset, as_indices("Subset", indices, len(dataset))

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[_as_index("Subset", index, len(self))])]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: ArrayLike) -> Any:
        """The batch of the underlying data set."""
        return batch_of(self.dataset, self.indices[as_indices("Subset", indices, len(self))])


def random_split(
    dataset: Items, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Split a data set randomly into parts.

    Args:
        dataset: a `Dataset`, or a sequence.
        lengths: lengths of the parts: counts that sum to len(dataset), or fractions that sum to 1;
            items left over by rounding go to the first parts, one each.
        generator: random generator of the order; None: the default generator.

    >>> parts = tg.data.random_split(tg.data.TensorDataset(tg.arange(10)), [0.75, 0.25])
    >>> [len(part) for part in parts]
    [8, 2]
    """
    count, given = len(dataset), list[Any](lengths)
    if all(isinstance(n, float) for n in given) and abs(sum(given) - 1) < 1e-6:
        sizes = [int(count * fraction) for fraction in given]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        try:
            sizes = [operator.index(n) for n in given]
        except TypeError:
            raise TypeError(
                f"random_split: the lengths {given} are neither counts nor fractions that "
                "add up to 1"
            ) from None
    if sum(sizes) != count or any(n < 0 for n in sizes):
        raise ValueError(f"random_split: the lengths {given} do not add up to {count}")
    order = (generator or default_generator()).permutation(count).numpy()
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - n : end]) for n, end in zip(sizes, ends, strict=True)]


def as_indices(name: str, indices: ArrayLike, count: int) -> Any:
    """Convert indices or a boolean mask of `count` items to non-negative indices. Raises TypeError,
    in the name of `name`, for other types, and IndexError for an index out of range or a mask of
    another length.
    """
    array = indices._data if isinstance(indices, Traced) else indices
    if (
        isinstance(array, (list, tuple))
        and len({isinstance(i, (bool, np.bool)) for i in array}) > 1
    ):
        raise TypeError(f"{name}: indices must be all integers or all booleans, not both")
    if not hasattr(array, "dtype"):
        array = np.asarray(array, dtype=None if len(array) else np.intp)
    array = to_device(array, "cpu")
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise TypeError(
            f"{name}: indices must be a list of integers, or a mask of booleans, not "
            f"{array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "b":
        if len(array) != count:
            raise IndexError(f"{name}: a mask of {len(array)} entries for {count} items")
        return np.flatnonzero(array)
    if array.size and not (-count <= array.min() and array.max() < count):
        wrong = array.min() if array.min() < -count else array.max()
        raise IndexError(f"{name}: index {wrong} is out of range for {count} items")
    rows = array.astype(np.intp, copy=False)
    return np.where(rows < 0, rows + count, rows)


def _as_index(name: str, index: Any, count: int) -> int:
    """Convert one index to a non-negative one; errors as in `as_indices`."""
    if isinstance(index, Tensor):
        index = index.item()
    if isinstance(index, (bool, np.bool)) or not hasattr(index, "__index__"):
        raise TypeError(f"{name}: an index must be an integer, not {index!r}")
    if not -count <= index < count:
        raise IndexError(f"{name}: index {index} is out of range for {count} items")
    return index % count if index < 0 else operator.index(index)


def collate(items: Sequence[Any]) -> Any:
    """Combine items of one type into a batch: numbers and arrays are stacked along a new first
    axis. Tuples, lists and dicts are collated entry by entry; other types give a list.

    >>> batch = tg.data.collate([{"x": [0.0, 1.0], "name": "a"}, {"x": [2.0, 3.0], "name": "b"}])
    >>> [x.tolist() for x in batch["x"]], batch["name"]
    ([[0.0, 2.0], [1.0, 3.0]], ['a', 'b'])
    """
    if not items:
        raise ValueError("collate: expected at least one item")
    first = items[0]
    if isinstance(first, Traced):
        return ops.stack(*items)
    if isinstance(first, np.ndarray):
        return tensor(np.stack(items))
    if isinstance(first, (bool, int, float, np.generic)):
        return tensor(np.asarray(items) if isinstance(first, np.generic) else list(items))
    if isinstance(first, Mapping):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, (tuple, list)):
        entries = [collate(entry) for entry in zip(*items, strict=True)]
        return entries if isinstance(first, list) else tuple(entries)
    return list(items)

"""Tensor: an array that records the operations applied to it, with operators and methods. The class
contains no mathematics. Every operator and method is a function of `ops`, bound here under its
Python or NumPy name.
"""

from __future__ import annotations

import copy
import operator
import weakref
from typing import Any, TypeVar

import numpy as np

from . import backend, ops, protocols
from .backend import Array, ArrayLike
from .engine import hooks
from .engine.backward import Observer, backward
from .engine.in_place import mark_written
from .engine.modes import is_grad_enabled
from .engine.record import Traced
from .hints import give_hints
from .operators import augmented, reflected
from .ops.elementwise import to_device
from .ops.indexing import check_index, getitem, plain_index

Self = TypeVar("Self", bound="Tensor")


def tensor(
    data: ArrayLike,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return a new Tensor with a copy of `data`.

    Args:
        data: numbers, nested lists of numbers, an array, or a Tensor (without its history).
        dtype: dtype of the elements. None: Python floats get the default dtype (float32), integers
            int64, booleans bool; arrays keep theirs.
        device: `"cpu"`, `"cuda"`, `"cuda:1"` …; None: where `data` is, else the default device.
        requires_grad: whether `backward` computes a gradient in `.grad`; floating dtypes only.
        name: name in drawings and messages.

    Raises:
        TypeError: data that are not numbers, or `requires_grad` for integers.
        ValueError: nested lists with rows of different lengths.

    >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    tensor([[1., 2.],
            [3., 4.]], shape=(2, 2), dtype=float32, requires_grad=True)
    """
    data = data._data if isinstance(data, Traced) else backend.from_library(data)
    if isinstance(data, (list, tuple)):
        data = _plain_lists(data)
    if device is None and not hasattr(data, "dtype"):
        device = backend.default_device()
    array = backend.as_array(data, "tensor", dtype, _module(data))
    if device is not None:
        array = backend.to_device(array, device)
    result = Tensor._of(array.copy() if array is data or array.base is not None else array)
    result.requires_grad = requires_grad
    result.name = name
    return result


def _module(data: Any) -> Any:
    return backend.module_of(data) if hasattr(data, "dtype") else np


def _plain_lists(data: Any) -> Any:
    """Convert nested lists of Tensors to nested lists of arrays."""
    if isinstance(data, (list, tuple)):
        return [_plain_lists(entry) for entry in data]
    return data._data if isinstance(data, Traced) else data


def asarray(
    data: ArrayLike, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> Tensor:
    """Return `data` as a Tensor, itself if possible; an array shares its memory. An array of
    another library with `__dlpack__` shares its memory as well.

    Args:
        data: numbers, nested lists of numbers, an array, or a Tensor (its history is kept).
        dtype: dtype of the elements; None: as for `tensor`.
        device: as for `tensor`.
        copy: True: new memory; False: that of `data`; None: that of `data` if possible.

    Raises:
        TypeError: data that are not numbers.
        ValueError: copy=False for lists, or for another dtype or device than those of `data`.
    """
    if copy is not None:
        result = asarray(data, dtype, device)
        shares = _shares(result, data)
        if not copy and not shares:
            kind = type(data).__name__
            raise ValueError(f"asarray: copy=False, but this {kind} does not fit without a copy")
        return result.copy() if copy and shares else result
    if isinstance(data, Tensor):
        moved = data if device is None else data.to(device)
        return moved if dtype is None else moved.astype(dtype)
    data = backend.from_library(data)
    if not hasattr(data, "dtype"):
        return tensor(data, dtype, device)
    array = backend.as_array(data, "asarray", dtype, _module(data))
    return Tensor._of(array if device is None else backend.to_device(array, device))


def _shares(result: Tensor, data: Any) -> bool:
    array = data._data if isinstance(data, Traced) else backend.from_library(data)
    if not hasattr(array, "dtype") or _module(array) is not _module(result._data):
        return False
    return bool(_module(array).may_share_memory(array, result._data)) or not array.size


def stop_gradient(x: Tensor) -> Tensor:
    """Return x as a constant that shares its memory: no gradient flows through it."""
    return x.detach()


class Tensor(Traced):
    """An n-dimensional array that records the operations applied to it; see `tensor` to make one.

    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> y = x * x + 2 * x
    >>> y.backward()
    >>> y.item(), x.grad.item()
    (15.0, 8.0)
    """

    __slots__ = ("__weakref__", "_name")
    _name: str | None

    __hash__ = object.__hash__

    def __init__(
        self,
        data: ArrayLike,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        made = tensor(data, dtype, device, requires_grad, name)
        self._data, self._grad, self.node, self.version = made._data, None, None, 0
        self._requires_grad, self._name = requires_grad, name

    @classmethod
    def _of(cls: type[Self], array: Array) -> Self:
        """A constant around `array` itself, not a copy of it."""
        result = object.__new__(cls)
        result._data, result._grad, result.node, result.version = array, None, None, 0
        result._requires_grad = False
        return result

    # ------------------------------------------------------------------------ what it is

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ndim: int = self._data.ndim
        return ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        size: int = self._data.size
        return size

    @property
    def device(self) -> str:
        """`"cpu"`, or `"cuda:0"` …"""
        return backend.device_of(self._data)

    @property
    def op(self) -> str | None:
        """The name of the operation that computed it; None for a leaf or a constant."""
        return None if self.node is None else self.node.plan.op.name

    @property
    def is_leaf(self) -> bool:
        """Whether it is not the result of a recorded operation."""
        return self.node is None

    @property
    def name(self) -> str | None:
        """The name in drawings and messages."""
        return getattr(self, "_name", None) if self.node is None else self.node.name

    @name.setter
    def name(self, name: str | None) -> None:
        if self.node is None:
            self._name = name
        else:
            self.node.name = name

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it: set on a leaf, inherited by results."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self.node is not None and not wanted:
            raise RuntimeError("requires_grad: this is an operation's result; use .detach()")
        if wanted and self._data.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: a tensor of {self._data.dtype} has no gradient; make it floating "
                "with .astype(tg.float32)"
            )
        self._requires_grad = bool(wanted)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    # ------------------------------------------------------------------------ gradients

    @property
    def grad(self) -> Any:
        """The sum of the gradients of all backward passes, a Tensor; None before the first.

        Assigning None clears it. An assigned Tensor is the sum so far and may be added to in place;
        it must have this tensor's shape, dtype and device.

        >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
        >>> x.grad = tg.ones(3)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: grad: a gradient of (3,) float32 on cpu does not fit a tensor of (2,) ...
        """
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise TypeError(f"grad: assign a Tensor or None, not a {type(gradient).__name__}")
            came, wanted = ((t.shape, t.dtype, t.device) for t in (gradient, self))
            if came != wanted:
                raise ValueError(
                    "grad: a gradient of {} {} on {} does not fit a tensor of {} {} on {}".format(
                        *came, *wanted
                    )
                )
        self._grad = gradient

    def backward(
        self,
        gradient: ArrayLike = None,
        *,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            gradient: the upstream gradient, of this tensor's shape; None: 1, for a tensor of one
                element.
            retain_graph: keep the saved arrays for another pass; None: as `create_graph`.
            create_graph: record the backward pass, so that `.grad` can be differentiated. Each
                `.grad` then refers to its leaf, a reference cycle: prefer `tg.grad`.
            observer: called per edge with (node, argument slot, upstream gradient, contribution,
                sum so far at the parent).

        Raises:
            RuntimeError: the tensor requires no gradient; it has several elements and no `gradient`
                is given; an earlier pass freed the graph; a leaf was written since it was read.
        """
        backward(
            self,
            gradient,
            retain_graph=retain_graph,
            create_graph=create_graph,
            observer=observer,
        )

    register_hook = hooks.register_hook
    retain_grad = hooks.retain_grad

    def detach(self) -> Tensor:
        """Return a constant that shares this tensor's memory; a write into it is a write here."""
        alias = Tensor._of(self._data)
        alias.source = getattr(self, "source", None) or weakref.ref(self)
        return alias

    @property
    def data(self) -> Tensor:
        """The values without their history; `t.data = …` and `t.data -= …` write into a leaf.

        The values of an operation's result are read-only: its gradient rule may need them.
        """
        return self.detach() if self.node is None else Tensor._of(_read_only(self._data))

    @data.setter
    def data(self, value: ArrayLike) -> None:
        self._refuse_if_result("data")
        dtype = None if hasattr(value, "dtype") else self.dtype
        array = value._data if isinstance(value, Traced) else backend.as_array(value, "data", dtype)
        if array is not self._data:
            if self._requires_grad and array.dtype.kind != "f":
                raise TypeError(f"data: {array.dtype} cannot replace {self.dtype} with a gradient")
            self._data = array
        self.mark_written()

    def mark_written(self) -> None:
        """Record a change of the array, so that backward through its old values raises an error."""
        mark_written([self])

    def copy_(self: Self, source: ArrayLike) -> Self:
        """Copy `source` (broadcast to this shape) into the array of a leaf; return the tensor."""
        self._refuse_if_result("copy_")
        value = source._data if isinstance(source, Traced) else source
        _module(self._data).copyto(self._data, value, casting="same_kind")
        self.mark_written()
        return self

    def _refuse_if_result(self, what: str) -> None:
        if self.node is not None:
            raise RuntimeError(
                f"{what}: this tensor is the result of `{self.op}`, and writing into it would "
                "falsify gradients; make a new one, for example with tg.where(mask, value, t)"
            )

    def _refuse_while_recording(self, what: str) -> None:
        self._refuse_if_result(what)
        if self._requires_grad and is_grad_enabled():
            raise RuntimeError(
                f"{what}: a leaf that requires a gradient is written only under tg.no_grad(): "
                "with tg.no_grad(): w -= lr * w.grad"
            )

    # ------------------------------------------------------------------------ conversion

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: expected a tensor of one element, this has {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """Return the elements as nested Python lists."""
        return self._data.tolist()

    def numpy(self) -> Any:
        """Return a NumPy array that shares memory; read-only if a gradient is required."""
        array = backend.to_device(self._data, "cpu")
        return _read_only(array) if self._requires_grad else array

    def to(self, device_or_dtype: Any) -> Tensor:
        """Return the tensor on another device (`"cuda"`) or with another dtype; differentiable."""
        if isinstance(device_or_dtype, str) and device_or_dtype.partition(":")[0] in backend.KINDS:
            kind, index = backend.parse_device(device_or_dtype)
            wanted = kind if kind == "cpu" else f"{kind}:{index}"
            return self if self.device == wanted else to_device(self, device_or_dtype)
        return self.astype(device_or_dtype)

    def astype(self, dtype: Any, copy: bool = False) -> Tensor:
        """Return the tensor with another dtype; itself if it matches and `copy` is False."""
        dtype = np.dtype(dtype)
        return self if self.dtype == dtype and not copy else ops.astype(self, dtype, copy)

    def copy(self) -> Tensor:
        """Return a copy in new memory; differentiable."""
        return ops.add(self, 0.0) if self._requires_grad else Tensor._of(self._data.copy())

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        self._refuse_deepcopy()
        copied = type(self)._of(self._data.copy(order="K"))
        copied._requires_grad, copied.name = self._requires_grad, self.name
        memo[id(self)] = copied
        copied._grad = copy.deepcopy(self._grad, memo)
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """For pickle: a leaf with its gradient, without hooks; results raise an error."""
        if self.node is not None:
            raise RuntimeError(
                f"pickle: the result of `{self.op}` refers to the operations that made it, and "
                "functions cannot be pickled; pickle .detach()"
            )
        kept = ("_data", "_requires_grad", "_name", "grad", "node")
        slots = {name: getattr(self, name) for name in kept if hasattr(self, name)}
        state = getattr(self, "__dict__", None), {**slots, "version": 0}
        return object.__new__, (type(self),), state

    def _refuse_deepcopy(self) -> None:
        if self.node is not None:
            raise RuntimeError("deepcopy: only leaves can be copied with their gradient; .detach()")

    __array__ = protocols.array
    __array_interface__ = property(protocols.array_interface)
    __array_namespace__ = protocols.array_namespace
    __dlpack__ = protocols.dlpack
    __dlpack_device__ = protocols.dlpack_device
    __array_ufunc__ = protocols.array_ufunc
    __array_function__ = protocols.array_function

    __float__ = protocols.as_float
    __int__ = protocols.as_int
    __index__ = protocols.as_index
    __bool__ = protocols.as_bool
    __round__ = protocols.as_rounded
    __format__ = protocols.as_text
    __repr__ = protocols.as_repr
    __len__ = protocols.length
    __iter__ = protocols.iterate
    tobytes = protocols.tobytes

    # ------------------------------------------------------------------------ container

    def __getitem__(self, index: Any) -> Tensor:
        index = plain_index(index)
        if self._data.dtype.kind == "f" or type(self._data) is not np.ndarray:
            return getitem(self, index)
        try:  # integers and truth values have no history
            return Tensor._of(np.asarray(self._data[index]))
        except (IndexError, TypeError, ValueError):
            return getitem(self, index)  # for its words

    def __setitem__(self, index: Any, value: ArrayLike) -> None:
        self._refuse_while_recording("t[…] = …")
        try:
            index = plain_index(index)
            check_index(self._data, index)
            self._data[index] = value._data if isinstance(value, Traced) else value
        except (IndexError, TypeError, ValueError) as error:
            why = error if self._data.flags.writeable else "the values of a result are read-only"
            raise type(error)(f"t[…] = …: {why}") from error
        self.mark_written()

    # ------------------------------------------------------------------------ operators

    __add__ = ops.add
    __sub__ = ops.subtract
    __mul__ = ops.multiply
    __truediv__ = ops.divide
    __floordiv__ = ops.floor_divide
    __mod__ = ops.remainder
    __pow__ = ops.pow
    __matmul__ = ops.matmul
    __neg__ = ops.negative
    __abs__ = ops.abs
    __lt__ = ops.less
    __le__ = ops.less_equal
    __gt__ = ops.greater
    __ge__ = ops.greater_equal
    __and__ = ops.bitwise_and
    __or__ = ops.bitwise_or
    __xor__ = ops.bitwise_xor
    __invert__ = ops.bitwise_invert

    __radd__ = reflected(ops.add)
    __rsub__ = reflected(ops.subtract)
    __rmul__ = reflected(ops.multiply)
    __rtruediv__ = reflected(ops.divide)
    __rfloordiv__ = reflected(ops.floor_divide)
    __rmod__ = reflected(ops.remainder)
    __rpow__ = reflected(ops.pow)
    __rmatmul__ = reflected(ops.matmul)
    __rand__ = reflected(ops.bitwise_and)
    __ror__ = reflected(ops.bitwise_or)
    __rxor__ = reflected(ops.bitwise_xor)

    __iadd__ = augmented("+=", ops.add, operator.iadd)
    __isub__ = augmented("-=", ops.subtract, operator.isub)
    __imul__ = augmented("*=", ops.multiply, operator.imul)
    __itruediv__ = augmented("/=", ops.divide)
    __ifloordiv__ = augmented("//=", ops.floor_divide)
    __imod__ = augmented("%=", ops.remainder)
    __ipow__ = augmented("**=", ops.pow)
    __imatmul__ = augmented("@=", ops.matmul)
    __iand__ = augmented("&=", ops.bitwise_and)
    __ior__ = augmented("|=", ops.bitwise_or)
    __ixor__ = augmented("^=", ops.bitwise_xor)

    def __pos__(self) -> Tensor:
        return self

    def __eq__(self, other: object) -> Any:
        return ops.equal(self, other) if _is_operand(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ops.not_equal(self, other) if _is_operand(other) else NotImplemented

    # ------------------------------------------------------------------------ methods

    exp = ops.exp
    expm1 = ops.expm1
    log = ops.log
    log1p = ops.log1p
    log2 = ops.log2
    log10 = ops.log10
    sqrt = ops.sqrt
    square = ops.square
    abs = ops.abs
    sign = ops.sign
    sin = ops.sin
    cos = ops.cos
    tan = ops.tan
    tanh = ops.tanh
    erf = ops.erf
    sigmoid = ops.sigmoid
    relu = ops.relu
    floor = ops.floor
    ceil = ops.ceil
    round = ops.round
    clip = ops.clip
    pow = ops.pow
    sum = ops.sum
    mean = ops.mean
    var = ops.var
    std = ops.std
    max = ops.max
    min = ops.min
    prod = ops.prod
    logsumexp = ops.logsumexp
    norm = ops.norm
    cumulative_sum = ops.cumulative_sum
    cumulative_prod = ops.cumulative_prod
    sort = ops.sort
    argsort = ops.argsort
    topk = ops.topk
    nonzero = ops.nonzero
    unique = ops.unique
    argmax = ops.argmax
    argmin = ops.argmin
    isnan = ops.isnan
    isfinite = ops.isfinite
    any = ops.any
    all = ops.all
    softmax = ops.softmax
    log_softmax = ops.log_softmax
    matmul = ops.matmul
    permute_dims = ops.permute_dims
    swapaxes = ops.swapaxes
    moveaxis = ops.moveaxis
    expand_dims = ops.expand_dims
    squeeze = ops.squeeze
    broadcast_to = ops.broadcast_to
    flatten = ops.flatten
    flip = ops.flip
    roll = ops.roll
    repeat = ops.repeat
    tile = ops.tile
    split = ops.split
    unstack = ops.unstack
    take = ops.take
    take_along_axis = ops.take_along_axis
    diagonal = ops.diagonal
    trace = ops.trace

    def reshape(self, *shape: Any, copy: bool | None = None) -> Tensor:
        """Return the same elements in another shape: `x.reshape(2, -1)` or `x.reshape((2, -1))`."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape, copy)

    @property
    def T(self) -> Tensor:  # noqa: N802
        """The axes in reverse order."""
        return ops.permute_dims(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The last two axes exchanged."""
        return ops.matrix_transpose(self)


def _is_operand(value: object) -> bool:
    return isinstance(value, (Traced, int, float, np.generic, list)) or hasattr(value, "dtype")


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


give_hints(Tensor)
Traced.result = Tensor

"""What the pickle of a PyTorch file may name, and what the tensors in it look like.

A tensor of the pickle is a call such as

    torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)

with a storage that the archive describes. `TABLE` gives the calls and the types a meaning; whatever
it does not contain is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..io import SIZES
from .pickle_machine import Global, Opaque, Pairs

_MOST_AXES = 64  # of a NumPy array
_MOST_FLAGS = 8  # of a tensor, in a dict that the memo can use over and over
_DTYPES = {  # name in PyTorch: name of its storages, code in .safetensors
    "float64": ("DoubleStorage", "F64"),
    "float32": ("FloatStorage", "F32"),
    "float16": ("HalfStorage", "F16"),
    "bfloat16": ("BFloat16Storage", "BF16"),
    "int64": ("LongStorage", "I64"),
    "int32": ("IntStorage", "I32"),
    "int16": ("ShortStorage", "I16"),
    "int8": ("CharStorage", "I8"),
    "uint8": ("ByteStorage", "U8"),
    "bool": ("BoolStorage", "BOOL"),
    "complex64": ("ComplexFloatStorage", "C64"),
    "complex128": ("ComplexDoubleStorage", "C128"),  # which .safetensors does not have
    "uint16": ("", "U16"),
    "uint32": ("", "U32"),
    "uint64": ("", "U64"),
    "float8_e4m3fn": ("", "F8_E4M3"),
    "float8_e5m2": ("", "F8_E5M2"),
    "float8_e8m0fnu": ("", "F8_E8M0"),
    "float8_e4m3fnuz": ("", "F8_E4M3FNUZ"),
    "float8_e5m2fnuz": ("", "F8_E5M2FNUZ"),
}


@dataclass(frozen=True)
class StorageType:
    """A class of storages, such as `torch.FloatStorage`."""

    code: str | None  # dtype of the elements; None: bytes


@dataclass(frozen=True)
class Storage:
    """The memory of one or more tensors: an entry of the archive."""

    key: str
    code: str | None
    length: int  # number of elements


@dataclass(frozen=True)
class StoredTensor:
    """A window on a storage: element (i, j) is at offset + i · strides[0] + j · strides[1]."""

    storage: str  # its key
    code: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


def _rebuild_tensor(*arguments: Any) -> StoredTensor:
    match arguments:
        case (Storage(key, str(code), length), offset, tuple(shape), tuple(strides), _, _, *rest):
            return _checked(StoredTensor(key, code, offset, shape, strides), length, rest)
    raise ValueError("the description of a tensor is damaged")


def _rebuild_tensor_of_bytes(*arguments: Any) -> StoredTensor:
    """The newer call, for dtypes without a class of storages: one argument is the dtype."""
    match arguments:
        case (Storage(key, None, length), offset, tuple(shape), tuple(strides), _, _, dtype, *rest):
            code = dtype.meaning if isinstance(dtype, Global) else None
            if isinstance(code, str) and code in SIZES:
                length //= SIZES[code]
                return _checked(StoredTensor(key, code, offset, shape, strides), length, rest)
    raise ValueError("the description of a tensor is damaged")


def _checked(tensor: StoredTensor, length: int, rest: list[Any]) -> StoredTensor:
    """The tensor, if it is within a storage of this length; `rest` may hold a dict of flags."""
    if not len(tensor.shape) == len(tensor.strides) <= _MOST_AXES:
        raise ValueError("the shape and the strides of a tensor do not fit")
    flags = [key for each in rest if isinstance(each, Pairs) for key, _ in each[:_MOST_FLAGS]]
    if "conj" in flags or "neg" in flags:  # the elements are not those in the storage
        raise ValueError(
            "a tensor is a lazy conjugate or negative; save tensor.resolve_conj().resolve_neg()"
        )
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise ValueError("the shape or the strides of a tensor are invalid")
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((n - 1) * stride for n, stride in steps)
    if 0 not in tensor.shape and last >= length:
        raise ValueError(f"a tensor reads element {last} of a storage of {length} elements")
    return tensor


def _rebuild_typed(*arguments: Any) -> StoredTensor:
    """A tensor with attributes: a call, a class, the arguments of the call, and the attributes."""
    match arguments:
        case (Global() as call, _, tuple(inner), _):
            if call.meaning in (_rebuild_tensor, _rebuild_tensor_of_bytes):
                return call.meaning(*inner)  # type: ignore[no-any-return]
    raise ValueError("the description of a tensor is damaged")


def _first(*arguments: Any) -> Any:
    if not arguments:
        raise ValueError("a call has no arguments")
    return arguments[0]


def _dict(*_: Any) -> Pairs:
    return Pairs()


def _opaque(*_: Any) -> Opaque:
    return Opaque()


TABLE: dict[str, Any] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_of_bytes,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _rebuild_typed,
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    "torch.Size": _first,
    "torch.storage.UntypedStorage": StorageType(None),
    **{f"torch.{name}": code for name, (_, code) in _DTYPES.items()},
    **{f"torch.{storages}": StorageType(code) for storages, code in _DTYPES.values() if storages},
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
} | dict.fromkeys(
    [  # other things in the checkpoints of a training; `convert` leaves them out
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "dict")),
        *(f"{module}.complex" for module in ("builtins", "__builtin__")),
        *("_codecs.encode", "collections.Counter", "argparse.Namespace", "torch.device"),
        *("numpy.dtype", "numpy.ndarray"),
        *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
        *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    ],
    _opaque,
)

"""`save` and `load`: nested dicts of Tensors and plain values, in one `.safetensors` file.

A file is written beside its destination and then renamed, so at every moment the path holds either
the old file or the new one, whole. Its metadata carry two entries of ours. `tinygrad_gm.tree` is
the nesting as JSON, with a mention in the place of each array, whose own name is the path of its
keys joined by "/". `tinygrad_gm.crc32` is a checksum of the tree and of every array's name, dtype,
shape and bytes: without it a flipped bit would be silently wrong data. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from . import backend
from .record import Traced
from .tensor import Tensor

PathLike: TypeAlias = str | os.PathLike[str]

_TREE, _CRC = "tinygrad_gm.tree", "tinygrad_gm.crc32"
_LARGEST_HEADER = 100_000_000  # bytes; the limit of the format's other readers
_CODES = {
    **{"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as .npz and PyTorch's own files are",
    b"\x93NUMPY": "a .npy file of NumPy",
    b"\x80": "a pickle, and those are never read",
    b"\x89HDF": "an HDF5 file",
}


class CheckpointError(ValueError):
    """A file that is damaged, cut off, or of another kind."""


def save(path: PathLike, state: Mapping[Any, Any]) -> None:
    """Write a dict to a `.safetensors` file, in the place of an older one.

    Args:
        path: of the file; its folder must exist.
        state: a dict of Tensors, arrays, numbers, strings, None, and lists, tuples and dicts of
            these. A plain state dict keeps its names in the file, so that other programs read it.

    Raises:
        TypeError: there is something else in `state`.
        OSError: the file cannot be written; an older one is left as it was.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> tg.save(path, {"model": {"w": tg.ones(2)}, "step": 3, "betas": (0.9, 0.999)})
    >>> tg.load(path)
    {'model': {'w': tensor([1., 1.], shape=(2,), dtype=float32)}, 'step': 3, 'betas': (0.9, 0.999)}
    """
    if isinstance(path, Mapping):
        raise TypeError("save: the path comes first: tg.save(path, state)")
    if not isinstance(state, Mapping):
        raise TypeError(
            f"save: a dict was wanted, such as model.state_dict(), not a {type(state).__name__}"
        )
    arrays: dict[str, Any] = {}
    tree = json.dumps(_encode(state, (), arrays))
    header: dict[str, Any] = {"__metadata__": {_TREE: tree, _CRC: _checksum(tree, arrays)}}
    wide_first = sorted(arrays, key=lambda name: -arrays[name].itemsize)  # keeps them all aligned
    end = 0
    for name in wide_first:
        array, start, end = arrays[name], end, end + arrays[name].nbytes
        code, shape = _CODES[array.dtype.name], list(array.shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in wide_first:
            file.write(arrays[name].data)


def load(path: PathLike) -> dict[Any, Any]:
    """What `save` was given; from any other `.safetensors` file a flat dict of Tensors.

    The Tensors are on the CPU and require no gradient.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is cut off, damaged, or no `.safetensors` file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    metadata = _read_metadata(path)
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"load: {path} is damaged: {error}") from error
    tree = metadata.get(_TREE)
    if _CRC in metadata and metadata[_CRC] != _checksum(tree or "", arrays):
        raise CheckpointError(
            f"load: {path} is damaged: its contents do not have the checksum that it carries"
        )
    if tree is None:
        return {name: Tensor._of(array) for name, array in arrays.items()}
    try:
        state: dict[Any, Any] = _decode(json.loads(tree), arrays)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"load: {path} is damaged: its tree does not fit it") from error
    return state


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A temporary path to write to; at the end of the block it becomes `path`, all at once.

    The new contents are on the disk before the name changes hands, and the name before the block
    ends. After an exception `path` is as it was.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(f"cannot write {target}: {reason.lower()}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders, and needs none of this
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ----------------------------------------------------------------------- the tree as JSON


def _encode(value: Any, path: tuple[str, ...], arrays: dict[str, Any]) -> Any:
    """`value` as JSON, with its arrays put into `arrays` and mentioned by their names."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_encode(entry, (*path, str(i)), arrays) for i, entry in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": _encode(list(value), path, arrays)}
    if isinstance(value, Mapping):
        pairs = [
            (_key(key, path), _encode(entry, (*path, str(key)), arrays))
            for key, entry in value.items()
        ]
        plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs)
        return dict(pairs) if plain else {"$dict": pairs}
    kind = "$tensor" if isinstance(value, Traced) else "$array"
    array = value._data if isinstance(value, Traced) else value
    name = "/".join(path)
    if not hasattr(array, "dtype") or getattr(array.dtype, "name", "") not in _CODES:
        what = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"save: {name!r} is of the type {what}, which cannot be saved")
    if name in arrays or name == "__metadata__":
        raise ValueError(f"save: {name!r} is not free as a name in the file; rename the entry")
    array = backend.to_device(array, "cpu")
    arrays[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return {kind: name}


def _key(key: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(key, (str, int)):
        place = "/".join(path) or "the dict"
        raise TypeError(f"save: a key of {place} is {key!r}; keys are strings or ints")
    return key


def _decode(tree: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(tree, list):
        return [_decode(entry, arrays) for entry in tree]
    if not isinstance(tree, dict):
        return tree
    content: Any
    tag, content = next(iter(tree.items())) if len(tree) == 1 else ("", None)
    if tag == "$tensor":
        return Tensor._of(arrays[content])
    if tag == "$array":
        return arrays[content]
    if tag == "$tuple":
        return tuple(_decode(content, arrays))
    pairs = content if tag == "$dict" else tree.items()
    return {key: _decode(entry, arrays) for key, entry in pairs}


# -------------------------------------------------------------------- checks of the file


def _checksum(tree: str, arrays: Mapping[str, Any]) -> str:
    """CRC-32 of the tree, and of each array's name, dtype, shape and bytes in order of names."""
    crc = zlib.crc32(tree.encode())
    for name, array in sorted(arrays.items()):
        crc = zlib.crc32(f"\0{name}\0{array.dtype.name}\0{list(array.shape)}\0".encode(), crc)
        crc = zlib.crc32(array, crc)
    return f"{crc:08x}"


def _read_metadata(path: PathLike) -> dict[str, str]:
    """The metadata of the file's header; raises where file and header cannot be right."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = int.from_bytes(start, "little")
            text = file.read(min(length, _LARGEST_HEADER, size))
    except FileNotFoundError:
        raise FileNotFoundError(f"load: there is no file {path}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(f"load: cannot read {path}: {reason.lower()}") from error
    for mark, kind in _FOREIGN.items():
        if start.startswith(mark) and not text.startswith(b"{"):
            raise CheckpointError(f"load: {path} is {kind}; a .safetensors file was wanted")
    if size < 8 or text[:1] not in (b"{", b""):
        raise CheckpointError(f"load: {path} ({size} bytes) is not a .safetensors file")
    if length > _LARGEST_HEADER:
        raise CheckpointError(
            f"load: {path} is damaged: its header claims {length} bytes, and "
            f"{_LARGEST_HEADER} are allowed"
        )
    try:
        header = json.loads(text) if len(text) == length else {}
        metadata: dict[str, str] = header.pop("__metadata__", {})
        codes = {name: entry["dtype"] for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"load: {path} is damaged: its header is not readable") from error
    if size < 8 + length + end:
        raise CheckpointError(f"load: {path} is cut off: it has {size} bytes of {8 + length + end}")
    for name, code in codes.items():
        if code not in _CODES.values():
            raise CheckpointError(
                f"load: {name!r} in {path} has the dtype {code}, which NumPy lacks; save it as "
                "float32 with the program that made it"
            )
    return metadata

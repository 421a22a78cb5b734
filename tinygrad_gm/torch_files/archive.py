"""The zip archive of a PyTorch file: its entries, read in place and within its size."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..io import SIZES, Content
from .pickle_machine import Global, interpret
from .tensors import TABLE, Storage, StorageType, StoredTensor

_LONGEST_PICKLE = 1 << 24  # bytes; objects in memory take up to 70 times as much
_CHUNK = 1 << 16  # elements that are copied at a time
_FOREIGN = [  # position and beginning of files of another kind
    (0, b"\x80", "it is a pickle, as PyTorch wrote before version 1.6; save it with a newer one"),
    (257, b"ustar", "it is a tar archive, as PyTorch wrote before version 0.2"),
    (8, b"{", "it is a .safetensors file already"),
]
_DAMAGE = (  # what `zipfile` raises for damaged archives
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error),
    *(OSError, EOFError, ValueError, OverflowError, LookupError),
)


class Archive:
    """A file by `torch.save`. All methods raise ValueError where it is damaged."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        beginning = file.read(512)
        for position, mark, kind in _FOREIGN:
            if beginning.startswith(mark, position):
                raise ValueError(kind)
        try:
            with zipfile.ZipFile(file) as directory:
                entries = directory.infolist()
        except _DAMAGE as error:
            raise ValueError("it is not a zip archive, or a truncated one") from error
        self.entries = {entry.filename: entry for entry in entries}
        roots = [name for name in self.entries if re.fullmatch("[^/]+/data[.]pkl", name)]
        if len(roots) != 1 or len(self.entries) < len(entries):
            raise ValueError("it is a zip archive, but not one of PyTorch")
        self.root = roots[0].removesuffix("data.pkl")
        if f"{self.root}constants.pkl" in self.entries:
            raise ValueError(
                "it is a TorchScript archive, a program; with PyTorch, save its state dict by "
                "torch.save(torch.jit.load(path).state_dict(), …)"
            )
        self.has_checksums = any(entry.CRC for entry in entries)
        self.last: tuple[str, bytes] = ("", b"")  # the storage that was read last
        stated = f"{self.root}byteorder" in self.entries
        self.order = self.read("byteorder") if stated else b"little"
        if self.order not in (b"little", b"big"):
            raise ValueError("its byte order is neither little nor big")

    def entry(self, name: str) -> zipfile.ZipInfo:
        """The description of an entry, which is as long as it says and uncompressed."""
        entry = self.entries.get(self.root + name)
        if entry is None:
            raise ValueError(f"it has no entry {name!r:.100}")
        if entry.compress_type or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise ValueError(
                f"its entry {name!r:.100} is compressed or encrypted; PyTorch does neither"
            )
        if not 0 <= entry.header_offset <= entry.header_offset + entry.file_size <= self.size:
            raise ValueError(f"its entry {name!r:.100} exceeds the file")
        return entry

    def read(self, name: str) -> bytes:
        entry = self.entry(name)
        self.file.seek(entry.header_offset)
        header = self.file.read(30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise ValueError(f"its entry {name!r:.100} is damaged")
        lengths = struct.unpack("<HH", header[26:])  # of its name and of extra fields
        self.file.seek(sum(lengths), os.SEEK_CUR)
        content = self.file.read(entry.file_size)
        if len(content) < entry.file_size:
            raise ValueError(f"its entry {name!r:.100} exceeds the file")
        if self.has_checksums and zlib.crc32(content) != entry.CRC:
            raise ValueError(f"its entry {name!r:.100} differs from its checksum")
        return content

    def unpickled(self) -> Any:
        """What was saved: `Pairs`, lists and plain values, and `StoredTensor` for tensors."""
        if (length := self.entry("data.pkl").file_size) > _LONGEST_PICKLE:
            raise ValueError(f"its pickle has {length} bytes; at most {_LONGEST_PICKLE} are read")
        return interpret(self.read("data.pkl"), TABLE, self.storage)

    def storage(self, identifier: Any) -> Storage:
        """The storage of a persistent identifier."""
        match identifier:
            case ("storage", Global(meaning=StorageType(code)), str(key), str(), int(length)):
                if (
                    not 0
                    <= length * SIZES.get(code or "", 1)
                    <= self.entry(f"data/{key}").file_size
                ):
                    raise ValueError(f"storage {key!r:.100} is shorter than it says")
                return Storage(key, code, length)
        raise ValueError("the description of a storage is damaged")

    def contents(self, tensors: Mapping[str, StoredTensor]) -> dict[str, Content]:
        """The tensors as they are written, after a check of their sizes."""
        for name, tensor in tensors.items():
            if tensor.code not in SIZES:
                raise ValueError(f"{name!r:.100} is {tensor.code}, which .safetensors cannot hold")
        keys = {tensor.storage for tensor in tensors.values()}
        if sum(self.entry(f"data/{key}").file_size for key in keys) > self.size:
            raise ValueError("its entries overlap")
        found = {
            name: Content(tensor.code, tensor.shape, self.parts(tensor))
            for name, tensor in sorted(tensors.items(), key=lambda item: item[1].storage)
        }
        total, most = sum(each.nbytes for each in found.values()), 16 * self.size + 2**24
        if total > most:
            raise ValueError(f"its tensors would take {total} bytes; at most {most} are written")
        return found

    def parts(self, tensor: StoredTensor) -> Iterator[Any]:
        """The elements of a tensor in C order, in parts."""
        if 0 in tensor.shape:
            return
        if self.last[0] != tensor.storage:
            self.last = ("", b"")  # before the next is read
            self.last = (tensor.storage, self.read(f"data/{tensor.storage}"))
        size = SIZES[tensor.code]
        elements = np.frombuffer(self.last[1], f"u{size}", len(self.last[1]) // size)
        strides = [size * s * (n > 1) for n, s in zip(tensor.shape, tensor.strides, strict=True)]
        view = np.lib.stride_tricks.as_strided(
            elements[tensor.offset :], tensor.shape, strides, writeable=False
        )
        if view.flags.c_contiguous and self.order == b"little":
            yield view.data
            return
        for start in range(0, view.size, _CHUNK):
            part = view.flat[start : start + _CHUNK]
            if self.order == b"big":
                part = part.view(f"u{size // 2 if tensor.code == 'C64' else size}").byteswap()
            yield part.data

"""Files of PyTorch for tests without PyTorch: one that it wrote, and others made of its parts."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

# What PyTorch 2.13 wrote for `example()` of tests/parity/test_parity_torch_files.py, compressed.
_WRITTEN = """
eNqtV1twE1UY3iRtGkLpBZCWi1y8pgJtbk1SKCaGkiJBaReQiGLIZdOsbLL5d09ailar2FIUFRC5icg4PvjOg+M4zvjgkyPO
6IMzjo7jjA+MM86gT8745Lkk293tDVLPdLvZzfku5z/n/P/JQNxWx3EOBzejtXDLuZSSyYvDQlc2hVKdpWNSLNrEHTa0cesY
cK5EPQYU5KwggSWTkSVJyCBRLqrOfUpWUIRsn5hBTrB28GBzJey474ggDuUR1GWQjCU6k2UkSqozqQjpsihlk0goqrKSHPY6
od7lSjRghIp7poYEsDOIMybJKbSfvXRCQ8KC+7jBkbDhe6ZUhiVxOwLnYJyLW+O2SVgat8Utk9B4Ok9cLEPQxENzAg+dQ6KQ
hZZ8M/WFykoRP7bmsWzenm/IO/KUaDkhssWtk7AibiF8KxnRfQhW8dBGVRV5BNrNwNWDGGabgDVxywSsZaB1CO7nYT0VxMEq
F4qwwYzbOIh1rBOwiYAfYLgHETzEw8M02Bm5XETwCINVQrJXLg5pEXmURsQDLsxnQdCBB9DRwXgeQ7CZhy3lMdiaWII7JQsC
SpEphk76fVeCzD+4x8BDQz8sKCqeTfDGLaqqpqnvfEoaFlTwHQG/y2AiSifGE9CMdFMjXgiwgQW1KQmxKelhprYh2M5Dr4Fr
d0rKaTw7KI8PHmc8YY0nwnieYDxRBDt56FtgYfmcsGtaqLOyuJwHi2i0JGQ1zRjV9EM/09ytaT7JNPcwzXjFb44MPZQU/AVf
ruiEvQie4uFpgQa5lFJSOM6CAvvm8Kb1cMKAIQx9cjktCZqpQWqqG3hmar9m6gAzdZCZegbBIR4SU/Th2VNwmIfn6NSly7kc
tvF81QaLybSPnCIXkiQOdP8dwdNb8XGAdYQXdN7252VlehsmqbUAHGXWUpq1NLOWYdayCIQxyLkSThIYsrpUbALB0BR9kxTV
ZMVkfqqMQOThRbpVCyn1GBwzLjdZljR5icoHocDki5q8zORLTB4QKDyolHJEzAqAqruP4kNQZntmmG36ukkYwR+4STjO8KMI
TvDwEt2HQqGERuFlA0EPjGECDsErhIAjBl5lBsYZwWsIXufhJN1cGblQkoTj8IZhWDvZW2OSm0hYyZZ2wySmtyI4Rcc3AVMk
t5xm1G8ieIuHM8xbSc7k4e24jQrJJZqS4Z0xeNdFmSQFzvaHP79C2lWKSONEoMK5/vCf35J2qz9855/vflp1avMknKfhKuIV
Cu/RjzhjFOAChan5VEmA96tLQjyBzV5kkb80AZd5uFKmKy8rDIsZAa5WOrJHJ3ygJe1rE/AhD9cpaZYsQfhIv7V8eD3eKHcO
xBsc+eE7WYQ5yTUwZw1r4xq0GtaZk5VCCiUr2SwWtZFS5iFkn9355SSZOHLNTbaGC06TVTJGMiWJQ8UCXryxqM9UGu+qBfzE
QHgE/iAzYp3XQCsX1gykR5Egk+Iai26vRbfaJBEhSSAeJnb8vppMkn1eD03c44ZTQZc7Ft22CAOMdTyM/0XwH77G8XUjQhy1
nb19rh1/0b6Aoy1GR55Y1HXXjhoqLESv9ONtmQg4FtDrNep5Y9EQV/v48dgjkch4hI355qbftjVilcYFPISMHnyxqJ+rMf69
OPJRro/bRfT/XXvrkxr0/TXrhyJ9u/cQ5Vj0y3QN66/7/1h/1fZXuPIhwm6Oyr2lcl9J52i1ZfPfbnLcXMDpSqPTQCzaws3U
t+Bdb+PquHq6Bs9+cfPjGuIfXMT8WywWorzzm3W/1hD/0KLjT2N65vrlQ6Sq1Gnq3KzqEaN6Tyzau5j0d3jukTZzK0x5Bae6
Zm62/Tudu74iY0GXNuRa6C+o+SLZzPk0fq0mdd3rYHxOovj99aGDC9eP9Zx3uoDRIamCIuIKdiJFjgZJMRuLdt6jAU+wJxDy
e7tDIa8/4PZ1+3t8XnfQ7w4G3QGvJ+hxez2eULC7h7hMbvx5vQv7cFGXFivdYRWf+nreMsO5+XeoGa0v4G0G5Nd2bq4TgJlE
X4TXGAtvAzdP5Tfz6Atpq4HnvI5HK+BmuL7qNRngqxycqfaasfoKZsR+asZ6zFh95TFi25eYsF4zVl81jNhrZqzPjNXnfSN2
ndOE9Zux+kxsxF40Y7vNWH2mNWIjS03YgBmrz5Wm8ZqxQTNWn+lM89towoaq2Nlzob5dMGN7zLr6rNRspFpmXhszFpY+wRjB
R3XgOTaWft+vN4B/0IFnz0gDcbt9SzV/2bbqzsLGu6uO3Y83Vc9zdnq0u7GcPbOjfb2dYVppf9b3P65gckA=
"""


def written_by_pytorch() -> bytes:
    """A checkpoint with tensors of all kinds."""
    return zlib.decompress(base64.b64decode(_WRITTEN))


def expected() -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The tensors in it: dtype, shape and bytes."""
    grid = np.arange(6, dtype="<f4").reshape(2, 3)
    bfloat16 = np.array([0, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0], "<u2")
    float8 = bytes([0x00, 0x38, 0x40, 0x44, 0x48, 0x4A])  # 1 sign, 4 exponent, 3 mantissa bits
    return {
        "model.weight": ("F32", (2, 3), grid.tobytes()),
        "model.tied": ("F32", (2, 3), grid.tobytes()),
        "model.turned": ("F32", (3, 2), grid.T.tobytes()),
        "model.row": ("F32", (3,), grid[1].tobytes()),
        "model.column": ("F32", (2,), grid[:, 1].tobytes()),
        "model.count": ("I64", (), np.int64(7).tobytes()),
        "halves.0": ("BF16", (2, 3), bfloat16.tobytes()),
        "halves.1": ("F16", (2, 3), grid.astype("<f2").tobytes()),
        "halves.2": ("F8_E4M3", (2, 3), float8),
        "parameter": ("F64", (2, 3), grid.astype("<f8").tobytes()),
        "buffer": ("I16", (2, 3), grid.astype("<i2").tobytes()),
        "mask": ("BOOL", (2, 3), (grid > 2).tobytes()),
        "wide": ("F32", (3, 4), np.full((3, 4), 2, "<f4").tobytes()),
        "empty": ("F32", (0, 3), b""),
        "complex": ("C64", (2,), np.array([1 + 2j, 3 - 4j], "<c8").tobytes()),
    }


def entries(content: bytes) -> dict[str, bytes]:
    """The entries of an archive by name, without its folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def archive(contents: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these entries, with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in contents.items():
            made.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def of_pickle(program: bytes, **storages: bytes) -> bytes:
    """An archive of a pickle and of storages by their keys."""
    data = {f"data/{key}": content for key, content in storages.items()}
    return archive({"data.pkl": program, "byteorder": b"little", "version": b"3\n", **data})


def arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The arrays of a `.safetensors` file: dtype, shape and bytes; parsed without the library."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            data = content[start + begin : start + end]
            found[name] = (entry["dtype"], tuple(entry["shape"]), data)
    return found

"""Files that PyTorch's safetensors writes are read here, and ours there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tinygrad_gm as tg

KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@pytest.mark.parametrize("name", [*KINDS, "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 4, 5)])
def test_a_file_that_pytorch_wrote_holds_the_same_numbers(tmp_path, name, shape):
    torch.manual_seed(0)
    theirs = (100 * torch.randn(shape)).to(getattr(torch, name))
    save_file({"w": theirs, "b": torch.ones(3)}, tmp_path / "file", {"format": "pt"})
    ours = tg.load(tmp_path / "file")["w"].numpy()
    wanted = theirs.float() if name in ("bfloat16", "float16") else theirs
    assert ours.dtype == wanted.numpy().dtype
    assert np.array_equal(ours, wanted.numpy())


def test_every_bfloat16_is_read_as_pytorch_reads_it(tmp_path):
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    theirs = bits.view(torch.bfloat16)
    save_file({"w": theirs}, tmp_path / "file")
    ours = tg.load(tmp_path / "file")["w"].numpy()
    assert ours.tobytes() == theirs.float().numpy().tobytes()


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "complex64"])
def test_a_dtype_of_pytorch_that_is_not_supported_is_named(tmp_path, name):
    save_file({"w": torch.zeros(2).to(getattr(torch, name))}, tmp_path / "file")
    with pytest.raises(tg.io.CheckpointError, match=r"'w' in .* has dtype (F8_E|C64)"):
        tg.load(tmp_path / "file")


def test_pytorch_reads_a_state_dict_of_ours(tmp_path):
    arrays = {name: np.ones((2, 3), name) for name in KINDS}
    tg.save(tmp_path / "file", {name: tg.tensor(array) for name, array in arrays.items()})
    theirs = load_file(tmp_path / "file")
    assert set(theirs) == set(KINDS)
    for name in KINDS:
        assert theirs[name].dtype == getattr(torch, name)
        assert np.array_equal(theirs[name].numpy(), arrays[name])

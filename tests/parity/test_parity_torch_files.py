"""Files of PyTorch are converted bit for bit, and what is not a tensor is refused by name."""

from __future__ import annotations

import collections

import pytest
import torch
from safetensors.torch import load_file
from torch_archives import arrays, expected, written_by_pytorch

from tinygrad_gm.io import CheckpointError
from tinygrad_gm.torch_files import convert

DTYPES = [
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"),
    *("bool", "complex64", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"),
    *("float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"),
]


def example():
    """What the file in tests/torch_archives.py contains."""
    grid = torch.arange(6.0).reshape(2, 3)
    model = collections.OrderedDict(weight=grid, tied=grid, turned=grid.T, row=grid[1])
    model.update(column=grid[:, 1], count=torch.tensor(7))
    model._metadata = collections.OrderedDict({"": {"version": 1}})
    return {
        "model": model,
        "halves": [grid.bfloat16(), grid.half(), (grid.to(torch.float8_e4m3fn))],
        "parameter": torch.nn.Parameter(grid.double()),
        "buffer": torch.nn.Buffer(grid.short()),
        "mask": grid > 2,
        "wide": torch.full((1,), 2.0).expand(3, 4),
        "empty": torch.zeros(0, 3),
        "complex": torch.tensor([1 + 2j, 3 - 4j]),
        "epoch": 3,
        "options": {"lr": 0.1, "betas": (0.9, 0.999), "name": "adam", "shape": grid.shape},
        "device": grid.device,
        "dtype": torch.float32,
    }


def converted(value, tmp_path, **options):
    torch.save(value, tmp_path / "in.pth", **options)
    return convert(tmp_path / "in.pth", tmp_path / "out.safetensors"), tmp_path / "out.safetensors"


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def same(ours, theirs):
    return (ours.dtype, ours.shape, bits(ours)) == (theirs.dtype, theirs.shape, bits(theirs))


def test_the_stored_example_is_what_pytorch_writes(tmp_path):
    _, path = converted(example(), tmp_path)
    assert arrays(path) == expected()
    (tmp_path / "stored.pth").write_bytes(written_by_pytorch())
    convert(tmp_path / "stored.pth", tmp_path / "stored.safetensors")
    assert arrays(tmp_path / "stored.safetensors") == expected()


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_converted_bit_for_bit(tmp_path, name):
    torch.manual_seed(0)
    numbers = torch.randn(4, 5, 6).to(getattr(torch, name))
    state = {"all": numbers, "turned": numbers.permute(2, 0, 1), "scalar": numbers[1, 2, 3]}
    state |= {"steps": numbers[1:, ::2, 1:4], "none": numbers[:0]}
    report, path = converted(state, tmp_path)
    found = load_file(path)
    assert set(report.tensors) == set(found) == set(state)
    assert all(same(found[key], state[key]) for key in state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("checksums", [True, False])
def test_all_protocols_and_files_without_checksums_are_read(tmp_path, protocol, checksums):
    torch.serialization.set_crc32_options(checksums)
    try:
        _, path = converted(example(), tmp_path, pickle_protocol=protocol)
    finally:
        torch.serialization.set_crc32_options(True)
    assert arrays(path) == expected()


def test_a_whole_checkpoint_is_converted_under_dotted_names(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last),
        torch.nn.BatchNorm2d(8),
        torch.nn.TransformerEncoderLayer(8, 2, 16),
    )
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.square().sum() for parameter in model.parameters()).backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    report, path = converted({**state, "schedule": schedule.state_dict(), "epoch": 2}, tmp_path)
    found = load_file(path)
    for name, tensor in model.state_dict().items():
        assert same(found.pop(f"model.{name}"), tensor)
    for number, moments in state["optimizer"]["state"].items():
        for name, tensor in moments.items():
            assert same(found.pop(f"optimizer.state.{number}.{name}"), tensor)
    assert not found
    assert report.left_out == ["optimizer.param_groups", "schedule", "epoch"]


def test_a_tensor_alone_is_named_and_attributes_do_not_matter(tmp_path):
    tensor = torch.arange(3.0)
    tensor.note = "an attribute"
    assert converted(tensor, tmp_path)[0].tensors == ["tensor"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: torch.nn.Linear(2, 1), r"torch\.nn\.modules\.linear\.Linear"),
        (lambda: {"w": torch.eye(2).to_sparse()}, r"torch\._utils\._rebuild_sparse_tensor"),
        (lambda: [torch.zeros(2, device="meta")], "_rebuild_meta_tensor_no_storage"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            r"torch\._utils\._rebuild_qtensor|torch\.QInt8Storage",
        ),
        (lambda: torch.ones(2, dtype=torch.complex128), "'tensor' is C128"),
        (lambda: torch.ones(2, dtype=torch.complex64).conj(), "lazy conjugate"),
        (lambda: torch.ones(2, dtype=torch.complex64).conj().imag, "lazy conjugate or negative"),
        (lambda: {(1, 2): torch.ones(1)}, "a key of its dict is a tuple"),
        (lambda: {"epoch": 1}, "no tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # quantisation is deprecated
def test_what_is_not_a_dense_tensor_is_refused(tmp_path, value, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        converted(value(), tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.filterwarnings("ignore")  # scripts are deprecated
def test_old_files_and_scripts_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"pickle, as PyTorch wrote before version 1\.6"):
        converted(torch.ones(2), tmp_path, _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 1)).save(tmp_path / "script.pt")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        convert(tmp_path / "script.pt", tmp_path / "out.safetensors")

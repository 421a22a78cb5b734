"""Mistakes that newcomers make: each gives one plain line that names the mistake and the way out.

One table per part of the library; a new part adds its own.
"""

from __future__ import annotations

import builtins
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import backend, data, io, models, nn, optim, pictures, viz
from tinygrad_gm.training import DivergenceError, Run


class Mistake(NamedTuple):
    """What somebody typed, and the error that should come: its type, and words in its message."""

    what: str
    call: Callable[[], Any]
    kind: type[Exception]
    words: list[str]


def leaf(*shape: int) -> Any:
    return tg.ones(shape, requires_grad=True)


def backward_twice() -> None:
    y = leaf(2).exp().sum()
    y.backward()
    y.backward()


def write_after_reading() -> None:
    w = leaf(2)
    y = (w * w).sum()
    with tg.no_grad():
        w -= 0.1
    y.backward()


def write(t: Any, value: Any = 0.0) -> None:
    t[0] = value


def set_data(t: Any, value: Any = 0.0) -> None:
    t.data = value


def step(w: Any) -> None:
    w -= 0.1


ENGINE = [
    Mistake(
        "adding shapes that do not broadcast",
        lambda: tg.ones((2, 3)) + tg.ones((2, 4)),
        ValueError,
        ["add", "(2, 3)", "(2, 4)", "broadcast"],
    ),
    Mistake(
        "a matrix product of sizes that do not meet",
        lambda: tg.ones((2, 3)) @ tg.ones((4, 5)),
        ValueError,
        ["matmul", "(2, 3)", "(4, 5)", "3 and 4 differ"],
    ),
    Mistake(
        "a matrix product with a number",
        lambda: tg.ones((2, 3)) @ 2.0,
        ValueError,
        ["matmul", "number", "use *"],
    ),
    Mistake(
        "a weight that is not transposed",
        lambda: tg.linear(tg.ones((8, 3)), tg.ones((3, 5))),
        ValueError,
        ["linear", "(8, 3)", "(3, 5)", "(out, in)"],
    ),
    Mistake(
        "a reshape to another number of elements",
        lambda: tg.ones((2, 3)).reshape(4, 2),
        ValueError,
        ["reshape", "(2, 3)", "(4, 2)"],
    ),
    Mistake(
        "joining matrices of different widths",
        lambda: tg.concat([tg.ones((2, 3)), tg.ones((2, 4))]),
        ValueError,
        ["concat", "(2, 3)", "(2, 4)"],
    ),
    Mistake(
        "stacking different shapes",
        lambda: tg.stack([tg.ones(3), tg.ones(4)]),
        ValueError,
        ["stack", "(3,)", "(4,)", "same shape"],
    ),
    Mistake(
        "an axis that does not exist",
        lambda: tg.ones((2, 3)).sum(axis=2),
        IndexError,
        ["sum", "(2, 3)", "axis=2"],
    ),
    Mistake(
        "a list of axes",
        lambda: tg.ones((2, 3)).mean(axis=[0, 1]),
        TypeError,
        ["mean", "axis=[0, 1]"],
    ),
    Mistake(
        "PyTorch's dim",
        lambda: tg.softmax(tg.ones((2, 3)), dim=1),
        TypeError,
        ["softmax", "unexpected keyword argument 'dim'"],
    ),
    Mistake(
        "a keyword that an operation has not",
        lambda: tg.exp(tg.ones(2), dim=1),
        TypeError,
        ["exp", "'dim'"],
    ),
    Mistake(
        "an argument too few", lambda: tg.add(tg.ones(2)), TypeError, ["add", "missing", "'y'"]
    ),
    Mistake("text", lambda: tg.tensor("hello"), TypeError, ["tensor", "'hello'", "not numeric"]),
    Mistake("text in a sum", lambda: tg.ones(2) + "1", TypeError, ["add", "'1' (str)", "expected"]),
    Mistake("None in a product", lambda: tg.ones(2) * None, TypeError, ["multiply", "None"]),
    Mistake(
        "ragged lists", lambda: tg.tensor([[1.0, 2.0], [3.0]]), ValueError, ["tensor", "ragged"]
    ),
    Mistake(
        "a list of tensors",
        lambda: tg.sum([leaf(), leaf()]),
        TypeError,
        ["sum", "tg.stack"],
    ),
    Mistake(
        "an integer that requires a gradient",
        lambda: tg.tensor([1, 2], requires_grad=True),
        TypeError,
        ["requires_grad", "int64", ".astype(tg.float32)"],
    ),
    Mistake(
        "backward of a matrix",
        lambda: (leaf(2, 2) * 2).backward(),
        RuntimeError,
        ["backward", "(2, 2)", ".sum()"],
    ),
    Mistake("backward twice", backward_twice, RuntimeError, ["`exp`", "retain_graph=True"]),
    Mistake(
        "backward of a constant",
        lambda: tg.ones(()).backward(),
        RuntimeError,
        ["backward", "requires_grad=True", "no_grad()"],
    ),
    Mistake(
        "a gradient of another shape",
        lambda: (leaf(2) * 2).backward(np.ones(3)),
        ValueError,
        ["backward", "(3,)", "(2,)"],
    ),
    Mistake(
        "the gradient of something unrelated",
        lambda: tg.grad(leaf(2).sum(), leaf(2)),
        RuntimeError,
        ["grad", "input 0", "allow_unused=True"],
    ),
    Mistake(
        "the gradient in a constant",
        lambda: tg.grad(leaf(2).sum(), tg.ones(2)),
        RuntimeError,
        ["grad", "input 0", "requires a gradient"],
    ),
    Mistake(
        "an update outside no_grad",
        lambda: step(leaf(2)),
        RuntimeError,
        ["t -= …", "tg.no_grad()"],
    ),
    Mistake(
        "writing an element of a parameter",
        lambda: write(leaf(2)),
        RuntimeError,
        ["t[…] = …", "tg.no_grad()"],
    ),
    Mistake(
        "writing into a result",
        lambda: write(leaf(2) * 2),
        RuntimeError,
        ["result of `multiply`", "tg.where"],
    ),
    Mistake(
        "replacing the data of a result",
        lambda: set_data(leaf(2) * 2, np.zeros(2)),
        RuntimeError,
        ["data", "result of `multiply`", "tg.where"],
    ),
    Mistake(
        "writing into the data of a result",
        lambda: write((leaf(2) * 2).data),
        ValueError,
        ["t[…] = …", "read-only", "result"],
    ),
    Mistake(
        "writing a value of another shape",
        lambda: write(tg.ones((2, 3)), tg.ones(4)),
        ValueError,
        ["t[…] = …", "(4,)", "(3,)"],
    ),
    Mistake(
        "an optimizer's step before backward",
        write_after_reading,
        RuntimeError,
        ["backward", "(2,)", "`multiply`", "written since"],
    ),
    Mistake(
        "a result told to need no gradient",
        lambda: (leaf(2) * 2).requires_grad_(False),
        RuntimeError,
        ["requires_grad", ".detach()"],
    ),
    Mistake(
        "the truth of a matrix",
        lambda: bool(tg.ones((2, 2)) > 0),
        ValueError,
        ["(2, 2)", "ambiguous", ".any()", ".all()"],
    ),
    Mistake(
        "the number in a matrix", lambda: tg.ones((2, 2)).item(), ValueError, ["item", "(2, 2)"]
    ),
    Mistake("a vector as a float", lambda: float(tg.ones(2)), ValueError, ["item", "(2,)"]),
    Mistake("the length of a number", lambda: len(tg.ones(())), TypeError, ["without axes"]),
    Mistake("a loop over a number", lambda: list(tg.ones(())), TypeError, ["without axes"]),
    Mistake("NumPy's function", lambda: np.exp(tg.ones(2)), TypeError, ["np.exp", "tg.exp"]),
    Mistake(
        "NumPy's function under another name",
        lambda: np.arctan(tg.ones(2)),
        TypeError,
        ["np.arctan", "tg.atan"],
    ),
    Mistake(
        "a floating index", lambda: tg.ones(3)[1.0], IndexError, ["getitem", "1.0", "integers"]
    ),
    Mistake(
        "a floating tensor as an index",
        lambda: tg.ones(3)[tg.ones(1)],
        IndexError,
        ["getitem", "integer or boolean", "float32"],
    ),
    Mistake(
        "a floating tensor in range",
        lambda: range(tg.tensor(3.0)),
        TypeError,
        ["integer tensor", "float32"],
    ),
    Mistake("an index too large", lambda: tg.ones(3)[3], IndexError, ["getitem", "(3,)", "3"]),
    Mistake(
        "a mask of another shape",
        lambda: tg.ones((2, 3))[tg.ones(3) > 0],
        IndexError,
        ["getitem", "(2, 3)", "boolean index"],
    ),
    Mistake(
        "a class number too large",
        lambda: tg.cross_entropy(tg.zeros((2, 10)), tg.tensor([1, 10])),
        IndexError,
        ["cross_entropy", "[1, 10]", "[0, 10)"],
    ),
    Mistake(
        "floating class numbers",
        lambda: tg.cross_entropy(tg.zeros((2, 10)), tg.tensor([1.0, 2.0])),
        TypeError,
        ["cross_entropy", "class numbers", "float32"],
    ),
    Mistake(
        "logits and targets swapped",
        lambda: tg.cross_entropy(tg.tensor([1, 2]), tg.zeros((2, 10))),
        ValueError,
        ["cross_entropy", "logits (2,)", "targets (2, 10)"],
    ),
    Mistake(
        "a prediction (N, 1) and a target (N,)",
        lambda: tg.binary_cross_entropy_with_logits(tg.zeros((4, 1)), tg.zeros(4)),
        ValueError,
        ["binary_cross_entropy_with_logits", "(4, 1)", "(4,)"],
    ),
    Mistake(
        "a reduction that does not exist",
        lambda: tg.cross_entropy(tg.zeros((1, 2)), [0], reduction="avg"),
        ValueError,
        ["'avg'", '"mean", "sum" or "none"'],
    ),
    Mistake("bits of floats", lambda: ~tg.ones(2), TypeError, ["bitwise_invert", "float32"]),
    Mistake(
        "half of an integer, in place",
        lambda: tg.tensor([1, 2]).__imul__(0.5),
        TypeError,
        ["t *= …", "float32", "int64"],
    ),
    Mistake(
        "an unknown device",
        lambda: tg.tensor(1.0, device="gpu"),
        ValueError,
        ["device", "'gpu'", '"cuda"'],
    ),
    Mistake(
        "an integer as the default dtype",
        lambda: tg.set_default_dtype(tg.int64),
        TypeError,
        ["set_default_dtype", "int64", "floating"],
    ),
    Mistake(
        "gradcheck in float32",
        lambda: tg.testing.gradcheck(tg.exp, leaf(2)),
        TypeError,
        ["gradcheck", "float32", "tg.float64"],
    ),
]


class Forgetful(nn.Module):
    """Its __init__ does not begin with super().__init__()."""

    def __init__(self) -> None:
        self.layer = nn.Linear(2, 2)


def scratch(name: str = "") -> Path:
    """A path in a new empty folder."""
    return Path(tempfile.mkdtemp()) / name


def load_other_weights() -> None:
    nn.Linear(2, 3).load_state_dict({"weight": tg.ones((2, 2)), "scale": tg.ones(2)})


def load_truncated() -> None:
    path = scratch("weights.safetensors")
    tg.save(path, {"weight": tg.ones(100)})
    path.write_bytes(path.read_bytes()[:-10])
    tg.load(path)


def load_flipped() -> None:
    path = scratch("weights.safetensors")
    tg.save(path, {"weight": tg.ones(100)})
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    tg.load(path)


def load_foreign() -> None:
    path = scratch("weights.pt")
    path.write_bytes(b"PK\x03\x04 a zip archive, as another library saves its weights")
    tg.load(path)


def make_run(folder: Path, **config: Any) -> Run:
    return Run(folder, config)


def train_on(values: Any, folder: Path) -> None:
    model = nn.Linear(1, 1)
    x = tg.tensor(values).reshape(-1, 1)
    loader = data.DataLoader(data.TensorDataset(x, x), batch_size=2)
    with make_run(folder) as run:
        run.fit(
            model,
            optim.SGD(model.parameters(), lr=0.1),
            lambda batch, generator: tg.mean((model(batch[0]) - batch[1]) ** 2),
            loader,
            epochs=1,
        )


def run_in_a_used_folder() -> None:
    folder = scratch()
    train_on([1.0, 2.0], folder)
    make_run(folder)


def run_below_a_file() -> None:
    path = scratch("notes.txt")
    path.write_text("")
    make_run(path / "run")


LIBRARY = [
    Mistake(
        "an input that does not fit a layer",
        lambda: nn.Linear(3, 2)(tg.ones((4, 5))),
        ValueError,
        ["linear", "(4, 5)", "(2, 3)"],
    ),
    Mistake(
        "no super().__init__()", Forgetful, AttributeError, ["Forgetful", "super().__init__()"]
    ),
    Mistake(
        "a module without forward",
        lambda: nn.Module()(tg.ones(2)),
        NotImplementedError,
        ["Module", "def forward"],
    ),
    Mistake("an optimizer of nothing", lambda: optim.SGD([], lr=0.1), ValueError, ["parameter"]),
    Mistake(
        "a negative learning rate",
        lambda: optim.Adam(nn.Linear(1, 1).parameters(), lr=-1.0),
        ValueError,
        ["Adam", "lr", "-1.0"],
    ),
    Mistake(
        "data of unequal length",
        lambda: data.TensorDataset(tg.ones((3, 2)), tg.ones(4)),
        ValueError,
        ["TensorDataset", "3", "4"],
    ),
    Mistake(
        "a batch of no items",
        lambda: data.DataLoader(data.TensorDataset(tg.ones(3)), batch_size=0),
        ValueError,
        ["batch_size", "0"],
    ),
    Mistake("a shape that is no tuple", lambda: tg.randn(2, 3), TypeError, ["randn((2, 3))"]),
    Mistake(
        "a checkpoint that is not there",
        lambda: tg.load(scratch("missing.safetensors")),
        FileNotFoundError,
        ["missing.safetensors"],
    ),
    Mistake("a truncated checkpoint", load_truncated, io.CheckpointError, ["weights.safetensors"]),
    Mistake("a damaged checkpoint", load_flipped, io.CheckpointError, ["weights.safetensors"]),
    Mistake("another library's file", load_foreign, io.CheckpointError, ["weights.pt"]),
    Mistake(
        "a run where one is already",
        run_in_a_used_folder,
        FileExistsError,
        ["already contains a run", "--resume"],
    ),
    Mistake(
        "a folder that cannot be made",
        run_below_a_file,
        NotADirectoryError,
        ["cannot make the folder", "notes.txt/run"],
    ),
    Mistake(
        "NaN in the data",
        lambda: train_on([1.0, float("nan")], scratch()),
        DivergenceError,
        ["loss is nan", "Check the data for NaN"],
    ),
    Mistake(
        "an unknown model",
        lambda: models.load("vea"),
        ValueError,
        ["no model 'vea'", "did you mean 'vae'"],
    ),
    Mistake("a drawing of no tensor", lambda: viz.draw(3.0), TypeError, ["draw", "3.0"]),
    Mistake(
        "images of another shape",
        lambda: pictures.grid(tg.ones((3, 2, 8, 8))),
        ValueError,
        ["grid", "(3, 2, 8, 8)"],
    ),
]


def assert_plain(error: BaseException, words: list[str]) -> None:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 300
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


@pytest.mark.parametrize("mistake", [*ENGINE, *LIBRARY], ids=lambda mistake: mistake.what)
def test_mistake(mistake: Mistake) -> None:
    with pytest.raises(mistake.kind) as caught:
        mistake.call()
    assert type(caught.value) is mistake.kind
    assert_plain(caught.value, mistake.words)


def test_mixing_devices_names_the_operation_and_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: one of the arrays says that it lives on one."""

    class Elsewhere(np.ndarray):
        pass

    def device_of(array: Any) -> str:
        return "cuda:0" if isinstance(array, Elsewhere) else "cpu"

    monkeypatch.setattr(backend, "device_of", device_of)
    with pytest.raises(ValueError, match=r"divide: .*different devices: cpu and cuda:0"):
        tg.ones(2) / np.ones(2).view(Elsewhere)


def test_a_gpu_without_cupy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    present = builtins.__import__

    def without(name: str, *rest: Any, **keywords: Any) -> Any:
        if name == "cupy":
            raise ImportError(name)
        return present(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RuntimeError, match=r"CuPy: pip install 'tinygrad_gm\[cuda12\]'"):
        tg.tensor(1.0, device="cuda")


def test_the_last_line_of_a_traceback_is_the_message() -> None:
    """As a newcomer sees it: the cause in NumPy may stand above, our sentence stands last."""
    code = "import tinygrad_gm as tg; tg.ones((2, 3)) + tg.ones(4)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ValueError: add: arguments of shape (2, 3), (4,): they do not broadcast"
    )

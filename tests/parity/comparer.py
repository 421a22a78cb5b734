"""One comparer for every function: ours against PyTorch's on the same random configurations.

For outputs y of a function of the inputs x, a random upstream gradient v and random weights w:

    y = f(x)        g = ∂⟨y, v⟩/∂x        h = ∂⟨g, w⟩/∂(x, v)

Values, gradients g and second gradients h must agree norm-wise, |a − b| ≤ tolerance · max|b|, in
shape, and in dtype. (An elementwise relative bound would fail correct code where numbers cancel.)
A gradient is one vector, whichever arrays its parts belong to: max|b| is taken over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch
from drawing import Draw

import tinygrad_gm as tg

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

torch.set_num_threads(1)


@dataclass(frozen=True)
class Config:
    """One call: arrays, of which the floating ones are differentiated, and static arguments."""

    arrays: tuple[Any, ...]
    params: dict[str, Any]

    def __str__(self) -> str:
        arrays = [
            f"{a.dtype}{a.shape} strides {a.strides}" if isinstance(a, np.ndarray) else repr(a)
            for a in self.arrays
        ]
        return ", ".join(arrays + [f"{key}={value!r}" for key, value in self.params.items()])


@dataclass(frozen=True)
class Pair:
    """A function of ours, PyTorch's counterpart, and how to draw a call of both.

    `name` is the function's public name, with a variant in brackets behind it. `order` is how often
    it is differentiated: 2, or less where PyTorch has no second derivative or there is no first.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[Draw], Config]
    order: int = 2
    count: int = 60

    def __str__(self) -> str:
        return self.name


def config(*arrays: Any, **params: Any) -> Config:
    """A call with these arrays, in their order, and static arguments by name."""
    return Config(arrays, params)


def compare(pair: Pair) -> int:
    """Compare on all configurations; AssertionError, naming them, where there are differences."""
    complaints = []
    name_seed = crc32(pair.name.encode())
    for number in range(pair.count):
        drawn = pair.draw(Draw(name_seed, number))
        try:
            complaint = _difference(pair, drawn, np.random.default_rng([name_seed, number, 1]))
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}"
        if complaint:
            complaints.append(f"{pair.name}, seed ({name_seed}, {number}): {drawn}\n  {complaint}")
    if complaints:
        shown = "\n".join(complaints[:3])
        raise AssertionError(f"{len(complaints)} of {pair.count} configurations differ\n{shown}")
    return pair.count


def _difference(pair: Pair, drawn: Config, rng: np.random.Generator) -> str:
    """Where the two differ on one configuration, or nothing."""
    mine = [_as_ours(a) for a in drawn.arrays]
    torchs = [as_torch(a) for a in drawn.arrays]
    y = _outputs(pair.ours(*mine, **drawn.params))
    y_torch = _outputs(pair.theirs(*torchs, **drawn.params))
    if complaint := compared("value", y, y_torch):
        return complaint
    x, x_torch = ([t for t in side if _is_input(t)] for side in (mine, torchs))
    picked = [i for i, output in enumerate(y_torch) if output.requires_grad]
    if not pair.order or not picked:
        return ""
    y, y_torch = [y[i] for i in picked], [y_torch[i] for i in picked]
    v = [_weights(rng, output) for output in y_torch]
    ups, ups_torch = [_as_ours(a) for a in v], [as_torch(a) for a in v]
    second = pair.order > 1
    g = tg.grad(y, x, ups, create_graph=second, allow_unused=True)
    g_torch = torch.autograd.grad(
        y_torch, x_torch, ups_torch, create_graph=second, allow_unused=True
    )
    if complaint := compared("gradient", _filled(g, x_torch), _filled(g_torch, x_torch)):
        return complaint
    if not second:
        return ""
    w = [_weights(rng, a) for a in x_torch]
    h = tg.grad(
        [a for a in g if a is not None and a.requires_grad],
        x + ups,
        [tg.asarray(b) for a, b in zip(g, w, strict=True) if a is not None and a.requires_grad],
        allow_unused=True,
    )
    recorded = [i for i, a in enumerate(g_torch) if a is not None and a.requires_grad]
    h_torch: Any = [None] * len(h)
    if recorded:
        h_torch = torch.autograd.grad(
            [g_torch[i] for i in recorded],
            x_torch + ups_torch,
            [torch.tensor(w[i]) for i in recorded],
            allow_unused=True,
        )
    wanted = x_torch + ups_torch
    return compared("second gradient", _filled(h, wanted), _filled(h_torch, wanted))


def _weights(rng: np.random.Generator, like: torch.Tensor) -> Any:
    """Numbers in ±[½, 3/2), of the shape and dtype of a tensor."""
    numbers = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    return np.asarray(numbers, _array(like).dtype)


def compared(what: str, ours: list[Any], theirs: list[Any]) -> str:
    """How two lists of results differ, or nothing."""
    if len(ours) != len(theirs):
        return f"{what}: {len(ours)} results, PyTorch has {len(theirs)}"
    pairs = [(_array(a), _array(b)) for a, b in zip(ours, theirs, strict=True)]
    largest = max((_largest(b) for _, b in pairs), default=0.0)
    for number, (a, b) in enumerate(pairs):
        label = what if len(pairs) == 1 else f"{what} {number}"
        if a.shape != b.shape:
            return f"{label}: shape {a.shape}, PyTorch has {b.shape}"
        if a.dtype != b.dtype:
            return f"{label}: dtype {a.dtype}, PyTorch has {b.dtype}"
        if not _agree(a, b, _largest(b) if what == "value" else largest):
            return f"{label}: {a.tolist()}\n  PyTorch has {b.tolist()}"
    return ""


def _largest(b: Any) -> float:
    return float(np.abs(b[np.isfinite(b)]).max(initial=0.0)) if b.dtype.kind == "f" else 0.0


def _agree(a: Any, b: Any, largest: float) -> bool:
    """Exactly for integers; norm-wise for finite numbers, and exactly for the others."""
    if b.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    distance = np.abs(a[finite] - b[finite])
    return bool((distance <= TOLERANCE[b.dtype.name] * largest).all())


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _array(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return result.detach().numpy(force=True)  # zeros that were never allocated, too
    return np.asarray(result.detach() if isinstance(result, tg.Tensor) else result)


def _as_ours(array: Any) -> Any:
    """The array itself, whatever its strides, as a Tensor; numbers and None as they are."""
    if not isinstance(array, np.ndarray):
        return array
    made = tg.asarray(array)
    return made.requires_grad_() if array.dtype.kind == "f" else made


def as_torch(array: Any) -> Any:
    """A contiguous copy as PyTorch's tensor; numbers and None as they are."""
    if not isinstance(array, np.ndarray):
        return array
    return torch.tensor(np.array(array, order="C"), requires_grad=array.dtype.kind == "f")


def _is_input(tensor: Any) -> bool:
    return isinstance(tensor, (tg.Tensor, torch.Tensor)) and tensor.requires_grad


def _filled(gradients: Any, like: list[Any]) -> list[Any]:
    """Zeros where nothing depends on an input: PyTorch and we say None at different places."""
    return [
        np.zeros_like(_array(b)) if a is None else a for a, b in zip(gradients, like, strict=True)
    ]

"""The accuracy of native kernels over random cases, and of whole networks, against float64.

The error of a case is the root mean square, over its value and its gradients, of the relative root
mean square error of each. It is at most twice that of the NumPy path, or eps · √K with K the length
of the longest sum. `make accuracy` runs 10,000 cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_cases import FAMILIES, Case, results
from native_kernels import needs_native

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, optim

EPS = float(np.finfo(np.float32).eps)


def error(found: list[Any], exact: list[Any]) -> float:
    """The root mean square of the relative errors of some arrays."""
    assert [np.shape(a) for a in found] == [np.shape(a) for a in exact]
    relative = [
        rms(a - np.asarray(b, np.float64)) / rms(b)
        for a, b in zip(found, exact, strict=True)
        if np.any(b)
    ]
    return rms(relative) if relative else 0.0


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def errors(case: Case, seed: int) -> tuple[float, float]:
    """The error of a case with native kernels, and in NumPy."""
    with tg.kernels.use("numpy"):
        exact = results(case, np.float64, seed)
        plain = error(results(case, np.float32, seed), exact)
    with tg.kernels.use("native"):
        return error(results(case, np.float32, seed), exact), plain


@needs_native
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_random_cases_are_as_exact_as_in_numpy(
    family: Callable[[np.random.Generator], Case], request: pytest.FixtureRequest
) -> None:
    cases = request.config.getoption("--cases") // len(FAMILIES)
    for seed in range(cases + 1):
        case = family(np.random.default_rng(seed))
        native, plain = errors(case, seed)
        shapes = [array.shape for array in case.arrays]
        bound = max(2 * plain, EPS * case.terms**0.5)
        assert native <= bound, f"{family.__name__} {seed}, {shapes}: {native} > {bound}"


class Perceptron(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 16), nn.SiLU(), nn.Linear(16, 5)
        )

    batch = (16, 12)


class Convolutional(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.SiLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.GroupNorm(4, 16), nn.GELU(),
            nn.Conv2d(16, 24, 1), nn.BatchNorm2d(24), nn.Sigmoid(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(24 * 36, 5),
        )  # fmt: skip

    batch = (8, 3, 12, 12)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(24, 4, 48, 0.0, "gelu", batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.block(x).mean(axis=1))

    batch = (8, 10, 24)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru = nn.LSTM(6, 20), nn.GRU(20, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0][-1])

    batch = (9, 16, 6)


def two_steps(kind: Any, dtype: Any) -> list[np.ndarray]:
    """Loss, gradients and buffers in two steps of a network in training, on two batches."""
    tg.manual_seed(0)
    model = kind().to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    found = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x = tg.tensor(rng.standard_normal(kind.batch).astype(np.float32).astype(dtype))
        out = model(x)
        loss = F.cross_entropy(out, tg.tensor(rng.integers(0, 5, len(out))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found += [loss.numpy(), *(parameter.grad.numpy() for parameter in model.parameters())]
        found += [b.numpy().copy() for b in model.buffers() if b.dtype.kind == "f"]
    return found


@needs_native
@pytest.mark.parametrize("kind", [Perceptron, Convolutional, Attending, Recurrent])
def test_two_steps_of_a_network_are_as_exact_as_in_numpy(kind: Any) -> None:
    with tg.kernels.use("numpy"):
        exact, plain = two_steps(kind, "float64"), two_steps(kind, "float32")
    with tg.kernels.use("native"):
        native = two_steps(kind, "float32")
    assert error(native, exact) <= 2 * error(plain, exact)

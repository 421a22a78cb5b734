"""Training on a GPU: optimizers, schedulers, helpers, data and files as on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import same

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.optim import lr_scheduler
from tinygrad_gm.testing import gradcheck

OPTIMIZERS = {
    **{name: {"lr": 0.1} for name in optim.__all__ if hasattr(getattr(optim, name), "step")},
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.9, "centered": True},
}
del OPTIMIZERS["Optimizer"]


def net(device: str) -> nn.Module:
    """A small network, the same on every device."""
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(device)


def learned(device: str, steps: Callable[[nn.Module, Callable[[], Any]], Any]) -> list[Any]:
    """The parameters after `steps(model, loss)`."""
    model, x = net(device), tg.arange(6.0, device=device).reshape(2, 3)
    steps(model, lambda: (model(x) ** 2).sum())
    assert {parameter.device for parameter in model.parameters()} == {device}
    return [*model.parameters()]


def compared(device: str, steps: Callable[[nn.Module, Callable[[], Any]], Any]) -> None:
    """The same steps on both devices lead to the same parameters."""
    for found, wanted in zip(learned(device, steps), learned("cpu", steps), strict=True):
        same(found, wanted, 1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps_and_goes_on_from_its_state(name: str, device: str) -> None:
    def steps(model: nn.Module, loss: Callable[[], Any]) -> None:
        state: Any = None
        for turn in range(4):
            if turn % 2 == 0:
                optimizer = getattr(optim, name)(model.parameters(), **OPTIMIZERS[name])
            if turn == 2:
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
            state = copy.deepcopy(optimizer.state_dict())

    compared(device, steps)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_an_optimizer_of_many_numbers(name: str, device: str) -> None:
    results = []
    for place in ("cpu", device):
        x = tg.Generator(0, place).normal((300, 400)).requires_grad_()
        optimizer = getattr(optim, name)([x], **OPTIMIZERS[name])
        for _ in range(2):
            optimizer.zero_grad()
            (x.T * x.T).sum().backward()
            optimizer.step()
        results.append(x)
    same(results[1], results[0], 1e-6)


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=5),
    "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_takes_losses_from_the_device(name: str, device: str) -> None:
    def steps(model: nn.Module, loss: Callable[[], Any]) -> None:
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = SCHEDULERS[name](optimizer)
        for _ in range(4):
            optimizer.zero_grad()
            total = loss()
            total.backward()
            optimizer.step()
            schedule.step(*([total] if name == "plateau" else []))

    compared(device, steps)


@pytest.mark.parametrize("order", [1.0, 2.0, float("inf")])
def test_clipping(order: float, device: str) -> None:
    def steps(model: nn.Module, loss: Callable[[], Any]) -> None:
        loss().backward()
        norm = optim.clip_grad_norm_(model.parameters(), 0.5, order)
        assert norm.device == next(model.parameters()).device
        optim.clip_grad_value_(model.parameters(), 0.1)
        optim.SGD(model.parameters(), lr=1.0).step()

    compared(device, steps)


def test_ema(device: str) -> None:
    def steps(model: nn.Module, loss: Callable[[], Any]) -> None:
        ema = optim.EMA(model, 0.5, warmup=True)
        loss().backward()
        optim.SGD(model.parameters(), lr=0.1).step()
        ema.update()
        with ema.average():
            loss()
        model.load_state_dict(ema.state_dict()["model"])

    compared(device, steps)


def test_reparametrized_weights(device: str) -> None:
    for wrap in (nn.weight_norm, nn.spectral_norm):
        outputs = []
        for place in ("cpu", device):
            model = wrap(net("cpu")[0]).to(place)
            out = model(tg.ones((2, 3), device=place))
            (out * out).sum().backward()
            outputs.append([out, *(p.grad for p in model.parameters())])
        for found, wanted in zip(*reversed(outputs), strict=True):
            same(found, wanted, 1e-6)


# ------------------------------------------------------------------------------- data and files


@pytest.mark.parametrize(
    "transform",
    [
        data.transforms.ColorJitter(0.3, 0.3, 0.3, 0.1),
        data.transforms.Normalize([0.5] * 3, [0.2] * 3),
        data.transforms.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), "bilinear"),
        data.transforms.RandomCrop(4, padding=1),
        data.transforms.RandomErasing(1.0, value="random"),
        data.transforms.RandomHorizontalFlip(),
        data.transforms.RandomRotation(30),
        data.transforms.RandomVerticalFlip(),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_a_transform_of_images(transform: Any, device: str) -> None:
    images = tg.Generator(0).uniform((4, 3, 6, 6))
    results = []
    for place in (device, "cpu"):
        tg.manual_seed(1)
        results.append(transform(images.to(place)))
        assert results[-1].device == place
    same(*results, bound=1e-6)


def test_a_loader_gives_batches_where_the_data_are(device: str) -> None:
    x, y = tg.arange(10.0).reshape(5, 2), tg.arange(5)
    there = data.TensorDataset(x.to(device), y.to(device))
    batches = [
        list(data.DataLoader(part, 2, shuffle=True, seed=3))
        for part in (there, data.TensorDataset(x, y))
    ]
    for found, wanted in zip(*batches, strict=True):
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.device == device
            same(ours, theirs)


def test_files(device: str, tmp_path: Path) -> None:
    model = net(device)
    tg.save(tmp_path / "weights.safetensors", model.state_dict())
    found = tg.load(tmp_path / "weights.safetensors")
    for name, tensor in model.state_dict().items():
        assert found[name].device == "cpu"
        same(found[name], tensor)
    other = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(device)
    other.load_state_dict(found)
    assert {parameter.device for parameter in other.parameters()} == {device}


# ------------------------------------------------------------------------------ tensors at large

MAKERS: dict[str, Callable[[], Any]] = {
    "arange": lambda: tg.arange(3),
    "eye": lambda: tg.eye(2),
    "full": lambda: tg.full((2,), 3.0),
    "linspace": lambda: tg.linspace(0, 1, 3),
    "ones_like": lambda: tg.ones_like(tg.zeros(2)),
    "rand": lambda: tg.rand(3),
    "randint": lambda: tg.randint(0, 5, (3,)),
    "randn_like": lambda: tg.randn_like(tg.zeros(2)),
    "randperm": lambda: tg.randperm(4),
    "bernoulli": lambda: tg.bernoulli(tg.full((3,), 0.5)),
    "tensor": lambda: tg.tensor([1.0, 2.0]),
    "tril": lambda: tg.tril(tg.ones((2, 2))),
    "tril_indices": lambda: tg.stack(list(tg.tril_indices(3))),
    "meshgrid": lambda: tg.meshgrid(tg.arange(2), tg.arange(3))[0],
    "one_hot": lambda: tg.one_hot(tg.tensor([0, 2])),
    "nonzero": lambda: tg.nonzero(tg.tensor([0, 1, 2]))[0],
    "unique": lambda: tg.unique(tg.tensor([2, 1, 2])),
    "searchsorted": lambda: tg.searchsorted(tg.arange(3.0), tg.tensor([0.5, 1.5])),
    "linear": lambda: nn.Linear(2, 3)(tg.ones((1, 2))),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_lies_on_the_default_device(name: str, default_device: str) -> None:
    results = []
    for place in (default_device, "cpu"):
        tg.set_default_device(place)
        tg.manual_seed(0)
        results.append(MAKERS[name]())
        assert results[-1].device == place
    same(*results, bound=1e-6)


def test_a_tensor_shows_and_copies_itself(device: str) -> None:
    x = tg.tensor([1.0, 2.0], device=device, requires_grad=True)
    assert f"tensor([1., 2.], shape=(2,), dtype=float32, device='{device}'" in repr(x)
    assert copy.deepcopy(x).device == x.copy().device == x.detach().device == device
    assert isinstance(x.numpy(), np.ndarray)
    assert (x.tolist(), x[1].item(), float(x.sum()), len(x)) == ([1.0, 2.0], 2.0, 3.0, 2)
    assert [float(part) for part in x] == [1.0, 2.0]
    with pytest.raises(TypeError, match=r"is on cuda:0; t.numpy\(\) brings it to the CPU"):
        np.asarray(x)


def test_writing_in_place(device: str) -> None:
    x = tg.zeros((3, 2), device=device)
    x[0], x[1:, 1] = 1.0, tg.tensor([2.0, 3.0], device=device)
    x += 1.0
    x[x > 2] = 0.0
    x[[0, 2], 0] = 7.0
    assert x.tolist() == [[7.0, 2.0], [1.0, 0.0], [7.0, 0.0]]


def test_higher_derivatives(device: str) -> None:
    x = tg.tensor([0.3, 0.7], dtype=tg.float64, device=device, requires_grad=True)
    assert gradcheck(lambda x: (x.tanh() * x.sum()).exp(), [x], 2)
    for transform in (tg.hessian, tg.jacobian):
        found, wanted = (transform(lambda x: (x**3).sum(), y) for y in (x, x.to("cpu").detach()))
        assert found.device == device
        same(found, wanted)
    value, change = tg.jvp(lambda x: x.sin(), x, tg.ones_like(x))
    assert value.device == change.device == device


def test_checkpointing_and_anomalies(device: str) -> None:
    x = tg.tensor([1.0, -1.0], device=device, requires_grad=True)
    tg.checkpoint(lambda x: x.exp().sum(), x).backward()
    same(x.grad, tg.tensor([1.0, -1.0]).exp(), 1e-6)
    with pytest.raises(RuntimeError, match=r"log"), tg.detect_anomaly():
        x.log().sum().backward()

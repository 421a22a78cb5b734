"""State dicts of every kind: what they hand out, and loads that read what they write."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.optim import lr_scheduler

OPTIMIZERS = [
    kind
    for name in optim.__all__
    if isinstance(kind := getattr(optim, name), type)
    and issubclass(kind, optim.Optimizer)
    and kind is not optim.Optimizer
]
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adam": {"amsgrad": True},
}
SCHEDULES: dict[str, Any] = {
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.StepLR(o, 2), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "ConstantLR": lr_scheduler.ConstantLR,
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, math.exp),
    "LinearLR": lr_scheduler.LinearLR,
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 4]),
    "NoamLR": lambda o: lr_scheduler.NoamLR(o, 8, 3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 20),
    "ReduceLROnPlateau": lr_scheduler.ReduceLROnPlateau,
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.StepLR(o, 2)], [3]
    ),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
}
MODULES: dict[str, Any] = {
    "linear": lambda: nn.Linear(4, 4),
    "convolution and batch norm": lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)),
    "shared": lambda: nn.ModuleList([shared := nn.Linear(3, 3), shared]),
    "spectral norm": lambda: nn.spectral_norm(nn.Linear(3, 3)),
    "weight norm": lambda: nn.weight_norm(nn.Linear(3, 3)),
    "LSTM": lambda: nn.LSTM(3, 3, 2),
    "transformer": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "embedding": lambda: nn.Embedding(5, 3),
}


def plain(state: Any) -> Any:
    """A state as nested lists and numbers, to be compared."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list):
        return [plain(value) for value in state]
    return np.asarray(state).tolist() if isinstance(state, tg.Tensor) else state


def trained(kind: Any) -> tuple[list[nn.Parameter], Any]:
    """Parameters in two groups, two of them alike, and an optimizer after two steps."""
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (3, 4), (5,), ()]
    parameters = [nn.Parameter(tg.tensor(rng.normal(size=s)).astype(tg.float32)) for s in shapes]
    parameters[1].data = tg.tensor(np.asfortranarray(parameters[1].numpy()))
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.02}]
    optimizer = kind(groups, lr=0.1, **OPTIONS.get(kind.__name__, {}))
    for _ in range(2):
        step(parameters, optimizer, rng)
    return parameters, optimizer


def step(parameters: list[nn.Parameter], optimizer: Any, rng: Any) -> None:
    for p in parameters:
        p.grad = tg.tensor(rng.normal(size=p.shape)).astype(p.dtype)
    optimizer.step()


# ------------------------------------------------------------------------------- optimizers


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_that_loads_its_own_state_keeps_it_and_goes_on(kind: Any) -> None:
    parameters, optimizer = trained(kind)
    others, twin = trained(kind)
    before = plain(optimizer.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())
    assert plain(optimizer.state_dict()) == before
    for which in ((parameters, optimizer), (others, twin)):
        step(*which, np.random.default_rng(1))
    assert plain(optimizer.state_dict()) == plain(twin.state_dict())
    assert [p.tolist() for p in parameters] == [p.tolist() for p in others]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_moments_of_two_parameters_can_be_exchanged_in_the_live_state(kind: Any) -> None:
    _, optimizer = trained(kind)
    state = optimizer.state_dict()
    first, second = plain(state["state"][0]), plain(state["state"][1])
    state["state"][0], state["state"][1] = state["state"][1], state["state"][0]
    optimizer.load_state_dict(state)
    assert plain(optimizer.state_dict()["state"][0]) == second
    assert plain(optimizer.state_dict()["state"][1]) == first


def test_moments_may_be_overlapping_views_of_the_optimizers_own_memory() -> None:
    parameter = nn.Parameter(tg.zeros(6))
    optimizer = optim.SGD([parameter], momentum=0.5)
    parameter.grad = tg.arange(6.0)
    optimizer.step()
    state = optimizer.state_dict()
    live = state["state"][0]["momentum_buffer"]._data
    state["state"][0]["momentum_buffer"] = live[::-1]
    optimizer.load_state_dict(state)
    assert optimizer.state[parameter]["momentum_buffer"].tolist() == [5, 4, 3, 2, 1, 0]
    window = np.lib.stride_tricks.sliding_window_view(live, 3)
    whole = nn.Parameter(tg.zeros((4, 3)))
    other = optim.SGD([whole], momentum=0.5)
    other.load_state_dict({**other.state_dict(), "state": {0: {"momentum_buffer": window}}})
    expected = [[5, 4, 3], [4, 3, 2], [3, 2, 1], [2, 1, 0]]
    assert other.state[whole]["momentum_buffer"].tolist() == expected


def test_moments_are_live_and_options_and_numbers_are_copies() -> None:
    parameters, optimizer = trained(optim.NAdam)
    optimizer.param_groups[0]["betas"] = betas = [0.8, 0.9]
    state = optimizer.state_dict()
    numbers = [plain(state["state"][0][name]) for name in ("step", "mu_product")]
    moment = plain(state["state"][0]["exp_avg"])
    betas[0] = 0.0
    step(parameters, optimizer, np.random.default_rng(1))
    assert state["param_groups"][0]["betas"] == [0.8, 0.9]
    assert [plain(state["state"][0][name]) for name in ("step", "mu_product")] == numbers
    assert plain(state["state"][0]["exp_avg"]) != moment
    assert plain(state["state"][0]["exp_avg"]) == plain(optimizer.state[parameters[0]]["exp_avg"])


def test_a_state_that_was_loaded_shares_nothing_with_the_optimizer() -> None:
    _, optimizer = trained(optim.Adam)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["betas"] = [0.8, 0.9]
    optimizer.load_state_dict(state)
    state["param_groups"][0]["betas"][0] = 0.0
    state["state"][0]["exp_avg"].data[...] = 7.0
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)
    assert 7.0 not in np.asarray(optimizer.state_dict()["state"][0]["exp_avg"])


def _at(*path: Any, value: Any) -> Any:
    def spoil(state: Any) -> None:
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _at("param_groups", 1, "lr", value=-1.0),
        _at("param_groups", 1, "params", value=[3, 4]),
        _at("state", 3, "exp_avg", value=tg.zeros(2)),
        _at("state", 3, "exp_avg", value="words"),
        _at("state", 3, "step", value="words"),
        _at("state", 3, "step", value=tg.zeros(2)),
        _at("state", 3, "mu_product", value=tg.zeros(2)),
    ],
)
def test_a_load_that_fails_at_the_last_parameter_changes_nothing(spoil: Any) -> None:
    _, optimizer = trained(optim.NAdam)
    before = plain(optimizer.state_dict())
    parameters, other = trained(optim.NAdam)
    step(parameters, other, np.random.default_rng(1))
    state = copy.deepcopy(other.state_dict())
    state["param_groups"][0]["lr"] = 0.7
    spoil(state)
    with pytest.raises((ValueError, TypeError)):
        optimizer.load_state_dict(state)
    assert plain(optimizer.state_dict()) == before


# ------------------------------------------------------------------------------- modules, averages


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("flat", [False, True])
def test_a_module_that_loads_its_own_state_keeps_it(name: str, flat: bool) -> None:
    tg.manual_seed(0)
    module = MODULES[name]()
    optimizer = optim.SGD(module.parameters()) if flat else None  # one vector holds all
    before = plain(module.state_dict())
    module.load_state_dict(module.state_dict())
    assert plain(module.state_dict()) == before
    del optimizer


@pytest.mark.parametrize("flat", [False, True])
def test_layers_can_be_exchanged_in_the_live_state(flat: bool) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    optimizer = optim.SGD(module.parameters()) if flat else None
    first, second = (plain(layer.state_dict()) for layer in module)
    state = module.state_dict()
    module.load_state_dict({f"{1 - int(name[0])}{name[1:]}": t for name, t in state.items()})
    assert [plain(layer.state_dict()) for layer in module] == [second, first]
    del optimizer


def test_values_may_be_overlapping_views_of_the_modules_own_memory() -> None:
    layer = nn.Linear(3, 3)
    weight = layer.weight.numpy().copy()
    live = layer.weight.detach()
    layer.load_state_dict({"weight": live.T, "bias": live[:, 1]})
    np.testing.assert_array_equal(layer.weight.numpy(), weight.T)
    np.testing.assert_array_equal(layer.bias.numpy(), weight[:, 1])
    line = np.arange(9.0, dtype=np.float32)
    layer.weight = nn.Parameter(tg.asarray(line.reshape(3, 3)))
    shifted = np.lib.stride_tricks.sliding_window_view(line, 3)[1:4]
    layer.load_state_dict({"weight": shifted}, strict=False)
    assert layer.weight.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_a_read_only_parameter_is_named_and_nothing_is_written() -> None:
    layer = nn.Linear(2, 2)
    frozen = np.ones(2, np.float32)
    frozen.flags.writeable = False
    layer.bias = nn.Parameter(frozen)
    before = plain(layer.state_dict())
    with pytest.raises(RuntimeError, match="bias: the array here is read-only"):
        layer.load_state_dict({"weight": tg.zeros((2, 2)), "bias": tg.zeros(2)})
    assert plain(layer.state_dict()) == before


def test_an_average_loads_its_own_state_its_models_and_nothing_by_halves() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = optim.EMA(model, 0.5)
    model[0].weight.copy_(3.0)
    ema.update()
    before = plain(ema.state_dict())
    ema.load_state_dict(ema.state_dict())
    assert plain(ema.state_dict()) == before
    for state, error in (
        ({"model": model.state_dict()}, KeyError),
        ({"updates": "words", "model": model.state_dict()}, ValueError),
        ({"updates": 9, "model": {**model.state_dict(), "1.bias": tg.zeros(3)}}, RuntimeError),
    ):
        with pytest.raises(error):
            ema.load_state_dict(state)
        assert plain(ema.state_dict()) == before
    with ema.average():
        ema.load_state_dict(ema.state_dict())
        assert plain(model.state_dict()) == before["model"]
    ema.load_state_dict({"updates": 0, "model": model.state_dict()})
    assert plain(ema.model.state_dict()) == plain(model.state_dict())
    assert plain(ema.state_dict()) != before


# ------------------------------------------------------------------------------- counters of norms


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d]
)
def test_a_strict_load_forgives_a_missing_count_of_batches(norm: Any) -> None:
    """PyTorch's `_NormBase._load_from_state_dict`: the count is left as it is."""
    norms = nn.Sequential(norm(3, track_running_stats=True), norm(3, track_running_stats=True))
    norms[1].num_batches_tracked.copy_(4)
    state = {k: v for k, v in copy.deepcopy(norms.state_dict()).items() if "num_b" not in k}
    state["0.running_mean"] = tg.full(3, 2.0)
    assert norms.load_state_dict(state) == ([], [])
    assert norms[0].running_mean.tolist() == [2.0] * 3
    assert [int(layer.num_batches_tracked) for layer in norms] == [0, 4]
    del state["1.running_var"]
    with pytest.raises(RuntimeError, match=r"missing: 1\.running_var$"):
        norms.load_state_dict(state)


def test_another_layers_count_is_not_forgiven() -> None:
    layer = nn.Linear(2, 2)
    layer.register_buffer("num_batches_tracked", tg.tensor(0))
    with pytest.raises(RuntimeError, match="missing: num_batches_tracked"):
        layer.load_state_dict(nn.Linear(2, 2).state_dict())


# ------------------------------------------------------------------------------- numbers alone


def test_every_schedule_is_tried() -> None:
    assert SCHEDULES.keys() == set(lr_scheduler.__all__) - {"LRScheduler"}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedules_state_is_a_copy_that_it_may_load(name: str) -> None:
    optimizer = optim.SGD([nn.Parameter(tg.ones(1))], lr=0.1)
    schedule = SCHEDULES[name](optimizer)
    numbers = (1.0,) if name == "ReduceLROnPlateau" else ()
    schedule.step(*numbers)
    before, state = copy.deepcopy(schedule.state_dict()), schedule.state_dict()
    schedule.load_state_dict(state)
    for value in state.values():
        if isinstance(value, list):
            value.clear()
    assert schedule.state_dict() == before
    with pytest.raises(ValueError, match="load_state_dict"):
        schedule.load_state_dict({"last_epoch": 9})
    assert schedule.state_dict() == before
    schedule.step(*numbers)
    assert schedule.last_epoch == before["last_epoch"] + 1


def test_a_generators_state_is_a_copy_and_a_wrong_one_is_refused_as_a_whole() -> None:
    generator = tg.Generator(0)
    state = generator.get_state()
    generator.set_state(generator.get_state())
    first = generator.normal(3).tolist()
    assert state != generator.get_state()
    generator.set_state(state)
    before = generator.get_state()
    for wrong in (
        {},
        None,
        {**state, "bit_generator": "MT19937"},
        {**state, "state": {"state": 1}},
        {**state, "state": {"state": -1, "inc": 1}},
        {**state, "has_uint32": "words"},
        {"bit_generator": "PCG64", "state": {"state": 1, "inc": 1}},
    ):
        with pytest.raises(ValueError, match="set_state: this is not a state of a Generator"):
            generator.set_state(wrong)
        assert generator.get_state() == before
    assert generator.normal(3).tolist() == first


def test_a_loaders_position_is_a_copy_and_a_wrong_one_is_refused_as_a_whole() -> None:
    loader = data.DataLoader(data.TensorDataset(tg.arange(6)), 2, shuffle=True)
    next(iter(loader))
    before, state = loader.state_dict(), loader.state_dict()
    loader.load_state_dict(state)
    state["epoch"] = 7
    assert loader.state_dict() == before
    for wrong in (
        {**before, "epoch": -1},
        {**before, "batch": 4},
        {**before, "batch": -1},
        {**before, "epoch": 1.5},
        {**before, "epoch": 5, "batch": "words"},
        {name: value for name, value in before.items() if name != "batch"},
        {name: value for name, value in before.items() if name != "seed"},
    ):
        with pytest.raises(ValueError, match="DataLoader: the position"):
            loader.load_state_dict(wrong)
        assert loader.state_dict() == before

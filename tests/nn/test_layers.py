"""The layers: values, shapes, initial distributions, and how a chain behaves."""

import inspect
import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn

# ------------------------------------------------------------------------------- Linear


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0,)])
def test_linear_is_x_wt_plus_b_on_the_last_axis(lead):
    tg.manual_seed(0)
    layer = nn.Linear(4, 3)
    x = np.random.default_rng(0).standard_normal((*lead, 4)).astype(np.float32)
    out = layer(tg.tensor(x))
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    assert out.shape == (*lead, 3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_linear_without_bias_and_in_another_dtype():
    layer = nn.Linear(4, 3, bias=False, dtype=tg.float64)
    assert layer.bias is None
    assert layer.weight.dtype == np.float64
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Linear(in_features=4, out_features=3, bias=False)"


def test_linear_is_drawn_evenly_between_minus_and_plus_one_over_root_in():
    tg.manual_seed(1)
    layer = nn.Linear(400, 500)
    bound = 1 / math.sqrt(400)
    for parameter in layer.parameters():
        values = parameter.numpy().ravel()
        assert abs(values).max() <= bound
        assert abs(values).max() > 0.98 * bound
        assert abs(values.mean()) < 4 * bound / math.sqrt(3 * values.size)
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.1


def test_the_same_seed_gives_the_same_layers():
    tg.manual_seed(3)
    first = nn.Linear(5, 5)
    tg.manual_seed(3)
    second = nn.Linear(5, 5)
    assert (first.weight.numpy() == second.weight.numpy()).all()
    assert (first.bias.numpy() == second.bias.numpy()).all()


def test_linear_with_no_inputs_gives_its_bias_of_zeros():
    assert nn.Linear(0, 2)(tg.zeros((3, 0))).tolist() == [[0.0, 0.0]] * 3


def test_linear_names_the_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(3, 5\).*\(2, 4\)"):
        nn.Linear(4, 2)(tg.zeros((3, 5)))


# ------------------------------------------------------------------------------- activations


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh),
    ],
)
def test_an_activation_is_its_function(layer, function):
    x = np.linspace(-4, 4, 21)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), function(x), rtol=1e-12)
    assert not list(layer.parameters())


# ------------------------------------------------------------------------------- Sequential


def test_a_chain_applies_its_modules_in_order():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tg.ones((5, 3))
    assert (net(x).numpy() == net[2](net[1](net[0](x))).numpy()).all()
    assert nn.Sequential()(x) is x


def test_a_chain_is_indexed_sliced_counted_and_iterated_over():
    parts = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh()]
    net = nn.Sequential(*parts)
    assert len(net) == 4
    assert list(net) == parts
    assert net[0] is parts[0]
    assert net[-1] is parts[3]
    tail = net[2:]
    assert type(tail) is nn.Sequential
    assert list(tail) == parts[2:]
    assert list(tail.state_dict()) == ["2.weight", "2.bias"]
    with pytest.raises(IndexError, match="no module 4, it has 4"):
        net[4]


def test_a_chain_grows_by_append():
    net = nn.Sequential(nn.ReLU())
    assert net.append(nn.Linear(2, 1)) is net
    assert list(net.state_dict()) == ["1.weight", "1.bias"]


def test_a_chain_takes_its_names_from_an_ordered_dict():
    net = nn.Sequential(OrderedDict(inner=nn.Linear(2, 3), act=nn.ReLU()))
    assert list(net.state_dict()) == ["inner.weight", "inner.bias"]
    assert net.inner is net[0]


def test_one_module_may_stand_in_a_chain_twice():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(net) == 3
    assert len(list(net.parameters())) == 2


def test_a_class_in_the_place_of_a_module_is_pointed_out():
    with pytest.raises(TypeError, match=r"part 1 is a type.*nn.ReLU\(\)"):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.ReLU()(), r"ReLU.forward\(\) missing 1 required positional argument: 'x'"),
        (lambda: nn.MaxPool2d(2)(), r"MaxPool2d.forward\(\) missing 1 required"),
        (lambda: nn.Conv2d(1, 1), r"Conv2d.__init__\(\) missing 1 required .*'kernel_size'"),
        (lambda: nn.Conv2d(1, 1, 1)(), r"Conv2d.forward\(\) missing 1 required"),
        (lambda: nn.LSTM(2), r"LSTM.__init__\(\) missing 1 required .*'hidden_size'"),
        (lambda: F.conv2d(*range(9)), r"conv2d\(\) takes at most 7 .* 9 were given"),
        (lambda: F.max_pool1d(1), r"max_pool1d\(\) missing 1 required .*'kernel_size'"),
    ],
)
def test_python_names_the_layer_or_function_whose_arguments_are_wrong(call, words):
    with pytest.raises(TypeError, match=f"^{words}"):
        call()


def test_every_layers_own_name_is_in_pythons_errors():
    for name in nn.__all__:
        layer = getattr(nn, name)
        if isinstance(layer, type) and issubclass(layer, nn.Module):
            for method in (layer.__init__, layer.forward):
                owner = method.__qualname__.partition(".")[0]
                assert hasattr(nn, owner), f"{name}: {method.__qualname__}"


def built(layer: type[nn.Module]) -> nn.Module | None:
    """A layer whose required arguments are 4; None if it has none, or others than numbers."""
    needed = [
        parameter
        for parameter in list(inspect.signature(layer.__init__).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_POSITIONAL
    ]
    if not all(parameter.annotation in ("int", "PerAxis") for parameter in needed) or not needed:
        return None
    return layer(*[4] * len(needed))


def test_building_a_layer_reads_no_uninitialised_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = np.empty

    def poisoned(*args: Any, **kwargs: Any) -> Any:
        memory = reserve(*args, **kwargs)
        if memory.dtype.kind == "f":
            memory[...] = np.nan
        return memory

    monkeypatch.setattr(np, "empty", poisoned)
    layers = [kind for kind in vars(nn).values() if inspect.isclass(kind)]
    with tg.detect_anomaly():
        models = [built(kind) for kind in layers if issubclass(kind, nn.Module)]
    learned = [model for model in models if model is not None and list(model.parameters())]
    assert {"Linear", "LSTM", "MultiheadAttention", "Conv2d"} <= {type(m).__name__ for m in learned}
    for model in learned:
        assert all(tg.isfinite(parameter).all() for parameter in model.parameters()), model

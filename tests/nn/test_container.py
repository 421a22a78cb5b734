"""Lists and dicts of modules and parameters, and modules without initial values."""

from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim


def linears(count):
    return [nn.Linear(2, 2) for _ in range(count)]


# ------------------------------------------------------------------------------- lists


@pytest.mark.parametrize("kind", [nn.ModuleList, lambda parts: nn.Sequential(*parts)])
def test_a_container_behaves_as_a_python_list(kind):
    """The same changes are made to a list; the names are always the positions."""
    parts = linears(3)
    held, plain = kind(parts), list(parts)
    extra = linears(6)
    for target in (held, plain):
        target.append(extra[0])
        target.insert(1, extra[1])
        target.insert(-1, extra[2])
        target.extend(extra[3:5])
        target[2] = extra[5]
        target[-1] = extra[1]
        del target[0]
        del target[1:3]
        assert target.pop() is extra[1]
        target.pop(0)
    assert list(held) == plain
    assert [held[i] for i in range(-len(held), len(held))] == plain + plain
    assert list(held[1:]) == plain[1:]
    names = [name for i in range(len(plain)) for name in (f"{i}.weight", f"{i}.bias")]
    assert list(held.state_dict()) == names


def test_lists_are_added():
    a, b = linears(2), linears(1)
    joined = nn.ModuleList(a) + b
    assert list(joined) == a + b
    grown = nn.ModuleList(a)
    grown += b
    assert list(grown) == a + b


def test_a_module_in_a_list_is_found_by_everything():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(linears(2))
            self.scales = nn.ParameterList([tg.ones(2), nn.Parameter(tg.zeros(2))])
            self.heads = nn.ModuleDict({"a": nn.Linear(2, 1)})

        def forward(self, x):
            for block, scale in zip(self.blocks, self.scales, strict=True):
                x = block(x) * scale
            return self.heads["a"](x)

    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        *("blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias"),
        *("scales.0", "scales.1", "heads.a.weight", "heads.a.bias"),
    ]
    net(tg.ones((3, 2))).sum().backward()
    optim.SGD(net.parameters(), lr=0.1).step()
    twin = copy.deepcopy(net).to(tg.float64)
    assert {p.dtype for p in twin.parameters()} == {np.dtype("float64")}
    assert {p.dtype for p in net.parameters()} == {np.dtype("float32")}
    assert not net.eval().blocks[1].training


def test_a_list_is_printed_with_equal_neighbours_rolled_up():
    blocks = nn.ModuleList([*linears(2), nn.ReLU(), nn.ReLU(), nn.Tanh()])
    assert repr(blocks).splitlines() == [
        "ModuleList(",
        "  (0-1): 2 × Linear(in_features=2, out_features=2, bias=True)",
        "  (2-3): 2 × ReLU()",
        "  (4): Tanh()",
        ")",
    ]
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_what_does_not_belong_into_a_container_is_named():
    with pytest.raises(TypeError, match=r"ModuleList: part 0 is a type.*nn.ReLU\(\)"):
        nn.ModuleList([nn.ReLU])
    with pytest.raises(TypeError, match="ParameterList: part 1 is a float, not a Parameter"):
        nn.ParameterList([tg.ones(2), 1.0])
    with pytest.raises(TypeError, match="ModuleList: part 0 is a int"):
        nn.ModuleList(linears(1))[0] = 3
    with pytest.raises(IndexError, match="ModuleList: there is no module 2, it has 2"):
        nn.ModuleList(linears(2))[2]
    with pytest.raises(IndexError, match="ParameterList: there is no parameter 0, it has 0"):
        del nn.ParameterList()[0]
    with pytest.raises(NotImplementedError, match="ModuleList: there is no forward"):
        nn.ModuleList(linears(1))(tg.ones((1, 2)))


def test_a_list_of_parameters_is_trained():
    weights = nn.ParameterList([tg.ones((2, 3)), tg.ones((3, 1))])
    assert repr(weights) == "ParameterList((0): (2, 3), (1): (3, 1))"
    (tg.ones((4, 2)) @ weights[0] @ weights[1]).sum().backward()
    assert weights[0].grad.tolist() == [[4.0] * 3] * 2
    assert weights[1].grad.tolist() == [[8.0]] * 3


# ------------------------------------------------------------------------------- dicts


def test_a_dict_of_modules_behaves_as_a_dict():
    first, second, third = linears(3)
    held = nn.ModuleDict({"a": first})
    held["b"] = second
    held.update(OrderedDict(c=third, a=second))
    assert list(held) == list(held.keys()) == ["a", "b", "c"]
    assert list(held.values()) == [second, second, third]
    assert list(held.items())[2] == ("c", third)
    assert ("b" in held, "weight" in held, len(held)) == (True, False, 3)
    assert held.pop("b") is second
    del held["a"]
    assert list(held.state_dict()) == ["c.weight", "c.bias"]
    held.clear()
    assert len(held) == 0


def test_a_dict_of_modules_names_what_it_has_not():
    held = nn.ModuleDict({"a": nn.ReLU()})
    with pytest.raises(KeyError, match="there is no 'b', only a"):
        held["b"]
    with pytest.raises(KeyError, match="there is no 'b', only a"):
        del held["b"]
    with pytest.raises(KeyError, match="has an attribute 'keys' already"):
        held["keys"] = nn.ReLU()
    with pytest.raises(TypeError, match=r"'b' is a type, not a Module; .*nn.ReLU\(\)"):
        held["b"] = nn.ReLU


# ------------------------------------------------------------------------------- no_init


def test_a_module_built_without_values_takes_those_of_a_state_dict():
    source = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    state = tg.random.default_generator().get_state()
    with nn.no_init():
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    assert tg.random.default_generator().get_state() == state
    for parameter in net.parameters():
        assert not any(parameter.data.numpy().strides)
        assert parameter.requires_grad
    net.load_state_dict(source.state_dict())
    x = tg.ones((5, 3))
    assert np.array_equal(net(x).detach(), source(x).detach())
    net(x).sum().backward()
    optim.SGD(net.parameters(), lr=0.1).step()
    assert not np.array_equal(net[0].weight.detach(), source[0].weight.detach())
    assert source[0].weight.data.numpy().flags.writeable


def test_a_parameter_without_values_is_not_written_into_by_mistake():
    with nn.no_init():
        layer = nn.Linear(3, 4)
    with pytest.raises(ValueError, match="read-only"):
        nn.init.ones_(layer.weight)
    assert (layer.weight.detach().numpy() == 0).all()

"""Module and Parameter: the tree, its state, its frames, and its errors."""

import copy
import gc
import weakref

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.engine.modes import scope
from tinygrad_gm.engine.record import topological_order


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.chain = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.scale = nn.Parameter(tg.ones(2))
        self.register_buffer("mean", tg.zeros(2))
        self.register_buffer("cache", tg.zeros(2), persistent=False)
        self.label = "not a part"

    def forward(self, x):
        return self.chain(self.first(x)) * self.scale + self.mean


NAMES = ["scale", "first.weight", "first.bias", "chain.1.weight", "chain.1.bias"]


# ------------------------------------------------------------------------------- Parameter


def test_a_parameter_shares_the_memory_of_the_tensor_it_is_made_of():
    values = tg.ones((2, 3))
    parameter = nn.Parameter(values)
    assert parameter._data is values._data
    assert parameter.requires_grad
    assert not values.requires_grad


def test_a_parameter_made_of_a_recorded_result_has_memory_of_its_own():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    parameter = nn.Parameter(y)
    parameter.data[...] = 0.0
    assert parameter.is_leaf
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)


def test_results_of_operations_on_parameters_are_plain_tensors():
    weight = nn.Parameter(tg.ones(2))
    for result in (weight * 2, 2 - weight, weight.reshape(2, 1), weight.detach(), weight.copy()):
        assert type(result) is tg.Tensor


def test_an_integer_parameter_is_refused_unless_it_needs_no_gradient():
    with pytest.raises(TypeError, match="int64"):
        nn.Parameter(tg.arange(3))
    assert nn.Parameter(tg.arange(3), requires_grad=False).tolist() == [0, 1, 2]


def test_a_deep_copy_of_a_parameter_is_an_independent_parameter():
    weight = nn.Parameter(tg.ones(2))
    twin = copy.deepcopy(weight)
    twin.data[...] = 5.0
    assert type(twin) is nn.Parameter
    assert twin.requires_grad
    assert weight.tolist() == [1.0, 1.0]


# ------------------------------------------------------------------------------- the tree


def test_names_come_in_order_own_parts_first_then_children():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in net.named_parameters("net")][1] == "net.first.weight"
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    assert [name for name, _ in net.named_children()] == ["first", "chain"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "chain", "chain.0", "chain.1"]
    assert next(iter(net.modules())) is net
    assert [type(child) for child in net.children()] == [nn.Linear, nn.Sequential]
    assert sum(p.size for p in net.parameters()) == 3 * 4 + 4 + 4 * 2 + 2 + 2
    assert [b.shape for b in net.buffers()] == [(2,), (2,)]


def test_a_shared_parameter_is_listed_once_and_saved_under_each_name():
    net = Net()
    net.twin = net.first
    net.chain[1].bias = net.scale
    assert [name for name, _ in net.named_parameters()] == NAMES[:-1]
    assert [name for name, _ in net.named_children()] == ["first", "chain"]
    assert {"scale", "chain.1.bias", "first.weight", "twin.weight"} <= set(net.state_dict())


def test_a_parameter_can_be_replaced_by_a_parameter_or_none_only():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"weight is a Parameter.*not a Tensor.*module.weight.data"):
        layer.weight = tg.zeros((2, 2))
    layer.weight = nn.Parameter(tg.zeros((2, 2)))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer(tg.ones(2)).tolist() == [0.0, 0.0]


def test_a_child_or_buffer_is_not_silently_replaced_by_something_else():
    net = Net()
    with pytest.raises(TypeError, match="first is a Module"):
        net.first = 3
    with pytest.raises(TypeError, match="mean is a buffer"):
        net.mean = 3
    net.mean = tg.ones(2)
    assert dict(net.named_buffers())["mean"].tolist() == [1.0, 1.0]
    del net.mean
    assert [name for name, _ in net.named_buffers()] == ["cache"]


def test_parts_are_registered_by_name():
    net = Net()
    net.register_parameter("shift", nn.Parameter(tg.zeros(2)))
    net.register_parameter("nothing", None)
    net.register_buffer("none", None)
    assert "shift" in dict(net.named_parameters())
    assert net.nothing is None
    assert "none" not in net.state_dict()
    for name in ("", "a.b", "forward", "scale"):
        with pytest.raises(KeyError):
            net.register_parameter(name, None)
    with pytest.raises(TypeError, match="a Parameter or None"):
        net.register_parameter("plain", tg.zeros(2))
    with pytest.raises(TypeError, match="a Tensor or None"):
        net.register_buffer("array", np.zeros(2))


def test_forgetting_super_init_gives_an_error_that_says_so():
    class Forgetful(nn.Module):
        def __init__(self, early):
            if early:
                self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"cannot assign 'layer' yet.*super\(\).__init__\(\)"):
        Forgetful(early=True)
    with pytest.raises(AttributeError, match=r"cannot be called yet.*super\(\).__init__\(\)"):
        Forgetful(early=False)(1)


def test_a_module_without_forward_says_that_it_is_missing():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty: there is no forward"):
        Empty()(1)


def test_the_mode_is_set_everywhere_below():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train().chain[0].training


def test_freezing_and_clearing_gradients_reach_every_parameter():
    net = Net()
    net(tg.ones((1, 3))).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.first.requires_grad_(False)
    net(tg.ones((1, 3))).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == NAMES[1:3]


def test_clearing_a_recorded_gradient_leaves_the_record_alone():
    layer = nn.Linear(2, 1, bias=False)
    (layer(tg.ones(2)) ** 3).sum().backward(create_graph=True)
    penalty = (layer.weight.grad * layer.weight.grad).sum()
    slope = layer.weight.grad.numpy().copy()
    layer.zero_grad(set_to_none=False)
    assert not layer.weight.grad.numpy().any()
    total = layer.weight.numpy().sum()
    np.testing.assert_allclose(slope, 3 * total**2 * np.ones((1, 2)), rtol=1e-5)
    (second,) = tg.grad(penalty, layer.weight)  # penalty = 18 s⁴, s the sum of the weights
    np.testing.assert_allclose(second.numpy(), 72 * total**3 * np.ones((1, 2)), rtol=1e-5)


def test_apply_visits_children_before_their_parent():
    seen = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_to_changes_the_floating_parts_and_keeps_the_parameter_objects():
    net = Net()
    net.register_buffer("count", tg.tensor(3))
    net(tg.ones((1, 3))).sum().backward()
    before = list(net.parameters())
    values = [p.numpy().copy() for p in before]
    net.to(tg.float64)
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert net.mean.dtype == np.float64
    assert net.count.dtype == np.int64
    assert all((p.numpy() == v).all() for p, v in zip(before, values, strict=True))
    assert net(tg.ones((1, 3), dtype=tg.float64)).dtype == np.float64
    assert net.to("cpu") is net


def test_a_deep_copy_is_independent_and_keeps_sharing_within_itself():
    net = Net()
    net.chain[1].bias = net.scale
    twin = copy.deepcopy(net)
    assert twin.chain[1].bias is twin.scale
    twin.scale.data[...] = 7.0
    assert net.scale.tolist() == [1.0, 1.0]
    assert [name for name, _ in twin.named_parameters()] == NAMES[:-1]
    assert twin(tg.ones((1, 3))).shape == (1, 2)


def test_the_repr_is_a_tree():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (chain): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )


# ------------------------------------------------------------------------------- the state


def test_the_state_shares_memory_and_leaves_out_what_is_not_persistent():
    net = Net()
    state = net.state_dict()
    assert list(state) == ["scale", "mean", *NAMES[1:]]
    assert all(type(t) is tg.Tensor and not t.requires_grad for t in state.values())
    net.scale.data[...] = 3.0
    assert state["scale"].tolist() == [3.0, 3.0]
    assert next(iter(net.state_dict("net."))) == "net.scale"


def test_a_state_is_loaded_in_place_and_counts_as_a_write():
    net, other = Net(), Net()
    arrays = [p._data for p in net.parameters()]
    loss = (net(tg.ones((1, 3))) ** 2).sum()
    result = net.load_state_dict({n: t.numpy() for n, t in other.state_dict().items()})
    assert result == ([], [])
    assert all(p._data is array for p, array in zip(net.parameters(), arrays, strict=True))
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(RuntimeError, match="written since"):
        loss.backward()


def test_loading_converts_floats_to_the_parameters_dtype():
    layer = nn.Linear(2, 1)
    state = {"weight": np.array([[0.1, 0.2]]), "bias": np.array([1])}
    layer.load_state_dict(state)
    assert layer.weight.dtype == np.float32
    assert layer.bias.tolist() == [1.0]


def test_a_state_that_does_not_fit_is_refused_as_a_whole_with_every_reason():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    state = copy.deepcopy(net.state_dict())
    state["scale"].data[...] = 9.0
    state["first.weight"] = tg.zeros((4, 4))
    state["stranger"] = tg.zeros(1)
    del state["mean"]
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    for words in (
        "does not fit Net",
        "missing: mean",
        "unexpected: stranger",
        "first.weight: (4, 4) in the state, (4, 3) here",
    ):
        assert words in str(error.value)
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name].numpy())


def test_a_loose_load_passes_over_names_but_not_over_shapes():
    net = Net()
    missing, unexpected = net.load_state_dict({"scale": tg.full(2, 4.0), "x": 1}, strict=False)
    assert missing == ["mean", *NAMES[1:]]
    assert unexpected == ["x"]
    assert net.scale.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match=r"scale: \(3,\)"):
        net.load_state_dict({"scale": tg.zeros(3)}, strict=False)


def test_floats_are_not_loaded_into_integers():
    net = Net()
    net.register_buffer("count", tg.tensor(3))
    with pytest.raises(RuntimeError, match="count: float32 in the state, int64 here"):
        net.load_state_dict({"count": tg.tensor(2.5)}, strict=False)


# ------------------------------------------------------------------------------- calls


def test_nodes_carry_the_path_of_modules_that_made_them():
    net = Net()
    out = net(tg.ones((1, 3)))
    places = []
    for node in topological_order(out):
        path, place = [], node.scope
        while place is not None:
            path.append((place.name, place.kind))
            place = place.parent
        places.append(path[::-1])
    root = ("", "Net")
    assert places == [
        [root, ("first", "Linear")],
        [root, ("chain", "Sequential"), ("0", "ReLU")],
        [root, ("chain", "Sequential"), ("1", "Linear")],
        [root],
        [root],
    ]
    assert scope.get() is None


def test_the_frame_is_left_after_an_error_and_follows_the_caller():
    class Broken(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    shared = nn.ReLU()

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = shared

        def forward(self, x):
            return self.inner(x)

    with pytest.raises(ZeroDivisionError):
        Broken()(1)
    assert scope.get() is None
    x = tg.ones(1, requires_grad=True)
    assert Other()(x).node.scope.parent.kind == "Other"
    assert shared(x).node.scope.parent is None
    assert shared(x).node.scope.name == "inner"


def test_hooks_see_and_may_replace_the_output_until_removed():
    layer = nn.Linear(2, 2)
    seen = []
    first = layer.register_forward_hook(lambda m, args, out: seen.append((m, args, out.shape)))
    second = layer.register_forward_hook(lambda m, args, out: out * 0.0)
    x = tg.ones((1, 2))
    assert layer(x).tolist() == [[0.0, 0.0]]
    assert seen == [(layer, (x,), (1, 2))]
    first.remove()
    first.remove()
    second.remove()
    assert layer(x).numpy().any()
    assert len(seen) == 1


def test_forward_takes_keywords():
    class Scaled(nn.Module):
        def forward(self, x, *, by):
            return x * by

    assert Scaled()(tg.ones(1), by=3.0).tolist() == [3.0]


def test_a_model_and_its_record_are_freed_by_reference_counting():
    gc.collect()
    gc.disable()
    try:
        net = Net()
        net.register_forward_hook(lambda m, args, out: None)
        loss = net(tg.ones((1, 3))).sum()
        loss.backward()
        gone = [weakref.ref(part) for part in (net, net.first, net.first.weight, loss)]
        node = loss.node
        del net, loss
        assert gone[0]() is None  # the record holds parameters, not modules
        assert gone[2]() is not None
        del node
        assert [ref() for ref in gone] == [None] * 4
    finally:
        gc.enable()

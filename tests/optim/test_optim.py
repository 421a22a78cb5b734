"""Optimizer: groups, flat memory, state, and what happens around a step."""

import copy
import gc
import pickle
import tracemalloc
import weakref
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, optim
from tinygrad_gm.optim import flat


def make(shapes, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(tg.tensor(rng.standard_normal(s).astype(dtype))) for s in shapes]


def give_gradients(parameters, seed=1):
    rng = np.random.default_rng(seed)
    for parameter in parameters:
        parameter.grad = tg.tensor(rng.standard_normal(parameter.shape).astype(parameter.dtype))


def values(parameters):
    return [parameter.numpy().copy() for parameter in parameters]


def assert_equal(ours, expected):
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(a, b)


SHAPES = [(4, 3), (3,), (), (2, 2, 2)]


# ------------------------------------------------------------------------------- groups


def test_groups_have_options_of_their_own_and_can_be_added():
    a, b, c = make([(2,), (3,), (4,)])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": [c], "momentum": 0.0})
    rates = [(g["lr"], g["momentum"], len(g["params"])) for g in optimizer.param_groups]
    assert rates == [(0.1, 0.9, 1), (0.5, 0.9, 1), (0.1, 0.0, 1)]
    before = values([a, b, c])
    for p in (a, b, c):
        p.grad = tg.ones(p.shape)
    optimizer.step()
    for p, old, rate in zip((a, b, c), before, (0.1, 0.5, 0.1), strict=True):
        np.testing.assert_allclose(p.numpy(), old - rate, rtol=1e-6)
    assert "3" not in repr(optimizer).splitlines()[0]
    assert "lr=0.5" in repr(optimizer)


def test_parameters_of_two_dtypes_live_in_one_group():
    wide, narrow = make([(3,)], dtype=np.float64) + make([(3,)])
    optimizer = optim.Adam([wide, narrow], lr=0.5)
    give_gradients([wide, narrow])
    before = values([wide, narrow])
    optimizer.step()
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    for p, old in zip((wide, narrow), before, strict=True):
        np.testing.assert_allclose(p.numpy(), old - 0.5 * np.sign(p.grad.numpy()), rtol=1e-5)


def test_what_is_no_set_of_parameters_is_refused():
    a = nn.Parameter(tg.ones(2))
    with pytest.raises(ValueError, match="SGD: there are no parameters"):
        optim.SGD([])
    with pytest.raises(TypeError, match="one tensor; expected a list"):
        optim.SGD(a)
    with pytest.raises(TypeError, match="got a ndarray"):
        optim.SGD([np.ones(2)])
    with pytest.raises(TypeError, match="int64"):
        optim.SGD([tg.arange(2)])
    with pytest.raises(ValueError, match="result of `multiply`"):
        optim.SGD([a * 2])
    with pytest.raises(ValueError, match="given twice"):
        optim.SGD([a, a])
    with pytest.raises(ValueError, match="given twice"):
        optim.SGD([{"params": [a]}, {"params": [a]}])


# ------------------------------------------------------------------------------- flat memory


def test_neighbours_lie_side_by_side_and_keep_their_values():
    parameters = make(SHAPES)
    before = values(parameters)
    optim.Adam(parameters)
    assert_equal(values(parameters), before)
    ends = [(p._data.ctypes.data, p._data.ctypes.data + p._data.nbytes) for p in parameters]
    assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_cutting_into_blocks_changes_no_bit(monkeypatch):
    results = []
    for block in (1 << 16, 64, 17):
        monkeypatch.setattr(flat, "BLOCK", block)
        parameters = make([(40, 3), (5,), (), (100,), (0, 2), (7,)])
        optimizer = optim.Adam(parameters, lr=0.1, weight_decay=0.1)
        for step in range(5):
            give_gradients(parameters, step)
            parameters[0].grad = tg.asarray(np.asfortranarray(parameters[0].grad.numpy()))
            optimizer.step()
        results.append(values(parameters))
    assert_equal(results[1], results[0])
    assert_equal(results[2], results[0])


def test_a_parameter_without_gradient_is_left_alone_with_its_count_of_steps():
    a, b, c = make([(3,), (4,), (5,)])
    optimizer = optim.Adam([a, b, c], lr=0.1, weight_decay=0.1)
    before = values([b])
    for step in range(3):
        give_gradients([a, b, c], step)
        b.grad = None
        optimizer.step()
    assert_equal(values([b]), before)
    assert b not in optimizer.state
    give_gradients([a, b, c])
    optimizer.step()
    counts = [optimizer.state[p]["step"].item() for p in (a, b, c)]
    assert counts == [4, 1, 4]
    alone = make([(3,), (4,), (5,)])[1:2]
    alone[0].grad = b.grad
    optim.Adam(alone, lr=0.1, weight_decay=0.1).step()
    assert_equal(values([b]), values(alone))


def test_a_replaced_array_is_copied_in_and_bound_again():
    parameters = make(SHAPES)
    optimizer = optim.SGD(parameters, lr=1.0)
    place = parameters[0]._data
    fresh = np.full((4, 3), 2.0, np.float32)
    parameters[0].data = fresh
    assert parameters[0]._data is fresh
    parameters[0].grad = tg.ones((4, 3))
    optimizer.step()
    assert parameters[0]._data is place
    assert (parameters[0].numpy() == 1.0).all()
    assert (fresh == 2.0).all()


def test_a_state_loaded_into_the_model_is_what_the_optimizer_moves():
    tg.manual_seed(0)
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    place = net.weight._data
    net.load_state_dict(other.state_dict())
    assert net.weight._data is place
    for p in net.parameters():
        p.grad = tg.ones(p.shape)
    optimizer.step()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy() - np.float32(1))


def test_a_deep_copy_of_a_model_under_an_optimizer_is_independent():
    net = nn.Linear(3, 2)
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    twin = copy.deepcopy(net)
    kept = values(twin.parameters())
    for p in net.parameters():
        p.grad = tg.ones(p.shape)
    optimizer.step()
    assert_equal(values(twin.parameters()), kept)
    assert (net.weight.numpy() == kept[0] - 1).all()


def test_two_optimizers_may_take_turns_on_one_parameter():
    (a,) = make([(3,)])
    start = a.numpy().copy()
    first, second = optim.SGD([a], lr=1.0), optim.SGD([a], lr=10.0)
    a.grad = tg.ones(3)
    for optimizer in (first, second, first):
        optimizer.step()
    np.testing.assert_allclose(a.numpy(), start - 12, rtol=1e-6)


def test_two_parameters_may_share_a_gradient_array_which_is_only_read():
    a, b = make([(3,), (3,)])
    before = values([a, b])
    gradient = np.array([1.0, 2.0, 3.0], np.float32)
    a.grad, b.grad = tg.asarray(gradient), tg.asarray(gradient)
    optimizer = optim.SGD([a, b], lr=0.5, weight_decay=0.1, momentum=0.9, maximize=True)
    optimizer.step()
    np.testing.assert_array_equal(gradient, [1.0, 2.0, 3.0])
    for p, old in zip((a, b), before, strict=True):
        np.testing.assert_allclose(p.numpy(), old + 0.5 * (gradient - 0.1 * old), rtol=1e-6)


@pytest.mark.parametrize("single", [True, False])
def test_a_gradient_in_another_memory_order_is_read_rightly(single):
    parameters = make([(4, 3)] if single else [(4, 3), (2,)])
    give_gradients(parameters)
    before, wanted = values(parameters), [p.grad.numpy().copy() for p in parameters]
    parameters[0].grad = tg.asarray(np.asfortranarray(wanted[0]))
    optim.SGD(parameters, lr=1.0).step()
    for p, old, g in zip(parameters, before, wanted, strict=True):
        np.testing.assert_array_equal(p.numpy(), old - g)


def test_a_model_moved_to_another_dtype_after_its_optimizer_was_made_is_an_error():
    net = nn.Linear(3, 2)
    optimizer = optim.Adam(net.parameters())
    net.to(tg.float64)
    with pytest.raises(RuntimeError, match=r"float32.*has become.*float64.*make the optimizer"):
        optimizer.step()


def test_the_optimizer_holds_no_gradients_after_a_step():
    parameters = make([(100,)])
    optimizer = optim.Adam(parameters)
    array = np.ones(100, np.float32)
    parameters[0].grad = tg.asarray(array)
    reference = weakref.ref(array)
    optimizer.step()
    del array
    optimizer.zero_grad()
    assert reference() is None


# ------------------------------------------------------------------------------- around a step


def test_backward_through_values_from_before_a_step_is_refused():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = optim.Adam(net.parameters())
    x = tg.ones((2, 3))
    loss, old = net(x).sum(), net(x).sum()
    loss.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="written since"):
        old.backward()


def test_zero_grad_forgets_or_fills_with_zeros():
    a, b = make([(3,), (2,)])
    optimizer = optim.SGD([a, b])
    a.grad = tg.ones(3)
    array = a.grad._data
    optimizer.zero_grad(set_to_none=False)
    assert a.grad._data is array
    assert not array.any()
    assert b.grad is None
    optimizer.zero_grad()
    assert a.grad is None


def test_a_closure_computes_the_loss_even_under_no_grad():
    w = tg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert w.tolist() == [1.0]
    assert optimizer.step() is None


def test_an_optimizer_without_formula_says_so():
    a = nn.Parameter(tg.ones(2))
    optimizer = optim.Optimizer([a], {"lr": 1.0})
    a.grad = tg.ones(2)
    with pytest.raises(NotImplementedError, match="define update"):
        optimizer.step()


# ------------------------------------------------------------------------------- the state


def train(parameters, optimizer, steps, seed):
    for step in range(steps):
        give_gradients(parameters, 100 * seed + step)
        optimizer.step()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.Adam, {"amsgrad": True}),
        (optim.Adam, {"weight_decay": 0.1}),
        (optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
        (optim.SGD, {}),
        (optim.AdamW, {"amsgrad": True}),
        (optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
        (optim.RMSprop, {"centered": True, "momentum": 0.9}),
        (optim.Adadelta, {"weight_decay": 0.1}),
        (optim.Adamax, {}),
        (optim.NAdam, {"momentum_decay": 0.1}),
        (optim.RAdam, {"betas": (0.5, 0.8)}),
        (optim.Lion, {"weight_decay": 0.1}),
    ],
)
def test_a_run_resumed_from_its_state_ends_with_the_same_bits(kind, options, tmp_path):
    parameters = make(SHAPES)
    optimizer = kind(parameters, lr=0.1, **options)
    train(parameters, optimizer, 3, seed=1)
    saved = copy.deepcopy({"model": [p.detach() for p in parameters], **optimizer.state_dict()})
    tg.save(tmp_path / "state.safetensors", saved)
    train(parameters, optimizer, 3, seed=2)
    resumed = make(SHAPES, seed=9)
    again = kind(resumed, lr=0.7)
    train(resumed, again, 1, seed=3)
    saved = tg.load(tmp_path / "state.safetensors")
    for p, tensor in zip(resumed, saved["model"], strict=True):
        p.copy_(tensor)
    again.load_state_dict(saved)
    assert again.param_groups[0]["lr"] == 0.1
    train(resumed, again, 3, seed=2)
    assert_equal(values(resumed), values(parameters))


def test_the_state_has_pytorchs_names_and_numbers():
    a, b, c = make([(3,), (4,), (2,)])
    optimizer = optim.Adam([{"params": [c]}, {"params": [a, b], "lr": 0.5}])
    give_gradients([a, c])
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1, 2]]
    assert [group["lr"] for group in state["param_groups"]] == [1e-3, 0.5]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][1]["exp_avg"].shape == (3,)
    np.testing.assert_allclose(
        state["state"][1]["exp_avg_sq"].numpy(), 0.001 * a.grad.numpy() ** 2, rtol=1e-5
    )


def test_the_state_is_loaded_in_place():
    parameters = make(SHAPES)
    optimizer = optim.Adam(parameters)
    train(parameters, optimizer, 2, seed=1)
    arrays = [state["exp_avg"]._data.base for state in optimizer.state.values()]
    snapshot = copy.deepcopy(optimizer.state_dict())
    train(parameters, optimizer, 2, seed=2)
    optimizer.load_state_dict(snapshot)
    for array, state in zip(arrays, optimizer.state.values(), strict=True):
        assert np.shares_memory(state["exp_avg"]._data, array)
        assert state["step"].item() == 2


def test_a_state_of_other_parameters_is_refused_and_changes_nothing():
    parameters = make(SHAPES)
    optimizer = optim.Adam(parameters, lr=0.1)
    train(parameters, optimizer, 1, seed=1)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, the optimizer \[4\]"):
        optimizer.load_state_dict(optim.Adam(make([(1,), (2,)])).state_dict())
    other = make([(4, 3), (5,), (), (2, 2, 2)])
    strange = optim.Adam(other, lr=0.9)
    train(other, strange, 1, seed=1)
    with pytest.raises(ValueError, match=r"exp_avg of shape \(5,\)"):
        optimizer.load_state_dict(strange.state_dict())
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, state in before["state"].items():
        for name, tensor in state.items():
            np.testing.assert_array_equal(after["state"][number][name].numpy(), tensor.numpy())


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_model_and_optimizer_goes_on_by_itself(copier):
    tg.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    train(list(net.parameters()), optimizer, 3, seed=1)
    twin, twins = copier((net, optimizer))
    before = values(net.parameters())
    train(list(twin.parameters()), twins, 3, seed=2)
    assert_equal(values(net.parameters()), before)
    train(list(net.parameters()), optimizer, 3, seed=2)
    assert_equal(values(twin.parameters()), values(net.parameters()))


# ------------------------------------------------------------------------------- memory


def test_an_optimizer_is_freed_by_reference_counting():
    gc.collect()
    gc.disable()
    try:
        net = nn.Linear(3, 2)
        optimizer = optim.Adam(net.parameters())
        train(list(net.parameters()), optimizer, 2, seed=1)
        gone = [weakref.ref(part) for part in (optimizer, net.weight, net.weight._data.base)]
        del optimizer, net
        assert [reference() for reference in gone] == [None] * 3
    finally:
        gc.enable()


def test_two_thousand_training_steps_leave_no_memory_behind():
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    x, y = tg.randn((8, 2)), tg.randn((8, 1))

    def step():
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    first = step()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        step()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            last = step()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 40_000
    assert last < first

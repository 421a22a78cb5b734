"""spectral_norm and weight_norm, and the hook before forward that they stand on."""

import copy
import gc
import weakref

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(0)


# ------------------------------------------------------------------------------- pre-hooks


def test_a_pre_hook_sees_the_arguments_and_may_replace_them():
    layer, seen = nn.Tanh(), []
    first = layer.register_forward_pre_hook(lambda module, args: seen.append((module, args)))
    x = tg.ones(3)
    layer(x)
    assert seen == [(layer, (x,))]
    second = layer.register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    assert layer(x).tolist() == [0.0] * 3
    first.remove()
    first.remove()
    second.remove()
    assert len(seen) == 2
    assert (layer(x).numpy() == np.tanh(x.numpy())).all()


def test_a_module_that_holds_a_result_can_be_copied():
    layer = nn.Linear(2, 2)
    layer.last = layer(tg.ones((1, 2)))
    twin = copy.deepcopy(layer)
    assert twin.last.is_leaf
    assert (twin.last.numpy() == layer.last.numpy()).all()
    assert twin.last._data is not layer.last._data
    assert not layer.last.is_leaf


# ------------------------------------------------------------------------------- spectral norm


LAYERS = [
    (lambda: nn.Linear(7, 5), (3, 7), 0),
    (lambda: nn.Conv2d(3, 4, 3), (2, 3, 5, 5), 0),
    (lambda: nn.ConvTranspose2d(3, 4, 3), (2, 3, 5, 5), 1),
]


def matrix(weight, axis=0):
    array = np.moveaxis(np.asarray(weight.detach()), axis, 0)
    return array.reshape(len(array), -1)


@pytest.mark.parametrize(("make", "shape", "axis"), LAYERS)
def test_the_largest_singular_value_of_the_weight_becomes_1(make, shape, axis):
    layer = nn.spectral_norm(make().to(tg.float64))
    before, x = matrix(layer.weight_orig, axis).copy(), tg.randn(shape, dtype=tg.float64)
    for _ in range(400):
        layer(x)
    singular = np.linalg.svd(before)[1]
    np.testing.assert_allclose(np.linalg.svd(matrix(layer.weight, axis))[1], singular / singular[0])
    u, _, vh = np.linalg.svd(before)
    np.testing.assert_allclose(abs(layer.weight_u.numpy() @ u[:, 0]), 1)
    np.testing.assert_allclose(abs(layer.weight_v.numpy() @ vh[0]), 1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("make", "shape", "axis"), LAYERS)
def test_the_weight_is_normalised_before_the_first_training_step(make, shape, axis, seed):
    """σ is found from below: PyTorch's 15 first steps leave 1.00 to 1.05 for such layers."""
    tg.manual_seed(seed)
    layer = nn.spectral_norm(make()).eval()
    at_once = matrix(layer.weight, axis).copy()
    assert 0.9999 < np.linalg.norm(at_once, 2) < 1.06
    layer(tg.zeros(shape))
    np.testing.assert_array_equal(matrix(layer.weight, axis), at_once)


def test_the_first_vectors_are_those_of_fifteen_steps_of_the_power_method():
    layer = nn.Linear(4, 3, dtype=tg.float64)
    w, u = layer.weight.numpy().copy(), tg.manual_seed(5).normal((3,), tg.float64).numpy()
    tg.manual_seed(5)
    nn.spectral_norm(layer)
    for _ in range(15):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
    np.testing.assert_allclose(layer.weight_u.numpy(), u)
    np.testing.assert_allclose(layer.weight.numpy(), w / (u @ w @ v))


def test_a_layer_without_values_is_normalised_by_what_it_loads():
    trained = nn.spectral_norm(nn.Linear(4, 3))
    with nn.no_init():
        layer = nn.spectral_norm(nn.Linear(4, 3))
    layer.load_state_dict(trained.state_dict())
    x = tg.randn((2, 4))
    assert layer.eval()(x).tolist() == trained.eval()(x).tolist()


def test_one_step_is_that_of_the_power_method():
    layer = nn.spectral_norm(nn.Linear(4, 3, dtype=tg.float64), n_power_iterations=2)
    w, u = layer.weight_orig.numpy().copy(), layer.weight_u.numpy().copy()
    np.testing.assert_allclose(np.linalg.norm(u), 1)
    layer(tg.zeros((1, 4), dtype=tg.float64))
    for _ in range(2):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
    np.testing.assert_allclose(layer.weight_u.numpy(), u)
    np.testing.assert_allclose(layer.weight_v.numpy(), v)
    np.testing.assert_allclose(layer.weight.numpy(), w / (u @ w @ v))


def test_the_gradient_takes_u_and_v_as_constants():
    layer = nn.spectral_norm(nn.Linear(4, 3, bias=False, dtype=tg.float64)).eval()
    w, u, v = (t.numpy() for t in (layer.weight_orig, layer.weight_u, layer.weight_v))
    g, sigma = np.random.default_rng(0).standard_normal((3, 4)), u @ w @ v
    out = layer(tg.eye(4, dtype=tg.float64))
    out.backward(tg.tensor(g.T))
    expected = g / sigma - (g * w).sum() / sigma**2 * np.outer(u, v)  # d(W/σ), dσ = uᵀ dW v
    np.testing.assert_allclose(layer.weight_orig.grad.numpy(), expected)


def test_evaluation_does_no_step_and_two_calls_before_one_backward_are_right():
    layer, x = nn.spectral_norm(nn.Linear(4, 3)), tg.randn((2, 4))
    first, second = layer(x), layer(x)
    (first.sum() + second.sum()).backward()
    before = layer.weight_u.numpy().copy()
    outputs = [layer.eval()(x).numpy() for _ in range(2)]
    assert (outputs[0] == outputs[1]).all()
    assert (layer.weight_u.numpy() == before).all()
    layer.train()(x)
    assert (layer.weight_u.numpy() != before).any()


def test_the_state_can_be_saved_copied_and_converted():
    layer, x = nn.spectral_norm(nn.Linear(4, 3)), tg.randn((2, 4))
    layer(x)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_orig"]
    assert layer.weight_orig.name == "weight_orig"
    other, twin = nn.spectral_norm(nn.Linear(4, 3)), copy.deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    expected = layer(x).numpy()
    assert (other(x).numpy() == expected).all()
    assert (twin(x).numpy() == expected).all()
    assert twin.weight_orig is not layer.weight_orig
    wide = layer.to(tg.float64).eval()
    assert wide(x.astype(tg.float64)).dtype == np.float64


def test_a_checkpoint_that_is_run_again_does_no_step():
    layer, x = nn.spectral_norm(nn.Linear(4, 3)), tg.randn((2, 4), requires_grad=True)
    twin = copy.deepcopy(layer)
    plain = tg.grad((twin(x) ** 2).sum(), [x, twin.weight_orig])
    again = tg.grad((tg.checkpoint(layer, x) ** 2).sum(), [x, layer.weight_orig])
    for a, b in zip(plain, again, strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert (layer.weight_u.numpy() == twin.weight_u.numpy()).all()


def test_removal_leaves_the_divided_weight_as_a_parameter():
    layer, x = nn.spectral_norm(nn.Linear(4, 3)), tg.randn((2, 4))
    for _ in range(3):
        layer(x)
    expected = layer.eval()(x).numpy()
    assert nn.remove_spectral_norm(layer) is layer
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.is_leaf
    assert (layer.train()(x).numpy() == expected).all()
    with pytest.raises(ValueError, match="Linear has no spectral_norm of 'weight'"):
        nn.remove_spectral_norm(layer)


def test_a_normed_module_is_freed_by_reference_counting():
    gc.disable()
    try:
        layer = nn.weight_norm(nn.spectral_norm(nn.Linear(4, 3)), "bias", axis=None)
        layer(tg.ones((1, 4))).sum().backward()
        ghost = weakref.ref(layer)
        del layer
        assert ghost() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------- weight norm


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_weight_norm_changes_nothing_at_first_and_g_is_the_length(axis):
    layer, x = nn.Conv2d(3, 4, 2), tg.randn((2, 3, 5, 5))
    before, expected = layer.weight.numpy().copy(), layer(x).numpy()
    nn.weight_norm(layer, axis=axis)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    others = tuple(a for a in range(4) if axis is None or a != axis % 4)
    length = np.sqrt((before**2).sum(others, keepdims=axis is not None))
    np.testing.assert_allclose(layer.weight_g.numpy(), length, rtol=1e-6)
    assert layer.weight_g.shape == length.shape
    with tg.no_grad():
        layer.weight_g *= 2.0
        layer.weight_v *= 5.0  # the length of V says nothing
    layer(x)
    np.testing.assert_allclose(layer.weight.numpy(), 2 * before, rtol=1e-5)


def test_the_gradient_of_v_is_at_a_right_angle_to_v():
    layer = nn.weight_norm(nn.Linear(4, 3, dtype=tg.float64))
    (layer(tg.randn((5, 4), dtype=tg.float64)) ** 2).sum().backward()
    along = (layer.weight_v.grad.numpy() * layer.weight_v.numpy()).sum(1)
    np.testing.assert_allclose(along, 0, atol=1e-12)  # Salimans & Kingma, section 2.1
    assert abs(layer.weight_g.grad.numpy()).min() > 0


def test_an_optimizer_trains_g_and_v_and_removal_keeps_the_function():
    layer, x = nn.weight_norm(nn.Linear(4, 3)), tg.randn((2, 4))
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    steps, losses = tg.optim.SGD(layer.parameters(), lr=0.05), []
    for _ in range(30):
        loss = F.mse_loss(layer(x), tg.ones((2, 3)))
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    expected = layer(x).numpy()
    nn.remove_weight_norm(copy.deepcopy(layer))
    nn.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert (layer(x).numpy() == expected).all()


def test_both_are_found_under_utils_too():
    assert nn.utils.spectral_norm is nn.spectral_norm
    assert nn.utils.remove_weight_norm is nn.remove_weight_norm


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.spectral_norm(nn.ReLU()), "spectral_norm: ReLU has no parameter 'weight'"),
        (lambda: nn.weight_norm(nn.Linear(2, 2), "w"), "weight_norm: Linear has no parameter 'w'"),
        (lambda: nn.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "≥ 1; got 0"),
        (lambda: nn.spectral_norm(nn.spectral_norm(nn.Linear(2, 2))), "no parameter 'weight'"),
        (lambda: nn.remove_weight_norm(nn.Linear(2, 2)), "Linear has no weight_norm of 'weight'"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

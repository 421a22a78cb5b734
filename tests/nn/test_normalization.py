"""The normalisation layers: closed forms, running averages, starting values, errors."""

import copy

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn

rng = np.random.default_rng(0)


def standardized(x, axes, eps=1e-5):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + eps)


def images(*shape):
    """Random numbers with another mean and spread in each channel."""
    scale = np.arange(1, shape[1] + 1).reshape(-1, *(1 for _ in shape[2:]))
    return rng.standard_normal(shape) * scale + scale


# ------------------------------------------------------------------------------- which numbers


LAYERS = [
    (nn.BatchNorm1d(3), (6, 3), (0,)),
    (nn.BatchNorm1d(3), (6, 3, 4), (0, 2)),
    (nn.BatchNorm2d(3), (6, 3, 4, 5), (0, 2, 3)),
    (nn.BatchNorm3d(3), (6, 3, 2, 2, 2), (0, 2, 3, 4)),
    (nn.InstanceNorm1d(3), (2, 3, 9), (2,)),
    (nn.InstanceNorm1d(3, affine=True), (2, 3, 9), (2,)),
    (nn.InstanceNorm2d(3), (2, 3, 4, 5), (2, 3)),
    (nn.InstanceNorm3d(3), (2, 3, 2, 4, 5), (2, 3, 4)),
    (nn.GroupNorm(1, 3), (2, 3, 4, 5), (1, 2, 3)),
    (nn.GroupNorm(3, 3), (2, 3, 4, 5), (2, 3)),
    (nn.LayerNorm(5), (2, 3, 5), (2,)),
    (nn.LayerNorm((3, 5)), (2, 3, 5), (1, 2)),
]


@pytest.mark.parametrize(("layer", "shape", "axes"), LAYERS, ids=lambda value: str(value))
def test_a_new_layer_gives_mean_0_and_variance_1_over_its_axes(layer, shape, axes):
    layer, x = copy.deepcopy(layer).to(tg.float64), images(*shape)
    out = layer(tg.tensor(x)).numpy()
    np.testing.assert_allclose(out, standardized(x, axes), atol=1e-12)
    np.testing.assert_allclose(out.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axes), 1, atol=1e-3)


@pytest.mark.parametrize(("layer", "shape", "axes"), LAYERS, ids=lambda value: str(value))
def test_gamma_and_beta_scale_and_shift(layer, shape, axes):
    if layer.weight is None:
        return
    layer, x = copy.deepcopy(layer).to(tg.float64), images(*shape)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    like = layer.weight.shape if isinstance(layer, nn.LayerNorm) else (3, *(1 for _ in shape[2:]))
    gamma, beta = (p.numpy().reshape(like) for p in (layer.weight, layer.bias))
    expected = standardized(x, axes) * gamma + beta
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), expected, atol=1e-12)


def test_groups_of_channels_share_mean_and_variance():
    x = images(2, 6, 4)
    out = nn.GroupNorm(2, 6, dtype=tg.float64)(tg.tensor(x)).numpy()
    expected = standardized(x.reshape(2, 2, 3, 4), (2, 3)).reshape(x.shape)
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_rms_norm_divides_by_the_root_mean_square():
    x, layer = rng.standard_normal((4, 6)), nn.RMSNorm(6, eps=1e-3, dtype=tg.float64)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), expected, rtol=1e-12)
    assert nn.RMSNorm(6).eps is None
    assert nn.RMSNorm(6)(tg.zeros((2, 6))).tolist() == [[0.0] * 6] * 2


def test_layer_norms_beta_starts_at_0_and_its_eps_is_1e_5():
    layer = nn.LayerNorm(4)
    assert layer.bias.tolist() == [0.0] * 4
    assert layer.weight.tolist() == [1.0] * 4
    assert layer.eps == 1e-5
    assert nn.LayerNorm(4, eps=0.1).eps == 0.1
    x = tg.tensor([[0.0, 0.002]])  # σ² = 1e-6 is small against eps
    out = nn.LayerNorm(2)(x).numpy()
    np.testing.assert_allclose(out[0, 1], 0.001 / np.sqrt(1e-6 + 1e-5), rtol=1e-4)


def test_parameters_can_be_left_out():
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert not nn.LayerNorm(3, elementwise_affine=False).state_dict()
    assert not nn.RMSNorm(3, elementwise_affine=False).state_dict()
    assert not nn.GroupNorm(1, 3, affine=False).state_dict()
    assert not nn.InstanceNorm2d(3).state_dict()
    assert not nn.BatchNorm2d(3, affine=False, track_running_stats=False).state_dict()


@pytest.mark.parametrize(("layer", "shape", "axes"), LAYERS, ids=lambda value: str(value))
def test_channels_last_memory_stays_channels_last(layer, shape, axes):
    if len(shape) != 4:
        return
    x = tg.tensor(np.moveaxis(rng.random((2, 4, 5, 3), np.float32), -1, 1))
    for mode in (True, False):
        assert copy.deepcopy(layer).train(mode)(x).numpy().strides == x.numpy().strides


# ------------------------------------------------------------------------------- running averages


def test_batch_norm_moves_its_averages_with_the_variance_over_n_minus_1():
    layer, x = nn.BatchNorm1d(3, momentum=0.25, dtype=tg.float64), images(5, 3)
    layer(tg.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * x.mean(0))
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * x.var(0, ddof=1))
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_without_momentum_keeps_the_plain_average():
    layer = nn.BatchNorm1d(3, momentum=None, dtype=tg.float64)
    batches = images(4, 3, 10).transpose(0, 2, 1)
    for batch in batches:
        layer(tg.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), batches.mean((0, 1)))
    np.testing.assert_allclose(layer.running_var.numpy(), batches.var(1, ddof=1).mean(0))


def test_batch_norm_in_evaluation_is_a_fixed_affine_map_and_so_is_its_gradient():
    layer = nn.BatchNorm2d(3, dtype=tg.float64)
    for _ in range(3):
        layer(tg.tensor(images(4, 3, 2, 2)))
    nn.init.normal_(layer.weight)
    layer.eval()
    before = layer.running_mean.numpy().copy()
    x = tg.tensor(images(4, 3, 2, 2), requires_grad=True)
    out = layer(x)
    mean, deviation = layer.running_mean.numpy(), np.sqrt(layer.running_var.numpy() + 1e-5)
    factor = (layer.weight.numpy() / deviation).reshape(3, 1, 1)
    np.testing.assert_allclose(out.numpy(), (x.numpy() - mean.reshape(3, 1, 1)) * factor)
    v = rng.standard_normal(x.shape)
    out.backward(tg.tensor(v))
    np.testing.assert_allclose(x.grad.numpy(), v * factor, atol=1e-15)
    normal = (x.numpy() - mean.reshape(3, 1, 1)) / deviation.reshape(3, 1, 1)
    np.testing.assert_allclose(layer.weight.grad.numpy(), (v * normal).sum((0, 2, 3)))
    np.testing.assert_allclose(layer.bias.grad.numpy(), v.sum((0, 2, 3)))
    assert (layer.running_mean.numpy() == before).all()
    assert layer.num_batches_tracked.item() == 3


def test_without_averages_evaluation_takes_the_batchs():
    layer, x = nn.BatchNorm1d(3, track_running_stats=False), tg.randn((5, 3))
    assert (layer(x).numpy() == layer.eval()(x).numpy()).all()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_checkpoint_that_is_run_again_leaves_averages_and_count_alone(momentum):
    tg.manual_seed(0)
    layer = nn.BatchNorm1d(3, momentum=momentum)
    twin, x = copy.deepcopy(layer), tg.randn((5, 3), requires_grad=True)
    y = tg.checkpoint(layer, x)
    state = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    (y * y * y).sum().backward()
    out = twin(x)
    g = tg.grad((out * out * out).sum(), [x])[0]
    assert (x.grad.numpy() == g.numpy()).all()
    for name, value in layer.state_dict().items():
        assert (value.numpy() == state[name]).all(), name
        assert (value.numpy() == twin.state_dict()[name].numpy()).all(), name
    assert layer.num_batches_tracked.item() == 1


def test_reset_forgets_what_was_measured():
    layer = nn.BatchNorm1d(2)
    layer(tg.randn((5, 2)))
    layer.reset_parameters()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def test_instance_norm_moves_its_averages_by_the_mean_over_examples():
    layer = nn.InstanceNorm1d(3, momentum=0.5, track_running_stats=True, dtype=tg.float64)
    x = images(4, 3, 5)
    layer(tg.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.5 * x.mean((0, 2)))
    expected = 0.5 + 0.5 * x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_var.numpy(), expected)
    mean, variance = (b.numpy()[:, None] for b in (layer.running_mean, layer.running_var))
    out = layer.eval()(tg.tensor(x)).numpy()
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(variance + 1e-5))


def test_instance_norm_takes_one_example_without_a_batch():
    x = tg.randn((3, 4, 5))
    layer = nn.InstanceNorm2d(3)
    assert (layer(x).numpy() == layer(x[None]).numpy()[0]).all()


# ------------------------------------------------------------------------------- the other two


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_local_response_norm_sums_the_squares_of_neighbouring_channels(size):
    x = rng.standard_normal((2, 6, 3))
    out = F.local_response_norm(tg.tensor(x), size, alpha=0.7, beta=0.6, k=1.5).numpy()
    for c in range(6):
        low, high = max(0, c - size // 2), min(6, c + (size - 1) // 2 + 1)
        total = (x[:, low:high] ** 2).sum(1)
        np.testing.assert_allclose(out[:, c], x[:, c] / (1.5 + 0.7 / size * total) ** 0.6)


def test_normalized_vectors_have_length_1_and_zeros_stay():
    x = rng.standard_normal((4, 5, 6))
    for p, axis in ((2.0, 1), (1.0, -1), (3.0, (1, 2)), (np.inf, 0)):
        out = F.normalize(tg.tensor(x), p, axis).numpy()
        axes = (axis,) if isinstance(axis, int) else axis
        length = abs(out).max(axis) if p == np.inf else (abs(out) ** p).sum(axes) ** (1 / p)
        np.testing.assert_allclose(length, 1, rtol=1e-12)
    zeros = tg.zeros((2, 3), requires_grad=True)
    out = F.normalize(zeros)
    out.sum().backward()
    assert out.tolist() == [[0.0] * 3] * 2
    assert np.isfinite(zeros.grad.numpy()).all()


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.BatchNorm2d(3)(tg.zeros((2, 3))), r"BatchNorm2d: .* 4 axes; got \(2, 3\)"),
        (lambda: nn.BatchNorm1d(3)(tg.zeros((2, 3, 1, 1))), "BatchNorm1d: .* 2 or 3 axes"),
        (lambda: nn.BatchNorm3d(3)(tg.zeros((2, 3, 1, 1))), "BatchNorm3d: .* 5 axes"),
        (
            lambda: nn.BatchNorm2d(3)(tg.zeros((2, 4, 1, 1))),
            "BatchNorm2d: expected 3 channels on axis 1",
        ),
        (lambda: nn.BatchNorm1d(3)(tg.zeros((1, 3))), "more than one number per channel"),
        (
            lambda: nn.InstanceNorm2d(3)(tg.zeros((4, 2, 2))),
            "InstanceNorm2d: expected 3 channels on axis 0",
        ),
        (lambda: nn.InstanceNorm2d(3)(tg.zeros((2, 3, 1, 1))), "more than one number"),
        (lambda: nn.GroupNorm(2, 3), "GroupNorm: 2 groups do not divide 3 channels"),
        (lambda: nn.GroupNorm(1, 3)(tg.zeros((2, 4))), "GroupNorm: expected 3 channels on axis 1"),
        (
            lambda: nn.LayerNorm(3)(tg.zeros((3, 4))),
            r"layer_norm: expected .* ends in \(3,\); got \(3, 4\)",
        ),
        (lambda: nn.RMSNorm((2, 3))(tg.zeros((3, 4))), r"rms_norm: .* ends in \(2, 3\)"),
        (
            lambda: F.local_response_norm(tg.zeros((3, 4)), 2),
            "local_response_norm: expected an input",
        ),
        (lambda: nn.LocalResponseNorm(0)(tg.zeros((3, 4, 1))), "expected size ≥ 1; got 0"),
        (lambda: F.instance_norm(tg.zeros((1, 2, 3)), use_input_stats=False), "needs running_mean"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_layers_show_their_arguments():
    assert repr(nn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"
    assert repr(nn.LayerNorm(3)) == "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)"
    assert repr(nn.RMSNorm(3)) == "RMSNorm((3,), eps=None, elementwise_affine=True)"
    assert repr(nn.LocalResponseNorm(5)) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"

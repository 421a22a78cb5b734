"""Dropout and DropConnect: how often, what is left, schedules, modes, errors."""

import copy
import math

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.engine.record import topological_order

N = 200_000


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(0)


# ------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_a_number_is_dropped_with_probability_p_and_the_expected_output_is_the_input(p):
    out = F.dropout(tg.ones(N), p).numpy()
    assert abs((out == 0).mean() - p) < 4 * math.sqrt(p * (1 - p) / N)
    assert abs(out.mean() - 1) < 4 * math.sqrt(p / (1 - p) / N)
    np.testing.assert_array_equal(out[out != 0], np.float32(1 / (1 - p)))


def test_the_draws_do_not_depend_on_each_other():
    kept = (F.dropout(tg.ones((300, 400)), 0.3).numpy() != 0) - 0.7
    for pairs in (kept[1:] * kept[:-1], kept[:, 1:] * kept[:, :-1]):
        assert abs(pairs.mean()) < 4 * 0.21 / math.sqrt(pairs.size)


def test_p_0_drops_nothing_and_p_1_everything():
    x = tg.randn((3, 4), requires_grad=True)
    assert F.dropout(x, 0.0) is x
    out = F.dropout(x, 1.0)
    out.sum().backward()
    assert (out.numpy() == 0).all()
    assert (x.grad.numpy() == 0).all()


def test_evaluation_gives_the_input_itself_and_draws_nothing():
    x, state = tg.randn((2, 3, 4, 5)), tg.random.default_generator().get_state()
    assert F.dropout(x, 0.5, training=False) is x
    assert nn.Dropout().eval()(x) is x
    assert nn.Dropout2d().eval()(x) is x
    assert tg.random.default_generator().get_state() == state


def test_the_gradient_passes_where_the_number_did():
    x = tg.ones(1000, requires_grad=True)
    out = F.dropout(x, 0.25)
    out.sum().backward()
    assert (x.grad.numpy() == out.numpy()).all()


def test_dropping_is_one_selection_in_the_record():
    x = tg.ones((2, 3), requires_grad=True)
    for out in (F.dropout(x), F.dropout1d(x)):
        assert [node.plan.op.name for node in topological_order(out)] == ["select"]


@pytest.mark.parametrize("value", [tg.inf, tg.nan])
def test_a_dropped_number_gives_and_gets_0_even_if_one_of_them_is_not_finite(value):
    x = tg.full((4, 50), value, requires_grad=True)
    for out in (F.dropout(x, 0.5), F.dropout1d(x[None], 0.5)[0], F.dropout(x, 1.0)):
        kept = out.numpy() != 0
        (gradient,) = tg.grad(out, x, tg.full_like(out, value))
        assert kept.mean() < 0.9
        np.testing.assert_array_equal(gradient.numpy(), np.where(kept, value, 0.0))


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64])
def test_the_dtype_is_kept(dtype):
    assert F.dropout(tg.ones(5, dtype=dtype), 0.3).dtype == dtype


def test_a_number_without_axes_and_an_empty_array_can_be_dropped():
    assert F.dropout(tg.tensor(1.0)).item() in (0.0, 2.0)
    assert F.dropout(tg.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("drop", [F.dropout, F.dropout2d])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_the_memory_order_is_kept_by_value_and_gradient(drop, order):
    array = np.ones([(4, 6, 8, 10)[axis] for axis in order], np.float32)
    x = tg.asarray(array.transpose(np.argsort(order))).requires_grad_()
    out = drop(x, 0.5)
    out.backward(tg.asarray(np.ones_like(array).transpose(np.argsort(order))))
    assert x.shape == (4, 6, 8, 10)
    assert out.numpy().strides == x.numpy().strides == x.grad.numpy().strides


@pytest.mark.parametrize(
    ("drop", "shape", "lead"),
    [
        (F.dropout1d, (40, 50, 3), 2),
        (F.dropout1d, (2000, 3), 1),
        (F.dropout2d, (40, 50, 2, 2), 2),
        (F.dropout2d, (2000, 2, 2), 1),
        (F.dropout3d, (40, 50, 2, 1, 2), 2),
        (F.dropout3d, (2000, 2, 1, 2), 1),
    ],
)
def test_whole_channels_are_dropped(drop, shape, lead):
    out = drop(tg.ones(shape), 0.3).numpy()
    channels = out.reshape(math.prod(shape[:lead]), -1)
    assert (channels == channels[:, :1]).all()
    rate = (channels[:, 0] == 0).mean()
    assert abs(rate - 0.3) < 4 * math.sqrt(0.21 / 2000)
    np.testing.assert_allclose(channels.max(), 1 / 0.7, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2000,), (2000, 3), (2000, 2, 1, 2)])
def test_stochastic_depth_drops_whole_examples(shape):
    out = nn.StochasticDepth(0.3)(tg.ones(shape)).numpy().reshape(2000, -1)
    assert (out == out[:, :1]).all()
    assert abs((out[:, 0] == 0).mean() - 0.3) < 4 * math.sqrt(0.21 / 2000)
    np.testing.assert_allclose(out.max(), 1 / 0.7, rtol=1e-6)


def test_the_same_seed_drops_the_same():
    x, draws = tg.ones(100), []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        draws.append(F.dropout(x).tolist())
    assert draws[0] == draws[1] != draws[2]
    with tg.random.using(tg.Generator(1)):
        assert F.dropout(x).tolist() == draws[0]


def test_a_checkpoint_that_is_run_again_drops_the_same():
    x = tg.randn((8, 16), requires_grad=True)
    net = nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.5), nn.Tanh(), nn.DropConnect(16, 4))
    gradients = []
    for run in (net, lambda x: tg.checkpoint(net, x)):
        tg.manual_seed(3)
        gradients.append(tg.grad((run(x) ** 2).sum(), [x, *net.parameters()]))
    for plain, again in zip(*gradients, strict=True):
        assert (plain.numpy() == again.numpy()).all()


# ------------------------------------------------------------------------------- the layers' p


def test_p_may_be_changed_at_any_time():
    layer = nn.Dropout(0.5)
    layer.p = 1.0
    assert layer(tg.ones(5)).tolist() == [0.0] * 5
    layer.p = 0.0
    assert layer(tg.ones(5)).tolist() == [1.0] * 5
    assert repr(layer) == "Dropout(p=0.0)"
    with pytest.raises(ValueError, match=r"Dropout: expected a probability p in \[0, 1\]; got 1.5"):
        layer.p = 1.5
    assert layer.p == 0.0


def test_dropout_with_a_number_has_no_state_as_in_pytorch():
    assert not nn.Dropout().state_dict()
    assert list(nn.DropConnect(3, 2).state_dict()) == ["weight", "bias"]


def test_a_schedule_is_given_the_number_of_training_passes_before():
    seen = []

    def schedule(step):
        seen.append(step)
        return min(1.0, step / 2)

    layer = nn.Dropout(schedule)
    outputs = [layer(tg.ones(1000)).numpy() for _ in range(4)]
    assert seen == [0, 1, 2, 3]
    assert [round(float((out == 0).mean()), 1) for out in outputs] == [0.0, 0.5, 1.0, 1.0]
    layer.eval()(tg.ones(3))
    assert layer.num_batches_tracked.item() == 4
    assert repr(layer) == "Dropout(p=schedule)"


def test_a_schedule_goes_on_where_its_state_stood():
    layer = nn.Dropout(lambda step: step / 10)
    for _ in range(3):
        layer(tg.ones(4))
    resumed = nn.Dropout(lambda step: step / 10)
    resumed.load_state_dict(layer.state_dict())
    outputs = []
    for twin in (layer, resumed, copy.deepcopy(layer)):
        tg.manual_seed(5)
        outputs.append(twin(tg.ones(50)).tolist())
        if twin is layer:
            layer.num_batches_tracked.copy_(3)
    assert outputs[0] == outputs[1] == outputs[2]
    assert resumed.num_batches_tracked.item() == 4


def test_a_number_in_the_place_of_a_schedule_ends_its_state():
    layer = nn.Dropout(lambda step: 0.5)
    assert list(layer.state_dict()) == ["num_batches_tracked"]
    layer.p = 0.5
    assert not layer.state_dict()
    layer.p = lambda step: 0.25
    assert layer.num_batches_tracked.item() == 0


def test_a_checkpoint_that_is_run_again_meets_the_same_probability():
    layer = nn.Dropout(lambda step: 0.2 + 0.3 * step)
    x = tg.ones(1000, requires_grad=True)
    for step in (1, 2):
        out = tg.checkpoint(layer, x)
        (gradient,) = tg.grad(out.sum(), [x])
        assert (gradient.numpy() == out.numpy()).all()
        assert layer.num_batches_tracked.item() == step


def test_a_schedule_that_leaves_the_range_is_refused():
    with pytest.raises(ValueError, match=r"dropout: expected a probability p in \[0, 1\]"):
        nn.Dropout(lambda step: 2.0)(tg.ones(3))


# ------------------------------------------------------------------------------- DropConnect


def test_drop_connect_drops_weights_so_that_the_rows_of_a_batch_share_the_mask():
    layer = nn.DropConnect(30, 20, p=0.5, bias=False)
    out = layer(tg.ones((64, 30))).numpy()
    np.testing.assert_allclose(out, out[:1].repeat(64, 0), rtol=1e-5, atol=1e-6)
    rows = layer(tg.eye(30)).numpy()  # row i is column i of the masked weight
    kept = rows != 0
    assert 0.4 < kept.mean() < 0.6
    assert 0 < kept[0].mean() < 1  # connections, not inputs
    assert 0 < kept[:, 0].mean() < 1  # nor outputs
    np.testing.assert_allclose(rows[kept], 2 * layer.weight.numpy().T[kept], rtol=1e-6)


def test_drop_connect_drops_the_bias_too_and_is_linear_in_evaluation():
    layer = nn.DropConnect(3, 1000, p=0.3)
    bias = layer(tg.zeros((1, 3))).numpy()[0]
    assert abs((bias == 0).mean() - 0.3) < 0.06
    kept = bias != 0
    np.testing.assert_allclose(bias[kept], layer.bias.numpy()[kept] / 0.7, rtol=1e-6)
    x = tg.randn((4, 3))
    expected = F.linear(x, layer.weight, layer.bias)
    assert (layer.eval()(x).numpy() == expected.numpy()).all()


def test_the_mean_of_drop_connect_over_masks_is_linear():
    layer, x = nn.DropConnect(4, 3, p=0.5, dtype=tg.float64), tg.randn((2, 4), dtype=tg.float64)
    draws = np.stack([layer(x).numpy() for _ in range(4000)])
    error = draws.std(0) / math.sqrt(4000)
    assert (abs(draws.mean(0) - layer.eval()(x).numpy()) < 4.5 * error).all()


def test_a_dropped_connection_gets_no_gradient():
    layer = nn.DropConnect(30, 20, bias=False)
    out = layer(tg.eye(30))
    out.sum().backward()
    assert (layer.weight.grad.numpy() == 2.0 * (out.numpy().T != 0)).all()


def test_drop_connect_is_a_linear_layer_whose_weight_keeps_its_memory_order():
    layer = nn.DropConnect(5, 3, p=1.0, bias=False)
    assert isinstance(layer, nn.Linear)
    assert layer.weight.shape == (3, 5)
    assert layer(tg.ones((2, 5))).tolist() == [[0.0] * 3] * 2
    expected = "DropConnect(in_features=5, out_features=3, bias=False, p=1.0)"
    assert repr(layer) == expected
    layer.p = lambda step: 0.5
    assert list(layer.state_dict()) == ["weight", "num_batches_tracked"]


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Dropout(-0.1), ValueError, r"Dropout: expected .* p .*\[0, 1\]; got -0.1"),
        (lambda: nn.Dropout2d(2), ValueError, "Dropout2d: expected a probability p"),
        (lambda: nn.Dropout("0.5"), ValueError, "Dropout: expected .* p .*got '0.5'"),
        (
            lambda: nn.DropConnect(2, 2, p=math.nan),
            ValueError,
            "DropConnect: expected .* p .*got nan",
        ),
        (lambda: F.dropout(tg.ones(3), 1.01), ValueError, "dropout: expected .* p .*got 1.01"),
        (
            lambda: F.dropout(tg.ones(3), 1.01, False),
            ValueError,
            "dropout: expected .* p .*got 1.01",
        ),
        (lambda: F.dropout(tg.arange(3)), TypeError, "dropout: expected floating .* got int64"),
        (lambda: F.dropout1d(tg.ones(3)), ValueError, r"dropout1d: .* got \(3,\)"),
        (
            lambda: F.dropout2d(tg.ones((2, 3))),
            ValueError,
            r"dropout2d: expected an input \(N, C, H, W\) or \(C, H, W\); got \(2, 3\)",
        ),
        (lambda: nn.StochasticDepth(2), ValueError, "StochasticDepth: expected a probability p"),
        (lambda: F.stochastic_depth(tg.tensor(1.0)), ValueError, r"stochastic_depth: .* got \(\)"),
        (lambda: F.drop_connect(tg.ones((2, 3)), tg.ones((4, 3)), p=3), ValueError, "drop_connect"),
    ],
)
def test_what_does_not_fit_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()

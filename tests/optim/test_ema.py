"""EMA: the running mean of a model's weights."""

import copy

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import data, nn, optim
from tinygrad_gm.training import Run


class Net(nn.Module):
    """A layer, a scalar, and buffers of all kinds."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2, dtype=tg.float64)
        self.scale = nn.Parameter(tg.tensor(1.0, dtype=tg.float64))
        self.register_buffer("mean", tg.zeros(2, dtype=tg.float64))
        self.register_buffer("count", tg.tensor(0))
        self.register_buffer("scratch", tg.zeros(1), persistent=False)

    def forward(self, x):
        return self.layer(x) * self.scale - self.mean


def a_step(net, optimizer, rng):
    """A training step by which everything moves."""
    optimizer.zero_grad()
    F.mse_loss(net(tg.tensor(rng.normal(size=(4, 3)))), np.ones((4, 2))).backward()
    optimizer.step()
    net.mean = tg.tensor(rng.normal(size=2))
    net.count.copy_(net.count + 1)


def values(net):
    return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_the_mean_follows_its_formula_under_an_optimizer(warmup, use_buffers, kind):
    rng = np.random.default_rng(0)
    tg.manual_seed(0)
    net = Net()
    ema = optim.EMA(net, decay=0.9, warmup=warmup, use_buffers=use_buffers)
    optimizer = kind(net.parameters(), lr=0.1)  # which takes the arrays into its own memory
    expected = values(net)
    for t in range(100):
        a_step(net, optimizer, rng)
        ema.update()
        d = min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        for name, now in values(net).items():
            copied = name == "count" or (name == "mean" and not use_buffers)
            expected[name] = now if copied else d * expected[name] + (1 - d) * now
        for name, mean in values(ema.model).items():
            np.testing.assert_allclose(mean, expected[name], rtol=1e-10, atol=1e-14)
    assert ema.updates == 100
    assert ema.model.count.item() == 100


def test_the_mean_is_a_model_of_its_own_for_evaluation():
    net = Net()
    net.layer.weight.grad = tg.ones((2, 3), dtype=tg.float64)
    ema = optim.EMA(net)
    assert net.training
    assert not ema.model.training
    assert not any(p.requires_grad or p.grad is not None for p in ema.model.parameters())
    net.layer.weight.copy_(7.0)
    assert (ema.model.layer.weight.numpy() != 7.0).all()


def test_within_average_the_model_has_the_mean_and_afterwards_its_own_arrays():
    rng = np.random.default_rng(0)
    net = Net()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    ema = optim.EMA(net, decay=0.5)
    a_step(net, optimizer, rng)
    ema.update()
    before, mean, x = values(net), values(ema.model), rng.normal(size=(4, 3))
    places = [p._data for p in net.parameters()]
    with ema.average():
        for name, value in values(net).items():
            np.testing.assert_array_equal(value, mean[name])
        np.testing.assert_array_equal(net(x).numpy(), ema.model(x).numpy())
        with ema.average():
            pass
        np.testing.assert_array_equal(net.layer.weight.numpy(), mean["layer.weight"])
        with pytest.raises(
            RuntimeError, match=r"update cannot be called within `with ema.average\(\)`"
        ):
            ema.update()
    for name, value in values(net).items():
        np.testing.assert_array_equal(value, before[name])
    assert all(p._data is place for p, place in zip(net.parameters(), places, strict=True))
    a_step(net, optimizer, rng)  # the optimizer moves the model, not the mean
    np.testing.assert_array_equal(ema.model.layer.weight.numpy(), mean["layer.weight"])
    ema.update()


def test_the_weights_come_back_after_an_exception():
    net = Net()
    ema = optim.EMA(net)
    net.scale.copy_(3.0)
    with pytest.raises(ZeroDivisionError), ema.average():
        _ = 1 / 0
    assert net.scale.item() == 3.0
    ema.update()


def test_backward_through_weights_that_were_swapped_is_refused():
    net = Net()
    ema = optim.EMA(net)
    x = tg.ones((1, 3), dtype=tg.float64, requires_grad=True)
    with ema.average():
        y = net(x).sum()
    with pytest.raises(RuntimeError, match="written"):
        y.backward()


def test_a_shared_weight_is_averaged_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    ema = optim.EMA(net, decay=0.5)
    start = net[0].weight.numpy().copy()
    net[0].weight.copy_(start + 1)
    ema.update()
    assert ema.model[0].weight is ema.model[1].weight
    np.testing.assert_allclose(ema.model[0].weight.numpy(), start + 0.5, rtol=1e-6)


def test_decay_1_keeps_the_start_and_decay_0_the_newest_weights():
    net = Net()
    frozen, newest = optim.EMA(net, decay=1.0), optim.EMA(net, decay=0.0)
    start = values(net)["scale"]
    net.scale.copy_(5.0)
    frozen.update()
    newest.update()
    assert frozen.model.scale.item() == start
    assert newest.model.scale.item() == 5.0


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match="EMA: decay is"):
        optim.EMA(Net(), decay)


def test_a_mean_resumed_from_a_file_goes_on_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    net = Net()
    optimizer, ema = optim.SGD(net.parameters(), lr=0.1), optim.EMA(net, warmup=True)
    for _ in range(5):
        a_step(net, optimizer, rng)
        ema.update()
    tg.save(tmp_path / "e.safetensors", ema.state_dict())
    again = optim.EMA(Net(), warmup=True)
    place = again.model.layer.weight._data
    again.load_state_dict(tg.load(tmp_path / "e.safetensors"))
    assert again.model.layer.weight._data is place
    again._source = net  # the resumed model, with its weights loaded
    a_step(net, optimizer, rng)
    for one in (ema, again):
        one.update()
    assert again.updates == 6
    for name, value in values(ema.model).items():
        np.testing.assert_array_equal(values(again.model)[name], value)


def test_a_state_of_another_model_is_refused():
    ema = optim.EMA(Net())
    with pytest.raises(RuntimeError, match="missing"):
        ema.load_state_dict(optim.EMA(nn.Linear(3, 2)).state_dict())
    assert ema.updates == 0


def trained(folder, epochs, resume=False):
    """A model with its optimizer, schedule and mean, trained in a run."""
    tg.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer = optim.NAdam(net.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=4, steps_per_epoch=4)
    ema = optim.EMA(net, decay=0.9)
    x = tg.randn((32, 3))
    loader = data.DataLoader(data.TensorDataset(x, x[:, :1] * 2), batch_size=8, shuffle=True)

    def step(batch, generator):
        optimizer.zero_grad()
        loss = F.mse_loss(net(batch[0]), batch[1])
        loss.backward()
        norm = optim.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        ema.update()
        return {"loss": loss, "norm": norm, "lr": schedule.get_last_lr()[0]}

    parts = {"model": net, "optimizer": optimizer, "schedule": schedule, "ema": ema}
    with Run(folder, resume=resume) as run:
        run.train(step, parts, loader, epochs)
    return copy.deepcopy({name: part.state_dict() for name, part in parts.items()})


def test_a_run_with_schedule_and_mean_resumes_bit_for_bit(tmp_path):
    whole = trained(tmp_path / "whole", 4)
    trained(tmp_path / "halves", 2)
    resumed = trained(tmp_path / "halves", 4, resume=True)
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "halves")]
    assert metrics[0] == metrics[1]
    assert repr(whole["schedule"]) == repr(resumed["schedule"])
    for name, tensor in whole["ema"]["model"].items():
        np.testing.assert_array_equal(resumed["ema"]["model"][name].numpy(), tensor.numpy())


def test_with_a_power_the_decay_is_that_of_diffusion_policy():
    ema = optim.EMA(nn.Linear(1, 1), 0.9999, power=0.75)
    found = [ema.decay_at(update) for update in (0, 1, 2, 10, 1000, 10**9)]
    # EMAModel.get_decay of the reference implementation, counted from 0
    np.testing.assert_allclose(found, [0, 0, 0.4054, 0.8222, 0.9944, 0.9999], atol=5e-5)
    model = nn.Linear(1, 1, bias=False)
    model.weight.copy_(0.0)
    ema = optim.EMA(model, 0.9999, power=0.75)
    means = []
    for value in (1.0, 2.0, 3.0):
        model.weight.copy_(value)
        ema.update()
        means.append(ema.model.weight.item())
    np.testing.assert_allclose(means, [1, 2, 3 - 0.40539644], rtol=1e-6)


def test_a_power_is_positive_and_without_warmup():
    with pytest.raises(ValueError, match=r"EMA: power.* 0"):
        optim.EMA(nn.Linear(1, 1), power=0.0)
    with pytest.raises(ValueError, match="warmup and power exclude each other"):
        optim.EMA(nn.Linear(1, 1), warmup=True, power=0.75)

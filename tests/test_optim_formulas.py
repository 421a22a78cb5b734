"""SGD and Adam against plain transcriptions of the published update equations, in float64."""

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim

SHAPES = [(300, 250), (7,), (5, 4, 3), (), (70_000,), (2, 0)]  # the first and fifth need two blocks
STEPS = 50


class PlainSGD:
    """Sutskever et al. (2013), the velocity in units of the gradient; one parameter."""

    def __init__(self, momentum=0.0, dampening=0.0, nesterov=False):
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        self.velocity = None

    def move(self, theta, g, lr):
        if not self.momentum:
            return theta - lr * g
        if self.velocity is None:
            self.velocity = g
        else:
            self.velocity = self.momentum * self.velocity + (1 - self.dampening) * g
        direction = g + self.momentum * self.velocity if self.nesterov else self.velocity
        return theta - lr * direction


class PlainAdam:
    """Kingma & Ba (2015), algorithm 1, and AMSGrad (Reddi et al. 2018); one parameter."""

    def __init__(self, betas=(0.9, 0.999), eps=1e-8, amsgrad=False):
        self.betas, self.eps, self.amsgrad = betas, eps, amsgrad
        self.t, self.m, self.v, self.largest = 0, 0.0, 0.0, 0.0

    def move(self, theta, g, lr):
        b1, b2 = self.betas
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g * g
        self.largest = np.maximum(self.largest, self.v)
        m_hat = self.m / (1 - b1**self.t)
        v_hat = (self.largest if self.amsgrad else self.v) / (1 - b2**self.t)
        return theta - lr * m_hat / (np.sqrt(v_hat) + self.eps)


CASES = [
    (optim.SGD, PlainSGD, {}),
    (optim.SGD, PlainSGD, {"momentum": 0.9}),
    (optim.SGD, PlainSGD, {"momentum": 0.9, "nesterov": True}),
    (optim.SGD, PlainSGD, {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, PlainSGD, {"weight_decay": 0.1, "maximize": True}),
    (optim.Adam, PlainAdam, {}),
    (optim.Adam, PlainAdam, {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, PlainAdam, {"amsgrad": True}),
    (optim.Adam, PlainAdam, {"maximize": True, "weight_decay": 0.2, "amsgrad": True}),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize(("ours", "plain", "options"), CASES)
def test_fifty_steps_equal_the_published_equations(ours, plain, options, dtype, tolerance):
    """Two groups, weight decay, gradients that are missing at times or lie in another order."""
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(shape) for shape in SHAPES]
    parameters = [nn.Parameter(tg.tensor(theta.astype(dtype))) for theta in thetas]
    thetas = [parameter.numpy().astype(np.float64) for parameter in parameters]
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.05}]
    optimizer = ours(groups, lr=0.01, **options)
    rates = [0.01] * 3 + [0.05] * 3
    own = {k: v for k, v in options.items() if k not in ("weight_decay", "maximize")}
    references = [plain(**own) for _ in SHAPES]
    for step in range(STEPS):
        for i, parameter in enumerate(parameters):
            parameter.grad = None
            if (7 * step + 3 * i) % 5 == 0 or (i == 1 and step < 5):
                continue
            scale = 10.0 ** rng.integers(-3, 2)
            g = np.asarray(rng.standard_normal(SHAPES[i]) * scale, dtype)
            g = np.asfortranarray(g) if step % 2 and g.ndim else g
            parameter.grad = tg.asarray(g)
            g = -g.astype(np.float64) if options.get("maximize") else g.astype(np.float64)
            g = g + options.get("weight_decay", 0.0) * thetas[i]
            thetas[i] = references[i].move(thetas[i], g, rates[i])
        optimizer.step()
    for parameter, theta in zip(parameters, thetas, strict=True):
        assert parameter.dtype == dtype
        error = np.abs(parameter.numpy() - theta).max(initial=0)
        assert error <= tolerance * np.abs(theta).max(initial=1)
    if ours is optim.Adam:
        for parameter, reference in zip(parameters, references, strict=True):
            state = optimizer.state[parameter]
            assert state["step"].item() == reference.t
            for name, value in (("exp_avg", reference.m), ("exp_avg_sq", reference.v)):
                error = np.abs(state[name].numpy() - value).max(initial=0)
                assert error <= 10 * tolerance * max(1.0, np.abs(value).max(initial=0))


def test_the_first_step_of_adam_is_lr_in_the_direction_of_the_signs():
    w = tg.tensor([1.0, -2.0, 3.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1, eps=0.0)
    w.grad = tg.tensor([1e-6, -1e6, 5.0], dtype=tg.float64)
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), [0.9, -1.9, 2.9], rtol=1e-14)


def test_sgd_on_a_parabola_shrinks_by_one_minus_two_lr_each_step():
    w = tg.tensor([3.0, -1.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), np.array([3.0, -1.0]) * 0.8**10, rtol=1e-13)


def test_a_change_of_lr_and_of_a_groups_options_acts_at_once():
    w = tg.tensor([1.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    w.grad = tg.tensor([1.0], dtype=tg.float64)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert math.isclose(w.item(), 1 - 0.1 - 0.5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda w: optim.SGD([w], lr=-1), "SGD: lr is -1; it must be ≥ 0"),
        (lambda w: optim.SGD([w], momentum=-0.1), "momentum is -0.1"),
        (lambda w: optim.SGD([w], nesterov=True), "nesterov needs momentum"),
        (lambda w: optim.Adam([w], betas=(0.9, 1.0)), "betas is"),
        (lambda w: optim.Adam([w], eps=-1), "eps is -1"),
        (lambda w: optim.Adam([w], weight_decay=-1), "weight_decay is -1"),
        (lambda w: optim.Adam([{"params": [w], "lr": float("nan")}]), "lr is nan"),
    ],
)
def test_options_out_of_range_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(tg.tensor([1.0], requires_grad=True))

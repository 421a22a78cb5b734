"""The optimizers against plain transcriptions of the published update equations, in float64."""

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


class PlainAdagrad:
    """Duchi, Hazan & Singer (2011), with a rate that falls as 1/t; one parameter."""

    def __init__(self, lr_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
        self.lr_decay, self.eps = lr_decay, eps
        self.t, self.total = 0, initial_accumulator_value

    def move(self, theta, g, lr):
        self.t += 1
        self.total = self.total + g**2
        rate = lr / (1 + (self.t - 1) * self.lr_decay)
        return theta - rate * g / (np.sqrt(self.total) + self.eps)


class PlainRMSprop:
    """Tieleman & Hinton (2012); centred as in Graves (2013), eq. 38 to 41; one parameter."""

    def __init__(self, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        self.square, self.mean, self.velocity = 0.0, 0.0, 0.0

    def move(self, theta, g, lr):
        self.square = self.alpha * self.square + (1 - self.alpha) * g**2
        self.mean = self.alpha * self.mean + (1 - self.alpha) * g
        variance = self.square - self.mean**2 if self.centered else self.square
        self.velocity = self.momentum * self.velocity + g / (np.sqrt(variance) + self.eps)
        return theta - lr * self.velocity


class PlainAdadelta:
    """Zeiler (2012), algorithm 1; one parameter."""

    def __init__(self, rho=0.9, eps=1e-6):
        self.rho, self.eps, self.g2, self.d2 = rho, eps, 0.0, 0.0

    def rms(self, mean_square):
        return np.sqrt(mean_square + self.eps)

    def move(self, theta, g, lr):
        self.g2 = self.rho * self.g2 + (1 - self.rho) * g**2
        change = -self.rms(self.d2) / self.rms(self.g2) * g
        self.d2 = self.rho * self.d2 + (1 - self.rho) * change**2
        return theta + lr * change


class PlainAdamax:
    """Kingma & Ba (2015), algorithm 2, with PyTorch's ε; one parameter."""

    def __init__(self, betas=(0.9, 0.999), eps=1e-8):
        self.betas, self.eps, self.t, self.m, self.u = betas, eps, 0, 0.0, 0.0

    def move(self, theta, g, lr):
        b1, b2 = self.betas
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.u = np.maximum(b2 * self.u, np.abs(g) + self.eps)
        return theta - lr / (1 - b1**self.t) * self.m / self.u


class PlainNAdam:
    """Dozat (2016), algorithm 2, with μₜ = β₁ (1 − ½ · 0.96^(t ψ)); one parameter."""

    def __init__(self, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3):
        self.betas, self.eps, self.decay = betas, eps, momentum_decay
        self.t, self.m, self.v = 0, 0.0, 0.0

    def mu(self, t):
        return self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.decay))

    def move(self, theta, g, lr):
        b1, b2 = self.betas
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        product = math.prod(self.mu(i) for i in range(1, self.t + 1))
        after = product * self.mu(self.t + 1)
        m_hat = self.mu(self.t + 1) * self.m / (1 - after) + (1 - self.mu(self.t)) * g / (
            1 - product
        )
        return theta - lr * m_hat / (np.sqrt(self.v / (1 - b2**self.t)) + self.eps)


class PlainRAdam:
    """Liu et al. (2020), algorithm 2, with PyTorch's bound 5 and its place of ε; one parameter."""

    def __init__(self, betas=(0.9, 0.999), eps=1e-8):
        self.betas, self.eps, self.t, self.m, self.v = betas, eps, 0, 0.0, 0.0

    def move(self, theta, g, lr):
        b1, b2 = self.betas
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        m_hat = self.m / (1 - b1**self.t)
        most = 2 / (1 - b2) - 1
        rho = most - 2 * self.t * b2**self.t / (1 - b2**self.t)
        if rho <= 5:
            return theta - lr * m_hat
        r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
        size = math.sqrt(1 - b2**self.t) / (np.sqrt(self.v) + self.eps)
        return theta - lr * r * m_hat * size


class PlainLion:
    """Chen et al. (2023), algorithm 2; one parameter."""

    def __init__(self, betas=(0.9, 0.99)):
        self.betas, self.m = betas, 0.0

    def move(self, theta, g, lr):
        b1, b2 = self.betas
        update = np.sign(b1 * self.m + (1 - b1) * g)
        self.m = b2 * self.m + (1 - b2) * g
        return theta - lr * update


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
    (optim.Adam, PlainAdam, {"weight_decay": 0.2, "decoupled_weight_decay": True}),
    (optim.AdamW, PlainAdam, {"weight_decay": 0.3}),
    (optim.AdamW, PlainAdam, {"weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    (optim.Adagrad, PlainAdagrad, {}),
    (optim.Adagrad, PlainAdagrad, {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    (optim.Adagrad, PlainAdagrad, {"initial_accumulator_value": 0.5, "eps": 1e-3}),
    (optim.RMSprop, PlainRMSprop, {}),
    (optim.RMSprop, PlainRMSprop, {"alpha": 0.9, "momentum": 0.8, "weight_decay": 0.1}),
    (optim.RMSprop, PlainRMSprop, {"centered": True, "eps": 1e-4, "maximize": True}),
    (optim.RMSprop, PlainRMSprop, {"centered": True, "momentum": 0.5}),
    (optim.Adadelta, PlainAdadelta, {}),
    (optim.Adadelta, PlainAdadelta, {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adamax, PlainAdamax, {}),
    (optim.Adamax, PlainAdamax, {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.NAdam, PlainNAdam, {}),
    (optim.NAdam, PlainNAdam, {"betas": (0.8, 0.99), "momentum_decay": 0.1, "weight_decay": 0.1}),
    (optim.NAdam, PlainNAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, PlainRAdam, {"weight_decay": 0.1}),
    (optim.RAdam, PlainRAdam, {"betas": (0.8, 0.9), "eps": 1e-3, "maximize": True}),
    (optim.RAdam, PlainRAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.Lion, PlainLion, {}),
    (optim.Lion, PlainLion, {"betas": (0.7, 0.9), "weight_decay": 0.5, "maximize": True}),
]
NOT_OF_THE_FORMULA = ("weight_decay", "decoupled_weight_decay", "maximize")
DECOUPLED = (optim.AdamW, optim.Lion)


PRECISIONS = [(np.float64, 1e-12), (np.float32, 2e-6)]


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("ours", "plain", "options", "dtype", "tolerance"),
    [
        (*case, *precision)
        for case in CASES
        for precision in PRECISIONS
        if case[0] is not optim.Lion or precision[0] is np.float64  # rounding decides a sign
    ],
)
def test_fifty_steps_equal_the_published_equations(ours, plain, options, dtype, tolerance):
    """Two groups, weight decay, gradients that are missing at times or lie in another order."""
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(shape) for shape in SHAPES]
    parameters = [nn.Parameter(tg.tensor(theta.astype(dtype))) for theta in thetas]
    thetas = [parameter.numpy().astype(np.float64) for parameter in parameters]
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.05}]
    optimizer = ours(groups, lr=0.01, **options)
    rates = [0.01] * 3 + [0.05] * 3
    own = {k: v for k, v in options.items() if k not in NOT_OF_THE_FORMULA}
    decay = options.get("weight_decay", 0.0)
    decoupled = ours in DECOUPLED or options.get("decoupled_weight_decay", False)
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
            if decoupled:
                thetas[i] = (1 - rates[i] * decay) * thetas[i]
            else:
                g = g + decay * thetas[i]
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


KINDS = [getattr(optim, name) for name in optim.__all__ if name[0].isupper()]
KINDS = [kind for kind in KINDS if issubclass(kind, optim.Optimizer) and kind != optim.Optimizer]


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_finds_the_bottom_of_a_parabola(kind):
    w = tg.tensor([3.0, -1.0], dtype=tg.float64, requires_grad=True)
    optimizer = kind([w], lr={optim.Adadelta: 30.0, optim.Adagrad: 1.0}.get(kind, 0.1))
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    for _ in range(300):
        optimizer.zero_grad()
        ((w - np.array([1.0, 2.0])) ** 2).sum().backward()
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(w.numpy(), [1.0, 2.0], atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_of_zeros_moves_nothing_and_gives_no_nan(kind):
    w = tg.tensor([1.0, 0.0], requires_grad=True)
    optimizer = kind([w], lr=0.1, weight_decay=0.0)
    w.grad = tg.zeros(2)
    for _ in range(20):
        optimizer.step()
    assert w.tolist() == [1.0, 0.0]


def test_centred_rmsprop_survives_a_gradient_that_never_changes():
    w = tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.RMSprop([w], lr=1e-9, alpha=0.5, centered=True)
    w.grad = tg.tensor([0.1, 0.3, 0.7], dtype=tg.float64)
    for _ in range(300):  # v − a² is rounding noise of either sign by now
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


def test_nadams_product_of_momenta_is_counted_for_each_parameter_by_itself():
    a, b = (tg.tensor([1.0], dtype=tg.float64, requires_grad=True) for _ in range(2))
    optimizer = optim.NAdam([a, b], lr=0.1, momentum_decay=0.5)
    for parameters, beta1 in (([a], 0.9), ([b], 0.5), ([a, b], 0.9)):
        optimizer.param_groups[0]["betas"] = (beta1, 0.999)
        optimizer.zero_grad()
        for parameter in parameters:
            parameter.grad = tg.ones(1, dtype=tg.float64)
        optimizer.step()

    def mu(t, beta1):
        return beta1 * (1 - 0.5 * 0.96 ** (0.5 * t))

    states = [optimizer.state[parameter] for parameter in (a, b)]
    assert [state["step"].item() for state in states] == [2, 2]
    products = [state["mu_product"].item() for state in states]
    np.testing.assert_allclose(products, [mu(1, 0.9) * mu(2, 0.9), mu(1, 0.5) * mu(2, 0.9)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda w: optim.SGD([w], lr=-1), "SGD: lr is -1; it must be a finite number ≥ 0"),
        (lambda w: optim.SGD([w], momentum=-0.1), "momentum is -0.1"),
        (lambda w: optim.SGD([w], nesterov=True), "nesterov needs momentum"),
        (
            lambda w: optim.Adam([w], betas=(0.9, 1.0)),
            r"betas\[1\] is 1.0; .* in \[0, 1\)",
        ),
        (lambda w: optim.Adam([w], eps=-1), "eps is -1"),
        (lambda w: optim.Adam([w], betas=(0.9,)), "two numbers in"),
        (lambda w: optim.Lion([w], betas=(-0.1, 0.9)), r"Lion: betas\[0\] is -0.1"),
        (lambda w: optim.Adagrad([w], lr_decay=-1), "Adagrad: lr_decay is -1"),
        (lambda w: optim.Adagrad([w], initial_accumulator_value=-1), "initial_accumulator_value"),
        (lambda w: optim.RMSprop([w], alpha=1.5), "RMSprop: alpha is 1.5"),
        (lambda w: optim.RMSprop([w], momentum=-1), "momentum is -1"),
        (lambda w: optim.Adadelta([w], rho=2), "Adadelta: rho is 2"),
        (lambda w: optim.NAdam([w], momentum_decay=-1), "momentum_decay is -1"),
        (lambda w: optim.Adam([w], weight_decay=-1), "weight_decay is -1"),
        (lambda w: optim.Adam([{"params": [w], "lr": float("nan")}]), "lr is nan"),
    ],
)
def test_options_out_of_range_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(tg.tensor([1.0], requires_grad=True))

"""Losses and functions: closed forms, reductions, gradients, errors."""

import inspect

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

rng = np.random.default_rng(0)


def test_everything_promised_is_there():
    for name in F.__all__:
        assert callable(getattr(F, name))


def test_the_first_array_is_called_input_by_every_activation_and_spatial_function():
    x = tg.tensor([[-1.0, 2.0]])
    assert F.softmax(input=tg.zeros((1, 2)), axis=1).tolist() == [[0.5, 0.5]]
    assert F.relu(input=x).tolist() == [[0.0, 2.0]]
    assert F.linear(input=x, weight=x).tolist() == [[5.0]]
    assert F.max_pool1d(input=x, kernel_size=2).tolist() == [[2.0]]


@pytest.mark.parametrize(("word", "ours"), [("dim", "axis"), ("keepdim", "keepdims")])
def test_pytorchs_words_are_refused_with_ours_wherever_we_have_them(word, ours):
    functions = [getattr(F, name) for name in F.__all__]
    affected = [f for f in functions if ours in inspect.signature(f).parameters]
    assert affected
    for function in affected:
        with pytest.raises(TypeError, match=f"PyTorch's `{word}` is `{ours}` here"):
            function(tg.ones((2, 2)), **{word: 1})


def test_leaky_relu_takes_pytorchs_keyword():
    assert F.leaky_relu(tg.tensor([-1.0, 1.0]), negative_slope=0.5).tolist() == [-0.5, 1.0]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_is_the_squared_difference(reduction):
    a, b = rng.standard_normal((2, 3, 4))
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]
    x = tg.tensor(a, requires_grad=True)
    loss = F.mse_loss(x, tg.tensor(b), reduction=reduction)
    np.testing.assert_allclose(loss.numpy(), reduce((a - b) ** 2), rtol=1e-12)
    loss.sum().backward()
    scale = 1 / a.size if reduction == "mean" else 1
    np.testing.assert_allclose(x.grad.numpy(), 2 * (a - b) * scale, rtol=1e-12)


def test_mse_loss_does_not_broadcast():
    with pytest.raises(ValueError, match=r"one shape; got \(3,\) and \(3, 1\)"):
        F.mse_loss(tg.zeros(3), tg.zeros((3, 1)))


@pytest.mark.parametrize("loss", [F.mse_loss, F.kl_normal])
def test_an_unknown_reduction_is_named(loss):
    with pytest.raises(ValueError, match="'average'"):
        loss(tg.zeros(3), tg.zeros(3), reduction="average")


def test_kl_of_a_normal_to_itself_is_zero_and_to_the_standard_one_is_the_known_formula():
    mu, log_var = rng.standard_normal((2, 3, 4))
    same = F.kl_normal(mu, log_var, mu, log_var, reduction="none").numpy()
    np.testing.assert_allclose(same, np.zeros((3, 4)), atol=1e-15)
    expected = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))
    standard = F.kl_normal(tg.tensor(mu), tg.tensor(log_var), reduction="none").numpy()
    np.testing.assert_allclose(standard, expected, rtol=1e-12)
    np.testing.assert_allclose(
        F.kl_normal(mu, log_var, reduction="sum").item(), expected.sum(), rtol=1e-12
    )
    np.testing.assert_allclose(F.kl_normal(mu, log_var).item(), expected.mean(), rtol=1e-12)


def test_kl_of_two_normals_equals_numerical_integration():
    x = np.linspace(-40, 40, 400_001)

    def density(mu, log_var):
        return np.exp(-((x - mu) ** 2) / (2 * np.exp(log_var))) / np.sqrt(
            2 * np.pi * np.exp(log_var)
        )

    for mu_p, a, mu_q, b in [(0.3, -0.5, -1.0, 0.7), (2.0, 1.0, 0.0, 0.0), (-1.0, -2.0, -1.5, 1.0)]:
        p, q = density(mu_p, a), density(mu_q, b)
        integrand = np.where(p > 0, p * (np.log(p + 1e-300) - np.log(q + 1e-300)), 0)
        expected = np.trapezoid(integrand, x)
        np.testing.assert_allclose(F.kl_normal(mu_p, a, mu_q, b).item(), expected, rtol=1e-6)


def test_gradients_of_kl_are_its_partial_derivatives():
    mu, log_var, mu_q, log_var_q = (tg.tensor(v, requires_grad=True) for v in rng.random((4, 5)))
    F.kl_normal(mu, log_var, mu_q, log_var_q, reduction="sum").backward()
    m, a, n, b = (t.numpy() for t in (mu, log_var, mu_q, log_var_q))
    np.testing.assert_allclose(mu.grad.numpy(), (m - n) * np.exp(-b), rtol=1e-12)
    np.testing.assert_allclose(mu_q.grad.numpy(), -(m - n) * np.exp(-b), rtol=1e-12)
    np.testing.assert_allclose(log_var.grad.numpy(), 0.5 * (np.exp(a - b) - 1), rtol=1e-12)
    np.testing.assert_allclose(
        log_var_q.grad.numpy(), 0.5 * (1 - (np.exp(a) + (m - n) ** 2) * np.exp(-b)), rtol=1e-12
    )


def test_a_float32_loss_stays_float32():
    x = tg.ones((2, 3))
    assert F.mse_loss(x, x).dtype == np.float32
    assert F.kl_normal(x, x, 0.5, 0.25).dtype == np.float32


def test_embedding_takes_pytorchs_order_and_counts_padding_from_the_end():
    weight = tg.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    out = F.embedding([0, 2, 2], weight, padding_idx=-1)
    assert out.tolist() == [[1.0], [3.0], [3.0]]
    out.sum().backward()
    assert weight.grad.tolist() == [[1.0], [0.0], [0.0]]

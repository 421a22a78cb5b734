"""The variational autoencoder: its bound, its training, its pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator, data
from tinygrad_gm.models import vae
from tinygrad_gm.training import Run


def small_model(seed: int, latent_dim: int = 1) -> vae.VAE:
    tg.manual_seed(seed)
    return vae.VAE(input_dim=6, latent_dim=latent_dim, hidden_dim=5)


def log_likelihood(model: vae.VAE, x: np.ndarray) -> float:
    """ln p(x) of one image by summing over a fine grid of one-dimensional codes."""
    z = np.linspace(-8, 8, 4001)
    logits = model.decode(tg.tensor(z[:, None], tg.float32)).numpy().astype(float)
    log_p_x_given_z = (x * logits - np.logaddexp(0, logits)).sum(1)
    log_prior = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    return float(np.log(np.exp(log_p_x_given_z + log_prior).sum() * (z[1] - z[0])))


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_bounds_the_likelihood_from_above_and_is_tight_for_the_exact_posterior(seed):
    model = small_model(seed)
    x = np.array([1.0, 0, 1, 1, 0, 0])
    images = tg.tensor(np.tile(x, (20_000, 1)), tg.float32)
    noise = tg.randn((20_000, 1), generator=Generator(seed))
    bound, _ = vae.negative_elbo(*_reordered(model, images, noise))
    truth = -log_likelihood(model, x)
    assert bound.item() > truth
    # a decoder that ignores z makes the prior the exact posterior: then the bound is an equality
    model.decoder[0].weight.data = tg.zeros((5, 1))
    model.fc_mu.weight.data, model.fc_mu.bias.data = tg.zeros((1, 5)), tg.zeros(1)
    model.fc_log_var.weight.data, model.fc_log_var.bias.data = tg.zeros((1, 5)), tg.zeros(1)
    bound, parts = vae.negative_elbo(*_reordered(model, images, noise))
    assert bound.item() == pytest.approx(-log_likelihood(model, x), rel=1e-4)
    assert parts["kl"].item() == pytest.approx(0, abs=1e-6)


def _reordered(model, images, noise):
    logits, mu, log_var = model(images, noise)
    return logits, images, mu, log_var


def test_the_kl_term_is_that_of_many_draws():
    mu, log_var = np.array([[0.7, -1.2]]), np.array([[-0.5, 0.4]])
    sigma = np.exp(0.5 * log_var)
    z = mu + sigma * np.random.default_rng(0).standard_normal((2_000_000, 2))
    log_q = -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma)
    estimate = float((log_q + 0.5 * z**2).sum(1).mean())
    zeros = tg.zeros((1, 3))
    _, parts = vae.negative_elbo(zeros, zeros, tg.tensor(mu), tg.tensor(log_var))
    assert parts["kl"].item() == pytest.approx(estimate, abs=0.01)
    assert parts["reconstruction"].item() == pytest.approx(3 * np.log(2))


def test_gradients_of_the_whole_loss_equal_central_differences():
    model = small_model(0, latent_dim=2)
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(tg.float64)
    rng = np.random.default_rng(0)
    x, noise = tg.tensor(rng.integers(0, 2, (4, 6)) * 1.0), tg.tensor(rng.normal(size=(4, 2)))

    def value() -> tg.Tensor:
        return vae.negative_elbo(*_reordered(model, x, noise))[0]

    value().backward()
    for name, parameter in model.named_parameters():
        array, slope = parameter.data.numpy(), parameter.grad.numpy()
        for _ in range(3):
            i = tuple(rng.integers(0, array.shape))
            kept, values = array[i], []
            for step in (1e-6, -1e-6):
                array[i] = kept + step
                values.append(value().item())
            array[i] = kept
            assert slope[i] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6), name


def test_the_loss_does_not_depend_on_the_batch_size_and_accepts_saturated_logits():
    logits = tg.tensor([[200.0, -200.0, 0.0]])
    x = tg.tensor([[0.0, 0.0, 1.0]])
    zeros = tg.zeros((1, 2))
    once, _ = vae.negative_elbo(logits, x, zeros, zeros)
    many, _ = vae.negative_elbo(*(tg.repeat(t, 7, axis=0) for t in (logits, x, zeros, zeros)))
    assert once.item() == pytest.approx(200 + np.log(2), rel=1e-6)
    assert many.item() == pytest.approx(once.item(), rel=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    def trained(name: str, seed: int) -> bytes:
        config = vae.Config(epochs=1, hidden_dim=16, latent_dim=3, seed=seed)
        with Run(tmp_path / name, config) as run:
            vae.train(config, run)
        return run.checkpoint.read_bytes() + (run.folder / "metrics.jsonl").read_bytes()

    first = trained("first", 0)
    assert trained("again", 0) == first
    assert trained("other", 1) != first


def test_a_restored_model_is_the_trained_one(tmp_path):
    config = vae.Config(epochs=1, hidden_dim=16, latent_dim=3)
    with Run(tmp_path, config) as run:
        vae.train(config, run)
    unseen, _ = data.mnist_small().test.tensors
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert vae.evaluate(vae.restore(tmp_path), unseen) == metrics[-1]["test_loss"]
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step-000071.png"]
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "curves.png",
        "reconstructions.png",
        "samples.png",
        "traversal.png",
    }


def test_a_traversal_moves_one_number_at_a_time():
    tg.manual_seed(0)
    model = vae.VAE(latent_dim=4, hidden_dim=8)
    images, _ = data.mnist_small().test[:1]
    seen = []
    model.decode = lambda z: seen.append(z.numpy().copy()) or tg.zeros((len(z), 784))
    vae.traverse(model, images[0], axes=3, steps=5)
    (codes,) = seen
    assert codes.shape == (15, 4)
    for row in range(3):
        moved = np.ptp(codes[5 * row : 5 * row + 5], axis=0) > 0
        assert moved.sum() == 1


@pytest.mark.slow
def test_twenty_epochs_reach_120_nats_on_unseen_digits(tmp_path):
    config = vae.Config()
    with Run(tmp_path, config) as run:
        vae.train(config, run)
    unseen, _ = data.mnist_small().test.tensors
    model = vae.restore(tmp_path)
    assert vae.evaluate(model, unseen) <= 120
    assert vae.evaluate(model, unseen, seed=1) <= 120

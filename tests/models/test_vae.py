"""The variational autoencoder: its bound, its training, its pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from slopes import check_slopes

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, data, nn, optim
from tinygrad_gm.models import vae
from tinygrad_gm.models.gallery import vae as gallery
from tinygrad_gm.models.parts import mnist_like
from tinygrad_gm.training import Run


def small_model(seed: int, latent_dim: int = 1, input_dim: int = 6) -> vae.VAE:
    tg.manual_seed(seed)
    return vae.VAE(input_dim, latent_dim, hidden_dim=5)


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
    model.to(tg.float64)
    rng = np.random.default_rng(0)
    x, noise = tg.tensor(rng.integers(0, 2, (4, 6)) * 1.0), tg.tensor(rng.normal(size=(4, 2)))
    check_slopes(model, lambda: vae.negative_elbo(*_reordered(model, x, noise))[0])


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
    unseen, labels = data.mnist_small().test.tensors
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    found = vae.evaluate(vae.restore(tmp_path), unseen, labels)
    assert found["loss"] == metrics[-1]["test_loss"]
    assert found["loss"] == pytest.approx(found["reconstruction"] + found["kl"])
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step-000071.png"]
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "curves.png",
        "interpolation.png",
        "reconstructions.png",
        "samples.png",
        "traversal.png",
    }


def test_a_traversal_moves_one_number_at_a_time():
    tg.manual_seed(0)
    model = vae.VAE(latent_dim=4, hidden_dim=8)
    images, _ = data.mnist_small().test[:1]
    seen = []
    model.decode = lambda z, label: seen.append(z.numpy().copy()) or tg.zeros((len(z), 784))
    gallery.traverse(model, images[0], axes=3, steps=5)
    (codes,) = seen
    assert codes.shape == (15, 4)
    for row in range(3):
        moved = np.ptp(codes[5 * row : 5 * row + 5], axis=0) > 0
        assert moved.sum() == 1


# ------------------------------------------------------------------------- the estimates


def standard_errors(draws: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How many standard errors the means of independent draws, the first axis, are off."""
    return (draws.mean(0) - wanted) / (draws.std(0) / np.sqrt(len(draws)))


def test_the_kl_in_closed_form_is_the_mean_of_ten_to_the_fifth_draws():
    rng = np.random.default_rng(0)
    mu, log_var = rng.normal(size=(2, 5))
    noise = rng.standard_normal((100_000, 5))
    z = mu + np.exp(0.5 * log_var) * noise
    draws = 0.5 * (z**2 - noise**2 - log_var).sum(1)  # ln q(z) − ln p(z)
    zeros = tg.zeros((1, 3), tg.float64)
    mean = tg.tensor(mu[None]), tg.tensor(log_var[None])
    _, parts = vae.negative_elbo(zeros, zeros, *mean)
    assert abs(standard_errors(draws, parts["kl"].item())) < 4


def test_the_reparameterised_gradient_is_that_of_the_score_function():
    model, count = small_model(0, latent_dim=2).to(tg.float64), 100_000
    x = tg.tensor(np.tile([1.0, 0, 1, 1, 0, 0], (count, 1)))
    noise = tg.randn((count, 2), tg.float64, generator=Generator(1))
    # each draw has μ and ln σ² of its own, so that backward() gives each draw's gradient
    mu = tg.tensor(np.tile([0.5, -1.0], (count, 1)), requires_grad=True)
    log_var = tg.tensor(np.tile([-0.3, 0.6], (count, 1)), requires_grad=True)
    nats = vae.reconstruction_loss(
        model.decode(model.reparameterize(mu, log_var, noise)), x, reduction="none"
    ).sum(axis=1)
    nats.sum().backward()
    pathwise = np.concatenate([mu.grad.numpy(), log_var.grad.numpy()], axis=1)
    # ∇ ln q(z) for fixed z: ε/σ for μ, ½(ε² − 1) for ln σ²
    ε, sigma = noise.numpy(), np.exp([-0.15, 0.3])
    score = np.concatenate([ε / sigma, 0.5 * (ε**2 - 1)], axis=1)
    by_score = (nats.detach().numpy() - nats.numpy().mean())[:, None] * score
    assert (np.abs(standard_errors(pathwise - by_score, 0)) < 4).all()
    assert (np.abs(standard_errors(pathwise + by_score, 0)) > 4).any()  # the test can fail
    assert (pathwise.var(0) < by_score.var(0)).all()  # which is why it is used


def test_the_bounds_rise_with_the_number_of_codes_to_the_likelihood():
    model, x = small_model(0, input_dim=9), np.array([1.0, 0, 1, 1, 0, 0, 1, 1, 1])
    with tg.no_grad():
        model.decoder[0].weight *= 8  # so that the code says something that the encoder misses
    images = tg.tensor(np.tile(x, (2000, 1)), tg.float32).reshape(-1, 1, 3, 3)
    found = vae.bounds(model, images, tg.zeros(2000, tg.int64), sizes=(1, 5, 50))
    elbo = -vae.evaluate(model, images, tg.zeros(2000, tg.int64))["loss"]
    truth = log_likelihood(model, x)
    assert found[1] == pytest.approx(elbo, abs=0.1)
    assert found[1] < found[5] - 0.05 < found[50] - 0.06
    assert truth - 0.02 < found[50] < truth + 0.01


@pytest.mark.slow
def test_a_linear_gaussian_vae_reaches_the_exact_likelihood_of_probabilistic_pca():
    # Tipping and Bishop 1999, equations 3-8; that the posterior's Σ is diagonal costs nothing,
    # since W can be rotated until it is (Lucas et al. 2019)
    rng, rows, wide, narrow = np.random.default_rng(0), 2000, 10, 3
    x = rng.normal(size=(rows, narrow)) @ rng.normal(size=(narrow, wide)) + rng.normal(size=wide)
    x += 0.5 * rng.normal(size=x.shape)
    variances = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1]
    noise = variances[narrow:].mean()
    log_det = np.log(variances[:narrow]).sum() + (wide - narrow) * np.log(noise)
    exact = -0.5 * (wide * np.log(2 * np.pi) + log_det + wide)

    tg.manual_seed(0)
    model = vae.VAE(wide, narrow, likelihood="gaussian")
    model.encoder, model.decoder = nn.Identity(), nn.Linear(narrow, wide)
    model.fc_mu, model.fc_log_var = nn.Linear(wide, narrow), nn.Linear(wide, narrow)
    optimizer, steps = optim.Adam(model.parameters(), lr=0.1), 4000
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    data_rows, zeros = tg.tensor(x, tg.float32), tg.zeros((rows, narrow))
    for _ in range(steps):
        mean, mu, log_var = model(data_rows, zeros)
        at_the_mean, _ = vae.negative_elbo(mean, data_rows, mu, log_var, model.pixel_log_var)
        # E_q (x − Wz − b)² exceeds the square at μ by Σ_ij W_ij² σ_j²
        spread = (tg.exp(log_var) @ tg.square(model.decoder.weight).T).sum() / rows
        loss = at_the_mean + 0.5 * spread * tg.exp(-model.pixel_log_var)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert exact - 0.05 < -loss.item() <= exact + 1e-4
    assert np.exp(model.pixel_log_var.item()) == pytest.approx(noise, rel=0.01)


# ------------------------------------------------------------------------- the variants


def test_the_textbook_network_has_the_published_number_of_parameters():
    model = vae.VAE(784, 20, hidden_dim=400)
    assert sum(p.size for p in model.parameters()) == 652_824  # pytorch/examples, vae


@pytest.mark.parametrize("network", ["fc", "conv"])
@pytest.mark.parametrize("classes", [0, 10])
def test_every_network_maps_images_to_codes_and_back(network, classes):
    model = vae.VAE(784, 3, 16, network, classes)
    logits, mu, log_var = model(tg.rand((2, 784)), tg.zeros((2, 3)), tg.tensor([4, 9]))
    assert (logits.shape, mu.shape, log_var.shape) == ((2, 784), (2, 3), (2, 3))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_gaussian_likelihood_is_that_of_the_density_with_its_constant():
    rng = np.random.default_rng(0)
    x, mean = rng.random((3, 4)), rng.random((3, 4))
    sigma = 0.2
    density = np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    log_var = tg.tensor(2 * np.log(sigma), tg.float64)
    nats = vae.reconstruction_loss(tg.tensor(mean), tg.tensor(x), log_var, reduction="none")
    assert nats.numpy() == pytest.approx(-np.log(density), rel=1e-12)
    total = vae.reconstruction_loss(tg.tensor(mean), tg.tensor(x), log_var)
    assert total.item() == pytest.approx(-np.log(density).sum(), rel=1e-12)


def test_a_given_sigma_stays_and_a_learned_one_goes_to_the_size_of_the_errors():
    images = tg.rand((64, 1, 3, 3), generator=Generator(0))
    for sigma in (0.5, 0.0):
        tg.manual_seed(0)
        model = vae.VAE(9, 1, 4, likelihood="gaussian", sigma=sigma)
        optimizer = optim.Adam(model.parameters(), lr=0.02)
        for step in range(300):
            optimizer.zero_grad()
            vae.loss(model, images, Generator(step))[0].backward()
            optimizer.step()
        found = np.exp(0.5 * model.pixel_log_var.item())
        mean, _, _ = model(images.reshape(64, 9), tg.randn((64, 1), generator=Generator(9)))
        error = F.mse_loss(mean, images.reshape(64, 9)).item() ** 0.5
        assert found == pytest.approx(sigma or error, rel=1e-6 if sigma else 0.05)


def test_the_weight_of_the_kl_rises_over_the_warm_up_and_stays(tmp_path):
    config = vae.Config(
        dataset="digits", images=256, batch_size=64, hidden_dim=8, epochs=2, beta=4.0, warm_up=5
    )
    with Run(tmp_path, config) as run:
        vae.train(config, run)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "beta" in line]
    assert [line["beta"] for line in steps] == pytest.approx([0.8, 1.6, 2.4, 3.2, 4, 4, 4, 4])
    for line in steps:
        assert line["loss"] == pytest.approx(line["reconstruction"] + line["beta"] * line["kl"])
    last = lines[-1]
    weighted = last["test_reconstruction"] + 4 * last["test_kl"]
    assert last["test_loss"] == pytest.approx(weighted)
    assert last["iwae1_loss"] > last["iwae5_loss"] > last["iwae50_loss"]


def test_a_conditional_model_draws_the_class_that_it_is_asked_for():
    tg.manual_seed(0)
    model = vae.VAE(latent_dim=2, hidden_dim=8, classes=10)
    in_turn = vae.sample(model, 12, Generator(0))
    threes = vae.sample(model, 12, Generator(0), label=3)
    assert bool((in_turn[3] == threes[3]).all())
    assert not bool((in_turn[4] == threes[4]).all())
    images, labels = data.mnist_small().test[:3]
    styles = gallery.restyle(model, images, labels)
    assert styles.shape == (30, 1, 28, 28)
    own = tg.arange(3) * 10 + labels
    assert np.allclose(styles[own].numpy(), vae.reconstruct(model, images, labels).numpy())


@pytest.mark.parametrize(
    ("classes", "label", "words"),
    [(0, 3, "class 3: the model has no"), (10, 10, "class 10: the model has the classes 0 to 9")],
)
def test_a_class_that_there_is_not_is_refused(classes, label, words):
    with pytest.raises(ValueError, match=words):
        vae.sample(vae.VAE(hidden_dim=4, classes=classes), 1, Generator(0), label=label)


def test_bad_images_and_settings_are_refused_in_one_sentence():
    model, generator = vae.VAE(hidden_dim=4), Generator(0)
    with pytest.raises(ValueError, match=r"vae: expected pixels in \[0, 1\]; .* divide bytes"):
        vae.loss(model, tg.full((2, 1, 28, 28), 255.0), generator)
    with pytest.raises(ValueError, match=r"vae: expected images of shape \(N, 1, 28, 28\)"):
        vae.loss(model, tg.zeros((2, 28, 28)), generator)
    with pytest.raises(ValueError, match="needs the class of each sample"):
        vae.loss(vae.VAE(hidden_dim=4, classes=10), tg.zeros((2, 1, 28, 28)), generator)
    for kwargs, words in (
        ({"sigma": -1.0}, "vae: sigma -1.0 is not a number ≥ 0"),
        ({"beta": -1.0}, "vae: beta -1.0 is not a number ≥ 0"),
        ({"sigma": 0.1}, "--likelihood gaussian"),
    ):
        with pytest.raises(ValueError, match=words):
            vae.Config(**kwargs)


def test_the_plane_of_codes_lies_at_the_quantiles_of_the_prior():
    model, seen = vae.VAE(latent_dim=2, hidden_dim=4), []
    model.decode = lambda z, label: seen.append(z.numpy().copy()) or tg.zeros((len(z), 784))
    assert gallery.plane(model, side=3).shape == (9, 1, 28, 28)
    (codes,) = seen
    edge = 0.9674216  # Φ(edge) = 5/6
    assert codes[0] == pytest.approx([-edge, edge])  # above, on the left
    assert codes[4] == pytest.approx([0, 0], abs=1e-6)
    assert codes[5] == pytest.approx([edge, 0], abs=1e-6)


def test_interpolations_start_and_end_at_the_reconstructions():
    tg.manual_seed(0)
    model = vae.VAE(latent_dim=4, hidden_dim=8)
    images, _ = mnist_like.load("digits").test[:6]
    ways = gallery.interpolate(model, images, steps=5)
    wanted = vae.reconstruct(model, images)
    assert np.allclose(ways[::5].numpy(), wanted[:3].numpy(), atol=1e-6)
    assert np.allclose(ways[4::5].numpy(), wanted[3:].numpy(), atol=1e-6)

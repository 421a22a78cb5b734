"""The adversarial game: its value, its losses, who learns in which step, its penalty, its data."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.models import gan
from tinygrad_gm.models.gallery import gan as gallery
from tinygrad_gm.training import Run, read_checkpoint

POINTS = {"dataset": "ring", "network": "plane", "latent_dim": 2, "hidden_dim": 8}


def double(array) -> tg.Tensor:
    return tg.tensor(np.asarray(array, np.float64))


def trained(folder, config: gan.Config) -> Run:
    with Run(folder, config) as run:
        gan.train(config, run)
    return run


# ------------------------------------------------------------------------------ theory


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ([1, 2, 3, 4], [4, 3, 2, 1]),
        ([1, 1, 1], [1, 1, 1]),
        ([9, 0, 1], [0, 9, 1]),  # where one has no mass the best logit is infinite
        ([5, 5, 0, 0], [0, 0, 3, 7]),
    ],
)
def test_against_the_best_discriminator_the_value_is_the_jensen_shannon_divergence(p, q):
    shares_p, shares_q = np.array(p) / sum(p), np.array(q) / sum(q)
    mean = (shares_p + shares_q) / 2
    divergence = sum(
        0.5 * share * math.log(share / m)
        for shares in (shares_p, shares_q)
        for share, m in zip(shares, mean, strict=True)
        if share
    )
    with np.errstate(divide="ignore"):
        best = np.clip(np.log(shares_p) - np.log(shares_q), -800, 800)

    def value(logits: np.ndarray) -> float:
        """V of a discriminator with a logit at each place, every place as often as it is drawn."""
        drawn = double(np.repeat(logits, p)), double(np.repeat(logits, q))
        return -gan.discriminator_loss("non-saturating", *drawn).item()

    truth = -math.log(4) + 2 * divergence
    assert value(best) == pytest.approx(truth, abs=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert value(best + 0.1 * rng.normal(size=len(p))) <= truth + 1e-15


def test_the_losses_are_the_formulas_of_their_papers():
    rng = np.random.default_rng(0)
    r, f = rng.normal(size=7), rng.normal(size=5)
    real, fake = double(r), double(f)
    sigmoid_r, sigmoid_f = 1 / (1 + np.exp(-r)), 1 / (1 + np.exp(-f))
    of_discriminator = {
        "non-saturating": -np.log(sigmoid_r).mean() - np.log(1 - sigmoid_f).mean(),
        "saturating": -np.log(sigmoid_r).mean() - np.log(1 - sigmoid_f).mean(),
        "least-squares": ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        "hinge": np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        "wasserstein": f.mean() - r.mean(),
    }
    of_generator = {
        "non-saturating": -np.log(sigmoid_f).mean(),
        "saturating": np.log(1 - sigmoid_f).mean(),
        "least-squares": ((f - 1) ** 2).mean() / 2,
        "hinge": -f.mean(),
        "wasserstein": -f.mean(),
    }
    for loss in gan.LOSSES:
        found = gan.discriminator_loss(loss, real, fake).item()
        assert found == pytest.approx(of_discriminator[loss], abs=1e-14)
        assert gan.generator_loss(loss, fake).item() == pytest.approx(of_generator[loss], abs=1e-14)


@pytest.mark.parametrize("loss", gan.LOSSES)
def test_the_losses_stay_finite_for_a_discriminator_that_is_sure(loss):
    wrong = tg.tensor([1e4, -1e4], requires_grad=True)
    total = gan.discriminator_loss(loss, wrong, wrong) + gan.generator_loss(loss, wrong)
    total.backward()
    assert np.isfinite(total.item())
    assert np.isfinite(wrong.grad.numpy()).all()


# ------------------------------------------------------------------------------ the penalty


def test_the_penalty_of_a_linear_critic_has_the_known_gradient():
    w = double([0.3, -1.2, 2.0]).requires_grad_()
    real, fake = tg.randn((5, 3), tg.float64), tg.randn((5, 3), tg.float64)
    penalty = gan.gradient_penalty(lambda x: x @ w, real, fake, tg.Generator(0))
    penalty.backward()
    length = np.linalg.norm(w.numpy())
    assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-12)
    expected = 2 * (length - 1) * w.numpy() / length
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=0, atol=1e-12)


def test_the_penalty_of_a_flat_critic_is_one_and_its_gradient_is_no_nan():
    model = gan.perceptron(2, 1, 4)
    for parameter in model.parameters():
        parameter.data = tg.zeros(parameter.shape)
    points = tg.randn((5, 2))
    penalty = gan.gradient_penalty(model, points, -points, tg.Generator(0))
    penalty.backward()
    assert penalty.item() == 1
    for parameter in model.parameters():
        assert parameter.grad is None or (parameter.grad.numpy() == 0).all()


def test_the_penalty_is_taken_at_another_place_between_each_of_the_data_and_its_fake():
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return tg.sum(x, axis=(1, 2, 3))

    real, fake = tg.zeros((50, 1, 3, 3)), tg.ones((50, 1, 3, 3))
    gan.gradient_penalty(critic, real, fake, tg.Generator(0))
    places = seen[0].reshape(50, 9)
    assert (places == places[:, :1]).all()  # the same u for all pixels of an image
    assert len(np.unique(places[:, 0])) == 50
    assert places.min() >= 0
    assert places.max() <= 1


@pytest.mark.parametrize("network", ["plane", "mlp", "dcgan"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_gradient_of_the_penalty_equals_central_differences(network, spectral_norm):
    dataset = "ring" if network == "plane" else "digits"
    config = gan.Config(
        dataset=dataset, network=network, penalty=1, spectral_norm=spectral_norm, channels=1
    )
    tg.manual_seed(0)
    critic = gan.GAN(config).discriminator.to(tg.float64)
    critic.eval()  # spectral norms then do not move on
    shape = {"plane": (3, 2), "mlp": (3, 784), "dcgan": (3, 1, 32, 32)}[network]
    real, fake = tg.randn(shape, tg.float64), tg.randn(shape, tg.float64)

    def value() -> tg.Tensor:
        return gan.gradient_penalty(critic, real, fake, tg.Generator(0))

    value().backward()
    rng = np.random.default_rng(0)
    for name, parameter in critic.named_parameters():
        if parameter.grad is None:  # the last bias moves all logits alike, and no slope
            assert name.endswith("bias")
            continue
        array, slope = parameter.data.numpy(), parameter.grad.numpy()
        i = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        other = tuple(rng.integers(0, array.shape))
        for place in (i, other):
            kept, values = array[place], []
            for step in (1e-6, -1e-6):
                array[place] = kept + step
                values.append(value().item())
            array[place] = kept
            expected = (values[0] - values[1]) / 2e-6
            assert slope[place] == pytest.approx(expected, rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("bound", [{"penalty": 10.0}, {"spectral_norm": True}])
def test_a_critic_with_a_bounded_slope_has_no_batch_norm(bound):
    config = gan.Config(network="dcgan", channels=2, **bound)
    kinds = {type(layer) for layer in gan.GAN(config).discriminator.modules()}
    assert nn.BatchNorm2d not in kinds
    usual = gan.GAN(gan.Config(network="dcgan", channels=2)).discriminator
    assert nn.BatchNorm2d in {type(layer) for layer in usual.modules()}


def test_with_spectral_norm_every_layer_of_the_discriminator_stretches_by_one_at_most():
    tg.manual_seed(0)
    model = gan.GAN(gan.Config(spectral_norm=True))
    x = tg.rand((4, 784))
    for _ in range(60):
        model.judge(x)
    for layer in model.discriminator:
        if isinstance(layer, nn.Linear):
            assert np.linalg.norm(layer.weight.numpy(), 2) == pytest.approx(1, abs=0.05)


# ------------------------------------------------------------------------------ the steps


def players(**kwargs):
    config = gan.Config(**kwargs)
    tg.manual_seed(0)
    model = gan.GAN(config)
    optimizers = [optim.SGD(p.parameters(), 0.1) for p in (model.discriminator, model.generator)]
    return config, model, *optimizers


def marked(module: nn.Module) -> list[np.ndarray]:
    """The parameters' values, after every gradient was set to something recognisable."""
    for parameter in module.parameters():
        parameter.grad = tg.full(parameter.shape, 7.0)
    return [parameter.numpy().copy() for parameter in module.parameters()]


def untouched(module: nn.Module, values: list[np.ndarray]) -> bool:
    pairs = zip(module.parameters(), values, strict=True)
    return all(
        (p.grad.numpy() == 7).all() and (p.numpy() == value).all() and p.requires_grad
        for p, value in pairs
    )


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"network": "dcgan", "channels": 2},
        {"loss": "wasserstein", "penalty": 10.0, "conditional": True},
        {"loss": "hinge", "spectral_norm": True},
    ],
)
def test_each_player_learns_in_its_own_step_alone(kwargs):
    config, model, of_discriminator, of_generator = players(**kwargs)
    images, labels = data.mnist_small().train[:5]
    real, generator = model.inside(images), tg.Generator(0)
    theirs, mine = marked(model.generator), marked(model.discriminator)
    gan.discriminator_step(model, of_discriminator, real, labels, generator, config)
    assert untouched(model.generator, theirs)
    assert not untouched(model.discriminator, mine)
    theirs, mine = marked(model.discriminator), marked(model.generator)
    gan.generator_step(model, of_generator, labels, generator, config)
    assert untouched(model.discriminator, theirs)
    assert not untouched(model.generator, mine)


def test_either_player_alone_gets_better_at_the_game():
    config, model, of_discriminator, of_generator = players(**POINTS)
    generator = tg.Generator(0)
    real, labels = gan.points2d.Draws("ring", 0).batch(range(500))

    def steps(step, *rest):
        return [step(model, *rest, labels, generator, config) for _ in range(100)]

    found = steps(gan.discriminator_step, of_discriminator, real)
    assert found[-1]["loss"].item() < found[0]["loss"].item() - 0.1
    assert found[-1]["score"].item() > found[-1]["fake_score"].item() + 0.1
    found = steps(gan.generator_step, of_generator)
    assert found[-1]["generator_loss"].item() < found[0]["generator_loss"].item() - 0.1


def test_every_datum_is_used_once_an_epoch_and_the_last_batch_is_smaller(tmp_path, monkeypatch):
    sizes, fakes = [], []
    step, other = gan.discriminator_step, gan.generator_step

    def counting(model, optimizer, real, *rest):
        sizes.append(len(real))
        return step(model, optimizer, real, *rest)

    def counting_fakes(model, optimizer, labels, *rest):
        fakes.append(len(labels))
        return other(model, optimizer, labels, *rest)

    monkeypatch.setattr(gan, "discriminator_step", counting)
    monkeypatch.setattr(gan, "generator_step", counting_fakes)
    trained(tmp_path, gan.Config(dataset="digits", critic_steps=2, batch_size=200, epochs=1))
    assert sizes == [200] * 7 + [37]  # of 1,437 images, two steps for one of the generator
    assert fakes == [200, 200, 200, 37]


# ------------------------------------------------------------------------------ the networks


def size(module: nn.Module) -> int:
    return sum(parameter.size for parameter in module.parameters())


def test_the_networks_of_the_notes_and_of_dcgan_have_the_size_of_their_descriptions():
    notes, conv = gan.GAN(gan.Config()), gan.GAN(gan.Config(network="dcgan"))
    assert size(notes.generator) == 25_856 + 131_584 + 402_192
    assert size(notes.discriminator) == 401_920 + 131_328 + 257
    assert size(conv.generator) == 204_800 + 256 + 131_072 + 128 + 32_768 + 64 + 513
    assert size(conv.discriminator) == 544 + 32_768 + 128 + 131_072 + 256 + 2_049


def test_the_weights_of_dcgan_begin_small_and_its_norms_near_one():
    tg.manual_seed(0)
    model = gan.GAN(gan.Config(network="dcgan"))
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # the standard error of the deviation is 0.02/√(2n), and n is 512 at least
            assert layer.weight.numpy().std() == pytest.approx(0.02, abs=0.003)
            assert layer.weight.numpy().mean() == pytest.approx(0, abs=0.004)
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.numpy().mean() == pytest.approx(1, abs=0.02)
            assert 0 < layer.weight.numpy().std() < 0.04
        if getattr(layer, "bias", None) is not None:
            assert (layer.bias.numpy() == 0).all()


@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_images_lie_between_minus_one_and_one_inside_and_come_out_as_they_went_in(network):
    model = gan.GAN(gan.Config(network=network, channels=2))
    images, _ = data.mnist_small().train[:3]
    inside = model.inside(images)
    assert inside.shape == {"mlp": (3, 784), "dcgan": (3, 1, 32, 32)}[network]
    assert inside.numpy().min() == -1
    assert inside.numpy().max() == 1
    np.testing.assert_allclose(model.outside(inside).numpy(), images.numpy(), atol=1e-7)


def test_data_of_the_wrong_range_or_shape_are_refused():
    images, points = gan.GAN(gan.Config()), gan.GAN(gan.Config(**POINTS))
    with pytest.raises(ValueError, match=r"gan: expected pixels in \[0, 1\]"):
        images.inside(tg.full((2, 1, 28, 28), 255.0))
    with pytest.raises(ValueError, match=r"gan: expected images of shape \(N, 1, 28, 28\)"):
        images.inside(tg.zeros((2, 784)))
    with pytest.raises(ValueError, match="gan: the points must be finite"):
        points.inside(tg.full((2, 2), tg.nan))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dataset": "ring"}, "gan: the data set ring needs the network plane"),
        ({"network": "plane"}, "gan: the data set mnist_small needs the network mlp or dcgan"),
        ({"loss": "wasserstein"}, "the critic's slope"),
        ({"loss": "minimax"}, "gan: loss 'minimax' is not one of non-saturating, "),
        ({"penalty": -1.0}, "gan: penalty -1.0 is not a number ≥ 0"),
        ({"critic_steps": 0}, "gan: critic_steps 0 is not a number ≥ 1"),
        (
            {"dataset": "swiss_roll", "network": "plane", "conditional": True},
            "gan: the data set swiss_roll has no classes",
        ),
    ],
)
def test_senseless_configs_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        gan.Config(**kwargs)


# ------------------------------------------------------------------------------ the samples


@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_both_players_see_the_class(network):
    tg.manual_seed(0)
    model = gan.GAN(gan.Config(network=network, channels=2, conditional=True)).eval()
    z, labels = tg.tile(tg.randn((1, 100)), (10, 1)), tg.arange(10)
    fakes = model.generate(z, labels).numpy()
    scores = model.judge(tg.asarray(fakes[:1].repeat(10, 0)), labels).numpy()
    assert len(np.unique(fakes.reshape(10, -1), axis=0)) == 10
    assert len(np.unique(scores)) == 10
    again = model.generate(z[3:5], labels[3:5]).numpy()
    np.testing.assert_allclose(again, fakes[3:5], atol=1e-5)


def test_the_classes_are_drawn_in_turn_or_one_of_them_alone():
    model = gan.GAN(gan.Config(conditional=True))
    asked = []
    model.generate = lambda z, labels: asked.extend(labels.tolist()) or tg.zeros((len(z), 784))
    gan.sample(model, 12, tg.Generator(0))
    assert asked == [*range(10), 0, 1]
    asked.clear()
    gan.sample(model, 3, tg.Generator(0), label=7)
    assert asked == [7, 7, 7]
    with pytest.raises(ValueError, match="cannot draw class 10: the model has the classes 0 to 9"):
        gan.sample(model, 3, tg.Generator(0), label=10)
    with pytest.raises(ValueError, match="cannot draw class 0: the model has no classes"):
        gan.sample(gan.GAN(gan.Config()), 3, tg.Generator(0), label=0)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["non-saturating", "hinge"])
def test_a_conditional_generator_draws_the_class_that_is_asked_for(tmp_path, loss):
    config = gan.Config(
        dataset="ring",
        network="plane",
        loss=loss,
        conditional=True,
        latent_dim=2,
        hidden_dim=32,
        learning_rate=2e-3,
        ema_decay=0.99,
        epochs=5,
    )
    trained(tmp_path, config)
    points = gan.sample(gan.restore(tmp_path), 800, tg.Generator(0)).numpy()
    nearest = to_centers(points).argmin(axis=1)
    assert (nearest == np.arange(800) % 8).mean() > 0.95


def to_centers(points: np.ndarray) -> np.ndarray:
    """The distances of points to the eight centres of the ring, (N, 8)."""
    return np.linalg.norm(points[:, None] - data.gaussians_ring(8, 8).centers.numpy(), axis=2)


def test_an_interpolation_goes_from_noise_to_noise_through_noise_of_the_same_length():
    model = gan.GAN(gan.Config(latent_dim=4000))
    seen = []
    model.generate = lambda z, labels: seen.append(z.numpy()) or tg.zeros((len(z), 784))
    gallery.interpolate(model, 3, 5, tg.Generator(0))
    ends = tg.randn((6, 4000), generator=tg.Generator(0)).numpy()
    ways = seen[0].reshape(3, 5, 4000)
    np.testing.assert_allclose(ways[:, 0], ends[:3], atol=1e-6)
    np.testing.assert_allclose(ways[:, -1], ends[3:], atol=1e-6)
    np.testing.assert_allclose((ways**2).mean(axis=2), 1, atol=0.1)


def test_a_restored_model_has_the_mean_of_the_generators_weights(tmp_path):
    trained(tmp_path, gan.Config(**POINTS, epochs=1, batch_size=8, ema_decay=0.9))
    checkpoint, model = read_checkpoint(tmp_path), gan.restore(tmp_path)
    last, mean = checkpoint["model"], checkpoint["ema"]["model"]
    for name, tensor in model.generator.state_dict().items():
        assert (tensor.numpy() == mean[name].numpy()).all()
        assert (tensor.numpy() != last[f"generator.{name}"].numpy()).any()
    assert not model.training


def test_the_pictures_and_curves_of_a_training_are_written(tmp_path):
    points = trained(tmp_path / "points", gan.Config(**POINTS, epochs=2, batch_size=8)).folder
    assert {path.name for path in points.glob("*.[pg][ni][gf]")} == {
        "curves.png",
        "samples.gif",
        "samples.png",
    }
    config = gan.Config(dataset="digits", batch_size=512, epochs=1)
    images = trained(tmp_path / "images", config).folder
    assert {path.name for path in images.glob("*.png")} == {
        "curves.png",
        "interpolation.png",
        "samples.png",
    }


@pytest.mark.slow
def test_wgan_gp_finds_all_eight_modes_of_the_ring_in_even_shares(tmp_path):
    config = gan.Config(
        dataset="ring",
        network="plane",
        loss="wasserstein",
        penalty=0.1,
        critic_steps=5,
        batch_size=256,
        learning_rate=1e-3,
        beta2=0.9,
        latent_dim=2,
        epochs=30,
    )
    trained(tmp_path, config)
    points = gan.sample(gan.restore(tmp_path), 2500, tg.Generator(0)).numpy()
    distances = to_centers(points)
    shares = np.bincount(distances.argmin(axis=1), minlength=8) / 2500
    assert shares.min() >= 0.08
    assert shares.max() <= 0.17
    assert (distances.min(axis=1) <= 0.3).mean() >= 0.95

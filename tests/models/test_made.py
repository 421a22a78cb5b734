"""MADE: what its masks let through, probabilities that add up to 1, and a sampler that agrees."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator, optim
from tinygrad_gm.models import made, pixelcnn
from tinygrad_gm.models.gallery import made as gallery
from tinygrad_gm.models.made import MADE, complete, negative_log_likelihood

NETWORKS = {
    "one": {"hidden": (12,)},
    "shuffled": {"hidden": (12,), "shuffle": True},
    "deep": {"hidden": (24, 20, 16)},
    "mixture": {"hidden": (24, 20), "shuffle": True, "orders": 3},
}


def network(name: str, pixels: int = 9, seed: int = 0) -> MADE:
    """In float64, and with logits far from 0."""
    tg.manual_seed(seed)
    model = MADE(pixels, **NETWORKS[name])
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(tg.float64) * 2.0
    return model


def every_image(pixels: int) -> tg.Tensor:
    return tg.tensor(np.array([*itertools.product((0.0, 1.0), repeat=pixels)]))


def jacobian(model: MADE, order: int) -> np.ndarray:
    """Σ |∂ logit_i / ∂ x_j| over 20 random images: (i, j)."""
    x = tg.rand((20, model.pixels), dtype=tg.float64).requires_grad_()
    logits = model(x, order).sum(axis=0)
    slopes = [tg.grad(logit, x, retain_graph=True)[0].numpy() for logit in logits]
    return np.abs(slopes).sum(axis=1)


# ------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("name", NETWORKS)
def test_no_logit_depends_on_its_own_pixel_or_a_later_one(name):
    model = network(name)
    for order in range(model.orders):
        places = model.degrees(order)[0].numpy()
        assert sorted(places) == [*range(1, 10)]
        later = places[None, :] >= places[:, None]
        slopes = jacobian(model, order)
        assert (slopes[later] == 0).all()
        assert (slopes != 0).any()


def test_a_logit_depends_on_all_earlier_pixels_if_there_are_units_of_each_degree():
    tg.manual_seed(0)
    model = MADE(6, (400,))
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(tg.float64)
    assert ((jacobian(model, 0) != 0) == np.tri(6, k=-1, dtype=bool)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_are_those_of_the_paper(name):
    model = network(name)
    for order in range(model.orders):
        degrees = [layer.tolist() for layer in model.degrees(order)]
        *inner, last = [mask.tolist() for mask in model.masks(order)]
        for mask, before, after in zip(inner, degrees, degrees[1:], strict=False):
            assert mask == [[m >= n for n in before] for m in after]
        assert last == [[m > n for n in degrees[-1]] for m in degrees[0]]
        for before, after in itertools.pairwise(degrees):
            assert min(before) <= min(after)
            assert max(after) <= 8 or after is degrees[0]


def test_a_removed_weight_has_no_influence_and_no_gradient():
    model, x = network("deep"), every_image(9)[::37]
    negative_log_likelihood(model, x).mean().backward()
    nats = negative_log_likelihood(model, x).tolist()
    for layer, mask in zip([model.first, *model.inner, model.out], model.masks(), strict=True):
        assert layer.weight.grad is not None
        assert (layer.weight.grad.numpy()[~mask.numpy()] == 0).all()
        layer.weight.data = tg.where(mask, layer.weight.detach(), 100.0).data
    assert negative_log_likelihood(model, x).tolist() == nats


def test_orders_are_row_by_row_or_random():
    tg.manual_seed(0)
    assert MADE(9, (4,)).degrees()[0].tolist() == [*range(1, 10)]
    shuffled = MADE(50, (4,), orders=2, shuffle=True)
    assert shuffled.degrees(0)[0].tolist() != shuffled.degrees(1)[0].tolist()


def test_the_network_of_the_paper_has_785284_parameters():
    model = made.build(made.Config())
    assert sum(parameter.size for parameter in model.parameters()) == 785_284
    degrees = model.degrees()[1]
    assert (degrees.min().item() >= 1, degrees.max().item() <= 783) == (True, True)
    assert abs(tg.mean(degrees.astype(tg.float32)).item() - 392) < 4 * 226 / math.sqrt(500)


# ----------------------------------------------------------------------------------- probabilities


@pytest.mark.parametrize("name", NETWORKS)
def test_the_probabilities_of_all_images_add_up_to_one(name):
    model, every = network(name), every_image(9)
    assert len(every) == 512
    for order in (None, *range(model.orders)):
        p = np.exp(-negative_log_likelihood(model, every, order).numpy())
        assert p.sum() == pytest.approx(1, abs=1e-12)
        assert p.max() > 2 * p.min()


def test_a_mixture_is_the_mean_of_its_orders():
    model, every = network("mixture"), every_image(9)
    each = [np.exp(-negative_log_likelihood(model, every, order).numpy()) for order in range(3)]
    found = np.exp(-negative_log_likelihood(model, every).numpy())
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    assert np.abs(each[0] - each[1]).max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_the_sampler_gives_its_images_the_likelihood_that_the_network_gives_them(name):
    model = network(name, pixels=40)
    for order in range(model.orders):
        nothing = tg.full((7, 40), -1.0, dtype=tg.float64)
        images, log_p = complete(model, nothing, Generator(0), order)
        assert set(images.numpy().ravel()) == {0.0, 1.0}
        wanted = -negative_log_likelihood(model, images, order).numpy()
        np.testing.assert_allclose(log_p.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["shuffled", "deep"])
def test_images_are_drawn_as_often_as_they_are_likely(name):
    model, count = network(name, pixels=4, seed=3), 40_000
    nothing = tg.full((count, 4), -1.0, dtype=tg.float64)
    drawn = complete(model, nothing, Generator(0))[0].numpy().astype(int)
    found = np.bincount(drawn @ [8, 4, 2, 1], minlength=16)
    p = np.exp(-negative_log_likelihood(model, every_image(4)).numpy())
    assert (np.abs(found - count * p) < 4 * np.sqrt(count * p * (1 - p))).all()


@pytest.mark.parametrize("name", ["one", "shuffled"])
def test_completing_keeps_what_is_known_and_looks_at_nothing_behind(name):
    model = network(name, pixels=30)
    places = model.degrees()[0].numpy()
    start = np.random.default_rng(0).integers(0, 2, (5, 30)).astype(float)
    start[:, (places > 12) & (places <= 20)] = -1
    completed, log_p = complete(model, tg.tensor(start), Generator(0))
    known = start >= 0
    assert (completed.numpy()[known] == start[known]).all()
    behind = np.where((places > 20) & known, 1 - start, start)
    other, other_log_p = complete(model, tg.tensor(behind), Generator(0))
    assert (other.numpy()[:, places <= 20] == completed.numpy()[:, places <= 20]).all()
    assert log_p.tolist() == other_log_p.tolist()
    x, p = completed.numpy(), tg.sigmoid(model(completed)).numpy()
    nats = np.log(np.where(x > 0, p, 1 - p))
    np.testing.assert_allclose(log_p.numpy(), (nats * ~known).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize(("hidden", "shuffle"), [((48,), False), ((48,), True), ((48, 48), False)])
def test_a_network_learns_a_distribution_down_to_its_entropy(hidden, shuffle):
    """Seeds 0 to 2 of two layers end at most 0.0015 above the entropy."""
    tg.manual_seed(0)
    model = MADE(9, hidden, shuffle=shuffle)
    patterns = tg.tensor(np.random.default_rng(5).integers(0, 2, (4, 9)).astype(np.float32))
    images = patterns[tg.tensor([0, 0, 0, 0, 1, 1, 2, 3])]  # probabilities ½, ¼, ⅛, ⅛
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(400):
        optimizer.zero_grad()
        loss = negative_log_likelihood(model, images).mean()
        loss.backward()
        optimizer.step()
    entropy = 1.75 * math.log(2)
    assert entropy - 1e-4 <= loss.item() <= entropy + 0.02


# ------------------------------------------------------------------------------------------ digits


def test_the_test_images_are_those_of_the_pixelcnn():
    images = tg.rand((20, 1, 28, 28))
    ours = made.binarise(images, Generator(0)).numpy()
    theirs = pixelcnn.binarise(images, Generator(0)).numpy()
    assert ours.shape == (20, 784)
    assert (ours == theirs.reshape(20, 784)).all()


def test_evaluate_is_the_mean_over_all_images():
    tg.manual_seed(0)
    model, images = MADE(784, (5,), orders=2), tg.rand((1030, 1, 28, 28))
    x = made.binarise(images, Generator(0))
    wanted = negative_log_likelihood(model, x).mean().item()
    assert made.evaluate(model, images, Generator(0)) == pytest.approx(wanted, rel=1e-6)


def test_a_mixture_draws_each_image_by_a_random_order(monkeypatch):
    tg.manual_seed(0)
    model = MADE(784, (3,), orders=4)

    def drawn(model, x, generator, order):
        return tg.full(x.shape, order / 4), None

    monkeypatch.setattr(made, "complete", drawn)
    images = made.sample(model, 2000, Generator(0))
    assert images.shape == (2000, 1, 28, 28)
    counts = np.bincount((4 * images.numpy()[:, 0, 0, 0]).astype(int))
    assert len(counts) == 4
    assert (np.abs(counts - 500) < 4 * math.sqrt(2000 * 3 / 16)).all()


def test_training_takes_the_orders_in_turn(tmp_path):
    from tinygrad_gm.training import Run

    seen = []
    config = made.Config("digits", images=50, hidden_dim=2, orders=3, epochs=1, batch_size=10)
    with Run(tmp_path, config) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "evaluate", lambda *_: 0.0)
        patch.setattr(made, "sample", lambda _model, count, _: tg.zeros((count, 1, 28, 28)))
        patch.setattr(gallery, "write_pictures", lambda *_: None)
        plain = made.negative_log_likelihood
        patch.setattr(
            made,
            "negative_log_likelihood",
            lambda model, x, order: (seen.append(order), plain(model, x, order))[1],
        )
        made.train(config, run)
    assert seen == [0, 1, 2, 0, 1]


# ---------------------------------------------------------------------------------------- pictures


def test_the_pictured_masks_are_triangles():
    tg.manual_seed(0)
    shown = gallery.masks(MADE(20, (12, 8), orders=2, shuffle=True), order=1).numpy()
    assert shown.shape == (3, 20, 20)
    assert (np.diff(shown[0, :12], axis=1) <= 0).all()  # a unit sees pixels up to its degree
    assert (np.diff(shown[1, :, :8], axis=1) <= 0).all()
    assert (np.triu(shown[2]) == 0).all()
    assert (shown[0, 12:] == 0.5).all()


def test_completions_begin_with_the_first_half_of_the_order():
    tg.manual_seed(0)
    model, images = MADE(784, (3,), shuffle=True), tg.rand((2, 1, 28, 28))
    shown = gallery.completions(model, images, each=2).numpy().reshape(4, 2, 784)
    first = model.degrees()[0].numpy() <= 392
    assert shown.shape[0] == 4
    assert (shown[1][:, ~first] == 0.5).all()
    for rows in shown[1:]:
        assert (rows[:, first] == shown[0][:, first]).all()


def test_the_diagram_colours_the_paths_to_an_output():
    tg.manual_seed(0)
    model = MADE(4, (5,))
    pictures = [np.array(gallery.connections(model, output)).astype(int) for output in (0, 3)]
    none, some = ((picture[..., 0] - picture[..., 2] > 100).sum() for picture in pictures)
    assert some > 2 * none > 0  # the first output has no connections, only a coloured edge


def test_networks_without_pixels_or_hidden_layers_and_other_images_are_refused():
    with pytest.raises(ValueError, match=r"MADE: expected at least 2 pixels and 1 hidden layer"):
        MADE(1)
    with pytest.raises(ValueError, match=r"got 4 pixels and 0 hidden layers"):
        MADE(4, ())
    with pytest.raises(ValueError, match=r"made: expected pixels in \[0, 1\]"):
        made.binarise(tg.full((1, 1, 28, 28), 255.0), Generator(0))

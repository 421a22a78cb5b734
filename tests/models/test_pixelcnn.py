"""PixelCNN: what a pixel sees, probabilities that add up to 1, and a sampler that agrees."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn, optim
from tinygrad_gm.models import pixelcnn
from tinygrad_gm.models.gallery.pixelcnn import receptive_field
from tinygrad_gm.models.pixelcnn import GatedPixelCNN, MaskedPixelCNN, negative_log_likelihood

NETWORKS = {
    "masked": lambda: MaskedPixelCNN(2, 8, 2),
    "gated": lambda: GatedPixelCNN(2, 8, 2),
    "codes": lambda: GatedPixelCNN(5, 8, 2, kernel=5),
    "dilated": lambda: GatedPixelCNN(2, 8, 2, apart=(1, 2)),
    "classes": lambda: GatedPixelCNN(3, 8, 2, classes=4),
}


def network(name: str, seed: int = 0):
    tg.manual_seed(seed)
    return exact(NETWORKS[name]())


def exact(model):
    """In float64, and with logits far from 0."""
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        tensor.data = tensor.data.astype(tg.float64)
    for parameter in model.parameters():
        parameter.data = parameter.data * 2.0
    return model


def label_for(model, count: int):
    return tg.arange(count) % model.classes if model.classes else None


def pixels(model, *shape: int, seed: int = 0):
    return tg.tensor(np.random.default_rng(seed).integers(0, model.categories, shape))


def dependence(model, height: int, width: int, i: int, j: int) -> np.ndarray:
    """Σ |∂ logit / ∂x| over the logits at (i, j) and the channels of each pixel (height, width)."""
    x = tg.randn((1, model.categories, height, width), dtype=tg.float64).requires_grad_()
    logits = model.logits(x, label_for(model, 1))[0, :, i, j]
    slopes = [tg.grad(logit, x, retain_graph=True)[0].numpy() for logit in logits]
    return np.abs(slopes).sum(axis=(0, 1, 2))


# ------------------------------------------------------------------------------ what a pixel sees


@pytest.mark.parametrize("name", NETWORKS)
def test_no_logit_depends_on_its_own_pixel_or_a_later_one(name):
    model = network(name)
    height, width = 5, 6
    for i, j in itertools.product(range(height), range(width)):
        later = np.arange(height * width).reshape(height, width) >= i * width + j
        assert (dependence(model, height, width, i, j)[later] == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_logit_depends_on_its_neighbours_before_it(name):
    seen = dependence(network(name), 5, 6, 2, 3) > 0
    assert seen[[2, 1, 1, 1], [2, 2, 3, 4]].all()


def test_masks_are_blind_to_10_of_127_earlier_pixels_and_two_stacks_to_none():
    height, width, i, j = 9, 15, 8, 7
    earlier = np.arange(height * width).reshape(height, width) < i * width + j
    tg.manual_seed(0)
    masked = dependence(exact(MaskedPixelCNN(2, 16, 8)), height, width, i, j) > 0
    gated = dependence(exact(GatedPixelCNN(2, 16, 8)), height, width, i, j) > 0
    assert earlier.sum() == 127
    assert (gated == earlier).all()
    up, right = i - np.arange(height)[:, None], np.arange(width) - j
    blind = (up > 0) & (right > up + 2)  # 7 × 7 goes 3 to the right with 1 up, then 1 with each
    assert blind.sum() == 10
    assert (masked == (earlier & ~blind)).all()


def test_rows_apart_see_further_up_without_gaps():
    tg.manual_seed(0)
    model = exact(GatedPixelCNN(2, 16, 3, apart=(1, 2, 4)))
    seen = dependence(model, 16, 9, 15, 4) > 0
    assert model.reach == 1 + 3 + 7
    assert seen[:4].sum() == 0
    assert seen[4:15].all()


@pytest.mark.parametrize("vertical", [True, False])
def test_a_causal_convolution_is_one_with_the_later_weights_at_zero(vertical):
    tg.manual_seed(0)
    layer = pixelcnn.CausalConv2d(2, 3, 5, vertical=vertical)
    whole = np.zeros((3, 2, 5, 5), np.float32)
    rows, columns = (slice(0, 3), slice(0, 5)) if vertical else (slice(2, 3), slice(0, 3))
    whole[:, :, rows, columns] = layer.weight.numpy()
    x = tg.randn((2, 2, 6, 7))
    wanted = nn.functional.conv2d(x, tg.tensor(whole), layer.bias, padding=2)
    np.testing.assert_allclose(layer(x).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_a_layer_of_both_stacks_is_the_formula_pixel_by_pixel():
    tg.manual_seed(0)
    down, right = pixelcnn.VerticalLayer(2, 3, 0, 1), pixelcnn.HorizontalLayer(2, 3, 0)
    v, h = tg.randn((1, 2, 4, 5)), tg.randn((1, 2, 4, 5))
    found_v, linked = down(v, None)
    found_h = right(h, linked, None)
    i, j = 2, 2
    v, h = v.numpy()[0], h.numpy()[0]

    def gate(a):
        return np.tanh(a[:2]) / (1 + np.exp(-a[2:]))

    def seen(layer, *window):
        weight, bias = layer.weight.numpy(), layer.bias.numpy()
        return np.tensordot(weight, np.stack(window, 1).reshape(weight.shape[1:]), 3) + bias

    a = seen(down.conv, *(v[:, r, c] for r in (i - 1, i) for c in (j - 1, j, j + 1)))
    b = seen(right.conv, h[:, i, j - 1], h[:, i, j]) + seen(down.link, a)
    wanted_h = h[:, i, j] + seen(right.out, gate(b))
    np.testing.assert_allclose(found_v.numpy()[0, :, i, j], v[:, i, j] + gate(a), rtol=1e-5)
    np.testing.assert_allclose(found_h.numpy()[0, :, i, j], wanted_h, rtol=1e-5)


def test_mask_b_has_the_pixel_itself_and_mask_a_has_not():
    masks = [pixelcnn.MaskedConv2d(1, 1, 5, itself=itself).mask[0, 0] for itself in (False, True)]
    a, b = (mask.numpy() for mask in masks)
    assert (a.sum(), b.sum()) == (12, 13)
    assert (a[2].tolist(), b[2].tolist()) == ([1, 1, 0, 0, 0], [1, 1, 1, 0, 0])


def test_the_receptive_field_is_the_sum_of_the_slopes():
    model = network("gated")
    field = receptive_field(model, (6, 6), 3, 2).numpy()
    x = pixelcnn.planes(tg.zeros((1, 6, 6), dtype=tg.int64), 2).numpy().astype(float)
    step = 1e-6
    for r, c in [(3, 1), (2, 4), (0, 0), (3, 3)]:
        total = 0.0
        for k in range(2):
            more, less = x.copy(), x.copy()
            more[0, k, r, c] += step
            less[0, k, r, c] -= step
            change = model.logits(tg.tensor(more)) - model.logits(tg.tensor(less))
            total += np.abs(change.numpy()[0, :, 3, 2]).sum() / (2 * step)
        assert field[r, c] == pytest.approx(total, abs=1e-7)


# ----------------------------------------------------------------------------------- probabilities


@pytest.mark.parametrize(("name", "size"), [("masked", 3), ("gated", 3), ("classes", 2)])
def test_the_probabilities_of_all_images_add_up_to_one(name, size):
    model = network(name)
    count = model.categories ** (size * size)
    every = tg.tensor(np.array([*itertools.product(range(model.categories), repeat=size**2)]))
    every = every.reshape(count, size, size)
    assert count == {3: 512, 2: 81}[size]
    for y in range(max(1, model.classes)):
        label = tg.full((count,), y) if model.classes else None
        p = np.exp(-negative_log_likelihood(model, every, label).numpy())
        assert p.sum() == pytest.approx(1, abs=1e-12)
        assert p.max() > 2 * p.min()  # and they are not all the same


@pytest.mark.parametrize("name", NETWORKS)
def test_the_sampler_gives_its_images_the_likelihood_that_the_network_gives_them(name):
    model = network(name)
    label = label_for(model, 6)
    nothing = tg.full((6, 14, 7), -1)  # higher than the rows that one row depends on
    images, log_p = pixelcnn.complete(model, nothing, Generator(0), label)
    assert images.shape == (6, 14, 7)
    assert sorted(set(images.numpy().ravel().tolist())) == [*range(model.categories)]
    wanted = -negative_log_likelihood(model, images, label).numpy()
    np.testing.assert_allclose(log_p.numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_of_a_row_are_those_of_the_whole_image(name):
    model = network(name)
    images, label = pixels(model, 3, 14, 7), label_for(model, 3)
    whole = model(images, label).numpy()
    for i in (0, 1, 9, 13):
        row = model.row(images, i, label)(images).numpy()
        np.testing.assert_allclose(row, whole[:, :, i], atol=1e-12)


def test_images_are_drawn_as_often_as_they_are_likely():
    model, count = network("gated", seed=3), 40_000
    drawn = pixelcnn.draw(model, count, (2, 2), Generator(0)).numpy().reshape(count, 4)
    found = np.bincount(drawn @ [8, 4, 2, 1], minlength=16)
    every = np.array([*itertools.product(range(2), repeat=4)]).reshape(16, 2, 2)
    p = np.exp(-negative_log_likelihood(model, tg.tensor(every)).numpy())
    assert (np.abs(found - count * p) < 4 * np.sqrt(count * p * (1 - p))).all()


def test_completing_keeps_what_is_known_and_looks_at_nothing_behind():
    model = network("gated")
    images = pixels(model, 4, 8, 6)
    start = images.numpy().copy()
    start[:, 3:5, 2:] = -1
    completed, log_p = pixelcnn.complete(model, tg.tensor(start), Generator(0))
    known = start >= 0
    assert (completed.numpy()[known] == start[known]).all()
    behind = start.copy()
    behind[:, 5:] = 1 - behind[:, 5:]
    other, other_log_p = pixelcnn.complete(model, tg.tensor(behind), Generator(0))
    assert (other.numpy()[:, :5] == completed.numpy()[:, :5]).all()
    assert log_p.tolist() == other_log_p.tolist()
    losses = nn.functional.cross_entropy(model(completed), completed, reduction="none").numpy()
    np.testing.assert_allclose(log_p.numpy(), -(losses * ~known).sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("name", ["masked", "gated"])
def test_a_network_learns_a_distribution_down_to_its_entropy(name):
    """Seeds 0 to 4 end at most 0.001 above the entropy and draw nothing but patterns."""
    tg.manual_seed(0)
    model = MaskedPixelCNN(2, 12, 2) if name == "masked" else GatedPixelCNN(2, 8, 2)
    patterns = pixels(model, 4, 3, 3, seed=5)  # which come with the probabilities ½, ¼, ⅛, ⅛
    images = patterns[tg.tensor([0, 0, 0, 0, 1, 1, 2, 3])]
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = negative_log_likelihood(model, images).mean()
        loss.backward()
        optimizer.step()
    assert len({*map(tuple, patterns.reshape(4, 9).tolist())}) == 4
    entropy = 1.75 * math.log(2)
    assert entropy - 1e-4 <= loss.item() <= entropy + 0.02
    drawn = pixelcnn.draw(model, 200, (3, 3), Generator(0)).reshape(200, 9).tolist()
    assert sum(image in patterns.reshape(4, 9).tolist() for image in drawn) >= 190


def test_a_class_changes_the_distribution():
    model = network("classes")
    images = pixels(model, 4, 6, 6)
    first, second = (
        negative_log_likelihood(model, images, tg.full((4,), y)).numpy() for y in (0, 1)
    )
    assert (np.abs(first - second) > 1e-3).all()


# ------------------------------------------------------------------------------------------ digits


def test_the_test_set_is_binarised_alike_each_time_and_gray_is_a_probability():
    images = tg.full((50, 1, 28, 28), 0.3)
    images[:, :, :14] = 0.0
    images[:, :, :, :7] = 1.0
    black_and_white = pixelcnn.binarise(images, Generator(0)).numpy()
    assert black_and_white.dtype == np.int64
    assert set(black_and_white.ravel()) == {0, 1}
    assert (black_and_white[:, :, :7] == 1).all()
    assert (black_and_white[:, :14, 7:] == 0).all()
    share = black_and_white[:, 14:, 7:].mean()
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / (50 * 14 * 21)))
    tg.manual_seed(7)  # of no influence
    assert (pixelcnn.binarise(images, Generator(0)).numpy() == black_and_white).all()


def test_evaluate_is_the_mean_over_all_images():
    tg.manual_seed(0)
    model = pixelcnn.GatedPixelCNN(2, 4, 1, classes=10)
    images, labels = tg.rand((130, 1, 28, 28)), tg.arange(130) % 10
    mean = pixelcnn.evaluate(model, images, labels, Generator(0))
    x = pixelcnn.binarise(images, Generator(0))
    with tg.no_grad():
        wanted = negative_log_likelihood(model, x, labels).mean().item()
    assert mean == pytest.approx(wanted, rel=1e-6)


def test_samples_are_black_and_white_and_of_the_class_that_is_asked_for(monkeypatch):
    tg.manual_seed(0)
    model, asked = pixelcnn.GatedPixelCNN(2, 2, 1, classes=10), []

    def draw(model, count, size, generator, label):
        asked.append(label.tolist())
        return tg.ones((count, *size), dtype=tg.int64)

    monkeypatch.setattr(pixelcnn, "draw", draw)
    images = pixelcnn.sample(model, 3, Generator(0), label=7)
    pixelcnn.sample(model, 300, Generator(0))
    assert (images.shape, images.dtype) == ((3, 1, 28, 28), np.float32)
    assert asked[0] == [7, 7, 7]
    assert set(asked[1]) == set(range(10))


def test_wrong_classes_shapes_and_values_are_refused_in_one_sentence():
    plain, conditional = GatedPixelCNN(2, 2, 1), GatedPixelCNN(2, 2, 1, classes=10)
    x = tg.zeros((2, 4, 4), dtype=tg.int64)
    with pytest.raises(ValueError, match=r"cannot draw class 3: the model has no classes"):
        pixelcnn.sample(plain, 2, Generator(0), label=3)
    with pytest.raises(ValueError, match=r"cannot draw class 10: the model has the classes 0 to 9"):
        pixelcnn.sample(conditional, 2, Generator(0), label=10)
    with pytest.raises(ValueError, match=r"GatedPixelCNN: expected labels of 10 classes; got"):
        conditional(x)
    with pytest.raises(ValueError, match=r"MaskedPixelCNN: expected no labels; got"):
        MaskedPixelCNN(2, 2, 1)(x, tg.zeros(2, dtype=tg.int64))
    with pytest.raises(ValueError, match=r"expected images \(N, H, W\); got \(2, 1, 4, 4\)"):
        plain(x[:, None])
    with pytest.raises(IndexError, match=r"expected indices in \[0, 2\); got \[2, 2\]"):
        plain(x + 2)
    for build in (GatedPixelCNN, MaskedPixelCNN):
        with pytest.raises(ValueError, match=r"Conv2d: kernel_size is 4; it must be odd"):
            build(2, 4, 1, kernel=4)
    with pytest.raises(ValueError, match=r"pixelcnn: only the gated network can be conditional"):
        pixelcnn.Config(network="masked", conditional=True)
    with pytest.raises(ValueError, match=r"pixelcnn: expected pixels in \[0, 1\]"):
        pixelcnn.binarise(tg.full((1, 1, 28, 28), 255.0), Generator(0))

"""The training of diffusion models on points and digits, and their samples."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator
from tinygrad_gm.models import diffusion
from tinygrad_gm.models.gallery import diffusion as gallery
from tinygrad_gm.models.parts import points2d
from tinygrad_gm.training import Run


def test_a_restored_model_has_the_averaged_weights_and_the_pictures_are_there(tmp_path):
    config = diffusion.Config(
        timesteps=10, width=8, epochs=2, batch_size=4096, sample_every=50, dataset="moons"
    )
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    model = diffusion.restore(tmp_path)
    with tg.random.using(Generator(config.seed)):
        unseen, _ = points2d.Draws("moons", 0).batch(range(2000))
    assert diffusion.evaluate(model, unseen) == metrics[-1]["test_loss"]
    rates = [line["lr"] for line in metrics if "lr" in line]
    assert max(rates) == pytest.approx(config.learning_rate, rel=0.05)
    assert rates[-1] < 1e-3 * config.learning_rate
    names = {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".gif")}
    assert names == {
        "curves.png",
        "denoising.gif",
        "denoising.png",
        "errors.png",
        "noising.png",
        "samples.gif",
        "samples.png",
        "schedules.png",
        "score.png",
    }


@pytest.mark.slow
def test_digits_are_sampled_in_the_range_of_pixels_and_drawn_in_sheets(tmp_path):
    config = diffusion.Config(
        dataset="digits", timesteps=5, channels=4, epochs=1, batch_size=512, sample_every=3
    )
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    model = diffusion.restore(tmp_path)
    for steps in (None, 3):
        images = diffusion.sample(model, 3, Generator(0), steps=steps).numpy()
        assert images.shape == (3, 1, 28, 28)
        assert images.min() >= 0
        assert images.max() <= 1
    arcs = gallery.interpolate(model, 2, Generator(0))
    assert arcs.shape == (22, 1, 28, 28)
    sheets = {path.name for path in tmp_path.glob("*.png")} - {"curves.png"}
    assert sheets == {
        "denoising.png",
        "errors.png",
        "interpolation.png",
        "noising.png",
        "samples.png",
        "schedules.png",
        "steps.png",
    }


@pytest.mark.slow
@pytest.mark.parametrize("target", diffusion.TARGETS)
def test_every_part_of_the_ring_gets_its_share_of_samples(tmp_path, monkeypatch, target):
    monkeypatch.setattr(gallery, "write_pictures", lambda *_: None)
    config = diffusion.Config(
        target=target,
        epochs=4 if target == "x0" else 2,
        sample_every=10_000,
        seed=list(diffusion.TARGETS).index(target),
    )
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    assert run.step == 1000 * config.epochs
    model = diffusion.restore(tmp_path)
    centers = tg.data.gaussians_ring(8, n=8).centers.numpy()
    for sampler in diffusion.SAMPLERS:
        points = diffusion.sample(model, 2500, Generator(0), sampler=sampler, steps=50).numpy()
        away = np.linalg.norm(points[:, None] - centers, axis=2)
        near = away.min(1) < 0.3
        shares = np.bincount(away.argmin(1)[near], minlength=8) / 2500
        assert near.mean() >= 0.95, sampler
        assert shares.min() >= 0.08, sampler
        assert shares.max() <= 0.17, sampler

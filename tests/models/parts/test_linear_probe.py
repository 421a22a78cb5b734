"""The linear classifier on codes: its optimum, its codes, and the table of the families."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import models
from tinygrad_gm.models import autoencoder, made, vae, vqvae
from tinygrad_gm.models.parts import linear_probe, mnist_like
from tinygrad_gm.models.parts.linear_probe import Codes
from tinygrad_gm.training import Run

ROOT = Path(__file__).parents[3]


def families() -> ModuleType:
    spec = importlib.util.spec_from_file_location("families", ROOT / "docs" / "families.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gradient_of_the_loss_is_zero_at_the_fitted_weights() -> None:
    """zᵀ(softmax(zW + b) − onehot)/N + λW, in NumPy."""
    generator = tg.Generator(0)
    z = tg.randn((200, 5), generator=generator)
    labels = generator.integers(0, 3, (200,))
    layer = linear_probe.fit(Codes(z, labels), 0.1)
    weight, bias, x = layer.weight.numpy(), layer.bias.numpy(), z.numpy()
    logits = x @ weight.T + bias
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    left = p - np.eye(3)[labels.numpy()]
    np.testing.assert_allclose(left.T @ x / 200 + 0.1 * weight, 0, atol=1e-4)
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-4)


def test_classes_in_directions_of_their_own_are_read_and_noise_is_not() -> None:
    generator = tg.Generator(0)
    labels = tg.arange(300) % 10
    noise = tg.randn((300, 10), generator=generator)
    clear = tg.one_hot(labels, 10) + 0.05 * noise
    parts = [slice(0, 100), slice(100, 200), slice(200, 300)]
    read = [
        linear_probe.accuracy(*(Codes(z[part], labels[part]) for part in parts))
        for z in (clear, noise)
    ]
    assert read[0] == 1.0
    assert read[1] < 0.3


def test_codes_are_those_of_each_model_and_other_models_are_refused() -> None:
    images = mnist_like.load("digits").test.tensors[0][:3]
    coder, plain = vae.build(vae.Config(latent_dim=4)), autoencoder.Autoencoder(latent_dim=2)
    mu, _ = coder.encode(images.reshape(3, -1))
    np.testing.assert_array_equal(linear_probe.codes(coder, images).numpy(), mu.detach().numpy())
    assert linear_probe.codes(plain, images).shape == (3, 2)
    quantised = linear_probe.codes(vqvae.VQVAE(codes=8, code_dim=4, channels=4), images)
    assert quantised.shape == (3, 4 * 7 * 7)
    conditional = vae.build(vae.Config(conditional=True))
    for model in (conditional, made.MADE(4, [4])):
        assert not linear_probe.has_codes(model)
        with pytest.raises(ValueError, match=r"^codes: "):
            linear_probe.codes(model, images)


# ------------------------------------------------------------------------ the families


def test_every_generative_model_is_in_the_taxonomy_once() -> None:
    placed = [name for family in families().FAMILIES for name in family.models]
    modules = {name: models.load(name) for name in models.NAMES}
    wanted = [n for n, m in modules.items() if hasattr(m, "sample") or hasattr(m, "generate")]
    assert sorted(placed) == sorted(wanted)


def test_the_picture_of_the_families_is_up_to_date() -> None:
    found = (ROOT / "docs" / "pictures" / "families.svg").read_text(encoding="utf-8")
    assert found == families().picture(), "run python docs/families.py"


def test_minutes_are_those_of_all_stages_and_resumptions(tmp_path: Path) -> None:
    logs = {
        tmp_path: [("start", 1), ("checkpoint", 60), ("start", 2), ("finish", 30)],
        tmp_path / "prior": [("start", 1), ("finish", 90)],
    }
    for folder, events in logs.items():
        folder.mkdir(exist_ok=True)
        lines = [json.dumps({"event": event, "seconds": seconds}) for event, seconds in events]
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert families().minutes(tmp_path) == pytest.approx((60 + 30 + 90) / 60)


def test_a_row_has_the_smallest_and_the_largest_figure_of_its_runs() -> None:
    module = families()
    runs = [
        module.Figures(14.25, 0.9, 2.0, 0.5, 0.951),
        module.Figures(12.0, 0.925, 2.0, 0.5, 0.94),
    ]
    wanted = "| VQ | exact for codes, bound | 12.0–14.2 | 90.0–92.5 % | 2.0 | 0.5 | 94.0–95.1 % |"
    assert module.row("VQ", "vqvae", runs) == wanted
    nothing = module.Figures(None, None, 1.0, None, 0.5)
    assert module.row("AE", "autoencoder", [nothing]) == "| AE | none |  |  | 1.0 |  | 50.0 % |"


@pytest.mark.slow
def test_a_run_is_judged_timed_and_classified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = families()
    config = vae.Config(dataset="digits", hidden_dim=16, latent_dim=4, epochs=1)
    with Run(tmp_path / "run", config) as run:
        vae.train(config, run)
    far = module.metrics.Distance(5.0, 10, 1.0)
    monkeypatch.setattr(module.metrics, "lenet_distance", lambda images: far)
    found = module.figures("vae", tmp_path / "run", count=10, images=100)
    assert found.distance == 5.0
    assert found.seconds > 0
    assert 0.1 < found.accuracy <= 1

"""Sora: causality of the autoencoder, Latte's names, numbers and masks, clips, refusals."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from reference_keys import reference_keys

import tinygrad_gm as tg
from tinygrad_gm import Generator, data, nn
from tinygrad_gm.models import sora
from tinygrad_gm.models.sora import Latte, VideoAutoencoder, judging, recipe
from tinygrad_gm.training import Run

# Of PyTorch 2.13 in float64: rows of the output of the authors' definition with `golden` weights,
# by clip, frame, channel and row.
PLACES = [(0, 0, 0, 0), (0, 2, 1, 3), (1, 1, 2, 2)]
GOLDEN = [
    [-0.856038, -3.191168, -1.016751, -3.08228],
    [-0.687246, 1.138954, -1.277331, 0.433881],
    [-0.74601, -0.646402, -0.324397, -0.794027],
]
TINY = {"frames": 5, "positions": 9, "channels": 2, "width": 8, "depth": 2, "heads": 2}


def golden() -> Latte:
    """The network whose weights are ½ sin k² over all parameters, by name, the codes too."""
    model, k = Latte(4, 3, 2, 2, 3, width=8, depth=4, heads=2).to(tg.float64), 1
    for _, parameter in sorted(model.named_parameters()):
        numbers = np.arange(k, k + parameter.size, dtype=np.float64)
        parameter.data = np.sin(numbers**2).reshape(parameter.shape) / 2
        k += parameter.size
    return model


def clip(*shape: int) -> tg.Tensor:
    return tg.randn(shape, tg.float64, generator=Generator(0))


def untrained(**kwargs: int) -> sora.Sora:
    config = sora.Config(**{**TINY, "timesteps": 4, **kwargs})
    return sora.Sora(sora.build(config), sora.build_diffusion(config), config)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_latent_frame_is_independent_of_all_frames_after_those_it_covers(stride) -> None:
    tg.manual_seed(0)
    model = VideoAutoencoder(channels=4, time_stride=stride)
    clips = tg.rand((1, 1, 9, 16, 16), generator=Generator(0))
    z = model.encode(clips).numpy()
    assert z.shape == (1, 8, 1 + 8 // stride, 4, 4)
    for frame in range(9):
        other = tg.concat([clips[:, :, :frame], clips[:, :, frame:] * 7 + 1], axis=2)
        found = model.encode(other).numpy()
        covered_by = -(-frame // stride)
        assert (found[:, :, :covered_by] == z[:, :, :covered_by]).all()
        assert (found[:, :, covered_by] != z[:, :, covered_by]).any()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_decoded_frame_is_independent_of_all_later_latent_frames(stride) -> None:
    tg.manual_seed(0)
    model = VideoAutoencoder(channels=4, time_stride=stride)
    z = tg.randn((1, 8, 4, 2, 2), generator=Generator(0))
    decoded = model.decoder(z).numpy()
    assert decoded.shape == (1, 1, 1 + 3 * stride, 8, 8)
    for place in range(1, 4):
        other = tg.concat([z[:, :, :place], z[:, :, place:] * 7 + 1], axis=2)
        found, first = model.decoder(other).numpy(), 1 + (place - 1) * stride
        assert (found[:, :, :first] == decoded[:, :, :first]).all()
        assert (found[:, :, first : first + stride] != decoded[:, :, first : first + stride]).any()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_first_frame_is_encoded_alone_and_decoded_alone(stride) -> None:
    tg.manual_seed(0)
    model = VideoAutoencoder(channels=4, time_stride=stride)
    clips = tg.rand((2, 1, 5, 8, 8), generator=Generator(0))
    z, alone = model.encode(clips), model.encode(clips[:, :, :1])
    np.testing.assert_allclose(alone.numpy(), z.numpy()[:, :, :1], atol=1e-6)
    decoded = model.decode(z).numpy()[:, :, :1]
    np.testing.assert_allclose(model.decode(alone).numpy(), decoded, atol=1e-6)


def test_latte_has_the_names_shapes_and_number_of_parameters_of_the_authors() -> None:
    with nn.no_init():
        model = sora.Latte_S_2()
    found = [(name, p.shape, str(p.dtype)) for name, p in model.state_dict().items()]
    assert found == reference_keys("latte_s2")
    assert sum(p.size for p in model.parameters()) == 32_585_120


def test_outputs_are_those_of_pytorch_with_the_authors_definition() -> None:
    numbers = np.cos(np.arange(192, dtype=np.float64) ** 2).reshape(2, 3, 2, 4, 4)
    x = tg.tensor(numbers.swapaxes(1, 2))
    y = golden()(x, tg.tensor([7, 250])).numpy().swapaxes(1, 2)
    np.testing.assert_allclose([y[place] for place in PLACES], GOLDEN, atol=2e-6)


def test_spatial_and_temporal_attention_are_full_attention_with_a_mask() -> None:
    frames, places, width = 3, 4, 8
    block = golden().blocks[0].attn
    x = clip(1, frames * places, width)
    frame, place = np.divmod(np.arange(frames * places), places)
    by_frame = x.reshape(frames, places, width)
    within = block(x, tg.tensor(frame[:, None] == frame)).reshape(by_frame.shape)
    np.testing.assert_allclose(block(by_frame).numpy(), within.numpy(), atol=1e-12)
    across = block(x, tg.tensor(place[:, None] == place)).reshape(by_frame.shape)
    by_place = block(by_frame.swapaxes(0, 1)).swapaxes(0, 1)
    np.testing.assert_allclose(by_place.numpy(), across.numpy(), atol=1e-12)


def test_frames_that_see_only_themselves_give_what_each_gives_alone() -> None:
    model, x, t = golden(), clip(2, 2, 3, 4, 4), tg.tensor([3, 9])
    eye = tg.eye(3) > 0
    masked = model(x, t, allowed=eye).numpy()
    for frame in range(3):
        alone = model(x[:, :, [frame]], t, places=tg.tensor([frame])).numpy()
        np.testing.assert_allclose(masked[:, :, [frame]], alone, atol=1e-12)
    assert np.abs(model(x, t).numpy() - masked).max() > 1e-3


def test_rotary_places_add_no_parameters_and_without_codes_distances_alone_count() -> None:
    def network(rotary: bool) -> Latte:
        tg.manual_seed(0)
        model = Latte(8, 9, 2, 2, 2, width=16, depth=2, heads=2, rotary=rotary).to(tg.float64)
        for parameter in model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, 0, 0.3)
        return model

    plain, rotary = network(False), network(True)
    assert rotary.state_dict().keys() == plain.state_dict().keys()
    x, t = clip(1, 2, 3, 4, 8), tg.tensor([3])
    assert np.abs(rotary(x, t).numpy() - plain(x, t).numpy()).max() > 1e-4
    early, late = tg.tensor([0, 1, 2]), tg.tensor([4, 5, 6])
    assert np.abs(rotary(x, t, places=early).numpy() - rotary(x, t, places=late).numpy()).max() > 0
    rotary.temp_embed.data = tg.zeros_like(rotary.temp_embed).data
    outputs = (rotary(x, t, places=places).numpy() for places in (early, late))
    np.testing.assert_allclose(*outputs, atol=1e-12)


def test_packed_clips_give_what_each_gives_alone() -> None:
    model, x, t = golden(), clip(1, 2, 5, 4, 4), tg.tensor([3])
    places = tg.tensor([0, 1, 2, 0, 1])
    owner = np.array([0, 0, 0, 1, 1])
    packed = model(x, t, places=places, allowed=tg.tensor(owner[:, None] == owner)).numpy()
    for part in (slice(0, 3), slice(3, 5)):
        np.testing.assert_allclose(packed[:, :, part], model(x[:, :, part], t).numpy(), atol=1e-12)


def test_a_known_frame_has_the_step_of_data_in_space() -> None:
    model, x, t = golden(), clip(1, 2, 3, 4, 4), tg.tensor([900])
    none = tg.tensor([[False] * 3])
    free, zero = model(x, t).numpy(), tg.tensor([0])
    np.testing.assert_allclose(model(x, t, known=none).numpy(), free, atol=1e-12)
    assert np.abs(model(x, t, known=~none).numpy() - free).max() > 1e-3
    of_data = model(x, zero).numpy()
    np.testing.assert_allclose(model(x, zero, known=~none).numpy(), of_data, atol=1e-12)


def test_known_frames_of_a_clip_are_kept_and_long_clips_are_drawn_in_windows() -> None:
    model = untrained()
    known = tg.randn((2, 8, 2, 8, 8), generator=Generator(1))
    drawn = model.diffusion.draw(known, 3, 2, Generator(0), labels=tg.tensor([1, 2]), steps=2)
    assert drawn.shape == (2, 8, 3, 8, 8)
    np.testing.assert_allclose(drawn[:, :, :2].numpy(), known.numpy(), atol=1e-6)


def test_training_sees_whole_clips_pictures_and_later_windows(monkeypatch) -> None:
    diffusion = untrained(positions=17).diffusion  # 5 places for clips of 2 latent frames
    seen, forward = set(), Latte.forward

    def recorded(self, x, t, label, *, known, places):
        assert len(places) == x.shape[2] == known.shape[1]
        assert not bool(known.all(axis=1).any())
        seen.add(tuple(places.tolist()))
        return forward(self, x, t, label, known=known, places=places)

    monkeypatch.setattr(Latte, "forward", recorded)
    tg.manual_seed(0)
    for _ in range(100):
        z = tg.randn((2, 8, 2, 8, 8))
        assert np.isfinite(diffusion.loss(z, tg.tensor([1, 2])).item())
    assert seen == {(0, 1), (0,), (1,), (2,), (3,), (4,)}


def test_a_clip_of_one_frame_is_a_picture(tmp_path) -> None:
    model = untrained()
    assert sora.sample(model, 2, Generator(0), label=7, frames=1).shape == (2, 1, 1, 32, 32)
    picture = tmp_path / "first.png"
    tg.pictures.grid(tg.rand((1, 32, 32)), scale=1, gap=0, path=picture)
    assert sora.sample(model, 1, Generator(0), image=picture).shape == (1, 5, 1, 32, 32)
    assert sora.sample(model, 1, Generator(0), image=picture, frames=7).shape == (1, 7, 1, 32, 32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.autoencoder.encode(tg.zeros((1, 3, 2, 32, 32))), r"clips \(N, 1, T, H, W\)"),
        (lambda m: m.autoencoder.encode(tg.zeros((1, 1, 2, 30, 32))), "30 × 32 pixels"),
        (lambda m: m.autoencoder.encode(tg.zeros((1, 1, 4, 32, 32))), "4 frames; .* in time, 4"),
        (lambda m: VideoAutoencoder(time_stride=3), "time_stride must be 1, 2 or 4, not 3"),
        (lambda m: sora.sample(m, 1, Generator(0), frames=10), "10 frames; .* positions for 9"),
        (lambda m: sora.sample(m, 1, Generator(0), frames=0), "0 frames; expected at least 1"),
        (lambda m: sora.sample(m, 1, Generator(0), label=10), "cannot draw class 10"),
        (lambda m: m.diffusion.model(tg.zeros((1, 8, 2, 8, 8)), tg.tensor([0])), "got no labels"),
        (lambda m: Latte(depth=3), "depth 3 must be even"),
        (lambda m: Latte(width=12, heads=2, rotary=True), "a head's width, 6, .* divisible by 4"),
        (lambda m: sora.Config(frames=9, positions=8), "more frames than positions, 8"),
        (lambda m: sora.Config(time_stride=3), "time_stride 3 is not one of 1, 2, 4"),
        (lambda m: sora.Config(frames=8), "8 frames; .* multiple of the stride in time, 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, words) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        call(untrained())
    assert "\n" not in str(refusal.value)


def test_a_first_frame_of_another_size_or_with_colours_is_refused(tmp_path) -> None:
    path = tmp_path / "first.png"
    tg.pictures.grid(tg.zeros((1, 28, 28)), scale=1, gap=0, path=path)
    with pytest.raises(ValueError, match="28 × 28 pixels; expected 32 × 32"):
        sora.sample(untrained(), 1, Generator(0), image=path)
    tg.pictures.grid(tg.rand((1, 3, 32, 32)), scale=1, gap=0, path=path)
    with pytest.raises(ValueError, match="has 3 channels; expected 1"):
        sora.sample(untrained(), 1, Generator(0), image=path)


@pytest.mark.parametrize(
    ("shape", "words"), [((9, 32, 32), "9 frames; expected"), ((30, 32, 40), "32 × 40 pixels")]
)
def test_a_real_clip_that_does_not_fit_is_refused_in_one_line(tmp_path, shape, words) -> None:
    path = tmp_path / "clip.npy"
    np.save(path, np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=words):
        recipe.read(sora.Config(dataset=str(path), **TINY))


def test_measures_of_true_films_are_those_of_their_motion() -> None:
    films, labels = data.moving_mnist(
        64, split="test", labels=True, generator=Generator(3), speed=(2.0, 2.0)
    )
    assert judging.displacement(films) == pytest.approx(2.0, abs=0.1)
    assert judging.straight(films) > 0.95
    assert judging.kept(films) > 0.8
    right = judging.read_digits(films[:, :1])[:, 0] == labels[:, 0].numpy()
    assert right.mean() > 0.85
    shuffled = films[:, tg.Generator(0).permutation(17)]
    assert judging.straight(shuffled) < 0.5
    assert judging.kept(tg.zeros_like(films)) == 0


@pytest.mark.slow
def test_a_run_that_is_stopped_in_the_second_stage_ends_with_the_same_bytes(
    tmp_path, monkeypatch
) -> None:
    config = sora.Config(**TINY, clips=8, epochs=1, timesteps=4, transformer_epochs=2)

    def trained(folder, resume: bool = False) -> None:
        with Run(folder, config, resume=resume) as run:
            sora.train(config, run)

    trained(tmp_path / "whole")
    serve, batches = data.DataLoader.__iter__, 0

    def stopping(loader):
        nonlocal batches
        for batch in serve(loader):
            batches += 1
            if batches == 2:  # the first is that of the autoencoder
                signal.raise_signal(signal.SIGINT)
            yield batch

    monkeypatch.setattr(data.DataLoader, "__iter__", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped")
    assert (tmp_path / "stopped" / "transformer" / "checkpoint.safetensors").exists()
    trained(tmp_path / "stopped", resume=True)
    for name in ("checkpoint.safetensors", "transformer/checkpoint.safetensors"):
        whole, stopped = (tmp_path / folder / name for folder in ("whole", "stopped"))
        assert whole.read_bytes() == stopped.read_bytes()


@pytest.mark.slow
def test_a_real_clip_is_trained_on_and_continued_beside_the_truth(tmp_path) -> None:
    path = tmp_path / "clip.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8))
    config = sora.Config(
        **TINY, dataset=str(path), clips=4, epochs=1, transformer_epochs=1, timesteps=4
    )
    with Run(tmp_path / "run", config) as run:
        sora.train(config, run)
    assert (tmp_path / "run" / "index.html").read_text().count("data:image/gif") == 5
    assert "the last frame repeated" in sora.judge(tmp_path / "run")

"""DiT: names and sizes, patches, codes, the start, classes, refusals."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from golden_dit import GOLDEN, IMAGES, LABELS, PLACES, TIMES, golden
from reference_keys import reference_keys
from slopes import check_slopes

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models import dit
from tinygrad_gm.models.dit import Block, DiT, patchify, position_code_2d, unpatchify

SMALL = {
    "input_size": 12,
    "patch_size": 4,
    "in_channels": 1,
    "out_channels": 1,
    "width": 16,
    "depth": 2,
    "heads": 2,
}
COUNTS = {
    dit.DiT_S_2: 32_963_360,
    partial(DiT, patch_size=4): 32_945_024,
    partial(DiT, patch_size=8): 33_148_160,
    dit.DiT_B_2: 130_512_416,
    dit.DiT_L_2: 458_102_816,
    dit.DiT_XL_2: 675_129_632,
}


def small(num_classes: int | None = 3, **kwargs: int) -> DiT:
    """A small network, with random numbers where it starts with zeros."""
    tg.manual_seed(0)
    model = DiT(**{**SMALL, **kwargs}, num_classes=num_classes)
    for parameter in model.parameters():
        if not parameter.numpy().any():
            nn.init.normal_(parameter, 0, 0.2)
    return model


def test_rotary_attention_depends_on_how_far_places_are_apart_alone() -> None:
    tg.manual_seed(0)
    block = dit.Attention(16, 2).to(tg.float64)
    x = tg.randn((1, 5, 16), tg.float64)
    places = tg.tensor([0.0, 1.0, 4.0, 2.0, 7.0], tg.float64)
    here, there, reversed_ = (
        block(x, rotation=dit.Rotation(dit.angles(p, 4))).numpy()
        for p in (places, places + 3, -places)
    )
    np.testing.assert_allclose(here, there, atol=1e-12)
    assert np.abs(here - reversed_).max() > 1e-4
    alike = block(x, rotation=dit.Rotation(dit.angles(places * 0, 4))).numpy()
    np.testing.assert_allclose(alike, block(x).numpy(), atol=1e-12)


def test_a_rotation_turns_each_pair_by_its_angle() -> None:
    x, angles = tg.randn((3, 4), tg.float64), tg.randn((3, 2), tg.float64)
    turned = (x[:, :2].numpy() + 1j * x[:, 2:].numpy()) * np.exp(1j * angles.numpy())
    found = dit.Rotation(angles)(x).numpy()
    np.testing.assert_allclose(found, np.hstack([turned.real, turned.imag]), atol=1e-12)


@pytest.mark.parametrize(("network", "count"), COUNTS.items())
def test_a_network_has_the_parameters_of_the_paper_and_counting_allocates_none(
    network, count
) -> None:
    tracemalloc.start()
    with nn.no_init():
        model = network()
    assert sum(parameter.size for parameter in model.parameters()) == count
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    largest = max(parameter.size for parameter in model.parameters())
    assert most < 4 * largest + 20_000_000  # the modules; one array at a time is asked for


def test_the_state_dict_has_the_names_shapes_and_dtypes_of_the_authors() -> None:
    with nn.no_init():
        state = DiT().state_dict()
    found = [(key, tensor.shape, str(tensor.dtype)) for key, tensor in state.items()]
    assert found == reference_keys("dit_s2")


def test_the_outputs_of_a_network_of_sines_are_pytorchs() -> None:
    out = golden()(tg.tensor(IMAGES), tg.tensor(TIMES), tg.tensor(LABELS)).numpy()
    for place, numbers in zip(PLACES, GOLDEN, strict=True):
        np.testing.assert_allclose(out[place][1], numbers, rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------ the start


def test_a_block_is_the_identity_at_the_start() -> None:
    tg.manual_seed(0)
    block, x, code = Block(16, 4), tg.randn((3, 7, 16)), 10 * tg.randn((3, 16))
    assert (block(x, code) == x).all()


def test_a_network_predicts_0_at_the_start() -> None:
    tg.manual_seed(0)
    model = DiT(**SMALL, num_classes=3)
    out = model(tg.randn((2, 1, 12, 12)), tg.tensor([0, 999]), tg.tensor([0, 3]))
    assert out.shape == (2, 1, 12, 12)
    assert not out.numpy().any()


def test_the_last_layer_learns_in_the_first_step_and_everything_else_after_it() -> None:
    tg.manual_seed(0)
    model = DiT(**SMALL, num_classes=3)
    x, t, label = tg.randn((4, 1, 12, 12)), tg.arange(4), tg.arange(4)

    def moved() -> set[str]:
        """The parameters with a gradient, after which they are moved along it."""
        model.zero_grad()
        ((model(x, t, label) - x) ** 2).mean().backward()
        found = set()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and parameter.grad.numpy().any():
                parameter.data = parameter.data - 0.1 * parameter.grad.data
                found.add(name)
        return found

    trained = {name for name, _ in model.named_parameters()} - {"pos_embed"}
    assert moved() == {"final_layer.linear.weight", "final_layer.linear.bias"}
    for _ in range(2):
        last = moved()
    assert last == trained


# ------------------------------------------------------------------------------ patches and codes


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 28, 28), (0, 2, 2, 2)])
def test_unpatchify_after_patchify_is_the_identity(shape: tuple[int, ...]) -> None:
    images = tg.randn(shape)
    patches = patchify(images, 2)
    rows, columns = shape[2] // 2, shape[3] // 2
    assert patches.shape == (shape[0], rows * columns, shape[1], 2, 2)
    assert (unpatchify(patches, rows) == images).all()


def test_the_first_layer_is_a_convolution_whose_stride_is_its_size() -> None:
    model, x = small(in_channels=3), tg.randn((2, 3, 8, 12))
    convolved = model.x_embedder.proj(x).numpy().reshape(2, 16, -1).swapaxes(1, 2)
    np.testing.assert_allclose(model.x_embedder(x).numpy(), convolved, rtol=0, atol=1e-5)


def test_the_last_layer_has_the_channel_last_in_each_patch() -> None:
    model = small(out_channels=2)
    nn.init.zeros_(model.final_layer.linear.weight)
    bias = model.final_layer.linear.bias
    bias.data = np.arange(bias.size, dtype=np.float32)
    out = model(tg.zeros((1, 1, 4, 4)), tg.zeros(1), tg.zeros(1, tg.int64)).numpy()[0]
    np.testing.assert_array_equal(out[0].ravel(), np.arange(0, 32, 2))
    np.testing.assert_array_equal(out[1].ravel(), np.arange(1, 32, 2))


def test_the_code_of_a_position_is_that_of_its_column_then_that_of_its_row() -> None:
    code = position_code_2d(5, 12).numpy().reshape(5, 5, 12)
    for row in range(5):
        for column in range(5):
            for place, part in ((column, code[row, column, :6]), (row, code[row, column, 6:])):
                turned = place * 10_000.0 ** (-np.arange(3) / 3)
                wanted = np.concatenate([np.sin(turned), np.cos(turned)])
                np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-12)


def test_smaller_and_longer_images_have_the_positions_of_the_first_rows_and_columns() -> None:
    model = small(width=8)
    grid = model.pos_embed.numpy().reshape(3, 3, 8)
    np.testing.assert_array_equal(model._positions(1, 3).numpy(), grid[:1].reshape(3, 8))
    np.testing.assert_array_equal(model._positions(3, 2).numpy(), grid[:, :2].reshape(6, 8))
    label = tg.tensor([0])
    assert model(tg.zeros((1, 1, 4, 12)), tg.zeros(1), label).shape == (1, 1, 4, 12)


def test_the_code_of_a_step_is_its_cosines_then_its_sines() -> None:
    embedder = small().t_embedder
    seen = []
    embedder.mlp[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    embedder(tg.tensor([0, 37]))
    turned = 37 * 10_000.0 ** (-np.arange(128) / 128)
    np.testing.assert_allclose(seen[0].numpy()[1, :128], np.cos(turned), rtol=0, atol=1e-5)
    np.testing.assert_allclose(seen[0].numpy()[1, 128:], np.sin(turned), rtol=0, atol=1e-5)


# ------------------------------------------------------------------------------ the network


def test_every_image_has_its_own_time_and_its_own_class() -> None:
    model = small()
    x, t, label = tg.randn((3, 1, 12, 12)), tg.tensor([0, 500, 999]), tg.tensor([0, 2, 3])
    together = model(x, t, label).numpy()
    for i in range(3):
        alone = model(x[i : i + 1], t[i : i + 1], label[i : i + 1]).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=2e-5)
    assert np.abs(model(x, t + 1, label).numpy() - together).max() > 1e-3
    assert np.abs(model(x, t, label * 0).numpy() - together)[1:].max() > 1e-3


def test_attention_sees_only_what_is_allowed() -> None:
    tg.manual_seed(0)
    block, x, code = Block(16, 2), tg.randn((2, 6, 16)), tg.randn((2, 16))
    nn.init.normal_(block.adaLN_modulation[1].weight, std=0.3)
    own = tg.tensor(np.arange(6)[:, None] // 3 == np.arange(6) // 3)
    masked = block(x, code, own).numpy()
    for half in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(masked[:, half], block(x[:, half], code).numpy(), atol=1e-5)
    assert np.abs(block(x, code).numpy() - masked).max() > 1e-3


def test_gradients_equal_central_differences() -> None:
    model = small(width=8, depth=1, input_size=8).to(tg.float64)
    model.pos_embed.requires_grad = True
    x, t = tg.randn((2, 1, 8, 8), tg.float64), tg.tensor([1, 7])
    check_slopes(model, lambda: (model(x, t, tg.tensor([0, 3])) ** 2).mean(), 1, bound=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small()(tg.zeros((1, 3, 12, 12)), tg.zeros(1), tg.tensor([0])),
            r"expected images \(N, 1, H, W\); got \(1, 3, 12, 12\)",
        ),
        (
            lambda: small()(tg.zeros((12, 12)), tg.zeros(1), tg.tensor([0])),
            r"expected images .*; got \(12, 12\)",
        ),
        (
            lambda: small()(tg.zeros((1, 1, 12, 10)), tg.zeros(1), tg.tensor([0])),
            "images of 12 × 10 cannot be cut into patches of 4 × 4",
        ),
        (
            lambda: small()(tg.zeros((1, 1, 16, 8)), tg.zeros(1), tg.tensor([0])),
            "images of 16 × 8 have 4 × 2 patches; there are 3 × 3 positions",
        ),
        (
            lambda: small()(tg.zeros((2, 1, 8, 8)), tg.zeros(2), tg.tensor([0, 4])),
            "there is no class 4; expected 0 to 3, where 3 means none",
        ),
        (
            lambda: small()(tg.zeros((1, 1, 8, 8)), tg.zeros(1), tg.tensor([-1])),
            "there is no class -1; expected 0 to 3, where 3 means none",
        ),
        (
            lambda: small(None)(tg.zeros((1, 1, 8, 8)), tg.zeros(1), tg.tensor([1])),
            "a model without classes got labels",
        ),
        (
            lambda: small()(tg.zeros((1, 1, 8, 8)), tg.zeros(1)),
            "a model with classes got no labels",
        ),
        (lambda: small(width=18), "width 18 must be divisible by 4, for the position codes, and"),
        (lambda: small(heads=3), "width 16 must be divisible by 4, .* and by heads 3"),
        (lambda: small(input_size=10), "input_size 10 must be divisible by patch_size 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, message) -> None:
    with pytest.raises(ValueError, match=f"DiT: {message}") as error:
        call()
    assert "\n" not in str(error.value)

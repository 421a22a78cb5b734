"""The pooling layers: closed forms, shapes, where gradients go, memory order, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn

X = np.random.default_rng(0).permutation(2 * 3 * 8 * 6).reshape(2, 3, 8, 6).astype(np.float64)


def blocks(x: Any, height: int, width: int) -> Any:
    """x (N, C, H, W) in blocks: (N, C, H / height, W / width, height · width)."""
    count, channels, rows, columns = x.shape
    x = x.reshape(count, channels, rows // height, height, columns // width, width)
    return x.transpose(0, 1, 2, 4, 3, 5).reshape(*x.shape[:3], columns // width, -1)


def test_windows_side_by_side_are_blocks() -> None:
    x = tg.tensor(X)
    np.testing.assert_array_equal(nn.MaxPool2d((4, 2))(x).numpy(), blocks(X, 4, 2).max(-1))
    np.testing.assert_allclose(nn.AvgPool2d((4, 2))(x).numpy(), blocks(X, 4, 2).mean(-1))
    adaptive = nn.AdaptiveMaxPool2d((2, 3))(x), nn.AdaptiveAvgPool2d((2, 3))(x)
    np.testing.assert_array_equal(adaptive[0].numpy(), blocks(X, 4, 2).max(-1))
    np.testing.assert_allclose(adaptive[1].numpy(), blocks(X, 4, 2).mean(-1))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2, return_indices=True), nn.AdaptiveMaxPool2d(3, True)]
)
def test_indices_say_where_each_maximum_is_and_the_gradient_goes_there(pool: Any) -> None:
    x = tg.tensor(X, requires_grad=True)
    y, indices = pool(x)
    flat = X.reshape(2, 3, -1)
    read = np.take_along_axis(flat, indices.numpy().reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(read.reshape(y.shape), y.numpy())
    y.sum().backward()
    counts = np.zeros_like(flat)
    for n, c in np.ndindex(2, 3):
        np.add.at(counts[n, c], indices.numpy()[n, c].ravel(), 1.0)
    np.testing.assert_array_equal(x.grad.numpy(), counts.reshape(X.shape))


def test_padding_of_a_mean_counts_unless_told_otherwise() -> None:
    x = tg.ones((1, 1, 2, 2))
    assert nn.AvgPool2d(2, 2, 1)(x).tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    assert nn.AvgPool2d(2, 2, 1, count_include_pad=False)(x).tolist() == [[[[1, 1], [1, 1]]]]
    assert nn.AvgPool2d(2, divisor_override=1)(x).tolist() == [[[[4.0]]]]


def test_padding_of_a_maximum_never_wins() -> None:
    assert (nn.MaxPool1d(3, 1, 1)(-tg.ones((1, 1, 4))) == -1).all()


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (nn.MaxPool1d(3), (2, 4, 10), (2, 4, 3)),
        (nn.MaxPool1d(3, ceil_mode=True), (2, 4, 10), (2, 4, 4)),
        (nn.MaxPool1d(3, 1, dilation=2), (4, 10), (4, 6)),
        (nn.MaxPool2d(3, 2, 1), (2, 4, 9, 12), (2, 4, 5, 6)),
        (nn.MaxPool2d((1, 3)), (4, 9, 12), (4, 9, 4)),
        (nn.MaxPool3d(2, stride=(1, 2, 2)), (2, 4, 3, 6, 6), (2, 4, 2, 3, 3)),
        (nn.AvgPool1d(4, 3), (2, 4, 10), (2, 4, 3)),
        (nn.AvgPool1d(3, 2, 1, True), (2, 4, 10), (2, 4, 6)),
        (nn.AvgPool2d(2), (2, 4, 9, 12), (2, 4, 4, 6)),
        (nn.AvgPool3d(2, 1), (4, 3, 4, 5), (4, 2, 3, 4)),
        (nn.AdaptiveAvgPool1d(4), (2, 4, 10), (2, 4, 4)),
        (nn.AdaptiveAvgPool2d((None, 2)), (2, 4, 9, 12), (2, 4, 9, 2)),
        (nn.AdaptiveMaxPool2d(5), (4, 3, 3), (4, 5, 5)),
    ],
    ids=str,
)
def test_shapes_follow_the_formula(layer: Any, shape: Any, wanted: Any) -> None:
    assert layer(tg.ones(shape)).shape == wanted
    assert not layer.state_dict()


def test_channels_last_memory_stays_channels_last() -> None:
    layers = [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3), nn.MaxPool2d(2)]
    for layer in layers:
        x = tg.asarray(np.moveaxis(np.ones((2, 7, 6, 5), np.float32), -1, 1)).requires_grad_()
        y = layer(x)
        (y * y).sum().backward()
        for array in (y.numpy(), x.grad.numpy()):
            assert np.moveaxis(array, 1, -1).flags.c_contiguous


def test_the_printed_form_is_pytorchs() -> None:
    assert repr(nn.MaxPool2d(2)) == (
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.AvgPool2d(3, 2, 1)) == "AvgPool2d(kernel_size=3, stride=2, padding=1)"
    assert repr(nn.AdaptiveAvgPool2d((1, 1))) == "AdaptiveAvgPool2d(output_size=(1, 1))"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.MaxPool2d(3)(tg.ones((1, 1, 2, 2))), "^max_pool2d: .*"),
        (lambda: nn.MaxPool2d(2, padding=2)(tg.ones((1, 1, 4, 4))), "^max_pool2d: padding"),
        (lambda: nn.MaxPool2d(0)(tg.ones((1, 1, 4, 4))), "^max_pool2d: kernel_size"),
        (lambda: nn.MaxPool1d(2)(tg.ones((4,))), r"^max_pool1d: expected an input \(N, C, L\)"),
        (lambda: nn.AvgPool2d((2, 2, 2))(tg.ones((1, 1, 4, 4))), "^avg_pool2d: kernel_size"),
        (
            lambda: nn.AvgPool2d(2, divisor_override=0)(tg.ones((1, 1, 4, 4))),
            "^avg_pool2d: divisor_override must not be 0",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d((1, 2, 3))(tg.ones((1, 1, 4, 4))),
            "^adaptive_avg_pool2d: output_size",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

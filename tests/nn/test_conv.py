"""The convolution layers: values, shapes, adjointness, initial distributions, errors."""

from __future__ import annotations

import math
from typing import Any

import cases_spatial as truth
import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NUMPYS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def drawn(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape)


# --------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_layer_is_the_definition_in_loops(ndim: int) -> None:
    layer = CONV[ndim](4, 6, 2, 2, 1, 2, 2, dtype=tg.float64)
    x = drawn(2, 4, *(5, 4, 4)[:ndim])
    wanted = truth.conv(x, layer.weight.numpy(), layer.bias.numpy(), 2, 1, 2, 2)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_transposed_layer_is_the_definition_in_loops(ndim: int) -> None:
    layer = TRANSPOSED[ndim](4, 6, 3, 2, 1, 1, 2, dtype=tg.float64)
    x = drawn(2, 4, *(3, 2, 2)[:ndim])
    wanted = truth.conv_transpose(x, layer.weight.numpy(), layer.bias.numpy(), 2, 1, 1, 1, 2)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["zeros", *NUMPYS])
@pytest.mark.parametrize("padding", [1, (2, 0), "same", "valid"])
def test_padding_of_every_mode_is_numpys(mode: str, padding: Any) -> None:
    layer = nn.Conv2d(2, 3, (2, 3), padding=padding, padding_mode=mode, dtype=tg.float64)
    x = drawn(2, 2, 5, 4)
    widths = {1: ((1, 1), (1, 1)), (2, 0): ((2, 2), (0, 0)), "same": ((0, 1), (1, 1))}
    around = ((0, 0), (0, 0), *widths.get(padding, ((0, 0), (0, 0))))
    framed = np.pad(x, around, mode=NUMPYS.get(mode, "constant"))  # type: ignore[call-overload]
    wanted = truth.conv(framed, layer.weight.numpy(), layer.bias.numpy())
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_a_kernel_of_ones_sums_and_a_depthwise_one_sees_its_channel_only() -> None:
    layer = nn.Conv2d(2, 2, 2, groups=2, bias=False)
    nn.init.ones_(layer.weight)
    x = tg.tensor([[[1.0, 2.0], [3.0, 4.0]], [[10.0, 0.0], [0.0, 1.0]]])
    assert layer(x).tolist() == [[[10.0]], [[11.0]]]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_transposed_layer_is_the_adjoint_of_the_layer_with_its_weight(ndim: int) -> None:
    conv = CONV[ndim](4, 6, 3, 2, 1, groups=2, bias=False, dtype=tg.float64)
    back = TRANSPOSED[ndim](6, 4, 3, 2, 1, groups=2, bias=False, dtype=tg.float64)
    back.load_state_dict(conv.state_dict())
    x = tg.tensor(drawn(2, 4, *(8, 7, 6)[:ndim]), requires_grad=True)
    y = conv(x)
    g = tg.tensor(drawn(*y.shape))
    returned = back(g, output_size=x.shape[2:])
    assert (x * returned).sum().item() == pytest.approx((y * g).sum().item(), rel=1e-10)
    y.backward(g)
    np.testing.assert_allclose(returned.numpy(), x.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_it_is_no_interpolation_a_single_pixel_stamps_the_kernel() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3, stride=3, bias=False)
    x = tg.zeros((1, 2, 2))
    x[0, 1, 0] = 2.0
    stamped = np.zeros((1, 6, 6), np.float32)
    stamped[0, 3:, :3] = 2 * layer.weight.numpy()[0, 0]
    np.testing.assert_allclose(layer(x).numpy(), stamped)


# --------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("size", range(13, 18))
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (4, 2, 1), (5, 3, 0)])
def test_output_size_chooses_among_the_sizes_that_a_stride_gives(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    how = (kernel, stride, padding)
    y = nn.Conv2d(3, 2, *how)(tg.zeros((1, 3, size, size)))
    back = nn.ConvTranspose2d(2, 3, *how)
    assert back(y, output_size=[size, size]).shape == (1, 3, size, size)
    assert back(y, output_size=(1, 3, size, size)).shape == (1, 3, size, size)
    least = (y.shape[-1] - 1) * stride - 2 * padding + kernel
    assert back(y).shape == (1, 3, least, least)
    for beyond in (least - 1, least + stride):
        with pytest.raises(ValueError, match=rf"^ConvTranspose2d: .*sizes from \({least}, "):
            back(y, output_size=(beyond, beyond))


def test_parameters_have_pytorchs_shapes_and_come_in_c_order() -> None:
    conv = nn.Conv3d(4, 6, (1, 2, 3), groups=2)
    back = nn.ConvTranspose1d(4, 6, 5, groups=2, bias=False)
    assert [(k, v.shape) for k, v in conv.state_dict().items()] == [
        ("weight", (6, 2, 1, 2, 3)),
        ("bias", (6,)),
    ]
    assert [(k, v.shape) for k, v in back.state_dict().items()] == [("weight", (4, 3, 5))]
    assert conv.weight.numpy().flags.c_contiguous
    assert nn.Conv2d(1, 1, 1, dtype=tg.float64)(tg.zeros((1, 1, 1), tg.float64)).dtype == np.float64


def test_the_printed_form_is_pytorchs() -> None:
    assert repr(nn.Conv2d(3, 8, 3)) == "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))"
    told = nn.Conv1d(4, 8, 3, 2, 1, 2, 4, bias=False, padding_mode="reflect")
    assert repr(told) == (
        "Conv1d(4, 8, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), groups=4, "
        "bias=False, padding_mode=reflect)"
    )
    assert repr(nn.ConvTranspose1d(4, 8, 3, 2, output_padding=1)) == (
        "ConvTranspose1d(4, 8, kernel_size=(3,), stride=(2,), output_padding=(1,))"
    )
    assert repr(nn.Conv1d(1, 1, 3, padding="same")).endswith("padding=same)")


def test_channels_last_memory_stays_channels_last() -> None:
    for layer in (
        nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(8, 4, 3),
    ):
        x = tg.asarray(np.moveaxis(np.ones((2, 6, 5, 8), np.float32), -1, 1)).requires_grad_()
        y = layer(x)
        y.sum().backward()
        for array in (y.numpy(), x.grad.numpy()):
            assert np.moveaxis(array, 1, -1).flags.c_contiguous


# ------------------------------------------------------------------------------- initial values


@pytest.mark.parametrize(
    ("layer", "fan"),
    [
        (lambda: nn.Conv2d(32, 64, 5, groups=2), 16 * 25),
        (lambda: nn.ConvTranspose2d(64, 32, 5, groups=2), 16 * 25),
        (lambda: nn.Conv1d(128, 256, 3), 128 * 3),
    ],
)
def test_weight_and_bias_are_drawn_evenly_between_minus_and_plus_one_over_root_fan_in(
    layer: Any, fan: int
) -> None:
    tg.manual_seed(0)
    bound = 1 / math.sqrt(fan)
    drawn = layer()
    for parameter in drawn.parameters():
        values = parameter.numpy().ravel()
        assert abs(values).max() <= bound
        assert abs(values).max() > 0.9 * bound
        assert abs(values.mean()) < 4 * bound / math.sqrt(3 * values.size)
        variance, error = bound**2 / 3, bound**2 * math.sqrt(4 / 45 / values.size)
        assert abs(values.var() - variance) < 4 * error
    before = drawn.weight.numpy().copy()
    drawn.reset_parameters()
    assert (drawn.weight.numpy() != before).mean() > 0.99


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Conv2d(3, 8, 3)(tg.ones((2, 4, 9, 9))), r"in_channels=3; got \(2, 4, 9"),
        (lambda: nn.Conv2d(3, 8, 3)(tg.ones((9, 9))), r"^Conv2d: .*\(N, 3, H, W\) or \(3, H, W\)"),
        (lambda: nn.Conv2d(3, 8, 3)(tg.ones((3, 2, 9))), r"^conv2d: a kernel .* larger"),
        (lambda: nn.Conv1d(3, 8, 3)(tg.ones((2, 5, 3))), r"in_channels=3; got \(2, 5, 3\)"),
        (
            lambda: nn.ConvTranspose3d(3, 8, 3)(tg.ones((4, 1, 1, 1))),
            r"^ConvTranspose3d: .*\(3, D, H, W\) for in_channels=3",
        ),
        (lambda: nn.Conv2d(3, 8, 3, groups=2), "^Conv2d: groups must divide in_channels=3 and"),
        (lambda: nn.ConvTranspose2d(4, 3, 3, groups=2), "groups must .*out_channels=3; got 2"),
        (lambda: nn.Conv2d(0, 8, 3), "^Conv2d: in_channels must be an integer ≥ 1; got 0"),
        (lambda: nn.Conv2d(3, 8.0, 3), "^Conv2d: out_channels must be an integer ≥ 1; got 8.0"),
        (lambda: nn.Conv2d(3, 8, 3, groups=0), "^Conv2d: groups must be an integer ≥ 1; got 0"),
        (lambda: nn.Conv2d(3, 8, (3, 3, 3)), "^Conv2d: kernel_size must be .* one for each axis"),
        (lambda: nn.Conv1d(3, 8, 3, stride=0), "^Conv1d: stride must be an integer ≥ 1"),
        (lambda: nn.Conv3d(3, 8, 3, dilation=0), "^Conv3d: dilation must be an integer ≥ 1"),
        (lambda: nn.Conv2d(3, 8, 3, padding=-1), "^Conv2d: padding must be an integer ≥ 0"),
        (lambda: nn.Conv2d(3, 8, 3, padding="full"), '^Conv2d: padding must .*"valid"; got .full'),
        (lambda: nn.Conv2d(3, 8, 3, 2, "same"), '^Conv2d: padding="same" needs stride 1'),
        (lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"), "^Conv2d: padding_mode must be one of"),
        (
            lambda: nn.Conv2d(1, 1, 3, padding=2, padding_mode="reflect")(tg.ones((1, 2, 5))),
            r'mode "reflect" with widths \(2, 2\) needs at least 3 elements',
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, padding_mode="reflect"),
            '^ConvTranspose2d: padding_mode can only be "zeros"; got \'reflect\'',
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, padding="same"),
            "^ConvTranspose2d: padding must be an integer ≥ 0",
        ),
        (
            lambda: nn.ConvTranspose1d(1, 1, 3, 2, output_padding=2)(tg.ones((1, 4))),
            "expected output_padding less than the stride",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("layers", [CONV, TRANSPOSED])
@pytest.mark.parametrize("ndim", [1, 2])
def test_gradients_of_an_empty_batch_of_single_windows_are_zero(
    ndim: int, layers: dict[int, Any], size: int
) -> None:
    layer = layers[ndim](2, 2, size)
    x = tg.ones((0, 2, *[size] * ndim), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.shape == x.shape
    assert not layer.weight.grad.numpy().any()

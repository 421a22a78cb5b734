"""The entries of the kernels, which module.c and its neighbours define."""

from collections.abc import Sequence

from ...backend import Array
from ..windows import Pairs

PerAxis = Sequence[int]

def fits(*arrays: object) -> bool: ...
def dense(*arrays: object) -> bool: ...
def enable(on: bool) -> None: ...
def is_enabled() -> bool: ...
def targets() -> list[str]: ...
def target() -> str: ...
def set_target(name: str) -> None: ...
def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...
def find_blas(path: str | None) -> bool: ...
def multiplies(*arrays: object) -> bool: ...
def product(x: Array, y: Array) -> Array: ...
def adam(
    beta1: float,
    beta2: float,
    share: float,
    eps: float,
    lr: float,
    param: Array,
    gradients: Sequence[Array],
    scale: float,
    decay: float,
    keep: float,
    exp_avg: Array,
    exp_avg_sq: Array,
) -> None: ...
def average(share: float, mean: Array, values: Array) -> None: ...
def rmsprop(
    lr: float,
    alpha: float,
    share: float,
    eps: float,
    momentum: float,
    param: Array,
    gradients: Sequence[Array],
    scale: float,
    decay: float,
    keep: float,
    square_avg: Array,
    grad_avg: Array | None,
    momentum_buffer: Array | None,
) -> None: ...
def sgd(
    lr: float,
    momentum: float,
    share: float,
    nesterov: bool,
    param: Array,
    gradients: Sequence[Array],
    scale: float,
    decay: float,
    keep: float,
    momentum_buffer: Array | None,
) -> None: ...
def convolve(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Array,
    stride: PerAxis,
    padding: Pairs,
    dilation: PerAxis,
    groups: int,
) -> None: ...
def convolve_weight(
    x: Array,
    y: Array,
    out: Array,
    stride: PerAxis,
    padding: Pairs,
    dilation: PerAxis,
    groups: int,
) -> bool: ...
def depthwise(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Array,
    stride: PerAxis,
    padding: Pairs,
    dilation: PerAxis,
) -> None: ...
def depthwise_weight(
    x: Array, y: Array, out: Array, stride: PerAxis, padding: Pairs, dilation: PerAxis
) -> bool: ...
def normalize_rows(
    x: Array, weight: Array, bias: Array, width: int, eps: float, centered: bool
) -> tuple[Array, Array, Array] | None: ...
def normalize_rows_backward(
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inverse: Array,
    width: int,
    wants_x: bool,
    wants_parameters: bool,
) -> tuple[Array, Array] | None: ...
def normalize_channels(
    x: Array, weight: Array, bias: Array, groups: int, eps: float, far: float
) -> tuple[Array, Array, Array, Array, bool] | None: ...
def normalize_channels_backward(
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inverse: Array,
    far: bool,
    mean_gradient: Array,
    variance_gradient: Array,
    groups: int,
    wants_x: bool,
) -> tuple[Array, Array] | None: ...

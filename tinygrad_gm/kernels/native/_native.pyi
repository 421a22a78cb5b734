"""The entries of the kernels, which module.c and its neighbours define."""

from collections.abc import Sequence

from ...backend import Array, Shape
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
def multiplies(*arrays: object) -> bool: ...
def add(x: Array, y: Array) -> Array | None: ...
def multiply(x: Array, y: Array) -> Array | None: ...
def product(x: Array, y: Array, bias: Array | None) -> Array: ...
def relu(x: Array) -> Array: ...
def relu_backward(g: Array, out: Array) -> Array: ...
def leaky_relu(x: Array, slope: float) -> Array: ...
def leaky_relu_backward(g: Array, x: Array, slope: float) -> Array: ...
def hardtanh(x: Array, least: float, most: float) -> Array: ...
def hardtanh_backward(g: Array, out: Array, least: float, most: float) -> Array: ...
def tanh_backward(g: Array, out: Array) -> Array: ...
def sigmoid_backward(g: Array, out: Array) -> Array: ...
def exp(x: Array) -> Array: ...
def log(x: Array) -> Array: ...
def erf(x: Array) -> Array: ...
def tanh(x: Array) -> Array: ...
def sigmoid(x: Array) -> Array: ...
def silu(x: Array) -> Array: ...
def silu_backward(g: Array, x: Array) -> Array: ...
def gelu(x: Array) -> Array: ...
def gelu_backward(g: Array, x: Array) -> Array: ...
def tanh_gelu(x: Array) -> Array: ...
def tanh_gelu_backward(g: Array, x: Array) -> Array: ...
def logistic_loss(target: Array, x: Array) -> Array: ...
def logistic_loss_backward(target: Array, x: Array, scale: float) -> Array: ...
def sum(x: Array, axis: int | tuple[int, ...] | None, keepdims: bool) -> Array | None: ...
def squared_deviations(
    x: Array, axis: int | tuple[int, ...] | None, keepdims: bool
) -> Array | None: ...
def mish(x: Array) -> Array: ...
def mish_backward(g: Array, x: Array) -> Array: ...
def softplus(x: Array, beta: float, threshold: float) -> Array: ...
def softplus_backward(g: Array, x: Array, beta: float, threshold: float) -> Array: ...
def hardswish(x: Array) -> Array: ...
def hardswish_backward(g: Array, x: Array) -> Array: ...
def clip_backward(g: Array, x: Array, least: float, most: float) -> Array: ...
def select(x: Array, condition: Array, scale: float) -> Array | None: ...
def softmax(x: Array, out: Array) -> None: ...
def softmax_backward(g: Array, softmax: Array, out: Array) -> None: ...
def log_softmax(x: Array, out: Array) -> None: ...
def log_softmax_backward(g: Array, log_softmax: Array, out: Array) -> None: ...
def cross_entropy_backward(
    probabilities: Array, target: Array, g: Array | None, scale: float, out: Array
) -> None: ...
def cross_entropy(x: Array, target: Array, out: Array, loss: Array) -> None: ...
def attention(
    query: Array,
    key: Array,
    value: Array,
    out: Array,
    log_total: Array,
    causal: bool,
    scale: float,
) -> None: ...
def attention_backward(
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    out: Array,
    log_total: Array,
    causal: bool,
    scale: float,
    query_gradient: Array | None,
    key_gradient: Array | None,
    value_gradient: Array | None,
) -> None: ...
def attention_weights(scores: Array, log_total: Array, total: Array, period: int) -> None: ...
def attention_weights_again(scores: Array, log_total: Array, period: int) -> None: ...
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
    max_exp_avg_sq: Array | None,
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
def add_rows(values: Array, index: Array, out: Array) -> bool: ...
def lstm(
    inputs: Array,
    hidden: Array,
    cell: Array,
    weight: Array,
    states: Array,
    cells: Array,
    gates: Array,
) -> None: ...
def lstm_backward(
    state_gradients: Array,
    cell_gradients: Array,
    cell: Array,
    weight: Array,
    cells: Array,
    gates: Array,
    slopes: Array,
    into_hidden: Array,
    into_cell: Array,
) -> None: ...
def gru(
    inputs: Array,
    hidden: Array,
    weight: Array,
    bias: Array | None,
    states: Array,
    gates: Array,
) -> None: ...
def gru_backward(
    state_gradients: Array,
    hidden: Array,
    weight: Array,
    states: Array,
    gates: Array,
    input_slopes: Array,
    slopes: Array,
    into_hidden: Array,
) -> None: ...
def rnn(inputs: Array, hidden: Array, weight: Array, states: Array, bounded: bool) -> None: ...
def rnn_backward(
    state_gradients: Array,
    weight: Array,
    states: Array,
    slopes: Array,
    into_hidden: Array,
    bounded: bool,
) -> None: ...
def pool(
    x: Array,
    out: Array,
    places: Array | None,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
) -> bool: ...
def unpool(
    values: Array,
    places: Array | None,
    out: Array,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
) -> bool: ...

"""Cases of the fused operations and of `erf`; `cases.py` collects them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from samples import SHAPES, Case, Sample, draw, unary

NHWC = draw((2, 4, 2, 3), layout="NHWC")


def _each(function: Any) -> Any:
    """A function of one number, of every element."""
    return lambda x: np.vectorize(function, otypes=[np.float64])(x)


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * _each(lambda value: math.erfc(-value / math.sqrt(2)) / 2)(x)


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def _with_params(reference: Any, *calls: tuple[Any, tuple[Any, ...]]) -> Case:
    """An elementwise function of one array, on all layouts, and calls with parameters."""
    samples = [Sample((draw(shape, layout=layout),)) for shape, layout in SHAPES]
    samples += [Sample((x,), params) for x, params in calls]
    return Case(reference, samples, elementwise=True)


# ------------------------------------------------------------------------------------- norms


def _norm_over(x: Any, axes: Any, weight: Any, bias: Any, eps: float) -> Any:
    count = np.prod([x.shape[axis] for axis in axes])
    center = x.sum(axis=axes, keepdims=True) / count
    variance = ((x - center) ** 2).sum(axis=axes, keepdims=True) / count
    scale = 1.0 if weight is None else weight
    return (x - center) / (variance + eps) ** 0.5 * scale + (0.0 if bias is None else bias)


def _layer_norm(
    x: Any, weight: Any = None, bias: Any = None, ndim: int = 1, eps: float = 1e-5
) -> Any:
    return _norm_over(x, tuple(range(x.ndim - ndim, x.ndim)), weight, bias, eps)


def _rms_norm(x: Any, weight: Any = None, ndim: int = 1, eps: float = 1e-6) -> Any:
    squares = (x * x).mean(axis=tuple(range(-ndim, 0)), keepdims=True)
    return x / np.sqrt(squares + eps) * (1.0 if weight is None else weight)


def _column(array: Any, ndim: int) -> Any:
    return array if array is None else np.reshape(array, (-1,) + (1,) * (ndim - 2))


def _group_norm(
    x: Any, weight: Any = None, bias: Any = None, num_groups: int = 1, eps: float = 1e-5
) -> Any:
    groups = np.split(x, num_groups, axis=1)
    axes = tuple(range(1, x.ndim))
    out = np.concatenate([_norm_over(part, axes, None, None, eps) for part in groups], axis=1)
    return _norm_scaled(out, weight, bias)


def _norm_scaled(x: Any, weight: Any, bias: Any) -> Any:
    scale, shift = _column(weight, x.ndim), _column(bias, x.ndim)
    return x * (1.0 if scale is None else scale) + (0.0 if shift is None else shift)


def _batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    axes = (0, *range(2, x.ndim))
    out = _norm_scaled(_norm_over(x, axes, None, None, eps), weight, bias)
    return out, x.mean(axis=axes), x.var(axis=axes)


# --------------------------------------------------------------------------------- attention


def _attention(
    q: Any, k: Any, v: Any, bias: Any = None, is_causal: bool = False, scale: float | None = None
) -> Any:
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = np.einsum("...le,...se->...ls", q, k) * scale + (0.0 if bias is None else bias)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    weights = np.exp(scores)
    total = weights.sum(-1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return np.einsum("...ls,...sv->...lv", weights, v)


def _attention_samples() -> list[Sample]:
    def qkv(lead: Any, rows: int, columns: int, e: int = 3, v: int = 2, layout: str = "C") -> Any:
        shapes = ((rows, e), (columns, e), (columns, v))
        return tuple(draw((*lead, *s), layout=layout, seed=i) for i, s in enumerate(shapes))

    blocked = np.where(draw((3, 4), seed=7) > -1.0, 0.0, -np.inf)
    blocked[1] = -np.inf
    free = draw((2, 1, 3, 4), seed=8)
    few = (draw((2, 1, 2, 3)), draw((3, 3), seed=1), draw((2, 3, 2), seed=2))
    return [
        Sample((*qkv((), 3, 4), None)),
        Sample((*qkv((2, 2), 3, 4), None), (True,)),
        Sample((*qkv((2,), 4, 2, layout="sliced"), None), (True, 0.7)),
        Sample((*qkv((2, 1), 3, 4, 1, 1, "transposed"), free)),
        Sample((*qkv((), 3, 4), draw((4,), seed=9)), (True,)),
        Sample((*qkv((2,), 3, 4), blocked), smooth=False),
        Sample((*few, None)),
        Sample((*qkv((0, 2), 2, 2), None)),
        Sample((*qkv((2,), 0, 3), None)),
    ]


# --------------------------------------------------------------------------------- recurrent


def _sigmoid(x: Any) -> Any:
    return (1 + np.tanh(x / 2)) / 2


def _sequence(
    steps: int, batch: int, gates: int, hidden: int, layout: str = "C"
) -> tuple[Any, Any]:
    """Inputs (L, N, G·H), and the state (N, H) before the first step."""
    inputs = draw((steps, batch, gates * hidden), layout=layout)
    return inputs, draw((batch, hidden), seed=1)


def _lstm_cell(gates: Any, cell: Any) -> Any:
    i, f, g, o = np.split(gates, 4, axis=-1)
    new = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(new), new


def _gru_cell(from_input: Any, from_hidden: Any, hidden: Any) -> Any:
    (r, z, n), (rh, zh, nh) = (np.split(x, 3, axis=-1) for x in (from_input, from_hidden))
    n = np.tanh(n + _sigmoid(r + rh) * nh)
    z = _sigmoid(z + zh)
    return (1 - z) * n + z * hidden


def _lstm_sequence(inputs: Any, hidden: Any, cell: Any, weight: Any) -> Any:
    states, cells = [], []
    for from_input in inputs:
        hidden, cell = _lstm_cell(from_input + hidden @ weight.T, cell)
        states.append(hidden)
        cells.append(cell)
    return np.stack(states), np.stack(cells)


def _gru_sequence(inputs: Any, hidden: Any, weight: Any, bias: Any = None) -> Any:
    states = []
    for from_input in inputs:
        product = hidden @ weight.T + (0.0 if bias is None else bias)
        hidden = _gru_cell(from_input, product, hidden)
        states.append(hidden)
    return np.stack(states)


def _rnn_sequence(inputs: Any, hidden: Any, weight: Any, nonlinearity: str = "tanh") -> Any:
    states = []
    for from_input in inputs:
        total = from_input + hidden @ weight.T
        hidden = np.tanh(total) if nonlinearity == "tanh" else total * (total > 0)
        states.append(hidden)
    return np.stack(states)


# ------------------------------------------------------------------------ losses and look-up


def _nll_loss(
    scores: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    rows = scores if scores.ndim == 1 else np.moveaxis(scores, 1, -1)
    losses, weights = np.zeros(np.shape(target)), np.zeros(np.shape(target))
    for place in np.ndindex(losses.shape):
        if target[place] != ignore_index:
            weights[place] = 1.0 if weight is None else weight[target[place]]
            losses[place] = -weights[place] * rows[place][target[place]]
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    return total / weights.sum() if weights.sum() else np.nan


def _mse_loss(x: Any, y: Any, reduction: str = "mean") -> Any:
    losses = (x - y) ** 2
    if reduction == "mean":
        return losses.sum() / losses.size if losses.size else np.nan
    return losses if reduction == "none" else losses.sum()


def _weight(*shape: int) -> Any:
    return draw(shape, 0.5, 1.5, seed=1)


def _bias(*shape: int) -> Any:
    return draw(shape, seed=2)


TARGETS = np.array([2, 0, 1, 2])
SOME_IGNORED = np.array([[[0, -100]], [[-100, 1]]])

CASES: dict[str, Case] = {
    "erf": unary(_each(math.erf)),
    "gelu": _with_params(
        _gelu,
        (draw((2, 3)), ("tanh",)),
        (draw((2, 3, 2, 2), layout="NHWC"), ("tanh",)),
    ),
    "silu": unary(lambda x: x / (1 + np.exp(-x))),
    "softplus": _with_params(
        _softplus,
        (draw((2, 3)), (2.0,)),
        (draw((2, 3), avoid=[0.5]), (2.0, 1.0)),
        (draw((2, 3)), (-0.5,)),
    ),
    "mish": unary(lambda x: x * np.tanh(np.log(1 + np.exp(x)))),
    "layer_norm": Case(
        _layer_norm,
        [
            Sample((draw((2, 3)), _weight(3), _bias(3))),
            Sample((draw((4,)), _weight(4), _bias(4))),
            Sample((draw((2, 3, 2)), _weight(3, 2), None), (2,)),
            Sample((draw((2, 3), layout="transposed"), None, _bias(3)), (1, 0.1)),
            Sample((draw((2, 2, 3), layout="sliced"), None, None), (3,)),
            Sample((draw((0, 3)), _weight(3), _bias(3))),
        ],
    ),
    "rms_norm": Case(
        _rms_norm,
        [
            Sample((draw((2, 3)), _weight(3))),
            Sample((draw((4,)), None)),
            Sample((draw((2, 3, 2)), _weight(3, 2)), (2,)),
            Sample((draw((2, 3), layout="transposed"), None), (1, 0.1)),
            Sample((draw((2, 2, 3), layout="sliced"), _weight(2, 2, 3)), (3,)),
            Sample((draw((0, 3)), _weight(3))),
        ],
    ),
    "group_norm": Case(
        _group_norm,
        [
            Sample((NHWC, _weight(4), _bias(4)), (2,)),
            Sample((draw((2, 4, 3), layout="sliced"), _weight(4), None), (4,)),
            Sample((draw((3, 4), layout="transposed"), None, _bias(4)), (2, 0.1)),
            Sample((draw((2, 2, 3)), None, None), (1,)),
            Sample((draw((0, 4, 2)), _weight(4), _bias(4)), (2,)),
        ],
        keeps_order=True,
    ),
    "batch_norm": Case(
        _batch_norm,
        [
            Sample((NHWC, _weight(4), _bias(4))),
            Sample((draw((2, 3, 3), layout="sliced"), _weight(3), None)),
            Sample((draw((3, 2), layout="transposed"), None, _bias(2)), (0.1,)),
            Sample((draw((2, 2, 2, 2)), None, None)),
        ],
    ),
    "attention": Case(_attention, _attention_samples()),
    "lstm_cell": Case(
        _lstm_cell,
        [
            Sample((draw((2, 8)), draw((2, 2), seed=1))),
            Sample((draw((4,)), draw((1,), seed=1))),
            Sample((draw((2, 3, 4), layout="sliced"), draw((2, 3, 1), layout="transposed"))),
            Sample((draw((0, 8)), draw((0, 2)))),
        ],
    ),
    "gru_cell": Case(
        _gru_cell,
        [
            Sample((draw((2, 6)), draw((2, 6), seed=1), draw((2, 2), seed=2))),
            Sample((draw((3,)), draw((3,), seed=1), draw((1,), seed=2))),
            Sample(
                (
                    draw((2, 3, 3), layout="sliced"),
                    draw((2, 3, 3), layout="transposed", seed=1),
                    draw((2, 3, 1), seed=2),
                )
            ),
            Sample((draw((0, 6)), draw((0, 6)), draw((0, 2)))),
        ],
    ),
    "lstm_sequence": Case(
        _lstm_sequence,
        [
            Sample((*_sequence(3, 2, 4, 2), draw((2, 2), seed=2), draw((8, 2)))),
            Sample((*_sequence(1, 2, 4, 1), draw((2, 1), seed=2), draw((4, 1)))),
            Sample((*_sequence(2, 2, 4, 2, "sliced"), draw((2, 2)), draw((8, 2), layout="sliced"))),
            Sample((*_sequence(2, 0, 4, 2), draw((0, 2)), draw((8, 2)))),
        ],
    ),
    "gru_sequence": Case(
        _gru_sequence,
        [
            Sample((*_sequence(3, 2, 3, 2), draw((6, 2)), draw((6,)))),
            Sample((*_sequence(1, 2, 3, 1), draw((3, 1)), None)),
            Sample((*_sequence(2, 2, 3, 2, "transposed"), draw((6, 2), layout="transposed"), None)),
            Sample((*_sequence(2, 0, 3, 2), draw((6, 2)), draw((6,)))),
        ],
    ),
    "rnn_sequence": Case(
        _rnn_sequence,
        [
            Sample((*_sequence(3, 2, 1, 2), draw((2, 2), seed=2))),
            Sample((*_sequence(3, 2, 1, 3), draw((3, 3), seed=2)), ("relu",)),
            Sample((*_sequence(2, 2, 1, 2, "sliced"), draw((2, 2), layout="transposed"))),
            Sample((*_sequence(2, 0, 1, 2), draw((2, 2)))),
        ],
    ),
    "nll_loss": Case(
        _nll_loss,
        [
            Sample((draw((4, 3)), TARGETS, None)),
            Sample((draw((4, 3), layout="transposed"), TARGETS, _weight(3)), (2, "sum")),
            Sample((draw((4, 3)), TARGETS, _weight(3)), (0,)),
            Sample((draw((2, 3, 1, 2), layout="NHWC"), SOME_IGNORED, None), (-100, "none")),
            Sample((draw((2, 3, 1, 2)), SOME_IGNORED, _weight(3))),
            Sample((draw((3,)), np.array(1), None)),
            Sample((draw((3,)), np.array(2), _weight(3)), (-100, "none")),
            Sample((draw((0, 3)), TARGETS[:0], None), (-100, "none")),
            Sample((draw((0, 3)), TARGETS[:0], None)),
        ],
    ),
    "mse_loss": Case(
        _mse_loss,
        [
            Sample((draw((2, 3)), draw((2, 3), seed=1))),
            Sample((draw((2, 3), layout="transposed"), draw((2, 3), seed=1)), ("sum",)),
            Sample((draw((2, 3), layout="sliced"), draw((2, 3), seed=1)), ("none",)),
            Sample((draw(()), draw((), seed=1))),
            Sample((draw(()), 0.5)),
            Sample((0.5, draw(()))),
            Sample((draw((0, 3)), draw((0, 3)))),
            Sample((NHWC, draw((2, 4, 2, 3), layout="NHWC", seed=1)), ("none",)),
        ],
        keeps_order=True,
    ),
    "embedding": Case(
        lambda weight, indices, padding_idx=None: weight[np.asarray(indices)],
        [
            Sample((draw((4, 3)), np.array([2, 0, 2, 3]))),
            Sample((draw((4, 3), layout="transposed"), np.array([[1, 1], [0, 1]], np.uint8))),
            Sample((draw((4, 3), layout="sliced"), np.array(3))),
            Sample((draw((4, 3)), np.zeros((0, 2), int))),
        ],
    ),
}

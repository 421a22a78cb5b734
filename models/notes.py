"""The small functions of the study notes, under their names, on Tensors.

They have the arguments and results of the notes' functions: numbers, lists and NumPy arrays,
rounded like theirs. Each docstring names the layer, loss or optimizer for use in a model.
`docs/notes-errata.md` lists the errors in the notes' code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, optim
from tinygrad_gm.backend import ArrayLike

from .neuron import single_neuron_model, train_neuron

__all__ = [
    "LSTM",
    "adam_optimizer",
    "kl_divergence_normal",
    "log_softmax",
    "rnn_forward",
    "sigmoid",
    "simple_conv2d",
    "single_neuron_model",
    "softmax",
    "train_neuron",
]


def sigmoid(z: float) -> float:
    """1/(1 + e^−z), rounded to 4 decimals. See `tg.sigmoid`, `nn.Sigmoid`.

    >>> sigmoid(0), sigmoid(-1000)
    (0.5, 0.0)
    """
    return round(float(tg.sigmoid(_tensor(z))), 4)


def softmax(scores: Sequence[float]) -> list[float]:
    """e^sᵢ / Σ e^sⱼ of a list, rounded to 4 decimals. See `tg.softmax`, `nn.Softmax`.

    >>> softmax([1, 2, 3]), softmax([1000, 0])
    ([0.09, 0.2447, 0.6652], [1.0, 0.0])
    """
    return [round(p, 4) for p in tg.softmax(_tensor(scores)).tolist()]


def log_softmax(scores: ArrayLike, axis: int = -1) -> Any:
    """s − ln Σ e^s along an axis, as a NumPy array. See `tg.log_softmax`.

    >>> log_softmax([1, 2, 3]).round(4).tolist()
    [-2.4076, -1.4076, -0.4076]
    """
    return tg.log_softmax(_tensor(scores), axis=axis).numpy()


def kl_divergence_normal(mu_p: float, sigma_p: float, mu_q: float, sigma_q: float) -> float:
    """KL(N(μ_p, σ_p²) ‖ N(μ_q, σ_q²)) = ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²)/(2σ_q²) − ½, in nats.

    See `F.kl_normal`, which takes log-variances, the outputs of a network. Raises ValueError for a
    standard deviation that is not positive.

    >>> kl_divergence_normal(0, 1, 1, 1)
    0.5
    """
    if not (sigma_p > 0 and sigma_q > 0):
        raise ValueError(
            f"kl_divergence_normal: both sigmas must be positive, not {sigma_p} and {sigma_q}"
        )
    log_vars = 2 * math.log(sigma_p), 2 * math.log(sigma_q)
    p, q = ((_tensor(mu), _tensor(v)) for mu, v in zip((mu_p, mu_q), log_vars, strict=True))
    return float(F.kl_normal(*p, *q))


def adam_optimizer(
    f: Callable[[Any], Any],
    grad: Callable[[Any], Any],
    x0: ArrayLike,
    learning_rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    num_iterations: int = 10,
) -> Any:
    """Minimise a function by Adam; return the last point as a NumPy array. See `optim.Adam`.

    Args:
        f: the function; only its gradient is used.
        grad: function that returns the gradient of f at an array.
        x0: the starting point.
        learning_rate, beta1, beta2, epsilon: as in `optim.Adam`.
        num_iterations: number of steps.

    >>> x = adam_optimizer(lambda x: (x**2).sum(), lambda x: 2 * x, [1.0, -3.0], 0.1)
    >>> x.round(4).tolist()
    [0.0762, -2.0142]
    """
    x = _tensor(x0).requires_grad_()
    optimizer = optim.Adam([x], learning_rate, (beta1, beta2), epsilon)
    for _ in range(num_iterations):
        x.grad = _tensor(grad(x.detach().numpy()))
        optimizer.step()
    return x.detach().numpy().copy()


def simple_conv2d(input_matrix: ArrayLike, kernel: ArrayLike, padding: int, stride: int) -> Any:
    """Cross-correlate a matrix with a kernel, after zero padding; return a NumPy array.

    out[i, j] = Σ kernel[a, b] · padded[i·stride + a, j·stride + b]; the kernel is not flipped. See
    `F.conv2d`, `nn.Conv2d`. Raises ValueError if the kernel is larger than the padded input.

    >>> simple_conv2d([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, 1]], 0, 1).tolist()
    [[6.0, 8.0], [12.0, 14.0]]
    """
    x, w = _tensor(input_matrix), _tensor(kernel)
    if x.ndim != 2 or w.ndim != 2:
        raise ValueError(
            f"simple_conv2d: expected two matrices; got shapes {x.shape} and {w.shape}"
        )
    return F.conv2d(x[None, None], w[None, None], stride=stride, padding=padding)[0, 0].numpy()


def rnn_forward(
    input_sequence: Sequence[Sequence[float]],
    initial_hidden_state: Sequence[float],
    Wx: ArrayLike,
    Wh: ArrayLike,
    b: ArrayLike,
) -> list[float]:
    """h ← tanh(Wx x + Wh h + b) over a sequence; return the last h, rounded. See `nn.RNN`.

    >>> rnn_forward([[1.0], [2.0], [3.0]], [0.0], [[0.5]], [[0.8]], [0.0])
    [0.9759]
    """
    h, wx, wh, bias = (_tensor(array) for array in (initial_hidden_state, Wx, Wh, b))
    for x in input_sequence:
        h = tg.tanh(wx @ _tensor(x) + wh @ h + bias)
    return [round(value, 4) for value in h.tolist()]


class LSTM:
    """A long short-term memory for one sequence of column vectors. See `nn.LSTM`.

    With z = [h; x], each gate is W z + b with W of shape (hidden, hidden + input):

        f = σ(W_f z + b_f)   i = σ(W_i z + b_i)   c̃ = tanh(W_c z + b_c)   o = σ(W_o z + b_o)
        c ← f·c + i·c̃,      h ← o·tanh(c)

    The weights are drawn from U(−1/√hidden, 1/√hidden): with N(0, 1), as in the notes, all gates
    are almost open or closed at the start. The biases are 0, except that of the forget gate.

    Attributes: `Wf Wi Wc Wo`, (hidden, hidden + input), and `bf bi bc bo`, (hidden, 1).

    >>> lstm = LSTM(input_size=1, hidden_size=2)
    >>> outputs, h, c = lstm.forward([[1.0], [2.0], [3.0]], np.zeros((2, 1)), np.zeros((2, 1)))
    >>> outputs.shape, h.shape, c.shape
    ((3, 2, 1), (2, 1), (2, 1))
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 0.0) -> None:
        shape, bound = (hidden_size, hidden_size + input_size), 1 / math.sqrt(hidden_size)

        def weight() -> Any:
            return nn.init.uniform_(tg.empty(shape, tg.float64), -bound, bound).numpy()

        self.Wf, self.Wi, self.Wc, self.Wo = (weight() for _ in range(4))
        self.bf, self.bi, self.bc, self.bo = (np.zeros((hidden_size, 1)) for _ in range(4))
        self.bf += forget_bias

    def forward(
        self, x: ArrayLike, initial_hidden_state: ArrayLike, initial_cell_state: ArrayLike
    ) -> tuple[Any, Any, Any]:
        """The hidden state after each input, and the last hidden and cell state.

        Args:
            x: (length, input).
            initial_hidden_state, initial_cell_state: (hidden, 1).

        Returns:
            NumPy arrays (length, hidden, 1), (hidden, 1) and (hidden, 1).
        """
        # tg.lstm_cell takes the gates concatenated in the order i, f, c̃, o.
        weights = _tensor(np.concatenate([self.Wi, self.Wf, self.Wc, self.Wo]))
        biases = _tensor(np.concatenate([self.bi, self.bf, self.bc, self.bo]))
        h, c = _tensor(initial_hidden_state), _tensor(initial_cell_state)
        outputs = []
        for value in _tensor(x):
            gates = weights @ tg.concat([h, tg.reshape(value, (-1, 1))]) + biases
            row, cell = tg.lstm_cell(gates.T, c.T)
            h, c = row.T, cell.T
            outputs.append(h.numpy())
        return np.array(outputs), h.numpy(), c.numpy()


def _tensor(values: Any) -> tg.Tensor:
    return tg.asarray(np.asarray(values, np.float64))

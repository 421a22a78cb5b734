"""Every operation at the ends of its range: infinite gradients, the largest and smallest numbers.

Three sweeps that an operation joins by being registered:

- An upstream gradient of inf or NaN at one element of the result gives 0 wherever the element does
  not depend on the argument, as moving the argument shows.
- A function of one number has the limits of the table below: value, gradient on arrays, gradient as
  a graph, and second gradient.
- The gradient in float32 is that in float64, for numbers from 1e-30 to 1e30.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from cases import CASES
from registry import REGISTRY, SMOOTH, call, prepared, slots_of
from samples import Sample

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

OO, M, n = math.inf, "max", None  # n: not compared

# ---------------------------------------------------------------- gradients that are not finite

# Of these a derivative is a sum of products, in which a factor of 0 meets the upstream gradient;
# PyTorch gives NaN for them too.
PRODUCTS = {
    "prod": "the other elements",
    "cumulative_prod": "the other elements",
    "softmax": "rows of one element",
    "log_softmax": "rows of one element",
    "attention": "weights of what is masked, in a product of matrices",
    "cholesky": "triangles, in solutions",
    "cofactor": "the other elements",
    "remainder": "the rounded quotient",
    "conv": "zeros of the padding, in the gradient of the weight",
    "conv_transpose": "zeros of the padding, in the gradient of the weight",
    "conv_weight_gradient": "zeros of the padding",
}


def dependence(name: str, sample: Sample) -> list[Any]:
    """For each argument with a gradient, which of its elements (rows) move which results."""
    arrays = prepared(name, sample, grad=False)
    for slot in slots_of(
        name, sample
    ):  # a copy, as below: another memory order may take another path
        arrays[slot] = tg.asarray(arrays[slot].numpy().copy())
    before = call(name, arrays, sample.params).numpy().reshape(-1)
    found = []
    for slot in slots_of(name, sample):
        moves = np.zeros((arrays[slot].size, before.size), bool)
        for element, step in np.ndindex(len(moves), 2):
            moved = arrays[slot].numpy().copy()
            moved.flat[element] += (0.013, -0.017)[step]
            changed = [tg.asarray(moved) if i == slot else a for i, a in enumerate(arrays)]
            moves[element] |= call(name, changed, sample.params).numpy().reshape(-1) != before
        found.append(moves)
    return found


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "sample"), [call for call in SMOOTH if call.values[0] not in PRODUCTS]
)
def test_an_upstream_gradient_that_is_not_finite_reaches_only_what_was_read(
    name: str, sample: Sample
) -> None:
    op, reads = REGISTRY[name], dependence(name, sample)
    ways = ["arrays", "graph", *(["textbook"] if op.decomposition else [])]
    for way in ways:
        with tg.textbook() if way == "textbook" else contextlib.nullcontext():
            arrays = prepared(name, sample)
            out = call(name, arrays, sample.params)
        inputs = [arrays[slot] for slot in slots_of(name, sample)]
        for element in sorted({0, out.size // 3, out.size // 2, out.size - 1} if out.size else ()):
            for value in (tg.inf, tg.nan):
                upstream = np.zeros(out.shape)
                upstream.flat[element] = value
                options: Any = {"create_graph": way == "graph", "retain_graph": True}
                found = tg.grad(out, inputs, tg.asarray(upstream), allow_unused=True, **options)
                for slot, moves, gradient in zip(slots_of(name, sample), reads, found, strict=True):
                    flat = np.zeros(len(moves)) if gradient is None else gradient.numpy().ravel()
                    unread = ~moves[:, element]
                    assert not flat[unread].any(), (way, element, value, slot)
                    if CASES[name].elementwise and op.local[slot] != "0":
                        assert not np.isfinite(flat[~unread]).any(), (way, element, value, slot)
                        if way == "arrays" and value == tg.inf:
                            assert not np.isnan(flat[~unread]).any(), (element, slot)


# These read more than moves their result: a 0 of the sample meets the number in a product, or the
# number decides nothing as long as it is one.
READERS = {
    "attention": "values that are masked, in a product of matrices",
    "cholesky": "refuses a matrix that is not positive definite",
    "clip": "a number outside of crossed bounds",
    "cofactor": "the other elements, in products",
    "conv": "weights that meet the zeros of the padding only",
    "conv_transpose": "weights that meet the zeros of the padding only",
    "conv_weight_gradient": "gradients that meet the zeros of the padding only",
    "cumulative_prod": "elements after a 0",
    "log_softmax": "rows of one element",
    "rnn_sequence": "a state that relu sets to 0",
    "softmax": "rows of one element",
}


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "sample"), [call for call in SMOOTH if call.values[0] not in READERS]
)
def test_a_number_that_a_result_does_not_read_may_be_nan_or_infinite(
    name: str, sample: Sample
) -> None:
    arrays = prepared(name, sample, grad=False)
    before = call(name, arrays, sample.params).numpy().reshape(-1)

    def result(slot: int, element: int, value: float) -> Any:
        changed = arrays[slot].numpy().copy()
        changed.flat[element] = value
        moved = [tg.asarray(changed) if i == slot else array for i, array in enumerate(arrays)]
        return call(name, moved, sample.params).numpy().reshape(-1)

    for slot in slots_of(name, sample):
        for element in range(min(arrays[slot].size, 8)):
            old = arrays[slot].numpy().flat[element]
            read = np.zeros(before.shape, bool)
            for value in (old + 0.013, old - 0.017, old + 50.0, old - 50.0):
                read |= result(slot, element, value) != before
            for value in (tg.nan, tg.inf, -tg.inf):
                found = result(slot, element, value)
                np.testing.assert_array_equal(found[~read], before[~read], str((slot, element)))


def test_what_is_left_out_is_registered() -> None:
    assert {*PRODUCTS, *READERS} <= set(REGISTRY)


# --------------------------------------------------------------------------- limits, by calculus

POINTS = ["−inf", "−max", "below 0", "0", "above 0", "max", "inf"]
HALF_PI, LN2, SLOPE, DENSITY = math.pi / 2, math.log(2), 2 / math.sqrt(math.pi), 0.7978845608028654
FLAT = [0.0] * 7
LIMITS: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    # values, slopes and curvatures at POINTS; n where −inf · 0 or inf / inf gives NaN, in PyTorch
    # too, outside of the domain, and where 0 is a singular point
    "negative": ([OO, OO, 0, 0, 0, -OO, -OO], [-1] * 7, FLAT),
    "square": ([OO, OO, 0, 0, 0, OO, OO], [-OO, -OO, 0, 0, 0, OO, OO], [2] * 7),
    "reciprocal": ([0, 0, n, n, n, 0, 0], [0, 0, n, n, n, 0, 0], [0, 0, n, n, n, 0, 0]),
    "sqrt": ([n, n, n, 0, n, n, OO], [n, n, n, n, n, n, 0], [n, n, n, n, n, n, 0]),
    "abs": ([OO, OO, 0, 0, 0, OO, OO], [-1, -1, -1, 0, 1, 1, 1], FLAT),
    "sign": ([-1, -1, -1, 0, 1, 1, 1], FLAT, FLAT),
    "floor": ([-OO, -OO, -1, 0, 0, OO, OO], FLAT, FLAT),
    "ceil": ([-OO, -OO, 0, 0, 1, OO, OO], FLAT, FLAT),
    "trunc": ([-OO, -OO, 0, 0, 0, OO, OO], FLAT, FLAT),
    "round": ([-OO, -OO, 0, 0, 0, OO, OO], FLAT, FLAT),
    "exp": ([0, 0, 1, 1, 1, OO, OO],) * 3,
    "expm1": ([-1, -1, 0, 0, 0, OO, OO], [0, 0, 1, 1, 1, OO, OO], [0, 0, 1, 1, 1, OO, OO]),
    "log": ([n, n, n, -OO, n, n, OO], [n, n, n, n, n, 0, 0], [n, n, n, n, n, 0, 0]),
    "log1p": ([n, n, 0, 0, 0, n, OO], [n, n, 1, 1, 1, 0, 0], [n, n, -1, -1, -1, 0, 0]),
    "log2": ([n, n, n, -OO, n, n, OO], [n, n, n, n, n, 0, 0], [n, n, n, n, n, 0, 0]),
    "log10": ([n, n, n, -OO, n, n, OO], [n, n, n, n, n, 0, 0], [n, n, n, n, n, 0, 0]),
    "sin": ([n, n, 0, 0, 0, n, n], [n, n, 1, 1, 1, n, n], [n, n, 0, 0, 0, n, n]),
    "cos": ([n, n, 1, 1, 1, n, n], [n, n, 0, 0, 0, n, n], [n, n, -1, -1, -1, n, n]),
    "tan": ([n, n, 0, 0, 0, n, n], [n, n, 1, 1, 1, n, n], [n, n, 0, 0, 0, n, n]),
    "asin": ([n, n, 0, 0, 0, n, n], [n, n, 1, 1, 1, n, n], [n, n, 0, 0, 0, n, n]),
    "acos": ([n, n, *[HALF_PI] * 3, n, n], [n, n, -1, -1, -1, n, n], [n, n, 0, 0, 0, n, n]),
    "atan": (
        [-HALF_PI, -HALF_PI, 0, 0, 0, HALF_PI, HALF_PI],
        [0, 0, 1, 1, 1, 0, 0],
        [n, 0, 0, 0, 0, 0, n],
    ),
    "sinh": ([-OO, -OO, 0, 0, 0, OO, OO], [OO, OO, 1, 1, 1, OO, OO], [-OO, -OO, 0, 0, 0, OO, OO]),
    "cosh": ([OO, OO, 1, 1, 1, OO, OO], [-OO, -OO, 0, 0, 0, OO, OO], [OO, OO, 1, 1, 1, OO, OO]),
    "asinh": ([-OO, n, 0, 0, 0, n, OO], [0, 0, 1, 1, 1, 0, 0], [n, 0, 0, 0, 0, 0, n]),
    "acosh": ([n, n, n, n, n, n, OO], [n, n, n, n, n, 0, 0], [n, n, n, n, n, 0, n]),
    "atanh": ([n, n, 0, 0, 0, n, n], [n, n, 1, 1, 1, n, n], [n, n, 0, 0, 0, n, n]),
    "tanh": ([-1, -1, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 0, 0], FLAT),
    "sigmoid": ([0, 0, 0.5, 0.5, 0.5, 1, 1], [0, 0, 0.25, 0.25, 0.25, 0, 0], FLAT),
    "softsign": ([n, -1, 0, 0, 0, 1, n], [0, 0, 1, 1, 1, 0, 0], [0, 0, 2, 0, -2, 0, 0]),
    "erf": ([-1, -1, 0, 0, 0, 1, 1], [0, 0, *[SLOPE] * 3, 0, 0], [n, 0, 0, 0, 0, 0, n]),
    "relu": ([0, 0, 0, 0, 0, M, OO], [0, 0, 0, 0, 1, 1, 1], FLAT),
    "leaky_relu": ([-OO, n, 0, 0, 0, M, OO], [0.01, 0.01, 0.01, 0.01, 1, 1, 1], FLAT),
    "hardtanh": ([-1, -1, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 0, 0], FLAT),
    "gelu": ([n, 0, 0, 0, 0, M, OO], [n, 0, 0.5, 0.5, 0.5, 1, n], [n, 0, *[DENSITY] * 3, 0, n]),
    "silu": ([n, 0, 0, 0, 0, M, OO], [n, 0, 0.5, 0.5, 0.5, 1, n], [n, 0, 0.5, 0.5, 0.5, 0, n]),
    "softplus": (
        [0, 0, LN2, LN2, LN2, M, OO],
        [0, 0, 0.5, 0.5, 0.5, 1, 1],
        [0, 0, 0.25, 0.25, 0.25, 0, 0],
    ),
    "mish": ([0, 0, 0, 0, 0, M, OO], [0, 0, 0.6, 0.6, 0.6, 1, 1], [0, 0, 0.64, 0.64, 0.64, 0, 0]),
    # of F
    "gelu, tanh": (
        [n, 0, 0, 0, 0, M, OO],
        [0, 0, 0.5, 0.5, 0.5, 1, 1],
        [0, 0, *[DENSITY] * 3, 0, 0],
    ),
    "prelu": ([-OO, n, 0, 0, 0, M, OO], [0.25, 0.25, 0.25, 0.25, 1, 1, 1], FLAT),
    "elu": ([-1, -1, 0, 0, 0, M, OO], [0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]),
    "selu": (
        [-1.7580993408473768, -1.7580993408473768, 0, 0, 0, OO, OO],
        [0, 0, 1.7580993408473768, 1.7580993408473768, *[1.0507009873554805] * 3],
        [0, 0, 1.7580993408473768, 1.7580993408473768, 0, 0, 0],
    ),
    "celu": ([-1, -1, 0, 0, 0, M, OO], [0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]),
    "relu6": ([0, 0, 0, 0, 0, 6, 6], [0, 0, 0, 0, 1, 0, 0], FLAT),
    "hardsigmoid": ([0, 0, 0.5, 0.5, 0.5, 1, 1], [0, 0, *[1 / 6] * 3, 0, 0], FLAT),
    "hardswish": (
        [0, 0, 0, 0, 0, M, OO],
        [0, 0, 0.5, 0.5, 0.5, 1, 1],
        [0, 0, *[1 / 3] * 3, 0, 0],
    ),
    "logsigmoid": (
        [-OO, -OO, -LN2, -LN2, -LN2, 0, 0],
        [1, 1, 0.5, 0.5, 0.5, 0, 0],
        [0, 0, -0.25, -0.25, -0.25, 0, 0],
    ),
}
LIKE: dict[str, Any] = {
    "gelu, tanh": lambda x: F.gelu(x, "tanh"),
    "prelu": lambda x: F.prelu(x, tg.tensor([0.25], dtype=x.dtype)),
    **{name: getattr(F, name) for name in ("elu", "selu", "celu", "relu6")},
    **{name: getattr(F, name) for name in ("hardsigmoid", "logsigmoid")},
}


def functions_of(arity: int) -> dict[str, Any]:
    """The elementwise operations of `arity` floating arguments that all have gradients."""
    return {
        name: op.primitive
        for name, case in CASES.items()
        if case.elementwise
        and (op := REGISTRY[name]).required == arity
        and op.differentiable == tuple(range(arity))
    }


def test_every_function_of_one_number_has_its_limits() -> None:
    without = set(functions_of(1)) - set(LIMITS)
    assert not without, f"add the values at 0, ±∞ and extreme numbers of {without} to LIMITS"
    assert set(LIMITS) == set(functions_of(1)) | set(LIKE)


def derivatives(function: Any, points: list[Any]) -> dict[str, Any]:
    """Value, gradient on arrays, gradient as a graph, and second gradient (0 where it is none)."""
    inputs = [tg.tensor(point, requires_grad=True) for point in points]
    out = function(*inputs)
    plain = tg.grad(out.sum(), inputs, retain_graph=True)
    graph = tg.grad(out.sum(), inputs, create_graph=True)
    second = []
    for gradient in graph:
        zeros = [tg.zeros_like(x) for x in inputs]
        if gradient.requires_grad:
            each = tg.grad(gradient.sum(), inputs, allow_unused=True, retain_graph=True)
            zeros = [zero if g is None else g for g, zero in zip(each, zeros, strict=True)]
        second.extend(zeros)
    parts = {"value": [out], "gradient": plain, "gradient as a graph": graph, "second": second}
    return {what: np.array([t.numpy() for t in tensors]) for what, tensors in parts.items()}


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_limits_at_the_ends_and_on_both_sides_of_zero(name: str, dtype: Any) -> None:
    info = np.finfo(dtype)
    small, tiny, largest = float(info.smallest_subnormal), float(info.tiny), float(info.max)
    groups = [[-OO], [-largest], [-tiny, -small], [-0.0, 0.0], [small, tiny], [largest], [OO]]
    points = np.array([point for group in groups for point in group], dtype)
    values, slopes, curvatures = LIMITS[name]
    rows = {"value": values, "gradient": slopes, "second": curvatures}
    rows["gradient as a graph"] = slopes
    function = LIKE[name] if name in LIKE else REGISTRY[name].primitive
    for what, (found,) in derivatives(function, [points]).items():
        per_point = [w for group, w in zip(groups, rows[what], strict=True) for _ in group]
        for point, one, entry in zip(points.tolist(), found.tolist(), per_point, strict=True):
            if entry is None:
                continue
            wanted = float(largest if entry == M else entry)
            if what == "value" and abs(point) == largest and abs(wanted) == OO:
                assert one in (wanted, math.copysign(largest, wanted)), (what, point)
            else:  # within the range where a curvature of 1 does not show
                assert one == pytest.approx(
                    wanted, rel=4 * float(info.eps), abs=max(4 * tiny, 1e-30)
                ), (
                    what,
                    point,
                )


# -------------------------------------------------------------------------- float32 and float64

EPS = 2.0**-23
NUMBERS = [1e-30, 1e-6, 1e-3, 0.5, 1 - EPS / 2, 1.0, 1 + EPS, 3.0, 20.0, 80.0, 1e6, 1e30]
SIGNED = [0.0, *NUMBERS, *(-number for number in NUMBERS)]
# Right to a unit of 1, not of themselves: they are computed from a rounded result (PyTorch's are
# too), or from two parts that nearly cancel.
ABSOLUTE = {"sigmoid", "tanh", "gelu", "silu", "gelu, tanh", "logaddexp", "logsigmoid", "softplus"}
DOMAIN: dict[str, list[float]] = {
    "pow": NUMBERS[1:-1],  # above, x^(y−1) overflows where y·x^(y−1) does not
    "binary_cross_entropy": [1e-6, 1e-3, 0.5, 1 - EPS / 2],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("arity", [1, 2])
def test_gradients_in_float32_are_those_in_float64(arity: int) -> None:
    functions = functions_of(arity) | (LIKE if arity == 1 else {})
    assert len(functions) > 8
    for name, function in functions.items():
        axis = np.array(DOMAIN.get(name, SIGNED), np.float32)
        points = [grid.ravel() for grid in np.meshgrid(*[axis] * arity)]
        single = derivatives(function, points)
        double = derivatives(function, [point.astype(np.float64) for point in points])
        for what in ("value", "gradient", "gradient as a graph"):
            wanted = double[what].astype(np.float32)
            bound = 1e-5 * np.abs(wanted) + 4e-38 + (EPS if name in ABSOLUTE else 0.0)
            found = single[what]
            close = (found == wanted) | (np.abs(found - wanted) <= bound)
            close |= np.isnan(found) & np.isnan(wanted)
            wrong = np.argwhere(~close)
            where = [tuple(point[i] for point in points) for _, i in wrong[:3]]
            assert close.all(), (name, what, where)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted({**functions_of(1), **LIKE}))
def test_second_gradients_in_float32_are_those_in_float64(name: str) -> None:
    function = LIKE[name] if name in LIKE else REGISTRY[name].primitive
    points = np.array(SIGNED, np.float32)
    (found,), wanted = derivatives(function, [points])["second"], None
    (wanted,) = derivatives(function, [points.astype(np.float64)])["second"].astype(np.float32)
    close = (found == wanted) | (np.abs(found - wanted) <= 2e-5 * np.abs(wanted) + 4 * EPS)
    close |= np.isnan(found) & np.isnan(wanted)
    assert close.all(), points[~close]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted({**functions_of(1), **LIKE}))
def test_values_and_gradients_in_float16_are_those_in_float64(name: str) -> None:
    numbers = [6e-8, 6e-5, 1e-3, 0.5, 1.0, 3.0, 6.0, 9.0, 12.0, 20.0, 300.0, 6e4]
    points = np.array([0.0, *numbers, *(-number for number in numbers)], np.float16)
    function = LIKE[name] if name in LIKE else REGISTRY[name].primitive
    half = derivatives(function, [points])
    double = derivatives(function, [points.astype(np.float64)])
    for what in ("value", "gradient", "gradient as a graph"):
        wanted = double[what].astype(np.float16).astype(np.float64)
        found = half[what].astype(np.float64)
        close = (found == wanted) | (np.abs(found - wanted) <= 4e-3 * np.abs(wanted) + 2e-3)
        close |= np.isnan(found) & np.isnan(wanted)
        assert close.all(), (what, points[~close[0]], found[~close], wanted[~close])


# --------------------------------------------------------------- single points of two numbers


@pytest.mark.parametrize("create_graph", [False, True])
def test_logaddexp_shares_the_gradient_by_the_difference(create_graph: bool) -> None:
    x = tg.tensor([1e8, OO, 1.0, -OO, -OO, OO, 3.0], requires_grad=True)
    y = tg.tensor([1e8, 1.0, OO, -OO, 2.0, OO, 1.0], requires_grad=True)
    first, second = tg.grad(tg.logaddexp(x, y), (x, y), tg.ones(7), create_graph=create_graph)
    share = 1 / (1 + math.exp(-2.0))
    wanted = [0.5, 1.0, 0.0, 0.0, 0.0, 0.5, share]
    np.testing.assert_allclose(first.numpy(), wanted, rtol=1e-6)
    wanted = [0.5, 0.0, 1.0, 0.0, 1.0, 0.5, 1 - share]
    np.testing.assert_allclose(second.numpy(), wanted, rtol=1e-6)


def test_the_second_gradient_of_logaddexp_at_a_tie_is_a_quarter() -> None:
    x = tg.tensor([1e8, 0.0], requires_grad=True)
    (slope,) = tg.grad(tg.logaddexp(x, tg.tensor([1e8, 0.0])).sum(), x, create_graph=True)
    (curvature,) = tg.grad(slope.sum(), x)
    assert curvature.tolist() == [0.25, 0.25]


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 1e30])
def test_atan2_and_hypot_neither_overflow_nor_vanish(size: float) -> None:
    x, y = (tg.tensor(v * size, requires_grad=True) for v in (3.0, 4.0))
    for function, wanted in ((tg.atan2, (0.16 / size, -0.12 / size)), (tg.ops.hypot, (0.6, 0.8))):
        found = tg.grad(function(x, y), (x, y))
        assert [g.item() for g in found] == pytest.approx(wanted, rel=1e-6)


# --------------------------------------------------------------------------------- losses


LOSSES: list[tuple[Any, list[Any], list[float]]] = [
    # values and gradients at −inf, −max, 0, max and inf: PyTorch's
    (lambda x, t: F.l1_loss(x, t * 0, "none"), [OO, M, 0, M, OO], [-1, -1, 0, 1, 1]),
    (lambda x, t: F.smooth_l1_loss(x, t * 0, "none"), [OO, M, 0, M, OO], [-1, -1, 0, 1, 1]),
    (lambda x, t: F.huber_loss(x, t * 0, "none", 2.0), [OO, OO, 0, OO, OO], [-2, -2, 0, 2, 2]),
    (lambda x, t: F.mse_loss(x, t * 0, "none"), [OO, OO, 0, OO, OO], [-OO, -OO, 0, OO, OO]),
    (
        lambda x, t: F.binary_cross_entropy_with_logits(x, t * 0, reduction="none"),
        [n, 0, LN2, M, OO],
        [0, 0, 0.5, 1, 1],
    ),
    (
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        [OO, M, LN2, 0, n],
        [-1, -1, -0.5, 0, 0],
    ),
    (
        lambda x, t: F.poisson_nll_loss(x, t, reduction="none"),
        [OO, M, 1, OO, n],
        [-1, -1, 0, OO, OO],
    ),
    (lambda x, t: F.kl_div(x, t * 0, "none"), [0] * 5, [0] * 5),
    (lambda x, t: F.hinge_embedding_loss(x, -t, 1.0, "none"), [OO, M, 1, 0, 0], [-1, -1, -1, 0, 0]),
    (
        lambda x, t: F.margin_ranking_loss(x, t * 0, t, reduction="none"),
        [OO, M, 0, 0, 0],
        [-1, -1, -1, 0, 0],
    ),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", range(len(LOSSES)))
def test_losses_at_the_ends(row: int, dtype: Any) -> None:
    loss, values, slopes = LOSSES[row]
    largest = float(np.finfo(dtype).max)
    points, ones = np.array([-OO, -largest, 0.0, largest, OO], dtype), tg.ones(5, dtype)
    found = derivatives(lambda x: loss(x, ones), [points])
    compared = [v is not None for v in values]
    wanted = np.array([largest if v == M else v for v in values], float)
    np.testing.assert_allclose(found["value"][0][compared], wanted[compared], rtol=1e-6)
    for what in ("gradient", "gradient as a graph"):
        np.testing.assert_array_equal(found[what][0], slopes)
    assert not np.isnan(found["second"]).any()


def test_gaussian_nll_of_an_infinite_variance_has_a_gradient_of_0() -> None:
    variance = tg.tensor([OO], requires_grad=True)
    loss = F.gaussian_nll_loss(tg.zeros(1), tg.ones(1), variance, reduction="none")
    loss.backward(tg.ones(1))
    assert (loss.item(), variance.grad.item()) == (OO, 0.0)

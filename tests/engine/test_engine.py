"""The backward pass: seeds, ownership, repetition, paths, higher orders, writes, observers."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck


def leaf(values: Any, dtype: Any = tg.float64) -> Any:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


# ------------------------------------------------------------------------------ backward


def test_backward_of_a_leaf_is_one() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0


def test_gradients_of_several_backward_passes_add_up() -> None:
    x = leaf([1.0, 2.0])
    for factor in (1.0, 10.0, 100.0):
        (x * factor).sum().backward()
    assert x.grad.tolist() == [111.0, 111.0]


def test_backward_takes_a_gradient_in_any_form() -> None:
    for gradient in ([1.0, 2.0], np.array([1, 2]), tg.tensor([1.0, 2.0]), tg.tensor([1, 2])):
        x = leaf([3.0, 4.0])
        (x * x).backward(gradient)
        assert x.grad.tolist() == [6.0, 16.0]
        assert x.grad.dtype == tg.float64


def test_a_tensor_of_one_element_has_an_implied_gradient_of_its_shape() -> None:
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6.0]]


def test_a_matrix_has_no_implied_gradient() -> None:
    with pytest.raises(RuntimeError, match=r"shape \(2, 2\); only a single number .* \.sum\(\)"):
        (leaf(np.ones((2, 2))) * 2).backward()


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the output has \(2,\)"):
        (leaf([1.0, 2.0]) * 2).backward([1.0, 1.0, 1.0])


def test_backward_of_a_constant_says_why_it_cannot() -> None:
    with pytest.raises(RuntimeError, match="no tensor with requires_grad=True"):
        tg.ones(()).backward()
    with tg.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"under no_grad\(\)"):
        y.backward()


def test_only_leaves_that_require_a_gradient_get_one() -> None:
    x, c = leaf([1.0]), tg.tensor([2.0])
    y = x * c
    (y * y).sum().backward()
    assert (x.grad.tolist(), c.grad, y.grad) == ([8.0], None, None)


# ----------------------------------------------------------------------------- ownership


def writable_and_own(*tensors: Any) -> bool:
    arrays = [tensor.grad.data._data for tensor in tensors]
    alone = all(array.flags.writeable and array.flags.owndata for array in arrays)
    return alone and len({array.__array_interface__["data"][0] for array in arrays}) == len(arrays)


def test_a_gradient_that_does_not_fit_cannot_be_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for wrong, words in [
        (tg.ones(3), r"grad: a gradient of \(3,\) float32 on cpu does not fit .* \(2,\) float32"),
        (tg.ones(()), r"grad: a gradient of \(\) float32 on cpu does not fit .* of \(2,\) float32"),
        (tg.ones(2, tg.float64), r"grad: a gradient of \(2,\) float64 .* of \(2,\) float32 on cpu"),
        (tg.ones(2, tg.int64), r"grad: a gradient of \(2,\) int64 .* of \(2,\) float32 on cpu"),
    ]:
        with pytest.raises(ValueError, match=words):
            x.grad = wrong
    for wrong, kind in [(np.ones(2, np.float32), "ndarray"), (0, "int"), ([0.0, 0.0], "list")]:
        with pytest.raises(TypeError, match=f"grad: assign a Tensor or None, not a {kind}"):
            x.grad = wrong
    far = tg.ones(2)
    monkeypatch.setattr(type(far), "device", property(lambda t: "cuda:0" if t is far else "cpu"))
    with pytest.raises(ValueError, match=r"float32 on cuda:0 does not fit .* float32 on cpu"):
        x.grad = far
    assert x.grad is None


def test_an_assigned_gradient_is_added_to() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.grad = tg.tensor([10.0, 20.0])
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [13.0, 23.0]
    x.grad = None
    assert x.grad is None


def test_the_gradient_of_a_sum_is_a_writable_array_of_its_own() -> None:
    x = leaf(np.ones((2, 3)))
    x.sum().backward()
    assert writable_and_own(x)
    x.grad *= 2.0
    assert x.grad.tolist() == [[2.0] * 3] * 2


def test_two_terms_of_a_sum_do_not_share_one_gradient_array() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).backward(np.ones(2))
    assert writable_and_own(a, b)
    a.grad *= 5.0
    assert b.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "fn",
    [lambda a: a * 1, lambda a: a + 0.0, lambda a: a.reshape(2, 1), lambda a: a[:], lambda a: a],
)
def test_a_gradient_is_never_the_array_that_the_user_gave(fn: Any) -> None:
    a = leaf([1.0, 2.0])
    gradient = np.ones(2).reshape(fn(a).shape)
    fn(a).backward(gradient=gradient)
    assert not np.shares_memory(a.grad.numpy(), gradient)
    gradient[...] = 7.0
    assert a.grad.tolist() == [1.0, 1.0]


def test_a_gradient_is_never_an_array_that_the_record_keeps() -> None:
    @tg.op(lambda x: x)  # a rule may return what it was given
    def half_square(xp: Any, x: Any) -> Any:
        return x * x / 2

    @tg.op(lambda residuals: residuals[0])
    def half_square_saved(xp: Any, x: Any) -> Any:
        return x * x / 2, (x.copy(), None)

    @tg.op(joint=lambda residuals: residuals, arity=2)
    def product(xp: Any, x: Any, y: Any) -> Any:
        return x * y, [y.copy(), x.copy()]

    for fn in (half_square, half_square_saved, lambda x: product(x, tg.tensor([1.0, 2.0]))):
        x = leaf([1.0, 2.0])
        y = fn(x)
        y.backward(np.ones(2), retain_graph=True)
        x.grad.data[...] = 100.0
        x.grad = None
        y.backward(np.ones(2))
        assert x.grad.tolist() == [1.0, 2.0]


def test_the_gradients_of_several_outputs_are_not_shared() -> None:
    @tg.op(lambda g: g[0], lambda g: g[1], outputs=2)
    def both(xp: Any, x: Any, y: Any) -> Any:
        return x + 0.0, y + 0.0

    a, b = leaf([1.0]), leaf([2.0])
    upstream = np.ones(1)
    p, q = both(a, b)
    (p + q).backward(upstream)
    assert writable_and_own(a, b)
    assert not np.shares_memory(a.grad.numpy(), upstream)


def test_results_of_grad_are_arrays_of_their_own() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    c = a + b
    upstream = np.ones(2)
    results = tg.grad(c, [a, b, c], upstream)
    arrays = [result.data._data for result in results]
    for i, array in enumerate(arrays):
        assert array.flags.writeable
        assert not np.shares_memory(array, upstream)
        assert not any(np.shares_memory(array, other) for other in arrays[:i])


def test_accumulation_adds_into_the_array_that_the_leaf_owns() -> None:
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    kept = x.grad
    (x * 3).sum().backward()
    assert x.grad is kept
    assert kept.tolist() == [6.0, 6.0]


# -------------------------------------------------------------------- twice, retain_graph


def test_a_second_backward_says_what_was_freed() -> None:
    y = leaf([1.0, 2.0]).exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"saved by `exp` were freed .* retain_graph=True"):
        y.backward()


def test_retain_graph_allows_another_backward() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_two_losses_with_a_common_part_in_either_order() -> None:
    x = leaf([1.0, 2.0])
    shared = x.exp()
    first, second = (shared * 2).sum(), (shared * shared).sum()
    second.backward(retain_graph=True)
    first.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1, 2]) + 2 * np.exp([2, 4]))


def test_create_graph_keeps_the_record_by_default_and_not_where_told() -> None:
    x = leaf(0.5)
    y = x.tanh()
    tg.grad(y, x, create_graph=True)
    tg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="saved by `tanh` were freed"):
        tg.grad(y, x)


def test_create_graph_stores_a_gradient_that_can_be_differentiated() -> None:
    x = leaf([0.5, 2.0])
    (x**3).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    assert first.requires_grad
    first.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy())


def test_gradients_with_and_without_history_add_up() -> None:
    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    (x * 2).sum().backward()
    (x**2).sum().backward(create_graph=True)
    total, x.grad = x.grad, None
    np.testing.assert_allclose(total.numpy(), 3 * x.numpy() ** 2 + 2 + 2 * x.numpy())
    total.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy() + 2)


# ------------------------------------------------------------------------------- tg.grad


def test_grad_touches_nobodys_grad() -> None:
    x = leaf([1.0])
    tg.grad((x * x).sum(), x)
    assert x.grad is None


def test_grad_of_intermediate_results() -> None:
    x = leaf([1.0, 2.0])
    h = x * 3
    k = h * h
    in_h, in_k, in_x = tg.grad(k.sum(), [h, k, x])
    assert (in_h.tolist(), in_k.tolist(), in_x.tolist()) == ([6, 12], [1, 1], [18, 36])


def test_grad_of_an_intermediate_result_leaves_the_record_below_it_alone() -> None:
    x = leaf([1.0, 2.0])
    h = x * x
    (upstream,) = tg.grad((h * h).sum(), h)
    h.backward(upstream)
    assert x.grad.tolist() == [4.0, 32.0]


def test_grad_of_something_with_respect_to_itself() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    assert tg.grad(x.sum(), x)[0].tolist() == [1.0, 1.0]
    assert tg.grad(x, x, np.array([3.0, 4.0]))[0].tolist() == [3.0, 4.0]
    assert tg.grad(y, y, tg.tensor([3.0, 4.0]))[0].tolist() == [3.0, 4.0]


def test_an_input_may_stand_twice() -> None:
    x = leaf([2.0])
    first, second = tg.grad((x * x).sum(), [x, x])
    assert first.tolist() == second.tolist() == [4.0]


def test_an_unused_input_is_an_error_or_none() -> None:
    x, other = leaf([1.0]), leaf([1.0])
    with pytest.raises(RuntimeError, match="no output depends on input 1; allow_unused=True"):
        tg.grad((x * x).sum(), [x, other])
    first, second = tg.grad((x * x).sum(), [x, other], allow_unused=True)
    assert (first.tolist(), second) == ([2.0], None)


def test_an_input_without_gradient_is_refused() -> None:
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match="input 1 is not a tensor that requires a gradient"):
        tg.grad(x.sum(), [x, tg.ones(1)])
    with pytest.raises(RuntimeError, match="input 0 is not a tensor that requires a gradient"):
        tg.grad(x.sum(), [2.0])


def test_several_outputs_with_their_gradients() -> None:
    x = leaf([1.0, 2.0])
    outputs = [x * x, (x * 3).sum(), x]
    (gradient,) = tg.grad(outputs, x, [[1.0, 10.0], None, np.array([100.0, 1000.0])])
    assert gradient.tolist() == [2.0 + 3.0 + 100.0, 40.0 + 3.0 + 1000.0]
    with pytest.raises(ValueError, match="3 outputs but 1 grad_outputs"):
        tg.grad(outputs, x, [None])


def test_an_output_may_depend_on_another_and_stand_twice() -> None:
    x = leaf([1.0, 2.0])
    h = x * x
    k = (h * h).sum()
    (gradient,) = tg.grad([k, h, h], x, [None, np.ones(2), np.ones(2)])
    np.testing.assert_allclose(gradient.numpy(), 4 * x.numpy() ** 3 + 4 * x.numpy())


def test_grad_computes_only_edges_on_a_path_to_an_input() -> None:
    calls: list[str] = []

    def counting(name: str) -> Any:
        @tg.op(lambda g: [calls.append(name), g][1])
        def same(xp: Any, x: Any) -> Any:
            return x + 0.0

        return same

    x, y = leaf([1.0]), leaf([2.0])
    total = (counting("x")(x) * counting("y")(y)).sum()
    tg.grad(total, x)
    assert calls == ["x"]


# -------------------------------------------------------------------------- higher orders


def taylor(fn: Any, x: float, order: int, radius: float = 0.5, points: int = 128) -> float:
    """The derivative by Cauchy's integral formula on a circle around x: exact to rounding."""
    angles = 2 * np.pi * np.arange(points) / points
    values = fn(x + radius * np.exp(1j * angles))
    mean = np.mean(values * np.exp(-1j * order * angles)).real
    return float(math.factorial(order) * mean / radius**order)


def nth_derivative(fn: Any, x: float, order: int) -> float:
    value = point = leaf(x)
    value = fn(point)
    for _ in range(order):
        (value,) = tg.grad(value, point, create_graph=True)
    return float(value.item())


def test_the_fifth_derivative_of_tanh() -> None:
    t = math.tanh(0.3)
    closed = (1 - t**2) * (16 - 120 * t**2 + 120 * t**4)
    assert taylor(np.tanh, 0.3, 5) == pytest.approx(closed, abs=1e-10)
    assert nth_derivative(tg.tanh, 0.3, 5) == pytest.approx(closed, abs=1e-10)


@pytest.mark.parametrize(
    ("ours", "numpys"),
    [
        (tg.sigmoid, lambda z: 1 / (1 + np.exp(-z))),
        (lambda x: tg.exp(tg.sin(x)), lambda z: np.exp(np.sin(z))),
        (lambda x: tg.log(1 + x * x) / (2 + x), lambda z: np.log(1 + z * z) / (2 + z)),
        (lambda x: 2.0**x * tg.atan(x), lambda z: 2.0**z * np.arctan(z)),
        (lambda x: tg.softmax(tg.stack([x, x * x]))[0], lambda z: 1 / (1 + np.exp(z * z - z))),
        (lambda x: tg.prod(tg.stack([x, x + 1, x - 1])), lambda z: z * (z + 1) * (z - 1)),
    ],
)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_derivatives_to_the_fifth_order(ours: Any, numpys: Any, order: int) -> None:
    wanted = taylor(numpys, 0.3, order)
    assert nth_derivative(ours, 0.3, order) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_a_mixed_third_derivative_in_every_order() -> None:
    """f = e^{xy} sin x.  ∂f/∂y = u e^{xy} with u = x sin x; ∂²/∂x² of it is in closed form."""
    a, b = 0.7, -0.4
    u = a * math.sin(a)
    du = math.sin(a) + a * math.cos(a)
    d2u = 2 * math.cos(a) - a * math.sin(a)
    closed = (d2u + 2 * b * du + b * b * u) * math.exp(a * b)
    for order in ("yxx", "xyx", "xxy"):
        points = {"x": leaf(a), "y": leaf(b)}
        value = tg.exp(points["x"] * points["y"]) * tg.sin(points["x"])
        for name in order:
            (value,) = tg.grad(value, points[name], create_graph=True)
        assert value.item() == pytest.approx(closed, abs=1e-10)


def test_the_hessian_of_an_mlp_is_that_of_differences_of_its_gradient() -> None:
    rng = np.random.default_rng(0)
    x, target = tg.tensor(rng.normal(size=(5, 3))), [0, 1, 1, 0, 1]
    shapes = [(4, 3), (4,), (2, 4), (2,)]
    start = [rng.normal(size=shape) for shape in shapes]

    def loss(weights: list[Any]) -> Any:
        hidden = tg.tanh(tg.linear(x, weights[0], weights[1]))
        return tg.cross_entropy(tg.linear(hidden, weights[2], weights[3]), target)

    def gradient(arrays: list[Any]) -> Any:
        weights = [leaf(array) for array in arrays]
        return np.concatenate([g.numpy().ravel() for g in tg.grad(loss(weights), weights)])

    weights = [leaf(array) for array in start]
    first = tg.grad(loss(weights), weights, create_graph=True)
    flat = tg.concat([g.flatten() for g in first])
    rows = []
    for i in range(flat.size):
        second = tg.grad(flat[i], weights, retain_graph=True)
        rows.append(np.concatenate([g.numpy().ravel() for g in second]))
    hessian = np.array(rows)

    differences = []
    for k, array in enumerate(start):
        for index in np.ndindex(array.shape):
            step = np.zeros_like(array)
            step[index] = 1e-5
            ahead, behind = (
                gradient([*start[:k], array + sign * step, *start[k + 1 :]]) for sign in (1, -1)
            )
            differences.append((ahead - behind) / 2e-5)
    np.testing.assert_allclose(hessian, np.array(differences), atol=1e-9)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-13)


def test_a_gradient_penalty_trains_through_the_gradient() -> None:
    """WGAN-GP's term: the parameters' gradient of the norm of the input's gradient."""
    rng = np.random.default_rng(1)
    x, weight = leaf(rng.normal(size=(4, 3))), leaf(rng.normal(size=(5, 3)))

    def penalty(w: Any) -> Any:
        (slope,) = tg.grad(tg.tanh(tg.linear(x, w)).sum(), x, create_graph=True)
        return ((tg.sqrt((slope * slope).sum(axis=1)) - 1) ** 2).mean()

    assert gradcheck(penalty, weight)
    assert gradcheck(penalty, weight, order=2)


def test_threads_may_differentiate_with_shared_parameters() -> None:
    rng = np.random.default_rng(0)
    weight = leaf(rng.normal(size=(6, 6)))
    batches = [tg.tensor(rng.normal(size=(4, 6))) for _ in range(8)]

    def work(batch: Any) -> Any:
        out = batch
        for _ in range(30):
            out = tg.tanh(tg.linear(out, weight))
        (first,) = tg.grad((out * out).sum(), weight, create_graph=True)
        return tg.grad((first * first).sum(), weight)[0].numpy()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, batches))
    for batch, found in zip(batches, together, strict=True):
        np.testing.assert_array_equal(found, work(batch))


# ------------------------------------------------------------------------------ observers


def edges(loss: Any, **options: Any) -> list[tuple[Any, int]]:
    seen: list[tuple[Any, int]] = []
    loss.backward(observer=lambda node, slot, *_: seen.append((node, slot)), **options)
    return seen


def test_no_gradient_is_computed_for_the_data_batch() -> None:
    batch = tg.tensor(np.ones((4, 3)))
    weights = [leaf(np.full(shape, 0.1)) for shape in [(5, 3), (5,), (2, 5), (2,)]]
    hidden = tg.relu(tg.linear(batch, weights[0], weights[1]))
    loss = tg.cross_entropy(tg.linear(hidden, weights[2], weights[3]), [0, 1, 0, 1])
    seen = [(node.plan.op.name, slot) for node, slot in edges(loss)]
    assert seen == [
        ("cross_entropy", 0),
        ("linear", 0),
        ("linear", 1),
        ("linear", 2),
        ("relu", 0),
        ("linear", 1),
        ("linear", 2),
    ]


def test_twenty_stacked_diamonds_visit_each_edge_once() -> None:
    a = x = leaf(0.1)
    for _ in range(20):
        b = a + 1.0
        a = a + b * 0.5  # a is read twice: by `b` and here
    seen = edges(a)
    assert len(seen) == len({(id(node), slot) for node, slot in seen}) == 20 * 4
    assert x.grad.item() == pytest.approx(1.5**20)


def test_an_observer_sees_contribution_and_sum_per_edge() -> None:
    x = leaf(3.0)
    seen = []
    y = x * x
    y.backward(
        observer=lambda n, s, g, c, total: seen.append((s, float(g), float(c), float(total)))
    )
    assert seen == [(0, 1.0, 3.0, 3.0), (1, 1.0, 3.0, 6.0)]

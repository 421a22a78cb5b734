"""Mistakes in the definition of a user's operation, and in what its functions return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


# ----------------------------------------------------------------- mistakes in a definition


def forward(xp: Any, x: Any) -> Any:
    return x * 1.0


def of_two(xp: Any, x: Any, y: Any) -> Any:
    return x * y


def without_xp(x: Any) -> Any:
    return x * 2


def two_without_xp(x: Any, y: Any) -> Any:
    return x + y


def keyword_only(xp: Any, x: Any, *, scale: float = 1.0) -> Any:
    return x * scale


def rest_starred(xp: Any, x: Any, *ys: Any) -> Any:
    return x


DEFINITIONS: list[tuple[str, Any, str]] = [
    (
        "no parentheses",
        lambda: tg.op(forward),
        r"op: forward does not read g, the upstream gradient.*in parentheses, @op\(lambda g, x: ",
    ),
    ("empty parentheses", lambda: tg.op()(forward), "op: give a gradient rule per array, @op.lamb"),
    ("no function", lambda: tg.op(lambda g: g)(leaf(1.0)), "op: it decorates a function .*Tensor"),
    ("a ufunc as rule", lambda: tg.op(np.multiply)(forward), "op: a gradient rule is a function s"),
    (
        "an unknown name",
        lambda: tg.op(lambda g, z: g * z)(forward),
        r"forward: a rule reads \['z'\]; it may read \['argnums', 'g', 'out', 'residuals', 'x",
    ),
    (
        "no xp, and a rule that reads the argument",
        lambda: tg.op(lambda g, x: g * x)(without_xp),
        r"without_xp: the first parameter .* is the array module: def without_xp\(xp, x\)",
    ),
    (
        "no xp, and a rule that reads nothing",
        lambda: tg.op(lambda g: 2 * g)(without_xp),
        r"without_xp: the first parameter .* is the array module: def without_xp\(xp, x\)",
    ),
    (
        "no xp before two arrays",
        lambda: tg.op(lambda g: g, lambda g: g)(two_without_xp),
        r"two_without_xp: the first parameter .*: def two_without_xp\(xp, x, y\)",
    ),
    (
        "two rules for one array",
        lambda: tg.op(lambda g: g, lambda g: g)(forward),
        "forward: 2 gradient rules for 1 array",
    ),
    (
        "a static parameter that cannot be passed",
        lambda: tg.op(lambda g: g)(keyword_only),
        "keyword_only: after a starred parameter all others are keyword-only, without one none",
    ),
    (
        "a starred parameter behind another",
        lambda: tg.op(lambda g: g)(rest_starred),
        "rest_starred: a starred parameter comes first",
    ),
]


@pytest.mark.parametrize(
    ("define", "words"), [row[1:] for row in DEFINITIONS], ids=[row[0] for row in DEFINITIONS]
)
def test_a_mistake_in_a_definition_is_refused_there(define: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words) as error:
        define()
    assert "\n" not in str(error.value)


def test_the_module_may_have_any_name_in_a_forward_function() -> None:
    @tg.op(lambda g, x: 2 * g * x)
    def square(np_or_cp: Any, x: Any) -> Any:
        return np_or_cp.square(x)

    assert gradcheck(square, leaf([1.0, 2.0]))

    @tg.op(lambda g: 2 * g)
    def scaled(x: Any, scale: Any) -> Any:
        return x * scale

    with pytest.raises(TypeError, match=r"scaled: .* first parameter is the array module: def sca"):
        scaled(leaf([1.0, 2.0]))


# --------------------------------------------------------- mistakes in what is returned


def returning(value: Any) -> Any:
    @tg.op(lambda g, x: value(g, x))
    def wrong(xp: Any, x: Any) -> Any:
        return x * 1.0

    return wrong


RETURNED: list[tuple[str, Any, type[Exception], str]] = [
    ("a number's shape", lambda g, x: g.sum(), ValueError, r"returned the shape \(\);.* \(2,\)"),
    ("too short", lambda g, x: g[:1], ValueError, r"returned the shape \(1,\);.* \(2,\)"),
    ("too long", lambda g, x: g.repeat(2), ValueError, r"returned the shape \(4,\);.* \(2,\)"),
    ("None", lambda g, x: None, TypeError, "returned None;"),
    ("a tuple", lambda g, x: (g,), TypeError, "returned a tuple of length 1;"),
    ("a list", lambda g, x: g.tolist(), TypeError, "returned a list of length 2;"),
    ("a number", lambda g, x: 3.0, TypeError, "returned float;"),
    ("a Tensor", lambda g, x: g * tg.exp(x), TypeError, "returned a Tensor; in a rule use .* xp's"),
]


@pytest.mark.parametrize(
    ("rule", "kind", "words"), [row[1:] for row in RETURNED], ids=[row[0] for row in RETURNED]
)
def test_a_rule_that_returns_no_gradient_of_its_argument_is_refused(
    rule: Any, kind: type[Exception], words: str
) -> None:
    wrong, x = returning(rule), leaf([3.0, 4.0])
    words = rf"^wrong: the gradient rule of argument 0 \(x\) {words}"
    for run in (
        lambda: wrong(x).sum().backward(),
        lambda: (wrong(x * 1.0) * 2.0).sum().backward(),
        lambda: tg.grad(wrong(x).sum(), x),
        lambda: gradcheck(wrong, x),
    ):
        with pytest.raises(kind, match=words) as error:
            run()
        assert "\n" not in str(error.value)
    assert x.grad is None


def test_a_rule_is_checked_in_every_pass_and_not_only_in_the_first() -> None:
    seen: list[Any] = []

    def rule(g: Any, x: Any) -> Any:
        seen.append(g)
        return g if len(seen) < 3 else g.sum()

    wrong, x = returning(rule), leaf([3.0, 4.0])
    wrong(x).sum().backward()
    wrong(x).sum().backward()
    with pytest.raises(ValueError, match=r"^wrong: .* argument 0 \(x\) returned the shape \(\)"):
        wrong(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_rule_may_return_what_broadcasting_made_of_the_argument() -> None:
    @tg.op(lambda g, y: g * y, lambda g, x: g * x)
    def product(xp: Any, x: Any, y: Any) -> Any:
        return x * y

    x, y = leaf([[1.0], [2.0]]), leaf([3.0, 4.0, 5.0])
    product(x, y).sum().backward()
    assert x.grad.tolist() == [[12.0], [12.0]]
    assert y.grad.tolist() == [3.0, 3.0, 3.0]


def test_a_rule_of_numpys_functions_is_refused_where_it_would_lose_a_derivative() -> None:
    wrong, x = returning(lambda g, x: np.asarray(g) * np.asarray(x > 0)), leaf([3.0, -4.0])
    assert gradcheck(wrong, leaf([3.0, 4.0]))
    with pytest.raises(
        TypeError, match=r"^wrong: .* an array under create_graph=True; in a rule u"
    ):
        tg.grad(wrong(x).sum(), x, create_graph=True)
    with pytest.raises(TypeError, match=r"^wrong: .* an array under create_graph=True"):
        gradcheck(wrong, leaf([3.0, 4.0]), order=2)


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        (lambda g: g, TypeError, "the joint rule returned ndarray of float64; .* list of 2 cont"),
        (lambda g: (g,), TypeError, "the joint rule returned a tuple of length 1; .* list of 2"),
        (lambda g: None, TypeError, "the joint rule returned None; it returns a list of 2"),
        (lambda g: (g, None), TypeError, r"the gradient rule of argument 1 \(y\) returned None"),
        (lambda g: (g, g[:1]), ValueError, r"of argument 1 \(y\) returned the shape \(1,\)"),
    ],
)
def test_a_joint_rule_that_returns_something_else_is_refused(
    parts: Any, kind: type[Exception], words: str
) -> None:
    @tg.op(joint=lambda g, argnums: parts(g), arity=2)
    def total(xp: Any, x: Any, y: Any) -> Any:
        return x + y

    for run in (lambda *xy: total(*xy).sum().backward(), lambda *xy: gradcheck(total, xy)):
        with pytest.raises(kind, match=f"^total: {words}|^total: the gradient rule {words}"):
            run(leaf([1.0, 2.0]), leaf([3.0, 4.0]))


def test_a_tensor_for_a_parameter_without_a_rule_is_refused() -> None:
    one_rule = tg.op(lambda g, x: g)(of_two)
    words = "^of_two: y is a Tensor, and the operation has no gradient rule for it; write one rule"
    for y in (leaf([1.0, 2.0]), tg.ones(2), [leaf(1.0)]):
        for call in (
            lambda y=y: one_rule(leaf([3.0, 4.0]), y),
            lambda y=y: one_rule(leaf([3.0, 4.0]), y=y),
            lambda y=y: one_rule(np.ones(2), y),
        ):
            with pytest.raises(TypeError, match=words):
                call()
    assert one_rule(leaf([3.0, 4.0]), np.array([2.0, 3.0])).tolist() == [6.0, 12.0]


def doubled(value: Any, **facts: Any) -> Any:
    @tg.op(lambda g: g, **facts)
    def wrong(xp: Any, x: Any) -> Any:
        return value(x)

    return wrong


def test_a_forward_function_that_returns_something_else_is_refused() -> None:
    reads_residuals = tg.op(lambda g, residuals: g)(forward)
    weight = leaf([1.0, 2.0])
    for wrong, words in [
        (doubled(lambda x: None), "returned None; it returns an array of numbers"),
        (doubled(lambda x: "x"), "returned str; it returns an array of numbers"),
        (doubled(lambda x: x * 1j), "returned ndarray of complex128; it returns an array of n"),
        (doubled(lambda x: x * weight), "returned a Tensor; it computes on arrays"),
        (
            doubled(lambda x: (x, x)),
            r"returned a tuple of length 2; .* outputs=n, or \(out, residuals",
        ),
        (doubled(lambda x: x, outputs=2), "returned ndarray of float64; with outputs=2 it returns"),
        (
            doubled(lambda x: (x,) * 3, outputs=2),
            "returned a tuple of length 3; with outputs=2 it returns a",
        ),
        (
            reads_residuals,
            r"returned ndarray of float64; its rules read `residuals`.* \(out, residuals\)",
        ),
    ]:
        for x in (leaf([1.0, 2.0]), tg.ones(2, dtype=tg.float64), np.ones(2)):
            with pytest.raises(TypeError, match=f": the forward function {words}"):
                wrong(x)
        with pytest.raises(TypeError, match=": the forward function returned"):
            wrong(tg.arange(2))


def test_a_twin_of_another_shape_is_refused() -> None:
    @tg.op(lambda g, x: 2 * g * x, decomposition=lambda x: tg.square(x).sum())
    def squared(xp: Any, x: Any) -> Any:
        return x * x

    x = leaf([1.0, 2.0])
    words = r"^squared: the decomposition returned the shapes \[\(\)\], the operation \[\(2,\)\]"
    with pytest.raises(ValueError, match=words):
        tg.grad(squared(x).sum(), x, create_graph=True)

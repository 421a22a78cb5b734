"""einsum and its kin: any specification against NumPy's, gradients against the definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.testing import gradcheck


def random_call(rng: np.random.Generator) -> tuple[str, list[Any]]:
    """A specification with repeated, missing and size-1 labels and ellipses, and its operands."""
    size = {letter: int(rng.integers(1, 4)) for letter in "abcdXY"}
    spread = [int(n) for n in rng.integers(1, 4, rng.integers(0, 3))]  # the axes of the ellipsis
    parts, operands, dotted = [], [], False
    for _ in range(rng.integers(1, 5)):
        letters = list(rng.choice(list(size), rng.integers(0, 4)))
        shape = [
            1 if letters.count(letter) == 1 and rng.random() < 0.15 else size[letter]
            for letter in letters
        ]
        if spread and rng.random() < 0.5:
            dotted = True
            own = spread[rng.integers(0, len(spread) + 1) :]
            own = [1 if rng.random() < 0.2 else n for n in own]
            place = int(rng.integers(0, len(letters) + 1))
            letters.insert(place, "...")
            shape[place:place] = own
        parts.append("".join(letters))
        operands.append(rng.uniform(-1, 1, shape))
    spec = ",".join(parts)
    if rng.random() < 0.7:
        present = sorted({letter for part in parts for letter in part.replace(".", "")})
        result = list(rng.permutation(present)[: rng.integers(0, len(present) + 1)])
        if dotted:
            result.insert(int(rng.integers(0, len(result) + 1)), "...")
        spec += "->" + "".join(result)
    return spec, operands


def gradient_by_definition(spec: str, operands: list[Any], k: int, weights: Any) -> Any:
    """Σ weights · ∂out/∂x, element by element: einsum is linear, so x may be 1 there, else 0."""
    out = np.zeros(operands[k].shape)
    for place in np.ndindex(out.shape):
        unit = np.zeros(out.shape)
        unit[place] = 1
        moved = np.einsum(spec, *operands[:k], unit, *operands[k + 1 :])
        out[place] = (moved * weights).sum()
    return out


@pytest.mark.parametrize("seed", range(10))
def test_random_specifications_have_numpys_value_and_the_defined_gradient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        spec, operands = random_call(rng)
        wanted = np.einsum(spec, *operands)
        leaves = [tg.tensor(x, requires_grad=True) for x in operands]
        out = tg.einsum(spec, *leaves)
        np.testing.assert_allclose(out.numpy(), wanted, atol=1e-12, err_msg=spec)
        weights = rng.uniform(-1, 1, wanted.shape)
        found = tg.grad(out, leaves, tg.tensor(weights))
        for k, gradient in enumerate(found):
            truth = gradient_by_definition(spec, operands, k, weights)
            np.testing.assert_allclose(gradient.numpy(), truth, atol=1e-12, err_msg=f"{spec} {k}")


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 2)]),
        ("bqhd,bkhd->bhqk", [(1, 2, 2, 2), (1, 3, 2, 2)]),
        ("bi,oij,bj->bo", [(2, 2), (2, 2, 3), (2, 3)]),
        ("ii,ij", [(2, 2), (2, 2)]),
        ("...i,ij->...j", [(2, 1, 2), (2, 3)]),
        ("ij,ij->", [(2, 1), (1, 3)]),
        ("i,i,i->i", [(3,), (1,), (3,)]),
    ],
)
def test_second_derivatives(spec: str, shapes: Any) -> None:
    rng = np.random.default_rng(1)
    leaves = [tg.tensor(rng.uniform(-1, 1, shape), requires_grad=True) for shape in shapes]
    assert gradcheck(lambda *xs: tg.einsum(spec, *xs), leaves, order=2)


def test_a_matrix_product_is_one_node_and_keeps_float32() -> None:
    x, y = tg.ones((2, 3), requires_grad=True), tg.ones((3, 4), requires_grad=True)
    out = tg.einsum("ij,jk->ik", x, y)
    assert [node.plan.op.name for node in topological_order(out)] == ["contract"]
    assert out.dtype == np.float32
    out.sum().backward()
    assert x.grad.dtype == np.float32


def test_integers_truth_values_lists_and_numbers() -> None:
    assert tg.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 10]).tolist() == [21, 43]
    assert tg.einsum("i,i->", [True, False], [True, True]).tolist() is True
    assert tg.einsum(",i->i", 2.0, tg.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert tg.einsum("i,i->", tg.tensor([1, 2]), tg.tensor([0.5, 0.5])).item() == 1.5


def test_sums_over_nothing_are_0() -> None:
    assert tg.einsum("ij,jk->ik", tg.ones((2, 0)), tg.ones((0, 3))).tolist() == [[0.0] * 3] * 2
    assert tg.einsum("ij,ij->", tg.ones((0, 1)), tg.ones((0, 3))).item() == 0.0


def test_the_cheapest_pair_is_contracted_first() -> None:
    """(n,n)·(n,n)·(n,) from the right takes n² work; from the left n³."""
    x, y, z = (tg.ones(shape, requires_grad=True) for shape in [(50, 50), (50, 50), (50,)])
    nodes = topological_order(tg.einsum("ij,jk,k->i", x, y, z))
    assert [node.shape for node in nodes] == [(50,), (50,)]


@pytest.mark.parametrize("axes", [0, 1, 2, ([0, 1], [2, 0]), ([-1], [1]), (1, 0), ([], [])])
def test_tensordot_is_numpys(axes: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (2, 3, 3)), rng.uniform(-1, 1, (3, 3, 2))
    out = tg.tensordot(tg.tensor(x), tg.tensor(y), axes)
    np.testing.assert_allclose(out.numpy(), np.tensordot(x, y, axes), atol=1e-12)
    leaves = [tg.tensor(x[:, :2, :2], requires_grad=True), tg.tensor(y[:2, :2], requires_grad=True)]
    assert gradcheck(lambda a, b: tg.tensordot(a, b, axes), leaves)


@pytest.mark.parametrize(
    ("a", "b", "axis"), [((2, 3), (3,), -1), ((2, 1, 3), (4, 3), -1), ((3, 2), (3, 1), -2)]
)
def test_vecdot_is_numpys(a: Any, b: Any, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, a), rng.uniform(-1, 1, b)
    out = tg.vecdot(tg.tensor(x), tg.tensor(y), axis)
    np.testing.assert_allclose(out.numpy(), np.vecdot(x, y, axis=axis), atol=1e-12)
    leaves = [tg.tensor(v, requires_grad=True) for v in (x, y)]
    assert gradcheck(lambda s, t: tg.vecdot(s, t, axis), leaves, order=2)


def test_outer_flattens_as_numpys() -> None:
    x, y = np.arange(4.0).reshape(2, 2), np.arange(3.0)
    np.testing.assert_array_equal(tg.outer(x, y).numpy(), np.outer(x, y))
    assert tg.outer(2.0, tg.tensor([1.0, 2.0])).tolist() == [[2.0, 4.0]]


def test_attention_by_einsum_is_that_by_matmul() -> None:
    rng = np.random.default_rng(0)
    q, k = (tg.tensor(rng.normal(size=(2, 5, 3, 4)), requires_grad=True) for _ in range(2))
    scores = tg.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(4)
    other = q.swapaxes(1, 2) @ k.swapaxes(1, 2).mT / 2
    np.testing.assert_allclose(scores.numpy(), other.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tg.einsum("ij,jk", tg.ones((2, 2))), ValueError, "2 operands, but 1 were given"),
        (lambda: tg.einsum(tg.ones(2), "i"), TypeError, "expected a specification as a string"),
        (lambda: tg.einsum("ij", tg.ones(2)), ValueError, r"'ij' .* 1 axes .*\(2,\)"),
        (lambda: tg.einsum("...ij", tg.ones(2)), ValueError, r"does not label the 1 axes"),
        (
            lambda: tg.einsum("i,i", tg.ones(2), tg.ones(3)),
            ValueError,
            "'i' differ in size: 3 and 2",
        ),
        (lambda: tg.einsum("ii", tg.ones((1, 2))), ValueError, "'i' differ in size: 2 and 1"),
        (lambda: tg.einsum("ij->iz", tg.ones((2, 2))), ValueError, "'z' is in no operand"),
        (lambda: tg.einsum("ij->ii", tg.ones((2, 2))), ValueError, "'i' is repeated"),
        (lambda: tg.einsum("i1", tg.ones((2, 2))), ValueError, "expected letters"),
        (lambda: tg.einsum("i->i->i", tg.ones(2)), ValueError, "expected letters"),
        (lambda: tg.einsum("...i->i", tg.ones((2, 2))), ValueError, r"must have the '\.\.\.'"),
        (
            lambda: tg.einsum("...,...", tg.ones(2), tg.ones(3)),
            ValueError,
            r"'\.\.\.' differ in size",
        ),
        (lambda: tg.einsum("i,j", tg.ones(2), "no"), ValueError, "einsum"),
        (
            lambda: tg.tensordot(tg.ones((2, 3)), tg.ones((2, 3)), 1),
            ValueError,
            r"\(1,\) of \(2, 3\)",
        ),
        (lambda: tg.tensordot(tg.ones(2), tg.ones(2), 2), ValueError, "axes=2"),
        (lambda: tg.vecdot(tg.ones(2), tg.ones(3)), ValueError, r"vecdot.*\(2,\) and \(3,\)"),
        (lambda: tg.vecdot(tg.ones(2), tg.ones(2), 1), IndexError, "vecdot: axis 1"),
    ],
)
def test_errors_name_the_function_and_what_does_not_fit(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call()
    assert str(caught.value).startswith(("einsum", "tensordot", "vecdot"))

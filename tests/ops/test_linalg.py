"""Linear algebra: what its results mean, its derivatives, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

RNG = np.random.default_rng(0)


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def regular(*shape: int) -> Any:
    return RNG.uniform(-0.5, 0.5, shape) + 2 * np.eye(shape[-1])


def test_an_inverse_times_its_matrix_is_the_identity() -> None:
    x = leaf(regular(2, 3, 3))
    np.testing.assert_allclose(
        (tg.linalg.inv(x) @ x).numpy(), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12
    )


def test_solve_is_multiplication_by_the_inverse_at_every_order() -> None:
    for y in (RNG.uniform(size=3), RNG.uniform(size=(3, 2))):
        x, y = leaf(regular(3, 3)), leaf(y)
        both = []
        for out in (tg.linalg.solve(x, y), tg.linalg.inv(x) @ y):
            first = tg.grad((out * out).sum(), (x, y), create_graph=True)
            second = tg.grad(sum((g * g).sum() for g in first), (x, y))
            both.append([out, *first, *second])
        for ours, other in zip(*both, strict=True):
            np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=1e-9)


def test_solve_takes_one_vector_for_a_batch_of_matrices() -> None:
    x, y = leaf(regular(3, 3, 3)), leaf(RNG.uniform(size=3))
    out = tg.linalg.solve(x, y)
    np.testing.assert_allclose((x @ y[:, None])[..., 0].shape, out.shape)
    np.testing.assert_allclose((x @ out[..., None])[..., 0].numpy(), np.stack([y.numpy()] * 3))


def test_a_cholesky_factor_is_lower_and_its_square_is_the_matrix() -> None:
    a = regular(2, 3, 3)
    spd = a @ np.swapaxes(a, -1, -2)
    factor = tg.linalg.cholesky(tg.tensor(spd))
    np.testing.assert_allclose((factor @ factor.mT).numpy(), spd, rtol=1e-12)
    np.testing.assert_array_equal(np.triu(factor.numpy(), 1), 0)


def test_the_gradient_of_cholesky_is_symmetric_and_exact() -> None:
    x = leaf(regular(3, 3))
    assert gradcheck(lambda a: tg.linalg.cholesky(a @ a.mT), x, order=2)
    spd = leaf(np.eye(3) * 2 + 0.3)
    (gradient,) = tg.grad(tg.linalg.cholesky(spd).sum(), spd)
    np.testing.assert_allclose(gradient.numpy(), gradient.numpy().T, rtol=1e-12)


def test_the_logarithm_of_a_determinant_is_finite_where_the_determinant_is_not() -> None:
    sign, logarithm = tg.linalg.slogdet(-1e-3 * tg.eye(301, dtype=tg.float64))
    assert (sign.item(), logarithm.item()) == pytest.approx((-1.0, 301 * np.log(1e-3)))
    assert tg.linalg.det(1e-3 * tg.eye(301, dtype=tg.float64)).item() == 0.0


def test_the_sign_of_a_determinant_carries_no_gradient() -> None:
    sign, logarithm = tg.linalg.slogdet(leaf(regular(2, 2)))
    assert not sign.requires_grad
    assert logarithm.requires_grad


def of_rank(rank: int, size: int) -> Any:
    return RNG.normal(size=(size, rank)) @ RNG.normal(size=(rank, size))


def minors(x: Any) -> Any:
    """The cofactors of one matrix by their definition, each the determinant of what is left."""
    out = np.zeros(x.shape)
    for i, j in np.ndindex(x.shape):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


def test_the_gradient_of_a_singular_determinant_is_the_cofactors() -> None:
    x = leaf([[1.0, 2.0], [2.0, 4.0]])
    out = tg.linalg.det(x)
    assert out.item() == 0.0
    out.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4.0, -2.0], [-2.0, 1.0]], rtol=1e-14)


def test_a_singular_matrix_may_stand_in_a_batch_of_regular_ones() -> None:
    batch = np.stack([of_rank(rank, 4) for rank in (4, 3, 2, 0)])
    x = leaf(batch)
    weights = np.array([1.0, -2.0, 3.0, 4.0])
    (tg.linalg.det(x) * weights).sum().backward()
    wanted = np.stack([w * minors(matrix) for w, matrix in zip(weights, batch, strict=True)])
    np.testing.assert_allclose(x.grad.numpy(), wanted, atol=1e-12)
    np.testing.assert_allclose(x.grad.numpy()[2:], 0, atol=1e-12)  # of rank n − 2 and less


def test_a_nearly_singular_matrix_keeps_the_digits_of_its_cofactors() -> None:
    x = leaf(np.array([[1.0, 2.0], [2.0, 4.0 + 1e-13]]))
    tg.linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4 + 1e-13, -2], [-2, 1]], rtol=1e-14)


def test_only_the_matrix_with_a_nan_gets_one() -> None:
    x = leaf(np.stack([np.diag([2.0, 3.0]), np.full((2, 2), np.nan)]))
    with np.errstate(invalid="ignore"):  # NumPy's determinant of NaN warns
        tg.linalg.det(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.diag([3.0, 2.0]), np.full((2, 2), np.nan)])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_second_derivatives_of_a_determinant_are_exact_at_every_rank(size: int) -> None:
    for rank in range(size + 1):
        assert gradcheck(tg.linalg.det, leaf(of_rank(rank, size)), order=2)


def test_a_third_derivative_is_right_with_an_inverse_and_refused_without() -> None:
    def third(x: Any) -> Any:
        (first,) = tg.grad(tg.linalg.det(x), x, create_graph=True)
        (second,) = tg.grad(first[0, 0], x, create_graph=True)
        return tg.grad(second[1, 1], x)[0].numpy()

    wanted = np.zeros((3, 3))
    wanted[2, 2] = 1.0  # the coefficient of x₀₀·x₁₁·x₂₂
    np.testing.assert_allclose(third(leaf(regular(3, 3))), wanted, atol=1e-12)
    with pytest.raises(
        ValueError, match=r"^cofactor: third derivatives of `det` .* \(3, 3\) is singular$"
    ):
        third(leaf(np.ones((3, 3))))


def test_slogdet_is_a_named_tuple_whose_singular_gradient_is_refused_in_its_name() -> None:
    x = leaf([[1.0, 2.0], [2.0, 4.0]])
    result = tg.linalg.slogdet(x)
    assert result._fields == ("sign", "logabsdet")
    assert (result.sign.item(), result.logabsdet.item()) == (0.0, -np.inf)
    with pytest.raises(ValueError, match=r"^slogdet: .* one of \(2, 2\) is singular$"):
        result.logabsdet.backward()


@pytest.mark.sweep
@pytest.mark.parametrize("offset", [-3, -2, -1, 0, 1, 2, 3, 5])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (-1, -2)])
def test_diagonal_and_trace_are_numpys(offset: int, axes: Any) -> None:
    x = leaf(RNG.uniform(size=(3, 4, 2)))
    found, wanted = tg.diagonal(x, offset, *axes), np.diagonal(x.numpy(), offset, *axes)
    np.testing.assert_array_equal(found.numpy(), wanted)
    trace = tg.trace(x, offset, *axes)
    np.testing.assert_allclose(trace.numpy(), np.trace(x.numpy(), offset, *axes))
    assert gradcheck(lambda a: tg.diagonal(a, offset, *axes), x)


def test_the_gradient_of_a_trace_is_the_identity() -> None:
    x = leaf(regular(3, 3))
    x.trace().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.eye(3))
    (diagonal,) = tg.grad(x.diagonal().sum(), x)
    np.testing.assert_array_equal(diagonal.numpy(), np.eye(3))


def test_the_norm_at_0_has_gradient_0_at_every_order() -> None:
    for order in (1, 2, 3, tg.inf):
        x = leaf([0.0, 0.0])
        (first,) = tg.grad(tg.norm(x, ord=order), x, create_graph=True)
        assert first.tolist() == [0.0, 0.0]
        (second,) = tg.grad(first.sum(), x, allow_unused=True)
        assert second is None or second.tolist() == [0.0, 0.0]


def test_one_zero_row_among_others_gets_gradient_0() -> None:
    x = leaf([[0.0, 0.0], [3.0, 4.0]])
    x.norm(axis=1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0.0, 0.0], [0.6, 0.8]])


def test_ties_of_the_largest_share_the_gradient_of_its_norm() -> None:
    x = leaf([2.0, -2.0, 1.0])
    x.norm(ord=tg.inf).backward()
    assert x.grad.tolist() == [0.5, -0.5, 0.0]


def test_the_norm_of_integers_is_floating() -> None:
    assert tg.norm(tg.tensor([3, 4])).item() == 5.0
    assert tg.norm(tg.tensor([3, -4]), ord=1).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tg.linalg.inv(tg.ones((2, 3))), ValueError, r"inv: expected square .*\(2, 3\)"),
        (lambda: tg.linalg.inv(tg.ones(2)), ValueError, r"inv: expected square .*\(2,\)"),
        (lambda: tg.linalg.inv(tg.ones((2, 2))), ValueError, r"inv: .*\(2, 2\).*[Ss]ingular"),
        (lambda: tg.linalg.solve(tg.ones((2, 2)), tg.ones(2)), ValueError, "solve: .*[Ss]ingular"),
        (lambda: tg.linalg.solve(tg.eye(2), tg.ones(3)), ValueError, r"solve: .*\(2, 2\).*\(3,\)"),
        (lambda: tg.linalg.solve(tg.eye(2), 1.0), ValueError, "solve: for matrices"),
        (lambda: tg.linalg.det(tg.ones((3, 2))), ValueError, r"det: expected square .*\(3, 2\)"),
        (
            lambda: tg.linalg.slogdet(tg.ones((3, 2))),
            ValueError,
            r"^slogdet: expected square .*\(3, 2\)$",
        ),
        (lambda: tg.linalg.cholesky(-tg.eye(2)), ValueError, "cholesky: .*positive definite"),
        (lambda: tg.linalg.cholesky(tg.ones((2, 3))), ValueError, "cholesky: expected square"),
        (lambda: tg.diagonal(tg.ones(2)), ValueError, "diagonal: expected 2 dimensions or more"),
        (lambda: tg.diagonal(tg.ones((2, 2)), 0, 1, 1), ValueError, "diagonal: .*the same"),
        (lambda: tg.diagonal(tg.ones((2, 2)), 0, 0, 2), IndexError, "diagonal: axis 2"),
        (lambda: tg.trace(tg.ones((2, 2)), 0, 0, -1, 5), TypeError, "trace"),
        (lambda: tg.norm(tg.ones(2), ord=0.5), ValueError, "norm: ord .*0.5"),
        (lambda: tg.norm(tg.ones(2), ord="fro"), ValueError, "norm: ord .*'fro'"),
        (lambda: tg.norm(tg.ones(2), 1), TypeError, r"norm\(x, axis=1\) or norm\(x, ord=1\)$"),
        (lambda: tg.ones(2).norm(-1, 2), TypeError, r"norm\(x, axis=-1\) or norm\(x, ord=-1\)$"),
        (lambda: tg.linalg.norm(tg.ones(2), "fro"), TypeError, "ord='fro'"),
        (lambda: tg.norm(tg.ones(2), axis=1), IndexError, r"norm: .*\(2,\).*axis"),
    ],
)
def test_errors_name_the_function(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()

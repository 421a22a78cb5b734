"""The neuron against the gradient derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.models import neuron

WORKED_EXAMPLE = ([[1, 2], [2, 1], [-1, -2]], [1, 0, 0], [0.1, -0.2], 0.0, 0.1)


def by_hand(features, labels, weights, bias, learning_rate, epochs):
    """Gradient descent with the formula (2/n) Xᵀ [(p − y) p (1 − p)]."""
    x, y, w = np.array(features, float), np.array(labels, float), np.array(weights, float)
    errors = []
    for _ in range(epochs):
        p = 1 / (1 + np.exp(-(x @ w + bias)))
        errors.append(round(float(((p - y) ** 2).mean()), 4))
        delta = 2 / len(x) * (p - y) * p * (1 - p)
        w, bias = w - learning_rate * x.T @ delta, bias - learning_rate * delta.sum()
    return [round(float(v), 4) for v in w], round(float(bias), 4), errors


def test_the_notes_worked_example_is_reproduced():
    weights, bias, errors = neuron.train_neuron(*WORKED_EXAMPLE, 2)
    assert weights == [0.1036, -0.1425]
    assert bias == -0.0167
    assert errors == [0.3033, 0.2942]


@pytest.mark.parametrize("seed", range(10))
def test_training_equals_the_hand_derived_formula(seed):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(1, 8, 2)
    example = (rng.normal(size=(n, d)), rng.integers(0, 2, n), rng.normal(size=d), 0.3, 0.5, 20)
    assert neuron.train_neuron(*example) == by_hand(*example)


def test_no_epochs_return_the_start():
    assert neuron.train_neuron(*WORKED_EXAMPLE, 0) == ([0.1, -0.2], 0.0, [])


def test_probabilities_and_error_of_the_forward_pass():
    probabilities, mse = neuron.single_neuron_model(
        [[0.5, 1], [-1.5, -2]], [0, 1], [0.7, -0.4], -0.1
    )
    p = 1 / (1 + np.exp(-(np.array([[0.5, 1], [-1.5, -2]]) @ [0.7, -0.4] - 0.1)))
    assert probabilities == [round(v, 4) for v in p.tolist()]
    assert mse == round(float(((p - [0, 1]) ** 2).mean()), 4)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"labels \(n,\).*got \(2, 1\), \(3,\), \(1,\)"):
        neuron.train_neuron([[1], [2]], [0, 1, 0], [0.5], 0.0, 0.1, 1)


def test_the_drawn_example_has_its_gradients():
    loss, leaves = neuron.example(neuron.Config())
    p = 1 / (1 + np.exp(-(1.0 * 0.1 + 2.0 * -0.2)))
    delta = 2 * (p - 1) * p * (1 - p)
    assert leaves["w2"].grad.item() == pytest.approx(2.0 * delta, rel=1e-5)
    assert leaves["b"].grad.item() == pytest.approx(delta, rel=1e-5)
    assert len(topological_order(loss)) == 7

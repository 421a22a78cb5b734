"""A run's numbers: which of them share a pair of axes, and what a point of a curve is."""

from __future__ import annotations

import json

import pytest

from tinygrad_gm import metrics, pictures


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """What `write_curves` hands to `pictures.curves`: for each pair of axes its label and lines."""
    panels = {}
    real = pictures.curves

    def curves(series, *, y_label, **options):
        panels[y_label] = series
        return real(series, y_label=y_label, **options)

    monkeypatch.setattr(pictures, "curves", curves)

    def draw(lines):
        panels.clear()
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "metrics.jsonl").write_text(text)
        metrics.write_curves(tmp_path)
        return panels

    draw.path = tmp_path / "curves.png"
    return draw


def test_a_metric_is_drawn_beside_the_one_whose_name_it_ends_with(drawn):
    lines = [
        {"step": 1, "epoch": 1, "loss": 2.0, "grad_norm": 3.0, "accuracy": 0.5},
        {"step": 1, "epoch": 1, "test_loss": 2.5, "test_accuracy": 0.4},
    ]
    panels = drawn(lines)
    assert {label: list(series) for label, series in panels.items()} == {
        "loss": ["loss", "test_loss"],
        "grad_norm": ["grad_norm"],
        "accuracy": ["accuracy", "test_accuracy"],
    }
    assert drawn.path.exists()


def test_a_short_run_is_drawn_step_by_step(drawn):
    lines = [{"step": step, "epoch": 1, "loss": 1 / step} for step in range(1, 41)]
    steps, values = drawn(lines)["loss"]["loss"]
    assert steps == list(range(1, 41))
    assert values == [1 / step for step in steps]


def test_a_point_of_a_long_run_is_the_mean_over_a_stretch_of_steps(drawn):
    lines = [{"step": step, "epoch": 1, "loss": step**2} for step in range(1, 601)]
    lines.insert(300, {"step": 300, "epoch": 1, "test_loss": 7.0})
    series = drawn(lines)["loss"]
    steps, values = series["loss"]
    assert len(steps) == 60
    assert steps[:2] == [5.5, 15.5]
    assert values[0] == sum(n * n for n in range(1, 11)) / 10
    assert series["test_loss"] == ([300], [7.0])


def test_lines_without_a_step_and_no_lines_draw_nothing(drawn):
    assert drawn([{"epoch": 1, "mse": 0.5}]) == {}
    assert drawn([]) == {}
    assert not drawn.path.exists()

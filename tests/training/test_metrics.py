"""A run's numbers: which of them share a pair of axes, and what a point of a curve is."""

from __future__ import annotations

import json

import pytest

from tinygrad_gm import pictures
from tinygrad_gm.training import metrics


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


def test_step_zero_and_huge_steps_are_drawn(drawn):
    assert drawn([{"step": 0, "loss": 2.0}])["loss"] == {"loss": ([0], [2.0])}
    steps, _ = drawn([{"step": 0, "loss": 2.0}, {"step": 10**18, "loss": 1.0}])["loss"]["loss"]
    assert steps == [0, 10**18]


def test_values_that_cannot_be_drawn_are_left_out(drawn):
    lines = [
        {"step": 1, "loss": 1.0, "nothing": float("nan"), "huge": 1e308},
        {"step": 2, "loss": float("inf"), "nothing": float("nan"), "huge": -1e308},
        {"step": 3, "loss": 3.0},
    ]
    assert drawn(lines) == {"loss": {"loss": ([1, 3], [1.0, 3.0])}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "is not JSON"),
        (b'{"step": 1, "lo', "is not JSON"),
        (b'\xff{"step": 1}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"loss": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"3", "is not an object of numbers"),
        (b"[]", "is not an object of numbers"),
        (b'{"loss": "a"}', "'loss' is 'a'; expected a number"),
        (b'{"loss": null}', "'loss' is None; expected a number"),
        (b'{"loss": {"a": 1}}', "'loss' is {'a': 1}; expected a number"),
        (b'{"loss": ' + b"9" * 400 + b"}", "'loss' is beyond the largest float"),
        (b'{"step": -1}', "'step' is -1; expected an int ≥ 0"),
        (b'{"step": 0.5}', "'step' is 0.5; expected an int ≥ 0"),
        (b'{"step": 1, "epoch": NaN}', "'epoch' is nan; expected an int ≥ 0"),
    ],
)
def test_a_hostile_line_is_refused_by_its_number(tmp_path, line, words):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + line + b"\n")
    with pytest.raises((ValueError, TypeError)) as refusal:
        metrics.read_metrics(tmp_path)
    assert str(refusal.value).startswith(f"read_metrics: line 2 of {path}")
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1

"""Schedules: formulas, what they do to an optimizer, state, and refusals."""

import copy
import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim
from tinygrad_gm.optim import lr_scheduler as schedules


def an_optimizer(kind=optim.SGD, rates=(0.5, 0.1)):
    groups = [{"params": [nn.Parameter(tg.ones(2))], "lr": rate} for rate in rates]
    return kind(groups)


def rates_of(schedule, steps, *arguments):
    """The rates of all groups before each of so many steps."""
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr())
        assert rates[-1] == [group["lr"] for group in schedule.optimizer.param_groups]
        schedule.step(*arguments)
    return np.array(rates)


def half_cosine(t, length):
    return 0.5 * (1 + math.cos(math.pi * t / length))


FACTORS = [  # schedules that multiply the initial rate, and the factor after t steps
    (lambda o: schedules.StepLR(o, 3, gamma=0.5), lambda t: 0.5 ** (t // 3)),
    (
        lambda o: schedules.MultiStepLR(o, [7, 2, 2], gamma=0.5),
        lambda t: 1 if t < 2 else 0.25 if t < 7 else 0.125,
    ),
    (lambda o: schedules.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    (
        lambda o: schedules.ConstantLR(o, factor=0.25, total_iters=4),
        lambda t: 0.25 if t < 4 else 1,
    ),
    (
        lambda o: schedules.LinearLR(o, 0.2, 0.7, total_iters=5),
        lambda t: 0.2 + 0.1 * t if t < 5 else 0.7,
    ),
    (lambda o: schedules.CosineAnnealingLR(o, 6), lambda t: half_cosine(t, 6)),
    (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 4, 2),
        lambda t: half_cosine(t, 4) if t < 4 else half_cosine(t - 4, 8),
    ),
    (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 5),
        lambda t: half_cosine(t % 5, 5),
    ),
    (lambda o: schedules.LambdaLR(o, lambda t: 1 / (t + 1)), lambda t: 1 / (t + 1)),
]


@pytest.mark.parametrize(("make", "factor"), FACTORS)
def test_each_groups_rate_is_its_initial_one_times_the_factor(make, factor):
    schedule = make(an_optimizer())
    expected = [[0.5 * factor(t), 0.1 * factor(t)] for t in range(12)]
    np.testing.assert_allclose(rates_of(schedule, 12), expected, rtol=1e-13, atol=1e-16)
    assert schedule.last_epoch == 12
    assert schedule.base_lrs == [0.5, 0.1]
    assert [group["initial_lr"] for group in schedule.optimizer.param_groups] == [0.5, 0.1]


def test_noam_is_the_formula_of_the_paper():
    schedule = schedules.NoamLR(an_optimizer(), d_model=512, warmup_steps=40, factor=2.0)
    expected = [2 * 512**-0.5 * min(t**-0.5, t * 40**-1.5) for t in range(1, 121)]
    rates = rates_of(schedule, 120)
    np.testing.assert_allclose(rates, np.stack([expected, expected], 1), rtol=1e-13)
    assert rates[:, 0].argmax() == 39  # the highest rate is that of step number 40


def test_cosine_annealing_ends_at_eta_min_and_comes_back():
    schedule = schedules.CosineAnnealingLR(an_optimizer(), T_max=4, eta_min=0.02)
    rates = rates_of(schedule, 9)
    np.testing.assert_allclose(rates[4], 0.02, rtol=1e-12)
    np.testing.assert_allclose(rates[8], [0.5, 0.1], rtol=1e-12)


def test_lambdas_may_differ_between_groups():
    schedule = schedules.LambdaLR(an_optimizer(), [lambda t: 1.0, lambda t: 0.5**t])
    np.testing.assert_allclose(rates_of(schedule, 3), [[0.5, 0.1], [0.5, 0.05], [0.5, 0.025]])
    with pytest.raises(ValueError, match="LambdaLR: 1 functions for 2 groups"):
        schedules.LambdaLR(an_optimizer(), [lambda t: 1.0])


def test_one_cycle_goes_through_its_corners():
    schedule = schedules.OneCycleLR(
        an_optimizer(), max_lr=[1.0, 2.0], total_steps=101, pct_start=0.25, div_factor=10
    )
    rates = rates_of(schedule, 101)
    np.testing.assert_allclose(rates[0], [0.1, 0.2], rtol=1e-12)
    np.testing.assert_allclose(rates.max(0), [1.0, 2.0], rtol=1e-3)
    assert rates[:, 0].argmax() == 24
    np.testing.assert_allclose(rates[100], [1e-5, 2e-5], rtol=1e-9)
    with pytest.raises(ValueError, match="step 102 is after the last of 101 steps"):
        schedule.step()


@pytest.mark.parametrize(("kind", "read"), [(optim.SGD, "momentum"), (optim.AdamW, "betas")])
def test_one_cycle_moves_the_momentum_against_the_rate(kind, read):
    optimizer = an_optimizer(kind)
    schedule = schedules.OneCycleLR(optimizer, 1.0, total_steps=21, pct_start=0.5)
    momenta, rates = [], []
    for _ in range(21):
        value = optimizer.param_groups[1][read]
        momenta.append(value if read == "momentum" else value[0])
        rates.append(optimizer.param_groups[1]["lr"])
        if read == "betas":
            assert value[1] == 0.999
        schedule.step()
    np.testing.assert_allclose([momenta[0], momenta[20]], 0.95, rtol=1e-12)
    assert np.argmin(momenta) == np.argmax(rates)
    assert (np.sign(np.diff(momenta)) == -np.sign(np.diff(rates))).all()


def test_one_cycle_of_an_optimizer_without_momentum_must_say_so():
    with pytest.raises(ValueError, match=r"Adagrad has no momentum; set cycle_momentum=False"):
        schedules.OneCycleLR(an_optimizer(optim.Adagrad), 1.0, total_steps=5)
    schedule = schedules.OneCycleLR(
        an_optimizer(optim.Adagrad), 1.0, epochs=2, steps_per_epoch=3, cycle_momentum=False
    )
    assert schedule.total_steps == 6


def test_one_cycle_whose_rise_has_no_length_starts_at_its_peak():
    schedule = schedules.OneCycleLR(an_optimizer(), 1.0, total_steps=10, pct_start=0.1)
    assert schedule.get_last_lr() == [1.0, 1.0]


def test_plateau_reduces_after_more_bad_steps_than_its_patience():
    optimizer = an_optimizer(rates=(1.0,))
    schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=0.2)
    rates = []
    for loss in (3, 2, 2, 2, math.nan, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1):
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0] * 4 + [0.5] * 3 + [0.25] * 4 + [0.2] * 4
    assert schedule.best == 1


def test_plateau_takes_a_tensor_and_rests_after_a_reduction():
    optimizer = an_optimizer(rates=(1.0,))
    schedule = schedules.ReduceLROnPlateau(
        optimizer, "max", 0.5, 0, threshold=0.1, threshold_mode="abs", cooldown=2
    )
    rates = []
    for score in (1.0, 1.05, 1.0, 1.0, 1.0, 1.2, 1.25):
        schedule.step(tg.tensor(score))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_sequential_schedules_begin_at_their_milestones():
    optimizer = an_optimizer()
    parts = [
        schedules.LinearLR(optimizer, 0.1, total_iters=3),
        schedules.ExponentialLR(optimizer, 0.5),
        schedules.ConstantLR(optimizer, 0.25, total_iters=100),
    ]
    schedule = schedules.SequentialLR(optimizer, parts, milestones=[3, 6])
    factors = [0.1, 0.4, 0.7, 1, 0.5, 0.25, 0.25, 0.25]
    np.testing.assert_allclose(rates_of(schedule, 8), np.outer(factors, [0.5, 0.1]), rtol=1e-12)


def test_sequential_refuses_what_cannot_follow():
    optimizer = an_optimizer()
    one = schedules.ExponentialLR(optimizer, 0.5)
    with pytest.raises(ValueError, match="1 schedules with 1 milestones"):
        schedules.SequentialLR(optimizer, [one], [3])
    with pytest.raises(ValueError, match="ExponentialLR is a schedule of another optimizer"):
        schedules.SequentialLR(an_optimizer(), [one], [])
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a number"):
        schedules.SequentialLR(optimizer, [schedules.ReduceLROnPlateau(optimizer)], [])
    with pytest.raises(ValueError, match="do not ascend"):
        schedules.SequentialLR(optimizer, [one, one, one], [5, 3])
    with pytest.raises(ValueError, match="ChainedScheduler: expected at least one schedule"):
        schedules.ChainedScheduler([])
    with pytest.raises(ValueError, match="ChainedScheduler: ReduceLROnPlateau needs a number"):
        schedules.ChainedScheduler([one, schedules.ReduceLROnPlateau(optimizer)])
    with pytest.raises(ValueError, match="ExponentialLR is a schedule of another optimizer"):
        schedules.ChainedScheduler([one], an_optimizer())
    with pytest.raises(TypeError, match="ChainedScheduler: SGD is not a schedule"):
        schedules.ChainedScheduler([one, optimizer])


def test_two_schedules_of_one_optimizer_multiply():
    optimizer = an_optimizer(rates=(1.0,))
    halve, decay = schedules.StepLR(optimizer, 1, 0.5), schedules.ExponentialLR(optimizer, 0.9)
    halve.step()
    decay.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.45, rel=1e-15)
    assert (halve.get_last_lr(), decay.get_last_lr()) == ([0.5], [0.45])


T = math.pi / 6
CHAINABLE = [  # schedules, and what they make of a rate of 8 in their third step
    (lambda o: schedules.StepLR(o, 3, gamma=0.5), 4.0),
    (lambda o: schedules.MultiStepLR(o, [3, 3], gamma=0.5), 2.0),
    (lambda o: schedules.ExponentialLR(o, 0.5), 4.0),
    (lambda o: schedules.ConstantLR(o, factor=0.25, total_iters=3), 32.0),
    (lambda o: schedules.LinearLR(o, 0.2, 0.7, total_iters=5), 8 * 0.5 / 0.4),
    (
        lambda o: schedules.CosineAnnealingLR(o, 6, eta_min=0.1),
        0.1 + 7.9 * (1 + math.cos(3 * T)) / (1 + math.cos(2 * T)),
    ),
]


@pytest.mark.parametrize(("make", "expected"), CHAINABLE)
def test_a_chainable_schedule_goes_on_from_a_rate_set_by_hand(make, expected):
    optimizer = an_optimizer(rates=(1.0,))
    schedule = make(optimizer)
    schedule.step()
    schedule.step()
    optimizer.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-14)
    assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]


def test_a_reduction_by_a_plateau_lasts():
    optimizer = an_optimizer(rates=(1.0,))
    decay = schedules.ExponentialLR(optimizer, 0.9)
    plateau = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for loss in (1.0, 1.0, 0.5):
        decay.step()
        plateau.step(loss)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.9**3, rel=1e-15)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: schedules.LambdaLR(o, lambda t: 1.0),
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 1),
    ],
)
def test_a_schedule_of_the_number_of_steps_replaces_a_rate_set_by_hand(make):
    optimizer = an_optimizer(rates=(1.0,))
    schedule = make(optimizer)
    optimizer.param_groups[0]["lr"] = 7.0
    assert schedule.get_last_lr() == [1.0]
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_a_plateau_leaves_the_initial_rate_to_the_schedules():
    optimizer = an_optimizer(rates=(1.0,))
    schedules.ReduceLROnPlateau(optimizer)
    optimizer.param_groups[0]["lr"] = 0.5
    assert schedules.LambdaLR(optimizer, lambda t: 1.0).base_lrs == [0.5]


def test_a_factor_of_0_ends_at_the_initial_rate():
    schedule = schedules.ConstantLR(an_optimizer(), factor=0.0, total_iters=2)
    assert rates_of(schedule, 4).tolist() == [[0.0, 0.0]] * 2 + [[0.5, 0.1]] * 2


def test_the_rates_that_are_given_back_are_a_copy():
    schedule = schedules.ExponentialLR(an_optimizer(), 0.5)
    schedule.get_last_lr().clear()
    schedule.state_dict()["base_lrs"].clear()
    assert (schedule.get_last_lr(), schedule.base_lrs) == ([0.5, 0.1], [0.5, 0.1])


def test_chained_schedules_multiply_step_by_step():
    optimizer = an_optimizer()
    parts = [schedules.ConstantLR(optimizer, 0.1, 3), schedules.ExponentialLR(optimizer, 0.9)]
    schedule = schedules.ChainedScheduler(parts)
    factors = [(0.1 if t < 3 else 1) * 0.9**t for t in range(6)]
    np.testing.assert_allclose(rates_of(schedule, 6), np.outer(factors, [0.5, 0.1]), rtol=1e-14)


def test_composites_may_hold_one_another():
    optimizer = an_optimizer()
    warmup = schedules.LinearLR(optimizer, 0.5, total_iters=2)
    parts = [schedules.ConstantLR(optimizer, 0.1, 2), schedules.ExponentialLR(optimizer, 0.9)]
    chain = schedules.ChainedScheduler(parts)
    later = schedules.SequentialLR(optimizer, [warmup, chain], [2])
    schedule = schedules.SequentialLR(optimizer, [later, schedules.StepLR(optimizer, 1, 0.5)], [5])
    factors = [0.5, 0.75, 0.1, 0.09, 0.81, 1.0, 0.5, 0.25]
    np.testing.assert_allclose(rates_of(schedule, 8), np.outer(factors, [0.5, 0.1]), rtol=1e-14)


def test_a_schedule_acts_on_the_optimizers_steps():
    w = tg.tensor([8.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)
    schedule = schedules.StepLR(optimizer, 1, gamma=0.5)
    w.grad = tg.tensor([1.0], dtype=tg.float64)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert w.item() == 8 - 1 - 0.5 - 0.25


def test_last_epoch_takes_up_a_schedule_in_its_middle():
    optimizer = an_optimizer()
    first = schedules.CosineAnnealingLR(optimizer, 10)
    rates, saved = rates_of(first, 4), optimizer.state_dict()
    expected = rates_of(first, 4)
    assert (rates[-1] > expected[0]).all()
    optimizer.load_state_dict(saved)
    again = schedules.CosineAnnealingLR(optimizer, 10, last_epoch=3)
    np.testing.assert_array_equal(rates_of(again, 4), expected)
    with pytest.raises(KeyError, match="group 0 has no initial_lr"):
        schedules.StepLR(an_optimizer(), 3, last_epoch=3)


def sequential(optimizer):
    parts = [schedules.LinearLR(optimizer, 0.1), schedules.CosineAnnealingLR(optimizer, 9)]
    return schedules.SequentialLR(optimizer, parts, [5])


def chained(optimizer):
    parts = [sequential(optimizer), schedules.StepLR(optimizer, 3, 0.5)]
    return schedules.ChainedScheduler(parts)


SAVED = {
    **{f"factor {i}": make for i, (make, _) in enumerate(FACTORS)},
    "Noam": lambda o: schedules.NoamLR(o, 64, 5),
    "Sequential": sequential,
    "Chained": chained,
    "OneCycle": lambda o: schedules.OneCycleLR(o, [0.3, 0.7], 20, three_phase=True),
    "Plateau": lambda o: schedules.ReduceLROnPlateau(o, patience=1, min_lr=[0.1, 0.0]),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_schedule_resumed_from_a_file_goes_on_with_the_same_bits(name, tmp_path):
    make, losses = SAVED[name], [(3,), (2,), (2,), (2,), (2,), (1,), (1,), (1,), (1,), (1,)]

    def go(schedule, losses):
        for loss in losses:
            schedule.step(*(loss if name == "Plateau" else ()))
            yield copy.deepcopy(
                [{k: v for k, v in g.items() if k != "params"} for g in
                 schedule.optimizer.param_groups]
            )  # fmt: skip

    whole = make(an_optimizer())
    list(go(whole, losses[:4]))
    tg.save(
        tmp_path / "s.safetensors",
        {"schedule": whole.state_dict(), "optimizer": whole.optimizer.state_dict()},
    )
    expected = list(go(whole, losses[4:]))
    saved = tg.load(tmp_path / "s.safetensors")
    again = make(an_optimizer(rates=(0.9, 0.8)))
    again.optimizer.load_state_dict(saved["optimizer"])
    again.load_state_dict(saved["schedule"])
    assert again.get_last_lr() == [group["lr"] for group in again.optimizer.param_groups]
    assert list(go(again, losses[4:])) == expected
    assert again.state_dict() == whole.state_dict()


def test_a_state_of_another_schedule_is_refused():
    schedule = schedules.StepLR(an_optimizer(), 3)
    before = schedule.state_dict()
    other = schedules.ExponentialLR(an_optimizer(), 0.5)
    with pytest.raises(ValueError, match="does not belong to StepLR: it has no step_size"):
        schedule.load_state_dict(other.state_dict())
    assert schedule.state_dict() == before


@pytest.mark.parametrize("make", [sequential, chained])
def test_a_composite_whose_part_does_not_fit_changes_nothing(make):
    schedule = make(an_optimizer())
    other = make(an_optimizer())
    other.step()
    state, before = other.state_dict(), schedule.state_dict()
    del state["schedulers"][1]["base_lrs"]
    with pytest.raises(ValueError, match="it has no base_lrs"):
        schedule.load_state_dict(state)
    del state["schedulers"][1]
    with pytest.raises(ValueError, match=r"of 1 schedules, and .* has 2"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_a_group_added_later_is_scheduled_or_needs_a_new_schedule():
    optimizer = an_optimizer()
    step, function = schedules.StepLR(optimizer, 1, 0.5), schedules.LambdaLR(optimizer, math.exp)
    optimizer.add_param_group({"params": [nn.Parameter(tg.ones(1))], "lr": 4.0})
    step.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05, 2.0]
    with pytest.raises(RuntimeError, match="2 learning rates for 3 groups"):
        function.step()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda o: schedules.StepLR(o, 0), "StepLR: step_size is 0"),
        (lambda o: schedules.ConstantLR(o, 2), "ConstantLR: factor is 2"),
        (lambda o: schedules.LinearLR(o, 0), "LinearLR: start_factor is 0"),
        (lambda o: schedules.LinearLR(o, end_factor=2), "LinearLR: end_factor is 2"),
        (lambda o: schedules.LinearLR(o, total_iters=0), "LinearLR: total_iters is 0"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), "CosineAnnealingLR: T_max is 0"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 1.5), "T_0 is 1.5"),
        (lambda o: schedules.NoamLR(o, 512, 0), "NoamLR: warmup_steps is 0"),
        (lambda o: schedules.OneCycleLR(o, 1.0), "give total_steps, or epochs and"),
        (
            lambda o: schedules.OneCycleLR(o, 1.0, 0),
            "total_steps is 0; it must be a whole",
        ),
        (lambda o: schedules.OneCycleLR(o, [1.0], 5), "max_lr has 1 numbers for 2 groups"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 5, pct_start=2), "pct_start is 2"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 5, anneal_strategy="x"), "anneal_strategy is 'x'"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1), "factor is 1"),
        (lambda o: schedules.ReduceLROnPlateau(o, "least"), "mode is 'least'"),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=[1.0]), "min_lr has 1 numbers"),
    ],
)
def test_options_out_of_range_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(an_optimizer())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (schedules.StepLR, {"step_size": 3}),
        (schedules.LambdaLR, {"lr_lambda": math.sqrt}),
        (schedules.OneCycleLR, {"max_lr": 1.0, "total_steps": 3}),
        (schedules.ReduceLROnPlateau, {}),
    ],
)
def test_a_schedule_wants_an_optimizer(kind, options):
    words = f"{kind.__name__}: expected an optimizer; got a list"
    with pytest.raises(TypeError, match=words):
        kind([nn.Parameter(tg.ones(1))], **options)

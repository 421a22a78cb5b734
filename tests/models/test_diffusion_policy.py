"""Diffusion Policy: the network against its reference, windows, scale, control, both tasks."""

from __future__ import annotations

import builtins
import itertools
import math

import numpy as np
import pytest
from reference_keys import reference_keys

import tinygrad_gm as tg
from tinygrad_gm import Generator, data, models, nn
from tinygrad_gm.app import cli
from tinygrad_gm.data.files import find
from tinygrad_gm.models import diffusion_policy
from tinygrad_gm.models.diffusion_policy import control, obstacle, push_t, recipe
from tinygrad_gm.models.diffusion_policy.windows import Episodes, Normalizer, executed, windows
from tinygrad_gm.training import Run

needs_demonstrations = pytest.mark.skipif(
    find("pusht_lowdim.npz") is None, reason="pusht_lowdim.npz is not in $TINYGRAD_GM_DATA"
)

# ------------------------------------------------------------------------------- the network


def test_the_state_dict_is_that_of_the_reference_in_its_order():
    with nn.no_init():
        model = diffusion_policy.ConditionalUnet1D(2, 40)
    found = [(key, value.shape, str(value.dtype)) for key, value in model.state_dict().items()]
    assert found == reference_keys("dp_unet1d")
    assert sum(parameter.size for parameter in model.parameters()) == 65_783_298


@pytest.mark.parametrize(("scale", "count"), [(False, 1_059_042), (True, 1_126_242)])
def test_the_small_network_has_the_reference_s_number_of_parameters(scale, count):
    model = diffusion_policy.ConditionalUnet1D(
        2, 10, 64, down_dims=(32, 64, 128), cond_predict_scale=scale
    )
    assert sum(parameter.size for parameter in model.parameters()) == count


# the reference definition in PyTorch 2.13, float64, with the weights and inputs below
GOLDEN = {
    True: (
        "-0.12622657 -0.24078225 -0.08541829 -0.21855227 -0.08389123 -0.1608513 -0.09633687 "
        "-0.21379261 -0.08651669 -0.20186759 -0.02943719",
        "0.00037134 0.00288758 0.00250133 -0.00048959 -0.00115921 0.00226027 0.00056612",
        "-0.00016384091 4.726624e-05 -0.00017426249",
    ),
    False: (
        "-0.12980306 -0.24251022 -0.08642195 -0.21621947 -0.08208026 -0.16533736 -0.0948824 "
        "-0.21101576 -0.08699211 -0.20354864 -0.02757956",
        "-0.00011723 0.00126887 0.00173715 -0.00029827 0.00093079 0.00222496 0.00089705",
        "0.00083773731 -0.00013847069 -5.7718377e-05",
    ),
}


@pytest.mark.parametrize("scale", [True, False])
def test_outputs_and_gradients_are_those_of_the_reference(scale):
    model = diffusion_policy.ConditionalUnet1D(
        2, 3, 8, down_dims=(8, 16, 24), cond_predict_scale=scale
    ).to(tg.float64)
    for number, (_, tensor) in enumerate(sorted(model.state_dict().items())):
        tensor.copy_((np.sin(np.arange(tensor.size) * 0.7 + number) * 0.3).reshape(tensor.shape))
    x = tg.tensor(np.cos(np.arange(32) * 0.9).reshape(2, 8, 2), requires_grad=True)
    cond = tg.tensor(np.sin(np.arange(6) * 1.3).reshape(2, 3))
    y = model(x, tg.tensor([3, 71]), cond)
    (y * tg.tensor(np.arange(32).reshape(2, 8, 2) / 10)).sum().backward()
    weight = model.down_modules[1][0].cond_encoder[1].weight
    found = y.numpy().ravel()[::3], x.grad.numpy().ravel()[::5], weight.grad.numpy().ravel()[:3]
    for ours, theirs in zip(found, GOLDEN[scale], strict=True):
        np.testing.assert_allclose(ours, np.array(theirs.split(), float), atol=3e-7)


def test_the_network_refuses_what_does_not_fit_in_one_line():
    model = diffusion_policy.ConditionalUnet1D(2, 3, 8, down_dims=(8, 8, 8))
    with pytest.raises(ValueError, match=r"T a multiple of 4; got \(1, 10, 2\)"):
        model(tg.zeros((1, 10, 2)), tg.arange(1), tg.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"condition of shape \(1, 3\); got \(1, 4\)"):
        model(tg.zeros((1, 8, 2)), tg.arange(1), tg.zeros((1, 4)))
    with pytest.raises(ValueError, match="kernel_size is 4; expected odd"):
        diffusion_policy.ConditionalUnet1D(2, 3, kernel_size=4)


# ---------------------------------------------------------------------------- windows, scale


def test_windows_of_an_episode_repeat_its_first_and_last_step():
    rows = windows(np.array([20, 37]))
    assert len(rows) == sum(length - 16 + 1 + 7 + 1 for length in (20, 17))
    assert rows[0].tolist() == [0, *range(15)]
    assert rows[12].tolist() == [*range(11, 20), *[19] * 7]
    assert rows[13].tolist() == [20, *range(20, 35)]
    assert rows[-1].tolist() == [*range(28, 37), *[36] * 7]


def test_an_episode_shorter_than_the_horizon_is_refused():
    with pytest.raises(ValueError, match="episode 1 has 15 steps, fewer than the horizon of 16"):
        windows(np.array([16, 31]))


def test_the_executed_actions_are_those_from_now_on():
    plan = np.arange(32.0).reshape(2, 16, 1)
    assert executed(plan)[:, :, 0].tolist() == [[*range(1, 9)], [*range(17, 25)]]


@pytest.mark.parametrize("dtype", [tg.float64, tg.float32])
def test_normalised_data_lie_in_the_limits_and_come_back(dtype):
    x = np.random.default_rng(0).uniform(-300, 512, (100, 3)) * [1, 1e-3, 0] + [0, 0, 7]
    x[:, 2] += np.linspace(0, 9e-5, 100)  # constant, but for less than 1e-4
    normalizer = Normalizer(3)
    normalizer.fit(x)
    given = tg.tensor(x, dtype)
    inside = normalizer(given).numpy()
    np.testing.assert_allclose(inside.min(0)[:2], -1, atol=1e-6)
    np.testing.assert_allclose(inside.max(0)[:2], 1, atol=1e-6)
    assert np.abs(inside[:, 2]).max() < 1e-4
    back = normalizer.inverse(normalizer(given)).numpy()
    reach = 1.0 if dtype == tg.float64 else np.maximum(np.ptp(x, axis=0), 1)
    assert (np.abs(back - given.numpy()) <= 1e-6 * reach).all()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.array([[0.0, 1.0], [0.0, math.nan]]), "dimension 1 of the data .* not finite"),
        (np.zeros((3, 4)), r"shape \(N, 2\) with N ≥ 1; got \(3, 4\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
    ],
)
def test_data_without_limits_are_refused(x, words):
    with pytest.raises(ValueError, match=words):
        Normalizer(2).fit(x)


# --------------------------------------------------------------------------------- policies


def small(kind=diffusion_policy.DiffusionPolicy):
    tg.manual_seed(0)
    policy = kind(2, 2, 8)
    policy.fit(obstacle.demonstrations(4))
    return policy.eval()


@pytest.mark.parametrize("kind", ["DiffusionPolicy", "RegressionPolicy"])
def test_bad_observations_are_refused_in_one_line(kind):
    policy = small(getattr(diffusion_policy, kind))
    with pytest.raises(ValueError, match=r"shape \(N, 2, 2\); got \(1, 3, 2\)"):
        policy.plan(tg.zeros((1, 3, 2)), Generator(0))
    with pytest.raises(ValueError, match="an observation is not finite"):
        policy.plan(tg.tensor([[[0.0, 0.0], [math.nan, 0.0]]]), Generator(0))


def test_plans_repeat_bit_for_bit_and_stay_in_the_limits_of_the_demonstrations():
    policy, observed = small(), np.zeros((5, 2, 2))
    first, again, other = (policy.planned(observed, Generator(seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    actions = obstacle.demonstrations(4).action
    assert (first >= actions.min(0) - 1e-5).all()
    assert (first <= actions.max(0) + 1e-5).all()


def test_rollouts_plan_again_after_eight_steps_and_execute_the_first_of_a_fan():
    class Line:
        limit = 20

        def reset(self, seeds):
            self.x, self.seen = np.array([[float(seed), 0.0] for seed in seeds]), []
            return self.x

        def step(self, actions, active):
            self.seen.append(actions[:, 0])
            self.x = self.x + active[:, None]
            return self.x, active * 0.1, active & (self.x[:, 0] >= 12)

    asked = []

    def planner(history, generator):
        asked.append(history)
        steps = np.arange(len(history) * 16.0).reshape(len(history), 16, 1)
        return np.repeat(steps, 2, axis=2)

    task = Line()
    found = control.rollout(task, planner, [0, 10], Generator(0), fan=3)
    assert [plan.step for plan in found.plans] == [0, 8]
    assert [plan.rows.tolist() for plan in found.plans] == [[0, 1], [0]]
    assert found.plans[0].actions.shape == (2, 3, 16, 2)
    assert asked[0][0].tolist() == [[0, 0], [0, 0]]  # the first observation, twice
    assert asked[1][0, :, 0].tolist() == [7, 8]
    assert [actions[0] for actions in task.seen] == [*range(1, 9), *range(1, 5)]
    assert task.seen[0][1] == 48 + 1  # the first plan of the second rollout
    assert found.rewards.sum(0).round(6).tolist() == [1.2, 0.2]
    assert len(found.observations) == 13


def test_the_nearest_demonstration_s_actions_are_repeated():
    episodes = obstacle.demonstrations(5)
    rows = windows(episodes.ends)
    chosen = rows[[3, 77]]
    plans = control.nearest_demonstration(episodes)(
        episodes.observation[chosen[:, :2]], Generator(0)
    )
    np.testing.assert_array_equal(plans, episodes.action[chosen])


# --------------------------------------------------------------------------------- obstacle


def test_touching_the_obstacle_ends_a_rollout_without_reward_and_reaching_the_goal_with():
    def straight(history, generator):
        return np.broadcast_to(obstacle.GOAL, (len(history), 16, 2))

    found = control.rollout(obstacle.Obstacle(), straight, [0, 1], Generator(0))
    assert found.scores.tolist() == [0, 0]
    task = obstacle.Obstacle()
    task.reset([0])
    task.position = np.array([[0.0, 0.65]])
    _, reward, over = task.step(obstacle.GOAL[None], np.array([True]))
    assert reward.tolist() == [1]
    assert over.tolist() == [True]


def test_demonstrations_pass_on_both_sides_and_never_touch():
    episodes = obstacle.demonstrations(100)
    parts = np.split(episodes.observation, episodes.ends[:-1])
    assert min(np.hypot(*part.T).min() for part in parts) > obstacle.RADIUS
    left = sum(part[len(part) // 3, 0] < 0 for part in parts)
    assert 30 < left < 70
    assert all(np.hypot(*(part[-1] - obstacle.GOAL)) < obstacle.REACHED for part in parts)


@pytest.mark.slow
def test_a_trained_policy_passes_on_both_sides_and_regression_does_not(tmp_path):
    config = diffusion_policy.Config(
        epochs=6, learning_rate=3e-3, regression_epochs=5, evaluate_every=6
    )
    with Run(tmp_path, config) as run:
        diffusion_policy.train(config, run)
    found, regression, *_ = diffusion_policy.judge(tmp_path).splitlines()[1:]
    rate, left, right = (float(found.replace(",", "").split()[i]) for i in (2, 6, 8))
    assert rate >= 0.9
    assert min(left, right) >= 25
    assert float(regression.split()[1]) <= 0.6
    assert {path.name for path in tmp_path.glob("*.png")} >= {"trajectories.png", "learning.png"}


def test_samples_of_a_run_repeat_and_are_filmed(tmp_path, capsys):
    config = diffusion_policy.Config(
        width=8, timesteps=4, steps=2, demonstrations=4, epochs=1, regression_epochs=1
    )
    with Run(tmp_path, config) as run:
        diffusion_policy.train(config, run)
    trained = models.restore(tmp_path)
    (_, first), (_, again), (_, other) = (
        diffusion_policy.sample(trained, 2, Generator(seed), steps=4) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.observations, again.observations)
    assert (
        first.observations.shape != other.observations.shape
        or (first.observations != other.observations).any()
    )
    with pytest.raises(ValueError, match=r"steps must lie in 1 … 4, not 5"):
        diffusion_policy.sample(trained, 1, Generator(0), steps=5)
    assert cli.main(["sample", "diffusion_policy", "--out", str(tmp_path), "--count", "2"]) == 0
    assert "samples.gif" in capsys.readouterr().out
    assert (tmp_path / "samples.gif").read_bytes()[:3] == b"GIF"


# ----------------------------------------------------------------------------------- Push-T


def test_without_the_extra_one_line_names_the_command(monkeypatch, tmp_path, capsys):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("gym_pusht"):
            raise ModuleNotFoundError("No module named 'gym_pusht'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    words = ["train", "diffusion_policy", "--task", "push_t", "--out", str(tmp_path / "run")]
    assert cli.main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'tinygrad_gm[pusht]'" in line


def test_the_corners_of_a_turned_block_are_turned():
    (found,) = push_t.corners(np.array([[100.0, 200.0, math.pi / 2]]))
    np.testing.assert_allclose(found[0], [70, 140])  # (−60, 30) turned by 90°, and moved
    np.testing.assert_allclose(found[5], [-20, 185])


def test_whole_turns_of_the_block_are_no_difference():
    states = np.array([[1.0, 2, 3, 4, 0.1], [1.0, 2, 3, 4, 0.1 + 2 * math.pi]])
    first, second = push_t.observed(states)
    np.testing.assert_allclose(first, second, atol=1e-9)


@needs_demonstrations
def test_demonstrations_of_push_t_are_observations_and_actions():
    episodes = push_t.demonstrations()
    assert episodes.observation.shape == (25650, 18)
    assert len(windows(episodes.ends)) == 25650 - 206 * 7
    keypoints = data.push_t().keypoint.numpy()
    whole = episodes.observation[:, 2:].reshape(-1, 8, 2)
    inside = (keypoints.min(1) >= whole.min(1) - 5) & (keypoints.max(1) <= whole.max(1) + 5)
    assert inside.mean() > 0.99  # the reference's keypoints lie on the block or at its edge


@needs_demonstrations
def test_a_replayed_demonstration_covers_the_target():
    pytest.importorskip("gym_pusht", reason="gym-pusht is not installed")
    found = data.push_t()
    states = found.state.numpy().astype(np.float64)
    starts = [0, *found.episode_ends.tolist()[:2]]
    task, scores, active = push_t.PushT(), [], np.array([True])
    for start, end in itertools.pairwise(starts):
        first = task.place(states[start : start + 1])
        np.testing.assert_allclose(first, push_t.observed(states[start : start + 1]), atol=1e-9)
        actions = found.action.numpy()[start:end].astype(np.float64)
        rewards = [task.step(action[None], active)[1][0] for action in actions]
        scores.append(max(rewards))
    assert min(scores) > 0.8


def test_a_config_refuses_what_cannot_be_built():
    with pytest.raises(ValueError, match="width is 12; expected a multiple of 8"):
        diffusion_policy.Config(width=12)
    with pytest.raises(ValueError, match=r"20 steps of DDIM; expected 1 … 10"):
        diffusion_policy.Config(timesteps=10, steps=20)


def test_a_short_demonstration_stops_the_training_set():
    episodes = Episodes(np.zeros((5, 2)), np.zeros((5, 2)), np.array([5]))
    with pytest.raises(ValueError, match="episode 0 has 5 steps"):
        recipe.training_set(episodes)

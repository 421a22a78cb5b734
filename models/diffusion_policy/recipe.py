"""The recipe: training both policies on demonstrations, judging them, and sampling rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check
from tinygrad_gm.training.metrics import read_metrics

from . import control, obstacle, push_t
from .control import Rollouts, Task
from .policy import DiffusionPolicy, Policy, RegressionPolicy
from .windows import OBSERVED, Episodes, windows

TRAINING_TIME = "about 3 minutes for the obstacle, 30 for Push-T, on two cores"

TRIED = range(20)  # seeds of the rollouts during the training
JUDGED = {"obstacle": range(100_000, 100_100), "push_t": range(100_000, 100_050)}
EMA_POWER, EMA_LIMIT = 0.75, 0.9999  # of the paper's average of the weights
SIZES = {"obstacle": (2, 2), "push_t": (18, 2)}  # numbers in an observation and in an action


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for the obstacle."""

    task: str = option("obstacle", "task", choices=(*SIZES,))
    demonstrations: int = option(200, "number of generated demonstrations of the obstacle")
    width: int = option(32, "channels of the finest level of the U-Net, a multiple of 8")
    timesteps: int = option(100, "T, the number of steps from data to noise", most=100_000)
    steps: int = option(10, "number of steps of DDIM in a plan")
    epochs: int = option(20, "number of passes over the demonstrations", least=0)
    batch_size: int = option(128, "number of windows per step")
    learning_rate: float = option(1e-3, "learning rate of AdamW at its peak")
    regression_epochs: int = option(
        20, "number of passes in the training of the regression", least=0
    )
    evaluate_every: int = option(5, "number of epochs between rollouts")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.width % 8:
            raise ValueError(f"diffusion_policy: width is {self.width}; expected a multiple of 8")
        if self.steps > self.timesteps:
            raise ValueError(
                f"diffusion_policy: {self.steps} steps of DDIM; expected 1 … {self.timesteps}"
            )


class Trained(NamedTuple):
    """The result of a run."""

    task: str
    diffusion: DiffusionPolicy
    regression: RegressionPolicy


def environment(task: str) -> Task:
    """The environment of a task. Raises RuntimeError if it is not installed."""
    return obstacle.Obstacle() if task == "obstacle" else push_t.PushT()


def demonstrated(config: Config) -> Episodes:
    """The demonstrations of a task. Raises FileNotFoundError if they are not there."""
    if config.task == "obstacle":
        return obstacle.demonstrations(config.demonstrations, config.seed)
    return push_t.demonstrations()


def training_set(episodes: Episodes) -> data.TensorDataset:
    """Observations (N, T_o, D) and actions (N, T_p, A) of all windows, float32."""
    rows = windows(episodes.ends)
    parts = episodes.observation[rows[:, :OBSERVED]], episodes.action[rows]
    return data.TensorDataset(*(tg.tensor(part, tg.float32) for part in parts))


def build(config: Config) -> DiffusionPolicy:
    """The untrained policy of a config."""
    tg.manual_seed(config.seed)
    return DiffusionPolicy(*SIZES[config.task], config.width, config.timesteps, config.steps)


def build_regression(config: Config) -> RegressionPolicy:
    """The untrained baseline of a config."""
    tg.manual_seed(config.seed)
    return RegressionPolicy(*SIZES[config.task])


def evaluate(policy: Policy, task: Task, seeds: Sequence[int] = TRIED, *, fan: int = 1) -> Rollouts:
    """Rollouts of a policy from seeds, with noise of seed 0."""
    return control.rollout(task, policy.planned, seeds, Generator(0), fan=fan)


def train(config: Config, run: Run) -> None:
    """Train the policy, then the baseline in the subfolder `regression`, and draw both."""
    from ..gallery import diffusion_policy as gallery

    task, episodes = environment(config.task), demonstrated(config)
    model = build(config)
    average = fit(model, config, run, task, episodes, config.epochs, config.learning_rate)
    with run.stage("regression") as second:
        regression = fit_regression(config, second, task, episodes)
    with run.drawing():
        gallery.write_curve(run.folder)
        trained = Trained(config.task, average, regression)
        if config.task == "obstacle":
            gallery.write_lesson(trained, run.folder)


def fit(
    model: DiffusionPolicy,
    config: Config,
    run: Run,
    task: Task,
    episodes: Episodes,
    epochs: int,
    learning_rate: float,
) -> DiffusionPolicy:
    """Train a policy; return the one with the averaged weights."""
    from ..gallery import diffusion_policy as gallery

    model.fit(episodes)
    loader = data.DataLoader(
        training_set(episodes), config.batch_size, shuffle=True, seed=config.seed
    )
    optimizer = optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.95, 0.999), weight_decay=1e-6
    )
    ema = optim.EMA(model, EMA_LIMIT, power=EMA_POWER)
    average = cast(DiffusionPolicy, ema.model)
    run.fit(
        model,
        optimizer,
        lambda batch, generator: model.loss(*batch),
        loader,
        epochs,
        schedule=one_cycle(optimizer, learning_rate, epochs * len(loader)),
        ema=ema,
        on_epoch=lambda epoch: tried(average, task, epoch, config.evaluate_every, epochs),
        sample=lambda generator: gallery.fans(average, config.task, episodes, generator),
        sample_every=config.evaluate_every * len(loader),
    )
    return average


def fit_regression(config: Config, run: Run, task: Task, episodes: Episodes) -> RegressionPolicy:
    """Train the baseline."""
    model, epochs = build_regression(config), config.regression_epochs
    model.fit(episodes)
    loader = data.DataLoader(
        training_set(episodes), config.batch_size, shuffle=True, seed=config.seed
    )
    optimizer = optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=1e-6)
    run.fit(
        model,
        optimizer,
        lambda batch, generator: model.loss(*batch),
        loader,
        epochs,
        schedule=one_cycle(optimizer, config.learning_rate, epochs * len(loader)),
        on_epoch=lambda epoch: tried(model, task, epoch, epochs, epochs),
    )
    return model.eval()


def one_cycle(
    optimizer: optim.Optimizer, learning_rate: float, steps: int
) -> optim.lr_scheduler.OneCycleLR:
    """A learning rate that rises for a twentieth of the steps and then falls to almost 0."""
    return optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(steps, 1), pct_start=0.05, cycle_momentum=False
    )


def tried(policy: Policy, task: Task, epoch: int, every: int, epochs: int) -> dict[str, float]:
    """The score of a policy after every few epochs, and after the last one."""
    if epoch % every and epoch != epochs:
        return {}
    found = control.score(evaluate(policy, task).scores)
    return {"score": found.mean, "standard_error": found.error}


# -------------------------------------------------------------------- judgement and rollouts


def judge(folder: str | Path) -> str:
    """A table of the scores of a run's policies and of baselines, and the learning curve."""
    model = restore(folder)
    task, seeds = environment(model.task), JUDGED[model.task]
    planners: dict[str, control.Planner] = {
        "diffusion policy": model.diffusion.planned,
        "regression": model.regression.planned,
    }
    if model.task == "push_t":
        planners |= {
            "nearest demonstration": control.nearest_demonstration(push_t.demonstrations()),
            "uniform waypoints": control.uniform_waypoints(0, push_t.SIDE),
            "standing still": control.standing_still,
        }
    lines = [f"{model.task}, {len(seeds)} rollouts from the seeds {seeds[0]} to {seeds[-1]}"]
    for name, planner in planners.items():
        found = control.rollout(task, planner, seeds, Generator(0))
        line = f"{name:22} {control.score(found.scores)}"
        if model.task == "obstacle":
            won = found.scores == 1
            left, right = (int((side & won).sum()) for side in obstacle.sides(found.observations))
            line += f"   left {left}, right {right}"
        lines.append(line)
    lines.append(f"learning curve, {len(TRIED)} rollouts from the seeds 0 to {TRIED[-1]}")
    for metrics in read_metrics(folder):
        if "score" in metrics:
            found_then = control.Score(metrics["score"], metrics["standard_error"])
            lines.append(f"step {metrics['step']:<17} {found_then}")
    return "\n".join(lines)


def sample(
    model: Trained, count: int, generator: Generator, *, steps: int | None = None
) -> tuple[str, Rollouts]:
    """The task and `count` rollouts of it, with 16 plans each time, to be filmed by `film`.

    Args:
        model: the result of a run.
        count: number of rollouts.
        generator: random generator of the initial states and the plans.
        steps: number of steps of DDIM; None: those of the model.

    Raises ValueError for steps not in 1 … T.
    """
    policy, kept = model.diffusion, model.diffusion.steps
    if steps is not None and not 1 <= steps <= policy.process.timesteps:
        raise ValueError(
            f"diffusion_policy: steps must lie in 1 … {policy.process.timesteps}, not {steps}"
        )
    seeds = [int(seed) for seed in generator.integers(0, 100_000, (count,)).tolist()]
    policy.steps = steps or kept
    try:
        task = environment(model.task)
        return model.task, control.rollout(task, policy.planned, seeds, generator, fan=16)
    finally:
        policy.steps = kept


def film(folder: str | Path, found: tuple[str, Rollouts]) -> Path:
    """Write rollouts of `sample` with the predicted actions to `samples.gif`; return its path."""
    from ..gallery import diffusion_policy as gallery

    path = Path(folder) / "samples.gif"
    gallery.film(*found, path)
    return path


def restore(folder: str | Path) -> Trained:
    """Return both policies of a run, the one by diffusion with the averaged weights."""
    config: list[Config] = []

    def built(found: Config) -> DiffusionPolicy:
        config.append(found)
        return build(found)

    def load(model: DiffusionPolicy, state: dict[str, Any]) -> None:
        model.load_state_dict(state["ema"]["model"])

    diffusion = restored(folder, Config, built, load).eval()
    regression = restored(Path(folder) / "regression", Config, build_regression).eval()
    return Trained(config[0].task, diffusion, regression)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained policy on 4 windows, and named tensors of its graph."""
    episodes = demonstrated(config)
    model = build(config)
    model.fit(episodes)
    observed, actions = training_set(episodes)[:4]
    x0, condition = model.actions(actions).requires_grad_(), model.condition(observed)
    t = tg.randint(0, config.timesteps, (len(x0),))
    x_t, noise = model.process.forward_diffusion(x0, t)
    predicted = model.network(x_t, t, condition)
    total = tg.mean((predicted - noise) ** 2)
    named = {"A": x0, "O": condition, "t": t, "x_t": x_t, "ε": noise, "predicted": predicted}
    return total, {**named, "loss": total, **dict(model.named_parameters())}

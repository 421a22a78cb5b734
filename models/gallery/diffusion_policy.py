"""Pictures of a policy: boards, trajectories, fans of predicted actions, films of rollouts."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinygrad_gm import Generator, pictures
from tinygrad_gm.training.metrics import read_metrics

from ..diffusion_policy import obstacle, push_t, recipe
from ..diffusion_policy.control import Rollouts
from ..diffusion_policy.policy import Policy
from ..diffusion_policy.windows import EXECUTED, OBSERVED, Array, Episodes, windows

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

FAN, CHOSEN, AGENT = "#F0A868", "#C2410C", "#4169E1"
LEFT, RIGHT, FAILED = "#2F6FB0", "#3B8A5A", "#C43C39"


class Board(NamedTuple):
    """A square of a task on which can be drawn, at twice the size.

    Attributes:
        task: the task.
        size: width and height in pixels.
        image, draw: the picture.
    """

    task: str
    size: int
    image: Image
    draw: ImageDraw

    @classmethod
    def empty(cls, task: str, size: int) -> Board:
        """A board with what does not move: the obstacle and the goal, or the target."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (2 * size, 2 * size), "white")
        board = cls(task, size, image, ImageDraw.Draw(image))
        if task == "push_t":
            board.block(push_t.corners(np.array([push_t.TARGET]))[0], "#90EE90")
        else:
            board.disc(np.zeros(2), obstacle.RADIUS, "#B8B8B8")
            board.disc(obstacle.GOAL, obstacle.REACHED, "#90EE90")
        board.draw.rectangle([(0, 0), (2 * size - 1, 2 * size - 1)], outline="#B8B8B8", width=2)
        return board

    def pixels(self, points: Array) -> list[tuple[float, float]]:
        """The pixels of points (N, 2) of the task."""
        if self.task == "push_t":
            scaled = points * (2 * self.size / push_t.SIDE)
        else:
            scaled = (points * [1, -1] + 1) * self.size
        return [(x, y) for x, y in scaled.tolist()]

    def disc(self, middle: Array, radius: float, colour: str) -> None:
        """A disc; the radius is a length of the task."""
        ((x, y),) = self.pixels(middle[None])
        reach = radius * 2 * self.size / (push_t.SIDE if self.task == "push_t" else 2)
        self.draw.ellipse([(x - reach, y - reach), (x + reach, y + reach)], colour)

    def line(self, points: Array, colour: str, width: int = 2) -> None:
        """A line through points (N, 2)."""
        self.draw.line(self.pixels(points), colour, width, "curve")

    def block(self, corners: Array, colour: str) -> None:
        """The T with the corners (8, 2)."""
        for part in (corners[:4], corners[4:]):
            self.draw.polygon(self.pixels(part), colour)

    def observation(self, seen: Array) -> None:
        """What an observation (D,) says: agent and block, or the point."""
        if self.task == "push_t":
            self.block(seen[2:].reshape(8, 2), "#778899")
        self.disc(seen[:2], 15 if self.task == "push_t" else 0.03, AGENT)

    def fan(self, plans: Array) -> None:
        """Plans (fan, T_p, 2), the first of which is executed."""
        for plan in plans[1:]:
            self.line(plan, FAN)
        self.line(plans[0], CHOSEN, 4)

    def done(self) -> Image:
        """The picture, smoothed."""
        return self.image.resize((self.size, self.size))


def fans(policy: Policy, task: str, episodes: Episodes, generator: Generator) -> Image:
    """Thirty-two plans for each of four observations of a demonstration."""
    rows = windows(episodes.ends[:1])
    shown = rows[np.linspace(0, len(rows) - 1, 5).astype(int)[:4], :OBSERVED]
    histories = episodes.observation[shown]
    plans = policy.planned(np.repeat(histories, 32, axis=0), generator)
    boards = []
    for history, fan in zip(histories, plans.reshape(4, 32, *plans.shape[1:]), strict=True):
        board = Board.empty(task, 240)
        board.observation(history[-1])
        board.fan(fan)
        boards.append(board.done())
    return pictures.panels(boards, columns=4)


def write_lesson(trained: recipe.Trained, folder: Path) -> None:
    """Draw a hundred rollouts of each policy, and their first plans from the same place."""
    boards = []
    for policy in (trained.diffusion, trained.regression):
        found = recipe.evaluate(policy, obstacle.Obstacle(), range(100))
        boards.append(_trajectories(found))
        history = np.tile(obstacle.START, (32, OBSERVED, 1))
        board = Board.empty("obstacle", 320)
        board.fan(policy.planned(history, Generator(0)))
        board.observation(obstacle.START)
        boards.append(board.done())
    captions = (
        ("diffusion: 100 rollouts", "32 plans from one place"),
        ("regression: 100 rollouts", "its plan"),
    )
    titled = [_titled(board, text) for board, text in zip(boards, sum(captions, ()), strict=True)]
    pictures.panels(titled, columns=4, path=folder / "trajectories.png")


def _trajectories(found: Rollouts) -> Image:
    board = Board.empty("obstacle", 320)
    left, _ = obstacle.sides(found.observations)
    for row, won in enumerate(found.scores == 1):
        colour = (LEFT if left[row] else RIGHT) if won else FAILED
        board.line(found.observations[:, row], colour)
    return board.done()


def _titled(board: Image, text: str) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (board.width, board.height + 28), "white")
    picture.paste(board, (0, 28))
    font = ImageFont.load_default(16)
    ImageDraw.Draw(picture).text((board.width / 2, 14), text, "#202020", font, anchor="mm")
    return picture


def write_curve(folder: Path) -> None:
    """Draw the scores of the rollouts during the training."""
    tried = [metrics for metrics in read_metrics(folder) if "score" in metrics]
    if tried:
        steps = [float(metrics["step"]) for metrics in tried]
        scores = [metrics["score"] for metrics in tried]
        path = folder / "learning.png"
        pictures.curves({"score": (steps, scores)}, title="score of rollouts", path=path)


def film(task: str, found: Rollouts, path: str | Path) -> None:
    """Write rollouts as an animated GIF, ten steps a second, up to sixteen side by side."""
    count = min(found.rewards.shape[1], 16)
    columns = math.ceil(math.sqrt(count))
    size = 360 if count == 1 else 480 // columns
    with tempfile.TemporaryDirectory() as folder:
        frames = []
        for step, boards in enumerate(_frames(task, found, count, size)):
            frames.append(Path(folder) / f"{step:04}.png")
            pictures.panels(boards, columns=columns, path=frames[-1])
        pictures.film(frames, path, seconds=0.1)


def _frames(task: str, found: Rollouts, count: int, size: int) -> Iterable[list[Image]]:
    """The boards of all steps: with the plans in force, and the way of the agent."""
    plans = {
        (plan.step, int(row)): fan
        for plan in found.plans
        for row, fan in zip(plan.rows, plan.actions, strict=True)
    }
    for step in range(len(found.observations)):
        boards = []
        for row in range(count):
            board = Board.empty(task, size)
            board.observation(found.observations[step, row])
            fan = plans.get((step - step % EXECUTED, row))
            if fan is not None and not found.rewards[:step, row].max(initial=0) >= 1:
                board.fan(fan)
            board.line(found.observations[: step + 1, row, :2], AGENT)
            board.disc(found.observations[step, row, :2], 15 if task == "push_t" else 0.03, AGENT)
            boards.append(board.done())
        yield boards

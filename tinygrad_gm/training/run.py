"""A run: a folder in which a model is trained, and resumed after an interruption, bit for bit.

The folder holds `config.json`; `metrics.jsonl`, one line of numbers per step and per epoch, without
times; `log.jsonl`, the events with times; `samples/` and, at the end, `samples.gif`, their
animation, and `curves.png`; and `checkpoint.safetensors`, with all that the next step depends on:
the weights, the state of the optimizer and its helpers, the position in the data, the random
generator. The randomness of a step depends on (seed, epoch, batch number) alone. When a run is
resumed, the metrics are truncated to their state at the checkpoint. So a run that was killed at any
time and resumed ends with the same bytes, in weights and metrics, as an uninterrupted one. One
process at a time trains in a folder: see `folder` for the lock, and `state` for the checks of a
checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from .. import pictures
from ..backend import ArrayLike
from ..data import DataLoader
from ..engine.modes import no_grad
from ..io import CheckpointError, PathLike, append, save, write_file
from ..nn import Module
from ..nn.module import evaluating
from ..optim import EMA, Optimizer, clip_grad_norm_
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..random import Generator, default_generator, using
from ..tensor import Tensor
from .config import check_same_run, model_of, plain
from .folder import CHECKPOINT, LOCK, claim, remove_leftovers
from .metrics import as_number, write_curves
from .progress import in_words, progress
from .state import Stateful, in_one_line, read_checkpoint

if TYPE_CHECKING:
    from PIL.Image import Image

Metrics: TypeAlias = Mapping[str, Any]  # names and numbers, or Tensors of one element
LossFunction: TypeAlias = Callable[[Any, Generator], Tensor | tuple[Tensor, Metrics]]
Step: TypeAlias = Callable[[Any, Generator], Metrics]
EpochCallback: TypeAlias = Callable[[int], Metrics | None]
Sampler: TypeAlias = Callable[[Generator], "ArrayLike | Image | str"]


class DivergenceError(RuntimeError):
    """The loss, or another number in the metrics, became NaN or infinite."""


class Run:
    """A folder for one training, with its metrics and its checkpoint.

    Args:
        folder: the folder, created if necessary.
        config: the configuration of the training: a dataclass or a dict of plain values.
        resume: continue from the checkpoint in the folder, if there is one. The config must equal
            that of the checkpoint, except that "epochs" may be larger, and that fields of a
            dataclass missing in the checkpoint must have their defaults.
        command: the command to resume, for the message after Ctrl-C.

    Attributes:
        folder: its path.
        step: number of steps done.

    The folder is locked from the creation of the Run until `close`, the end of `fit` or `train`,
    or, with `with Run(…) as run`, the end of the block. `fit`, `train` and `log` lock it again.

    Raises:
        FileExistsError: there is a checkpoint in the folder, and `resume` is not set; or there are
            files that only look like a run's.
        BlockingIOError: another run has locked the folder.
        CheckpointError: the checkpoint is damaged, or of another model.
        ValueError: the checkpoint was made with another config.
        OSError: the folder cannot be written.

    >>> import tempfile
    >>> from tinygrad_gm import data, nn, optim
    >>> from tinygrad_gm.training.metrics import read_metrics
    >>> from tinygrad_gm.training import Run
    >>> x = tg.linspace(-1, 1, 64).reshape(-1, 1)
    >>> loader = data.DataLoader(data.TensorDataset(x, 3 * x), batch_size=16, shuffle=True)
    >>> model = nn.Linear(1, 1)
    >>> def loss(batch, generator):
    ...     x, y = batch
    ...     return ((model(x) - y) ** 2).mean()
    >>> with Run(tempfile.mkdtemp(), {"lr": 0.5}) as run:
    ...     run.fit(model, optim.SGD(model.parameters(), lr=0.5), loss, loader, epochs=20)
    >>> run.step, round(model.weight.item(), 3)
    (80, 3.0)
    >>> len(read_metrics(run.folder))
    80
    """

    def __init__(
        self,
        folder: PathLike,
        config: Any = None,
        *,
        resume: bool = False,
        command: str | None = None,
    ) -> None:
        if not os.fspath(folder):
            raise ValueError("Run: the name of the folder is empty")
        self.folder, self.step = Path(folder), 0
        self.config = plain(config)
        self._config, self._resume, self._command = config, resume, command
        self._stands_on: int | None = None  # steps of the run that this one is a stage of
        self._metrics: BinaryIO | None = None
        self._metrics_size, self._is_cut = 0, False  # bytes at the checkpoint; cut back to them
        self._size_at_close: int | None = None
        self._is_longer = self._is_held = False
        self._began = time.monotonic()
        if not (self.folder / LOCK).exists() and self.checkpoint.exists():
            read_checkpoint(self.folder)  # one of ours, or nothing is touched
        self._lock = claim(self.folder)
        try:
            self._state = self._read_state()
            if self._state is None:
                text = json.dumps(self.config, indent=2) + "\n"
                write_file(self.folder / "config.json", text)
            else:
                self._metrics_size = self._state["run"]["metrics_bytes"]
            self._check_metrics()
            remove_leftovers(self.folder)
        except BaseException:
            self._lock.release()
            raise

    def stage(self, name: str) -> Run:
        """Return a run in a subfolder, for a second training that depends on the first. It has the
        same config and is resumed if this run is, but starts again if this run has continued since.

        >>> import tempfile
        >>> from tinygrad_gm.training import Run
        >>> with Run(tempfile.mkdtemp()) as run, run.stage("prior") as second:
        ...     second.folder.name, second.folder.parent == run.folder
        ('prior', True)
        """
        stage = Run(self.folder / name, self._config, resume=self._resume, command=self._command)
        stage._stands_on = self.step
        if stage._state is not None and stage._state["run"]["stands_on"] not in (None, self.step):
            stage._state, stage._metrics_size = None, 0
        return stage

    @property
    def checkpoint(self) -> Path:
        """The path of the checkpoint; `tg.load` reads it."""
        return self.folder / CHECKPOINT

    def fit(
        self,
        model: Module,
        optimizer: Optimizer,
        loss_fn: LossFunction,
        loader: DataLoader,
        epochs: int,
        *,
        schedule: LRScheduler | None = None,
        ema: EMA | None = None,
        parts: Mapping[str, Stateful] | None = None,
        clip_norm: float | None = None,
        on_epoch: EpochCallback | None = None,
        sample: Sampler | None = None,
        sample_every: int | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        """Minimise a loss by gradient descent, continuing from the checkpoint of a resumed run.

        The checkpoint holds the "model", the "optimizer", the "schedule", the "ema" and the parts.

        Args:
            model: the model, set to training mode at the start of each epoch.
            optimizer: optimizer of the model's parameters.
            loss_fn: called with a batch and the random generator of this step (also the default
                generator then); returns the loss, or the loss and a dict of further metrics.
            loader: loader of the training data.
            epochs: total number of epochs.
            schedule: learning rate schedule; its `step()` is called after each step of the
                optimizer, so it counts steps, not epochs. The metrics then have "lr", the learning
                rate of the step.
            ema: an average of the weights; its `update()` is called after each step. `on_epoch` and
                `sample` should then use `ema.model`.
            parts: further objects that `loss_fn` changes, such as the state of a recurrent network
                that the next batch continues, by name in the checkpoint.
            clip_norm: maximum norm of the gradient of all parameters together. The metrics then
                have "grad_norm", the norm before clipping.
            on_epoch: called after each epoch with its number, from 1; its result is added to the
                metrics.
            sample: returns images for `pictures.grid` or a picture, written to
                `samples/step-000500.png`, or a text, written to `samples/step-000500.txt`. Called
                with a generator that gives the same noise each time, without gradients, the model
                in evaluation mode.
            sample_every: number of steps between samples; None: after each epoch.
            checkpoint_every: number of steps between checkpoints, in addition to those after each
                epoch.

        Raises:
            DivergenceError: the loss or another number is NaN or infinite. The weights are those
                before this step, and the last checkpoint is kept.
            KeyboardInterrupt: after Ctrl-C, when the step is done and the checkpoint is written.
        """
        if isinstance(schedule, ReduceLROnPlateau):
            raise TypeError(
                "fit: a ReduceLROnPlateau needs a metric after each epoch: pass it to `train` as "
                "one of the parts, and step it in on_epoch"
            )

        def step(batch: Any, generator: Generator) -> Metrics:
            optimizer.zero_grad()
            result = loss_fn(batch, generator)
            loss, more = result if isinstance(result, tuple) else (result, {})
            metrics = self._finite({"loss": loss, **more})
            loss.backward()
            if clip_norm is not None:
                norm = clip_grad_norm_(_parameters(optimizer), clip_norm)
                metrics |= self._finite({"grad_norm": norm})
            if schedule is not None:
                metrics["lr"] = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if ema is not None:
                ema.update()
            return metrics

        everything: dict[str, Stateful] = {**(parts or {}), "model": model, "optimizer": optimizer}
        if schedule is not None:
            everything["schedule"] = schedule
        if ema is not None:
            everything["ema"] = ema
        self.train(
            step,
            everything,
            loader,
            epochs,
            on_epoch=on_epoch,
            sample=sample,
            sample_every=sample_every,
            checkpoint_every=checkpoint_every,
        )

    def train(
        self,
        step: Step,
        parts: Mapping[str, Stateful],
        loader: DataLoader,
        epochs: int,
        *,
        on_epoch: EpochCallback | None = None,
        sample: Sampler | None = None,
        sample_every: int | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        """As `fit`, for steps of any kind: of two models against each other, of two optimizers …

        Args:
            step: called with a batch and its generator; changes the parts and returns numbers for
                the metrics.
            parts: all objects that a step or `on_epoch` changes, such as a schedule stepped once
                per epoch, by name in the checkpoint.
            loader, epochs, on_epoch, sample, sample_every, checkpoint_every: as in `fit`.
        """
        for name, value in (("sample", sample_every), ("checkpoint", checkpoint_every)):
            if value is not None and value < 1:
                raise ValueError(f"train: {name}_every is {value}; expected at least 1 step")
        interrupt = _Interrupt()
        try:
            self._restore(parts, loader, epochs)
            self._open_metrics()
            self._note("resume" if self.step else "start")
            bar = progress(self.folder.name, epochs * len(loader), self.step)
            with interrupt, closing(bar):
                while loader.epoch < epochs and not interrupt.asked:
                    epoch = loader.epoch + 1
                    for part in parts.values():
                        if isinstance(part, Module):
                            part.train()
                    for metrics in self._steps(step, loader):
                        bar.advance(metrics)
                        if sample and sample_every and self.step % sample_every == 0:
                            self._draw(sample, parts)
                        if interrupt.asked:
                            break
                        if checkpoint_every and self.step % checkpoint_every == 0:
                            self._save(parts, loader)
                    else:
                        place = {**loader.state_dict(), "epoch": epoch, "batch": 0}
                        if on_epoch is not None and (found := on_epoch(epoch)):
                            metrics = self._record(epoch, found)
                            bar.say(f"epoch {epoch} of {epochs}: {in_words(metrics)}")
                        if sample and not sample_every:
                            self._draw(sample, parts)
                        loader.load_state_dict(place)  # on_epoch may have used it
                    self._save(parts, loader)
            if not self.checkpoint.exists():  # for 0 epochs
                self._save(parts, loader)
            if not interrupt.asked:
                with self.drawing():
                    write_curves(self.folder)
                with self.drawing():
                    self._write_film()
            self._note("interrupt" if interrupt.asked else "finish")
        finally:
            self._end()
        if interrupt.asked:
            print(
                f"stopped after step {self.step}, and saved; {self._how_to_resume()}",
                file=sys.stderr,
            )
            raise KeyboardInterrupt

    def _steps(self, step: Step, loader: DataLoader) -> Iterator[dict[str, float]]:
        """Do the remaining steps of the loader's epoch; yield the metrics of each."""
        epoch = loader.epoch + 1
        for batch in loader:
            with using(loader.batch_generator):
                place = loader.epoch, loader.batch
                found = step(batch, loader.batch_generator)
                loader.epoch, loader.batch = place  # the step may have used it
            self.step += 1
            yield self._record(epoch, found)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """A block that draws: errors become warnings, since the training is already saved."""
        try:
            yield
        except Exception as error:
            warnings.warn(
                f"Run: a picture of {self.folder} could not be made after step {self.step}: "
                f"{in_one_line(error)}",
                RuntimeWarning,
                stacklevel=3,
            )

    def _draw(self, sample: Sampler, parts: Mapping[str, Stateful]) -> None:
        """Write a sample of the model, without effect on the training."""
        generator = Generator(0)  # the same noise each time, to show the progress
        with ExitStack() as modes, self.drawing():
            for part in parts.values():
                if isinstance(part, Module):
                    modes.enter_context(evaluating(part))
            with no_grad(), using(generator):
                drawn: Any = sample(generator)
            folder = self.folder / "samples"
            folder.mkdir(exist_ok=True)
            path = folder / f"step-{self.step:06}"
            if isinstance(drawn, str):
                write_file(path.with_suffix(".txt"), drawn)
            else:
                picture = drawn if hasattr(drawn, "save") else pictures.grid(drawn)
                pictures.save(picture, path.with_suffix(".png"))

    def _write_film(self) -> None:
        """Write the pictures in `samples/` as an animation, `samples.gif`."""
        frames = sorted((self.folder / "samples").glob("step-*.png"))
        if len(frames) > 1:
            pictures.film(frames, self.folder / "samples.gif")

    def _record(self, epoch: int, found: Metrics) -> dict[str, float]:
        metrics = self._finite(found)
        self.log({"step": self.step, "epoch": epoch, **metrics})
        return metrics

    def log(self, values: Metrics) -> None:
        """Append one line to `metrics.jsonl`.

        `fit` and `train` do so automatically. Lines after the checkpoint are removed when the run
        is resumed from it.

        Args:
            values: finite numbers, or Tensors of one element, by name. A "step", by which the
                curves are drawn, and an "epoch" are whole numbers, from 0.

        Raises:
            TypeError, ValueError: an invalid value; nothing is written then.
            OSError: the line cannot be written; no part of it is then.
        """
        numbers = {name: as_number("log", name, value) for name, value in values.items()}
        for name, number in numbers.items():
            if not math.isfinite(number):
                raise ValueError(f"log: {name!r} is {number}; expected a finite number")
            if name in ("step", "epoch") and not (type(number) is int and number >= 0):
                raise ValueError(f"log: {name!r} is {number}; expected an int ≥ 0")
        line = json.dumps(numbers).encode() + b"\n"
        append(self._metrics_path, self._open_metrics(), line)

    def close(self) -> None:
        """Close the metrics file and release the folder; `log` locks it again."""
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        if self._lock.is_held:
            self._size_at_close = self._bytes_of_metrics()
            self._lock.release()

    def _end(self) -> None:
        """Close, unless within a `with` block, which closes at its end."""
        if not self._is_held:
            self.close()

    def __enter__(self) -> Run:
        self._is_held = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_held = False
        self.close()

    # ------------------------------------------------------------------------ the checkpoint

    def _save(self, parts: Mapping[str, Stateful], loader: DataLoader) -> None:
        from ..version import __version__

        metrics = self._open_metrics().fileno()
        os.fsync(metrics)  # before the checkpoint, which depends on these lines
        own = {
            "step": self.step,
            "config": self.config,
            "model": model_of(self._config),
            "version": __version__,
            "stands_on": self._stands_on,
            "metrics_bytes": os.fstat(metrics).st_size,
            "loader": loader.state_dict(),
            "generator": default_generator().get_state(),
        }
        states = {name: part.state_dict() for name, part in parts.items()}
        save(self.checkpoint, {"run": own, **states})
        self._note("checkpoint")

    def _restore(self, parts: Mapping[str, Stateful], loader: DataLoader, epochs: int) -> None:
        if "run" in parts:
            raise ValueError('train: the name "run" of a part is reserved; rename it')
        if self._state is None:
            if self.step == 0:  # batches inspected before do not change the training
                start = {"epoch": 0, "batch": 0, "next_epoch": 0}
                loader.load_state_dict({**loader.state_dict(), **start})
            return
        own = self._state["run"]
        state = {name: part for name, part in self._state.items() if name != "run"}
        if set(state) != set(parts):
            raise ValueError(
                f"train: the parts are {', '.join(parts)}; the checkpoint in {self.folder} has "
                f"{', '.join(state)}"
            )
        schedules = [
            (part, part.state_dict(), part.get_last_lr())
            for part in parts.values()
            if isinstance(part, LRScheduler) and not isinstance(part, ReduceLROnPlateau)
        ]
        for name, part in parts.items():
            with self._loading(name):
                part.load_state_dict(state[name])
        if self._is_longer:  # continue on the curve of the new number of epochs, at the same step
            for schedule, curve, rates in schedules:
                steps = min(schedule.last_epoch, epochs * len(loader))
                schedule.load_state_dict(curve)
                for group, lr in zip(schedule.optimizer.param_groups, rates, strict=True):
                    group["lr"] = lr
                for _ in range(steps):
                    schedule.step()
        with self._loading("position in the data"):
            loader.load_state_dict(own["loader"])
        with self._loading("random generator"):
            default_generator().set_state(own["generator"])
        self.step, self._state = own["step"], None

    @contextmanager
    def _loading(self, name: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # from load_state_dict, with a clear message
            raise
        except Exception as error:
            raise CheckpointError(
                f"train: the {name} in {self.checkpoint} cannot be loaded: {in_one_line(error)}"
            ) from error

    def _read_state(self) -> dict[str, Any] | None:
        if not self.checkpoint.exists():
            return None
        if not self._resume:
            raise FileExistsError(
                f"Run: {self.folder} already contains a run; resume it (resume=True, --resume), or "
                "choose another folder"
            )
        state = read_checkpoint(self.folder)
        self._is_longer = check_same_run(self.folder, state["run"], self._config)
        return state

    # ------------------------------------------------------------------------ what is written

    @property
    def _metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    def _bytes_of_metrics(self) -> int:
        return self._metrics_path.stat().st_size if self._metrics_path.exists() else 0

    def _check_metrics(self) -> int:
        """Return the size of the metrics file; ValueError if lines of this run are missing."""
        path, there = self._metrics_path, self._bytes_of_metrics()
        if there < self._metrics_size:
            raise ValueError(
                f"Run: {path} has {there} bytes, but had {self._metrics_size} when the checkpoint "
                "was written; restore it, or choose another folder"
            )
        return there

    def _open_metrics(self) -> BinaryIO:
        """Lock the folder and open the metrics file; truncate it to the checkpoint at first."""
        if self._metrics is None:
            self._lock.acquire()
            path, there = self._metrics_path, self._check_metrics()
            if self._size_at_close not in (None, there):
                raise ValueError(f"Run: {path} has been changed since this run was closed")
            if not self._is_cut:
                if there > self._metrics_size:
                    os.truncate(path, self._metrics_size)
                log = self.folder / "log.jsonl"
                if log.exists():  # a killed process may have left an incomplete line
                    os.truncate(log, log.read_bytes().rfind(b"\n") + 1)
            self._is_cut = True
            self._metrics = open(path, "ab", buffering=0)  # noqa: SIM115
        return self._metrics

    def _note(self, event: str) -> None:
        """Append a line about an event, with its time, to `log.jsonl`."""
        seconds = round(time.monotonic() - self._began, 3)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"event": event, "step": self.step, "time": now, "seconds": seconds})
        path = self.folder / "log.jsonl"
        with open(path, "ab", buffering=0) as file:
            append(path, file, line.encode() + b"\n")

    def _finite(self, metrics: Metrics) -> dict[str, float]:
        """Convert the metrics to finite numbers."""
        numbers = {name: as_number("train", name, value) for name, value in metrics.items()}
        for name, value in numbers.items():
            if name in ("step", "epoch"):
                raise ValueError(f"train: the metric name {name!r} is reserved; rename it")
            if not math.isfinite(value):
                kept = f"the last checkpoint is {self.checkpoint}"
                raise DivergenceError(
                    f"train: {name} is {value} after {self.step} steps; "
                    f"{kept if self.checkpoint.exists() else 'there is no checkpoint yet'}. Check "
                    "the data for NaN, or use a smaller learning rate"
                )
        return numbers

    def _how_to_resume(self) -> str:
        command = self._command or (shlex.join(sys.orig_argv) if self._resume else None)
        return f"to resume: {command or f'Run({str(self.folder)!r}, …, resume=True)'}"


class _Interrupt:
    """A block in which the first Ctrl-C only sets `asked`; the second one interrupts."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Interrupt:
        main = threading.current_thread() is threading.main_thread()
        # A program's own handler, or an ignored signal, is kept.
        self._replaces = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._replaces:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._replaces:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]

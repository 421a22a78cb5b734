"""The recipe: moving digits or a real clip, two trainings, and the drawing of clips.

The autoencoder is trained first, then the network of its latents in the subfolder `transformer`.
In both, the learning rate rises for a tenth of the steps and then falls to almost 0; clips are
drawn with an average of the last weights (`optim.EMA`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, optim
from tinygrad_gm.backend import ArrayLike
from tinygrad_gm.data.images import mnist_at_hand
from tinygrad_gm.data.moving_mnist import bouncing
from tinygrad_gm.random import using
from tinygrad_gm.training import Run, option, read_checkpoint, restored
from tinygrad_gm.training.config import check, config_from

from ..parts.classes import check_class, labels_for
from . import autoencoder
from .autoencoder import REDUCTION, VideoAutoencoder, latent_frames, psnr
from .latents import LatentDiffusion
from .latte import Latte

TRAINING_TIME = "about 50 minutes on one core"
MOVING = "moving_mnist"
SIZE = 32  # of the frames of moving digits
UNSEEN = 8  # last frames of a real clip, not trained on


@dataclass(frozen=True)
class Config:
    """The recipe of both trainings."""

    dataset: str = option(
        MOVING, "moving digits, or the file of a clip", choices=(MOVING,), path=True
    )
    held_out: int = option(
        0, "number of training digits judged instead of the test digits", least=0, most=5000
    )
    frames: int = option(17, "number of frames of a training clip", least=2)
    positions: int = option(33, "largest number of frames of a clip", least=2)
    clips: int = option(3200, "number of new clips per epoch, in both trainings")
    channels: int = option(32, "number of channels of the finest layer of the autoencoder")
    latent_channels: int = option(8, "number of channels of the latents")
    time_stride: int = option(4, "number of frames of a latent frame", choices=(1, 2, 4))
    epochs: int = option(10, "number of epochs of the autoencoder", least=0)
    batch_size: int = option(8, "number of clips per step of the autoencoder")
    learning_rate: float = option(2e-3, "learning rate of Adam at its peak, of the autoencoder")
    width: int = option(192, "width of the transformer, a multiple of 4 and of the heads")
    depth: int = option(8, "number of blocks of the transformer, an even number", most=1000)
    heads: int = option(4, "number of heads of the attention")
    timesteps: int = option(1000, "T, the number of steps from data to noise", most=100_000)
    transformer_epochs: int = option(60, "number of epochs of the transformer", least=0)
    transformer_batch_size: int = option(16, "number of clips per step of the transformer")
    transformer_learning_rate: float = option(
        1e-3, "learning rate of AdamW at its peak, of the transformer"
    )
    ema: float = option(0.999, "decay rate of the average of the transformer's weights", most=1)
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)
        if (self.frames - 1) % self.time_stride:
            raise ValueError(
                f"sora: training clips of {self.frames} frames; expected one more than a multiple "
                f"of the stride in time, {self.time_stride}"
            )
        if self.positions < self.frames:
            raise ValueError(
                f"sora: clips of {self.frames} frames have more frames than positions, "
                f"{self.positions}"
            )


class Clips(data.Dataset):
    """New clips (C, T, H, W) in [0, 1] at each use: moving digits with their labels, or windows of
    a real clip.

    Args:
        config: names the data set.
        train: clips to train on, otherwise those to judge by.

    Raises ValueError for a real clip that is too short, or of a size that does not fit.
    """

    def __init__(self, config: Config, *, train: bool = True) -> None:
        self.frames, self.count = config.frames, config.clips
        self.film: Tensor | None = None
        if config.dataset != MOVING:
            self.film = read(config)[: -UNSEEN if train else None]
            return
        split = mnist_at_hand() or data.mnist_small()
        part = split.train if train or config.held_out else split.test
        rows = slice(None, -config.held_out or None) if train else slice(-config.held_out, None)
        self.digits = data.TensorDataset(*part[rows])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        clips, labels = self.batch([index])
        return clips[0], labels[0]

    def batch(self, indices: ArrayLike) -> tuple[Tensor, Tensor]:
        """New clips (N, C, T, H, W), one for each index, and their labels (N,)."""
        count = len(tg.asarray(indices))
        if self.film is None:
            films, shown = bouncing(self.digits, count, self.frames, SIZE)
            labels = shown[:, 0]
        else:
            starts = tg.randint(0, len(self.film) - self.frames + 1, (count,))
            films = self.film[starts[:, None] + tg.arange(self.frames)]
            labels = tg.zeros(count, tg.int64)
        return films.permute_dims((0, 2, 1, 3, 4)), labels


def read(config: Config) -> Tensor:
    """The real clip of a config, (T, C, H, W)."""
    film = data.video(config.dataset)
    if len(film) < config.frames + UNSEEN:
        raise ValueError(
            f"sora: {config.dataset} has {len(film)} frames; expected at least "
            f"{config.frames + UNSEEN}, of which {UNSEEN} are not trained on"
        )
    height, width = film.shape[2:]
    step = 2 * REDUCTION
    if height != width or height % step:
        raise ValueError(
            f"sora: {config.dataset} has frames of {height} × {width} pixels; expected squares, "
            f"with a side that is a multiple of {step}"
        )
    return film


class Sora(NamedTuple):
    """The result of a run: the autoencoder, the diffusion of its latents, and the config."""

    autoencoder: VideoAutoencoder
    diffusion: LatentDiffusion
    config: Config


def build(config: Config) -> VideoAutoencoder:
    """The untrained autoencoder of a config."""
    tg.manual_seed(config.seed)
    colours = 1 if config.dataset == MOVING else read(config).shape[1]
    return VideoAutoencoder(colours, config.latent_channels, config.time_stride, config.channels)


def build_diffusion(config: Config) -> LatentDiffusion:
    """The untrained diffusion of a config."""
    tg.manual_seed(config.seed)
    network = Latte(
        side(config) // REDUCTION,
        latent_frames(config.positions, config.time_stride),
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        num_classes=10 if config.dataset == MOVING else None,
        rotary=True,
    )
    return LatentDiffusion(network, config.timesteps, config.latent_channels)


def side(config: Config) -> int:
    """Height and width of a frame in pixels."""
    return SIZE if config.dataset == MOVING else read(config).shape[2]


def train(config: Config, run: Run) -> None:
    """Train the autoencoder, then the transformer in the subfolder `transformer`; write a page."""
    from ..gallery import sora as gallery

    build_diffusion(config)  # a wrong size is found before the first training
    unseen, _ = some_clips(config, 32)
    model = build(config)
    loader = data.DataLoader(Clips(config), config.batch_size, shuffle=True, seed=config.seed)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    run.fit(
        model,
        optimizer,
        lambda batch, generator: autoencoder.loss(model, batch[0]),
        loader,
        config.epochs,
        schedule=_one_cycle(optimizer, config.learning_rate, config.epochs * len(loader)),
        on_epoch=lambda epoch: {"test_psnr": reconstruction(model, unseen)},
    )
    with run.stage("transformer") as second:
        diffusion = train_transformer(model.eval(), config, second)
    with run.drawing():
        gallery.write_page(Sora(model, diffusion, config), run.folder)


def train_transformer(model: VideoAutoencoder, config: Config, run: Run) -> LatentDiffusion:
    """Train the diffusion of the latents of new clips; return the averaged network."""
    diffusion = build_diffusion(config)
    with tg.no_grad(), using(Generator(config.seed)):
        diffusion.measure(model.encode(Clips(config).batch(range(64))[0]))
    batches = config.transformer_batch_size
    loader = data.DataLoader(Clips(config), batches, shuffle=True, seed=config.seed)
    rate = config.transformer_learning_rate
    optimizer = optim.AdamW(diffusion.parameters(), lr=rate, weight_decay=0.0)
    ema = optim.EMA(diffusion, config.ema, warmup=True)
    average = cast(LatentDiffusion, ema.model)

    def loss(batch: tuple[Tensor, Tensor], generator: Generator) -> Tensor:
        clips, labels = batch
        with tg.no_grad():
            latents = model.encode(clips)
        return diffusion.loss(latents, labels if diffusion.classes else None)

    run.fit(
        diffusion,
        optimizer,
        loss,
        loader,
        config.transformer_epochs,
        schedule=_one_cycle(optimizer, rate, config.transformer_epochs * len(loader)),
        ema=ema,
        clip_norm=1.0,
    )
    return average.eval()


def _one_cycle(optimizer: optim.Optimizer, rate: float, steps: int) -> Any:
    return optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(steps, 1), pct_start=0.1, cycle_momentum=False
    )


def some_clips(config: Config, count: int) -> tuple[Tensor, Tensor]:
    """Clips (count, C, T, H, W) to judge by, the same each time, and their labels."""
    with using(Generator(1)):
        return Clips(config, train=False).batch(range(count))


@tg.no_grad()
def reconstruction(model: VideoAutoencoder, clips: Tensor) -> float:
    """The PSNR of clips (N, C, T, H, W), encoded and decoded, in dB."""
    return float(psnr(F.mse_loss(model.decode(model.encode(clips)), clips)))


@tg.no_grad()
def sample(
    model: Sora,
    count: int,
    generator: Generator,
    *,
    label: int | None = None,
    guidance: float = 0.0,
    steps: int = 50,
    frames: int | None = None,
    image: str | Path | None = None,
) -> Tensor:
    """New clips (count, frames, C, H, W) in [0, 1].

    Args:
        model: the model.
        count: number of clips.
        generator: random generator.
        label: the digit; None: all digits in turn, or with an image no class.
        guidance: weight of classifier-free guidance.
        steps: number of steps of DDIM.
        frames: number of frames; None: as in training; 1: a picture.
        image: file of the first frame; None: none is given.

    Raises ValueError, in one line, for what the model does not have.
    """
    config, classes = model.config, model.diffusion.classes
    check_class(label, classes)
    frames = config.frames if frames is None else frames
    if frames < 1:
        raise ValueError(f"sora: {frames} frames; expected at least 1")
    labels = labels_for(label, count, classes) if classes else None
    width = side(config)
    first = tg.zeros((count, model.autoencoder.in_channels, 0, width, width))
    if image is not None:
        first = tg.repeat(first_frame(model, image)[None], count, axis=0)
        labels = labels if label is not None else None
    return continued(model, first, frames, generator, labels, guidance, steps)


def first_frame(model: Sora, path: str | Path) -> Tensor:
    """The picture in a file as a clip of one frame, (C, 1, H, W). ValueError if it has another
    size, or is grey where colours are expected.
    """
    colours, width = model.autoencoder.in_channels, side(model.config)
    picture = data.read_image(path, 3)
    grey = bool((picture == picture[:1]).all())
    if grey != (colours == 1):
        has, wanted = (1, 3) if grey else (3, 1)
        raise ValueError(f"sora: {path} has {has} channels; expected {wanted}")
    if picture.shape[1:] != (width, width):
        height, across = picture.shape[1:]
        raise ValueError(f"sora: {path} has {height} × {across} pixels; expected {width} × {width}")
    return picture[:colours, None]


@tg.no_grad()
def continued(
    model: Sora,
    first: Tensor,
    frames: int,
    generator: Generator,
    labels: Tensor | None = None,
    guidance: float = 0.0,
    steps: int = 50,
) -> Tensor:
    """Clips (N, frames, C, H, W) that begin with those of `first`, (N, C, K, H, W); K is 0, or one
    more than a multiple of the stride in time.

    Raises ValueError for more frames than there are positions.
    """
    config = model.config
    if frames > config.positions:
        raise ValueError(f"sora: {frames} frames; the network has positions for {config.positions}")
    place = side(config) // REDUCTION
    known = tg.zeros((len(first), config.latent_channels, 0, place, place))
    if first.shape[2]:
        known = model.autoencoder.encode(first)
    length, window = (latent_frames(n, config.time_stride) for n in (frames, config.frames))
    options: dict[str, Any] = {"labels": labels, "guidance": guidance, "steps": steps}
    latents = model.diffusion.draw(known, length, window, generator, **options)
    return model.autoencoder.decode(latents)[:, :, :frames].permute_dims((0, 2, 1, 3, 4))


def restore(folder: str | Path) -> Sora:
    """Return both trained stages of a run, the second with the averaged weights."""

    def load(model: LatentDiffusion, state: dict[str, Any]) -> None:
        model.load_state_dict(state["ema"]["model"])

    first = restored(folder, Config, build)
    second = restored(Path(folder) / "transformer", Config, build_diffusion, load)
    config = config_from(Config, read_checkpoint(folder)["run"]["config"])
    return Sora(first.eval(), second.eval(), config)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained transformer on the latents of two clips, and named tensors."""
    model, diffusion = build(config), build_diffusion(config)
    clips, labels = some_clips(config, 2)
    latents = model.encode(clips)
    total = diffusion.loss(latents, labels if diffusion.classes else None)
    named = {"clips": clips, "latents": latents, "loss": total}
    return total, {**named, **dict(diffusion.named_parameters())}

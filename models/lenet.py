"""LeNet-5, a convolutional classifier of digits (LeCun et al. 1998).

**The idea.** A stroke means the same wherever it is written. So the first layers look at the image
through small windows, with the same weights at every place (*convolution*), and after each of them
only the strongest answer of every 2 × 2 places is kept (*pooling*): where exactly it was does not
matter, and the next window sees twice as far. Three fully connected layers judge what was found.

    1×28×28 → conv 5×5, pad 2 → 6×28×28 → pool → 6×14×14 → conv 5×5 → 16×10×10 → pool → 16×5×5
            → 400 → 120 → 84 → 10

61,706 parameters. Of "Gradient-Based Learning Applied to Document Recognition", section II.B, with
what has become usual since: ReLU for tanh, the maximum for the mean in pooling, all 6 planes seen
by all 16, and logits for distances to drawings of the digits.

**The loss** is the cross-entropy, the mean of −ln p(label) with p = softmax(logits). **The recipe**
is Adam under a one-cycle schedule (Smith and Topin 2018, "Super-Convergence"): the learning rate
rises to its peak for the first 30 % of the steps and falls to almost nothing until the last. For
more than a few passes over the images, they are *augmented*: each time, each is turned, shifted and
scaled a little at random. It stays the same digit, and what the net could learn by heart is gone.

`pretrained` is a LeNet-5 that reads 99.5 % of MNIST's test images, ready to be used: it judges the
images that the generative models of this package make (`metrics.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training import Run, option, restored

from . import batches, mnist_like

TRAINING_TIME = "about 5 seconds on two cores"
WEIGHTS = Path(__file__).parent / "weights" / "lenet_mnist.safetensors"
WEIGHTS_SHA256 = "d824b804b204fa45144c2859008cf36d2d7196f07588970e1b0238b3d68df611"


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for 10,000 images, of which `mnist_small` holds back 1,000."""

    dataset: str = option(
        "mnist_small", "data set of handwritten digits", choices=mnist_like.DATASETS
    )
    images: int = option(10_000, "maximum number of training images")
    augment: bool = option(False, "rotate, shift and scale the training images at random")
    epochs: int = option(2, "number of passes over the training images", least=0)
    batch_size: int = option(32, "number of images per step")
    learning_rate: float = option(4e-3, "learning rate of Adam at its peak")
    seed: int = option(0, "seed of the weights and the batches", least=0)


# The same digit, written otherwise: turned, shifted by up to two pixels, smaller or larger.
augmentation = data.transforms.RandomAffine(
    degrees=10, translate=(2 / 28, 2 / 28), scale=(0.9, 1.1), interpolation="bilinear"
)


class LeNet5(nn.Module):
    """Images (N, 1, 28, 28) → logits of the ten digits (N, 10).

    >>> model = LeNet5()
    >>> model(tg.zeros((2, 1, 28, 28))).shape, sum(p.size for p in model.parameters())
    ((2, 10), 61706)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 1, 28, 28) → what the last layer decides by, (N, 84), none negative."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.reshape(len(x), -1)))
        return F.relu(self.fc2(x))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc3(self.features(x))
        return logits


def fit(model: nn.Module, split: data.Split, config: Config, run: Run) -> None:
    """Train any classifier of images by the recipe, and measure it after each epoch."""
    images = data.Transformed(split.train, augmentation) if config.augment else split.train
    loader = data.DataLoader(images, config.batch_size, shuffle=True, seed=config.seed, prefetch=2)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    steps = max(config.epochs, 1) * len(loader)

    def loss(batch: tuple[Tensor, Tensor], _: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch
        logits = model(images)
        return F.cross_entropy(logits, labels), {"accuracy": _share_right(logits, labels)}

    run.fit(
        model,
        optimizer,
        loss,
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps),
        on_epoch=lambda epoch: {"test_accuracy": accuracy(model, *split.test.tensors)},
    )


@tg.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, 10) of images (N, 1, 28, 28), a thousand at a time; the mode stays as it was."""
    training = model.training
    logits = batches.concatenated(model.eval(), images)
    model.train(training)
    return logits


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of the images (N, 1, 28, 28) whose label (N,) gets the largest logit."""
    return float(_share_right(predict(model, images), labels))


def _share_right(logits: Tensor, labels: Tensor) -> Tensor:
    right: Tensor = tg.argmax(logits, axis=1) == labels
    return tg.mean(right)


def train(config: Config, run: Run) -> None:
    """Train a LeNet-5, and write a sheet of the unseen images that it takes for something else."""
    split = mnist_like.load(config.dataset, config.images)
    tg.manual_seed(config.seed)
    model = LeNet5()
    fit(model, split, config, run)
    images, labels = split.test.tensors
    with run.drawing():
        write_mistakes(model, images, labels, run.folder)


def restore(folder: str | Path) -> LeNet5:
    """The model of a run's checkpoint."""
    return restored(folder, Config, lambda config: LeNet5())


def pretrained() -> LeNet5:
    """The LeNet-5 that comes with the package, in evaluation mode, its parameters frozen.

    It reads 99.46 % of MNIST's 10,000 test images, and was made, in 3½ minutes on one core, by

        tinygrad-gm train lenet --dataset mnist --images 60000 --epochs 10 --batch-size 128 \\
            --augment

    and `tg.save(path, restore("runs/lenet").state_dict())`. It has seen all of `mnist_small`, of
    which both parts are training images of MNIST.

    Raises FileNotFoundError or CheckpointError if the file is not there or not as it was made.

    >>> images, labels = tg.data.mnist_small().test.tensors
    >>> accuracy(pretrained(), images, labels) >= 0.99
    True
    """
    try:
        found = sha256(WEIGHTS.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"LeNet's weights are not at {WEIGHTS}; install tinygrad_gm again"
        ) from None
    if found != WEIGHTS_SHA256:
        raise CheckpointError(
            f"{WEIGHTS} is damaged: its SHA-256 is {found}; expected {WEIGHTS_SHA256}; install "
            "tinygrad_gm again"
        )
    model = LeNet5()
    model.load_state_dict(tg.load(WEIGHTS))
    return model.eval().requires_grad_(False)


def write_mistakes(model: nn.Module, images: Tensor, labels: Tensor, folder: Path) -> None:
    """Up to 50 misread images as `mistakes.png` in a run's folder, if there is one."""
    wrong = images[tg.argmax(predict(model, images), axis=1) != labels][:50]
    if len(wrong):
        pictures.grid(wrong, columns=10, path=folder / "mistakes.png")


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 4 images, and the names of its leaves."""
    tg.manual_seed(config.seed)
    images, labels = data.mnist_small().train[:4]
    model = LeNet5()
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    named = {"image": images, "label": labels, "logits": logits, "loss": loss}
    return loss, {**named, **dict(model.named_parameters())}

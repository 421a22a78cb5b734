"""What can be pickled and copied computes the same when it comes back; the rest says why not."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.nn import functional as F
from tinygrad_gm.optim import lr_scheduler

COPIERS = [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy]
IMAGES = (2, 4, 6, 6)
MODULES: dict[str, tuple[Any, Any]] = {  # how it is made, and the shapes of what it is called with
    **{
        f"{kind}{n}d": (lambda k=f"{kind}{n}d": getattr(nn, k)(4, 4, 3), [(2, 4, *[6] * n)])
        for kind in ("Conv", "ConvTranspose")
        for n in (1, 2, 3)
        if hasattr(nn, f"{kind}{n}d")
    },
    **{
        f"{kind}{n}d": (lambda k=f"{kind}{n}d": getattr(nn, k)(4), [(2, 4, *[6] * n)])
        for kind in ("BatchNorm", "InstanceNorm")
        for n in (1, 2, 3)
    },
    **{
        f"{kind}{n}d": (lambda k=f"{kind}{n}d": getattr(nn, k)(2), [(2, 4, *[6] * n)])
        for kind in ("MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "ZeroPad")
        for n in (1, 2, 3)
        if hasattr(nn, f"{kind}{n}d")
    },
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    "CircularPad2d": (lambda: nn.CircularPad2d(1), [IMAGES]),
    "DropConnect": (lambda: nn.DropConnect(6, 3), [IMAGES]),
    "Embedding": (lambda: nn.Embedding(5, 3), None),
    "Flatten": (nn.Flatten, [IMAGES]),
    "GRU": (lambda: nn.GRU(3, 4), [(2, 5, 3)]),
    "GRUCell": (lambda: nn.GRUCell(3, 4), [(5, 3)]),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), [IMAGES]),
    "LSTM": (lambda: nn.LSTM(3, 4, 2), [(2, 5, 3)]),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), [(5, 3)]),
    "LayerNorm": (lambda: nn.LayerNorm(6), [IMAGES]),
    "Linear": (lambda: nn.Linear(6, 3), [IMAGES]),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), [IMAGES]),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2), [(2, 5, 4)] * 3),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), [IMAGES]),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), [IMAGES]),
    "RMSNorm": (lambda: nn.RMSNorm(6), [IMAGES]),
    "RNN": (lambda: nn.RNN(3, 4), [(2, 5, 3)]),
    "RNNCell": (lambda: nn.RNNCell(3, 4), [(5, 3)]),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), [IMAGES]),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d(1), [IMAGES]),
    "Sequential": (lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5)), [IMAGES]),
    "SinusoidalPositionalEncoding": (lambda: nn.SinusoidalPositionalEncoding(4), [(2, 5, 4)]),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2),
        [(2, 5, 4)] * 2,
    ),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(4, 2, 8), [(2, 5, 4)] * 2),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2),
        [(2, 5, 4)],
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8), [(2, 5, 4)]),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), [IMAGES]),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), [IMAGES]),
    "spectral_norm": (lambda: nn.spectral_norm(nn.Linear(6, 3)), [IMAGES]),
    "weight_norm": (lambda: nn.weight_norm(nn.Conv2d(4, 3, 3)), [IMAGES]),
}
CLASSES = {
    name: kind
    for name, kind in vars(nn).items()
    if inspect.isclass(kind) and issubclass(kind, nn.Module) and name not in MODULES
}
WITHOUT_ARGUMENTS = {
    name
    for name, kind in CLASSES.items()
    if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
           for p in inspect.signature(kind).parameters.values())
}  # fmt: skip


def plain(value: Any) -> Any:
    """Arrays as lists, wherever they are."""
    if isinstance(value, tg.Tensor):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value


@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_comes_back_computes_the_same(name: str, copier: Any) -> None:
    tg.manual_seed(0)
    make, shapes = MODULES[name]
    rng = np.random.default_rng(0)
    inputs = [tg.tensor([[0, 4], [2, 2]])]
    if shapes is not None:
        inputs = [tg.tensor(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    module = make()
    module(*inputs)  # what a call leaves in the module comes along
    twin = copier(module)
    outputs = []
    for each in (module, twin):
        tg.manual_seed(1)
        outputs.append(plain(each(*inputs)))
    assert outputs[0] == outputs[1]
    assert plain(twin.state_dict()) == plain(module.state_dict())
    for ours, theirs in zip(module.parameters(), twin.parameters(), strict=True):
        assert ours is not theirs
        assert (ours.requires_grad, ours.name) == (theirs.requires_grad, theirs.name)


def test_every_module_is_in_the_sweep() -> None:
    assert CLASSES.keys() == WITHOUT_ARGUMENTS


@pytest.mark.sweep
@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("name", sorted(WITHOUT_ARGUMENTS))
def test_a_module_without_arguments_comes_back(name: str, copier: Any) -> None:
    module = CLASSES[name]()
    twin = copier(module)
    assert type(twin) is type(module)
    assert repr(twin) == repr(module)


def test_a_trained_module_with_a_reparametrised_weight_goes_on_alike() -> None:
    for wrap in (nn.weight_norm, nn.spectral_norm):
        tg.manual_seed(0)
        module = wrap(nn.Linear(3, 2))
        x = tg.ones((4, 3))
        module(x).sum().backward()
        twin = pickle.loads(pickle.dumps(module))
        for each in (module, twin):
            optimizer = optim.SGD(each.parameters(), lr=0.1)
            optimizer.step()
        assert module(x).tolist() == twin(x).tolist()
        assert len(list(twin.parameters())) == len(list(module.parameters()))


# ------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize("copier", COPIERS)
@pytest.mark.parametrize("kind", [tg.Tensor, nn.Parameter])
def test_a_leaf_comes_back_with_its_gradient_and_name(kind: Any, copier: Any) -> None:
    leaf = nn.Parameter(tg.arange(3.0)) if kind is nn.Parameter else tg.tensor([0.0, 1.0, 2.0])
    leaf.requires_grad, leaf.name = True, "w"
    (leaf * leaf).sum().backward()
    twin = copier(leaf)
    assert type(twin) is kind
    assert (twin.tolist(), twin.grad.tolist(), twin.name) == ([0, 1, 2], [0, 2, 4], "w")
    (twin * 3).sum().backward()
    assert (twin.grad.tolist(), leaf.grad.tolist()) == ([3, 5, 7], [0, 2, 4])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_pickles_a_leaf(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(tg.arange(3), protocol)).tolist() == [0, 1, 2]


def test_a_leaf_with_hooks_and_an_alias_of_a_leaf_come_back_without_them() -> None:
    leaf = tg.tensor([1.0, 2.0], requires_grad=True)
    leaf.register_hook(lambda g: 7 * g)
    twin, alias = pickle.loads(pickle.dumps((leaf, leaf.detach())))
    (2 * twin).sum().backward()
    assert (twin.grad.tolist(), alias.tolist()) == ([2, 2], [1, 2])


def test_two_places_of_one_leaf_stay_one() -> None:
    leaf = tg.tensor([1.0], requires_grad=True)
    first, second = pickle.loads(pickle.dumps([leaf, leaf]))
    assert first is second


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x * 2,
        lambda x: F.softmax(x, axis=0),
        lambda x: tg.checkpoint(tg.exp, x),
        lambda x: tg.grad((x**3).sum(), [x], create_graph=True)[0],
        lambda x: x[1:],
        lambda x: tg.linalg.norm(x),
    ],
)
def test_the_result_of_an_operation_says_plainly_why_it_is_not_pickled(make: Any) -> None:
    result = make(tg.tensor([1.0, 2.0], requires_grad=True))
    with pytest.raises(
        RuntimeError, match=r"^pickle: the result of `\w+` refers to .*\.detach\(\)$"
    ):
        pickle.dumps(result)
    with pytest.raises(RuntimeError, match=r"deepcopy: only leaves .*\.detach\(\)"):
        copy.deepcopy(result)
    for copier in COPIERS:
        assert copier(result.detach()).tolist() == result.tolist()


# ------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("copier", COPIERS)
def test_an_optimizer_and_its_schedule_come_back_together(copier: Any) -> None:
    for name in lr_scheduler.__all__:
        needed = {
            "CosineAnnealingLR": [4], "CosineAnnealingWarmRestarts": [2], "ExponentialLR": [0.5],
            "LambdaLR": [abs], "MultiStepLR": [[1]], "NoamLR": [4, 2], "OneCycleLR": [0.5, 9],
            "StepLR": [2],
        }  # fmt: skip
        if name in ("LRScheduler", "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"):
            continue
        weight = nn.Parameter(tg.ones(3))
        optimizer = optim.Adam([weight], lr=0.25)
        schedule = getattr(lr_scheduler, name)(optimizer, *needed.get(name, []))
        pairs = [(weight, schedule), copier((weight, schedule))]
        for each, its_schedule in pairs:
            for _ in range(3):
                each.grad = tg.arange(3.0) + 1
                its_schedule.optimizer.step()
                its_schedule.step()
        assert pairs[0][0].tolist() == pairs[1][0].tolist(), name
        assert pairs[0][1].get_last_lr() == pairs[1][1].get_last_lr(), name


@pytest.mark.parametrize("copier", COPIERS)
def test_a_generator_goes_on_where_it_was(copier: Any) -> None:
    generator = tg.Generator(3)
    generator.normal((5,))
    twin = copier(generator)
    assert twin.normal((4,)).tolist() == generator.normal((4,)).tolist()


@pytest.mark.parametrize("copier", COPIERS)
def test_data_sets_loaders_and_transforms_come_back(copier: Any) -> None:
    t = data.transforms
    augment = t.Compose([
        t.RandomCrop(8, padding=1), t.RandomHorizontalFlip(), t.RandomVerticalFlip(),
        t.RandomAffine(10), t.RandomRotation(10), t.RandomErasing(), t.ColorJitter(0.1),
        t.Normalize(0.5, 0.5), t.RandomResizedCrop(12), t.Resize(9), t.CenterCrop(8),
    ])  # fmt: skip
    assert {type(each).__name__ for each in augment.transforms} == set(t.__all__) - {
        "Compose",
        "ImageClassification",
        "Transform",
    }
    digits = data.digits().train
    part = data.random_split(digits, [100, len(digits) - 100], tg.Generator(0))[0]
    loader = data.DataLoader(data.Transformed(part, augment), 40, shuffle=True)
    next(iter(loader))
    twin = copier(loader)
    assert plain(next(iter(twin))) == plain(next(iter(loader)))
    assert copier(data.Characters("hello")).encode("hole").tolist() == [1, 3, 2, 0]
    tg.manual_seed(0)
    assert plain(copier(data.gaussians_ring(3, 9))) is not None


@pytest.mark.parametrize("copier", COPIERS)
def test_an_average_of_weights_comes_back(copier: Any) -> None:
    model = nn.Linear(2, 2)
    ema = optim.EMA(model, decay=0.5)
    model.weight.data += 1.0
    model_twin, twin = copier((model, ema))
    for average in (ema, twin):
        average.update()
    assert plain(twin.model.state_dict()) == plain(ema.model.state_dict())
    assert plain(model_twin.state_dict()) == plain(model.state_dict())


def test_operations_and_dtypes_are_found_again_by_name() -> None:
    for thing in (tg.exp, tg.matmul, F.softmax, tg.float32, tg.Tensor):
        assert pickle.loads(pickle.dumps(thing)) is thing

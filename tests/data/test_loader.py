"""Data sets and the loader: contents, orders, and positions that can be resumed."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data

DEVELOPMENT = Path(os.environ.get("TINYGRAD_GM_DATA", "/nowhere"))


class Squares(data.Dataset):
    """Items (i, i²), made one by one; with noise they draw from the default generator."""

    def __init__(self, count, noisy=False):
        self.count, self.noisy = count, noisy

    def __getitem__(self, index):
        return index, index**2 + (tg.rand(()).item() if self.noisy else 0.0)

    def __len__(self):
        return self.count


def rows(loader):
    return [x.tolist() for x, *_ in loader]


# ------------------------------------------------------------------- the sets in the package


def test_digits_are_the_1797_of_uci_with_their_known_class_counts():
    train, test = data.digits()
    images, labels = (tg.concat([a, b]) for a, b in zip(train.tensors, test.tensors, strict=True))
    assert (len(train), len(test)) == (1437, 360)
    assert (images.shape, images.dtype, labels.dtype) == ((1797, 1, 8, 8), tg.float32, tg.int64)
    counts = np.bincount(labels.numpy()).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI's documentation
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)
    assert ((images.numpy() * 16) % 1 == 0).all()


def test_digits_are_scikit_learns_in_another_order():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    with files("tinygrad_gm.data").joinpath("digits.npz").open("rb") as file:
        order = np.load(file)["order"]
    train, test = data.digits()
    images, labels = (tg.concat([a, b]) for a, b in zip(train.tensors, test.tensors, strict=True))
    assert sorted(order) == list(range(1797))
    assert (images.numpy()[:, 0] * 16 == theirs.images[order]).all()
    assert (labels.numpy() == theirs.target[order]).all()


def test_mnist_small_has_the_known_first_labels_and_counts():
    train, test = data.mnist_small()
    images, labels = (tg.concat([a, b]) for a, b in zip(train.tensors, test.tensors, strict=True))
    assert (len(train), len(test)) == (9000, 1000)
    assert (images.shape, images.dtype, labels.dtype) == ((10000, 1, 28, 28), tg.float32, tg.int64)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)
    np.testing.assert_allclose(images.numpy() * 255, np.rint(images.numpy() * 255), atol=1e-4)


@pytest.mark.skipif(
    not (DEVELOPMENT / "mnist_full.npz").exists(), reason="TINYGRAD_GM_DATA has no mnist_full.npz"
)
def test_mnist_small_equals_the_first_10000_rows_of_mnist():
    with np.load(DEVELOPMENT / "mnist_full.npz") as full:
        pixels, labels = full["x_train"][:10000], full["y_train"][:10000]
    train, test = data.mnist_small()
    images, ours = (tg.concat([a, b]) for a, b in zip(train.tensors, test.tensors, strict=True))
    assert (np.rint(images.numpy() * 255).reshape(10000, 784) == pixels).all()
    assert (ours.numpy() == labels).all()


def test_two_calls_share_no_memory():
    first, second = data.digits().train.tensors[0], data.digits().train.tensors[0]
    first[0] = 5.0
    assert second.max().item() == 1.0


def test_the_licences_lie_beside_the_files():
    text = files("tinygrad_gm.data").joinpath("README.md").read_text(encoding="utf-8")
    for words in (
        "digits.npz",
        "CC BY 4.0",
        "mnist_small.npz",
        "CC BY-SA 3.0",
        "MIT License",
        "shakespeare_small.txt.gz",
        "public domain",
    ):
        assert words in text


# ------------------------------------------------------------------- data sets


def test_a_tensor_dataset_gives_tuples_and_takes_arrays():
    pairs = data.TensorDataset(np.arange(6.0).reshape(3, 2), [1, 2, 3])
    x, y = pairs[-1]
    assert (x.tolist(), y.item(), len(pairs)) == ([4.0, 5.0], 3, 3)
    assert len(list(pairs)) == 3


def test_subset_and_random_split_keep_items_and_divide_them_once():
    whole = data.TensorDataset(tg.arange(10) * 10)
    parts = data.random_split(whole, [7, 3], tg.Generator(0))
    assert [len(part) for part in parts] == [7, 3]
    found = [item.item() for part in parts for (item,) in part]
    assert sorted(found) == list(range(0, 100, 10))
    assert found != sorted(found)
    nested = data.Subset(parts[0], [2, 0])
    assert [nested[i][0].item() for i in (0, 1)] == [found[2], found[0]]
    assert nested.batch([1, 0])[0].tolist() == [found[0], found[2]]


def test_any_sequence_can_be_split_subset_transformed_and_loaded():
    split = data.random_split(range(10), [3, 7], tg.Generator(0))
    batches = list(data.DataLoader(split[0], batch_size=2))
    assert [len(batch) for batch in batches] == [2, 1]
    both = [x for part in split for batch in data.DataLoader(part, 4) for x in batch.tolist()]
    assert sorted(both) == list(range(10))
    pairs = [("a", 0.5), ("b", 1.5), ("c", 2.5)]
    ((names, numbers),) = data.DataLoader(data.Subset(pairs, [2, 0]), batch_size=2)
    assert (names, numbers.tolist()) == (["c", "a"], [2.5, 0.5])
    images = [np.full((1, 2, 2), i, np.float32) for i in range(3)]
    doubled = data.Transformed(data.Subset(images, [1, 2]), lambda x: 2 * x)
    for source in (doubled, data.Transformed(images[1:], lambda x: 2 * x)):
        assert [x.tolist() for x in data.DataLoader(source)] == [[[[[k] * 2] * 2]] for k in (2, 4)]
    labelled = data.Transformed([(images[1], 7)], lambda x: x + 1)
    ((image, label),) = data.DataLoader(labelled)
    assert (image.tolist(), label.tolist()) == ([[[[2, 2], [2, 2]]]], [7])


def test_numpy_integers_are_counts():
    loader = data.DataLoader(range(5), np.int64(2), seed=np.int32(1), prefetch=np.uint8(1))
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4]]
    assert all(type(fact) in (int, bool) for fact in loader.state_dict().values())


KINDS = {  # a data set of four items, and those at some indices
    "Subset": lambda i: [int(x) for (x,) in data.Subset(data.TensorDataset(tg.arange(4)), i)],
    "TensorDataset": lambda i: data.TensorDataset(tg.arange(4)).batch(i)[0].tolist(),
    "Squares": lambda i: Squares(4).batch(i)[0].tolist(),
    "Subset of all": lambda i: (
        data.Subset(data.TensorDataset(tg.arange(4)), range(4)).batch(i)[0].tolist()
    ),
    "Subset of a list": lambda i: data.Subset([0, 1, 2, 3], i).batch(range(2)).tolist(),
}
MASK = [True, False, False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_selects_and_negative_indices_count_from_the_end(kind):
    for mask in (MASK, np.array(MASK), tg.tensor(MASK), tuple(MASK)):
        assert KINDS[kind](mask) == [0, 3]
    for indices in ([-1, 0], np.array([-1, 0], np.int8), tg.tensor([3, -4]), range(3, -1, -3)):
        assert KINDS[kind](indices) == [3, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_indices_that_are_neither_integers_nor_a_mask_are_refused(kind):
    for wrong in ([0.0, 2.0], tg.tensor([0.0]), [True, 2], [False, 1.0], [[0, 1]], np.array(1)):
        with pytest.raises(TypeError, match="indices must be"):
            KINDS[kind](wrong)
    with pytest.raises(IndexError, match="a mask of 2 entries for 4 items"):
        KINDS[kind]([True, False])
    for wrong, item in (([0, 4], 4), ([-5, 0], -5)):
        with pytest.raises(IndexError, match=f"index {item} is out of range for 4 items"):
            KINDS[kind](wrong)


def test_one_item_is_asked_for_by_an_integer():
    whole = data.TensorDataset(tg.arange(4))
    for dataset in (whole, data.Subset(whole, [0, 1, 2, 3])):
        for index in (-1, np.int64(3), tg.tensor(3)):
            assert dataset[index][0].item() == 3
        for wrong in (True, np.True_, tg.tensor(True), 1.0, None, "1"):
            with pytest.raises(TypeError, match="an index must be an integer"):
                dataset[wrong]
        for wrong in (4, -5):
            with pytest.raises(IndexError, match=f"index {wrong} is out of range for 4 items"):
                dataset[wrong]
    assert whole[1:3][0].tolist() == [1, 2]
    assert whole[MASK][0].tolist() == [0, 3]
    assert len(data.Subset(whole, [])) == 0


def test_random_split_by_fractions_gives_the_rest_to_the_first_parts():
    whole = data.TensorDataset(tg.arange(11))
    assert [len(part) for part in data.random_split(whole, [0.5, 0.25, 0.25])] == [6, 3, 2]
    assert [len(part) for part in data.random_split(whole, [11, 0])] == [11, 0]


def test_collate_stacks_every_kind_of_item():
    items = [
        {"n": i, "x": float(i), "a": np.full(2, i, np.uint8), "t": (tg.ones(3), [True, "s"])}
        for i in range(4)
    ]
    batch = data.collate(items)
    assert (batch["n"].dtype, batch["x"].dtype) == (tg.int64, tg.float32)
    assert (batch["a"].shape, batch["a"].dtype) == ((4, 2), tg.uint8)
    ones, (flags, names) = batch["t"]
    assert (ones.shape, flags.dtype, names) == ((4, 3), tg.bool, ["s"] * 4)
    assert data.collate([np.float64(1.0)]).dtype == tg.float64


# ------------------------------------------------------------------- the loader


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 11])
def test_batches_hold_every_item_once_and_their_count_is_the_length(batch_size, drop_last):
    whole = data.TensorDataset(tg.arange(11), tg.arange(11) * 2)
    for shuffle in (False, True):
        loader = data.DataLoader(whole, batch_size, shuffle, drop_last)
        batches = list(loader)
        sizes = [len(x) for x, _ in batches]
        items = [n for x, _ in batches for n in x.tolist()]
        assert len(loader) == len(batches)
        assert all(size == batch_size for size in sizes[: None if drop_last else -1])
        assert len(items) == 11 - (11 % batch_size if drop_last else 0)
        assert len(set(items)) == len(items)
        assert (items == sorted(items)) != shuffle or batch_size == 11
        assert all(y.tolist() == [2 * n for n in x.tolist()] for x, y in batches)


def test_every_epoch_has_another_order_and_a_seed_repeats_them():
    def orders(seed):
        whole = data.TensorDataset(tg.arange(20))
        loader = data.DataLoader(whole, 20, shuffle=True, seed=seed)
        return [tuple(rows(loader)[0]) for _ in range(3)]

    assert len(set(orders(0) + orders(1))) == 6
    assert orders(0) == orders(0)


def test_the_order_does_not_depend_on_the_default_generator_nor_change_it():
    loader = data.DataLoader(data.TensorDataset(tg.arange(9)), 2, shuffle=True)
    tg.manual_seed(1)
    state = tg.default_generator().get_state()
    first = rows(loader)
    assert tg.default_generator().get_state() == state
    tg.rand(5)
    assert rows(data.DataLoader(data.TensorDataset(tg.arange(9)), 2, shuffle=True)) == first


def test_a_generator_gives_the_loader_its_seed():
    whole = data.TensorDataset(tg.arange(20))
    made = [data.DataLoader(whole, 5, True, generator=tg.Generator(3)) for _ in range(2)]
    assert rows(made[0]) == rows(made[1])
    assert made[0].seed == made[1].seed != 0


def test_a_dataset_of_single_items_gives_the_same_batches_as_one_of_tensors():
    slow = data.DataLoader(Squares(10), 4, shuffle=True, seed=2)
    fast = data.DataLoader(
        data.TensorDataset(tg.arange(10), tg.arange(10.0) ** 2), 4, shuffle=True, seed=2
    )
    listed = data.DataLoader([(i, i * 1.0 * i) for i in range(10)], 4, shuffle=True, seed=2)
    for (a, b), (c, d), (e, f) in zip(slow, fast, listed, strict=True):
        assert a.tolist() == c.tolist() == e.tolist()
        assert b.tolist() == d.tolist() == f.tolist()
        assert b.dtype == d.dtype == f.dtype == tg.float32


def test_a_batch_is_a_copy_of_the_data():
    whole = data.TensorDataset(tg.zeros(4))
    (batch,) = next(iter(data.DataLoader(whole, 4)))
    batch[0] = 1.0
    assert whole.tensors[0].tolist() == [0.0] * 4


def test_a_collate_function_gets_the_list_of_items():
    loader = data.DataLoader(Squares(5), 2, collate_fn=lambda items: [i for i, _ in items])
    assert list(loader) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("consumed", range(10))
def test_a_loader_resumed_after_any_batch_goes_on_bit_for_bit(consumed, prefetch):
    def make():
        return data.DataLoader(Squares(10, noisy=True), 3, shuffle=True, seed=7, prefetch=prefetch)

    def endless(loader):
        while True:
            for x, y in loader:
                yield x.tolist(), y.tolist(), loader.batch_generator.uniform(2).tolist()

    loader = make()
    stream = endless(loader)
    for _ in range(consumed):
        next(stream)
    position = json.loads(json.dumps(loader.state_dict()))
    wanted = [next(stream) for _ in range(9)]
    tg.rand(3)  # what else the other process draws does not matter
    other = make()
    other.load_state_dict(position)
    assert other.state_dict() == position
    stream = endless(other)
    assert [next(stream) for _ in range(9)] == wanted


def test_a_pass_that_is_left_early_is_over():
    loader = data.DataLoader(data.TensorDataset(tg.arange(4)), 1)
    next(iter(loader))
    assert rows(loader) == [[0], [1], [2], [3]]
    assert loader.epoch == 2


@pytest.mark.parametrize("prefetch", [0, 2])
def test_passes_at_once_are_epochs_of_their_own(prefetch):
    def make():
        return data.DataLoader(data.TensorDataset(tg.arange(64)), 16, True, prefetch=prefetch)

    reference = make()
    epochs = [rows(reference) for _ in range(5)]
    loader = make()
    pairs = [(a.tolist(), b.tolist()) for (a,), (b,) in zip(loader, loader, strict=True)]
    assert pairs == list(zip(epochs[0], epochs[1], strict=True))
    assert not any(a == b for a, b in pairs)
    assert rows(loader) == epochs[2]
    loader, found = make(), []
    for (outer,) in loader:  # four batches, with a pass for each
        found.append((outer.tolist(), rows(loader)))
    assert found == [(epochs[0][i], epochs[i + 1]) for i in range(4)]


def test_passes_at_once_know_the_randomness_of_their_own_batches():
    loader = data.DataLoader(Squares(6), 2, seed=3)
    for number, _ in enumerate(loader):
        assert (
            loader.batch_generator.normal(2).tolist()
            == tg.Generator((3, 0, number)).normal(2).tolist()
        )
        for inner, _ in enumerate(loader):
            wanted = tg.Generator((3, number + 1, inner)).normal(2).tolist()
            assert loader.batch_generator.normal(2).tolist() == wanted


def test_an_iterator_that_is_not_used_takes_no_epoch():
    loader = data.DataLoader(data.TensorDataset(tg.arange(8)), 3, shuffle=True)
    iter(loader)
    first = rows(loader)
    assert first == rows(data.DataLoader(data.TensorDataset(tg.arange(8)), 3, shuffle=True))


def test_nested_loops_resumed_after_an_outer_batch_go_on_bit_for_bit():
    def make():
        return data.DataLoader(data.TensorDataset(tg.arange(12)), 4, shuffle=True)

    loader, found = make(), []
    for number, (outer,) in enumerate(loader):
        if number == 1:
            position = json.loads(json.dumps(loader.state_dict()))
        found.append((outer.tolist(), rows(loader)))
    later, again = make(), []
    later.load_state_dict(position)
    outer = iter(later)
    for (batch,) in outer:
        again.append((batch.tolist(), rows(later)))
    assert [batch for batch, _ in again] == [found[2][0]]
    inner = make()
    inner.load_state_dict(position)
    next(iter(inner))
    assert rows(inner) == found[1][1]  # the epoch that followed at the position


def test_the_randomness_of_a_batch_is_that_of_seed_epoch_and_number():
    loader = data.DataLoader(data.TensorDataset(tg.arange(4)), 2, seed=5)
    list(loader)
    for number, _ in enumerate(loader):
        wanted = tg.Generator((5, 1, number)).normal(3).tolist()
        assert loader.batch_generator.normal(3).tolist() == wanted


def test_a_position_in_another_order_of_batches_is_refused():
    whole = data.TensorDataset(tg.arange(9))
    position = data.DataLoader(whole, 2, shuffle=True).state_dict()
    for options, words in (
        (
            {"batch_size": 3, "shuffle": True},
            "batch_size is 3; the position is of a loader with batch_size 2",
        ),
        ({"batch_size": 2}, "shuffle True"),
        ({"batch_size": 2, "shuffle": True, "seed": 1}, "seed 0"),
    ):
        with pytest.raises(ValueError, match=words):
            data.DataLoader(whole, **options).load_state_dict(position)


# ------------------------------------------------------------------- prefetching


class Watched(Squares):
    """Notes which items were made, and in which thread; item `bad` cannot be made."""

    def __init__(self, count, bad=None):
        super().__init__(count)
        self.bad, self.made, self.threads = bad, [], set()

    def __getitem__(self, index):
        self.made.append(index)
        self.threads.add(threading.current_thread())
        if index == self.bad:
            raise RuntimeError(f"item {index} cannot be made")
        return super().__getitem__(index)


def alive():
    gc.collect()
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


@pytest.mark.parametrize("prefetch", [1, 2, 50])
@pytest.mark.parametrize("drop_last", [False, True])
def test_prefetched_batches_are_those_that_are_not(prefetch, drop_last):
    def epochs(prefetch):
        loader = data.DataLoader(
            Squares(11, noisy=True), 3, True, drop_last, seed=4, prefetch=prefetch
        )
        return [
            (
                x.tolist(),
                y.tolist(),
                loader.batch_generator.uniform(2).tolist(),
                loader.state_dict(),
            )
            for _ in range(3)
            for x, y in loader
        ]

    assert epochs(prefetch) == epochs(0)
    assert alive() == []


def test_batches_are_made_in_one_thread_that_is_not_the_users():
    watched = Watched(12)
    for _ in data.DataLoader(watched, 3, prefetch=2):
        pass
    assert len(watched.threads) == 1
    assert watched.threads != {threading.current_thread()}
    assert watched.made == list(range(12))


def test_no_more_than_the_promised_batches_are_made_ahead_and_the_position_is_the_consumed_one():
    watched = Watched(20)
    loader = data.DataLoader(watched, 2, prefetch=3)
    for number, _ in enumerate(loader, 1):
        assert len(watched.made) <= 2 * (number + 3)
        assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, number)
    assert (loader.epoch, loader.batch) == (1, 0)


def test_batches_are_made_while_the_one_before_is_being_used():
    made = threading.Event()

    class Signalling(Squares):
        def __getitem__(self, index):
            if index == 1:
                made.set()
            return super().__getitem__(index)

    batches = iter(data.DataLoader(Signalling(2), prefetch=1))
    next(batches)
    assert made.wait(timeout=60)


def test_an_error_in_the_thread_is_raised_at_the_next_in_its_turn():
    loader = data.DataLoader(Watched(12, bad=7), 3, prefetch=5)
    batches = iter(loader)
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(RuntimeError, match="item 7 cannot be made"):
        next(batches)
    assert loader.state_dict()["batch"] == 2
    with pytest.raises(StopIteration):
        next(batches)
    assert alive() == []


def test_leaving_a_loop_early_ends_the_thread():
    loader = data.DataLoader(Squares(100), prefetch=3)
    for _ in loader:
        assert len(alive()) == 1
        break
    assert alive() == []

    def stumble():
        for _ in loader:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        stumble()
    assert alive() == []  # although `caught` keeps the frame of `stumble`
    del caught
    batches = iter(loader)
    next(batches)
    batches.close()
    assert alive() == []


def test_an_iterator_that_is_dropped_before_its_first_batch_starts_no_thread():
    iter(data.DataLoader(Squares(3), prefetch=2))
    assert alive() == []


def test_the_thread_works_under_the_modes_and_not_the_generator_of_its_user():
    class Asking(data.Dataset):
        def __getitem__(self, index):
            return tg.is_grad_enabled(), (tg.tensor(1.0, requires_grad=True) * 2).requires_grad

        def __len__(self):
            return 4

    loader = data.DataLoader(Asking(), 2, prefetch=1)
    with tg.no_grad():
        assert [[flags.tolist() for flags in batch] for batch in loader] == [[[False] * 2] * 2] * 2
    assert [[flags.tolist() for flags in batch] for batch in loader] == [[[True] * 2] * 2] * 2
    state = tg.manual_seed(1).get_state()
    list(data.DataLoader(Squares(9, noisy=True), 2, prefetch=2))
    assert tg.default_generator().get_state() == state


def test_a_program_that_ends_while_batches_are_prefetched_does_not_hang():
    code = (
        "from tinygrad_gm import data\n"
        "batches = iter(data.DataLoader(list(range(1000)), prefetch=2))\n"
        "print(next(batches).item())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: data.TensorDataset(tg.ones(2), tg.ones(3)), ValueError, r"\[\(2,\), \(3,\)\]"),
        (lambda: data.TensorDataset(), ValueError, "first axes agree"),
        (lambda: data.TensorDataset(tg.ones(())), ValueError, "first axes agree"),
        (
            lambda: data.Subset(Squares(3), [0, 3]),
            IndexError,
            "index 3 is out of range for 3 items",
        ),
        (lambda: data.random_split(Squares(3), [1, 1]), ValueError, "do not add up to 3"),
        (lambda: data.random_split(Squares(3), [4, -1]), ValueError, "do not add up to 3"),
        (lambda: data.DataLoader(Squares(3), 0), ValueError, "batch_size is 0; it must be a"),
        (lambda: data.DataLoader(Squares(3), 2.0), ValueError, "batch_size is 2.0; it must"),
        (lambda: data.DataLoader(Squares(0)), ValueError, "it is empty"),
        (lambda: data.DataLoader(Squares(3), prefetch=-1), ValueError, "prefetch is -1; it must"),
        (lambda: data.DataLoader(Squares(3), prefetch=True), TypeError, "prefetch is True; it"),
        (lambda: data.DataLoader(Squares(3), 4, drop_last=True), ValueError, "4 with drop_last"),
        (
            lambda: data.DataLoader(iter([1])),
            TypeError,
            "items by index; got a list_iterator",
        ),
        (lambda: data.random_split(range(3), [1, "a"]), TypeError, "neither counts nor fractions"),
        (lambda: data.random_split(range(3), [1.5, 1.5]), TypeError, "neither counts nor fraction"),
        (lambda: data.random_split(range(3), []), ValueError, "do not add up to 3"),
        (lambda: data.collate([]), ValueError, "collate: expected at least one item"),
        (lambda: data.Dataset()[0], NotImplementedError, "__getitem__"),
        (lambda: len(data.Dataset()), NotImplementedError, "__len__"),
    ],
)
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()

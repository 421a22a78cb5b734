"""The published data sets: read from small files of each kind, and, where they are, from the real.

The small files are written here byte by byte, by the formats' descriptions.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data
from tinygrad_gm.data.formats import read_cifar, read_idx, read_npz

DEVELOPMENT = Path(os.environ.get("TINYGRAD_GM_DATA") or "/nowhere")


def needs(name):
    reason = f"TINYGRAD_GM_DATA has no {name}"
    return pytest.mark.skipif(not (DEVELOPMENT / name).is_file(), reason=reason)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that TINYGRAD_GM_DATA names; the cache is empty, and there is no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(tmp_path / "data"))

    def refuse(url, timeout):
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tmp_path / "data"


def idx(array, code=8):
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, code, array.ndim]) + lengths + array.tobytes()


MNIST_NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 28, 28), np.uint8)
LABELS = RNG.integers(0, 10, 7, np.uint8)
MNIST = (PIXELS, LABELS, PIXELS[:3][::-1], LABELS[:3][::-1])


def write_mnist(folder, compressed=False):
    for name, array in zip(MNIST_NAMES, MNIST, strict=True):
        content = idx(array)
        if compressed:
            (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
        else:
            (folder / f"{name}-ubyte").write_bytes(content)


def assert_split(split, arrays, shape):
    for part, pixels, labels in zip(split, arrays[::2], arrays[1::2], strict=True):
        images, ours = part.tensors
        assert (images.dtype, ours.dtype) == (tg.float32, tg.int64)
        assert images.shape == (len(pixels), *shape)
        np.testing.assert_array_equal(
            images.numpy().reshape(pixels.shape), pixels / np.float32(255)
        )
        np.testing.assert_array_equal(ours.numpy(), labels)


# ------------------------------------------------------------------- IDX


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 4), (2, 1, 5)])
def test_idx_files_of_every_dtype_are_read(tmp_path, code, dtype, shape):
    array = (RNG.random(shape) * 100).astype(dtype)
    (tmp_path / "x").write_bytes(idx(array, code))
    found = read_idx(tmp_path / "x")
    assert (found.dtype, found.shape) == (array.dtype, shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x", b"", "is not an IDX file: its first bytes are b''$"),
        ("x", b"\0\0\x08", "is not an IDX file"),
        ("x", b"\x1f\x8b\x08\x00rest", r"is not an IDX file: its first bytes are b'\\x1f\\x8b"),
        ("x", b"\0\0\x07\x01\0\0\0\x01a", "is not an IDX file"),
        (
            "x",
            idx(PIXELS)[:-1],
            r"it has 5503 bytes; the shape in its header, \(7, 28, 28\), needs 5504",
        ),
        ("x", idx(PIXELS) + b"x", "the shape in its header, "),
        ("x", idx(PIXELS)[:9], "the shape in its header, "),
        ("x", b"\0\0\x08\x02" + b"\xff" * 8 + b"abc", "the shape in its header, "),
        ("x", b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"a", "damaged: its header has 255 axes"),
        ("x", b"\0\0\x08\x41" + b"\0" * 4 * 65, "header has 65 axes; NumPy's arrays have at most"),
        ("x", b"\0\0\x08\x04" + b"\xff" * 12 + b"\0" * 4, "damaged, or of another kind"),
        ("x.gz", idx(PIXELS), "damaged, or of another kind: Not a gzipped file"),
        ("x.gz", gzip.compress(idx(PIXELS))[:-20], "damaged, or of another kind"),
        ("x.gz", gzip.compress(idx(PIXELS))[:99] + b"\0" * 99, "damaged, or of another kind"),
    ],
)
def test_a_damaged_idx_file_is_one_clear_error_that_names_it(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


# ------------------------------------------------------------------- MNIST


@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_is_read_from_its_four_files(folder, compressed):
    write_mnist(folder, compressed)
    assert_split(data.mnist(), MNIST, (1, 28, 28))


def test_mnist_is_read_from_an_npz_of_rows(folder):
    rows = [a.reshape(len(a), -1) if a.ndim == 3 else a for a in MNIST]
    np.savez(
        folder / "mnist_full.npz", x_train=rows[0], y_train=rows[1], x_test=rows[2], y_test=rows[3]
    )
    assert_split(data.mnist(), MNIST, (1, 28, 28))


def test_labels_that_do_not_fit_the_images_are_an_error(folder):
    write_mnist(folder)
    for wrong in (LABELS[:-1], LABELS + np.uint8(10), PIXELS):
        (folder / "train-labels-idx1-ubyte").write_bytes(idx(wrong))
        with pytest.raises(ValueError, match=r"MNIST in .* is damaged: images of shape \(7, 28"):
            data.mnist()


@pytest.mark.parametrize("wrong", [-1 - LABELS.astype(np.int8), LABELS + 0.5, LABELS * np.nan])
def test_labels_that_are_not_digits_are_refused_by_name(folder, wrong):
    arrays = {"x_train": PIXELS.reshape(7, 784), "x_test": PIXELS.reshape(7, 784)}
    np.savez(folder / "mnist_full.npz", **arrays, y_train=wrong, y_test=LABELS)
    with pytest.raises(ValueError, match=r"mnist_full\.npz is damaged: .* N integer labels 0 … 9"):
        data.mnist()


def test_words_in_the_place_of_numbers_are_refused_by_name(folder):
    rows = PIXELS.reshape(7, 784)
    np.savez(folder / "mnist_full.npz", x_train=rows, y_train=["a"] * 7, x_test=rows, y_test=LABELS)
    with pytest.raises(ValueError, match=r"mnist_full\.npz: 'y_train' holds <U1, not numbers"):
        data.mnist()


def test_images_of_another_size_are_an_error(folder):
    write_mnist(folder)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(PIXELS[:, :27]))
    with pytest.raises(ValueError, match=r"damaged: images of shape \(7, 27, 28\)"):
        data.mnist()


def test_a_bad_npz_is_one_clear_error_that_names_it(folder):
    path = folder / "mnist_full.npz"
    np.savez(path, x_train=PIXELS)
    with pytest.raises(
        ValueError, match=r"'x_train' has the shape \(7, 28, 28\); expected \(N, 784\)"
    ):
        data.mnist()
    np.savez(path, x_train=PIXELS.reshape(7, 784), y_train=LABELS)
    with pytest.raises(ValueError, match=r"mnist_full\.npz has no array 'x_test'"):
        data.mnist()
    content = path.read_bytes()
    for bad in (b"", b"nonsense", content[:500], content[:-9]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"mnist_full\.npz is damaged, or of another kind"):
            data.mnist()


def test_an_absent_file_is_one_clear_error(folder):
    for call, name in (
        (data.mnist, "train-images-idx3-ubyte.gz"),
        (data.cifar10, "cifar-10-binary.tar.gz"),
        (data.names, "names.txt"),
        (data.shakespeare, "tinyshakespeare.txt"),
    ):
        with pytest.raises(FileNotFoundError, match=f"{name} is not in {folder} nor in") as caught:
            call()
        assert str(caught.value).count("https://") == 2
    with pytest.raises(FileNotFoundError, match=r"pusht_lowdim\.npz is not in .* zarr"):
        data.push_t()


# ------------------------------------------------------------------- CIFAR-10


CIFAR_PIXELS = RNG.integers(0, 256, (12, 3, 32, 32), np.uint8)
CIFAR_LABELS = (np.arange(12) % 10).astype(np.uint8)
CIFAR = (CIFAR_PIXELS[:10], CIFAR_LABELS[:10], CIFAR_PIXELS[10:], CIFAR_LABELS[10:])


def cifar_files():
    """Six files of two records."""
    records = [
        bytes([label]) + pixels.tobytes()
        for label, pixels in zip(CIFAR_LABELS, CIFAR_PIXELS, strict=True)
    ]
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    return {name: b"".join(records[2 * i : 2 * i + 2]) for i, name in enumerate(names)}


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("form", ["archive", "files", "files in their folder", "npz"])
def test_cifar10_is_read_from_every_form(folder, form):
    if form == "archive":
        write_archive(folder / "cifar-10-binary.tar.gz", cifar_files())
    elif form == "npz":
        x_train, y_train, x_test, y_test = CIFAR
        x_train, x_test = (x.transpose(0, 2, 3, 1) for x in (x_train, x_test))
        np.savez(
            folder / "cifar10_sub.npz",
            **{"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test},
        )
    else:
        place = folder if form == "files" else folder / "cifar-10-batches-bin"
        place.mkdir(exist_ok=True)
        for name, content in cifar_files().items():
            (place / name).write_bytes(content)
    split = data.cifar10()
    assert_split(split, CIFAR, (3, 32, 32))
    assert split.train.tensors[0].numpy().flags.c_contiguous


def test_a_damaged_cifar_is_one_clear_error(folder):
    path = folder / "cifar-10-binary.tar.gz"
    files = cifar_files()
    write_archive(path, {name: files[name] for name in list(files)[:4]})
    with pytest.raises(ValueError, match=r"missing data_batch_5\.bin, test_batch\.bin"):
        data.cifar10()
    write_archive(path, {**files, "data_batch_2.bin": files["data_batch_2.bin"][:-5]})
    with pytest.raises(
        ValueError, match=r"data_batch_2\.bin of .* 6141 bytes, .* multiple .* 3073"
    ):
        data.cifar10()
    write_archive(path, {**files, "test_batch.bin": b"\x0b" * 3073})
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged: .* 0 … 11"):
        data.cifar10()
    write_archive(path, files)
    content = path.read_bytes()
    for bad in (b"", b"nonsense", content[:3000], content[:200] + bytes(500) + content[700:]):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"cifar-10-binary\.tar\.gz is (damaged|not the complete)"
        ):
            data.cifar10()


# ------------------------------------------------------------------- texts


def test_names_and_shakespeare_are_read_as_they_are(folder):
    (folder / "names.txt").write_bytes(b"emma\nolivia\r\nava")
    (folder / "tinyshakespeare.txt").write_bytes(b"First Citizen:\nSpeak, speak.\n")
    assert data.names() == ["emma", "olivia", "ava"]
    assert data.shakespeare() == "First Citizen:\nSpeak, speak.\n"


def test_a_byte_order_mark_is_not_a_part_of_the_text_and_other_encodings_are_named(folder):
    (folder / "names.txt").write_bytes("\ufeffemma\nolivia".encode())
    (folder / "tinyshakespeare.txt").write_bytes("\ufeffFirst".encode("utf-16"))
    assert data.names() == ["emma", "olivia"]
    with pytest.raises(ValueError, match=r"tinyshakespeare\.txt is not text in UTF-8"):
        data.shakespeare()


def test_characters_are_numbered_by_code_point_and_come_back():
    vocabulary = data.Characters("." + "".join(["emma", "ava"]))
    assert (vocabulary.symbols, len(vocabulary)) == (".aemv", 5)
    numbers = vocabulary.encode("ava.")
    assert (numbers.tolist(), numbers.dtype) == ([1, 4, 1, 0], tg.int64)
    assert vocabulary.decode(numbers) == vocabulary.decode([1, 4, 1, 0]) == "ava."
    assert vocabulary.decode(vocabulary.encode("")) == vocabulary.decode([]) == ""
    text = "Größe ∂x 😀\n\t"
    assert data.Characters(text).decode(data.Characters(text).encode(text)) == text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data.Characters(""), "at least one character"),
        (lambda: data.Characters("ab").encode("abc"), "encode: 'c' is not in the vocabulary 'ab'"),
        (lambda: data.Characters("ab").decode([0, 2]), "must lie in 0 … 1"),
        (lambda: data.Characters("ab").decode([-1]), "must lie in 0 … 1"),
        (lambda: data.Characters("ab").decode([[0]]), r"of shape \(1, 1\); decode one row"),
        (lambda: data.Characters("ab").decode(tg.ones(2)), "got float32"),
    ],
)
def test_what_is_not_in_a_vocabulary_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ------------------------------------------------------------------- Push-T


def push_t_arrays(steps=6, ends=(2, 6)):
    return {
        "state": RNG.random((steps, 5)),
        "action": RNG.random((steps, 2)),
        "keypoint": RNG.random((steps, 9, 2)),
        "episode_ends": np.array(ends, np.int32),
    }


def test_push_t_is_read_from_an_npz(folder):
    arrays = push_t_arrays()
    np.savez(folder / "pusht_lowdim.npz", **arrays)
    found = data.push_t()
    for name, array in arrays.items():
        np.testing.assert_allclose(getattr(found, name).numpy(), array, rtol=1e-6)
    assert [t.dtype for t in found] == [tg.float32] * 3 + [tg.int64]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": np.zeros((6, 4))}, r"'state' has the shape \(6, 4\); expected \(N, 5\)"),
        ({"action": np.zeros((5, 2))}, "arrays differ in length"),
        ({"episode_ends": np.array([2, 2, 6])}, "episodes are empty"),
        ({"episode_ends": np.array([], int)}, "episodes are empty"),
        ({"episode_ends": np.array([2, 5])}, "the last episode ends at 5 of 6 steps"),
    ],
)
def test_a_damaged_push_t_is_one_clear_error(folder, change, words):
    np.savez(folder / "pusht_lowdim.npz", **{**push_t_arrays(), **change})
    with pytest.raises(ValueError, match=words):
        data.push_t()


# ------------------------------------------------------------------- damage of every kind


def read_push_t(path):
    return read_npz(path, {name: a.shape for name, a in push_t_arrays().items()})


@pytest.mark.parametrize(
    ("name", "read"),
    [("x.npz", read_push_t), ("x.gz", lambda path: [read_idx(path)]), ("x.tar.gz", read_cifar)],
)
def test_flips_cuts_and_zeroed_blocks_give_the_error_or_the_right_data(tmp_path, name, read):
    path = tmp_path / name
    if name == "x.npz":
        np.savez(path, **push_t_arrays())
    elif name == "x.gz":
        path.write_bytes(gzip.compress(idx(PIXELS)))
    else:
        write_archive(path, cifar_files())
    whole, content = read(path), path.read_bytes()
    rng, errors = np.random.default_rng(3), 0
    for trial in range(150):
        damaged, place = bytearray(content), int(rng.integers(len(content)))
        if trial % 3 == 0:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif trial % 3 == 1:
            del damaged[place:]
        else:
            damaged[place : place + 50] = bytes(len(damaged[place : place + 50]))
        path.write_bytes(damaged)
        try:
            found = read(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 (the data may be right instead)
            errors += 1
        else:
            for a, b in zip(found, whole, strict=True):
                np.testing.assert_array_equal(a, b)
    assert errors > 100


# ------------------------------------------------------------------- the real files


@needs("mnist_full.npz")
def test_mnist_has_the_published_bytes():
    train, test = data.mnist()
    assert (len(train), len(test)) == (60000, 10000)
    published = {  # SHA-256 of train-images-idx3-ubyte, uncompressed
        "train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    }
    images, labels = train.tensors
    pixels = np.rint(images.numpy()[:, 0] * 255).astype(np.uint8)
    assert hashlib.sha256(idx(pixels)).hexdigest() == published["train"]
    counts = np.bincount(labels.numpy()).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.tensors[1][:5].tolist() == [7, 2, 1, 0, 4]


@needs("cifar10_sub.npz")
def test_the_part_of_cifar10_is_read():
    train, test = data.cifar10()
    assert train.tensors[0].shape == (5000, 3, 32, 32)
    assert np.bincount(test.tensors[1].numpy()).tolist() == [200] * 10
    with np.load(DEVELOPMENT / "cifar10_sub.npz") as arrays:
        pixel = arrays["x_test"][3, 4, 5]
    np.testing.assert_allclose(test.tensors[0][3, :, 4, 5].numpy() * 255, pixel, rtol=1e-6)


@needs("names.txt")
def test_the_names_are_those_of_makemore():
    names = data.names()
    assert (len(names), names[:3], names[-1]) == (32033, ["emma", "olivia", "ava"], "zzyzx")
    assert len(data.Characters("." + "".join(names))) == 27


@needs("tinyshakespeare.txt")
def test_shakespeare_has_65_kinds_of_characters():
    text = data.shakespeare()
    vocabulary = data.Characters(text)
    assert (len(text), len(vocabulary)) == (1115394, 65)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_the_bundled_shakespeare_ends_with_a_line_within_its_first_200_kb():
    text = data.shakespeare_small()
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")
    assert text.endswith("When thou hast broke it in so dear degree?\n\n")
    assert (len(text), len(data.Characters(text))) == (199995, 62)


@needs("tinyshakespeare.txt")
def test_the_bundled_shakespeare_begins_the_whole_one():
    whole, text = data.shakespeare(), data.shakespeare_small()
    assert whole.startswith(text)
    assert whole.index("\n", len(text)) + 1 > 200_000


@needs("pusht_lowdim.npz")
def test_push_t_has_206_episodes():
    found = data.push_t()
    assert [t.shape for t in found] == [(25650, 5), (25650, 2), (25650, 9, 2), (206,)]
    assert found.episode_ends[-1].item() == 25650
    assert 0 <= found.action.min().item() <= found.action.max().item() <= 512


@pytest.mark.parametrize("name", ["names", "tinyshakespeare"])
def test_the_checksums_of_the_texts_are_those_of_the_files(name):
    from tinygrad_gm.data import text

    path = DEVELOPMENT / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"TINYGRAD_GM_DATA has no {name}.txt")
    known = {file.name: file.sha256 for file in (text._NAMES, text._SHAKESPEARE)}
    assert hashlib.sha256(path.read_bytes()).hexdigest() == known[path.name]

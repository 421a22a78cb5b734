"""Words of other libraries are answered with ours, and answered truly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.hints import KEYWORDS, WORDS
from tinygrad_gm.nn import Parameter


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: x.unsqueeze(1), "PyTorch's `unsqueeze(1)` is `expand_dims(x, 1)` here"),
        (lambda x: x.view(2), "a Tensor has no attribute 'view'"),
        (lambda x: x.permute(1, 0), "permute_dims"),
        (lambda x: Parameter(x).transpose(0, 1), "a Parameter .*swapaxes"),
        (lambda x: tg.cat([x, x]), "module 'tinygrad_gm' .*concat"),
        (lambda x: tg.unsqueeze(x, 1), "expand_dims"),
        (lambda x: tg.arctan(x), "NumPy's `arctan(x)` is `atan(x)` here"),
        (lambda x: x.nonsense, "no attribute 'nonsense'$"),
    ],
)
def test_a_word_of_another_library_names_ours(call: Any, words: str) -> None:
    pattern = re.escape(words).replace(r"\.\*", ".*").replace(r"\$", "$")
    with pytest.raises(AttributeError, match=pattern):
        call(tg.ones((2, 1)))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(dim=1),
        lambda x: tg.softmax(x, dim=1),
        lambda x: tg.concat([x, x], dim=1),
        lambda x: x.squeeze(dim=1),
        lambda x: tg.expand_dims(x, dim=1),
        lambda x: tg.split(x, 1, dim=0),
        lambda x: x.unstack(dim=0),
        lambda x: tg.repeat(x, 2, dim=0),
        lambda x: x.sort(dim=0),
        lambda x: tg.topk(x, 1, dim=0),
        lambda x: tg.vecdot(x, x, dim=0),
        lambda x: x.cumulative_sum(dim=0),
    ],
)
def test_the_keyword_dim_is_axis(call: Any) -> None:
    with pytest.raises(TypeError, match="'dim': PyTorch's `dim` is `axis` here"):
        call(tg.ones((2, 1)))


def test_layers_know_the_keyword_dim_too() -> None:
    with pytest.raises(TypeError, match=r"Softmax: .*'dim': PyTorch's `dim` is `axis` here"):
        nn.Softmax(dim=1)
    with pytest.raises(TypeError, match=r"Flatten: .*`start_dim` is `start_axis`"):
        nn.Flatten(start_dim=1)
    with pytest.raises(TypeError, match=r"Linear.*unexpected keyword argument 'dim'$"):
        nn.Linear(2, 3, dim=1)


def test_other_keywords() -> None:
    with pytest.raises(TypeError, match=r"mean: .*`keepdim` is `keepdims`"):
        tg.ones((2, 1)).mean(keepdim=True)
    with pytest.raises(TypeError, match=r"flatten: .*`start_dim` is `start_axis`"):
        tg.flatten(tg.ones((2, 1)), start_dim=1)
    with pytest.raises(TypeError, match=r"squeeze.*unexpected keyword argument 'nonsense'"):
        tg.squeeze(tg.ones((2, 1)), nonsense=1)


def test_no_hint_hides_a_name_of_ours() -> None:
    """A word in the table is missing here: as an attribute of a Tensor, or of the package."""
    x = tg.ones(2)
    for word in WORDS:
        assert not (hasattr(x, word) and hasattr(tg, word)), word
    assert "unsqueeze" not in dir(x)
    assert "expand_dims" in dir(x)


def test_every_function_that_a_hint_names_exists() -> None:
    for word, (_, ours) in WORDS.items():
        for name in re.findall(r"(?<![\w.\"])(\w+)\(", ours):
            assert name == "isinstance" or hasattr(tg, name), f"{word}: {ours}"
    assert all(word != ours for word, ours in KEYWORDS.items())


# ------------------------------------------------------------------- other libraries' protocols


class Foreign:
    """An array of another library: no NumPy array, but it shares its memory."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype = array, array.dtype

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_memory_is_shared_with_another_library_both_ways() -> None:
    array = np.arange(3.0)
    shared, copied = tg.asarray(Foreign(array)), tg.tensor(Foreign(array))
    array[0] = 7.0
    assert shared.tolist() == [7.0, 1.0, 2.0]
    assert copied.tolist() == [0.0, 1.0, 2.0]
    x = tg.ones(3)
    theirs = np.from_dlpack(x)
    x[1] = 5.0
    assert theirs.tolist() == [1.0, 5.0, 1.0]
    assert x.__dlpack_device__() == (1, 0)


def test_a_history_is_not_shared() -> None:
    x = tg.ones(3, requires_grad=True)
    for tensor in (x, x * 2):
        with pytest.raises(BufferError, match=r"use t.detach\(\)"):
            np.from_dlpack(tensor)
    assert np.from_dlpack(x.detach()).tolist() == [1.0, 1.0, 1.0]


def test_a_subclass_of_tensor_stays_itself() -> None:
    class Named(tg.Tensor):
        __slots__ = ()

    x = Named([1.0], requires_grad=True)
    assert tg.asarray(x) is x


def test_the_namespace_of_a_tensor_is_the_package() -> None:
    xp = tg.ones(2).__array_namespace__()
    assert xp is tg
    assert xp.sum(xp.ones(2)).item() == 2.0

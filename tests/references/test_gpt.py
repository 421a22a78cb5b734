"""GPT-2 in `transformers`: the same logits and the same texts, in both directions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tinygrad_gm as tg
from tinygrad_gm.models.gpt import GPT, GPTConfig

transformers = pytest.importorskip("transformers")
SIZES = {"vocab_size": 50, "n_layer": 3, "n_head": 4, "n_embd": 64}
IDS = np.random.default_rng(0).integers(0, 50, (3, 10))


def reference() -> torch.nn.Module:
    """Random weights, large enough for logits that differ."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        **SIZES, n_positions=64, initializer_range=0.2, bos_token_id=None, eos_token_id=None
    )
    model: torch.nn.Module = transformers.GPT2LMHeadModel(config).eval()
    return model


def compare(theirs: torch.nn.Module, ours: GPT) -> float:
    """The largest difference of the logits; the greedy texts of 50 symbols must be the same."""
    with torch.no_grad():
        expected = theirs(torch.tensor(IDS)).logits.numpy()
        error = float(abs(ours(tg.tensor(IDS)).numpy() - expected).max())
        for cached in (False, True):
            text = theirs.generate(  # type: ignore[operator]
                torch.tensor(IDS), max_new_tokens=50, do_sample=False, use_cache=cached
            )
            found = ours.generate(tg.tensor(IDS), 50, temperature=0)
            assert (found.numpy() == text.numpy()).all()
    ids = tg.tensor(IDS)
    for _ in range(50):  # without our cache
        likeliest = tg.argmax(ours(ids)[:, -1], axis=-1)
        ids = tg.concat([ids, likeliest[:, None]], axis=1)
    assert (ids == found).all()
    return error


def test_a_network_saved_by_transformers_is_the_same_here(
    tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    error = compare(theirs, GPT.from_pretrained(tmp_path))
    record_property("error", error)
    assert error < 1e-4


@pytest.mark.parametrize(("tie", "bias"), [(True, False), (False, True)])
def test_a_network_saved_here_is_the_same_in_transformers(
    tmp_path: Path, record_property: pytest.RecordProperty, tie: bool, bias: bool
) -> None:
    tg.manual_seed(0)
    ours = GPT(GPTConfig(**SIZES, block_size=64, bias=bias, tie=tie)).eval()
    for parameter in ours.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data * 10
    ours.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    error = compare(theirs, ours)
    record_property("error", error)
    assert error < 1e-4


def test_texts_filled_on_their_left_have_the_logits_of_transformers(tmp_path: Path) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    ours = GPT.from_pretrained(tmp_path)
    mask = np.arange(10) >= np.array([[0], [4], [9]])
    with torch.no_grad():
        places = torch.tensor(np.maximum(mask.cumsum(axis=1) - 1, 0))
        expected = theirs(
            torch.tensor(IDS), attention_mask=torch.tensor(mask), position_ids=places
        ).logits
    found = ours(tg.tensor(IDS), tg.tensor(mask))
    np.testing.assert_allclose(found.numpy()[mask], expected.numpy()[mask], atol=1e-4)

"""The Transformer of the models against `torch.nn.Transformer`, weight by weight."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from golden_transformer import GOLDEN, PLACES, SOURCE, TARGET, golden

import tinygrad_gm as tg
from tinygrad_gm.models.transformer import Transformer, loss

NORMS = pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])


class Theirs(torch.nn.Module):
    """The network in PyTorch, with the weights of ours."""

    def __init__(self, ours: Transformer) -> None:
        super().__init__()
        attention = ours.encoder.layers[0].self_attn
        width, self.norm_first = attention.d_model, ours.encoder.norm is not None
        with warnings.catch_warnings(action="ignore"):  # nested tensors cannot be used
            self.body = torch.nn.Transformer(
                width,
                attention.n_head,
                len(ours.encoder.layers),
                len(ours.decoder.layers),
                ours.encoder.layers[0].feed_forward.fc1.weight.shape[0],
                dropout=0.0,
                batch_first=True,
                norm_first=self.norm_first,
                dtype=torch.float64,
            )
        if not self.norm_first:
            self.body.encoder.norm = self.body.decoder.norm = None
        state = {name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()}
        self.source, self.target = (
            torch.nn.Parameter(state[f"{part}_embed.0.lut.weight"]) for part in ("src", "tgt")
        )
        self.weight = torch.nn.Parameter(state["generator.weight"])
        self.bias = torch.nn.Parameter(state["generator.bias"])
        self.body.load_state_dict(_of_the_body(state))

    def forward(self, source: Any, target: Any) -> Any:
        """Tokens → logits; 0 is padding, after a sequence."""
        later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        decoded = self.body(
            self.embedded(source, self.source),
            self.embedded(target, self.target),
            tgt_mask=later,
            src_key_padding_mask=source == 0,
            tgt_key_padding_mask=target == 0,
            memory_key_padding_mask=source == 0,
        )
        return torch.nn.functional.linear(decoded, self.weight, self.bias)

    @staticmethod
    def embedded(tokens: Any, matrix: Any) -> Any:
        """Vectors and code, the code as in the notes."""
        width = matrix.shape[1]
        position = torch.arange(tokens.shape[1], dtype=torch.float64).unsqueeze(1)
        rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        code = torch.zeros(tokens.shape[1], width, dtype=torch.float64)
        code[:, 0::2], code[:, 1::2] = torch.sin(position * rates), torch.cos(position * rates)
        return torch.nn.functional.embedding(tokens, matrix) * math.sqrt(width) + code


def _of_the_body(state: dict[str, Any]) -> dict[str, Any]:
    """The state of encoder and decoder under PyTorch's names."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        if not name.startswith(("encoder.", "decoder.")) or ".wk." in name or ".wv." in name:
            continue
        if ".wq." in name:
            value = torch.cat([state[name.replace(".wq.", f".w{x}.")] for x in "qkv"])
            name = name.replace("wq.", "in_proj_")
        for number in range(3):
            name = name.replace(f"sublayer.{number}.norm", f"norm{number + 1}")
        name = name.replace("feed_forward.fc", "linear").replace("src_attn", "multihead_attn")
        name = name.replace("out_linear", "out_proj")
        found[name.replace("gamma", "weight").replace("beta", "bias")] = value
    return found


@NORMS
def test_the_network_is_pytorchs_transformer(norm_first: bool) -> None:
    """Logits and gradients, with padding and a smoothed loss."""
    tg.manual_seed(0)
    ours = Transformer(11, 9, 2, 12, 3, 20, 0.0, norm_first=norm_first)
    for tensor in [*ours.buffers(), *ours.parameters()]:
        tensor.data = tensor.data.astype(tg.float64)
    for parameter in ours.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * tg.randn(parameter.shape, tg.float64).data
    rng = np.random.default_rng(0)
    source, target = rng.integers(1, 11, (4, 7)), rng.integers(1, 9, (4, 6))
    source[1, 4:] = target[1, 3:] = target[2, 5:] = 0
    theirs = Theirs(ours)
    logits = ours(tg.tensor(source), tg.tensor(target[:, :-1]))
    expected = theirs(torch.tensor(source), torch.tensor(target[:, :-1]))
    real = target[:, 1:] != 0
    np.testing.assert_allclose(logits.numpy()[real], expected.detach().numpy()[real], atol=1e-6)
    mean = loss(ours, tg.tensor(source), tg.tensor(target), label_smoothing=0.1)
    other = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1),
        torch.tensor(target[:, 1:]).flatten(),
        ignore_index=0,
        label_smoothing=0.1,
    )
    assert mean.item() == pytest.approx(other.item(), abs=1e-6)
    mean.backward()
    other.backward()
    pairs = [
        (ours.src_embed[0].lut.weight, theirs.source),
        (ours.tgt_embed[0].lut.weight, theirs.target),
        (ours.generator.weight, theirs.weight),
        (
            ours.encoder.layers[0].feed_forward.fc1.weight,
            theirs.body.encoder.layers[0].linear1.weight,
        ),
        (ours.decoder.layers[1].src_attn.wq.weight, theirs.body.decoder.layers[1].multihead_attn),
    ]
    for mine, their in pairs:
        whole = their.in_proj_weight if hasattr(their, "in_proj_weight") else their
        gradient = whole.grad[: mine.shape[0]].numpy()
        np.testing.assert_allclose(mine.grad.numpy(), gradient, atol=1e-6)


@NORMS
def test_the_golden_logits_are_pytorchs(norm_first: bool) -> None:
    theirs = Theirs(golden(norm_first))
    with torch.no_grad():
        logits = theirs(torch.tensor(SOURCE), torch.tensor(TARGET))
    for place, numbers in zip(PLACES, GOLDEN[norm_first], strict=True):
        np.testing.assert_allclose(logits[place].numpy(), numbers, atol=1e-6)

"""Networks on sequences of symbols."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .training import Step, training, with_weights


def lstm(lib: Library) -> Step:
    """LSTM 128 → 128 over 64 steps, batch 32, softmax over 65 symbols, Adam."""
    nn = lib.nn

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(65, 128), nn.LSTM(128, 128)
            self.head = nn.Linear(128, 65)

        def forward(self, symbols: Any) -> Any:
            return self.head(self.lstm(self.embedding(symbols))[0])

    net = with_weights(lib, Net())
    x, target = map(lib.tensor, lstm_data())
    optimizer = lib.optim["Adam"](net.parameters(), lr=1e-3)
    return training(optimizer, lambda: lib.F.cross_entropy(net(x).reshape(-1, 65), target))


def lstm_data() -> tuple[Any, Any]:
    """Symbols (64 steps, 32 texts), and those that follow them in one row."""
    symbols = np.random.default_rng(1).integers(0, 65, (65, 32))
    return symbols[:-1], symbols[1:].reshape(-1)


def _gpt(lib: Library, context: int) -> Any:
    """A decoder-only Transformer in GPT-2's form: 4 layers, 4 heads, 128 wide, 65 symbols."""
    nn, F = lib.nn, lib.F

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.qkv, self.proj = nn.Linear(128, 384), nn.Linear(128, 128)
            self.mlp = nn.Sequential(
                nn.Linear(128, 512), nn.GELU(approximate="tanh"), nn.Linear(512, 128)
            )

        def forward(self, x: Any, past: list[Any] | None) -> Any:
            count, length, _ = x.shape
            q, k, v = (
                lib.permute(part.reshape(count, length, 4, 32), (0, 2, 1, 3))
                for part in lib.split(self.qkv(self.ln_1(x)), 3)
            )
            if past is not None:
                if past:
                    k, v = lib.concat([past[0], k], 2), lib.concat([past[1], v], 2)
                past[:] = [k, v]
            y = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            x = x + self.proj(lib.permute(y, (0, 2, 1, 3)).reshape(count, length, 128))
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(65, 128), nn.Embedding(context, 128)
            self.h = nn.ModuleList([Block() for _ in range(4)])
            self.ln_f, self.head = nn.LayerNorm(128), nn.Linear(128, 65, bias=False)

        def forward(self, symbols: Any, places: Any, pasts: Any = (None,) * 4) -> Any:
            x = self.wte(symbols) + self.wpe(places)
            for block, past in zip(self.h, pasts, strict=True):
                x = block(x, past)
            return self.head(self.ln_f(x))

    return with_weights(lib, GPT())


def gpt(lib: Library) -> Step:
    """GPT of 4 layers, 4 heads, 128 wide, context 64, batch 12, 65 symbols, tanh-GELU, AdamW."""
    return _gpt_training(lib, 64, 12)


def _gpt_training(lib: Library, context: int, count: int) -> Step:
    net = _gpt(lib, context)
    symbols = np.random.default_rng(1).integers(0, 65, (count, context + 1))
    x, target = lib.tensor(symbols[:, :-1]), lib.tensor(symbols[:, 1:].reshape(-1))
    places = lib.tensor(np.arange(context))
    optimizer = lib.optim["AdamW"](net.parameters(), lr=1e-3, weight_decay=0.1)
    return training(optimizer, lambda: lib.F.cross_entropy(net(x, places).reshape(-1, 65), target))


def gpt512(lib: Library) -> Step:
    """The same with a context of 512 and batch 8."""
    return _gpt_training(lib, 512, 8)


def infer_gpt(lib: Library) -> Step:
    """256 symbols from that GPT, one after the other with a key-value cache, the likeliest each."""
    net = _gpt(lib, 256)

    def step() -> Any:
        pasts: list[list[Any]] = [[] for _ in range(4)]
        symbol = 0
        with lib.no_grad():
            for place in range(256):
                logits = net(lib.tensor([[symbol]]), lib.tensor([place]), pasts)
                symbol = lib.argmax(logits)
        return logits.max()

    return step

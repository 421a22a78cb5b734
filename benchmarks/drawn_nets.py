"""Networks for drawings, in the interface that PyTorch and this library share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def encoder(lib: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a Transformer's encoder of 12 layers, 64 wide, and 2 sequences of 16 tokens."""
    layer = lib.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    return lib.nn.TransformerEncoder(layer, 12), (lib.randn((2, 16, 64)),)


def nets(lib: Any) -> dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]]:
    """Return makers of six networks and their inputs; `lib` is `torch` or `tinygrad_gm`."""
    nn = lib.nn
    F = nn.functional

    class Recurrent(nn.Module):
        """An LSTM cell over five steps, and a linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(8, 16), nn.Linear(16, 3)

        def forward(self, x: Any) -> Any:
            h = c = lib.zeros((4, 16))
            for step in range(5):
                h, c = self.cell(x[step], (h, c))
            return self.head(h)

    class GPTBlock(nn.Module):
        """Attention and two linear layers, each with norm and shortcut."""

        def __init__(self, dim: int = 32, heads: int = 4) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x: Any) -> Any:
            y = self.norm1(x)
            length = x.shape[1]
            mask = lib.triu(lib.ones((length, length), dtype=lib.bool), 1)
            found, _ = self.attn(y, y, y, attn_mask=mask, need_weights=False)
            x = x + found
            return x + self.mlp(self.norm2(x))

    class Block(nn.Module):
        """Two convolutions with batch norm, and a shortcut."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.shortcut(x) + self.bn2(self.conv2(y)))

    class Attention(nn.Module):
        """Multi-head attention of a sequence to itself."""

        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.attn(x, x, x)[0]

    class UNet(nn.Module):
        """Three levels of residual blocks, with skips."""

        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.middle = Block(3, 8), Block(8, 16), Block(16, 32)
            self.up2, self.up1 = Block(32 + 16, 16), Block(16 + 8, 8)
            self.pool, self.out = nn.MaxPool2d(2), nn.Conv2d(8, 3, 1)

        def forward(self, x: Any) -> Any:
            fine = self.down1(x)
            coarse = self.down2(self.pool(fine))
            h = F.interpolate(self.middle(self.pool(coarse)), scale_factor=2)
            h = F.interpolate(self.up2(lib.concat([h, coarse], 1)), scale_factor=2)
            return self.out(self.up1(lib.concat([h, fine], 1)))

    def perceptron() -> Any:
        layers = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return {
        "lstm": lambda: (Recurrent(), (lib.randn((5, 4, 8)),)),
        "gpt": lambda: (GPTBlock(), (lib.randn((2, 10, 32)),)),
        "resnet": lambda: (Block(16, 16), (lib.randn((2, 16, 8, 8)),)),
        "mlp": lambda: (perceptron(), (lib.randn((8, 16)),)),
        "attention": lambda: (Attention(), (lib.randn((2, 6, 16)),)),
        "unet": lambda: (UNet(), (lib.randn((1, 3, 16, 16)),)),
    }

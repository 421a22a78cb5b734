"""Normalisation layers: y = (x − μ)/√(σ² + eps) · γ + β, with μ and σ over different axes.

| layer | μ and σ are those of |
|---|---|
| BatchNorm | a channel, over the whole batch; in evaluation running averages |
| LayerNorm | the last axes of each example, such as a token's features |
| GroupNorm | a group of channels of each example |
| InstanceNorm | a channel of each example |
| RMSNorm | as LayerNorm, with μ = 0 |

γ is called `weight` and starts at 1, β is called `bias` and starts at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..creation import empty, ones, zeros
from ..engine.modes import rerunning
from ..tensor import Tensor, asarray
from . import functional as F
from . import init
from .function_layer import FunctionLayer
from .module import Module
from .parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _Affine(Module):
    """Base of the norms with γ, a Parameter or None, and perhaps β."""

    weight: Parameter | None

    def _add_parameter(self, name: str, shape: Any, learned: bool, device: Any, dtype: Any) -> None:
        setattr(self, name, Parameter(empty(shape, dtype, device=device)) if learned else None)

    def reset_parameters(self) -> None:
        """Reset to γ = 1, β = 0."""
        for name, parameter in self.named_parameters():
            init.constant_(parameter, float(name == "weight"))


class _ChannelNorm(_Affine):
    """Base of batch and instance norm: C channels, optional γ, β and running averages."""

    _ndims: tuple[int, ...]  # allowed numbers of axes
    _optional: ClassVar[tuple[str, ...]] = ("num_batches_tracked",)  # PyTorch 0.4 had none
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        shape, track = (num_features,), track_running_stats
        self._add_parameter("weight", shape, affine, device, dtype)
        self._add_parameter("bias", shape, affine, device, dtype)
        mean = zeros(shape, dtype, device=device) if track else None
        variance = ones(shape, dtype, device=device) if track else None
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", variance)
        count = zeros((), "int64", device=device) if track else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Reset the running statistics: mean 0, variance 1, no batches."""
        buffers = self.running_mean, self.running_var, self.num_batches_tracked
        for buffer, value in zip(buffers, (0, 1, 0), strict=True):
            if buffer is not None:
                buffer.copy_(value)

    def reset_parameters(self) -> None:
        """Reset to γ = 1, β = 0, and the running statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def _checked(self, input: Any, channels: int = 1) -> Tensor:
        """Check the number of axes and of channels."""
        x, name = asarray(input), type(self).__name__
        if x.ndim not in self._ndims:
            wanted = " or ".join(str(n) for n in self._ndims)
            raise ValueError(f"{name}: expected an input of {wanted} axes; got {x.shape}")
        if x.shape[channels] != self.num_features:
            raise ValueError(
                f"{name}: expected {self.num_features} channels on axis {channels}; got {x.shape}"
            )
        return x

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, x: Any) -> Any:
        """(x − μ)/√(σ² + eps) · γ + β per channel; in training the running averages are updated."""
        x, mean, variance = self._checked(x), self.running_mean, self.running_var
        momentum, count = self.momentum, self.num_batches_tracked
        if self.training and count is not None and not rerunning.get():
            count._data += 1
            count.mark_written()
        if momentum is None:
            momentum = 0.0 if count is None else 1 / max(1, int(count))
        of_batch = self.training or mean is None
        return F.batch_norm(x, mean, variance, self.weight, self.bias, of_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """(x − μ)/√(σ² + eps) · γ + β per channel of (N, C) or (N, C, L) (Ioffe & Szegedy 2015).

    In training μ and σ² are those of the batch (the sum of squares divided by n), and running
    averages are updated in place (with the sum divided by n − 1):

        running ← (1 − momentum) · running + momentum · batch

    In evaluation μ and σ² are the running averages.

    Args:
        num_features: C.
        eps: added to σ², keeps 1/σ finite.
        momentum: weight of the new batch in the running averages; None: the plain average of all
            batches.
        affine: whether to learn γ and β.
        track_running_stats: keep running averages; otherwise evaluation uses the batch's statistics
            as well.
        device, dtype: of parameters and averages; None: the defaults.

    Shapes: `weight` (γ), `bias` (β), `running_mean`, `running_var` (C,); `num_batches_tracked` is
    one integer.

    Raises:
        ValueError: a wrong number of axes or channels; or training with one element per channel.

    A recomputed `tg.checkpoint` does not update averages and count.

    >>> layer = nn.BatchNorm1d(1, momentum=0.5)
    >>> layer(tg.tensor([[1.0], [3.0]])).round(3).tolist()
    [[-1.0], [1.0]]
    >>> layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()
    (1.0, 1.5, 1)
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images (N, C, H, W): all pixels of a channel share μ and σ.

    >>> nn.BatchNorm2d(3)(tg.randn((8, 3, 4, 4))).mean(axis=(0, 2, 3)).round(3).abs().tolist()
    [0.0, 0.0, 0.0]
    """

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes or videos (N, C, D, H, W)."""

    _ndims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, x: Any) -> Any:
        """(x − μ)/√(σ² + eps) · γ + β per example and channel."""
        batched = asarray(x).ndim == self._ndims[-1]
        x = self._checked(x, 1 if batched else 0)
        mean, variance = self.running_mean, self.running_var
        how = (self.weight, self.bias, self.training or mean is None, self.momentum or 0.0)
        out = F.instance_norm(x if batched else x[None], mean, variance, *how, self.eps)
        return out if batched else out[0]


class InstanceNorm1d(_InstanceNorm):
    """(x − μ)/√(σ² + eps) · γ + β per example and channel of (N, C, L) or (C, L).

    It removes the contrast of each image, which style transfer networks would otherwise have to
    learn (Ulyanov et al. 2016, "Instance normalization: the missing ingredient for fast
    stylization"). Evaluation is the same as training.

    Args:
        num_features: C.
        eps: added to σ², keeps 1/σ finite.
        momentum: weight of the new batch in the running averages.
        affine: whether to learn γ and β (default False).
        track_running_stats: keep running averages, as in `BatchNorm1d`, and use them in evaluation.
        device, dtype: of parameters and averages; None: the defaults.

    Raises:
        ValueError: a wrong number of axes or channels; or one element per example and channel.

    >>> nn.InstanceNorm1d(2)(tg.tensor([[[1.0, 3.0], [2.0, 8.0]]])).round(3).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    _ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images (N, C, H, W) or (C, H, W)."""

    _ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for volumes or videos (N, C, D, H, W) or (C, D, H, W)."""

    _ndims = (4, 5)


class GroupNorm(_Affine):
    """(x − μ)/√(σ² + eps) · γ + β over groups of the channels of each example (Wu & He 2018).

    Unlike batch norm it does not depend on the size of the batch. One group is a layer norm over an
    example, one per channel an instance norm.

    Args:
        num_groups: number of groups; divides C.
        num_channels: C.
        eps: added to σ², keeps 1/σ finite.
        affine: whether to learn γ and β.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x and y (N, C, …); `weight` (γ), `bias` (β) (C,).

    >>> x = tg.tensor([[[1.0], [3.0], [10.0], [30.0]]])
    >>> nn.GroupNorm(2, 4)(x).round(3).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._add_parameter("weight", num_channels, affine, device, dtype)
        self._add_parameter("bias", num_channels, affine, device, dtype)
        self.reset_parameters()

    def forward(self, x: Any) -> Any:
        """(x − μ)/√(σ² + eps) · γ + β over groups of channels."""
        x = asarray(x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: expected {self.num_channels} channels on axis 1; got {x.shape}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LayerNorm(_Affine):
    """(x − μ)/√(σ² + eps) · γ + β over the last axes of each example (Ba, Kiros & Hinton 2016).

    Args:
        normalized_shape: the shape of the axes that share μ and σ, or the size of the only one.
        eps: added to σ², keeps 1/σ finite.
        elementwise_affine: whether to learn γ and β.
        bias: whether to learn β.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x and y (…, *normalized_shape); `weight` (γ), `bias` (β) normalized_shape.

    >>> nn.LayerNorm(2)(tg.tensor([[1.0, 3.0], [2.0, 8.0]])).round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._add_parameter("weight", shape, elementwise_affine, device, dtype)
        self._add_parameter("bias", shape, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, x: Any) -> Any:
        """(x − μ)/√(σ² + eps) · γ + β over the last axes."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """x/√(⟨x²⟩ + eps) · γ over the last axes: layer norm without a mean (Zhang & Sennrich 2019).

    Args:
        normalized_shape: the shape of the axes that share a mean square, or the size of the only
            one.
        eps: keeps the result finite; None: the machine epsilon of x's dtype.
        elementwise_affine: whether to learn γ.
        device, dtype: of the weight; None: the defaults.

    Shapes: x and y (…, *normalized_shape); `weight` (γ) normalized_shape.

    >>> nn.RMSNorm(2)(tg.tensor([1.0, -7.0])).round(4).tolist()
    [0.20000000298023224, -1.399999976158142]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._add_parameter("weight", shape, elementwise_affine, device, dtype)
        self.reset_parameters()

    def forward(self, x: Any) -> Any:
        """x/√(⟨x²⟩ + eps) · γ over the last axes."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class LocalResponseNorm(FunctionLayer):
    """x_c / (k + alpha/size · Σ x_j²)^beta, the sum over the `size` channels j around c.

    Strong channels inhibit their neighbours (Krizhevsky et al. 2012, section 3.3: AlexNet, with
    size 5, k 2, beta 0.75 and alpha/size 1e-4).

    Args:
        size: number of channels in a neighbourhood.
        alpha, beta, k: as above.

    Shapes: x and y (N, C, …), of three axes or more.

    >>> x = tg.tensor([[[1.0], [2.0], [0.0]]])
    >>> nn.LocalResponseNorm(3, alpha=3.0, beta=1.0)(x).flatten().round(4).tolist()
    [0.16670000553131104, 0.33329999446868896, 0.0]
    """

    _function = staticmethod(F.local_response_norm)
    _options = ("size", "alpha", "beta", "k")

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _as_tuple(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)

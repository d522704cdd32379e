"""Batch normalisation with the statistics of the whole batch, where several processes each hold a part of it.

`torch.nn.SyncBatchNorm` does this on GPUs, where it is what is used, and refuses tensors on the CPU.
"""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from training.errors import ModelError


def convert_batchnorm(model: nn.Module, group: dist.ProcessGroup | None = None) -> nn.Module:
    """The model with every batch normalisation over the rows of all ranks of the group (None: of all).

    The layers are replaced in the model itself; only where it is such a layer is another returned. Move it to
    its device before. Parameters, buffers and their names stay as they are. Raises ModelError for a batch
    normalisation with a forward of its own, which would be lost.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and type(module).forward not in KNOWN_FORWARDS:
            raise ModelError(
                f"{type(module).__name__} {name!r} can't be synchronised, its forward is its own"
            )
    if any(parameter.is_cuda for parameter in model.parameters()):
        converted: nn.Module = convert_sync_batchnorm(model, group)  # type: ignore[no-untyped-call]
        return converted
    return _convert(model, group)


class SynchronisedBatchNorm(_BatchNorm):
    """(N, C, *) -> (N, C, *): while training, over the rows of all ranks; else plain batch normalisation.

    Ranks may hold different numbers of rows, or none; all must run the same layers in the same order. Each
    rank's gradients of weight and bias are of its own rows: those of the whole batch are their sum over all.
    Raises ValueError where all ranks together hold one value per channel.
    """

    def __init__(self, plain: _BatchNorm, group: dist.ProcessGroup | None) -> None:
        super().__init__(
            plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats
        )
        self.weight, self.bias = plain.weight, plain.bias
        self.running_mean, self.running_var = plain.running_mean, plain.running_var
        self.num_batches_tracked = plain.num_batches_tracked
        self.training = plain.training
        self.group = group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not _is_divided(self.group):
            return super().forward(input)
        self._check_input_dim(input)
        mean, variance, count = _statistics(input.detach(), self.group)
        self._track(mean, variance * count / (count - 1))
        normalised: Tensor = _Normalise.apply(
            input, self.weight, self.bias, mean, variance, self.eps, count, self.group
        )
        return normalised

    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        # Without a momentum all batches weigh the same.
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), weight)


class SynchronisedBatchNormAct(SynchronisedBatchNorm):
    """With the dropping and the activation of the timm layer that it takes the place of."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


KNOWN_FORWARDS = (
    _BatchNorm.forward,
    nn.SyncBatchNorm.forward,
    BatchNormAct2d.forward,
    SynchronisedBatchNorm.forward,
    SynchronisedBatchNormAct.forward,
)


def _convert(module: nn.Module, group: dist.ProcessGroup | None) -> nn.Module:
    converted = module
    if isinstance(module, BatchNormAct2d | SynchronisedBatchNormAct):
        converted = SynchronisedBatchNormAct(module, group)
    elif isinstance(module, _BatchNorm):
        converted = SynchronisedBatchNorm(module, group)
    for name, child in module.named_children():
        converted.add_module(name, _convert(child, group))
    return converted


class _Normalise(Function):
    """(input - mean) / sqrt(variance + eps) * weight + bias, of an input that mean and variance come from.

    Backward is Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3, its two sums taken over all ranks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: int,
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        invstd = (variance + eps).rsqrt()
        ctx.save_for_backward(input, weight, mean, invstd)
        ctx.count, ctx.group = count, group
        wide = mean.dtype
        scale, shift = (None if tensor is None else tensor.to(wide) for tensor in (weight, bias))
        normalised = functional.batch_norm(input.to(wide), mean, variance, scale, shift, eps=eps)
        return normalised.to(input.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, invstd = ctx.saved_tensors
        wide_grad = grad.to(mean.dtype)
        hat = (input.to(mean.dtype) - _spread(mean, input)) * _spread(invstd, input)
        sums = torch.stack([_sum_rows(wide_grad), _sum_rows(wide_grad * hat)])
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            means = (_sum_ranks(sums, ctx.group) / ctx.count).to(mean.dtype)
            scale = invstd if weight is None else invstd * weight
            centred = wide_grad - _spread(means[0], input) - hat * _spread(means[1], input)
            grad_input = (centred * _spread(scale, input)).to(input.dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = sums[1].to(weight.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = sums[0].to(weight.dtype)
        return grad_input, grad_weight, grad_bias, None, None, None, None, None


def _statistics(input: Tensor, group: dist.ProcessGroup | None) -> tuple[Tensor, Tensor, int]:
    """Mean (C), biased variance (C) and number of values per channel, over all ranks, at least in float32.

    Two passes: squares are taken of the centred values, so that a large mean costs no digits.
    """
    wide = input.to(torch.promote_types(input.dtype, torch.float32))
    num_values = wide.new_tensor([input.numel() // input.shape[1]], dtype=torch.float64)
    sums = _sum_ranks(torch.cat([_sum_rows(wide), num_values]), group)
    count = int(sums[-1])
    if count < 2:
        raise ValueError(f"expected more than 1 value per channel when training, got {count} over all ranks")
    mean = (sums[:-1] / count).to(wide.dtype)
    squares = _sum_rows((wide - _spread(mean, wide)).square())
    variance = _sum_ranks(squares, group) / count
    return mean, variance.to(wide.dtype), count


def _is_divided(group: dist.ProcessGroup | None) -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def _sum_ranks(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    # float64 holds any count exactly, and so few sums cost nothing.
    total = tensor.to(torch.float64, copy=True)
    dist.all_reduce(total, group=group)
    return total


def _sum_rows(values: Tensor) -> Tensor:
    """(N, C, *) -> (C)."""
    return values.sum([dim for dim in range(values.dim()) if dim != 1])


def _spread(per_channel: Tensor, like: Tensor) -> Tensor:
    """(C) -> (1, C, 1, ...) with as many dimensions as `like`."""
    return per_channel.reshape(1, -1, *[1] * (like.dim() - 2))

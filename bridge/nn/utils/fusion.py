"""Layers with a normalisation behind them as one layer, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

import bridge
from bridge.nn.parameter import Parameter
from bridge.tensor import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fused(weight: Tensor, bias: Any, norm: Any, shape: list[int]) -> tuple[Parameter, Parameter]:
    mean, variance, eps, scale, shift = norm
    bias = bridge.zeros_like(mean) if bias is None else bias
    scale = bridge.ones_like(mean) if scale is None else scale
    shift = bridge.zeros_like(mean) if shift is None else shift
    factor = scale * bridge.rsqrt(variance + eps)
    made = weight * factor.reshape(shape), (bias - mean) * factor + shift
    first, second = (m.detach().to(weight.dtype) for m in made)
    return Parameter(first, weight.requires_grad), Parameter(second, bias.requires_grad)


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution with a normalisation behind it."""
    shape = [1, -1, *[1] * (conv_w.dim() - 2)] if transpose else [-1, *[1] * (conv_w.dim() - 1)]
    return _fused(conv_w, conv_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), shape)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor, bn_b: Tensor
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear map with a normalisation behind it."""
    return _fused(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), [-1, 1])


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what one and the normalisation behind it do. Raises AssertionError in training."""
    assert not conv.training, "Fusion only for eval!"
    assert not bn.training, "Fusion only for eval!"
    made = copy.deepcopy(conv)
    norm = bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    made.weight, made.bias = fuse_conv_bn_weights(made.weight, made.bias, *norm, transpose)
    return made


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear map that does what one and the normalisation behind it do. Raises AssertionError in training."""
    assert not linear.training, "Fusion only for eval!"
    assert not bn.training, "Fusion only for eval!"
    made = copy.deepcopy(linear)
    norm = bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    made.weight, made.bias = fuse_linear_bn_weights(made.weight, made.bias, *norm)
    return made

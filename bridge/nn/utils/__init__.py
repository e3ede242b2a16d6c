"""What models are built and trained with beside modules."""

import inspect
from typing import Any

from bridge.nn.utils import fusion, parametrizations, parametrize, rnn
from bridge.nn.utils._gradients import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from bridge.nn.utils._old_norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from bridge.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "fuse_conv_bn_eval", "fuse_conv_bn_weights",
    "fuse_linear_bn_eval", "fuse_linear_bn_weights", "fusion", "get_total_norm", "parameters_to_vector", "parametrizations",
    "parametrize", "remove_spectral_norm", "remove_weight_norm", "rnn", "skip_init", "spectral_norm", "vector_to_parameters",
    "weight_norm",
]  # fmt: skip


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Any:
    """A module of that class; its parameters have any values. Raises RuntimeError for a class that takes no ``device``."""
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    return module_cls(*args, **kwargs)

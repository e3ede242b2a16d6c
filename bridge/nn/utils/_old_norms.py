"""``weight_norm`` and ``spectral_norm`` as hooks, as models before parametrizations have them."""

from __future__ import annotations

import warnings
from typing import Any

import bridge
from bridge.autograd.grad_mode import no_grad
from bridge.nn import functional as F
from bridge.nn.modules.module import Module
from bridge.nn.parameter import Parameter
from bridge.tensor import Tensor

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class WeightNorm:
    """Computes a weight of lengths and directions before every call."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """The weight as it is now."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return bridge._weight_norm(v, g, self.dim)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _hooks_of(module: Module, kind: type, name: str) -> list[Any]:
    return [k for k, hook in module._forward_pre_hooks.items() if isinstance(hook, kind) and hook.name == name]  # type: ignore[attr-defined]


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Have a weight be computed of ``name_g`` and ``name_v`` before every call: ``g * v / ‖v‖``.

    Raises RuntimeError where it is already.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    if _hooks_of(module, WeightNorm, name):
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, dim)
    weight = getattr(module, name)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(bridge.norm_except_dim(weight, 2, hook.dim).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again. Raises ValueError where it has no weight norm."""
    for key in _hooks_of(module, WeightNorm, name):
        weight = module._forward_pre_hooks[key].compute_weight(module)  # type: ignore[attr-defined]
        delattr(module, name)
        del module._parameters[f"{name}_g"], module._parameters[f"{name}_v"]
        setattr(module, name, Parameter(weight.detach()))
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")


class SpectralNorm:
    """Divides a weight by its largest singular value before every call."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix with the rows of ``dim``."""
        if self.dim != 0:
            weight = weight.permute(self.dim, *[d for d in range(weight.dim()) if d != self.dim])
        return weight.reshape(weight.size(0), -1)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight as it is now, after one more iteration in training."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(bridge.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(bridge.mv(matrix, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()
        sigma = bridge.dot(u, bridge.mv(matrix, v))
        made: Tensor = weight / sigma
        return made

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Have a weight be divided by its largest singular value before every call.

    Raises RuntimeError where it is already.
    """
    if _hooks_of(module, SpectralNorm, name):
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    hook = SpectralNorm(name, n_power_iterations, dim, eps)
    weight = module._parameters[name]
    assert weight is not None
    with no_grad():
        matrix = hook.matrix(weight)
        h, w = matrix.size()
        u = F.normalize(weight.new_empty([h]).normal_(0, 1), dim=0, eps=eps)
        v = F.normalize(weight.new_empty([w]).normal_(0, 1), dim=0, eps=eps)
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again. Raises ValueError where it has no spectral norm."""
    for key in _hooks_of(module, SpectralNorm, name):
        with no_grad():
            weight = module._forward_pre_hooks[key].compute_weight(module, do_power_iteration=False)  # type: ignore[attr-defined]
        delattr(module, name)
        del module._buffers[f"{name}_u"], module._buffers[f"{name}_v"], module._parameters[f"{name}_orig"]
        module.register_parameter(name, Parameter(weight.detach()))
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")

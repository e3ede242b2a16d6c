"""``Variable``: what tensors were wrapped in once."""

from __future__ import annotations

from typing import Any

from bridge.tensor import Tensor

__all__ = ["Variable"]


class _IsTensor(type):
    """Every tensor is an instance; calling the class gives a tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Any = None, requires_grad: bool = False) -> Tensor:
        made = Tensor([]) if data is None else data.detach()
        return made.requires_grad_(requires_grad)


class Variable(metaclass=_IsTensor):
    """``Variable(tensor, requires_grad=…)`` is the tensor, detached."""

    __tensor_alias__ = True

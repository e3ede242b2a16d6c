"""``Parameter``: a tensor that a module lists among its parameters; ``Buffer``: one that it lists among its buffers."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from bridge.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]


class Parameter(Tensor):
    """A leaf tensor over ``data`` (memory is shared) that requires grad unless told otherwise.

    Raises RuntimeError for data that cannot require grad.
    """

    _is_parameter = True

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Self:
        t: Self = object.__new__(cls)
        if data is None:
            t._array = np.empty(0, np.float32)
        else:
            t._array = data._array
            if data._base is None and data._counter is not None:
                t._counter = data._counter
        if requires_grad and t._array.dtype.kind not in "fcV":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        t._requires_grad = requires_grad
        return t

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        new = type(self)(Tensor._wrap(self._array.copy()), self._requires_grad)
        memo[id(self)] = new
        if self.grad is not None:
            new.grad = copy.deepcopy(self.grad, memo)
        return new

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + Tensor.__repr__(self)


class Buffer(Tensor):
    """A tensor that becomes a buffer when it is assigned to a module; ``persistent`` ones are saved."""

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Self:
        t: Self = object.__new__(cls)
        t._array = np.empty(0, np.float32) if data is None else data._array
        t.requires_grad = data is not None and data.requires_grad
        t.persistent = persistent
        return t


class UninitializedParameter(Parameter):
    """A parameter whose size the first call of its module tells."""

    def __new__(cls, dtype: Any = None, requires_grad: bool = True) -> Self:
        made = super().__new__(cls, None, requires_grad)
        if dtype is not None:
            made._array = np.empty(0, dtype.numpy)
        return made

    def materialize(self, shape: Any) -> None:
        """Become a parameter of that size."""
        self._array = np.empty(tuple(shape), self._array.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return "<UninitializedParameter>"


class UninitializedBuffer(Tensor):
    """A buffer whose size the first call of its module tells."""

    def __new__(cls, dtype: Any = None) -> Self:
        made: Self = object.__new__(cls)
        made._array = np.empty(0, np.float32 if dtype is None else dtype.numpy)
        return made

    def materialize(self, shape: Any) -> None:
        """Become a buffer of that size."""
        self._array = np.empty(tuple(shape), self._array.dtype)
        self.__class__ = Tensor  # type: ignore[assignment]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return "<UninitializedBuffer>"

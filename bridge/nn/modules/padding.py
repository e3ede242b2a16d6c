"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.nn import functional as F
from bridge.nn.modules.module import Module
from bridge.nn.modules.utils import _ntuple, _pair, _quadruple
from bridge.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip

_sextuple = _ntuple(6, "_ntuple")


class _ConstantPadNd(Module):
    __constants__ = ["padding", "value"]  # noqa: RUF012
    value: float
    padding: Sequence[int]
    _tuple: Any = None

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__()
        self.value = value
        self.padding = type(self)._tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """The last dimension made longer on both sides by a constant."""

    _tuple = staticmethod(_pair)


class ConstantPad2d(_ConstantPadNd):
    """The last two dimensions made longer by a constant."""

    _tuple = staticmethod(_quadruple)


class ConstantPad3d(_ConstantPadNd):
    """The last three dimensions made longer by a constant."""

    _tuple = staticmethod(_sextuple)


class ZeroPad1d(ConstantPad1d):
    """The last dimension made longer by zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """The last two dimensions made longer by zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """The last three dimensions made longer by zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(Module):
    __constants__ = ["padding"]  # noqa: RUF012
    padding: Sequence[int]
    _tuple: Any = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = type(self)._tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "reflect")  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_ReflectionPadNd):
    """The last dimension made longer by its mirror image."""

    _tuple = staticmethod(_pair)


class ReflectionPad2d(_ReflectionPadNd):
    """The last two dimensions made longer by their mirror image."""

    _tuple = staticmethod(_quadruple)


class _ReplicationPadNd(_ReflectionPadNd):
    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "replicate")  # type: ignore[arg-type]


class ReplicationPad1d(_ReplicationPadNd):
    """The last dimension made longer by its edge."""

    _tuple = staticmethod(_pair)


class ReplicationPad2d(_ReplicationPadNd):
    """The last two dimensions made longer by their edge."""

    _tuple = staticmethod(_quadruple)


class ReflectionPad3d(_ReflectionPadNd):
    """The last three dimensions made longer by their mirror image."""

    _tuple = staticmethod(_sextuple)


class ReplicationPad3d(_ReplicationPadNd):
    """The last three dimensions made longer by their edge."""

    _tuple = staticmethod(_sextuple)


class _CircularPadNd(_ReflectionPadNd):
    def _check_input_dim(self, input):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")  # type: ignore[arg-type]


class CircularPad1d(_CircularPadNd):
    """The last dimension made longer by its other end."""

    _tuple = staticmethod(_pair)

    def _check_input_dim(self, input):  # type: ignore[no-untyped-def]
        if input.dim() != 2 and input.dim() != 3:
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class CircularPad2d(_CircularPadNd):
    """The last two dimensions made longer by their other ends."""

    _tuple = staticmethod(_quadruple)

    def _check_input_dim(self, input):  # type: ignore[no-untyped-def]
        if input.dim() != 3 and input.dim() != 4:
            raise ValueError(f"expected 3D or 4D input (got {input.dim()}D input)")


class CircularPad3d(_CircularPadNd):
    """The last three dimensions made longer by their other ends."""

    _tuple = staticmethod(_sextuple)

    def _check_input_dim(self, input):  # type: ignore[no-untyped-def]
        if input.dim() != 4 and input.dim() != 5:
            raise ValueError(f"expected 4D or 5D input (got {input.dim()}D input)")

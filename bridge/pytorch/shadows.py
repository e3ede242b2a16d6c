"""Which of our tensors stands for which of PyTorch's, for the time of one trace.

A shadow shares the memory of its original and tells a trace what it wants to know: shape, strides, element type, whether
it requires grad. The computation itself runs on the originals.
"""

from __future__ import annotations

from typing import Any

from bridge.ir.errors import UnsupportedError
from bridge.nn.parameter import Parameter
from bridge.pytorch import library
from bridge.pytorch.tensors import array_of, plain, to_torch
from bridge.tensor import Tensor
from bridge.types import Size

__all__ = ["Shadows"]


class Shadows:
    """The tensors of one trace. Both sides are kept alive, so that what identifies them stays their own."""

    def __init__(self) -> None:
        self._torch = library()
        self._ours: dict[int, Tensor] = {}

    def adopt(self, ours: Tensor) -> None:
        """Let a tensor of ours that came from PyTorch be the one that stands for its original."""
        theirs = ours.__dict__.get("_torch")
        if theirs is not None:
            self._ours.setdefault(id(theirs), ours)

    def pair(self, ours: Tensor, theirs: Any) -> None:
        """Declare that a tensor of ours is the shadow of one of theirs."""
        ours.__dict__["_torch"] = theirs
        self._ours[id(theirs)] = ours

    def of(self, theirs: Any) -> Tensor:
        """The shadow of a tensor, as the tensor is now. Raises UnsupportedError for what has no dense elements."""
        ours = self._ours.get(id(theirs))
        if ours is None:
            if self._torch._C._functorch.is_functorch_wrapped_tensor(theirs):
                raise UnsupportedError(
                    "tracing cannot see into torch.vmap, torch.func.grad and their like; write out what they compute"
                )
            ours = Tensor._wrap(array_of(theirs))
            self.pair(ours, theirs)
        elif not _same_geometry(ours, theirs):  # moved by an in-place operator
            ours._array = array_of(theirs)
        if not isinstance(ours, Parameter):
            ours._requires_grad = theirs.requires_grad
        return ours

    def original(self, ours: Tensor) -> Any:
        """The tensor of PyTorch that a shadow stands for; made, over the same memory, for a tensor that is not one."""
        theirs = ours.__dict__.get("_torch")
        if theirs is None or self._ours.get(id(theirs)) is not ours:
            theirs = to_torch(ours)
            self.pair(ours, theirs)
        return theirs

    def ours(self, value: Any) -> Any:
        """A value of PyTorch as ours, containers and slices included: shadows for tensors."""
        if isinstance(value, self._torch.Tensor):
            return self.of(value)
        return _rebuilt(value, self.ours, plain)

    def theirs(self, value: Any) -> Any:
        """The way back."""
        if isinstance(value, Tensor):
            return self.original(value)
        return _rebuilt(value, self.theirs, to_torch)


def _rebuilt(value: Any, inside: Any, leaf: Any) -> Any:
    if isinstance(value, Size):
        return Size([inside(v) for v in value])
    if isinstance(value, list):
        return [inside(v) for v in value]
    if isinstance(value, tuple):
        if type(value).__name__ == "Size":
            return leaf(value)
        made = [inside(v) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, dict):
        return {inside(k): inside(v) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(inside(value.start), inside(value.stop), inside(value.step))
    return leaf(value)


def _same_geometry(ours: Tensor, theirs: Any) -> bool:
    array = ours._array
    size = array.itemsize
    return (
        array.shape == tuple(theirs.shape)
        and (array.size == 0 or ours.data_ptr() == theirs.data_ptr())
        and (array.size < 2 or tuple(s // size for s in array.strides) == theirs.stride())
    )

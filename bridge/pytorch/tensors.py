"""Tensors and the small values around them, from PyTorch to here and back; memory is shared wherever it can be.

A tensor that came across knows where it came from (``_torch``): the same PyTorch tensor gives the same tensor here as long
as somebody holds it, so that tied weights stay tied, and a result that is an argument is that argument again.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name
from bridge.ir.errors import UnsupportedError
from bridge.nn.parameter import Parameter
from bridge.pytorch import library
from bridge.tensor import Tensor
from bridge.types import Size, device, layout, memory_format

__all__ = ["array_of", "from_torch", "holds_torch", "is_torch_tensor", "mark_written", "nested", "plain", "to_torch"]

_shared: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
_OURS = frozenset({Tensor, Parameter, int, float, bool, str, type(None)})
#: Integers of the width of an element type that NumPy does not have.
_CARRIERS = {1: "uint8", 2: "int16"}


def is_torch_tensor(value: Any) -> bool:
    """Whether a value is one of PyTorch's tensors."""
    torch = library()
    return torch is not None and isinstance(value, torch.Tensor)


def holds_torch(values: Any) -> bool:
    """Whether arguments (lists, tuples and dicts of them included) have a PyTorch tensor among them."""
    torch = library()
    return torch is not None and _holds((values,), torch.Tensor)


def _holds(values: Any, kind: type) -> bool:
    for v in values:
        t = type(v)
        if t in _OURS:  # nearly always: a call should cost little
            continue
        if t is tuple or t is list:
            found = _holds(v, kind)
        elif t is dict:
            found = bool(v) and _holds(v.values(), kind)
        elif isinstance(v, Mapping):
            found = _holds(v.values(), kind)
        else:
            found = isinstance(v, kind) or (isinstance(v, list | tuple) and _holds(v, kind))
        if found:
            return True
    return False


# -- from PyTorch ------------------------------------------------------------------------------------------------------


#: Element types of PyTorch that tensors here do not have, with their numbers.
_FOREIGN = {"complex32": 8, "qint8": 12, "quint8": 13, "qint32": 14, "quint4x2": 16, "quint2x4": 17}


def foreign_code(value: Any) -> int | None:
    """The number of an element type of PyTorch that tensors here do not have; None for everything else."""
    return _FOREIGN.get(str(value).removeprefix("torch.")) if type(value).__module__ == "torch" else None


def plain(value: Any) -> Any:
    """A value of PyTorch (tensor, dtype, device, layout, memory format, size) as ours; anything else as it is."""
    torch = library()
    if torch is None:
        return value
    if isinstance(value, torch.Tensor):
        return from_torch(value)
    if isinstance(value, torch.dtype):
        return value if foreign_code(value) is not None else by_name(str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return device(str(value))
    if isinstance(value, torch.Size):
        return Size(value)
    if isinstance(value, torch.layout | torch.memory_format):
        import bridge

        return getattr(bridge, str(value).removeprefix("torch."), value)
    return value


def nested(value: Any) -> Any:
    """:func:`plain` of everything in lists, tuples and dicts; a container without PyTorch's values stays the same one."""
    if isinstance(value, list | tuple) and type(value).__name__ != "Size":
        made = [nested(v) for v in value]
        if all(a is b for a, b in zip(made, value, strict=True)):
            return value
        if isinstance(value, list):
            return made
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if type(value) is dict:
        return {nested(k): nested(v) for k, v in value.items()}
    return plain(value)


def from_torch(t: Any) -> Tensor:
    """The tensor over the memory of a CPU tensor of PyTorch; a parameter gives a parameter, ``requires_grad`` is kept.

    What cannot be shared (other devices, lazily conjugated or negated tensors) is copied. Raises UnsupportedError for
    tensors that have no elements in memory (meta, sparse, quantized, nested ones) or none that NumPy can show.
    """
    known = _shared.get(id(t))
    if known is not None and known.__dict__.get("_torch") is t and _same_view(known, t):
        return known
    torch = library()
    made = Tensor._wrap(array_of(t))
    if isinstance(t, torch.nn.Parameter):
        made = Parameter(made, t.requires_grad)
    else:
        made._requires_grad = t.requires_grad and t.is_leaf
    made._expose()  # the other side may write at any time
    made.__dict__["_torch"] = t
    _shared[id(t)] = made
    return made


def _same_view(ours: Tensor, theirs: Any) -> bool:
    return bool(ours.data_ptr() == theirs.data_ptr() and ours._array.shape == tuple(theirs.shape))


def array_of(t: Any) -> np.ndarray[Any, Any]:
    """The elements of a PyTorch tensor: its memory, or a copy where that is not on the CPU. Raises UnsupportedError."""
    torch = library()
    if t.layout is not torch.strided or t.is_quantized or t.is_nested or t.device.type == "meta":
        kind = (
            "meta" if t.device.type == "meta" else "quantized" if t.is_quantized else "nested" if t.is_nested else None
        )
        raise UnsupportedError(
            f"a {kind or str(t.layout).removeprefix('torch.')} tensor of PyTorch has no dense elements to share"
        )
    d = t.detach().cpu().resolve_conj().resolve_neg()
    name = str(d.dtype).removeprefix("torch.")
    try:
        wanted: DType = by_name(name)
    except KeyError:
        raise UnsupportedError(f"tensors of PyTorch's element type {name} are not supported") from None
    if wanted.native:
        return d.numpy()  # type: ignore[no-any-return]
    carrier = getattr(torch, _CARRIERS[wanted.itemsize])
    return d.view(carrier).numpy().view(wanted.numpy)  # type: ignore[no-any-return]


# -- to PyTorch --------------------------------------------------------------------------------------------------------


def to_torch(value: Any) -> Any:
    """A value of ours, containers included, as PyTorch's: tensors over the same memory, dtypes and devices by name."""
    torch = library()
    if isinstance(value, Tensor):
        return _tensor_to_torch(value, torch)
    if isinstance(value, list):
        return [to_torch(v) for v in value]
    if isinstance(value, Size):
        return torch.Size(value)
    if isinstance(value, tuple):
        made = tuple(to_torch(v) for v in value)
        return type(value)(*made) if hasattr(value, "_fields") else made
    if isinstance(value, dict):
        return {to_torch(k): to_torch(v) for k, v in value.items()}
    if isinstance(value, DType | layout | memory_format):
        return getattr(torch, value.name, value)
    if isinstance(value, device):
        return torch.device(str(value))
    return value


def _tensor_to_torch(t: Tensor, torch: Any) -> Any:
    origin = t.__dict__.get("_torch")
    if origin is not None and _same_view(t, origin):
        return origin
    array = t._array
    if not array.flags.writeable or any(s < 0 for s in array.strides):
        array = array.copy()
    else:
        t._expose()
    name = t.dtype.name
    if t.dtype.native:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(_CARRIERS[t.dtype.itemsize])).view(getattr(torch, name))


def mark_written(tensors: Mapping[int, tuple[Tensor, int]]) -> None:
    """Count on PyTorch's side the writes that happened here: ``tensors`` are those given, each with its version then."""
    torch = library()
    written = [t.__dict__["_torch"] for t, version in tensors.values() if t._version != version]
    if written:
        torch.autograd.graph.increment_version(written)

"""Methods of tensors that tracing sees in a form of its own: sizes, ``detach``, ``to``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir.dtypes import DType
from bridge.ir.registry import find
from bridge.tensor import Tensor
from bridge.types import Size, device, dtype_of

__all__ = ["convert", "detached", "size"]


def size(tensor: Tensor, dim: int | None) -> Any:
    """Sizes while tracing: 0-d tensors that the graph knows."""
    if dim is not None:
        return _dispatch.tracer.size_of(tensor, dim)
    return Size(_dispatch.tracer.size_of(tensor, d) for d in range(tensor._array.ndim))


def detached(tensor: Tensor) -> Tensor:
    """The same memory and version counter, off the tape."""
    t = Tensor._wrap(tensor._array)
    t._counter = tensor._share_counter()
    return _noted(tensor, t)


def noted_detached(tensor: Tensor) -> Tensor:
    """What a trace notes of a tensor that left the tape where it is: it is another from there."""
    return _noted(tensor, tensor)


def _noted(tensor: Tensor, result: Tensor) -> Tensor:
    if _dispatch.tracer is not None:
        operator = find("aten::detach")
        if operator is not None:
            replaced = _dispatch.tracer.record(operator, [tensor], result)
            return result if replaced is None else replaced
    return result


def convert(tensor: Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """``Tensor.to``: by dtype, by device, by both, or like another tensor. Raises TypeError, and for devices that do not
    exist here RuntimeError."""
    dtype: DType | None = None
    where: device | None = None
    names = ["non_blocking", "copy"]
    rest: dict[str, Any] = {"non_blocking": False, "copy": False, "memory_format": None}
    given = list(args)
    if "other" in kwargs:
        given.insert(0, kwargs["other"])
    if given and isinstance(given[0], Tensor):
        other = given.pop(0)
        dtype, where = other.dtype, other.device
    elif given and isinstance(given[0], device | str | int) and not isinstance(given[0], bool):
        where = device(given.pop(0))
        if given and not isinstance(given[0], bool):
            dtype = None if given[0] is None else dtype_of(given[0])
            given.pop(0)
    elif given:
        first = given.pop(0)
        if first is not None:
            dtype = dtype_of(first)
        elif given and not isinstance(given[0], bool):
            dtype = dtype_of(given.pop(0))
    rest.update(zip(names, given, strict=False))
    for name, value in kwargs.items():
        if name == "dtype":
            dtype = None if value is None else dtype_of(value)
        elif name == "device":
            where = None if value is None else device(value)
        elif name in rest:
            rest[name] = value
        elif name != "other":
            raise TypeError(f"to() got an unexpected keyword argument '{name}'")
    if where is not None and where.type != "cpu":
        raise RuntimeError(
            f"a tensor cannot be on device '{where}' here; captured programs choose their provider when run"
        )
    format_code = None if rest["memory_format"] is None else rest["memory_format"].code
    tail = [rest["non_blocking"], rest["copy"], format_code]
    if dtype is None and where is None and not rest["copy"] and format_code is None:
        return tensor
    if where is not None and dtype is not None and _dispatch.tracer is not None:
        return _dispatch.call_overload("aten::to.device", [tensor, str(where), dtype.code, *tail])  # type: ignore[no-any-return]
    if dtype is None and _dispatch.tracer is not None:
        values = [tensor, None, None, str(where), None, *tail]
        return _dispatch.call_overload("aten::to.dtype_layout", values)  # type: ignore[no-any-return]
    target = tensor.dtype if dtype is None else dtype
    return _dispatch.call_overload("aten::to.dtype", [tensor, target.code, *tail])  # type: ignore[no-any-return]


def target_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> DType | None:
    """The dtype that arguments of ``Module.to`` ask for. Raises for devices that do not exist here."""
    probe = Tensor._wrap(np.empty(0, np.uint8))
    found = convert(
        probe, [a for a in args if not isinstance(a, bool)], {k: v for k, v in kwargs.items() if k != "tensor"}
    )
    if isinstance(kwargs.get("tensor"), Tensor):
        return kwargs["tensor"].dtype  # type: ignore[no-any-return]
    named = [a for a in (*args, *kwargs.values()) if isinstance(a, DType | Tensor) or a in (float, int, bool, complex)]
    return found.dtype if named else None

"""Indexing and assignment to an index: what ``x[key]`` means in operators, as torch decides it.

Ints select, slices slice, None unsqueezes, an Ellipsis skips dimensions; tensors (and lists and booleans) are collected
for one ``aten::index`` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir.fits import fitting
from bridge.ir.registry import Operator, find
from bridge.tensor import Tensor

__all__ = ["getitem", "scalar", "setitem"]

_MAX = (1 << 63) - 1
_found: dict[str, Operator] = {}


def _call(name: str, args: Sequence[Any], traced: Sequence[Any] | None = None) -> Any:
    operator = _found.get(name)
    if operator is None:
        looked = find(name)
        if looked is None:
            raise AttributeError(f"there is no operator {name}")
        operator = _found[name] = looked
    return _dispatch.call(operator, args, traced)


def scalar(value: Any, like: Tensor) -> Tensor:
    """A Python number as a 0-d tensor of another tensor's element type."""
    return Tensor._wrap(np.asarray(fitting(value, like._array.dtype)).astype(like._array.dtype))


def getitem(tensor: Tensor, key: Any) -> Any:
    """``tensor[key]``. Raises IndexError as torch does."""
    if type(key) is int:
        return _select(tensor, 0, key, 0)
    result, indices = _slice_all(tensor, key)
    if indices:
        return _call("aten::index.Tensor", [result, indices])
    if result is tensor:
        result = _call("aten::alias", [tensor])
    return result


def setitem(tensor: Tensor, key: Any, value: Any) -> None:
    """``tensor[key] = value``."""
    if not isinstance(value, Tensor):
        value = _value(value, tensor)
    if isinstance(key, bool):
        if not key:
            return
        key = None
    result, indices = _slice_all(tensor, key)
    if indices:
        stripped = _strip_ones(value, None)
        _call("aten::index_put_", [result, indices, stripped, False])
        return
    if result._array.shape == value._array.shape:
        _call("aten::copy_", [result, value, False])
    elif value._array.ndim == 0:
        _call("aten::fill_.Tensor", [result, value])
    else:
        from bridge.ir.ops.expand import expanded_shape

        stripped = _strip_ones(value, result)
        expanded = expanded_shape(stripped._array.shape, result._array.shape)  # an assignment expands, and says so
        if _dispatch.tracer is not None:
            stripped = _strip_ones(value, None) if value._array.shape[0] == 1 else value.view(value._array.shape)
        if _dispatch.tracer is not None or np.may_share_memory(result._array, stripped._array):
            stripped = stripped.expand(expanded)  # (what has no memory for each element may overlap)
        _call("aten::copy_", [result, stripped, False])


def _value(value: Any, tensor: Tensor) -> Tensor:
    if isinstance(value, bool | int | float | complex | np.generic):
        return scalar(value, tensor)
    from bridge._creation import tensor as make

    return make(value, dtype=tensor.dtype)


def _strip_ones(value: Tensor, target: Tensor | None) -> Tensor:
    """Leading dimensions of size one do not count in an assignment."""
    shape = value._array.shape
    lead = 0
    while lead < len(shape) and shape[lead] == 1:
        lead += 1
    if target is not None and len(shape) - lead < target._array.ndim <= len(shape):
        lead = len(shape) - target._array.ndim
    return value.view(shape[lead:]) if lead and (target is None or len(shape) > target._array.ndim) else value


def _as_tuple(key: Any) -> tuple[Any, ...]:
    if isinstance(key, tuple):
        return key
    if isinstance(key, list) and len(key) < 32 and any(isinstance(k, Tensor | slice | list | tuple) or k is None
                                                        or k is Ellipsis for k in key):  # fmt: skip
        return tuple(key)
    return (key,)


def _consumed(part: Any) -> int:
    """How many dimensions one part of a key indexes."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, Tensor | np.ndarray):
        array = part._array if isinstance(part, Tensor) else part
        return array.ndim if array.dtype in (np.bool_, np.uint8) else 1
    return _depth(part) if isinstance(part, list | tuple) else 1


def _depth(part: Any) -> int:
    """How many dimensions a list indexes: as many as it has itself when it is a mask."""
    depth = 0
    while isinstance(part, list | tuple) and part:
        part, depth = part[0], depth + 1
    return depth if isinstance(part, bool) else 1


def _slice_all(tensor: Tensor, key: Any) -> tuple[Tensor, list[Any]]:
    """The tensor with all but tensor indices applied, and the list of tensor indices by dimension."""
    parts = _as_tuple(key)
    specified = sum(map(_consumed, parts))
    if specified > tensor._array.ndim:
        if tensor._array.ndim == 0 and not any(isinstance(p, Tensor) for p in parts):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
                "0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {tensor._array.ndim}")
    result, dim, real = tensor, 0, 0
    indices: list[Any] = []
    for part in map(_normal, parts):  # one by one: a list becomes a tensor, which traces show in its place
        if type(part) is int:
            result = _select(result, dim, part, real)
            real += 1
        elif isinstance(part, slice):
            result = _slice(result, dim, part)
            dim, real = dim + 1, real + 1
        elif part is Ellipsis:
            skipped = tensor._array.ndim - specified
            dim, real = dim + skipped, real + skipped
        elif part is None:
            result = _call("aten::unsqueeze", [result, dim])
            dim += 1
        elif isinstance(part, bool):
            result = _call("aten::unsqueeze", [result, dim])
            _put(indices, dim, Tensor._wrap(np.array([0] if part else [], np.int64)))
            dim += 1
        elif part._array.ndim == 0 and part._array.dtype.kind in "iu" and part._array.dtype != np.uint8:
            result = _select(result, dim, part, real)
            real += 1
        elif part._array.ndim == 0:
            result = _call("aten::unsqueeze", [result, dim])
            _put(indices, dim, _call("aten::unsqueeze", [part, 0]))
            dim += 1
        else:
            _put(indices, dim, part)
            taken = _consumed(part)
            for extra in range(1, taken):
                _put(indices, dim + extra, _FILLED)
            dim, real = dim + taken, real + taken
    return result, [i for i in indices if i is not _FILLED]


#: Marks a dimension that the mask before it indexes too.
_FILLED: Any = object()


def _put(indices: list[Any], dim: int, index: Any) -> None:
    while len(indices) <= dim:
        indices.append(None)
    indices[dim] = index


def _normal(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, bool | slice | Tensor):
        return part
    if isinstance(part, int | np.integer):
        return int(part)
    if isinstance(part, np.bool_):
        return bool(part)
    if isinstance(part, list | tuple | np.ndarray | range):
        from bridge._creation import array_of

        array = array_of(list(part) if isinstance(part, range) else part, None)
        if array.dtype.kind == "c":
            raise TypeError("'complex' object cannot be interpreted as an integer")
        found = Tensor._wrap(array.astype(np.int64) if array.dtype.kind == "f" and array.size else array)
        if _dispatch.tracer is not None:
            found = _dispatch.tracer.from_data("index", found)
        if found._array.size == 0 and not isinstance(part, np.ndarray):
            found = found.long()
        return found
    if isinstance(part, str):
        raise TypeError("new(): invalid data type 'str'")
    if hasattr(part, "__index__"):
        return part.__index__()
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
        f"(got {type(part).__name__})"
    )


def _select(tensor: Tensor, dim: int, index: Any, real: int) -> Tensor:
    number = int(index._array.item()) if isinstance(index, Tensor) else index
    shape = tensor._array.shape
    if not shape:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    n = shape[dim]
    if not -n <= number < n:
        raise IndexError(f"index {number} is out of bounds for dimension {real} with size {n}")
    if isinstance(index, Tensor):
        return _call("aten::select.int", [tensor, dim, number], [tensor, dim, index])  # type: ignore[no-any-return]
    return _call("aten::select.int", [tensor, dim, number])  # type: ignore[no-any-return]


def _bound(value: Any, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, Tensor) and value._array.dtype.kind in "iub":
        return int(value._array.item())
    try:
        return int(value.__index__())
    except AttributeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def _slice(tensor: Tensor, dim: int, key: slice) -> Tensor:
    step = _bound(key.step, 1)
    if step <= 0:
        raise ValueError("slice step cannot be zero" if step == 0 else "step must be greater than zero")
    start, stop = _bound(key.start, 0), _bound(key.stop, _MAX)
    if _dispatch.tracer is None:
        if start == 0 and step == 1 and stop >= tensor._array.shape[dim]:
            return tensor
        return _call("aten::slice.Tensor", [tensor, dim, start, stop, step])  # type: ignore[no-any-return]
    given = [v if isinstance(v, Tensor) else b for v, b in
             ((key.start, start), (key.stop, stop), (key.step, step))]  # fmt: skip
    return _call("aten::slice.Tensor", [tensor, dim, start, stop, step], [tensor, dim, *given])  # type: ignore[no-any-return]

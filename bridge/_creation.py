"""Tensors from Python data, NumPy arrays and other libraries' arrays."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge.ir.dtypes import DType, by_name, by_numpy, default_dtype
from bridge.ir.fits import fitting, overflow
from bridge.ir.promotion import promote
from bridge.tensor import Tensor
from bridge.types import device as make_device
from bridge.types import dtype_of

__all__ = [
    "as_tensor", "asarray", "deep_copy", "from_dlpack", "from_numpy", "frombuffer", "legacy_tensor", "rebuild",
    "scalar_tensor", "tensor",
]  # fmt: skip

Array = np.ndarray[Any, Any]


def _check_device(device: Any) -> None:
    if device is not None and make_device(device).type != "cpu":
        raise RuntimeError(
            f"a tensor cannot be on device '{device}' here; captured programs choose their provider when run"
        )


def _leaf_types(data: Any) -> set[type]:
    """The types of the innermost elements of nested sequences."""
    if isinstance(data, list | tuple):
        types = set(map(type, data))
        if any(issubclass(t, list | tuple) for t in types):
            return set().union(*map(_leaf_types, data))
        return types
    return {type(data)}


def _element_dtype(t: type) -> DType | None:
    """The element type that one Python or NumPy scalar type stands for."""
    if issubclass(t, bool | np.bool_):
        return by_name("bool")
    if issubclass(t, int | np.integer):
        return by_name("int64")
    if issubclass(t, float):
        return default_dtype()
    if issubclass(t, complex):
        return by_name("complex128" if default_dtype().name == "float64" else "complex64")
    return by_numpy(np.dtype(t)) if issubclass(t, np.generic) else None


def _shape_of(data: Any) -> tuple[int, ...]:
    """The shape of nested sequences, by their first elements. Raises ValueError where they are ragged."""
    if not isinstance(data, list | tuple):
        return tuple(data.shape) if isinstance(data, np.ndarray) else ()  # a tensor in a list is a number
    if not data:
        return (0,)
    return (len(data), *_shape_of(data[0]))


def _check_regular(data: Any, shape: Sequence[int], dim: int = 0) -> None:
    if dim == len(shape):
        return
    if isinstance(data, Tensor | np.ndarray):
        return
    if not isinstance(data, list | tuple):
        raise TypeError("not a sequence")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    for d in data:
        _check_regular(d, shape, dim + 1)


def _plain(data: Any) -> Any:
    """Nested data with tensors, of one element each, made arrays, which NumPy can take."""
    if isinstance(data, list | tuple):
        return [_plain(d) for d in data]
    return data._array.reshape(()) if isinstance(data, Tensor) else data


def array_of(data: Any, dtype: DType | None) -> Array:
    """A new array of Python data, in the given element type or the one torch infers."""
    if isinstance(data, Tensor):
        data = data._array
    if isinstance(data, np.ndarray | np.generic):
        if isinstance(data, np.float64) and dtype is None:
            dtype = default_dtype()
        try:
            wanted = by_numpy(data.dtype) if dtype is None else dtype
        except TypeError:
            raise TypeError(
                f"can't convert np.ndarray of type {data.dtype}. The only supported types are: float64, float32, float16, "
                "complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
            ) from None
        return np.array(data, dtype=wanted.numpy, copy=True)
    if not isinstance(data, list | tuple):
        for protocol in ("__array__", "__array_interface__"):
            if hasattr(data, protocol):
                return array_of(np.asarray(data), dtype)
        if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, str | bytes | dict):
            data = list(data)
    types = _leaf_types(data)
    if any(issubclass(t, Tensor | np.ndarray) for t in types):
        return _array_of_mixed(data, dtype)
    found: DType | None = None
    for t in types:
        element = _element_dtype(t)
        if element is None:
            if t is str:
                raise TypeError("new(): invalid data type 'str'")
            raise RuntimeError(f"Could not infer dtype of {t.__name__}")
        found = element if found is None else promote(found, element)
    wanted = dtype or found or default_dtype()
    shape = _shape_of(data)
    try:
        array = np.array(data, dtype=None if types else wanted.numpy)
        if array.shape != shape:
            raise ValueError
    except ValueError:
        _check_regular(data, shape)
        raise
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    if array.dtype == object:
        raise ValueError("Overflow when unpacking long long")
    if dtype is not None and array.dtype.kind in "iuf" and array.size:
        for extreme in (array.max(), array.min()):
            if overflow(extreme.item(), wanted) is not None:
                raise RuntimeError(f"value cannot be converted to type {wanted.name} without overflow")
    with np.errstate(all="ignore"):
        return array.astype(wanted.numpy)


def _array_of_mixed(data: Any, dtype: DType | None) -> Array:
    shape = _shape_of(data)
    _check_regular(data, shape)
    if dtype is None:
        flat: list[Any] = [data]
        while flat and isinstance(flat[0], list | tuple):
            flat = [e for d in flat for e in d]
        for e in flat:
            element = e.dtype if isinstance(e, Tensor) else (by_numpy(e.dtype) if isinstance(e, np.ndarray)
                                                             else _element_dtype(type(e)))  # fmt: skip
            if element is not None:
                dtype = element if dtype is None else promote(dtype, element)
    if any(isinstance(e, Tensor) and e._array.size != 1 for e in _innermost(data)):
        raise ValueError("only one element tensors can be converted to Python scalars")
    wanted = (dtype or default_dtype()).numpy
    return np.array(_plain(data)).reshape(shape).astype(wanted)


def _innermost(data: Any) -> list[Any]:
    return [e for d in data for e in _innermost(d)] if isinstance(data, list | tuple) else [data]


def _copied(what: str, made: Tensor, source: Any = None) -> Tensor:
    """Tell an active tracer that a tensor was made from Python data (or copied from a tensor)."""
    if _dispatch.tracer is not None:
        return _dispatch.tracer.from_data(what, made, source if isinstance(source, Tensor) else None)  # type: ignore[no-any-return]
    return made


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    _what: str = "torch.tensor",
) -> Tensor:
    """A new tensor with a copy of the data: numbers, nested lists, arrays.

    The element type is inferred (bool, int64, the default floating type, or an array's own). Raises ValueError for
    ragged data, TypeError or RuntimeError for what is no number.
    """
    _check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    t = _copied(_what, Tensor._wrap(array_of(data, None if dtype is None else dtype_of(dtype))), data)
    return t.requires_grad_(True) if requires_grad else t


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, sharing memory with tensors and arrays where the element type is right already."""
    _check_device(device)
    wanted = None if dtype is None else dtype_of(dtype)
    if isinstance(data, Tensor):
        if _dispatch.tracer is not None:
            _dispatch.tracer.frozen("torch.as_tensor")
            return data.to("cpu", wanted or data.dtype)
        return data if wanted is None or data.dtype is wanted else data.to(wanted)
    if isinstance(data, np.ndarray):
        t = _shared(data)
        if wanted is not None and t.dtype is not wanted:
            t = Tensor._wrap(t._array.astype(wanted.numpy))
        return _copied("torch.as_tensor", t)
    return _copied("torch.as_tensor", Tensor._wrap(array_of(data, wanted)))


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """As :func:`as_tensor`, with a choice whether to copy. Raises ValueError when ``copy=False`` cannot be had."""
    t = as_tensor(obj, dtype, device)
    shares = isinstance(obj, Tensor | np.ndarray) and np.may_share_memory(
        t._array, np.asarray(obj._array if isinstance(obj, Tensor) else obj)
    )
    if copy is False and not shares:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    t = Tensor._wrap(t._array.copy() if copy and shares else t._array)
    return t.requires_grad_(True) if requires_grad else t


def from_numpy(array: Array) -> Tensor:
    """The tensor of an array, sharing memory. Raises TypeError for what is no array of numbers."""
    return _copied("torch.from_numpy", _shared(array))


def _shared(array: Array) -> Tensor:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    try:
        by_numpy(array.dtype)
    except TypeError:
        array_of(array, None)
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
            "supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    return _of_outside(array[...])


def _of_outside(array: Array) -> Tensor:
    """The tensor of memory that others hold, too."""
    t = Tensor._wrap(array)
    t._expose()
    return t


def from_dlpack(ext_tensor: Any) -> Tensor:
    """The tensor of another library's CPU array, sharing memory through DLPack."""
    return _of_outside(np.from_dlpack(ext_tensor))


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-D tensor over an object that exports its bytes."""
    t = _of_outside(np.frombuffer(buffer, dtype_of(dtype).numpy, count, offset))
    return t.requires_grad_(True) if requires_grad else t


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number; floating unless told otherwise."""
    _check_device(device)
    wanted = default_dtype() if dtype is None else dtype_of(dtype)
    t = Tensor._wrap(np.asarray(fitting(s, wanted.numpy)).astype(wanted.numpy))
    return t.requires_grad_(True) if requires_grad else t


def legacy_tensor(args: Sequence[Any], kwargs: Any) -> Array:
    """What ``Tensor(2, 3)`` (sizes) and ``Tensor([1, 2])`` (data) hold, in the default element type."""
    wanted = default_dtype().numpy
    if kwargs.get("device") is not None:
        _check_device(kwargs["device"])
    if not args:
        return np.empty(0, wanted)
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0]._array
    if all(isinstance(a, int | np.integer) and not isinstance(a, bool) for a in args):
        return np.empty(tuple(map(int, args)), wanted)
    if len(args) == 1:
        data = args[0]
        if isinstance(data, tuple) and type(data).__name__ == "Size":
            return np.empty(tuple(data), wanted)
        if isinstance(data, np.ndarray) and data.dtype == wanted:
            return data
        return array_of(data, default_dtype())
    raise TypeError("new() received an invalid combination of arguments")


def deep_copy(t: Tensor, memo: dict[int, Any]) -> Tensor:
    """``copy.deepcopy`` of a leaf. Raises RuntimeError for others, as torch does."""
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you "
            "were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(t) in memo:
        return memo[id(t)]  # type: ignore[no-any-return]
    new = rebuild(type(t), t._array.copy(), t._requires_grad, {})
    memo[id(t)] = new
    if t.grad is not None:
        new.grad = copy.deepcopy(t.grad, memo)
    for name, value in t.__dict__.items():
        if not name.startswith("_") and name != "grad":
            setattr(new, name, copy.deepcopy(value, memo))
    return new


def rebuild(cls: type[Tensor], array: Array, requires_grad: bool, extra: dict[str, Any]) -> Tensor:
    """A leaf of that class over an array; what pickling calls."""
    t = object.__new__(cls)
    t._array = array
    if requires_grad:
        t._requires_grad = True
    t.__dict__.update(extra)
    return t

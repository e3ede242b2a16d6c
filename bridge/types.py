"""The small value types around tensors: ``device``, ``Size``, ``layout``, ``memory_format``, ``finfo``, ``iinfo``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np

from bridge.ir.dtypes import DType, by_name, default_dtype

__all__ = [
    "Size", "channels_last", "channels_last_3d", "contiguous_format", "device", "dtype_of", "finfo", "iinfo", "layout",
    "memory_format", "preserve_format", "sparse_coo", "strided",
]  # fmt: skip


class device:
    """Where a tensor lives: ``device("cpu")``, ``device("cuda", 1)``. Raises RuntimeError for an unknown kind."""

    __slots__ = ("index", "type")

    _kinds = (
        "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
        "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
    )  # fmt: skip

    def __init__(self, type: str | device | int, index: int | None = None) -> None:
        self.type: str
        self.index: int | None
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int):
            index, type = type, "cuda"
        kind, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        if kind not in self._kinds:
            raise RuntimeError(
                f"Expected one of {', '.join(self._kinds)} device type at start of device string: {kind}"
            )
        self.type, self.index = kind, index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


class _Named:
    """A constant of an enumeration; ``code`` is ATen's number."""

    __slots__ = ("code", "name")

    def __init__(self, name: str, code: int) -> None:
        self.name, self.code = name, code

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class layout(_Named):
    """How the elements are stored."""

    __slots__ = ()


class memory_format(_Named):
    """The order in which the dimensions are stored."""

    __slots__ = ()


strided = layout("strided", 0)
sparse_coo = layout("sparse_coo", 1)
contiguous_format = memory_format("contiguous_format", 0)
preserve_format = memory_format("preserve_format", 1)
channels_last = memory_format("channels_last", 2)
channels_last_3d = memory_format("channels_last_3d", 3)


class Size(tuple[int, ...]):
    """The sizes of a tensor's dimensions, a tuple."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this size."""
        n = 1
        for d in self:
            n *= d
        return n

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(repr, self))}])"

    __str__ = __repr__

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found: Any = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, other: Iterable[int]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Iterable[int]) -> Size:
        return Size((*other, *self))

    def __mul__(self, times: SupportsIndex) -> Size:
        return Size(d for _ in range(times.__index__()) for d in self)

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


class finfo:
    """Numeric limits of a floating-point type (``torch.finfo``)."""

    def __init__(self, dtype: DType | None = None) -> None:
        d = default_dtype() if dtype is None else dtype
        if d.kind not in "fc":
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d!r}'")
        name = {"complex64": "float32", "complex128": "float64"}.get(d.name, d.name)
        real = by_name(name)
        if real.numpy.kind == "f" and real.itemsize > 1:
            info: Any = np.finfo(real.numpy)
        else:
            import ml_dtypes

            info = getattr(ml_dtypes, "finfo")(real.numpy)  # noqa: B009  (it has no types)
        self.dtype, self.bits = real.name, real.itemsize * 8
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Numeric limits of an integer type (``torch.iinfo``)."""

    def __init__(self, dtype: DType) -> None:
        if dtype.kind != "i":
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{dtype!r}'")
        info = np.iinfo(dtype.numpy)
        self.dtype, self.bits, self.min, self.max = dtype.name, info.bits, int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def dtype_of(value: Any) -> DType:
    """A dtype argument: a dtype, or one of Python's ``float``, ``int``, ``bool``, ``complex``. Raises TypeError."""
    if isinstance(value, DType):
        return value
    names = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}
    if value in names:
        return by_name(names[value])
    raise TypeError(f"dtype must be a torch.dtype, not {type(value).__name__}")


def result_tuple(name: str, fields: list[str]) -> type:
    """The class of an operator's several results: a tuple with names, printed as ``torch.return_types.name(…)``."""

    def show(self: tuple[Any, ...]) -> str:
        inside = ",\n".join(f"{f}={v!r}" for f, v in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n{inside})"

    def reduce(self: tuple[Any, ...]) -> tuple[Any, ...]:
        return _result_of, (name, fields, tuple(self))

    def item(index: int) -> property:
        return property(lambda self: self[index])

    members: dict[str, Any] = {f: item(i) for i, f in enumerate(fields)}
    return type(name, (tuple,), {**members, "__slots__": (), "__repr__": show, "__reduce__": reduce})


def _result_of(name: str, fields: list[str], values: tuple[Any, ...]) -> Any:
    return result_tuple(name, fields)(values)

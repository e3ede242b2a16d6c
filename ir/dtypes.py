"""Element types of tensors: one table with every name that the formats use for them.

Codes are ATen's ``c10::ScalarType`` numbers (they appear in TorchScript programs as ``dtype=6``); ONNX numbers are
``TensorProto.DataType``. Both are plain integers here, so that this package needs neither torch nor onnx.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "DTYPES", "FOREIGN_DTYPES", "DType", "by_code", "by_name", "by_numpy", "by_onnx", "default_dtype", "known_numpy", "known_onnx", "physical", "real_dtype",
    "set_default_dtype",
]  # fmt: skip


class DType:
    """One element type, e.g. ``float32``; a singleton, compared by identity. Prints as torch prints it.

    ``name`` is torch's name, ``code`` ATen's number, ``onnx`` ONNX's number (0: none), ``label`` the spelling in
    graph texts (``Float(3, 4)``), ``kind`` one of ``b`` (bool), ``i`` (integer), ``f`` (real), ``c`` (complex), ``s`` (string).
    ``native``: NumPy has it by itself.
    """

    __slots__ = ("_numpy", "code", "itemsize", "kind", "label", "name", "native", "onnx")

    def __init__(self, name: str, code: int, onnx: int, label: str, kind: str, itemsize: int, numpy: Any) -> None:
        self.name, self.code, self.onnx, self.label = name, code, onnx, label
        self.kind, self.itemsize, self._numpy = kind, itemsize, numpy
        self.native = not isinstance(numpy, str)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype (from ml_dtypes, which onnx depends on, for those NumPy does not have)."""
        if isinstance(self._numpy, str):
            import ml_dtypes

            self._numpy = np.dtype(getattr(ml_dtypes, self._numpy))
            _BY_NUMPY[self._numpy] = self
        return self._numpy  # type: ignore[no-any-return]

    @property
    def is_floating_point(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.kind in "fc" or self.name.startswith("int")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return by_name, (self.name,)


def _np(t: type) -> np.dtype[Any]:
    return np.dtype(t)


DTYPES: tuple[DType, ...] = (
    DType("uint8", 0, 2, "Byte", "i", 1, _np(np.uint8)),
    DType("int8", 1, 3, "Char", "i", 1, _np(np.int8)),
    DType("int16", 2, 5, "Short", "i", 2, _np(np.int16)),
    DType("int32", 3, 6, "Int", "i", 4, _np(np.int32)),
    DType("int64", 4, 7, "Long", "i", 8, _np(np.int64)),
    DType("float16", 5, 10, "Half", "f", 2, _np(np.float16)),
    DType("float32", 6, 1, "Float", "f", 4, _np(np.float32)),
    DType("float64", 7, 11, "Double", "f", 8, _np(np.float64)),
    DType("complex64", 9, 14, "ComplexFloat", "c", 8, _np(np.complex64)),
    DType("complex128", 10, 15, "ComplexDouble", "c", 16, _np(np.complex128)),
    DType("bool", 11, 9, "Bool", "b", 1, _np(np.bool_)),
    DType("bfloat16", 15, 16, "BFloat16", "f", 2, "bfloat16"),
    DType("float8_e5m2", 23, 19, "Float8_e5m2", "f", 1, "float8_e5m2"),
    DType("float8_e4m3fn", 24, 17, "Float8_e4m3fn", "f", 1, "float8_e4m3fn"),
    DType("float8_e5m2fnuz", 25, 20, "Float8_e5m2fnuz", "f", 1, "float8_e5m2fnuz"),
    DType("float8_e4m3fnuz", 26, 18, "Float8_e4m3fnuz", "f", 1, "float8_e4m3fnuz"),
    DType("uint16", 27, 4, "UInt16", "i", 2, _np(np.uint16)),
    DType("uint32", 28, 12, "UInt32", "i", 4, _np(np.uint32)),
    DType("uint64", 29, 13, "UInt64", "i", 8, _np(np.uint64)),
)

#: What ONNX models hold beyond ``DTYPES``: no operator of ours computes with them, ONNX operators do. Kind ``s``: strings,
#: arrays of Python objects. A negative code: ATen has no such type.
FOREIGN_DTYPES: tuple[DType, ...] = (
    DType("string", -1, 8, "String", "s", 8, _np(np.object_)),
    DType("uint2", 31, 25, "UInt2", "i", 1, "uint2"),
    DType("uint4", 33, 21, "UInt4", "i", 1, "uint4"),
    DType("int2", 38, 26, "Int2", "i", 1, "int2"),
    DType("int4", 40, 22, "Int4", "i", 1, "int4"),
    DType("float8_e8m0fnu", 44, 24, "Float8_e8m0fnu", "f", 1, "float8_e8m0fnu"),
    DType("float4_e2m1fn", -2, 23, "Float4_e2m1fn", "f", 1, "float4_e2m1fn"),
)

_ALL = DTYPES + FOREIGN_DTYPES
_BY_NAME = {d.name: d for d in _ALL}
_BY_NAME |= {"float": _BY_NAME["float32"], "double": _BY_NAME["float64"], "half": _BY_NAME["float16"]}
_BY_NAME |= {"long": _BY_NAME["int64"], "int": _BY_NAME["int32"], "short": _BY_NAME["int16"]}
_BY_NAME |= {"cfloat": _BY_NAME["complex64"], "cdouble": _BY_NAME["complex128"]}
_BY_CODE = {d.code: d for d in _ALL}
_BY_ONNX = {d.onnx: d for d in _ALL}
_BY_NUMPY: dict[np.dtype[Any], DType] = {d._numpy: d for d in _ALL if not isinstance(d._numpy, str)}
_default = _BY_NAME["float32"]


def by_name(name: str) -> DType:
    """The element type of torch's name (``"float32"`` and its aliases ``"float"``…). Raises KeyError."""
    return _BY_NAME[name]


def by_code(code: int) -> DType:
    """The element type of an ATen ScalarType number. Raises KeyError for numbers that have none here."""
    return _BY_CODE[code]


def by_onnx(number: int) -> DType:
    """The element type of an ONNX ``TensorProto.DataType`` number. Raises KeyError."""
    return _BY_ONNX[number]


def known_numpy(dtype: Any) -> DType | None:
    """The element type of a NumPy dtype; None for texts and for types that are ONNX's alone."""
    try:
        return by_numpy(dtype)
    except TypeError:
        return None


def known_onnx(number: int) -> DType | None:
    """The element type of an ONNX number; None for 0, texts and types that are ONNX's alone."""
    return _BY_ONNX.get(number)


def by_numpy(dtype: Any) -> DType:
    """The element type of a NumPy dtype. Raises TypeError for dtypes that tensors cannot have (records, dates…)."""
    dtype = np.dtype(dtype)
    found = _BY_NUMPY.get(dtype)
    if found is None:
        for d in _ALL:  # the ml_dtypes ones, resolved on first use
            if isinstance(d._numpy, str) and d._numpy == dtype.name:
                found = _BY_NUMPY[d.numpy] = d
                break
        else:
            raise TypeError(f"no tensor element type for NumPy dtype {dtype}")
    return found


def real_dtype(dtype: DType) -> DType:
    """The type of the parts of complex numbers; other types are their own."""
    return dtype if dtype.kind != "c" else _BY_NAME["float64" if dtype.name == "complex128" else "float32"]


def physical(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array as ONNX models hold it: complex numbers as pairs of real ones, in a last dimension of two."""
    if array.dtype.kind != "c":
        return array
    whole = np.ascontiguousarray(array).reshape(array.shape)
    return whole[..., None].view(real_dtype(by_numpy(array.dtype)).numpy)


def default_dtype() -> DType:
    """The element type of floating tensors made without one (torch.get_default_dtype)."""
    return _default


def set_default_dtype(dtype: DType) -> None:
    """Change :func:`default_dtype`. Raises TypeError when it is not a floating-point type."""
    global _default
    if not isinstance(dtype, DType) or dtype.kind != "f":
        raise TypeError("only floating-point types are supported as the default type")
    _default = dtype

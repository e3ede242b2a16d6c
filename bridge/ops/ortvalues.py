"""Running an onnxruntime session on arrays of every element type: strings, bfloat16, the 8-, 4- and 2-bit types.

onnxruntime's Python binding converts NumPy's own element types, strings, lists and maps by itself. The others it holds, but
gives no arrays for: their bytes are copied here.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bridge.ir import dtypes

__all__ = ["run_session"]

_BITS = {"uint4": 4, "int4": 4, "float4_e2m1fn": 4, "uint2": 2, "int2": 2}
_SPECIAL = ("bfloat16", "float8", "int4", "float4", "int2")


def run_session(session: Any, feeds: Mapping[str, Any]) -> list[Any]:
    """All results of a session: arrays, lists, dicts, and None for an empty optional. ``feeds`` are the same."""
    outputs = session.get_outputs()
    names = [o.name for o in outputs]
    special = any(s in o.type for o in outputs for s in _SPECIAL)
    if not special and not any(isinstance(v, np.ndarray) and _is_special(v) for v in feeds.values()):
        return [np.asarray(r) if isinstance(r, np.generic) else r for r in session._sess.run(names, dict(feeds), None)]
    values = {name: _to_ort(v) for name, v in feeds.items()}
    return [_from_ort(r) for r in session._sess.run_with_ort_values(values, names, None)]


def _is_special(array: np.ndarray[Any, Any]) -> bool:
    return not dtypes.by_numpy(array.dtype).native


def _to_ort(array: Any) -> Any:
    from onnxruntime.capi import _pybind_state as C

    cpu = C.OrtDevice(C.OrtDevice.cpu(), C.OrtDevice.default_memory(), 0)
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    if not _is_special(array):
        return C.OrtValue.ortvalue_from_numpy(array, cpu)
    d = dtypes.by_numpy(array.dtype)
    value = C.OrtValue.ortvalue_from_shape_and_onnx_type(list(array.shape), d.onnx, cpu)
    data = array.tobytes() if d.name not in _BITS else _packed(array, _BITS[d.name])
    ctypes.memmove(value.data_ptr(), data, len(data))
    return value


def _packed(array: np.ndarray[Any, Any], bits: int) -> bytes:
    """Elements of a byte each → as onnx packs them, the first in the lowest bits."""
    per = 8 // bits
    padded = np.zeros(-(-array.size // per) * per, np.uint8)
    padded[: array.size] = array.reshape(-1).view(np.uint8) & ((1 << bits) - 1)
    packed = np.zeros(padded.size // per, np.uint8)
    for k in range(per):
        packed |= padded[k::per] << (bits * k)
    return packed.tobytes()


def _from_ort(value: Any) -> Any:
    if not value.has_value():
        return None
    if not value.is_tensor():
        return value.numpy()
    d = dtypes.by_onnx(value.element_type())
    if d.native:
        return np.asarray(value.numpy())
    shape = tuple(value.shape())
    size = value.tensor_size_in_bytes()
    data = bytes((ctypes.c_char * size).from_address(value.data_ptr())) if size else b""
    if d.name not in _BITS:
        return np.frombuffer(data, dtype=d.numpy).reshape(shape)
    bits, count = _BITS[d.name], math.prod(shape)
    packed = np.frombuffer(data, np.uint8)
    spread = np.stack([(packed >> (bits * k)) & ((1 << bits) - 1) for k in range(8 // bits)], axis=1).reshape(-1)[
        :count
    ]
    if d.name.startswith("int"):  # ml_dtypes keeps the sign in the whole byte
        spread = np.where(spread >= 1 << (bits - 1), spread - (1 << bits), spread.astype(np.int16)).astype(np.uint8)
    return spread.astype(np.uint8).view(d.numpy).reshape(shape)

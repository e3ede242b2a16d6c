"""Weights beside a printed program: a safetensors file. Reading it parses and never executes.

Element types that the format does not have are stored as bytes; the file's metadata says under ``bridge`` what they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import dtypes

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = ["load_weights", "read_weights", "weights_bytes"]

_HELD = frozenset("bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split())


def weights_bytes(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """The content of a safetensors file with these arrays."""
    from safetensors.numpy import save

    held: dict[str, np.ndarray[Any, Any]] = {}
    others: dict[str, Any] = {}
    for name, a in arrays.items():
        d = dtypes.by_numpy(a.dtype)
        array = np.ascontiguousarray(a).reshape(a.shape).view(np.ndarray)
        if d.name not in _HELD:
            others[name] = [d.name, list(a.shape)]
            data = _text_bytes(array) if d.kind == "s" else array.tobytes()
            array = np.frombuffer(data, np.uint8)
        held[name] = array
    return save(held, {"bridge": json.dumps(others)} if others else None)


def _text_bytes(array: np.ndarray[Any, Any]) -> bytes:
    texts = [
        s.decode("utf-8", "surrogateescape") if isinstance(s, bytes) else str(s) for s in array.reshape(-1).tolist()
    ]
    return json.dumps(texts).encode()


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors file by name. Raises FileNotFoundError, and ValueError when it is malformed."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        with safe_open(path, framework="np") as file:
            others = json.loads((file.metadata() or {}).get("bridge", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            for name, (dtype, shape) in others.items():
                arrays[name] = _other(arrays[name], dtypes.by_name(dtype), shape)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path}: not a safetensors file: {e}") from e
    return arrays


def _other(data: np.ndarray[Any, Any], dtype: dtypes.DType, shape: list[int]) -> np.ndarray[Any, Any]:
    if dtype.kind == "s":
        flat = np.empty(int(np.prod(shape)), object)
        flat[:] = json.loads(data.tobytes())
        return flat.reshape(shape)
    return data.view(dtype.numpy).reshape(shape)


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The weights of a printed program as ``load_state_dict`` takes them. Raises FileNotFoundError and ValueError."""
    from bridge.ops.stored import is_stored
    from bridge.tensor import Tensor

    return {name: Tensor._wrap(a) for name, a in read_weights(path).items() if not is_stored(name)}

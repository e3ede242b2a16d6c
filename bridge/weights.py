"""Weights beside a printed program: a safetensors file. Reading it parses and never executes.

Element types that the format does not have are stored as bytes; the file's metadata says under ``bridge`` what they are.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bridge.ir import dtypes

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = ["load_weights", "read_weights", "write_weights"]

#: Element types in the order in which safetensors stores them, the largest first, so that each is aligned.
_CODES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32", "float16": "F16",
    "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_DTYPES = {code: name for name, code in _CODES.items()}
_CHUNK = 1 << 24


def write_weights(arrays: Mapping[str, np.ndarray[Any, Any]], file: BinaryIO) -> None:
    """Write the content of a safetensors file with these arrays, in pieces: they may be mapped, and larger than memory.

    Follows the format: https://github.com/huggingface/safetensors#format.
    """
    held: dict[str, np.ndarray[Any, Any]] = {}
    others: dict[str, Any] = {}
    for name, a in arrays.items():
        d = dtypes.by_numpy(a.dtype)
        array = np.asarray(a).view(np.ndarray)
        if d.name not in _CODES:
            others[name] = [d.name, list(a.shape)]
            array = np.frombuffer(_text_bytes(array) if d.kind == "s" else array.tobytes(), np.uint8)
        held[name] = array
    order = list(_CODES)
    names = sorted(held, key=lambda name: (order.index(held[name].dtype.name), name))
    header: dict[str, Any] = {"__metadata__": {"bridge": json.dumps(others)}} if others else {}
    end = 0
    for name in names:
        a = held[name]
        header[name] = {"dtype": _CODES[a.dtype.name], "shape": list(a.shape), "data_offsets": [end, end + a.nbytes]}
        end += a.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        a = held[name]
        little = a.astype(a.dtype.newbyteorder("<"), copy=False)
        flat = np.ascontiguousarray(little).reshape(-1).view(np.uint8).data
        file.writelines(flat[start : start + _CHUNK] for start in range(0, len(flat), _CHUNK))


def _text_bytes(array: np.ndarray[Any, Any]) -> bytes:
    texts = [
        s.decode("utf-8", "surrogateescape") if isinstance(s, bytes) else str(s) for s in array.reshape(-1).tolist()
    ]
    return json.dumps(texts).encode()


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors file by name, mapped: what nobody looks at is not read, and what is written to them stays here.

    Raises FileNotFoundError, and ValueError when it is malformed.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        with safe_open(path, framework="np"):  # checks what it says of places, shapes and element types
            arrays, others = _mapped(path)
        for name, (dtype, shape) in others.items():
            arrays[name] = _other(arrays[name], dtypes.by_name(dtype), shape)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path}: not a safetensors file: {e}") from e
    return arrays


def _mapped(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """The arrays of a file by name, and what its metadata says of some."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    others = json.loads(header.pop("__metadata__", {}).get("bridge", "{}"))
    arrays = {}
    for name, entry in header.items():
        dtype, (first, end) = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<"), entry["data_offsets"]
        flat = (
            np.frombuffer(data, dtype, (end - first) // dtype.itemsize, start + first)
            if end > first
            else np.empty(0, dtype)
        )
        array = flat.reshape(entry["shape"])
        arrays[name] = array if array.flags.aligned and array.dtype.isnative else array.astype(dtype.newbyteorder("="))
    return arrays, others


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

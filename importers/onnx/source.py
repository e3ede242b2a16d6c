"""Where a model came from: its name in errors, and the data of tensors that its proto does not hold.

A tensor's data may stand in another file (ONNX external data), or in the model's own file, from which large tensors are
left out on reading. Both are mapped into memory, not read: pages come when somebody looks at the values. Writing to such
an array changes the array alone, never the file.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from bridge.importers.onnx.errors import OnnxImportError
from bridge.ir.files import goes_up, is_relative

__all__ = ["OWN_FILE", "PACKED_BITS", "Source", "is_external", "map_file"]

#: The location that stands for the model's own file. No file of a model has this name: it holds a NUL.
OWN_FILE = "\0own"

#: ONNX's keys of external data (``basepath`` is what onnx's own writer adds).
_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
_LARGEST = 1 << 62


class Source:
    """A model's origin. ``name`` is what errors call it, ``folder`` where its external data may be (None: nowhere).

    ``follow_links``: data files may be links, as in the stores of download caches. ``checksums``: compare data with
    the SHA-1 that the model gives for it.
    """

    def __init__(
        self, name: str, folder: Path | None = None, *, follow_links: bool = False, checksums: bool = False
    ) -> None:
        self.name, self.folder, self.follow_links, self.checksums = name, folder, follow_links, checksums
        self._files: dict[str, Any] = {}

    def __str__(self) -> str:
        return self.name

    def own_file(self, data: Any) -> None:
        """Say where tensors at ``OWN_FILE`` are."""
        self._files[OWN_FILE] = data

    def check(self, proto: TensorProto) -> None:
        """Check what can be checked of an external tensor without its data's pages. Raises OnnxImportError."""
        self._place(proto)

    def record(self, proto: TensorProto) -> tuple[tuple[str, str], ...]:
        """Where the model said that the data is; () for a tensor of its own file."""
        entries = tuple((e.key, e.value) for e in proto.external_data)
        return () if ("location", OWN_FILE) in entries else entries

    def array(self, proto: TensorProto) -> np.ndarray[Any, Any] | bytes:
        """The values of an external tensor; their bytes where numpy has no such element type of its own.

        Raises OnnxImportError when the model may not have that data or it does not fit the tensor.
        """
        data, offset, length = self._place(proto)
        dtype = _dtype(proto)
        if dtype is None:
            return bytes(data[offset : offset + length])
        array = np.frombuffer(data, dtype, length // dtype.itemsize, offset).reshape(tuple(proto.dims))
        return array if array.flags.aligned else array.copy()  # what computes on it expects aligned memory

    def arrays(self, protos: Iterable[TensorProto]) -> dict[str, np.ndarray[Any, Any]]:
        """The values of those tensors that are external, by name; what numpy has no element type for is not among them."""
        found = {t.name: self.array(t) for t in protos if is_external(t)}
        return {name: a for name, a in found.items() if not isinstance(a, bytes)}

    def _place(self, proto: TensorProto) -> tuple[Any, int, int]:
        """(file, offset, length) of a tensor's data, checked."""
        entries: dict[str, str] = {}
        for e in proto.external_data:
            if e.key not in _KEYS:
                raise self._error(proto, f"has the unknown key {e.key[:80]!r}")
            if e.key in entries:
                raise self._error(proto, f"says '{e.key}' twice")
            entries[e.key] = e.value
        location = entries.get("location", "")
        data = self._files.get(location)
        if data is None:
            data = self._files[location] = self._open(proto, location)
        offset = self._number(proto, entries, "offset", 0)
        size = len(data)
        if offset > size:
            raise self._error(proto, f"starts at byte {offset} of a file of {size}")
        length = self._number(proto, entries, "length", size - offset if "length" not in entries else 0)
        if length > size - offset:
            raise self._error(proto, f"has {length} bytes from {offset} on, in a file of {size}")
        length = self._fitting(proto, length, "length" in entries)
        if self.checksums and entries.get("checksum"):
            found = hashlib.sha1(data[offset : offset + length], usedforsecurity=False).hexdigest()
            if found != entries["checksum"].lower():
                raise self._error(proto, "does not have the checksum that the model gives")
        return data, offset, length

    def _fitting(self, proto: TensorProto, length: int, exact: bool) -> int:
        """The length that a tensor's shape and element type ask for, which the data must have."""
        if min(proto.dims, default=0) < 0 or math.prod(proto.dims) > _LARGEST:
            raise self._error(proto, f"has the shape {list(proto.dims)}")
        bits = PACKED_BITS.get(proto.data_type)
        if bits is None:
            dtype = _dtype(proto)
            if dtype is None:
                raise self._error(proto, "is of a type that has no external data")
            bits = dtype.itemsize * 8
        needed: int = (math.prod(proto.dims) * bits + 7) // 8
        if length < needed or (exact and length != needed):
            raise self._error(proto, f"has {length} bytes for the shape {list(proto.dims)}, which needs {needed}")
        return needed

    def _number(self, proto: TensorProto, entries: dict[str, str], key: str, default: int) -> int:
        text = entries.get(key)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise self._error(proto, f"has the {key} {text[:40]!r}")
        return int(text)

    def _open(self, proto: TensorProto, location: str) -> Any:
        if self.folder is None:
            raise self._error(proto, "is in another file, and the model was not read from a folder")
        if not is_relative(location):
            raise self._error(proto, f"is at {location[:200]!r}, which is no relative path")
        if goes_up(location):
            raise self._error(proto, f"is at {location[:200]!r}, outside the model's folder")
        try:
            return self._map(proto, location, self.folder / location)
        except OSError as e:
            raise self._error(proto, f"is in '{location}', which cannot be read: {e.strerror or e}") from e

    def _map(self, proto: TensorProto, location: str, path: Path) -> Any:
        if not self.follow_links:
            # A link leads to a file that the model's author chose; the same goes for a second name of a file (hard link).
            inside = Path(os.path.realpath(self.folder or "."))
            if Path(os.path.realpath(path)) != inside / location:
                raise self._error(proto, f"is in '{location}', which is a link (follow_links=True allows them)")
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait
        handle = os.open(path, flags | (0 if self.follow_links else getattr(os, "O_NOFOLLOW", 0)))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise self._error(proto, f"is in '{location}', which is no regular file")
            if found.st_nlink > 1 and not self.follow_links:
                raise self._error(proto, f"is in '{location}', which has several names (follow_links=True allows it)")
            return map_file(file)

    def _error(self, proto: TensorProto, text: str) -> OnnxImportError:
        return OnnxImportError(f"{self.name}: the external data of tensor '{proto.name}' {text}")


def is_external(proto: TensorProto) -> bool:
    """Whether a tensor's data is not in its proto."""
    return bool(proto.data_location == TensorProto.EXTERNAL)


def map_file(file: Any) -> Any:
    """A file's content mapped into memory; what is written there stays there."""
    size = os.fstat(file.fileno()).st_size
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size else b""


#: Bits of an element, for the element types of which several share a byte.
PACKED_BITS = {
    getattr(TensorProto, f"{sign}INT{n}"): n
    for sign in ("", "U")
    for n in (2, 4)
    if hasattr(TensorProto, f"{sign}INT{n}")
}
PACKED_BITS |= {getattr(TensorProto, n): b for n, b in (("FLOAT4E2M1", 4), ("FLOAT6E2M3", 6), ("FLOAT6E3M2", 6)) if hasattr(TensorProto, n)}  # fmt: skip


def _dtype(proto: TensorProto) -> np.dtype[Any] | None:
    """The element type of whole bytes; None where several elements share one."""
    if proto.data_type in PACKED_BITS or proto.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return None
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(proto.data_type)).newbyteorder("<")
    except KeyError:
        return None

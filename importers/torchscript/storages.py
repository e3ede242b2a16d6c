"""Tensors out of an archive: storages are read once, and tensors are NumPy views of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.importers.torchscript.container import Container
from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.records import StorageRecord, TensorRecord

__all__ = ["Storages"]


class Storages:
    """The storages that one pickle of an archive refers to, which stand in the folder of its name."""

    def __init__(self, container: Container, folder: str) -> None:
        self._container, self._folder = container, folder
        self._memory: dict[str, np.ndarray[Any, np.dtype[np.uint8]]] = {}
        self._swap = _is_big_endian(container)

    def array(self, tensor: TensorRecord) -> np.ndarray[Any, Any]:
        """The tensor's elements: an array of its dtype, shape and strides, sharing memory with others of its storage.

        Raises :class:`ArchiveError` when the storage is missing, damaged, or not as large as the pickle says.
        """
        dtype = tensor.storage.dtype.numpy
        memory = self._storage(tensor.storage)
        return np.ndarray(
            tensor.size,
            dtype,
            buffer=memory,
            offset=min(tensor.offset * dtype.itemsize, memory.nbytes),
            strides=tuple(s * dtype.itemsize for s in tensor.stride),
        )

    def _storage(self, storage: StorageRecord) -> np.ndarray[Any, np.dtype[np.uint8]]:
        memory = self._memory.get(storage.key)
        if memory is None:
            memory = self._memory[storage.key] = self._read(storage)
        return memory

    def _read(self, storage: StorageRecord) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if storage.numel == 0:
            return np.empty(0, np.uint8)
        entry = f"{self._folder}/{storage.key}"
        size = self._container.size(entry)
        if size != storage.nbytes:
            raise ArchiveError(
                self._container.path,
                entry,
                f"has {size} bytes, but {storage.numel} elements of {storage.dtype.name} need {storage.nbytes}",
            )
        memory = np.frombuffer(self._container.read_data(entry), np.uint8)
        if storage.dtype.kind == "b":
            np.not_equal(memory, 0, out=memory.view(np.bool_))  # any byte but 0 is true to torch; NumPy wants a 1
        elif self._swap and storage.dtype.itemsize > 1:
            width = storage.dtype.itemsize // (2 if storage.dtype.kind == "c" else 1)
            memory.view(f"u{width}").byteswap(inplace=True)
        return memory


def _is_big_endian(container: Container) -> bool:
    if "byteorder" not in container:
        return False
    order = container.read("byteorder", limit=64)
    if order not in (b"little", b"big"):
        raise ArchiveError(container.path, "byteorder", "is neither 'little' nor 'big'")
    return order == b"big"

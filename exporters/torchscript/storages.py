"""Tensors as views of storages: arrays that share memory share a record of the archive."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bridge.ir import dtypes
from bridge.ir.dtypes import DType

__all__ = ["Storages", "View"]


class View(NamedTuple):
    """How a tensor lies in a storage; offset and strides count elements."""

    key: str
    dtype: DType
    storage_numel: int
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Storages:
    """Numbers the memory that arrays live in, in the order in which they are met; ``records`` are its bytes."""

    def __init__(self) -> None:
        self.records: list[memoryview] = []
        self._keys: dict[tuple[int, int], int] = {}
        self._alive: list[np.ndarray[Any, Any]] = []  # so that no address is used twice

    def view(self, array: np.ndarray[Any, Any]) -> View:
        """The place of an array; its memory is added when it is new. Raises TypeError for a dtype that tensors cannot have."""
        dtype = dtypes.by_numpy(array.dtype)
        memory = _memory(array)
        offset = _address(array) - _address(memory)
        if any(s < 0 or s % dtype.itemsize for s in array.strides) or offset % dtype.itemsize:
            array = memory = np.ascontiguousarray(array).reshape(array.shape)  # a layout that tensors cannot have
            offset = 0
        return View(
            str(self._number(memory)),
            dtype,
            memory.nbytes // dtype.itemsize,
            offset // dtype.itemsize,
            array.shape,
            tuple(s // dtype.itemsize for s in _plain_strides(array)),
        )

    def _number(self, memory: np.ndarray[Any, Any]) -> int:
        key = (_address(memory), memory.nbytes)
        if memory.nbytes == 0:
            key = (-len(self.records) - 1, 0)  # empty memory may share an address with any other
        number = self._keys.get(key)
        if number is None:
            number = self._keys[key] = len(self.records)
            self.records.append(memory.reshape(-1).view(np.uint8).data)
            self._alive.append(memory)
        return number


def _memory(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The whole array that ``array`` is a view of, if that is one contiguous block; else a block around it alone."""
    root = array
    while isinstance(root.base, np.ndarray) and root.base.dtype != object:
        root = root.base
    if root.flags.c_contiguous:
        return root
    if root.flags.f_contiguous:
        return root.T
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _plain_strides(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The strides, with those of dimensions of size 0 or 1 as a contiguous array has them where that is what it is."""
    if not array.flags.c_contiguous:
        return array.strides
    strides, step = [], array.itemsize
    for n in reversed(array.shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))

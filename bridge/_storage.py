"""The memory behind tensors, as far as programs ask for it: where it is, and how large."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Storage", "owner_of"]


def owner_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array that a view is a view of, in the end."""
    root: Any = array
    while True:
        base = root.base
        if base is not None and not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # as_strided puts an object of its own between
        if not isinstance(base, np.ndarray):
            return root  # type: ignore[no-any-return]
        root = base


class Storage:
    """The memory of a tensor and of its views; ``itemsize`` is 1 for bytes."""

    def __init__(self, array: np.ndarray[Any, Any], itemsize: int) -> None:
        self._root, self._itemsize = owner_of(array), itemsize

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._root.__array_interface__["data"][0])

    def nbytes(self) -> int:
        """How many bytes there are."""
        return int(self._root.nbytes)

    def size(self) -> int:
        """How many elements there are."""
        return self.nbytes() // self._itemsize

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._itemsize

    def __len__(self) -> int:
        return self.size()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and self._root is other._root

    def __hash__(self) -> int:
        return id(self._root)

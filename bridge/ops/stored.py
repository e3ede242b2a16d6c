"""Attributes too long for a source file: read from the file of weights beside it."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["Stored", "is_stored", "stored_name"]

_LIST, _TENSOR, _BYTES = "stored-list/", "stored-tensor/", "stored-bytes/"


def stored_name(name: str, value: Any) -> str:
    """What the file of weights calls a stored attribute: lists, tensors and bytes are told apart by it."""
    kind = _BYTES if isinstance(value, bytes) else _LIST if isinstance(value, list) else _TENSOR
    return f"{kind}{name}"


def is_stored(name: str) -> bool:
    """Whether a name in a file of weights is that of an attribute, and no weight."""
    return name.startswith((_LIST, _TENSOR, _BYTES))


class Stored:
    """The stored attributes of a printed file, by name: lists of numbers or strings, tensors, and bytes.

    ``stored = ops.stored(path)``; ``ops.ai.onnx.ml.TreeEnsembleRegressor(x, nodes_values=stored.nodes_values)``.
    """

    __slots__ = ("_values",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from bridge.weights import read_weights

        self._values = {n: a for n, a in read_weights(path).items() if is_stored(n)}

    def __getattr__(self, name: str) -> Any:
        from bridge.tensor import Tensor

        if not name.startswith("_"):
            if _LIST + name in self._values:
                return self._values[_LIST + name].tolist()
            if _TENSOR + name in self._values:
                return Tensor._wrap(self._values[_TENSOR + name])
            if _BYTES + name in self._values:
                return self._values[_BYTES + name].tobytes()
        raise AttributeError(f"the file of weights stores no attribute '{name}'")

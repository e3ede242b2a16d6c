"""What a pickle of an archive holds, as plain data: nothing here refers to a class of the program, or to memory of tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bridge.ir.dtypes import DType

__all__ = ["DeviceRecord", "EnumRecord", "ObjectRecord", "StorageRecord", "TensorRecord"]


@dataclass(eq=False, slots=True)
class ObjectRecord:
    """An object of a class of the archive: the class's qualified name, and its state (a dict of attributes, or what its
    ``__getstate__`` returned)."""

    type_name: str
    state: Any = None
    built: bool = False


@dataclass(eq=False, slots=True)
class EnumRecord:
    """A member of an enum of the archive, by value."""

    type_name: str
    value: Any


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """``torch.device("cpu")``."""

    name: str


@dataclass(frozen=True, slots=True)
class StorageRecord:
    """Flat memory in a record of its own (``key`` names it); tensors that share it are views of each other."""

    key: str
    dtype: DType
    numel: int
    device: str

    @property
    def nbytes(self) -> int:
        """Size of the record that holds it."""
        return self.numel * self.dtype.itemsize


@dataclass(eq=False, slots=True)
class TensorRecord:
    """A strided view of a storage; offset and strides count elements. Checked to lie inside the storage."""

    storage: StorageRecord
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    requires_grad: bool
    is_parameter: bool = field(default=False)

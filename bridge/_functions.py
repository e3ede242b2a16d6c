"""Functions of ``bridge`` that are no operators: questions about types and shapes, defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir import dtypes, promotion
from bridge.ir.dtypes import DType, by_code, by_name
from bridge.tensor import Tensor
from bridge.types import Size, dtype_of

__all__ = [
    "broadcast_shapes", "can_cast", "is_inference", "is_nonzero", "is_storage", "is_tensor", "numel", "promote_types",
    "result_type", "set_default_dtype", "set_default_tensor_type", "typename",
]  # fmt: skip


class _Alias(type):
    """The metaclass of legacy names: ``isinstance(t, bridge.FloatTensor)`` asks for the element type."""

    __tensor_alias__: int

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Tensor) and value.dtype.code == cls.__tensor_alias__

    def __call__(cls, *args: Any) -> Tensor:
        t = Tensor(*args)
        return t.to(by_code(cls.__tensor_alias__))


def __getattr__(name: str) -> Any:
    """The legacy class of an element type, ``FloatTensor``."""
    for d in dtypes.DTYPES:
        if name == f"{d.label}Tensor":
            found = _Alias(name, (), {"__tensor_alias__": d.code, "dtype": d, "__module__": "bridge"})
            globals()[name] = found
            return found
    raise AttributeError(f"module 'bridge' has no attribute '{name}'")


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def _assert(condition: Any, message: str) -> None:
    """``assert`` as a function. Raises AssertionError with the message where the condition does not hold."""
    if not condition:
        raise AssertionError(message)


_assert.__operator__ = "aten::_assert"  # type: ignore[attr-defined]


def is_storage(obj: Any) -> bool:
    """Whether an object is a storage: there are none here."""
    return False


def is_inference(input: Tensor) -> bool:
    """Whether a tensor was made in inference mode: that is not tracked."""
    return input.is_inference()


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero. Raises RuntimeError for other than one element."""
    return bool(input)


def numel(input: Tensor) -> Any:
    """The number of elements."""
    return input.numel()


def typename(obj: Any) -> str:
    """The name of an object's type."""
    from bridge.nn.modules.module import typename as name

    return name(obj)


def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest type that holds both."""
    return promotion.promote(type1, type2)


def can_cast(from_: DType, to: DType) -> bool:
    """Whether a result of one type may be written into a tensor of another."""
    return promotion.can_cast(from_, to)


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The element type of a result computed from both (tensors or numbers)."""
    return promotion.common_dtype(*(t._array if isinstance(t, Tensor) else t for t in (tensor1, tensor2)))


def broadcast_shapes(*shapes: int | Sequence[int]) -> Size:
    """The shape of a result of operands of these shapes. Raises RuntimeError when they do not go together."""
    try:
        found = np.broadcast_shapes(*((s,) if isinstance(s, int) else tuple(s) for s in shapes))
    except ValueError:
        raise RuntimeError(
            "Shape mismatch: objects cannot be broadcast to a single shape: "
            + ", ".join(str(tuple(np.atleast_1d(s))) for s in shapes)
        ) from None
    return Size(found)


def set_default_dtype(d: Any) -> None:
    """Change the element type of floating tensors made without one. Raises TypeError for other than floating types."""
    dtypes.set_default_dtype(dtype_of(d))


def set_default_tensor_type(t: Any) -> None:
    """Change the default element type by a legacy name (``torch.DoubleTensor``)."""
    names = {"Half": "float16", "Float": "float32", "Double": "float64", "BFloat16": "bfloat16"}
    label = str(t).removeprefix("torch.").removesuffix("Tensor")
    if label not in names:
        raise TypeError("only floating-point types are supported as the default type")
    dtypes.set_default_dtype(by_name(names[label]))

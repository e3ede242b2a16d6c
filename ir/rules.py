"""What a type rule sees, and the rules that whole families of operators share.

A type rule maps a :class:`Call` to the type (or types) of the results. ``call.types[name]`` is the type of an argument,
``call.known(name)`` its value if it is a constant and UNKNOWN otherwise (lists may hold UNKNOWN elements).
Dimensions are ints, names of free sizes, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.ir.dtypes import DType, by_code, by_name, default_dtype, real_dtype
from bridge.ir.promotion import Operand, number_dtype, operand_of_type, result_dtype
from bridge.ir.schema import Schema
from bridge.ir.types import TENSOR, Dim, ListType, OptionalType, TensorType, Type

__all__ = [
    "UNKNOWN",
    "Call",
    "Results",
    "Rule",
    "at_most_one",
    "bool_like_self",
    "broadcast",
    "broadcast_dims",
    "broadcast_to_bool",
    "dims_from_list",
    "dtype_argument",
    "float_broadcast",
    "float_like_self",
    "is_at_most_one",
    "like",
    "like_self",
    "operand_of_argument",
    "promote_all",
    "promoted",
    "real_like_self",
    "reduced_dims",
    "reduction",
    "result",
    "to_float",
    "wrap",
]  # fmt: skip


def at_most_one(size: str) -> str:
    """The name of the smaller of a free size and 1: what ``x[:1]`` has of a size."""
    return f"min({size}, 1)"


def is_at_most_one(dim: Dim) -> bool:
    """Whether a free size is 0 or 1."""
    return isinstance(dim, str) and dim.startswith("min(") and dim.endswith(", 1)")


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


#: The value of an argument that is not a constant.
UNKNOWN: Any = _Unknown()


class Call:
    """The arguments of one operator call as a type rule sees them."""

    __slots__ = ("schema", "types", "values")

    def __init__(self, schema: Schema, types: Mapping[str, Type], values: Mapping[str, Any]) -> None:
        self.schema, self.types, self.values = schema, types, values

    def __getitem__(self, name: str) -> Type:
        """The type of an argument."""
        return self.types[name]

    def known(self, name: str) -> Any:
        """The value of an argument, or UNKNOWN."""
        return self.values.get(name, UNKNOWN)

    def tensor(self, name: str) -> TensorType:
        """The type of a tensor argument; nothing known for anything else."""
        t = self.types.get(name)
        if isinstance(t, OptionalType):
            t = t.element
        return t if isinstance(t, TensorType) else TENSOR

    def tensors(self, name: str) -> list[TensorType] | None:
        """The types of the elements of a list of tensors where the caller gave them (as a tuple type), or None."""
        t = self.types.get(name)
        if t is None or isinstance(t, ListType):
            return None
        inside = t.contained()
        return [i if isinstance(i, TensorType) else TENSOR for i in inside] if inside else None


Results = Type | Sequence[Type]
Rule = Callable[[Call], Results]

_BOOL, _INT64 = by_name("bool"), by_name("int64")


def result(dtype: DType | None, dims: Sequence[Dim] | None) -> TensorType:
    """A result of that element type and those dimensions."""
    return TensorType(dtype, dims)


def wrap(dim: Any, rank: int | None) -> int | None:
    """A dimension argument counted from the front; None when it or a rank that it needs is not known."""
    if not isinstance(dim, int) or isinstance(dim, bool):
        return None
    if dim >= 0:
        return dim
    return None if rank is None else dim + max(rank, 1)


def broadcast_dims(shapes: Sequence[Sequence[Dim] | None]) -> tuple[Dim, ...] | None:
    """The dimensions after broadcasting; None when a rank is not known."""
    known: list[Sequence[Dim]] = []
    for s in shapes:
        if s is None:
            return None
        known.append(s)
    rank = max((len(s) for s in known), default=0)
    dims: list[Dim] = []
    for i in range(rank):
        here = [s[len(s) - rank + i] for s in known if len(s) - rank + i >= 0]
        fixed = next((d for d in here if isinstance(d, int) and d != 1), None)
        if fixed is not None:
            dims.append(fixed)  # the others are this size or 1
            continue
        free = {d for d in here if d != 1}
        dims.append(1 if not free else free.pop() if len(free) == 1 else None)
    return tuple(dims)


def _operands(call: Call) -> list[tuple[str, Type]]:
    """The tensor and number arguments that take part in promotion, by schema."""
    found = []
    for a in call.schema.arguments:
        t = call.types.get(a.name)
        if t is None or a.name in ("alpha", "value", "rounding_mode", "beta"):
            continue
        declared = a.type.element if isinstance(a.type, OptionalType) else a.type
        if isinstance(declared, TensorType) or str(declared) in ("Scalar", "number"):
            if isinstance(t, OptionalType):
                t = t.element
            if str(t) == "NoneType":
                continue
            found.append((a.name, t))
    return found


def _operand(call: Call, name: str, type: Type) -> Operand:
    dtype, tier = operand_of_type(type)
    if dtype is None and not isinstance(type, TensorType):
        value = call.known(name)
        if value is not UNKNOWN:
            return number_dtype(value), tier
    return dtype, tier


def operand_of_argument(call: Call, name: str) -> Operand:
    """How a tensor or number argument counts in type promotion."""
    return _operand(call, name, call.types[name])


def promoted(call: Call) -> DType | None:
    """The common element type of the tensor and number arguments."""
    return result_dtype(_operand(call, n, t) for n, t in _operands(call))


def broadcasted(call: Call) -> tuple[Dim, ...] | None:
    """The dimensions to which the tensor arguments broadcast."""
    return broadcast_dims([t.dims if isinstance(t, TensorType) else () for _, t in _operands(call)])


def broadcast(call: Call) -> Results:
    """Tensors and numbers together: promoted, broadcast."""
    return result(promoted(call), broadcasted(call))


def broadcast_to_bool(call: Call) -> Results:
    """Comparisons: broadcast, of bools."""
    return result(_BOOL, broadcasted(call))


def to_float(dtype: DType | None) -> DType | None:
    """Integers and bools become the default type."""
    return dtype if dtype is None or dtype.kind in "fc" else default_dtype()


def float_broadcast(call: Call) -> Results:
    """Broadcast; integers become the default type (true division)."""
    return result(to_float(promoted(call)), broadcasted(call))


def like(name: str) -> Rule:
    """A result of the element type and dimensions of that argument."""

    def rule(call: Call) -> Results:
        t = call.tensor(name)
        return result(t.dtype, t.dims)

    return rule


like_self = like("self")


def real_like_self(call: Call) -> Results:
    """Like self; of complex numbers the type of their parts."""
    t = call.tensor("self")
    return result(None if t.dtype is None else real_dtype(t.dtype), t.dims)


def float_like_self(call: Call) -> Results:
    """Like self; integers become the default type."""
    t = call.tensor("self")
    return result(to_float(t.dtype), t.dims)


def bool_like_self(call: Call) -> Results:
    """Bools with the dimensions of self."""
    return result(_BOOL, call.tensor("self").dims)


def dtype_argument(call: Call, default: DType | None, name: str = "dtype") -> DType | None:
    """The element type that an optional ``dtype`` argument asks for; ``default`` when it is None."""
    if name not in call.schema.index:
        return default
    value = call.known(name)
    if value is UNKNOWN:
        return None
    return default if value is None else by_code(value)


def dims_from_list(value: Any, length: int | None = None) -> tuple[Dim, ...] | None:
    """Dimensions from a list argument of sizes, of which some may not be known."""
    if value is UNKNOWN:
        return None if length is None else (None,) * length
    if isinstance(value, int):
        return (value,)
    return tuple(v if isinstance(v, int | str) and not isinstance(v, bool) else None for v in value)


def reduced_dims(dims: Sequence[Dim] | None, dim: Any, keepdim: Any, all_if_empty: bool = True) -> Any:
    """The dimensions after reducing over ``dim`` (an int, a list, None for all of them)."""
    if dims is None:
        if keepdim is False and (dim is None or (all_if_empty and dim == [])):
            return ()
        return None
    rank = len(dims)
    if dim is UNKNOWN:
        return (None,) * rank if keepdim is True else None
    if dim is None or (all_if_empty and dim == []):
        over = set(range(rank))
    else:
        listed = [wrap(d, rank) for d in (dim if isinstance(dim, list | tuple) else [dim])]
        if any(d is None for d in listed):
            return (None,) * rank if keepdim is True else (None,) * max(rank - len(listed), 0)
        over = {d for d in listed if d is not None}
    if keepdim is UNKNOWN:
        return None
    if keepdim:
        return tuple(1 if i in over else d for i, d in enumerate(dims))
    return tuple(d for i, d in enumerate(dims) if i not in over)


def reduction(dtype_of: Callable[[DType | None], DType | None], all_if_empty: bool = True) -> Rule:
    """Reductions over ``dim`` with ``keepdim`` and ``dtype`` where the schema has them."""

    def rule(call: Call) -> Results:
        t = call.tensor("self")
        dim = call.known("dim") if "dim" in call.schema.index else None
        keepdim = call.known("keepdim") if "keepdim" in call.schema.index else False
        dtype = dtype_argument(call, None if t.dtype is None else dtype_of(t.dtype))
        return result(dtype, reduced_dims(t.dims, dim, keepdim, all_if_empty))

    return rule


def promote_all(types: Sequence[TensorType] | None) -> DType | None:
    """The common element type of a list of tensors."""
    return None if not types else result_dtype(operand_of_type(t) for t in types)

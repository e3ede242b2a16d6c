"""How the families declare their operators: :func:`op`, and what kernels share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_numpy, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.ops._element_types import guarded
from bridge.ir.promotion import can_cast
from bridge.ir.registry import Kernel, Operator, Sample, Unsupported, overloads, register
from bridge.ir.rules import Call, Results
from bridge.ir.schema import Schema
from bridge.ir.types import TensorType

__all__ = [
    "Array",
    "Samples",
    "argument_dtype",
    "arr",
    "declare",
    "dim_of",
    "dims_of",
    "given",
    "in_place",
    "op",
    "quiet",
]

Array = np.ndarray[Any, Any]
Samples = Callable[[], Iterable[Sample]]


def arr(value: Any) -> Array:
    """A NumPy result as an array: reductions and operations on 0-d arrays give NumPy scalars."""
    return value if isinstance(value, np.ndarray) else np.asarray(value)


def quiet(kernel: Kernel) -> Kernel:
    """A kernel computing as IEEE arithmetic does, without NumPy's warnings, whose results are arrays."""

    @functools.wraps(kernel)
    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            r = kernel(*args)
        if type(r) is np.ndarray:
            return r
        if isinstance(r, tuple):
            return tuple(arr(x) if isinstance(x, np.generic) else x for x in r)
        return np.asarray(r) if isinstance(r, np.generic) else r

    return run


def declare(
    schema: str | Schema,
    kernel: Kernel | None,
    *,
    types: Any = None,
    onnx: Any = None,
    grad: Any = None,
    grad_name: str | None = None,
    samples: Any = None,
    composite: bool = False,
    side_effect: bool = False,
) -> Operator:
    """Declare one overload; for rows of a table. Kernels that are not composite run :func:`quiet`.

    The keywords are those of :func:`bridge.ir.registry.operator` (loosely typed here: rows are lambdas with defaults).
    """
    o = Operator(schema, kernel)
    if kernel is not None and not composite and "Tensor" in str(schema):
        o.kernel = quiet(kernel)
    if o.kernel is not None:
        o.kernel = guarded(o.full_name, o.kernel, lambda: [a.name for a in o.schema.arguments], composite)
    o.types, o.onnx, o.grad, o.samples = types, onnx, grad, samples
    o.composite, o.side_effect = composite, side_effect
    o.grad_name = grad_name or (_grad_name(o.name) if grad is not None else None)
    register(o)
    return o


def op(
    schema: str,
    *,
    inplace: bool | Samples = False,
    **rest: Any,
) -> Callable[[Kernel], Kernel]:
    """Declare an operator; decorates its kernel. ``inplace=True`` declares its in-place variant ``name_`` too."""

    def decorate(kernel: Kernel) -> Kernel:
        o = declare(schema, kernel, **rest)
        if inplace:
            in_place(o)
        return kernel

    return decorate


def _grad_name(name: str) -> str:
    # ATen capitalises what follows an underscore or a digit: log1p -> Log1PBackward0
    words = re.findall(r"[a-zA-Z]+\d*", name.split("::")[1].replace("_", " "))
    return "".join(w[:1].upper() + w[1:] for w in words) + "Backward0"


def in_place(
    o: Operator, samples: Samples | None = None, overload: str | None = None, grad_name: str | None = None
) -> Operator:
    """Declare ``aten::add_`` from ``aten::add``: the result is cast to self's type and written into it.

    ``overload`` and ``grad_name`` are given where torch names them otherwise than those of the functional one.

    Raises (when run) what torch raises when the result has another shape or a type that self cannot hold.
    """
    text = o._schema
    assert isinstance(text, str)
    own = o.full_name.partition(".")[2] if overload is None else overload
    arguments = text.partition("(Tensor self")[2].removesuffix(" -> Tensor")
    schema = f"{o.name}_{'.' if own else ''}{own}(Tensor(a!) self{arguments} -> Tensor(a!)"
    kernel = o.kernel
    assert kernel is not None
    assert not o.composite

    def write(*args: Any) -> Any:
        value, out = kernel(*args), args[0]
        if value.dtype != out.dtype:
            source, wanted = by_numpy(value.dtype), by_numpy(out.dtype)
            if not can_cast(source, wanted):
                raise BridgeError(f"result type {source.label} can't be cast to the desired output type {wanted.label}")
        if value.shape != out.shape:
            raise BridgeError(
                f"output with shape {list(out.shape)} doesn't match the broadcast shape {list(value.shape)}"
            )
        # Where one element is several, what is written to one of them stays.
        where: Any = value != out if 0 in out.strides else ...
        out[where] = value[where]
        return out

    def lower(e: Any, call: Any) -> Any:
        from bridge.ir.ops._checks import as_large_as, may_grow
        from bridge.ir.ops._onnx import lower_functional

        own, made = call["self"].dtype, lower_functional(e, call, o)
        if not can_cast(made.dtype, own):
            e.unsupported(f"result type {made.dtype.label} can't be cast to the desired output type {own.label}")
        made = e.cast(made, own)
        return as_large_as(e, made, call["self"]) if may_grow(o, call) else made

    def rule(call: Call) -> Results:
        t = call.tensor("self")
        return TensorType(t.dtype, t.dims)

    new = Operator(schema, write)
    new.types, new.grad, new.grad_name = rule, o.grad, grad_name or o.grad_name
    new.onnx = o.onnx if o.onnx is None or isinstance(o.onnx, Unsupported) else lower
    new.samples = samples or o.samples
    register(new)
    return new


@functools.cache
def out_variant(full_name: str) -> Operator | None:
    """``aten::add.out(…, *, Tensor(a!) out)`` from ``aten::add.Tensor``; None where there is no such pair.

    The result is cast to the type of ``out`` and written into it. Raises (when run) for an ``out`` of another shape.
    """
    from bridge.ir.schemas import find_schema

    name, _, overload = full_name.partition(".")
    schema = find_schema(name, overload)
    if schema is None or [a.name for a in schema.arguments if a.writes] != ["out"] or len(schema.returns) != 1:
        return None
    found = _functional(schema)
    if found is None or found.kernel is None:
        return None
    functional, of = found, found.schema

    def write(*args: Any) -> Any:
        out, given = args[-1], dict(zip(schema.index, args, strict=True))
        if "dtype" in of.index:
            given.setdefault("dtype", by_numpy(out.dtype).code)
        value = functional.run(*[given.get(a.name) for a in of.arguments])
        if value.shape != out.shape:
            raise BridgeError(f"out has shape {list(out.shape)}, but the result has {list(value.shape)}")
        source, wanted = by_numpy(value.dtype), by_numpy(out.dtype)
        if not can_cast(source, wanted):
            raise BridgeError(f"result type {source.label} can't be cast to the desired output type {wanted.label}")
        out[...] = value
        return out

    def lower(e: Any, call: Any) -> Any:
        from bridge.ir.ops._onnx import lower_functional

        wanted = call["out"].dtype
        made = lower_functional(e, _WithoutOut(call, of), functional)
        if not can_cast(made.dtype, wanted):
            e.unsupported(f"result type {made.dtype.label} can't be cast to the desired output type {wanted.label}")
        return e.cast(made, wanted)

    def rule(call: Call) -> Results:
        known = dict.fromkeys(of.index.keys() - schema.index.keys()) | dict(call.values)
        made = functional.types(Call(of, call.types, known)) if functional.types is not None else None
        return TensorType(call.tensor("out").dtype, made.dims if isinstance(made, TensorType) else None)

    new = Operator(schema, write)
    new.types = rule
    new.onnx = found.onnx if found.onnx is None or isinstance(found.onnx, Unsupported) else lower
    return new


#: What functions that make tensors are told, and those that write to one are not.
_MADE_WITH = {"dtype", "layout", "device", "pin_memory"}


def _functional(schema: Schema) -> Operator | None:
    """The operator that gives what another writes to ``out``: of the same arguments, but for how a tensor is made."""
    given = {a.name: a.type for a in schema.arguments if a.name != "out"}
    for o in overloads(schema.name):
        own = {a.name: a.type for a in o.schema.arguments}
        if all(own.pop(n, None) == t for n, t in given.items()) and not own.keys() - _MADE_WITH:
            return o
    return None


class _WithoutOut:
    """A call that writes to ``out`` as a call of the operator that gives the result."""

    def __init__(self, call: Any, schema: Schema) -> None:
        self.call, self.schema, self.results = call, schema, call.results

    def __getitem__(self, name: str) -> Any:
        if name in self.call.schema.index:
            return self.call[name]
        return self.call["out"].dtype.code if name == "dtype" else None


def argument_dtype(code: int | None, default: DType | None = None) -> np.dtype[Any]:
    """The NumPy dtype of an optional ``dtype`` argument."""
    if code is None:
        return (default or default_dtype()).numpy
    return by_code(code).numpy


def dim_of(dim: int, rank: int) -> int:
    """A dimension argument counted from the front. Raises IndexError as torch does."""
    n = max(rank, 1)
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return dim + n if dim < 0 else dim


def dims_of(dims: Sequence[int] | int | None, rank: int, empty_is_all: bool = True) -> tuple[int, ...]:
    """The dimensions that an optional list names, counted from the front; of a 0-d tensor none."""
    if dims is None or (empty_is_all and not isinstance(dims, int) and len(dims) == 0):
        return tuple(range(rank))
    listed = (dims,) if isinstance(dims, int) else dims
    found = [dim_of(d, rank) for d in listed]
    if len(set(found)) != len(found):
        raise BridgeError(
            f"dim {next(d for d in found if found.count(d) > 1)} appears multiple times in the list of dims"
        )
    return tuple(found) if rank else ()


def given(ctx: Any, name: str) -> bool:
    """Whether the operator whose gradient is taken has an argument of that name."""
    return name in ctx.plan.schema.index

"""Copies and conversions: to, clone, detach, contiguous, copy_, fill_, type_as, and the questions about a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.fits import fitting
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, lower_fitting
from bridge.ir.ops._declare import Array, declare, given, in_place
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of
from bridge.ir.ops.expand import expand, lower_expand
from bridge.ir.promotion import can_cast, promote
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, like_self, result
from bridge.ir.types import TensorType


def convert(self: Array, dtype: DType) -> Array:
    """A copy in another element type; floats go to integers as C casts them."""
    return self.astype(dtype.numpy)


def _identity(e: Emitter, call: LoweredCall) -> Any:
    return e.op("Identity", call[call.schema.arguments[0].name])


def _to(self: Array, dtype: int | None, copy: bool) -> Array:
    wanted = self.dtype if dtype is None else by_code(dtype).numpy
    return self.astype(wanted) if copy or wanted != self.dtype else self


def _to_types(call: Call) -> Results:
    t = call.tensor("self")
    if "dtype" in call.schema.index:
        code = call.known("dtype")
        return result(None if code is UNKNOWN else t.dtype if code is None else by_code(code), t.dims)
    other = call.tensor("other") if "other" in call.schema.index else t
    return result(other.dtype, t.dims)


def _lower_to(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = x.dtype
    if "dtype" in call.schema.index and call["dtype"] is not None:
        dtype = by_code(call["dtype"])
    elif "other" in call.schema.index:
        dtype = e.dtype_of(call["other"])
    return e.cast(x, dtype) if dtype is not x.dtype else e.op("Identity", x)


def _back(ctx: Any, g: Any) -> Any:
    own = ctx.op("aten::to.other", g, ctx["self"])
    return (own, None) if given(ctx, "other") else (own,)


_TAIL = "bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None"
_CASTS = of(
    (f4(2, 3), 7),
    (f4(4, scale=3), 4),
    (i8(3), 6),
    (f4(3), 6),
    (i8(3, low=0, high=2), 11),
    (b1(3), 6),
    (f4(), 7),
    (f8(3), 5),
    (f4(3), 3),
)
_TO: dict[str, Any] = {"types": _to_types, "onnx": _lower_to, "grad": _back, "grad_name": "ToCopyBackward0"}


def _shift(samples: Any, value: Any) -> Any:
    return lambda: [S(s.args[0], value, *s.args[1:], **s.kwargs) for s in samples()]


declare(
    f"aten::to.device(Tensor(a) self, Device device, ScalarType dtype, {_TAIL}) -> Tensor(a)",
    lambda x, device, dtype, nb, copy, mf: _to(x, dtype, copy),
    **_TO,
    samples=_shift(_CASTS, "cpu"),
)
declare(
    f"aten::to.dtype(Tensor(a) self, ScalarType dtype, {_TAIL}) -> Tensor(a)",
    lambda x, dtype, nb, copy, mf: _to(x, dtype, copy),
    **_TO,
    samples=_CASTS,
)
declare(
    f"aten::to.other(Tensor(a) self, Tensor other, {_TAIL}) -> Tensor(a)",
    lambda x, other, nb, copy, mf: _to(x, by_numpy(other.dtype).code, copy),
    **_TO,
    samples=of((f4(3), f8(2)), (i8(3), f4())),
)
declare(
    "aten::to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, "
    f"{_TAIL}) -> Tensor(a)",
    lambda x, dtype, layout, device, pin, nb, copy, mf: _to(x, dtype, copy),
    **_TO,
    samples=of(S(f4(3), dtype=7), (f4(2),)),
)
declare(
    "aten::to.prim_Device(Tensor(a) self, Device? device, int? dtype=None, bool non_blocking=False, bool copy=False) -> Tensor(b|a)",
    lambda x, device, dtype, nb, copy: _to(x, dtype, copy),
    **_TO,
    samples=of((f4(3), "cpu"), (f4(3), None, 7)),
)
declare(
    "aten::to.prim_dtype(Tensor(a) self, int? dtype=None, bool non_blocking=False, bool copy=False) -> Tensor(b|a)",
    lambda x, dtype, nb, copy: _to(x, dtype, copy),
    **_TO,
    samples=_CASTS,
)
declare(
    "aten::to.prim_other(Tensor(a) self, bool non_blocking=False, bool copy=False) -> Tensor(b|a)",
    lambda x, nb, copy: _to(x, None, copy),
    **_TO,
    samples=of((f4(3),)),
)
declare(
    "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, "
    "bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    lambda x, dtype, *_: _to(x, dtype, True),
    **_TO,
    samples=of(S(f4(3), dtype=7), (f4(2),)),
)
declare(
    "aten::type_as(Tensor self, Tensor other) -> Tensor",
    lambda x, other: _to(x, by_numpy(other.dtype).code, False),
    **_TO,
    samples=of((f4(3), f8(2)), (f4(3), i8(2))),
)


def _declare_cast(name: str, dtype: DType) -> None:
    declare(
        f"aten::_cast_{name}(Tensor self, bool non_blocking=False) -> Tensor",
        lambda x, nb: _to(x, dtype.code, False),
        types=lambda call: result(dtype, call.tensor("self").dims),
        onnx=lambda e, call: e.cast(call["self"], dtype),
        grad=_back,
        grad_name="ToCopyBackward0",
        samples=of((f4(3, scale=3),)),
    )


for _name, _dtype in (
    ("Byte", "uint8"),
    ("Char", "int8"),
    ("Double", "float64"),
    ("Float", "float32"),
    ("Int", "int32"),
    ("Long", "int64"),
    ("Short", "int16"),
    ("Half", "float16"),
):
    _declare_cast(_name, by_name(_dtype))


def _same(ctx: Any, g: Any) -> Any:
    return (g,)


_ANY = of((f4(2, 3),), (i8(2),), (f4(),), (b1(2),))
declare(
    "aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor",
    lambda x, mf: x.copy(),
    types=like_self,
    onnx=_identity,
    grad=_same,
    samples=_ANY,
)
declare(
    "aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)",
    lambda x, mf: x if x.flags.c_contiguous else np.array(x, order="C"),
    types=like_self,
    onnx=_identity,
    grad=_same,
    grad_name="CloneBackward0",
    samples=_ANY,
)
declare("aten::detach(Tensor(a) self) -> Tensor(a)", lambda x: x[...], types=like_self, onnx=_identity, samples=_ANY)
declare("aten::detach_(Tensor(a!) self) -> Tensor(a!)", lambda x: x, types=like_self, onnx=_identity, samples=_ANY)
declare(
    "aten::alias(Tensor(a) self) -> Tensor(a)",
    lambda x: x[...],
    types=like_self,
    onnx=_identity,
    grad=_same,
    samples=_ANY,
)
declare("aten::lift_fresh(Tensor(a) self) -> Tensor(a)", lambda x: x, types=like_self, onnx=_identity)
declare("aten::lift_fresh_copy(Tensor self) -> Tensor", lambda x: x.copy(), types=like_self, onnx=_identity, grad=_same)
for _name in ("cpu", "resolve_conj", "resolve_neg"):
    declare(
        f"aten::{_name}(Tensor(a) self) -> Tensor({'b|a' if _name == 'cpu' else 'a'})",
        lambda x: x,
        types=like_self,
        onnx=_identity,
        grad=_same,
        samples=_ANY,
    )


def _conjugate(x: Array) -> Array:
    return np.conj(x) if x.dtype.kind == "c" else x


def _conjugate_grad(c: Any, g: Any) -> Any:
    return (c.op("aten::conj", g),)


for _schema in ("conj(Tensor(a) self) -> Tensor(a)", "_conj(Tensor(a) self) -> Tensor(a)"):
    declare(f"aten::{_schema}", _conjugate, types=like_self, onnx=_identity, grad=_conjugate_grad, samples=_ANY)
in_place(
    declare(
        "aten::conj_physical(Tensor self) -> Tensor",
        lambda x: np.conj(x) if x.dtype.kind == "c" else x.copy(),
        types=like_self,
        onnx=_identity,
        grad=_conjugate_grad,
        samples=_ANY,
    ),
    grad_name="ConjPhysicalBackward1",
)
declare("aten::is_conj(Tensor self) -> bool", lambda x: False, onnx=lambda e, call: False)
declare("aten::is_neg(Tensor self) -> bool", lambda x: False, onnx=lambda e, call: False)
declare(
    "aten::requires_grad_(Tensor(a!) self, bool requires_grad=True) -> Tensor(a!)",
    lambda x, r: x,
    types=like_self,
    onnx=_identity,
)

# -- written in place --------------------------------------------------------------------------------------------------


def _write(self: Array, src: Any, *rest: Any) -> Array:
    if isinstance(src, np.ndarray):
        if src.shape != self.shape:
            src = _written(src, self)
        self[...] = src.astype(self.dtype, copy=False)
    else:
        self[...] = np.asarray(src).astype(self.dtype)
    return self


def _written(src: Array, into: Array) -> Array:
    """What is copied, in the shape of what it is copied into. Raises what torch raises for shapes that do not fit."""
    both = np.broadcast_shapes(into.shape, src.shape)
    if both != into.shape:
        raise BridgeError(f"output with shape {list(into.shape)} doesn't match the broadcast shape {list(both)}")
    return expand(src, list(into.shape))


def _lower_write(name: str, fits: bool = False) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, value = call["self"], call[name]
        value = e.cast(lower_fitting(e, value, x.dtype) if fits else value, x.dtype)
        if value.dims is not None and value.dims == x.dims and all(d is not None for d in value.dims):
            return e.op("Identity", value)
        out = lower_expand(e, value, e.shape_of(x))
        return out if value.dims == () else as_large_as(e, out, x)

    return lower


_COPIES = of((f4(2, 3), f4(2, 3, seed=1)), (f4(2, 3), f4(3, seed=1)), (i8(3), f4(3, seed=1)), (f4(2), f8()))


def _copy_grad(ctx: Any, g: Any) -> Any:
    return ctx.op("aten::zeros_like", g), g


declare(
    "aten::copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)",
    _write,
    types=like_self,
    onnx=_lower_write("src"),
    grad=_copy_grad,
    grad_name="CopyBackwards",
    samples=_COPIES,
)
declare(
    "aten::copy_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)",
    _write,
    types=like_self,
    onnx=_lower_write("other"),
    grad=_copy_grad,
    grad_name="CopyBackwards",
)
for _type in ("int", "float"):
    declare(
        f"aten::copy_.{_type}(Tensor(a!) self, {_type} other) -> Tensor(a!)",
        _write,
        types=like_self,
        onnx=_lower_write("other"),
        grad=lambda ctx, g: (ctx.op("aten::zeros_like", g),),
        grad_name="CopyBackwards",
    )
declare(
    "aten::copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor",
    lambda x, src, nb: _write(x.copy(), src),
    types=like_self,
    onnx=_lower_write("src"),
    grad=_copy_grad,
    samples=_COPIES,
)
for _suffix, _alias in (("", ""), ("_", "(a!)")):

    def _fill(x: Array, value: Any, inplace: bool = bool(_suffix)) -> Array:
        return _write(x if inplace else x.copy(), fitting(value, x.dtype))

    _order = ("Scalar", "Tensor")
    for _overload in _order:
        declare(
            f"aten::fill{_suffix}.{_overload}(Tensor{_alias} self, {_overload} value) -> Tensor{_alias}",
            _fill,
            types=like_self,
            onnx=_lower_write("value", _overload == "Scalar"),
            grad=(lambda ctx, g: (ctx.op("aten::zeros_like", g), g.sum()))
            if _overload == "Tensor"
            else (lambda ctx, g: (ctx.op("aten::zeros_like", g),)),
            grad_name=f"FillBackward{2 * bool(_suffix) + int(_overload == 'Tensor')}",
            samples=of(
                (f4(2, 3), 1.5 if _overload == "Scalar" else f4()), (i8(3), 2 if _overload == "Scalar" else i8())
            ),
        )


def _lower_zero(e: Emitter, call: LoweredCall) -> Any:
    from bridge.ir.ops.creation import constant_of_shape

    return constant_of_shape(e, e.shape_of(call["self"]), 0, call["self"].dtype)


declare(
    "aten::zero_(Tensor(a!) self) -> Tensor(a!)",
    lambda x: _write(x, 0),
    types=like_self,
    onnx=_lower_zero,
    grad=lambda ctx, g: (ctx.op("aten::zeros_like", g),),
    samples=of((f4(2, 3),)),
)

# -- questions ---------------------------------------------------------------------------------------------------------


def _ask(kinds: str) -> Any:
    return lambda e, call: call["self"].dtype.kind in kinds


declare(
    "aten::is_floating_point(Tensor self) -> bool",
    lambda x: by_numpy(x.dtype).kind == "f",
    onnx=_ask("f"),
    samples=of((f4(2),), (i8(2),)),
)
declare(
    "aten::is_complex(Tensor self) -> bool",
    lambda x: by_numpy(x.dtype).kind == "c",
    onnx=_ask("c"),
    samples=of((f4(2),)),
)
declare(
    "aten::is_signed(Tensor self) -> bool",
    lambda x: by_numpy(x.dtype).is_signed,
    onnx=lambda e, call: call["self"].dtype.is_signed,
    samples=of((f4(2),), (b1(2),)),
)
declare(
    "aten::element_size(Tensor self) -> int",
    lambda x: x.itemsize,
    onnx=lambda e, call: call["self"].dtype.itemsize,
    samples=of((f4(2),), (f8(2),)),
)
declare("aten::get_device(Tensor self) -> int", lambda x: -1, onnx=lambda e, call: -1)


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))


def _lower_equal(e: Emitter, call: LoweredCall) -> Any:
    a, b = call["self"], call["other"]
    if a.rank is not None and b.rank is not None:
        if a.rank != b.rank or any(isinstance(x, int) and isinstance(y, int) and x != y for x, y in zip(a.dims, b.dims, strict=True)):  # fmt: skip
            return False
    common = promote(a.dtype, b.dtype)
    if common.name in ("bfloat16", "float16") or common.name.startswith("uint"):  # what onnxruntime has no Equal for
        common = by_name("float32" if common.kind == "f" else "int64")
    a, b = e.cast(a, common), e.cast(b, common)
    if a.dims is not None and a.dims == b.dims and None not in a.dims:
        return _no_difference(e, a, b)
    if a.rank and a.rank == b.rank:
        return _same_sizes_and_items(e, a, b)
    flat = [e.op("Reshape", x, np.array([-1], np.int64), dims=(None,)) for x in (a, b)]
    return e.op("And", _same_rows(e, e.shape_of(a), e.shape_of(b)), _same_rows(e, *flat), dims=())


def _same_sizes_and_items(e: Emitter, a: Any, b: Any) -> Any:
    """Whether two tensors of one rank are equal: their sizes, and then their items."""
    boolean, int32 = by_name("bool"), by_name("int32")
    same = e.op("Equal", e.shape_of(a), e.shape_of(b), dtype=boolean, dims=(a.rank,))
    if a.rank > 1 and e.opset >= 20:
        same = e.op("ReduceMin", same, keepdims=0, dims=())
    elif a.rank > 1:
        same = e.cast(e.op("ReduceMin", e.cast(same, int32), keepdims=0, dims=()), boolean)
    return e.either(same, lambda: _no_difference(e, a, b), lambda: np.array(False), ())


def _no_difference(e: Emitter, a: Any, b: Any) -> Any:
    """Whether two tensors of one shape are equal: those of no elements are, and so is what is multiplied there."""
    boolean, int32 = by_name("bool"), by_name("int32")
    same = e.cast(e.op("Equal", a, b, dtype=boolean, dims=a.dims), int32)
    return e.cast(e.op("ReduceProd", same, keepdims=0, dims=()), boolean)


def _same_rows(e: Emitter, a: Any, b: Any) -> Any:
    """Whether two 1-D tensors, perhaps of two lengths, are equal."""
    if a.dims == b.dims and None not in a.dims:
        return _no_difference(e, a, b)
    sizes = [e.op("Size", x, dtype=by_name("int64"), dims=()) for x in (a, b)]
    shorter = e.op("Reshape", e.op("Min", *sizes, dims=()), np.array([1], np.int64), dims=(1,))
    zero = np.array([0], np.int64)
    parts = [e.op("Slice", x, zero, shorter, dims=(None,)) for x in (a, b)]
    together = e.op("Equal", *sizes, dtype=by_name("bool"), dims=())
    return e.op("And", together, _no_difference(e, *parts), dims=())


declare(
    "aten::equal(Tensor self, Tensor other) -> bool",
    _equal,
    onnx=_lower_equal,
    samples=of((f4(2, 2), f4(2, 2)), (f4(2, 2), f4(2, 2, seed=1))),
)

__all__ = ["TensorType", "convert", "unsupported"]
declare(
    "aten::promote_types(ScalarType type1, ScalarType type2) -> ScalarType",
    lambda a, b: promote(by_code(a), by_code(b)).code,
    samples=of((5, 6), (3, 4), (11, 1)),
)
declare(
    "aten::can_cast(ScalarType from_, ScalarType to) -> bool",
    lambda a, b: can_cast(by_code(a), by_code(b)),
    samples=of((6, 4), (4, 6)),
)

"""Complex numbers in ONNX models: pairs of real ones, in a last dimension of two.

onnxruntime computes nothing in complex numbers. A complex value of a lowering has a complex element type and the dimensions of
the program; the node that makes it gives real numbers and has one dimension more (``Emitter.pairs`` and ``from_pairs`` are the
two views of it). What an operator does with such values is a definition on :class:`Pair` s, whose parts are real values; a
definition is written with steps (see ``_composite``), which choose element types and broadcast as torch does.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_code, by_name, real_dtype
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import equal_dims, may_grow
from bridge.ir.ops._composite import _given, _Lowering, _View, _without_numbers
from bridge.ir.ops._onnx import is_lowered, lower_functional, reduce_axes, result_of
from bridge.ir.registry import Operator, find
from bridge.ir.rules import broadcast_dims
from bridge.ir.types import TensorType

__all__ = ["Pair", "as_pairs", "complex_of", "joined", "lower_complex", "on_pairs"]

Definition = Callable[..., Any]


class Pair:
    """A complex value: two real ones (run-time values or numbers), of which one may be None, for zeros. ``whole`` is the
    run-time value that it was."""

    __slots__ = ("im", "re", "whole")

    def __init__(self, re: Any, im: Any, whole: Any = None) -> None:
        self.re, self.im, self.whole = re, im, whole


def complex_of(dtype: DType | None) -> DType | None:
    """The complex type of numbers of that type."""
    if dtype is None or dtype.kind == "c":
        return dtype
    return by_name("complex128" if dtype.name == "float64" else "complex64")


# -- lowering ----------------------------------------------------------------------------------------------------------

_RULES: dict[str, Definition] = {}


def on_pairs(*names: str) -> Callable[[Definition], Definition]:
    """Declare what operators, which have a form on real numbers too, do with complex ones."""

    def decorate(definition: Definition) -> Definition:
        _RULES.update({f"aten::{n}": definition for n in names})
        return definition

    return decorate


def as_pairs(definition: Definition, alike: bool = False) -> Callable[[Emitter, LoweredCall], Any]:
    """The lowering of an operator that is defined on pairs alone. ``alike``: both parts of a result have one shape, whatever it is given."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        return _lower(e, call, definition, alike)

    lower.takes_complex = True  # type: ignore[attr-defined]
    return lower


def lower_complex(e: Emitter, call: LoweredCall, o: Operator) -> Any:
    """Lower a call that has complex values among its arguments or results."""
    if getattr(o.onnx, "takes_complex", False):
        assert callable(o.onnx)
        return o.onnx(e, call)
    rule = _RULES.get(o.name)
    if rule is not None:
        return _lower(e, call, rule)
    if o.name in _OF_SHAPES:
        return lower_functional(e, _of_part(e, call, 0), o)
    if o.name in _PART_BY_PART:
        return _by_parts(e, call, o)
    if o.name in _CREATES:
        return _created(e, call, o)
    functional = find(o.full_name.replace(f"{o.name}", o.name[:-1])) if o.name.endswith("_") else None
    if functional is not None and o.schema.is_mutable:
        if may_grow(o, call):
            e.unsupported("writing complex numbers in place needs sizes that are known to be the same")
        return e.cast(lower_complex(e, call, functional), call["self"].dtype)
    e.unsupported(f"onnxruntime computes nothing in complex numbers, and {o.name} has no form in real ones here")


def _lower(e: Emitter, call: LoweredCall, definition: Definition, alike: bool = False) -> Any:
    steps = _Lowering(e)
    steps.wanted = call.results[0].dtype if call.results and isinstance(call.results[0], TensorType) else None
    args = [_argument(e, steps, call[a.name], a.type) for a in call.schema.arguments]
    found = definition(steps, *args)
    alike = alike or definition in (mul, div) or all(_is_whole(call[a.name]) for a in call.schema.arguments)
    if isinstance(found, list | tuple):
        return tuple(joined(e, f, alike) for f in found)
    return joined(e, found, alike)


def _is_whole(v: Any) -> bool:
    """Whether an argument goes into both parts of the result with the same dimensions: no real tensor."""
    if isinstance(v, list | tuple):
        return all(map(_is_whole, v))
    return not is_lowered(v) or _is_complex(v) or v.dims == ()


def _argument(e: Emitter, steps: Any, v: Any, declared: T.Type) -> Any:
    if isinstance(v, list | tuple):
        return [_argument(e, steps, x, T.TENSOR) for x in v] if any(map(_is_complex, v)) else _given(steps, v, declared)
    if isinstance(v, complex):
        return Pair(v.real or None, v.imag or None)
    return Pair(*e.parts(v), v) if _is_complex(v) else _given(steps, v, declared)


def _is_complex(v: Any) -> bool:
    if isinstance(v, list | tuple):
        return any(map(_is_complex, v))
    return isinstance(v, complex) or (hasattr(v, "dtype") and getattr(v.dtype, "kind", "") == "c")


def joined(e: Emitter, v: Any, alike: bool = False) -> Any:
    """The run-time value of a pair; other values as they are. ``alike``: its parts have one shape."""
    if not isinstance(v, Pair):
        return _without_numbers(v)
    re, im = v.re, v.im
    if not is_lowered(re) and not is_lowered(im):
        e.unsupported("complex numbers that are no tensors must be known when the model is exported")
    alike = alike or not (is_lowered(re) and is_lowered(im))
    re, im = _full(e, re, im), _full(e, im, re)
    if not alike and not equal_dims(re.dims, im.dims):  # a part may come from one operand only, before broadcasting
        dims = broadcast_dims([re.dims, im.dims])
        re, im = (e.op("Expand", a, e.shape_of(b), dims=dims) for a, b in ((re, im), (im, re)))
    return e.join(re, im)


def _full(e: Emitter, part: Any, other: Any) -> Any:
    """A part that is no tensor yet: zeros, or one number everywhere."""
    if is_lowered(part):
        return part
    dtype = other.dtype
    if other.dims is not None and all(isinstance(d, int) for d in other.dims):
        return e.constant(np.full(other.dims, part or 0, dtype.numpy))
    return e.op("Expand", e.scalar(part or 0, dtype), e.shape_of(other), dims=other.dims)


# -- operators that treat both parts alike -----------------------------------------------------------------------------

#: Arguments whose elements go into the result; in the imaginary part of a call real ones stand for zeros.
_VALUES = frozenset(("self", "tensors", "values", "src", "source", "value", "other", "input"))


def _part(e: Emitter, v: Any, index: int, is_value: bool) -> Any:
    if isinstance(v, list | tuple) and any(map(_is_complex, v)):
        return [_part(e, x, index, True) for x in v]
    if isinstance(v, complex):
        return (v.real, v.imag)[index]
    if _is_complex(v):
        parts = e.parts(v)
        if index:
            e.shaped_like[parts[1].root] = parts[0]
        return parts[index]
    if not is_value or index == 0 or v is None or isinstance(v, str):
        return v
    if is_lowered(v):
        return _full(e, None, v)
    return 0.0 if isinstance(v, int | float) else v


def _of_part(e: Emitter, call: LoweredCall, index: int) -> LoweredCall:
    """The call on real parts (0) or on imaginary ones (1)."""
    names = [a.name for a in call.schema.arguments]
    args = {n: _part(e, call[n], index, n in _VALUES) for n in names}
    if isinstance(args.get("dtype"), int) and not isinstance(args["dtype"], bool):
        args["dtype"] = real_dtype(by_code(args["dtype"])).code
    results = [
        TensorType(real_dtype(r.dtype), r.dims) if isinstance(r, TensorType) and r.dtype is not None else r
        for r in call.results
    ]
    return _View(call.schema, args, results)


def _by_parts(e: Emitter, call: LoweredCall, o: Operator) -> Any:
    known, e.shaped_like = e.shaped_like, {}
    made = [lower_functional(e, _of_part(e, call, k), o) for k in (0, 1)]
    e.shaped_like = known
    if isinstance(made[0], list | tuple):
        kind = type(made[0])
        return kind(joined(e, Pair(a, b), alike=True) for a, b in zip(*made, strict=True))
    if getattr(made[0], "is_list", False):
        e.unsupported("how many complex tensors there are must be known when the model is exported")
    for m in made:
        if m.dims is None and isinstance(call.results[0], TensorType):
            m.dims = call.results[0].dims
    return joined(e, Pair(made[0], made[1]), alike=True)


def _created(e: Emitter, call: LoweredCall, o: Operator) -> Any:
    """A new tensor of one number, or of zeros and ones."""
    given = [call[a.name] for a in call.schema.arguments]
    if not any(map(is_lowered, given)) and not any(is_lowered(x) for v in given if isinstance(v, list) for x in v):
        return e.constant(o.run(*given))
    made = lower_functional(e, _of_part(e, call, 0), o)
    wanted = result_of(call).dtype
    made.dims = result_of(call).dims if made.dims is None else made.dims
    if wanted is None or wanted.kind != "c":
        return made
    fill = call["fill_value"] if "fill_value" in call.schema.index else None
    im = lower_functional(e, _of_part(e, call, 1), o) if isinstance(fill, complex) else None
    real = real_dtype(wanted)
    return joined(e, Pair(e.cast(made, real), im if im is None else e.cast(im, real)))


def _names(text: str) -> frozenset[str]:
    return frozenset(f"aten::{n}" for n in text.split())


#: Operators that only ask for sizes.
_OF_SHAPES = _names("size numel dim len sym_size sym_numel ndimension")

#: Operators that move elements, or add them up.
_PART_BY_PART = _names(
    "reshape view view_as reshape_as flatten unflatten ravel squeeze unsqueeze transpose t permute movedim moveaxis swapaxes "
    "swapdims numpy_T matrix_H mT expand expand_as broadcast_to repeat tile contiguous clone detach alias select slice narrow index "
    "index_select gather take take_along_dim roll flip fliplr flipud rot90 cat concat concatenate stack hstack vstack dstack "
    "column_stack chunk split split_with_sizes unbind unfold diagonal diag diag_embed diagflat tril triu masked_select masked_fill "
    "where constant_pad_nd pad sum mean cumsum neg negative positive repeat_interleave zeros_like empty_like zero_ zero new_zeros "
    "new_empty select_scatter slice_scatter diagonal_scatter index_put index_put_ _index_put_impl_ index_copy index_add index_fill "
    "scatter scatter_add masked_scatter trace fft_fftshift fft_ifftshift atleast_1d atleast_2d atleast_3d lift_fresh diff tensor_split "
    "unsafe_split unsafe_chunk hsplit vsplit dsplit block_diag copy cpu resolve_neg"
)

#: Operators that make tensors out of sizes.
_CREATES = _names(
    "zeros ones full eye empty arange linspace ones_like full_like new_ones new_full rand randn rand_like scalar_tensor tensor as_tensor"
)


# -- arithmetic --------------------------------------------------------------------------------------------------------


def _pair(v: Any) -> Pair:
    return v if isinstance(v, Pair) else Pair(v, None)


def _times(t: Any, a: Any, b: Any) -> Any:
    if a is None or b is None:
        return None
    return t.mul(a, b) if is_lowered(a) else t.mul(b, a) if is_lowered(b) else a * b


def _plus(t: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    if b is None:
        return a
    b = b if alpha == 1 else _times(t, b, alpha)
    if a is None:
        return b
    return t.add(a, b) if is_lowered(a) else t.add(b, a) if is_lowered(b) else a + b


def _less(t: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    if b is None:
        return a
    b = b if alpha == 1 else _times(t, b, alpha)
    if a is None:
        return t.neg(b) if is_lowered(b) else -b
    return t.sub(a, b) if is_lowered(a) else t.rsub(b, a) if is_lowered(b) else a - b


@on_pairs("add")
def add(t: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = _pair(a), _pair(b)
    return Pair(_plus(t, a.re, b.re, alpha), _plus(t, a.im, b.im, alpha))


@on_pairs("sub", "subtract")
def sub(t: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = _pair(a), _pair(b)
    return Pair(_less(t, a.re, b.re, alpha), _less(t, a.im, b.im, alpha))


@on_pairs("rsub")
def rsub(t: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    return sub(t, b, a, alpha)


@on_pairs("mul", "multiply")
def mul(t: Any, a: Any, b: Any) -> Any:
    a, b = _pair(a), _pair(b)
    re = _less(t, _times(t, a.re, b.re), _times(t, a.im, b.im))
    return Pair(re, _plus(t, _times(t, a.re, b.im), _times(t, a.im, b.re)))


@on_pairs("square")
def square(t: Any, a: Any) -> Any:
    return mul(t, a, a)


def _squared(t: Any, a: Pair) -> Any:
    return _plus(t, _times(t, a.re, a.re), _times(t, a.im, a.im))


@on_pairs("reciprocal")
def reciprocal(t: Any, a: Pair) -> Any:
    return div(t, 1.0, a)


@on_pairs("div", "divide", "true_divide")
def div(t: Any, a: Any, b: Any, rounding_mode: Any = None) -> Any:
    if rounding_mode is not None:
        t.refuse("complex numbers are not divided with rounding")
    a, b = _pair(a), _pair(b)
    if b.im is None:
        return Pair(
            *(
                None if p is None else t.div(p, b.re) if is_lowered(p) else t.mul(t.reciprocal(b.re), p)
                for p in (a.re, a.im)
            )
        )
    if not is_lowered(b.re) and not is_lowered(b.im):
        inverse = 1 / complex(b.re or 0, b.im or 0)
        return mul(t, a, Pair(inverse.real or None, inverse.imag or None))
    size = _squared(t, b)
    made = mul(t, a, Pair(b.re, _times(t, b.im, -1)))
    return Pair(*(None if p is None else t.div(p, size) for p in (made.re, made.im)))


@on_pairs("pow", "float_power")
def power(t: Any, a: Any, b: Any) -> Any:
    if isinstance(b, int | float) and float(b).is_integer() and 0 <= b <= 8:
        if b == 0:
            return Pair(t.ones_like(_pair(a).re), None)
        made = _pair(a)
        for _ in range(int(b) - 1):
            made = mul(t, made, a)
        return made
    if not isinstance(a, Pair) and not is_lowered(a):
        logs = cmath.log(a)
        return exp(t, mul(t, b, Pair(logs.real or None, logs.imag or None)))
    return exp(t, mul(t, log(t, _pair(a)), b))


@on_pairs("abs", "absolute")
def absolute(t: Any, a: Pair) -> Any:
    if a.whole is not None and a.whole.dtype.name == "complex64":  # whose squares are in the range of doubles
        size = reduce_axes(t.e, "ReduceL2", t.e.cast(t.e.pairs(a.whole), by_name("float64")), [-1], False)
        size.dims = a.whole.dims
        return t.e.cast(size, by_name("float32"))
    # hypot: neither overflow nor underflow of the squares
    re, im = t.abs(a.re), t.abs(a.im)
    large, small = t.maximum(re, im), t.minimum(re, im)
    ratio = t.div(small, t.masked_fill(large, t.eq(large, 0), 1.0))
    ratio = t.masked_fill(ratio, t.isinf(small), 1.0)
    return t.mul(large, t.sqrt(t.add(t.mul(ratio, ratio), 1.0)))


@on_pairs("angle")
def angle(t: Any, a: Pair) -> Any:
    return t.atan2(a.im, a.re)


@on_pairs("sgn")
def sgn(t: Any, a: Pair) -> Any:
    size = absolute(t, a)
    size = t.masked_fill(size, t.eq(size, 0), 1.0)
    return Pair(t.div(a.re, size), t.div(a.im, size))


@on_pairs("exp")
def exp(t: Any, a: Any) -> Any:
    a = _pair(a)
    if a.im is None:
        return Pair(t.exp(a.re), None)
    parts = [t.cos(a.im), t.sin(a.im)]
    if a.re is None:
        return Pair(*parts)
    size = t.exp(a.re) if is_lowered(a.re) else float(cmath.exp(a.re).real)
    return Pair(*(t.mul(p, size) for p in parts))


@on_pairs("log")
def log(t: Any, a: Pair) -> Any:
    if a.im is None:
        return Pair(t.log(t.abs(a.re)), t.angle(a.re))
    return Pair(t.log(absolute(t, a)), t.atan2(a.im, a.re))


@on_pairs("sqrt")
def sqrt(t: Any, a: Pair) -> Any:
    size = absolute(t, a)
    re = t.sqrt(t.div(t.clamp_min(t.add(size, a.re), 0.0), 2.0))
    im = t.sqrt(t.div(t.clamp_min(t.sub(size, a.re), 0.0), 2.0))
    return Pair(re, t.where(t.lt(a.im, 0), t.neg(im), im))


@on_pairs("eq")
def equal(t: Any, a: Any, b: Any) -> Any:
    a, b = _pair(a), _pair(b)
    return t.logical_and(*(t.eq(x, y) if is_lowered(x) else t.eq(y, x) for x, y in _both(a, b)))


@on_pairs("ne", "not_equal")
def not_equal(t: Any, a: Any, b: Any) -> Any:
    return t.logical_not(equal(t, a, b))


def _both(a: Pair, b: Pair) -> list[tuple[Any, Any]]:
    return [(0.0 if x is None else x, 0.0 if y is None else y) for x, y in ((a.re, b.re), (a.im, b.im))]


for _name in ("isnan", "isinf"):

    @on_pairs(_name)
    def either(t: Any, a: Pair, name: str = _name) -> Any:
        return t.logical_or(getattr(t, name)(a.re), getattr(t, name)(a.im))


@on_pairs("isfinite")
def finite(t: Any, a: Pair) -> Any:
    return t.logical_and(t.isfinite(a.re), t.isfinite(a.im))


@on_pairs("conj", "_conj", "conj_physical", "adjoint")
def conj(t: Any, a: Any) -> Any:
    return Pair(a.re, None if a.im is None else t.neg(a.im))


@on_pairs("resolve_conj")
def itself(t: Any, a: Any) -> Any:
    return a


# -- products ----------------------------------------------------------------------------------------------------------

for _name in ("matmul", "mm", "bmm", "mv", "dot", "outer", "ger", "linear", "kron", "inner"):

    @on_pairs(_name)
    def product(t: Any, a: Any, b: Any, *bias: Any, name: str = _name) -> Any:
        f = getattr(t, name)
        a, b = _pair(a), _pair(b)

        def times(x: Any, y: Any) -> Any:
            return None if x is None or y is None else f(x, y)

        made = Pair(_less(t, times(a.re, b.re), times(a.im, b.im)), _plus(t, times(a.re, b.im), times(a.im, b.re)))
        return add(t, made, bias[0]) if bias and bias[0] is not None else made


@on_pairs("vdot", "linalg_vecdot")
def vdot(t: Any, a: Any, b: Any, dim: int | None = None) -> Any:
    made = mul(t, conj(t, _pair(a)), b)
    return Pair(*(None if p is None else t.sum(p) if dim is None else t.sum(p, [dim]) for p in (made.re, made.im)))


@on_pairs("einsum")
def einsum(t: Any, equation: str, tensors: list[Any], path: Any = None) -> Any:
    if len(tensors) > 2:
        t.refuse("einsum of complex numbers takes two tensors at most")
    if len(tensors) == 1:
        return Pair(*(t.einsum(equation, [p]) for p in (tensors[0].re, tensors[0].im)))
    a, b = map(_pair, tensors)

    def times(x: Any, y: Any) -> Any:
        return None if x is None or y is None else t.einsum(equation, [x, y])

    return Pair(_less(t, times(a.re, b.re), times(a.im, b.im)), _plus(t, times(a.re, b.im), times(a.im, b.re)))


for _name in ("norm", "linalg_norm", "linalg_vector_norm"):

    @on_pairs(_name)
    def norm(t: Any, a: Pair, *rest: Any, name: str = _name) -> Any:
        return getattr(t, name)(absolute(t, a), *rest)


# -- element types -----------------------------------------------------------------------------------------------------


@on_pairs("to", "type_as", "double", "float", "cfloat", "cdouble")
def to(t: Any, a: Any, *rest: Any) -> Any:
    wanted = t.wanted
    if wanted is None:
        t.refuse("the element type must be known when the model is exported")
    code = real_dtype(wanted).code
    a = _pair(a)
    parts = [None if p is None else t.to(p, code) for p in (a.re, a.im)]
    return Pair(*parts) if wanted.kind == "c" else parts[0]

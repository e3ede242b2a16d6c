"""Random tensors. The numbers come from ``bridge.ir.random_source``; ONNX gets the distribution, not the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_name, by_numpy, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, FLOAT32, INT64, is_lowered, known_rank, result_of, shape_vector, typed
from bridge.ir.random_source import source
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, broadcast, dims_from_list, dtype_argument, like_self, result

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"
_MEMORY = "MemoryFormat? memory_format=None"


def _types(default: DType | None = None) -> Any:
    def rule(call: Call) -> Results:
        return result(dtype_argument(call, default or default_dtype()), dims_from_list(call.known("size")))

    return rule


def _like_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(dtype_argument(call, t.dtype), t.dims)


def _dtype(code: int | None, default: DType | None = None) -> DType:
    return (default or default_dtype()) if code is None else by_code(code)


def random_node(e: Emitter, op_type: str, shape: Any, dtype: DType, **attributes: Any) -> Any:
    """RandomUniformLike or RandomNormalLike of a shape that may be known at run time only."""
    compute = dtype if dtype.name in ("float32", "float64") else FLOAT32
    if isinstance(shape, list | tuple) and all(isinstance(s, int) for s in shape):
        out = e.op(op_type, dtype=compute, shape=list(shape), dtype_=compute.onnx, **attributes)
    else:
        like = e.op("ConstantOfShape", shape_vector(e, shape), dtype=FLOAT32)
        out = e.op(f"{op_type}Like", like, dtype=compute, dtype_=compute.onnx, **attributes)
    return e.cast(out, dtype)


def _lower(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = result_of(call).dtype
        assert dtype is not None
        shape = call["size"] if "size" in call.schema.index else e.shape_of(call["self"])
        return random_node(e, op_type, shape, dtype)

    return lower


def _sizes(size: Any) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _uniform(size: Any, generator: Any, dtype: Any) -> Array:
    return source().uniform(_sizes(size), _dtype(dtype), 0.0, 1.0, generator)


def _normal(size: Any, generator: Any, dtype: Any) -> Array:
    return source().normal(_sizes(size), _dtype(dtype), 0.0, 1.0, generator)


for _name, _make, _node in (("rand", _uniform, "RandomUniform"), ("randn", _normal, "RandomNormal")):
    declare(
        f"aten::{_name}(SymInt[] size, *, {_OPTIONS}) -> Tensor",
        lambda size, dtype, *_, make=_make: make(size, None, dtype),
        types=_types(),
        onnx=_lower(_node),
        side_effect=True,
    )
    declare(
        f"aten::{_name}.generator(SymInt[] size, *, Generator? generator, {_OPTIONS}) -> Tensor",
        lambda size, generator, dtype, *_, make=_make: make(size, generator, dtype),
        types=_types(),
        onnx=_lower(_node),
        side_effect=True,
    )
    declare(
        f"aten::{_name}_like(Tensor self, *, {_OPTIONS}, {_MEMORY}) -> Tensor",
        lambda self, dtype, *_, make=_make: make(
            self.shape, None, by_numpy(self.dtype).code if dtype is None else dtype
        ),
        types=_like_types,
        onnx=_lower(_node),
        side_effect=True,
    )


def _integers(low: int, high: int, size: Any, generator: Any, dtype: Any) -> Array:
    return source().integers(_sizes(size), _dtype(dtype, by_name("int64")), low, high, generator)


def _lower_randint(e: Emitter, call: LoweredCall) -> Any:
    dtype = result_of(call).dtype
    assert dtype is not None
    low = call["low"] if "low" in call.schema.index else 0
    high = call["high"]
    if not isinstance(low, int) or not isinstance(high, int):
        e.unsupported("randint needs bounds that are known when the model is exported")
    shape = call["size"] if "size" in call.schema.index else e.shape_of(call["self"])
    uniform = random_node(e, "RandomUniform", shape, FLOAT32, low=float(low), high=float(high))
    whole = typed(e, "Floor", FLOAT32, uniform)
    return e.cast(e.cast(whole, INT64), dtype)


_RANDINT = {"types": _types(by_name("int64")), "onnx": _lower_randint, "side_effect": True}
declare(
    f"aten::randint(SymInt high, SymInt[] size, *, ScalarType? dtype=4, {_OPTIONS.partition(', ')[2]}) -> Tensor",
    lambda high, size, dtype, *_: _integers(0, high, size, None, dtype),
    **_RANDINT,
)
declare(
    f"aten::randint.generator(SymInt high, SymInt[] size, *, Generator? generator, ScalarType? dtype=4, {_OPTIONS.partition(', ')[2]}) -> Tensor",
    lambda high, size, generator, dtype, *_: _integers(0, high, size, generator, dtype),
    **_RANDINT,
)
declare(
    f"aten::randint.low(SymInt low, SymInt high, SymInt[] size, *, ScalarType? dtype=4, {_OPTIONS.partition(', ')[2]}) -> Tensor",
    lambda low, high, size, dtype, *_: _integers(low, high, size, None, dtype),
    **_RANDINT,
)
declare(
    f"aten::randint.low_generator(SymInt low, SymInt high, SymInt[] size, *, Generator? generator, ScalarType? dtype=4, {_OPTIONS.partition(', ')[2]}) -> Tensor",
    lambda low, high, size, generator, dtype, *_: _integers(low, high, size, generator, dtype),
    **_RANDINT,
)


def _declare_like(name: str, low: int) -> None:
    head = "int low, int high" if low else "int high"
    full = f"aten::{name}.low_dtype" if low else f"aten::{name}"
    declare(
        f"{full}(Tensor self, {head.replace('int', 'SymInt')}, *, {_OPTIONS}, {_MEMORY}) -> Tensor",
        (lambda x, a, b, dtype, *_: _integers(a, b, x.shape, None, by_numpy(x.dtype).code if dtype is None else dtype))
        if low
        else (
            lambda x, b, dtype, *_: _integers(0, b, x.shape, None, by_numpy(x.dtype).code if dtype is None else dtype)
        ),
        types=_like_types,
        onnx=_lower_randint,
        side_effect=True,
    )


_declare_like("randint_like", 0)
_declare_like("randint_like", 1)


def _permutation(n: int, generator: Any, dtype: Any) -> Array:
    return source().permutation(n, generator).astype(_dtype(dtype, by_name("int64")).numpy)


_RANDPERM: dict[str, Any] = {
    "types": lambda call: result(dtype_argument(call, by_name("int64")), dims_from_list([call.known("n")])),
    "onnx": unsupported("ONNX has no random permutation"),
    "side_effect": True,
}
_LONG = f"ScalarType? dtype=4, {_OPTIONS.partition(', ')[2]}"
declare(
    f"aten::randperm(SymInt n, *, {_LONG}) -> Tensor", lambda n, dtype, *_: _permutation(n, None, dtype), **_RANDPERM
)
declare(
    f"aten::randperm.generator(SymInt n, *, Generator? generator, {_LONG}) -> Tensor",
    lambda n, g, dtype, *_: _permutation(n, g, dtype),
    **_RANDPERM,
)

# -- filled in place -----------------------------------------------------------------------------------------------------


def _filled(self: Array, values: Array) -> Array:
    self[...] = values
    return self


def _floating(x: Array) -> DType:
    d = by_numpy(x.dtype)
    return d if d.kind == "f" else default_dtype()


def _lower_fill(op_type: str, *names: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        attributes = {onnx: call[name] for name, onnx in (n.split(":") for n in names)}
        if any(is_lowered(v) for v in attributes.values()):
            e.unsupported("random numbers need bounds that are known when the model is exported")
        return random_node(e, op_type, e.shape_of(x), x.dtype, **{k: float(v) for k, v in attributes.items()})

    return lower


def _no_gradient(ctx: Any, g: Any) -> Any:
    return (ctx.op("aten::zeros_like", g),)


_FILL: dict[str, Any] = {"types": like_self, "side_effect": True, "grad": _no_gradient}
declare(
    "aten::uniform_(Tensor(a!) self, float from=0., float to=1., *, Generator? generator=None) -> Tensor(a!)",
    lambda x, low, high, g: _filled(x, source().uniform(x.shape, _floating(x), low, high, g)),
    onnx=_lower_fill("RandomUniform", "from:low", "to:high"),
    **_FILL,
)
declare(
    "aten::normal_(Tensor(a!) self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor(a!)",
    lambda x, mean, std, g: _filled(x, source().normal(x.shape, _floating(x), mean, std, g)),
    onnx=_lower_fill("RandomNormal", "mean:mean", "std:scale"),
    **_FILL,
)


def _random_fill(x: Array, low: int, high: int | None, generator: Any) -> Array:
    d = by_numpy(x.dtype)
    limit = (
        (1 << (d.itemsize * 8 - d.is_signed)) if d.kind == "i" else {2: 1 << 11, 4: 1 << 24}.get(d.itemsize, 1 << 53)
    )
    return _filled(x, source().integers(x.shape, d, low, limit if high is None else high, generator))


_NO_FILL = unsupported("random_ is not exported")
declare(
    "aten::random_.from(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)",
    _random_fill,
    onnx=_NO_FILL,
    **_FILL,
)
declare(
    "aten::random_.to(Tensor(a!) self, int to, *, Generator? generator=None) -> Tensor(a!)",
    lambda x, to, g: _random_fill(x, 0, to, g),
    onnx=_NO_FILL,
    **_FILL,
)
declare(
    "aten::random_(Tensor(a!) self, *, Generator? generator=None) -> Tensor(a!)",
    lambda x, g: _random_fill(x, 0, None, g),
    onnx=_NO_FILL,
    **_FILL,
)


def _normal_of(mean: Any, std: Any, generator: Any) -> Array:
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    dtype = by_numpy((mean if isinstance(mean, np.ndarray) else std).dtype)
    return np.asarray(source().normal(shape, dtype, 0.0, 1.0, generator) * std + mean, dtype.numpy)


def _normal_types(call: Call) -> Results:
    return broadcast(call)


def _lower_normal(e: Emitter, call: LoweredCall) -> Any:
    mean, std = call["mean"], call["std"]
    shaped = mean if is_lowered(mean) else std
    t = shaped.dtype
    noise = random_node(e, "RandomNormal", e.shape_of(shaped), t)
    return typed(e, "Add", t, typed(e, "Mul", t, noise, std), mean)


for _overload, _mean, _std in (
    ("Tensor_float", "Tensor mean", "float std=1."),
    ("float_Tensor", "float mean", "Tensor std"),
    ("Tensor_Tensor", "Tensor mean", "Tensor std"),
):
    declare(
        f"aten::normal.{_overload}({_mean}, {_std}, *, Generator? generator=None) -> Tensor",
        _normal_of,
        types=_normal_types,
        onnx=_lower_normal,
        side_effect=True,
    )


def _bernoulli(p: Array, generator: Any = None) -> Array:
    return source().bernoulli(p, generator).astype(p.dtype)


def _lower_bernoulli(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    uniform = random_node(e, "RandomUniform", e.shape_of(x), FLOAT32)
    p = call["p"] if call.schema.overload == "p" else x
    return e.cast(typed(e, "Less", FLOAT32, uniform, p, result=BOOL), x.dtype)


declare(
    "aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor",
    _bernoulli,
    types=like_self,
    onnx=_lower_bernoulli,
    grad=_no_gradient,
    side_effect=True,
)
declare(
    "aten::bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
    lambda x, p, g: source().bernoulli(np.full(x.shape, p), g).astype(x.dtype),
    types=like_self,
    onnx=_lower_bernoulli,
    grad=_no_gradient,
    grad_name="BernoulliBackward1",
    side_effect=True,
)


def _check_weights(p: Array, n: int, replacement: bool) -> None:
    if p.ndim not in (1, 2):
        raise BridgeError("prob_dist must be 1 or 2 dim")
    if p.dtype.kind != "f":
        raise BridgeError(f"multinomial only supports floating-point dtypes for input, got: {by_numpy(p.dtype).label}")
    if n <= 0:
        raise BridgeError("cannot sample n_sample <= 0 samples")
    if not replacement and n > p.shape[-1]:
        raise BridgeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if p.shape[-1] > 2**24:
        raise BridgeError("number of categories cannot exceed 2^24")
    if not replacement or n == 1:
        if not (np.isfinite(p) & (p >= 0)).all():
            raise BridgeError("probability tensor contains either `inf`, `nan` or element < 0")
    elif (p < 0).any():
        raise BridgeError("invalid multinomial distribution (encountering probability entry < 0)")
    elif not np.isfinite(p).all():
        raise BridgeError("invalid multinomial distribution (encountering probability entry = infinity or NaN)")
    if (p.sum(-1) <= 0).any():
        raise BridgeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _multinomial(self: Array, n: int, replacement: bool = False, generator: Any = None) -> Array:
    """Indices drawn by weight: with replacement along the running sum, without by the largest weight / exponential."""
    _check_weights(self, n, replacement)
    rows = np.atleast_2d(self).astype(np.float64)
    if replacement:
        total = np.cumsum(rows, axis=1)
        u = source().uniform((rows.shape[0], n), by_name("float64"), 0.0, 1.0, generator) * total[:, -1:]
        out = np.stack([np.searchsorted(t, v, side="right") for t, v in zip(total, u, strict=True)])
    else:
        u = source().uniform(rows.shape, by_name("float64"), 0.0, 1.0, generator)
        key = rows / -np.log(np.maximum(u, np.finfo(np.float64).tiny))
        out = np.argsort(-key, axis=1, kind="stable")[:, :n]
    return out.astype(np.int64).reshape(*self.shape[:-1], n)


def _multinomial_types(call: Call) -> Results:
    t, n = call.tensor("self"), call.known("num_samples")
    return result(by_name("int64"), None if t.dims is None else (*t.dims[:-1], n if isinstance(n, int) else None))


def _lower_multinomial(e: Emitter, call: LoweredCall) -> Any:
    """The largest weight / exponential: one after the other without replacement, anew for every draw with it."""
    p, n = call["self"], call["num_samples"]
    rank = known_rank(e, p, "multinomial")
    if p.dtype.kind != "f":
        e.unsupported(f"multinomial only supports floating-point dtypes for input, got: {p.dtype.label}")
    if rank not in (1, 2):
        e.unsupported("prob_dist must be 1 or 2 dim")
    if isinstance(n, int) and n <= 0:
        e.unsupported("cannot sample n_sample <= 0 samples")
    if is_lowered(call["replacement"]):
        e.unsupported("whether multinomial replaces must be known when the model is exported")
    wide = e.cast(p, e.constant(np.float32(0)).dtype)
    shape = e.shape_of(wide)
    again = call["replacement"] and n != 1
    if again:
        wide = e.op("Unsqueeze", wide, np.asarray([rank - 1], np.int64), dims=None)
        lead = e.op("Slice", shape, np.asarray([0]), np.asarray([rank - 1]), np.asarray([0]), dims=(rank - 1,))
        classes = e.op("Slice", shape, np.asarray([rank - 1]), np.asarray([rank]), np.asarray([0]), dims=(1,))
        shape = e.op("Concat", lead, e.ints([n]), classes, axis=0, dims=(rank + 1,))
    drawn = e.op("Neg", e.op("Log", random_node(e, "RandomUniform", shape, wide.dtype)))
    key = e.op("Div", wide, drawn, dims=None)
    if again:
        return e.op("ArgMax", key, axis=-1, keepdims=0, dtype=INT64, dims=(None,) * rank)
    _, index = e.op("TopK", key, e.ints([n]), axis=-1, outputs=2, dtype=[wide.dtype, INT64])
    return index


def _exponential(x: Array, rate: float, generator: Any) -> Array:
    return _filled(x, -np.log1p(-source().uniform(x.shape, by_name("float64"), 0.0, 1.0, generator)) / rate)


def _lower_exponential(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if is_lowered(call["lambd"]):
        e.unsupported("random numbers need a rate that is known when the model is exported")
    u = random_node(e, "RandomUniform", e.shape_of(x), x.dtype, low=1e-7, high=1.0)
    return e.op("Div", e.op("Log", u), e.scalar(-call["lambd"], u.dtype))


declare(
    "aten::exponential_(Tensor(a!) self, float lambd=1., *, Generator? generator=None) -> Tensor(a!)",
    _exponential,
    onnx=_lower_exponential,
    **_FILL,
)
declare(
    "aten::multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
    _multinomial,
    types=_multinomial_types,
    onnx=_lower_multinomial,
    side_effect=True,
)

__all__ = ["random_node"]

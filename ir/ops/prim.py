"""What a program asks of its values: element type, device, identity, None; and the operators without a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.ops._declare import declare
from bridge.ir.ops._samples import f4, i8, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results
from bridge.ir.types import EnumValue, OptionalType, Type

# -- tensors -----------------------------------------------------------------------------------------------------------


def _known(value: Any) -> Any:
    return lambda e, call: value


declare(
    "prim::dtype(Tensor a) -> int",
    lambda a: by_numpy(a.dtype).code,
    onnx=lambda e, call: e.dtype_of(call["a"]).code,
    samples=of((f4(2),), (i8(2),)),
)
declare("prim::device(Tensor a) -> Device", lambda a: "cpu", onnx=_known("cpu"))
declare("prim::layout(Tensor a) -> Layout", lambda a: 0, onnx=_known(0))
declare(
    "prim::data(Tensor(a) a) -> Tensor(a)",
    lambda a: a[...],
    types=lambda call: call.tensor("a"),
    onnx=lambda e, call: e.op("Identity", call["a"]),
    samples=of((f4(2),)),
)
declare("prim::requires_grad(Tensor a) -> bool", lambda a: False, onnx=_known(False))
_TAPE = "bool? retain_graph=None, bool create_graph=False"
for _schema in (
    f"backward(Tensor self, Tensor? gradient=None, {_TAPE}) -> ()",
    f"backward.TensorList(Tensor[] tensors, Tensor?[]? grad_tensors=None, {_TAPE}) -> ()",
    f"grad(Tensor[] outputs, Tensor[] inputs, Tensor?[]? grad_outputs=None, {_TAPE}, bool allow_unused=False) -> Tensor?[]",
):
    declare(f"aten::{_schema}", None, onnx=unsupported("gradients are not exported"), side_effect=True)
declare("aten::is_leaf(Tensor self) -> bool", lambda a: True, onnx=unsupported("gradients are not exported"))
declare("prim::grad(Tensor a) -> Tensor(*)", None, onnx=unsupported("gradients are not exported"))
declare(
    "prim::itemsize(Tensor a) -> int",
    lambda a: a.itemsize,
    onnx=lambda e, call: e.dtype_of(call["a"]).itemsize,
    samples=of((f4(2),)),
)
declare(
    "prim::nbytes(Tensor a) -> int",
    lambda a: a.nbytes,
    onnx=unsupported("nbytes is not exported"),
    samples=of((f4(2),)),
)
declare("prim::name(Tensor a) -> str?", lambda a: None, onnx=_known(None))
declare("prim::is_cpu(Tensor a) -> bool", lambda a: True, onnx=_known(True))
for _name in "cuda xla xpu sparse sparse_csr mkldnn quantized meta mps mtia ipu maia vulkan nested".split():
    declare(f"prim::is_{_name}(Tensor a) -> bool", lambda a: False, onnx=_known(False))
declare(
    "prim::index(Device self) -> int?",
    lambda d: int(str(d).partition(":")[2]) if ":" in str(d) else None,
    onnx=lambda e, call: int(call["self"].partition(":")[2]) if ":" in call["self"] else None,
)
declare(
    "prim::type(Device self) -> str",
    lambda d: str(d).partition(":")[0],
    onnx=lambda e, call: call["self"].partition(":")[0],
)
declare("aten::device(str a) -> Device", lambda a: a, onnx=lambda e, call: call["a"])
declare(
    "aten::device.with_index(str type, int index) -> Device",
    lambda t, i: f"{t}:{i}",
    onnx=lambda e, call: f"{call['type']}:{call['index']}",
)
declare("aten::is_grad_enabled() -> bool", lambda: False, onnx=_known(False))
declare("aten::set_grad_enabled(bool val) -> ()", lambda v: None, onnx=_known(None), side_effect=True)
declare("aten::is_scripting() -> bool", lambda: True, onnx=_known(True))
declare("aten::_get_tracing_state() -> bool", lambda: False, onnx=_known(False))
declare("aten::has_torch_function(...) -> bool", lambda *a: False, onnx=_known(False))
declare("aten::is_autocast_enabled() -> bool", lambda: False, onnx=_known(False))
declare("aten::is_autocast_cpu_enabled() -> bool", lambda: False, onnx=_known(False))

# -- identity ----------------------------------------------------------------------------------------------------------


def _is(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(a == b) if isinstance(a, bool | int | float | str | EnumValue) and type(a) is type(b) else a is b


def _lower_is(negate: bool) -> Any:
    def lower(e: Any, call: Any) -> Any:
        a, b = call["self"], call["obj"]
        if a is not None and b is not None:
            e.unsupported("'is' is exported only where one side is None")
        return ((a is None) == (b is None)) != negate

    return lower


declare("aten::__is__(t1 self, t2 obj) -> bool", _is, onnx=_lower_is(False))
declare("aten::__isnot__(t1 self, t2 obj) -> bool", lambda a, b: not _is(a, b), onnx=_lower_is(True))
declare(
    "prim::id(AnyClassType? x) -> int",
    lambda x: 0 if x is None else id(x),
    onnx=unsupported("objects have no identity in ONNX"),
)


def _unwrapped(call: Call) -> Results:
    t: Type = call.types[call.schema.arguments[0].name]
    return t.element if isinstance(t, OptionalType) else t


def _unwrap(value: Any) -> Any:
    if value is None:
        raise BridgeError("Unwrapping null optional")
    return value


def _lower_unwrap(e: Any, call: Any) -> Any:
    value = call[call.schema.arguments[0].name]
    return value if value is not None else e.unsupported("this value is None here")


declare("aten::_unwrap_optional(t(a)? optional) -> t(a)", _unwrap, types=_unwrapped, onnx=_lower_unwrap)
declare("prim::unchecked_unwrap_optional(t(a)? optional) -> t(a)", lambda v: v, types=_unwrapped, onnx=_lower_unwrap)
declare("prim::unchecked_cast(t x) -> t", lambda v: v, onnx=lambda e, call: call["x"])
declare("prim::Uninitialized() -> Any", lambda: None, onnx=_known(None))
declare("aten::hash.generic(t value) -> int", lambda v: hash(v), onnx=unsupported("hashes are not exported"))
declare("prim::EnumName(AnyEnumType enum) -> str", lambda v: v.name, onnx=lambda e, call: call["enum"].name)
for _type in ("int", "float", "str"):
    declare(
        f"prim::EnumValue.{_type}(AnyEnumType enum) -> {_type}",
        lambda v: v.value,
        onnx=lambda e, call: call["enum"].value,
    )
for _what in ("aten::wait(Future(t) self) -> t", "prim::awaitable_wait(Await(t) self) -> t"):
    declare(_what, lambda v: v, onnx=lambda e, call: call["self"])
declare("prim::awaitable_nowait(t self) -> Await(t)", lambda v: v, onnx=lambda e, call: call["self"])

# -- effects -----------------------------------------------------------------------------------------------------------

_NO_EFFECTS = unsupported("ONNX programs print and warn nothing")


def _warn(message: str, stacklevel: int = 2) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)


declare("aten::warn(str message, int stacklevel=2) -> ()", _warn, onnx=_NO_EFFECTS, side_effect=True)
declare("prim::Print(...) -> ()", lambda *a: print(*a), onnx=_NO_EFFECTS, side_effect=True)
declare("aten::_print(str s) -> ()", print, onnx=_NO_EFFECTS, side_effect=True)
declare("prim::TimePoint() -> int", lambda: 0, onnx=unsupported("the time is not exported"), side_effect=True)
declare("prim::AddStatValue(str key, int val) -> ()", lambda k, v: None, onnx=_known(None), side_effect=True)
declare(
    "aten::_assert_async(Tensor self) -> ()",
    lambda x: _check(x),
    onnx=unsupported("assertions on data are not exported yet"),
    side_effect=True,
)


def _check(x: Any) -> None:
    if not np.all(x):
        raise RuntimeError("Expected Tensor with single nonzero value, but got zero")


def _seed(seed: int) -> None:
    from bridge.ir.random_source import source

    source().seed(seed)


declare("aten::manual_seed(int seed) -> ()", _seed, onnx=unsupported("random seeds are not exported"), side_effect=True)

"""One ONNX operator called eagerly: a model of one node, run on onnxruntime and kept for the next call alike."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import dtypes
from bridge.ir.errors import UnsupportedError
from bridge.ops.ortvalues import run_session

if TYPE_CHECKING:
    from bridge.ops.namespace import OnnxOp

__all__ = ["run_operator"]

_MOST = 256  # sessions kept
_sessions: OrderedDict[Any, Any] = OrderedDict()


def run_operator(op: OnnxOp, args: tuple[Any, ...], outputs: int, attributes: dict[str, Any]) -> Any:
    """Run the operator; see :class:`bridge.ops.OnnxOp`. Raises UnsupportedError when onnxruntime has no kernel for it."""
    if op.domain == "" and op.op_type in _IN_PYTHON:
        return _IN_PYTHON[op.op_type](*args, **attributes)
    arguments = [_argument(op, i, a) for i, a in enumerate(args)]
    fallback = next((a.dtype for a in arguments if isinstance(a, np.ndarray)), np.dtype(np.float32))
    kinds = [_kind(a, fallback) for a in arguments]
    key = (op.kind, op.version, tuple(kinds), outputs, repr(sorted((k, _key(v)) for k, v in attributes.items())))
    session = _session(op, key, kinds, outputs, attributes, last=False)
    if session is None:  # some operators are defined by a graph that depends on the shapes
        kinds = [(*k[:2], a.shape) if isinstance(a, np.ndarray) else k for k, a in zip(kinds, arguments, strict=True)]
        session = _session(op, (*key, tuple(kinds)), kinds, outputs, attributes, last=True)
    feeds = {f"i{i}": a for i, a in enumerate(arguments) if a is not None}
    results = tuple(_wrap(r) for r in run_session(session, feeds))
    return results[0] if outputs == 1 else results


def _session(op: OnnxOp, key: Any, kinds: list[Any], outputs: int, attributes: dict[str, Any], last: bool) -> Any:
    """The session for inputs of these kinds, opened if need be; None where it cannot be, unless this is the last try."""
    if key in _sessions:
        _sessions.move_to_end(key)
        return _sessions[key]
    try:
        session = _open(op, kinds, outputs, attributes)
    except UnsupportedError:
        if last:
            raise
        session = None
    _sessions[key] = session
    if len(_sessions) > _MOST:
        _sessions.popitem(last=False)
    return session


def _argument(op: OnnxOp, index: int, a: Any) -> Any:
    """An argument as an array, a list of arrays, a dict, or None."""
    from bridge.tensor import Tensor

    if a is None or isinstance(a, dict):
        return a
    if isinstance(a, Tensor):
        return a._array
    if isinstance(a, list | tuple) and all(isinstance(t, Tensor | dict) for t in a):
        return [t if isinstance(t, dict) else t._array for t in a]
    raise TypeError(f"{op.op_type}: input {index} is a {type(a).__name__}, not a Tensor (write torch.tensor({a!r}))")


def _kind(a: Any, fallback: np.dtype[Any]) -> Any:
    """What of an argument decides how its input is declared: element type and rank; a list's are its elements'."""
    if a is None:
        return None
    if isinstance(a, dict):
        k, v = next(iter(a.items()), (0, 0.0))
        return ("map", type(k), type(v))
    if isinstance(a, list):
        if a and isinstance(a[0], dict):
            return ("maps", *_kind(a[0], fallback)[1:])
        return ("list", a[0].dtype if a else fallback)
    return ("tensor", a.dtype, a.ndim)


def _wrap(result: Any) -> Any:
    from bridge.tensor import Tensor

    if isinstance(result, list):
        return [_wrap(r) for r in result]
    return Tensor._wrap(result) if isinstance(result, np.ndarray) else result


def _key(value: Any) -> Any:
    if hasattr(value, "__array__"):
        array = np.asarray(getattr(value, "_array", value))
        return (str(array.dtype), array.shape, array.tobytes())
    return value


def _open(op: OnnxOp, kinds: list[Any], outputs: int, attributes: dict[str, Any]) -> Any:
    import onnxruntime
    from onnx import ValueInfoProto, helper

    from bridge.exporters.onnx.foreign import onnx_attribute
    from bridge.ops.attributes import attribute_values
    from bridge.ops.schemas import default_version

    node = helper.make_node(
        op.op_type,
        ["" if k is None else f"i{i}" for i, k in enumerate(kinds)],
        [f"o{i}" for i in range(outputs)],
        domain=op.domain,
    )
    node.attribute.extend(onnx_attribute(k, v) for k, v in attribute_values(op, attributes).items())
    inputs = [_input(f"i{i}", *k) for i, k in enumerate(kinds) if k is not None]
    results = [ValueInfoProto(name=f"o{i}") for i in range(outputs)]
    opsets = [helper.make_opsetid(op.domain, op.version)]
    if op.domain:
        opsets.append(helper.make_opsetid("", op.versions.get("") or default_version("")))
    graph = helper.make_graph([node], "operator", inputs, results)
    ir = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=max(ir, 10))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # onnxruntime has a class of its own for each status code and no common one
        raise UnsupportedError(f"{op.kind} of opset {op.version} cannot run on onnxruntime: {_reason(e)}") from e


def _reason(error: Exception) -> str:
    """onnxruntime's message without its code."""
    text = " ".join(str(error).split())
    return text.partition(" : ")[2].partition(" : ")[2] or text


def _input(name: str, what: str, *of: Any) -> Any:
    from onnx import TensorProto, helper

    if what == "tensor":
        dims = of[1] if isinstance(of[1], tuple) else [None] * int(of[1])
        return helper.make_tensor_value_info(name, dtypes.by_numpy(of[0]).onnx, dims)
    if what == "list":
        return helper.make_tensor_sequence_value_info(name, dtypes.by_numpy(of[0]).onnx, None)
    key = TensorProto.STRING if of[0] is str else TensorProto.INT64
    value = {str: TensorProto.STRING, float: TensorProto.FLOAT}.get(of[1], TensorProto.INT64)
    t = helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, ()))
    return helper.make_value_info(name, helper.make_sequence_type_proto(t) if what == "maps" else t)


def _optional(value: Any = None, **_: Any) -> Any:
    return value


def _has_element(value: Any = None) -> Any:
    from bridge._creation import tensor

    return tensor(value is not None)


def _get_element(value: Any) -> Any:
    if value is None:
        raise ValueError("OptionalGetElement: the optional is empty")
    return value


#: None is an omitted input everywhere else; these operators are about it.
_IN_PYTHON = {"Optional": _optional, "OptionalHasElement": _has_element, "OptionalGetElement": _get_element}

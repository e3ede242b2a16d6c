"""Helpers of the operator table: samples, recorded results, single-operator ONNX models, comparison."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from bridge.exporters.onnx.emitter import OnnxEmitter
from bridge.exporters.onnx.operators import CallView
from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.tidy import tidy
from bridge.exporters.onnx.values import Run, RunList
from bridge.exporters.onnx.write import Writer, value_info
from bridge.ir import types as T
from bridge.ir.dtypes import by_name, by_numpy
from bridge.ir.ops._onnx import lower_functional
from bridge.ir.promotion import number_dtype
from bridge.ir.registry import Operator, Sample, all_operators
from bridge.ir.rules import UNKNOWN, Call

GOLDENS = Path(__file__).parent.parent / "goldens"


def operators(want: Callable[[Operator], bool] = lambda o: True) -> list[Operator]:
    """The declared operators that have samples."""
    return [o for o in all_operators() if o.samples is not None and want(o)]


def samples_of(o: Operator) -> list[list[Any]]:
    """The samples' arguments, complete and in schema order."""
    assert o.samples is not None
    return [o.complete(s.args, s.kwargs) for s in o.samples() if isinstance(s, Sample)]


def fresh(args: Sequence[Any]) -> list[Any]:
    """Deep copies, so that operators that write leave the samples alone."""
    return [copy.deepcopy(a) for a in args]


# -- recorded results --------------------------------------------------------------------------------------------------


class Goldens:
    """Results that torch gave: a JSON index and one compressed buffer with all tensors."""

    def __init__(self, index: dict[str, Any], data: bytes) -> None:
        self.index, self.data = index, data

    @classmethod
    def load(cls) -> Goldens:
        index = json.loads((GOLDENS / "operators.json").read_text())
        with np.load(GOLDENS / "operators.npz") as z:
            return cls(index, z["data"].tobytes())

    def value(self, packed: Any) -> Any:
        """A recorded value: tensors are dicts in the index."""
        if isinstance(packed, dict) and "t" in packed:
            dtype = by_name(packed["t"]).numpy
            shape = packed["s"]
            count = int(np.prod(shape, dtype=np.int64))
            return np.frombuffer(self.data, dtype, count, packed["o"]).reshape(shape)
        if isinstance(packed, dict) and "l" in packed:
            return [self.value(v) for v in packed["l"]]
        if isinstance(packed, dict) and "f" in packed:
            return float(packed["f"])
        if isinstance(packed, dict) and "c" in packed:
            return complex(*packed["c"])
        return packed


class Recorder:
    """Makes what :class:`Goldens` reads."""

    def __init__(self) -> None:
        self.index: dict[str, Any] = {}
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def pack(self, value: Any) -> Any:
        """A value in terms of the index; equal tensors are stored once."""
        if isinstance(value, np.ndarray):
            raw = np.ascontiguousarray(value).tobytes()
            at = self._known.get(raw)
            if at is None:
                self.data += b"\0" * (-len(self.data) % 8)
                at = self._known[raw] = len(self.data)
                self.data += raw
            return {"t": by_numpy(value.dtype).name, "s": list(value.shape), "o": at}
        if isinstance(value, list | tuple):
            return {"l": [self.pack(v) for v in value]}
        if isinstance(value, float):
            return {"f": repr(value)}
        if isinstance(value, complex):
            return {"c": [value.real, value.imag]}
        return value

    def save(self) -> None:
        lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in self.index.items()]
        (GOLDENS / "operators.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        np.savez_compressed(GOLDENS / "operators.npz", data=np.frombuffer(bytes(self.data), np.uint8))


_TOLERANCE = {"float64": (1e-9, 1e-11), "float32": (2e-5, 2e-6), "float16": (2e-3, 1e-3), "bfloat16": (2e-2, 1e-2)}


def same(found: Any, wanted: Any, where: str = "", loose: float = 1.0) -> None:
    """Assert equality: type, shape and element type exactly, floats within rounding."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray), f"{where}: {type(found).__name__} instead of an array"
        assert found.dtype == wanted.dtype, f"{where}: element type {found.dtype}, wanted {wanted.dtype}"
        assert found.shape == wanted.shape, f"{where}: shape {found.shape}, wanted {wanted.shape}"
        rtol, atol = _TOLERANCE.get(wanted.dtype.name, (0.0, 0.0))
        if wanted.dtype.kind in "fcV":
            np.testing.assert_allclose(
                found.astype(np.float64), wanted.astype(np.float64), rtol * loose, atol * loose, err_msg=where
            )
        else:
            np.testing.assert_array_equal(found, wanted, err_msg=where)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), f"{where}: {len(found)} values, wanted {len(wanted)}"
        for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
            same(f, w, f"{where}[{i}]", loose)
    elif isinstance(wanted, float):
        assert type(found) is float, f"{where}: {found!r} instead of a float"
        np.testing.assert_allclose(found, wanted, 1e-12 * loose, 1e-15 * loose, err_msg=where)
    elif isinstance(wanted, complex):
        np.testing.assert_allclose(found, wanted, 1e-12, err_msg=where)
    else:
        assert type(found) is type(wanted), f"{where}: {found!r}, wanted {wanted!r}"
        assert found == wanted, f"{where}: {found!r}, wanted {wanted!r}"


def cotangent(shape: Sequence[int], dtype: Any, key: str) -> np.ndarray[Any, Any]:
    """The gradient that flows into a result in the gradient tests."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    return np.asarray(rng.uniform(0.5, 1.5, tuple(shape))).astype(dtype)


# -- types -------------------------------------------------------------------------------------------------------------


def type_of(value: Any, dynamic: bool = False) -> T.Type:
    """The type that a compiler knows of a value; ``dynamic`` leaves the sizes of tensors open."""
    if isinstance(value, np.ndarray):
        return T.TensorType(by_numpy(value.dtype), [None] * value.ndim if dynamic else value.shape)
    simple: dict[type, T.Type] = {bool: T.BOOL, int: T.INT, float: T.FLOAT, str: T.STR, complex: T.COMPLEX}
    if isinstance(value, list):
        inside = [type_of(v, dynamic) for v in value]
        if any(isinstance(t, T.TensorType) for t in inside):
            return T.TupleType(*inside)
        return T.ListType(inside[0] if inside else T.INT)
    return simple.get(type(value), T.NONE)


def call_of(o: Operator, args: Sequence[Any], dynamic: bool = False, blind: bool = False) -> Call:
    """What the type rule sees; ``blind`` hides the values of all arguments."""
    names = [a.name for a in o.schema.arguments]
    types = {n: type_of(v, dynamic) for n, v in zip(names, args, strict=True)}
    known = {} if blind else {n: v for n, v in zip(names, args, strict=True) if not _has_array(v)}
    return Call(o.schema, types, known)


def _has_array(v: Any) -> bool:
    return isinstance(v, np.ndarray) or (isinstance(v, list) and any(_has_array(x) for x in v))


def result_types(o: Operator, call: Call) -> list[T.Type]:
    """What the type rule says, or the schema where there is none."""
    if o.types is None:
        return [r.type for r in o.schema.returns]
    found = o.types(call)
    return [found] if isinstance(found, T.Type) else list(found)


# -- ONNX --------------------------------------------------------------------------------------------------------------


class Model:
    """A model of one operator. ``feeds`` are its inputs; ``unpack`` puts its outputs together again."""

    def __init__(self, proto: onnx.ModelProto, feeds: dict[str, Any], unpack: Any) -> None:
        self.proto, self.feeds, self._unpack = proto, feeds, unpack

    def run(self) -> Any:
        if not self.proto.graph.output:  # everything was known when the model was made
            return self._unpack(iter(()))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        session = ort.InferenceSession(self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return self._unpack(iter(session.run(None, self.feeds)))


def model_of(o: Operator, args: Sequence[Any], opset: int, dynamic: bool) -> Model:
    """Lower one call. Tensors become inputs; ``dynamic`` leaves their sizes open and makes numbers inputs, too.

    Raises LoweringError where the lowering declines.
    """
    e = OnnxEmitter(opset)
    feeds: dict[str, Any] = {}
    inputs: list[Run] = []

    def give(value: Any, name: str, number: bool) -> Any:
        if isinstance(value, list):
            return [give(v, f"{name}{i}", False) for i, v in enumerate(value)]
        if isinstance(value, np.ndarray) or number:
            array = value if isinstance(value, np.ndarray) else np.asarray(value, _number(value))
            feeds[name] = array
            free = tuple(f"{name}_dim{i}" for i in range(array.ndim))  # as inputs of programs have them
            r = Run(by_numpy(array.dtype), free if dynamic else array.shape, name, fixed=True)
            inputs.append(r)
            return r
        return value

    values = {}
    for a, v in zip(o.schema.arguments, args, strict=True):
        values[a.name] = give(v, a.name, dynamic and a.type is T.NUMBER and isinstance(v, int | float))
    call = call_of(o, args, dynamic)
    for a, v in zip(o.schema.arguments, args, strict=True):
        if isinstance(values[a.name], Run) and not isinstance(v, np.ndarray):
            call.values.pop(a.name, None)  # type: ignore[attr-defined]
    results = result_types(o, call)
    made = lower_functional(e, CallView(o.schema, values, results), o)
    unpack, outputs = _outputs(e, made, results)
    body = Body(inputs, e.body.nodes, outputs)
    body.outputs = [v if isinstance(v, RunList) else e.identity(v) for v in outputs]
    tidy(body, opset, ())
    graph = onnx.GraphProto(name="g")
    Writer([r.name for r in inputs], None).write_nodes(body, graph.node)
    for r in inputs:
        value_info(r, graph.input.add())
    for r in body.outputs:
        value_info(r, graph.output.add())
        if r.dims is None and not isinstance(r, RunList):
            graph.output[-1].type.tensor_type.ClearField("shape")
    proto = onnx.ModelProto(ir_version=10, producer_name="test", graph=graph)
    proto.opset_import.add(domain="", version=opset)
    if any(n.domain for n in graph.node):
        proto.opset_import.add(domain="com.microsoft", version=1)
    return Model(proto, feeds, unpack)


def _number(value: Any) -> Any:
    return np.float64 if isinstance(value, float) else number_dtype(value).numpy


def _outputs(e: OnnxEmitter, made: Any, results: Sequence[T.Type]) -> tuple[Any, list[Run]]:
    """The run-time leaves of a result and how to put it together again; numbers come back as Python's."""
    outputs: list[Run] = []

    def leaf(value: Any, wanted: T.Type | None) -> Any:
        if isinstance(value, list | tuple):
            inside: Iterable[Any] = wanted.contained() if isinstance(wanted, T.TupleType) else [None] * len(value)
            parts = [leaf(v, t) for v, t in zip(value, inside, strict=True)]
            return lambda it: [p(it) for p in parts]
        if not isinstance(value, Run):
            return lambda it: value
        if isinstance(wanted, T.TensorType) and wanted.dims is not None and value.dims is None:
            value.dims = wanted.dims
        outputs.append(value)
        if wanted is None or isinstance(wanted, T.TensorType) or isinstance(value, RunList):
            return lambda it: next(it)
        return lambda it: np.asarray(next(it)).tolist()

    unpack = leaf(made if len(results) != 1 else [made], T.TupleType(*results)) if results else leaf([], None)

    def whole(it: Iterator[Any]) -> Any:
        found = unpack(it)
        return found[0] if len(results) == 1 else found

    return whole, outputs


__all__ = [
    "GOLDENS", "UNKNOWN", "Goldens", "Model", "Recorder", "call_of", "cotangent", "fresh", "model_of", "operators", "result_types",
    "same", "samples_of", "type_of",
]  # fmt: skip

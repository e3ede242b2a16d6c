"""The whole report of an export: every value that became a constant, what is free and what is fixed of inputs and outputs."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from onnx import ModelProto

from bridge.exporters.onnx.inputs import Inputs
from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.report import Entry, Port, Summary
from bridge.exporters.onnx.values import DOUBLE, Cell, Run, RunList
from bridge.ir import types as T
from bridge.ir.dtypes import DTYPES, by_name
from bridge.ir.value_text import short_text

if TYPE_CHECKING:
    from bridge.exporters.onnx.export import Exported

__all__ = ["complete", "model_summary"]

_FLOAT = by_name("float32")
_RANDOM = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial".split()
)  # fmt: skip


def complete(made: Exported) -> None:
    """Add to the report of an export what it does not list by itself, and the summary of the model."""
    report = made.report
    decided = list(report)
    report.clear()
    seen: set[tuple[str, str]] = set()
    for entry in (*_constants(made), *_arguments(made), *decided, *_nodes(made)):
        key = entry.kind, entry.message if entry.kind in ("value captured", "attribute frozen") else str(entry)
        if key not in seen:
            seen.add(key)
            report.append(entry)
    report.summary = _summary(made)


def _constants(made: Exported) -> Iterator[Entry]:
    """Values from outside the program, what the trace froze, unrolled loops, and attributes of the module that are no tensors."""
    for frame in made.lowering.frames:
        for kind, text, place in frame.function.graph.notes:
            yield Entry(kind, text, place)
    for path, (value, place) in made.lowering.frozen.items():
        yield Entry(
            "attribute frozen", f"'{path}' is {short_text(value)}; setting it later does not change the model", place
        )


def _arguments(made: Exported) -> Iterator[Entry]:
    """Arguments that are not inputs, or not wholly."""
    values = made.function.graph.inputs[made.owner is not None :]
    for value, argument in zip(values, made.inputs.arguments, strict=True):
        yield from _argument(made.inputs, value.debug_name_base or value.debug_name, argument)


def _argument(inputs: Inputs, name: str, v: Any) -> Iterator[Entry]:
    if v is None or isinstance(v, str | enum.Enum | T.EnumValue):
        yield Entry("argument fixed", f"'{name}' is {v!r}, as in the example")
    elif isinstance(v, tuple):
        for i, x in enumerate(v):
            yield from _argument(inputs, f"{name}[{i}]", x)
    elif isinstance(v, Cell):
        content = inputs.heap[v]
        if isinstance(content, dict):
            keys = ", ".join(map(repr, content))
            yield Entry("argument fixed", f"the dict '{name}' has the keys {keys}, as in the example")
        elif isinstance(content, tuple) and not any(e.kind == "arguments fixed" for e in inputs.fixed):
            yield Entry("argument fixed", f"the list '{name}' has {len(content)} elements, as in the example")


def _nodes(made: Exported) -> Iterator[Entry]:
    """What nodes of the model mean for its results: random numbers, and types that are narrower than the program's."""
    for r in _records(made):
        origin = r.origin
        place = origin.node.range if origin is not None else None
        if r.op_type in _RANDOM:
            kind = origin.node.kind if origin is not None else r.op_type
            yield Entry(
                "random", f"{kind} draws from onnxruntime's generator: other numbers in every run and session", place
            )
        elif r.op_type == "Cast" and r.outputs[0].dtype is _FLOAT and r.inputs[0] is not None and origin is not None:
            tensors = [v.type for v in origin.node.outputs if isinstance(v.type, T.TensorType)]
            if r.inputs[0].dtype is DOUBLE and any(t.dtype is DOUBLE for t in tensors):
                yield Entry("element type", f"{origin.node.kind} of float64 is computed in float32", place)


def _records(made: Exported) -> Iterator[Record]:
    stack: list[Body] = [made.main.body]
    stack += [f.body for known in made.lowering.finished.values() for f in known]
    while stack:
        for r in stack.pop().nodes:
            yield r
            stack += r.bodies()


def model_summary(model: ModelProto) -> Summary:
    """What a model says of itself."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    found = Summary(model.graph.name, opset, sum(_count(g.node) for g in (model.graph, *model.functions)))
    found.functions = len(model.functions)
    held = {t.name for t in model.graph.initializer}
    found.inputs = [Port(i.name, _proto_type(i.type)) for i in model.graph.input if i.name not in held]
    found.outputs = [Port(o.name, _proto_type(o.type)) for o in model.graph.output]
    return found


def _count(nodes: Any) -> int:
    return sum(1 + sum(_count(a.g.node) for a in n.attribute if a.HasField("g")) for n in nodes)


def _summary(made: Exported) -> Summary:
    found = model_summary(made.model)
    states = made.main.states
    found.inputs = [Port(r.name, _type(r), _input_note(r)) for r in made.inputs.runs]
    for path, r in states.items():
        found.inputs.append(Port(path, _type(r), f"state: its default is the value now, `{path}_updated` the next"))
    found.outputs = [Port(o.name, o.type, _output_note(made, o.name)) for o in found.outputs]
    return found


def _type(r: Run) -> str:
    """``float32[T, 3]``; sizes that have a name are free."""
    dims = "..." if r.dims is None else ", ".join("?" if d is None else str(d) for d in r.dims)
    text = f"{r.dtype.name}[{dims}]"
    return f"list of {text}" if isinstance(r, RunList) else text


def _input_note(r: Run) -> str:
    if r.number is not None:
        return f"a Python {r.number}"
    if isinstance(r, RunList):
        return "any number of tensors of this element type and number of dimensions"
    fixed = [d for d in r.dims or () if isinstance(d, int)]
    free = [str(d) for d in r.dims or () if isinstance(d, str)]
    parts = [f"free: {', '.join(free)}"] if free else []
    parts += ["fixed as asked: " + ", ".join(map(str, fixed))] if fixed else []
    return "; ".join(parts)


def _output_note(made: Exported, name: str) -> str:
    if name.endswith("_updated") and name.removesuffix("_updated") in made.main.states:
        return f"to give as `{name.removesuffix('_updated')}` in the next call"
    if name.endswith("_present") and made.main.flags:
        return f"whether `{name.removesuffix('_present')}` is there (else it is None)"
    if name == "error" and made.main.raises:
        return "empty, or what was raised (`bridge.onnx.error_of`)"
    return ""


def _proto_type(proto: Any) -> str:
    sequence = proto.WhichOneof("value") == "sequence_type"
    tensor = proto.sequence_type.elem_type.tensor_type if sequence else proto.tensor_type
    dims = "..."
    if tensor.HasField("shape"):
        dims = ", ".join(
            d.dim_param or (str(d.dim_value) if d.HasField("dim_value") else "?") for d in tensor.shape.dim
        )
    known = {d.onnx: d.name for d in DTYPES}
    text = f"{known.get(tensor.elem_type, 'value')}[{dims}]"
    return f"list of {text}" if sequence else text

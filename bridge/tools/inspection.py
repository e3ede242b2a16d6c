"""``bridge inspect``: what a model file holds."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ir.errors import BridgeError
from bridge.ir.printable import printable_line

if TYPE_CHECKING:
    import onnx

__all__ = ["Inspection", "Part", "inspect"]


@dataclass(slots=True)
class Part:
    """One module of the hierarchy: its dotted path, class, tensors (number, elements, bytes; those of submodules not counted),
    and how many operators its methods have."""

    path: str
    class_name: str
    tensors: int = 0
    elements: int = 0
    bytes: int = 0
    operators: int = 0


@dataclass(slots=True)
class Inspection:
    """What a model file holds. ``inputs`` and ``outputs`` are types by name; ``operators`` counts nodes, those of subgraphs and
    functions included; ``weights`` is (tensors, bytes) by element type, ``attributes`` (long attributes, bytes) by operator, where tables are
    written into nodes; ``missing`` are the nodes (operator, name) that the
    provider asked for does not take."""

    file: str
    format: str
    bytes: int
    header: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)
    weights: dict[str, tuple[int, int]] = field(default_factory=dict)
    attributes: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    hierarchy: list[Part] = field(default_factory=list)
    provider: str = ""
    missing: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, numbers and texts, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.file}: {self.format}, {self.bytes:,} bytes"]
        lines += [f"  {k}: {v}" for k, v in self.header.items()]
        if self.opsets:
            lines.append("  opsets: " + ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in self.opsets.items()))
        for title, values in (("inputs", self.inputs), ("outputs", self.outputs)):
            lines.append(f"{title}:")
            lines += [f"  {name}: {text}" for name, text in values.items()] or ["  none"]
        lines.append(f"operators: {sum(self.operators.values()):,} nodes of {len(self.operators)} kinds")
        lines += [f"  {count:>7,}  {name}" for name, count in self.operators.items()]
        lines.append("weights:")
        lines += [f"  {dtype}: {n:,} tensors, {size:,} bytes" for dtype, (n, size) in self.weights.items()] or [
            "  none"
        ]
        if self.attributes:
            lines.append("in attributes of nodes:")
            lines += [f"  {op}: {n:,} tables, {size:,} bytes" for op, (n, size) in self.attributes.items()]
        if self.files:
            lines.append("external data:")
            lines += [f"  {name}: {size:,} bytes used" for name, size in self.files.items()]
        lines.append("hierarchy:")
        lines += [_line(p) for p in self.hierarchy]
        if self.provider:
            lines.append(f"not taken by {self.provider}: {len(self.missing)} nodes" + (":" if self.missing else ""))
            counts = Counter(op for op, _ in self.missing)
            lines += [f"  {count:>7,}  {op}" for op, count in counts.most_common()]
        return "\n".join(map(printable_line, lines))


def _line(p: Part) -> str:
    depth = p.path.count(".") + 1 if p.path else 0
    name = p.path.rpartition(".")[2] or "(top)"
    held = f", {p.elements:,} elements in {p.tensors} tensors" if p.tensors else ""
    done = f", {p.operators} operators" if p.operators else ""
    return f"  {'  ' * depth}{name}: {p.class_name}{held}{done}"


def inspect(path: str | os.PathLike[str], provider: str | None = None) -> Inspection:
    """Read a model file (``.onnx``, ``.pt``, ``.py``) and say what it holds.

    ``provider`` (``"CUDA"``; .onnx only) also opens a session on that execution provider of the installed onnxruntime and
    lists the nodes that it leaves to another. Raises what reading raises, and ProviderError for a provider that is not there.
    """
    from bridge import formats

    path = Path(path)
    module = formats.load(path)
    names = {".onnx": "ONNX", ".py": "Python"}
    found = Inspection(str(path), names.get(path.suffix, "TorchScript archive"), path.stat().st_size)
    found.hierarchy = list(_parts(module))
    if path.suffix == ".onnx":
        _model(found, path)
    else:
        _program(found, module)
    if provider is not None:
        if path.suffix != ".onnx":
            raise BridgeError("what a provider takes can be told of .onnx files only")
        found.provider, found.missing = _not_taken(path, provider)
    return found


# -- the hierarchy --------------------------------------------------------------------------------------------------------


def _parts(module: Any) -> Iterator[Part]:
    root = getattr(module, "_c", None)
    if root is None:  # a function
        yield Part("", module.name, operators=_count(module._function.graph))
        return
    stack = [("", root)]
    while stack:
        path, held = stack.pop()
        part = Part(path, held.type.name.rpartition(".")[2])
        for value in held.attributes.values():
            array = getattr(value, "_array", None)
            if array is not None:
                part.tensors, part.elements, part.bytes = (
                    part.tensors + 1,
                    part.elements + array.size,
                    part.bytes + array.nbytes,
                )
        part.operators = sum(_count(m.graph) for m in held.type.methods.values())
        yield part
        children = [(f"{path}.{name}" if path else name, m) for name, m in held.submodules()]
        stack.extend(reversed(children))


_JOINTS = frozenset(
    {"prim::Constant", "prim::GetAttr", "prim::TupleConstruct", "prim::TupleUnpack", "prim::ListConstruct"}
)


def _count(graph: Any) -> int:
    return sum(n.kind not in _JOINTS for n in graph.all_nodes())


# -- TorchScript and Python -----------------------------------------------------------------------------------------------


def _program(found: Inspection, module: Any) -> None:
    root = getattr(module, "_c", None)
    forward = module._function if root is None else root.type.find_method("forward")
    if forward is not None:
        schema = forward.schema
        found.inputs = {a.name: str(a.type) for a in schema.arguments[root is not None :]}
        found.outputs = {
            f"output_{i}" if len(schema.returns) > 1 else "output": str(r.type) for i, r in enumerate(schema.returns)
        }
    classes = {root.type} | {m.type for _, m in _modules(root)} if root is not None else set()
    graphs = [m.graph for c in classes for m in c.methods.values()] or ([forward.graph] if forward is not None else [])
    counts = Counter(n.kind for g in graphs for n in g.all_nodes() if n.kind not in _JOINTS)
    found.operators = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    if root is not None:
        _weigh(found, ((str(v.dtype).removeprefix("torch."), v._array.nbytes) for v in module.state_dict().values()))


def _modules(root: Any) -> Iterator[tuple[str, Any]]:
    for name, m in root.submodules():
        yield name, m
        yield from _modules(m)


def _weigh(found: Inspection, tensors: Iterable[tuple[str, int]]) -> None:
    for dtype, size in tensors:
        count, total = found.weights.get(dtype, (0, 0))
        found.weights[dtype] = count + 1, total + size


# -- ONNX -----------------------------------------------------------------------------------------------------------------


def _model(found: Inspection, path: Path) -> None:
    from bridge.importers.onnx.reader import read_model
    from bridge.importers.onnx.source import OWN_FILE

    model, _ = read_model(path)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    header = {
        "IR version": str(model.ir_version),
        "producer": producer,
        "graph": model.graph.name,
        "domain": model.domain,
    }
    header |= {p.key: p.value if len(p.value) <= 60 else f"({len(p.value):,} characters)" for p in model.metadata_props}
    found.header = {k: v for k, v in header.items() if v}
    found.opsets = {o.domain: o.version for o in model.opset_import}
    initial = {t.name for t in model.graph.initializer}
    for values, target in ((model.graph.input, found.inputs), (model.graph.output, found.outputs)):
        for v in values:
            text = type_text(v.type)
            target[v.name] = f"{text}, with a default" if v.name in initial else text
    counts = Counter(_operator(n) for n in _nodes(model))
    found.operators = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    sizes = []
    for t in (t for g in _graphs(model) for t in (*g.initializer, *(s.values for s in g.sparse_initializer))):
        entries = {e.key: e.value for e in t.external_data}
        size = int(entries.get("length", "0")) if entries else len(t.raw_data) or t.ByteSize()
        sizes.append((_element(t.data_type), size))
        location = entries.get("location", OWN_FILE)
        if location != OWN_FILE:
            found.files[location] = found.files.get(location, 0) + size
    _weigh(found, sizes)
    for n in _nodes(model):
        for size in filter(None, map(_table, n.attribute)):
            count, total = found.attributes.get(_operator(n), (0, 0))
            found.attributes[_operator(n)] = count + 1, total + size


def _operator(n: onnx.NodeProto) -> str:
    return f"{n.domain}::{n.op_type}" if n.domain not in ("", "ai.onnx") else n.op_type


#: An attribute of more values than this is no setting, like axes and paddings, but a table: trees, coefficients, vocabularies.
_SETTING = 16


def _table(a: onnx.AttributeProto) -> int:
    """The size in bytes of an attribute that is a table; 0 for others."""
    values = max(len(a.floats), len(a.ints), len(a.strings), math.prod(a.t.dims) if a.HasField("t") else 0)
    return int(a.ByteSize()) if values > _SETTING else 0


def type_text(proto: onnx.TypeProto) -> str:
    """An ONNX type as ``float32[batch, 3]``, ``sequence(…)``, ``optional(…)``, ``map(int64, …)``; ``?`` is unknown."""
    from onnx import TensorProto

    kind = proto.WhichOneof("value")
    if kind in ("tensor_type", "sparse_tensor_type"):
        t = getattr(proto, kind)
        name = _element(t.elem_type) if t.elem_type else "?"
        dims = ", ".join(str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in t.shape.dim)
        shape = f"[{dims}]" if t.HasField("shape") else "[...]"
        return f"{name}{shape}" if kind == "tensor_type" else f"sparse {name}{shape}"
    if kind in ("sequence_type", "optional_type"):
        return f"{kind.partition('_')[0]}({type_text(getattr(proto, kind).elem_type)})"
    if kind == "map_type":
        return (
            f"map({TensorProto.DataType.Name(proto.map_type.key_type).lower()}, {type_text(proto.map_type.value_type)})"
        )
    return "?"


def _element(number: int) -> str:
    from onnx import TensorProto

    name = TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else str(number)
    return {"float": "float32", "double": "float64"}.get(name, name)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (n for holder in (*_graphs(model), *model.functions) for n in holder.node)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The graph and all graphs in attributes, those of functions included."""
    yield model.graph
    stack = [iter(model.graph.node), *(iter(f.node) for f in model.functions)]
    while stack:
        for n in stack.pop():
            for g in (g for a in n.attribute for g in ((a.g,) if a.HasField("g") else a.graphs)):
                yield g
                stack.append(iter(g.node))


def _not_taken(path: Path, provider: str) -> tuple[str, list[tuple[str, str]]]:
    """The provider's full name, and the nodes (operator, name) that a session on it gives to others."""
    import onnxruntime

    from bridge.runtime.sessions import full_name

    known = full_name(provider)
    name = known if isinstance(known, str) else known[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(
        os.fspath(path), options, providers=list(dict.fromkeys([name, "CPUExecutionProvider"]))
    )
    missing = []
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name != name:
            missing += [(n.op_type if not n.domain else f"{n.domain}::{n.op_type}", n.name) for n in part.get_nodes()]
    return name, missing

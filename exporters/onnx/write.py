"""Records to protobufs: names are given here, in the order of the nodes, unique in a function and in all its subgraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    OperatorSetIdProto,
    StringStringEntryProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
)

from bridge.exporters.onnx.claims import KEY, Claims
from bridge.exporters.onnx.records import Body, FunctionRecord, Record
from bridge.exporters.onnx.values import Run, RunList
from bridge.ir.dtypes import DType, by_numpy, physical, real_dtype
from bridge.ir.errors import LoweringError

if TYPE_CHECKING:
    from bridge.exporters.onnx.program import ProgramLowering

__all__ = ["Writer", "function_bytes", "records_in_order", "tensor_proto", "value_info"]

_A = AttributeProto


class Namer:
    """Hands out names that are unique in one function or main graph."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken = set(reserved)
        self.counts: dict[str, int] = {}

    def give(self, run: Run) -> None:
        """Name a value after its hint."""
        if run.fixed:
            return
        run.name = self.unique(run.hint or "value")

    def unique(self, base: str) -> str:
        """The name itself if it is free, else with the first free number."""
        name = base
        while name in self.taken:
            n = self.counts[base] = self.counts.get(base, 0) + 1
            name = f"{base}#{n}"
        self.taken.add(name)
        return name


def records_in_order(body: Body) -> Iterator[Record]:
    """Every node, those of subgraphs after the node that owns them."""
    for r in body.nodes:
        yield r
        for b in r.bodies():
            yield from records_in_order(b)


class Writer:
    """Writes one main graph or function. ``claims`` is None when no provenance is wanted; ``sizes=False`` leaves the dims of
    subgraphs' values open (a function serves callers with other sizes)."""

    def __init__(self, reserved: Iterable[str], claims: Claims | None, sizes: bool = True) -> None:
        self.names = Namer(reserved)
        self.nodes = Namer()
        self.claims, self.sizes = claims, sizes

    def write_nodes(self, body: Body, target: Any) -> None:
        """Append the nodes of a body to ``target`` (a repeated field of NodeProtos), naming what they make."""
        for p in body.params:
            if not p.name:
                self.names.give(p)
        for r in body.nodes:
            for o in r.outputs:
                self.names.give(o)
        for r in body.nodes:
            self._node(r, target.add())

    def _node(self, r: Record, proto: NodeProto) -> None:
        proto.op_type = r.op_type
        if r.domain:
            proto.domain = r.domain
        proto.input.extend(["" if i is None else i.root.name for i in r.inputs])
        proto.output.extend([o.name for o in r.outputs])
        proto.name = self.nodes.unique(r.name or r.outputs[0].name)
        for key, value in r.attributes.items():
            self._attribute(proto.attribute.add(), key, value)
        if self.claims is not None:
            add_metadata(proto, self.claims.nodes.get(r))

    def _attribute(self, a: AttributeProto, name: str, value: Any) -> None:
        a.name = name
        if isinstance(value, Body):
            a.type = _A.GRAPH
            self._subgraph(value, a.g)
        elif isinstance(value, AttributeProto):
            a.CopyFrom(value)
            a.name = name
        elif isinstance(value, np.ndarray):
            a.type = _A.TENSOR
            tensor_proto(value, "", a.t)
        elif isinstance(value, DType):
            a.type, a.i = _A.INT, value.onnx
        elif isinstance(value, bool | int | np.integer):
            a.type, a.i = _A.INT, int(value)
        elif isinstance(value, float):
            a.type, a.f = _A.FLOAT, value
        elif isinstance(value, str):
            a.type, a.s = _A.STRING, value.encode()
        elif isinstance(value, list | tuple):
            _list_attribute(a, value)
        else:
            raise LoweringError(f"an attribute of Python type {type(value).__name__} cannot be written")

    def _subgraph(self, body: Body, graph: GraphProto) -> None:
        self.write_nodes(body, graph.node)
        graph.name = body.name
        for p in body.params:
            value_info(p, graph.input.add(), self.sizes)
        for o in body.outputs:
            value_info(o, graph.output.add(), self.sizes)
        if self.claims is not None:
            add_metadata(graph, self.claims.tails.get(body))


def _list_attribute(a: AttributeProto, values: Sequence[Any]) -> None:
    if all(isinstance(v, bool | int | np.integer) for v in values):
        a.type = _A.INTS
        a.ints.extend(int(v) for v in values)
    elif all(isinstance(v, str) for v in values):
        a.type = _A.STRINGS
        a.strings.extend(v.encode() for v in values)
    else:
        a.type = _A.FLOATS
        a.floats.extend(float(v) for v in values)


def add_metadata(proto: Any, lines: Sequence[str] | None, key: str = KEY) -> None:
    """Attach lines under a metadata key."""
    if lines:
        proto.metadata_props.append(StringStringEntryProto(key=key, value="\n".join(lines)))


def tensor_proto(array: np.ndarray[Any, Any], name: str, proto: TensorProto) -> TensorProto:
    """Write an array as raw data."""
    array = physical(array)
    proto.data_type = by_numpy(array.dtype).onnx
    proto.dims.extend(array.shape)
    if name:
        proto.name = name
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    proto.raw_data = array.tobytes()
    return proto


def value_info(run: Run, proto: ValueInfoProto, sizes: bool = True) -> None:
    """Write name and type: dims that are known, names of free ones; without ``sizes`` their number only."""
    proto.name = run.root.name
    type_proto(run, proto.type, sizes)


def type_proto(run: Run, proto: TypeProto, sizes: bool = True) -> None:
    """Write the type of a value."""
    if isinstance(run, RunList):
        type_proto(Run(run.dtype, run.dims), proto.sequence_type.elem_type, sizes)
        return
    tensor = proto.tensor_type
    tensor.elem_type = real_dtype(run.dtype).onnx
    if run.dims is not None:
        tensor.shape.SetInParent()
        for d in (*run.dims, 2) if run.dtype.kind == "c" else run.dims:
            dim = tensor.shape.dim.add()
            if not sizes:
                continue
            if isinstance(d, int):
                dim.dim_value = d
            elif d is not None:
                dim.dim_param = d


def function_bytes(record: FunctionRecord, program: ProgramLowering) -> bytes:
    """The function as bytes, which are equal for equal functions."""
    data: bytes = write_function(record, program).SerializeToString(deterministic=True)
    return data


def write_function(record: FunctionRecord, program: ProgramLowering) -> FunctionProto:
    """The model-local function."""
    proto = FunctionProto(name=record.name, domain=record.domain)
    claims = None
    if program.provenance:
        claims = Claims(program, record.frame, record.body, records_in_order(record.body))
    w = Writer((), claims, sizes=False)
    for path, p in record.parameters.items():
        p.hint = path
        w.names.give(p)
    w.write_nodes(record.body, proto.node)
    proto.input.extend([p.root.name for p in record.body.params])
    proto.output.extend([o.root.name for o in record.body.outputs])
    proto.opset_import.append(OperatorSetIdProto(domain="", version=program.opset))
    domains = {r.domain for r in records_in_order(record.body) if r.domain}
    proto.opset_import.extend(OperatorSetIdProto(domain=d, version=program.opset_of(d)) for d in sorted(domains))
    if claims is not None:
        add_metadata(proto, claims.tails.get(record.body))
    record.claims = claims
    return proto

"""What a model's file says beside what it computes, kept with the program that was printed from it, and put back on export.

Names of nodes and values, the order of nodes, those whose results nobody uses, functions, texts, where tensors stand: code does
not say these. The records are the model without the data of large tensors. They are believed only where the program still
computes what they say (:mod:`bridge.exporters.onnx.same_model`); weights and constants are always the program's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper

from bridge.exporters.onnx.foreign import onnx_tensor
from bridge.exporters.onnx.large import HOST, Arrays, is_large, outside
from bridge.exporters.onnx.same_model import Comparison
from bridge.exporters.onnx.same_values import Different, Value, kept_values, same_array, usual_domain

__all__ = ["records_of", "with_records"]

#: Tensors of so many bytes, and lists of so many entries, are left out of the records: the program has them.
_LARGE = 256
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_LISTS = ("floats", "ints", "strings")


def records_of(model: onnx.ModelProto, own: Collection[str] = (HOST,)) -> bytes:
    """The model without the data of what the program has anyway; ``own`` are locations of data that are no file's beside it."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    used = _used(kept.graph)
    _strip_graph(kept.graph, used, own)
    data: bytes = kept.SerializeToString(deterministic=True)
    return data


def _used(graph: onnx.GraphProto) -> set[str]:
    """The names from which the results of the model are made."""
    makers = {name: n for n in graph.node for name in n.output if name}
    found: set[str] = set()
    todo = [o.name for o in graph.output]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        if name in makers:
            todo += makers[name].input
            todo += (name for a in makers[name].attribute for g in (a.g, *a.graphs) for name in _mentioned(g))
    return found


def _mentioned(graph: onnx.GraphProto) -> Iterator[str]:
    for n in graph.node:
        yield from n.input
        for a in n.attribute:
            for g in (a.g, *a.graphs):
                yield from _mentioned(g)
    yield from (o.name for o in graph.output)


def _strip_graph(graph: onnx.GraphProto, used: set[str], own: Collection[str]) -> None:
    for t in graph.initializer:
        if t.name in used:
            _strip(t, own)
    for n in graph.node:
        if not any(name in used for name in n.output):
            continue
        for a in n.attribute:
            if a.type == AttributeProto.TENSOR:
                _strip(a.t, own)
            elif a.type == AttributeProto.GRAPH:
                _strip_graph(a.g, _used(a.g), own)
            for name in _LISTS:
                if len(getattr(a, name)) > _LARGE:
                    a.ClearField(name)


def _strip(t: TensorProto, own: Collection[str]) -> None:
    """Leave out a tensor's data. One element stays of data in a typed field: it shows the form."""
    if t.data_location == TensorProto.EXTERNAL:
        if any(e.key == "location" and e.value in own for e in t.external_data):
            t.ClearField("data_location")
            del t.external_data[:]
    elif len(t.raw_data) > _LARGE:
        t.ClearField("raw_data")
    else:
        for name in _TYPED:
            values = getattr(t, name)
            if len(values) * 4 > _LARGE:
                del values[1:]


class _Restored:
    """A model that is what its records say, with the tensors of a program; ``sources`` are the program's names of initializers."""

    def __init__(self, made: onnx.ModelProto, arrays: Mapping[str, np.ndarray[Any, Any]], records: bytes) -> None:
        self.model = onnx.ModelProto.FromString(records)
        self.made, self.given = made, arrays
        self.arrays: Arrays = {}
        self.sources: dict[str, str] = {}
        self.top = {t.name for t in self.model.graph.initializer}
        self._check_interface()
        same = Comparison(made, self.model)
        for b, a in same.tensors.items():
            self._fill(b, a)
        for n, m in same.nodes.items():
            for x in n.proto.attribute:
                y = m.attribute(x.name)
                if y is not None and y.type == x.type and x.type != AttributeProto.GRAPH:
                    if not x.ref_attr_name and _is_stripped_attribute(x, y):
                        self._fill_attribute(x, y)
        _check_whole(self.model.graph)

    def _check_interface(self) -> None:
        """Raises Different where inputs have other types, or operators other versions."""
        versions = {usual_domain(o.domain): o.version for o in self.model.opset_import}
        if any(versions.get(usual_domain(o.domain)) != o.version for o in self.made.opset_import):
            raise Different("other versions of operators")
        inputs = [i for i in self.model.graph.input if i.name not in self.top]
        if len(inputs) != len(self.made.graph.input) or len(self.model.graph.output) != len(self.made.graph.output):
            raise Different("another number of inputs or results")
        if not all(_same_type(i.type, j.type) for i, j in zip(inputs, self.made.graph.input, strict=True)):
            raise Different("an input of another type")

    def _fill(self, b: Value, a: Value) -> None:
        """Give a tensor of the records the program's values."""
        array = self._values(a)
        held = kept_values(b)
        target = b.proto if isinstance(b.proto, TensorProto) else None
        if isinstance(b.proto, TensorProto) and isinstance(a.proto, TensorProto):
            self.sources.setdefault(b.proto.name, a.proto.name)
        if held is not None and same_array(held, array):
            return
        if isinstance(b.proto, onnx.NodeProto):
            if not any(x.name == "value" for x in b.proto.attribute):
                raise Different("a Constant of another form")
            target = next(x.t for x in b.proto.attribute if x.name == "value")
        if target is None:
            raise Different("a sparse tensor has changed")
        self._write(target, array)

    def _values(self, a: Value) -> np.ndarray[Any, Any]:
        array = self.given.get(a.proto.name) if isinstance(a.proto, TensorProto) else None
        found = kept_values(a) if array is None else np.asarray(array)
        if found is None:
            raise Different("a tensor without values")
        return found

    def _fill_attribute(self, x: AttributeProto, y: AttributeProto) -> None:
        if x.type == AttributeProto.TENSOR:
            self._write(x.t, self._values(Value("tensor", y.t)))
        for name in _LISTS:
            getattr(x, name).extend(getattr(y, name))

    def _write(self, target: TensorProto, array: np.ndarray[Any, Any]) -> None:
        if tuple(target.dims) != array.shape or target.data_type != helper.np_dtype_to_tensor_dtype(array.dtype):
            raise Different(f"tensor '{target.name}' has another shape or type")
        form = next((name for name in _TYPED if len(getattr(target, name))), None)
        if form is not None:
            values = array.reshape(-1).tolist()
            typed = helper.make_tensor(target.name, target.data_type, array.shape, values)
            target.ClearField(form)
            getattr(target, form).extend(getattr(typed, form))
        elif target.name in self.top and is_large(array):
            self.arrays[target.name] = array
            outside(target, array, tuple((e.key, e.value) for e in target.external_data))
        else:
            whole = onnx_tensor(array)
            for name in ("raw_data", "string_data"):
                target.ClearField(name)
            target.MergeFrom(_only_data(whole))
            if whole.HasField("raw_data") and not target.HasField("raw_data"):
                target.raw_data = whole.raw_data


def _only_data(t: TensorProto) -> TensorProto:
    data = TensorProto()
    data.CopyFrom(t)
    for name in ("dims", "data_type", "name", "doc_string"):
        data.ClearField(name)
    return data


def _is_stripped_attribute(x: AttributeProto, y: AttributeProto) -> bool:
    if x.type == AttributeProto.TENSOR:
        return not _is_whole(x.t)
    return not any(len(getattr(x, name)) for name in _LISTS) and any(len(getattr(y, name)) for name in _LISTS)


def _same_type(a: onnx.TypeProto, b: onnx.TypeProto) -> bool:
    """Whether a declared type, and what the program says, go together; names of sizes do not count."""
    if a.WhichOneof("value") != b.WhichOneof("value"):
        return False
    if a.HasField("sequence_type"):
        return _same_type(a.sequence_type.elem_type, b.sequence_type.elem_type)
    if a.HasField("optional_type"):
        return _same_type(a.optional_type.elem_type, b.optional_type.elem_type)
    if not a.HasField("tensor_type"):
        return True
    x, y = a.tensor_type, b.tensor_type
    if x.elem_type != y.elem_type:
        return False
    if not (x.HasField("shape") and y.HasField("shape")):
        return True
    sizes = [[d.dim_value if d.HasField("dim_value") else -1 for d in t.shape.dim] for t in (x, y)]
    return [max(n, -1) for n in sizes[0]] == [max(n, -1) for n in sizes[1]]


def _is_whole(t: TensorProto) -> bool:
    """Whether a tensor has its data, or says where it is; see :func:`_strip`."""
    if t.data_location == TensorProto.EXTERNAL or t.HasField("raw_data") or len(t.string_data):
        return True
    return math.prod(t.dims) <= 2 or any(len(getattr(t, name)) > 1 for name in _TYPED)


def _check_whole(graph: onnx.GraphProto) -> None:
    """Raises Different where something that the records left out was nowhere in the program."""
    tensors = [*graph.initializer]
    for n in graph.node:
        for a in n.attribute:
            if a.type == AttributeProto.TENSOR:
                tensors.append(a.t)
            for g in (a.g, *a.graphs):
                _check_whole(g)
    for t in tensors:
        if not _is_whole(t):
            raise Different(f"the program has no tensor '{t.name}'")


def with_records(
    made: onnx.ModelProto, arrays: Arrays, weights: Mapping[str, str], called: Collection[str], records: bytes
) -> tuple[onnx.ModelProto, Arrays, dict[str, str]] | None:
    """The model as its records have it, its large tensors and the paths of its initializers; None where the program computes
    something else by now. ``called`` are the inputs and results that the program names: they keep these names.
    """
    try:
        restored = _Restored(made, arrays, records)
        _rename(restored.model, made, called)
    except (Different, DecodeError, ValueError, KeyError, IndexError):  # damaged records are none
        return None
    paths = {name: weights[source] for name, source in restored.sources.items() if source in weights}
    return restored.model, restored.arrays, paths


def _rename(model: onnx.ModelProto, made: onnx.ModelProto, called: Collection[str]) -> None:
    """Call inputs and results what the program calls them, where somebody has renamed them."""
    initial = {t.name for t in model.graph.initializer}
    inputs = [i.name for i in model.graph.input if i.name not in initial]
    new = dict(zip(inputs, (i.name for i in made.graph.input), strict=True))
    for o, other in zip(model.graph.output, made.graph.output, strict=True):
        if other.name in called:
            new.setdefault(o.name, other.name)
    new = {a: b for a, b in new.items() if a != b}
    if not new:
        return
    taken = {name for n in model.graph.node for name in (*n.input, *n.output)} | initial
    if taken & set(new.values()) or len(set(new.values())) < len(new):
        raise Different("a name is taken")
    _rename_in(model.graph, new)


def _rename_in(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    for v in (*graph.input, *graph.output, *graph.value_info):
        v.name = new.get(v.name, v.name)
    for n in graph.node:
        for names in (n.input, n.output):
            for i, name in enumerate(names):
                if name in new:
                    names[i] = new[name]
        for a in n.attribute:
            for g in (a.g, *a.graphs):
                _rename_in(g, new)

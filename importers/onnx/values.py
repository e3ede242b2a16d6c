"""Protos of values → plain values: tensors to arrays, types to types, attributes to Python values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    SparseTensorProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    ValueInfoProto,
    numpy_helper,
)

from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.source import PACKED_BITS, Source, is_external
from bridge.ir import dtypes
from bridge.ir.foreign import ForeignArray, GraphInfo, Interface, RawAttribute, TypedList
from bridge.ir.types import ANY, TENSOR, DictType, ListType, TensorType, Type, optional

__all__ = [
    "USUAL_FIELDS",
    "WHOLE_DTYPES",
    "attribute_value",
    "declared_type",
    "declared_types",
    "metadata",
    "sparse_value",
    "tensor_value",
    "type_of",
    "written_empty",
]

#: The most elements that a sparse tensor is given room for.
_MOST_DENSE = 1 << 31

# Fields of a TensorProto that a ForeignArray restores; a tensor that has others keeps its original.
_RESTORED = {"dims", "data_type", "raw_data", "name", "doc_string"}


def tensor_value(proto: TensorProto, where: Source | str) -> ForeignArray:
    """The array of a tensor, which remembers how it was written; ``where`` has the data that is not in the proto.

    Raises OnnxImportError when it is malformed.
    """
    if is_external(proto):
        return _stored(proto, where)
    fields = {f.name for f, _ in proto.ListFields()}
    if fields == USUAL_FIELDS and (dtype := WHOLE_DTYPES.get(proto.data_type)) is not None:
        dims, data, name = tuple(proto.dims), proto.raw_data, proto.name
        if (
            name and min(dims, default=0) >= 0 and math.prod(dims) * dtype.itemsize == len(data)
        ):  # others: their error, below
            plain = np.frombuffer(data, dtype).reshape(dims).copy().view(ForeignArray)
            plain.proto_name = name
            return plain
    _check(proto, where)
    try:
        array = _strings(proto) if proto.data_type == TensorProto.STRING else numpy_helper.to_array(proto)
    except (ValueError, TypeError, KeyError, NotImplementedError, MemoryError) as e:
        raise OnnxImportError(f"{where}: tensor '{proto.name}' cannot be read: {e}") from e
    array = np.asarray(array)
    value = (array if array.flags.writeable else array.copy()).view(ForeignArray)  # programs may write to their weights
    value.proto_name, value.proto_doc = proto.name, proto.doc_string
    unusual = fields - _RESTORED or "raw_data" not in fields
    if unusual or written_empty(proto, "name", "doc_string"):
        value.typed = True
        value.raw_proto = proto.SerializeToString()
    return value


#: The fields of most tensors, and the element types that are numpy's own.
USUAL_FIELDS = {"dims", "data_type", "name", "raw_data"}
WHOLE_DTYPES = {
    getattr(TensorProto, name): np.dtype(kind)
    for name, kind in (
        ("FLOAT", "<f4"), ("DOUBLE", "<f8"), ("FLOAT16", "<f2"), ("BOOL", "?"), ("INT8", "i1"), ("INT16", "<i2"),
        ("INT32", "<i4"), ("INT64", "<i8"), ("UINT8", "u1"), ("UINT16", "<u2"), ("UINT32", "<u4"), ("UINT64", "<u8"),
    )
}  # fmt: skip

_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def _check(proto: TensorProto, where: Source | str) -> None:
    """Raises OnnxImportError for what onnx's own reader would take in silence."""
    if proto.HasField("raw_data"):
        if any(getattr(proto, field) for field in _TYPED):
            raise OnnxImportError(f"{where}: tensor '{proto.name}' has its data both as raw and as typed data")
        bits = PACKED_BITS.get(proto.data_type)
        if bits is not None and len(proto.raw_data) != (math.prod(proto.dims) * bits + 7) // 8:
            raise OnnxImportError(
                f"{where}: tensor '{proto.name}' cannot be read: its data does not fit {list(proto.dims)}"
            )
    elif (bits := PACKED_BITS.get(proto.data_type)) is not None and math.prod(proto.dims) * bits > len(
        proto.int32_data
    ) * 8:  # onnx would make room for as many
        raise OnnxImportError(
            f"{where}: tensor '{proto.name}' cannot be read: its data does not fit {list(proto.dims)}"
        )
    if min(proto.dims, default=0) < 0:
        raise OnnxImportError(f"{where}: tensor '{proto.name}' cannot be read: its shape is {list(proto.dims)}")


def _stored(proto: TensorProto, where: Source | str) -> ForeignArray:
    """A tensor whose data is in a file."""
    if isinstance(where, str):
        raise OnnxImportError(f"{where}: the data of tensor '{proto.name}' is not there")
    array = where.array(proto)
    if isinstance(array, bytes):
        whole = TensorProto(dims=proto.dims, data_type=proto.data_type, raw_data=array)
        array = numpy_helper.to_array(whole)
    value = array.view(ForeignArray)
    value.proto_name, value.proto_doc, value.external = proto.name, proto.doc_string, where.record(proto)
    return value


def sparse_value(proto: SparseTensorProto, where: Source | str) -> ForeignArray:
    """The dense array of a sparse tensor, which remembers its sparse form. Raises OnnxImportError when it is malformed."""
    values = tensor_value(proto.values, where)
    at = tensor_value(proto.indices, where)
    shape = tuple(proto.dims)
    if min(shape, default=0) < 0 or math.prod(shape) > _MOST_DENSE:
        raise OnnxImportError(f"{where}: sparse tensor '{proto.values.name}' has the shape {list(shape)}: too large")
    dense = np.zeros(shape, values.dtype)
    try:
        place = np.unravel_index(np.asarray(at), shape) if at.ndim == 1 else tuple(np.asarray(at).T)
        dense[place] = np.asarray(values)
    except (ValueError, IndexError) as e:
        raise OnnxImportError(f"{where}: sparse tensor '{proto.values.name}' cannot be read: {e}") from e
    value = dense.view(ForeignArray)
    value.proto_name, value.sparse, value.raw_proto = proto.values.name, True, proto.SerializeToString()
    return value


def _strings(proto: TensorProto) -> np.ndarray[Any, Any]:
    """A tensor of strings as an array of objects: str, or bytes where they are no UTF-8."""
    flat = np.empty(len(proto.string_data), dtype=object)
    flat[:] = [_text(s) for s in proto.string_data]
    return flat.reshape(tuple(proto.dims))


def type_of(proto: TypeProto) -> Type:
    """The IR type of a value's declared type; TENSOR or Any where it says nothing that the IR knows."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        t = proto.tensor_type
        try:
            dtype = dtypes.by_onnx(t.elem_type) if t.elem_type else None
        except KeyError:
            dtype = None  # strings, 4-bit integers…: the record that is kept has it
        if not t.HasField("shape"):
            return TensorType(dtype) if dtype else TENSOR
        return TensorType(dtype, [_size(d) for d in t.shape.dim])
    if kind == "sequence_type":
        return ListType(type_of(proto.sequence_type.elem_type))
    if kind == "optional_type":
        return optional(type_of(proto.optional_type.elem_type))
    if kind == "map_type":
        from bridge.ir.types import INT, STR

        key = STR if proto.map_type.key_type == TensorProto.STRING else INT
        return DictType(key, type_of(proto.map_type.value_type))
    return ANY if kind else TENSOR


def declared_types(interface: Interface) -> dict[str, Type]:
    """The types of the inputs of the model that a program was loaded from, by name."""
    declared: dict[str, Type] = {}
    for data in interface.inputs:
        info = ValueInfoProto()
        info.ParseFromString(data)
        declared[info.name] = type_of(info.type)
    return declared


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


_SCALARS: dict[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.INT: lambda a: a.i,
    AttributeProto.FLOAT: lambda a: a.f,
    AttributeProto.STRING: lambda a: _text(a.s),
}
_LISTS: dict[int, tuple[str, Callable[[AttributeProto], list[Any]]]] = {
    AttributeProto.INTS: ("ints", lambda a: list(a.ints)),
    AttributeProto.FLOATS: ("floats", lambda a: list(a.floats)),
    AttributeProto.STRINGS: ("strings", lambda a: [_text(s) for s in a.strings]),
}


def attribute_value(attribute: AttributeProto, where: Source | str) -> Any:
    """The Python value of an attribute other than a graph; a RawAttribute for what has none."""
    count = len(attribute.ListFields())
    if count > 3 or attribute.ref_attr_name:  # more than name, type and one value
        return RawAttribute(attribute.SerializeToString(), value=_documented(attribute, where))
    scalar = _SCALARS.get(attribute.type)
    if scalar is not None:
        # One that does not write its value out means 0, and stays unwritten.
        return scalar(attribute) if count == 3 else RawAttribute(attribute.SerializeToString())
    if attribute.type in _LISTS:
        kind, read = _LISTS[attribute.type]
        return read(attribute) or TypedList(kind)
    if attribute.type == AttributeProto.TENSOR:
        return tensor_value(attribute.t, where)
    if attribute.type == AttributeProto.TYPE_PROTO:
        return RawAttribute(attribute.SerializeToString(), type_of(attribute.tp))
    if attribute.type == AttributeProto.SPARSE_TENSOR:
        return sparse_value(attribute.sparse_tensor, where)
    if attribute.type == AttributeProto.TENSORS and attribute.tensors:
        return [tensor_value(t, where) for t in attribute.tensors]
    return RawAttribute(attribute.SerializeToString())


def _documented(attribute: AttributeProto, where: Source | str) -> Any:
    """The value of an attribute that has a doc string besides; None for other attributes."""
    if attribute.ref_attr_name or not attribute.doc_string:
        return None
    plain = AttributeProto()
    plain.CopyFrom(attribute)
    plain.ClearField("doc_string")
    return attribute_value(plain, where)


def metadata(entries: Any) -> dict[str, str]:
    """metadata_props as a dict. Raises OnnxImportError for what is no text."""
    found = {e.key: e.value for e in entries}
    if not all(type(t) is str for pair in found.items() for t in pair):  # protobuf gives bytes for what is no UTF-8
        raise OnnxImportError(f"the metadata {found!r} is no text")
    return found


def written_empty(proto: Any, *names: str) -> tuple[str, ...]:
    """Which of these text fields are written out although they are empty."""
    return tuple([n for n in names if proto.HasField(n) and not getattr(proto, n)])


def _size(d: TensorShapeProto.Dimension) -> int | str | None:
    if d.HasField("dim_value"):
        return d.dim_value if d.dim_value >= 0 else None  # some tools write -1 for a size that is free
    return d.dim_param or None


def declared_type(info: GraphInfo, name: str) -> Type | None:
    """The type that a graph declares for a value of its own; None when it says nothing."""
    data = info.outputs.get(name) or info.inputs.get(name) or info.value_info.get(name)
    if not data:
        return None
    proto = ValueInfoProto()
    proto.ParseFromString(data)
    return type_of(proto.type)

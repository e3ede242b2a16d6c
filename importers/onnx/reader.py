"""A file → ModelProto and its Source, with the checks that tell a model from any other file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto

from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.raise_claims import KEY
from bridge.importers.onnx.source import OWN_FILE, Source, is_external, map_file
from bridge.importers.onnx.wire import without_large_tensors
from bridge.ir.inner_tensors import completed, inner_tensors, without_place

__all__ = ["read_model"]

#: The function in which our exporter keeps tensors that nothing reads.
UNUSED = ("bridge.state", "unused")
#: Files below this many bytes are simply parsed; in others tensors of _LARGE bytes and more are left where they are.
_BIG_FILE, _LARGE = 1 << 24, 1 << 16


def read_model(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, *, follow_links: bool = False, checksums: bool = False
) -> tuple[onnx.ModelProto, Source]:
    """The model of a path, of bytes or a proto as it is, and its :class:`Source`.

    The data of large tensors, and of those in other files, is not in the proto: ``Source.array`` maps it. Tensors of
    attributes and subgraphs are complete. Raises FileNotFoundError, and OnnxImportError when the content is not an ONNX
    model or refers to data that it may not have.
    """
    if isinstance(source, onnx.ModelProto):
        model, origin = source, Source("the model")
    elif isinstance(source, bytes):
        model, origin = _parse(source, "the model"), Source("the model")
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(2, "no such file", str(path))
        origin = Source(str(path), path.parent, follow_links=follow_links, checksums=checksums)
        model = _read(path, origin)
    _check(model, str(origin))
    model = _with_unused(model)
    _external(model, origin)
    return model, origin


def _with_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """With the tensors that our exporter put aside, as nothing reads them, back among the initializers."""
    index = next((i for i, f in enumerate(model.functions) if (f.domain, f.name) == UNUSED), None)
    if index is None:
        return model
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    tensors = list(whole.graph.initializer)
    for node in whole.functions[index].node:
        if node.op_type != "Constant" or len(node.attribute) != 1 or not node.attribute[0].HasField("t"):
            return model  # somebody else's
        tensors.insert(int(node.name) if node.name.isdecimal() else len(tensors), node.attribute[0].t)
    complete = [onnx.TensorProto.FromString(t.SerializeToString()) for t in tensors]
    del whole.graph.initializer[:], whole.functions[index]
    whole.graph.initializer.extend(complete)
    kept = [o for o in whole.opset_import if o.domain != UNUSED[0]]
    del whole.opset_import[:]
    whole.opset_import.extend(kept)
    return whole


def _read(path: Path, origin: Source) -> onnx.ModelProto:
    if path.stat().st_size < _BIG_FILE:
        return _parse(path.read_bytes(), origin.name)
    with path.open("rb") as file:
        data = map_file(file)
    small = without_large_tensors(data, OWN_FILE, _LARGE)
    if small is None:
        return _parse(data[:], origin.name)
    origin.own_file(data)
    return _parse(small[0], origin.name)


def _parse(data: bytes, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as e:
        raise OnnxImportError(f"{name}: not an ONNX model (or a truncated one): {e}") from e
    return model


def _external(model: onnx.ModelProto, origin: Source) -> None:
    """Check the main graph's external tensors; complete all others: they are small, and compared with others.

    Those of a model of somebody else's keep the record of where they were, and are written there again.
    """
    for t in model.graph.initializer:
        if is_external(t):
            origin.check(t)
    ours = any(e.key == KEY for e in model.graph.metadata_props)
    sparse = (t for s in model.graph.sparse_initializer for t in (s.values, s.indices))
    for tensors, keep in ((inner_tensors(model), not ours), (sparse, False)):
        for t in tensors:
            without_place(t)  # a file has no such record
            if is_external(t):
                data = origin.array(t)
                completed(t, data if isinstance(data, bytes) else data.tobytes(), keep)


def _check(model: Any, name: str) -> None:
    if not model.HasField("graph") or not model.ir_version or not model.opset_import:
        raise OnnxImportError(f"{name}: not an ONNX model: it has no graph, IR version or opset")
    header = (
        model.producer_name,
        model.producer_version,
        model.domain,
        model.doc_string,
        model.graph.name,
        model.graph.doc_string,
    )
    texts = [*header, *(o.domain for o in model.opset_import)]
    texts += [t for f in model.functions for t in (f.name, f.domain, f.overload, *f.input, *f.output, *f.attribute)]
    if not all(type(t) is str for t in texts):  # protobuf gives bytes for what is no UTF-8
        raise OnnxImportError(
            f"{name}: not an ONNX model: the header, or the name of a function or a domain, is no text"
        )
    _check_functions(model, name)
    asked = {(o.domain, o.version) for o in model.opset_import}  # merged models ask for the same version twice
    if len({domain for domain, _ in asked}) != len(asked) or not all(0 < version < 1 << 31 for _, version in asked):
        raise OnnxImportError(f"{name}: it asks for opset versions that cannot be")
    newest = onnx.IR_VERSION
    if model.ir_version > newest:
        raise OnnxImportError(f"{name}: IR version {model.ir_version} is newer than {newest}, the newest that is known")


def _check_functions(model: onnx.ModelProto, name: str) -> None:
    """Raises OnnxImportError for a function that is there twice or, by whatever detour, calls itself."""
    functions: dict[tuple[str, str, str], onnx.FunctionProto] = {}
    for f in model.functions:
        key = f.domain, f.name, f.overload
        if key in functions:
            raise OnnxImportError(f"{name}: the function '{f.name}' of domain '{f.domain}' is there twice")
        functions[key] = f
    done: set[tuple[str, str, str]] = set()
    for start in functions:
        path: dict[tuple[str, str, str], Iterator[tuple[str, str, str]]] = {}
        at: tuple[str, str, str] | None = start
        while at is not None:
            if at in path:
                raise OnnxImportError(f"{name}: the function '{at[1]}' of domain '{at[0]}' calls itself")
            if at not in done:
                path[at] = iter(_called(functions[at]))
            at = None
            while path and at is None:
                last = next(reversed(path))
                at = next((k for k in path[last] if k in functions), None)
                if at is None:
                    done.add(last)
                    del path[last]


def _called(function: onnx.FunctionProto) -> Iterator[tuple[str, str, str]]:
    lists: list[Iterable[onnx.NodeProto]] = [function.node]
    while lists:
        for n in lists.pop():
            yield n.domain, n.op_type, n.overload
            lists += [
                g.node
                for a in n.attribute
                for g in (a.g, *a.graphs)
                if a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS)
            ]

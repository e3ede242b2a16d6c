"""``bridge extract``: a submodule, or what lies between two sets of values, as a model of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ir.errors import BridgeError
from bridge.tools.differences import as_printed, forward_graph

if TYPE_CHECKING:
    import onnx

__all__ = ["extract", "part_of"]


def extract(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    module: str = "",
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    args: Sequence[Any] | None = None,
) -> list[Path]:
    """Write a part of a model file as a model of its own; returns the files written.

    Either the submodule at the dotted path ``module`` (of another tool's model, as the modules that it prints as), in the format of ``target`` (for .onnx with example arguments ``args``,
    unless the program tells its types), or, of an .onnx file, the nodes that compute the values named ``outputs`` from
    those named ``inputs`` and the model's own inputs and weights. Raises BridgeError for a name that is not there or a value
    that needs more than it is given, and what reading and writing raise.
    """
    from bridge import formats

    if bool(module) == bool(outputs):
        raise BridgeError("say either which submodule to extract, or which outputs")
    if module:
        with tempfile.TemporaryDirectory() as folder:
            return formats.save(_runnable(formats.load(source), module, Path(folder)), target, args=args)
    if Path(source).suffix != ".onnx" or Path(target).suffix != ".onnx":
        raise BridgeError("values by name are extracted from .onnx files to .onnx files; extract a submodule instead")
    from bridge.exporters.onnx.large import save_model
    from bridge.importers.onnx.reader import read_model
    from bridge.importers.onnx.source import is_external
    from bridge.ir.inner_tensors import inner_tensors, kept_place

    model, origin = read_model(source)
    part = part_of(model, inputs, outputs)
    arrays = origin.arrays(part.graph.initializer)
    # What its file has of weights is one file beside it: where they were, other weights would leave holes.
    beside = any(origin.record(t) for t in part.graph.initializer) or any(map(kept_place, inner_tensors(part)))
    for t in part.graph.initializer:
        if is_external(t) and not origin.record(t):
            _host(t)
    return save_model(part, arrays, target, external_data=beside or None)


def _runnable(whole: Any, path: str, folder: Path) -> Any:
    """The submodule at a path, as a program of its own. Raises BridgeError where it has no ``forward``."""
    part = submodule(whole, path)
    graph = forward_graph(whole)
    if graph is not None and graph.foreign is not None:
        whole = as_printed(whole, folder)
        part, graph = submodule(whole, path), forward_graph(whole)
        inner = forward_graph(part)
        if inner is not None and graph is not None:
            inner.exact = graph.exact
            inner.opsets.update(graph.opsets)
    if forward_graph(part) is None:
        raise BridgeError(
            f"'{path}' is called nowhere as a whole, so it is no model by itself: extract what lies between values, or a module in it"
        )
    return part


def _host(t: onnx.TensorProto) -> None:
    from bridge.exporters.onnx.large import HOST

    for e in t.external_data:
        if e.key == "location":
            e.value = HOST


def submodule(module: Any, path: str) -> Any:
    """The submodule at a dotted path. Raises BridgeError naming the submodules that there are."""
    at = module
    for part in path.split(".") if path else ():
        children = dict(at.named_children()) if hasattr(at, "named_children") else {}
        if part not in children:
            raise BridgeError(f"no submodule '{part}' in '{path}' (there are: {', '.join(children) or 'none'})")
        at = children[part]
    return at


def part_of(model: onnx.ModelProto, inputs: Iterable[str], outputs: Iterable[str]) -> onnx.ModelProto:
    """A model of the top-level nodes that compute ``outputs`` from ``inputs``, the model's own inputs and its initializers.

    Values whose type nobody declares get the type that onnx infers, else none. Raises BridgeError for a name that the model's
    top level does not have.
    """
    import onnx

    graph = model.graph
    makers = {name: n for n in graph.node for name in n.output if name}
    initial = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    own = {i.name for i in graph.input}
    cut = list(dict.fromkeys(inputs))
    for name in (*cut, *outputs):
        if name not in makers and name not in initial and name not in own:
            raise BridgeError(f"the model's top level has no value '{name}'")
    kept: dict[int, onnx.NodeProto] = {}
    used: dict[str, None] = {}
    stack = list(outputs)
    while stack:
        name = stack.pop()
        if name in used:
            continue
        used[name] = None
        node = makers.get(name)
        if node is None or name in cut or id(node) in kept:
            continue
        kept[id(node)] = node
        stack += outer_names(node)
    part = onnx.ModelProto()
    part.CopyFrom(model)
    for field in ("node", "input", "output", "value_info", "initializer", "sparse_initializer", "metadata_props"):
        part.graph.ClearField(field)
    part.graph.node.extend(n for n in graph.node if id(n) in kept)
    part.graph.initializer.extend(t for t in graph.initializer if t.name in used and t.name not in cut)
    part.graph.sparse_initializer.extend(s for s in graph.sparse_initializer if s.values.name in used)
    types = _types(model)
    wanted = [n for n in (*own, *cut) if n in used and (n in cut or n not in makers)]
    part.graph.input.extend(_info(n, types) for n in dict.fromkeys(wanted))
    part.graph.output.extend(_info(n, types) for n in dict.fromkeys(outputs))
    part.graph.value_info.extend(v for v in graph.value_info if v.name in used)
    del part.metadata_props[:]  # it told of the whole program
    return part


def outer_names(node: onnx.NodeProto) -> list[str]:
    """The values that a node takes from the graph around it, those that its subgraphs take included."""
    found = [name for name in node.input if name]
    for a in node.attribute:
        for g in (a.g,) if a.HasField("g") else a.graphs:
            inside = {i.name for i in g.input} | {t.name for t in g.initializer} | {o for n in g.node for o in n.output}
            found += [name for n in g.node for name in outer_names(n) if name not in inside]
            found += [o.name for o in g.output if o.name not in inside]
    return found


def _types(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The types that a model declares or onnx infers, by name."""
    import onnx

    graph = model.graph
    found = {v.name: v for v in (*graph.value_info, *graph.output, *graph.input)}
    for t in graph.initializer:
        found.setdefault(t.name, onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return found
    return {v.name: v for v in inferred.graph.value_info} | found


def _info(name: str, types: dict[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    import onnx

    return types.get(name) or onnx.ValueInfoProto(name=name)

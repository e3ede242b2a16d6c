"""ONNX's nodes with bodies as TorchScript's loops, on a graph that is to be read: ``Loop``, ``Scan``, ``SequenceMap``.

A scan output is a list that every iteration appends to, and that :data:`STACKED` turns into one tensor after the loop: with the
shape that the model declares when there was no iteration at all, as ONNX has it. Works in place; nothing changes what the
graph computes. A node whose bodies have no such form is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.values import declared_type
from bridge.importers.script.control import MAX_TRIPS
from bridge.importers.script.loops import canonicalize_modified_loops
from bridge.ir.classes import Function, FunctionType
from bridge.ir.foreign import Subgraph
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.schema import Argument, Schema
from bridge.ir.types import BOOL, INT, NONE, TENSOR, ListType, TensorType, optional, unify, unshaped

__all__ = ["STACKED", "call", "structure"]


def _undefined(f: Function) -> None:
    raise OnnxImportError("'stacked' is defined in Python, in bridge.jit.printed")


#: ``bridge.jit.printed.stacked``: the values of a scan output as one tensor.
STACKED = Function(
    "__torch__.torch.jit.printed.stacked",
    schema=Schema(
        "stacked",
        "",
        [Argument("values", ListType(TENSOR)), Argument("empty", optional(TENSOR), None)],
        [Argument("", TENSOR)],
    ),
    define=_undefined,
)


def structure(graph: Graph) -> None:
    """Turn every node with bodies into loops. Raises OnnxImportError for one that is not known, with its name."""
    owners = [n for n in graph.all_nodes() if n.blocks]
    if not owners:
        return
    for node in owners:
        if node.kind != "prim::If":
            make = _MAKERS.get(node.kind)
            if make is _scan and graph.opsets.get("", 9) < 9:
                make = _batched_scan
            if make is None:
                raise _no_form(node, "its graphs have no form in Python")
            with graph.inserting(node), graph.at_range(node.range):
                make(graph, node)
            node.destroy()
    canonicalize_modified_loops(graph)
    for node in list(graph.all_nodes()):
        if node.kind == "aten::__and__":
            _drop_true(node)
        elif node.kind == "prim::Loop":
            _name_loop(node)


def _name_loop(node: Node) -> None:
    """Names for what only Python needs: the count ``i``, ``going`` for the condition of a ``while``."""
    counter, *carried = node.blocks[0].inputs
    limit = node.inputs[0].node
    if limit.attributes.get("value") == MAX_TRIPS:
        call(counter, "going")
        if carried and carried[-1].type is INT and not carried[-1].has_debug_name:
            call(node.outputs[-1], "i")
    else:
        call(counter, "i")


def _drop_true(node: Node) -> None:
    """``a & True`` is ``a``."""
    for v, other in (node.inputs, node.inputs[::-1]):
        if v.node.kind == "prim::Constant" and v.node.attributes.get("value") is True:
            node.output.replace_all_uses_with(other)
            node.destroy()
            return


def _no_form(node: Node, why: str) -> OnnxImportError:
    return OnnxImportError(f"node '{node.export_name or node.outputs[0].debug_name}' ({node.kind}): {why}")


class _LoopBuilder:
    """Makes a ``prim::Loop`` before a node out of the node's body."""

    def __init__(self, graph: Graph, node: Node, trip: Value | None, going: Value | None) -> None:
        self.graph, self.node, self.old = graph, node, node.blocks[0]
        true = graph.constant(True, BOOL)
        trip = trip if trip is not None else graph.constant(MAX_TRIPS, INT)
        self.loop = graph.create("prim::Loop", [trip, going if going is not None else true], 0)
        self.loop.export_name, self.loop.foreign = node.export_name, node.foreign
        self.body = self.loop.add_block()
        self.index = self.body.add_input("", INT)
        self.forever = trip.node.attributes.get("value") == MAX_TRIPS
        self.lists: list[Value] = []

    def carry(self, initial: Value, inner: Value, handed: Value) -> None:
        """One more carried value; ``inner`` is what the body called it, ``handed`` what it hands on."""
        self.loop.add_input(initial)
        new = self.body.add_input("", unify(unshaped(initial.type), unshaped(handed.type)) or initial.type)
        inner.replace_all_uses_with(new)
        _take_name(new, inner)

    def list_for(self, name: str) -> Value:
        """A new list of tensors before the loop."""
        n = self.graph.insert(self.graph.create("prim::ListConstruct"))
        n.output.type = ListType(TENSOR)
        call(n.output, name)
        self.lists.append(n.output)
        return n.output

    def count(self) -> None:
        """A loop without a trip count counts by itself; call it last of what is carried, where the count is needed."""
        if self.forever:
            with self.graph.inserting(self.loop):
                self.loop.add_input(self.graph.constant(0, INT))
            self.index = self.body.add_input("", INT)

    def index_tensor(self, rank: int = 0) -> Value:
        """The number of the iteration as a tensor; call it while inserting into the body."""
        return tensor_of(self.graph, self.index, rank)

    def place(self) -> None:
        """Put the loop before the node and the node's statements into it."""
        self.graph.insert(self.loop)
        for n in list(self.old.nodes):
            n.move_before(self.body.return_node)

    def finish(self, going: Value, carried: Sequence[Value], scanned: Sequence[tuple[Value, Value]]) -> list[Value]:
        """Hand on ``carried`` and append to the lists; returns the loop's results."""
        with self.graph.inserting(self.body):
            for values, v in scanned:
                append = self.graph.insert(self.graph.create("aten::append", [values, v]))
                append.overload, append.output.type = "t", values.type
        self.body.add_output(going)
        for v in carried:
            self.body.add_output(v)
            self.loop.add_output(self.body.inputs[len(self.loop.outputs) + 1].type)
        results = list(self.loop.outputs)
        if len(self.loop.inputs) > 2 + len(carried):  # its own count
            with self.graph.inserting(self.body):
                following = self.graph.add("aten::add", self.index, self.graph.constant(1, INT), type=INT)
            following.node.overload = "int"
            self.body.add_output(following)
            self.loop.add_output(INT)
        return results


def tensor_of(graph: Graph, number: Value, rank: int = 0) -> Value:
    """``torch.tensor(number)``, or ``torch.tensor([number])`` of rank 1."""
    if rank:
        pack = graph.insert(graph.create("prim::ListConstruct", [number]))
        pack.output.type = ListType(INT)
        number = pack.output
    none, false = graph.constant(None, NONE), graph.constant(False, BOOL)
    n = graph.insert(graph.create("aten::tensor", [number, none, none, false]))
    n.overload = "" if rank else "int"
    return n.output


def _number(graph: Graph, v: Value) -> Value:
    """``int(v)``; the number itself where the tensor is constant."""
    known = constant_array(v)
    if known is not None and known.size == 1:
        return graph.constant(int(known.reshape(-1)[0]), INT)
    n = graph.insert(graph.create("aten::Int", [v]))
    n.overload, n.output.type = "Tensor", INT
    return call(n.output, "trips")


def call(v: Value, name: str) -> Value:
    """Name a value; one that has the name already keeps it, and the new one is ``name.1``, ``name.2``…"""
    graph = v.node.graph
    if v.has_debug_name:
        v.set_debug_name("")
    if not name or graph.value(name) is None:
        return v.set_debug_name(name)
    number = graph._suffixes.get(name, 1)
    while graph.value(f"{name}.{number}") is not None:
        number += 1
    graph._suffixes[name] = number + 1
    return v.set_debug_name(f"{name}.{number}")


def _truth(graph: Graph, v: Value) -> Value:
    """``bool(v)``; the constant itself where the tensor is constant."""
    known = constant_array(v)
    if known is not None and known.size == 1:
        return graph.constant(bool(known.reshape(-1)[0]), BOOL)
    n = graph.insert(graph.create("aten::Bool", [v]))
    n.overload, n.output.type = "Tensor", BOOL
    return n.output


def constant_array(v: Value) -> Any:
    """The array of a constant; None for other values."""
    value = v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None
    return value if isinstance(value, np.ndarray) else None


def _omitted(v: Value) -> bool:
    return v.type is NONE


def _take_name(new: Value, old: Value) -> None:
    name = old.debug_name if old.has_debug_name else ""
    new.export_name = old.export_name
    if name:
        old.set_debug_name("")
        new.set_debug_name(name)


def _replace(old: Value, new: Value) -> None:
    """Use ``new`` for ``old`` from here on; the new value takes the name."""
    old.replace_all_uses_with(new)
    _take_name(new, old)


def _drop_identities(old: Block, condition: Value) -> bool:
    """Whether a body hands its condition on as it is; the nodes that only do that are removed."""
    v, passing = old.outputs[0], []
    while v is not condition and v.node.kind == "onnx::Identity":
        passing.append(v.node)
        v = v.node.input
    if v is not condition:
        return False
    old.return_node.replace_input(0, condition)
    for n in passing:
        if not n.output.use_count:
            n.destroy()
    return True


def _info(node: Node, attribute: str = "body") -> Subgraph:
    found = node.attributes.get(attribute)
    if not isinstance(found, Subgraph):
        raise _no_form(node, f"it has no graph '{attribute}'")
    return found


def _empty(graph: Graph, info: Subgraph, inner: Value, outer: Value, axis: int = 0) -> Value:
    """What a scan output is after no iteration: no rows of the shape that is declared; free sizes are 0, as in onnxruntime.

    None where the model does not say it.
    """
    declared = declared_type(info.info, inner.export_name or "")
    outside = outer.type
    if isinstance(outside, TensorType) and outside.dims is not None:
        outside = TensorType(outside.dtype, [d for i, d in enumerate(outside.dims) if i != axis % len(outside.dims)])
    known = [t for t in (declared, inner.type, outside) if isinstance(t, TensorType) and t.dtype is not None]
    if not known:
        return graph.constant(None, NONE)
    t = next((t for t in known if t.dims is not None), known[0])
    assert t.dtype is not None
    sizes = [0] if t.dims is None else [0, *(max(d, 0) if isinstance(d, int) else 0 for d in t.dims)]
    if math.prod(d or 1 for d in sizes) >= 1 << 56:
        return graph.constant(None, NONE)  # numpy has no such array, not even an empty one
    return graph.constant(np.empty(sizes, t.dtype.numpy), TENSOR)


def stack(graph: Graph, values: Value, empty: Value) -> Value:
    """``stacked(values, empty)``"""
    function = graph.insert(graph.create("prim::Constant", name="stacked"))
    function.output.type = FunctionType(STACKED)
    return graph.add("prim::CallFunction", function.output, values, empty)


# -- Loop --------------------------------------------------------------------------------------------------------------


def _loop(graph: Graph, node: Node) -> None:
    info, old = _info(node), node.blocks[0]
    inputs = list(node.inputs) + [graph.constant(None, NONE)] * (2 - len(node.inputs))
    carried = inputs[2:]
    if len(old.inputs) != len(carried) + 2 or len(old.outputs) < len(carried) + 1:
        raise _no_form(node, f"its body takes {len(old.inputs)} values and gives {len(old.outputs)}")
    trip = None if _omitted(inputs[0]) else _number(graph, inputs[0])
    going = None if _omitted(inputs[1]) else _truth(graph, inputs[1])
    lists = [f"{v.debug_name_base or 'values'}_list" for v in old.outputs[1 + len(carried) :]]
    build = _LoopBuilder(graph, node, trip, going)
    made = [build.list_for(name) for name in lists]
    for initial, inner, handed in zip(carried, old.inputs[2:], old.outputs[1:], strict=False):
        build.carry(initial, inner, handed)
    build.place()
    first, condition = old.inputs[0], old.inputs[1]
    if first.use_count:
        build.count()
    with graph.inserting(next(iter(build.body.nodes), build.body.return_node)):
        if first.use_count:
            declared = declared_type(info.info, first.export_name or "")
            rank = declared.rank if isinstance(declared, TensorType) and declared.rank else 0
            first.replace_all_uses_with(build.index_tensor(rank))
    unchanged = _drop_identities(old, condition)
    with graph.inserting(next(iter(build.body.nodes), build.body.return_node)):
        if condition.use_count > int(unchanged):  # it was true, or the body would not run
            condition.replace_all_uses_with(graph.constant(np.array(True), TENSOR))
    with graph.inserting(build.body):
        proceed = graph.constant(True, BOOL) if unchanged else _truth(graph, old.outputs[0])
    count = len(carried)
    scans = list(old.outputs[1 + count :])
    outputs = build.finish(proceed, old.outputs[1 : 1 + count], list(zip(made, scans, strict=True)))
    for o, new in zip(node.outputs, outputs, strict=False):
        _replace(o, new)
    for o, values, inner in zip(node.outputs[count:], made, scans, strict=False):
        _replace(o, stack(graph, values, _empty(graph, info, inner, o)))


# -- Scan --------------------------------------------------------------------------------------------------------------


def _batched_scan(graph: Graph, node: Node) -> None:
    """A Scan of opset 8: the same for each element of a batch, so a loop around a Scan as it is today.

    Sequences may have lengths of their own; what each gives is filled up with zeros, as onnxruntime does.
    """
    lengths, *given = node.inputs
    count, states = node.attributes.get("num_scan_inputs", 0), 0
    if not _omitted(lengths):
        if not isinstance(count, int) or not 0 < count <= len(given):
            raise _no_form(node, "it does not say how many inputs it goes through")
        states = len(given) - count
    size = _size(graph, given[0], 0)
    build = _LoopBuilder(graph, node, size, None)
    made = [build.list_for(f"{v.debug_name_base or 'values'}_list") for v in node.outputs]
    graph.insert(build.loop)
    with graph.inserting(build.body):
        at = build.index_tensor()
        taken = [graph.add("onnx::Gather", v, at, axis=0) for v in given]
        length = graph.add("onnx::Gather", lengths, at, axis=0) if not _omitted(lengths) else None
        steps = _number(graph, length) if length is not None else None
        inner = graph.create("onnx::Scan", taken, len(made))
        inner.attributes = {k: v for k, v in node.attributes.items() if k != "directions"}
        inner.attributes["scan_input_directions"] = node.attributes.get("directions")
        inner.export_name = node.export_name
        inner.blocks, node.blocks = node.blocks, inner.blocks
        for b in inner.blocks:
            b.owner = inner
        graph.insert(inner)
        results = list(inner.outputs)
        if length is not None:
            body, info = inner.blocks[0], _info(inner)
            results[states:] = [
                _filled(graph, node, v, _element_type(info, o), taken[states], length)
                for v, o in zip(results[states:], body.outputs[states:], strict=False)
            ]
        proceed = graph.constant(True, BOOL)
    build.finish(proceed, (), list(zip(made, results, strict=True)))
    for o, values in zip(node.outputs, made, strict=True):
        _replace(o, stack(graph, values, graph.constant(None, NONE)))
    with graph.inserting(inner):
        _scan(graph, inner, steps)
    inner.destroy()


def _element_type(info: Subgraph, v: Value) -> Any:
    t = declared_type(info.info, v.export_name or "") or v.type
    return t.dtype if isinstance(t, TensorType) else None


def _filled(graph: Graph, node: Node, v: Value, dtype: Any, sequence: Value, length: Value) -> Value:
    """The stacked values of one sequence with zeros behind them, as many as the longest may have."""
    if dtype is None or dtype.kind == "s":
        raise _no_form(node, "the model does not say what elements it gives, whose sequences are filled up with zeros")
    most = graph.add("onnx::Gather", graph.add("onnx::Shape", sequence), graph.constant(np.array(0), TENSOR), axis=0)
    missing = graph.add("onnx::Unsqueeze", graph.add("onnx::Sub", most, length), axes=[0])
    rest = graph.add("onnx::Slice", graph.add("onnx::Shape", v), starts=[1], ends=[1 << 31], axes=[0])
    shape = graph.add("onnx::Concat", missing, rest, axis=0)
    zeros = graph.add("onnx::Expand", graph.constant(np.zeros((), dtype.numpy), TENSOR), shape)
    return graph.add("onnx::Concat", v, zeros, axis=0)


def _size(graph: Graph, v: Value, axis: int) -> Value:
    """``v.size(axis)``"""
    n = graph.insert(graph.create("aten::size", [v, graph.constant(axis, INT)]))
    n.overload, n.output.type = "int", INT
    return n.output


def _scan(graph: Graph, node: Node, steps: Value | None = None) -> None:
    """``steps``: how many there are, where that is not how long the first input is."""
    info, old = _info(node), node.blocks[0]
    count = node.attributes.get("num_scan_inputs", 0)
    if not isinstance(count, int) or not 0 < count <= len(node.inputs):
        raise _no_form(node, "it does not say how many inputs it goes through")
    states, scanned = list(node.inputs[: len(node.inputs) - count]), list(node.inputs[len(node.inputs) - count :])
    outs = len(old.outputs) - len(states)
    if len(old.inputs) != len(node.inputs) or count < 1 or outs < 0:
        raise _no_form(node, f"its body takes {len(old.inputs)} values and gives {len(old.outputs)}")
    axes = list(node.attributes.get("scan_input_axes") or [0] * count)
    backward = list(node.attributes.get("scan_input_directions") or [0] * count)
    out_axes = list(node.attributes.get("scan_output_axes") or [0] * outs)
    out_backward = list(node.attributes.get("scan_output_directions") or [0] * outs)
    size = steps if steps is not None else _size(graph, scanned[0], axes[0])
    build = _LoopBuilder(graph, node, size, None)
    made = [build.list_for(f"{v.debug_name_base or 'values'}_list") for v in old.outputs[len(states) :]]
    for initial, inner, handed in zip(states, old.inputs, old.outputs, strict=False):
        build.carry(initial, inner, handed)
    build.place()
    with graph.inserting(next(iter(build.body.nodes), build.body.return_node)):
        for x, inner, axis, reverse in zip(scanned, old.inputs[len(states) :], axes, backward, strict=True):
            at = build.index_tensor()
            if reverse:
                last = graph.add("aten::sub", size, build.index, type=INT)
                last.node.overload = "int"
                last = graph.add("aten::sub", last, graph.constant(1, INT), type=INT)
                last.node.overload = "int"
                at = tensor_of(graph, last)
            element = graph.add("onnx::Gather", x, at, axis=axis)
            _replace(inner, element)
    scans = list(old.outputs[len(states) :])
    if len(scans) < len(node.outputs) - len(states):
        raise _no_form(node, f"it gives {len(node.outputs)} values, its body {len(old.outputs)}")
    with graph.inserting(build.body):
        proceed = graph.constant(True, BOOL)
    outputs = build.finish(proceed, old.outputs[: len(states)], list(zip(made, scans, strict=True)))
    for o, new in zip(node.outputs, outputs, strict=False):
        _replace(o, new)
    for i, o in enumerate(node.outputs[len(states) :]):
        empty = _empty(graph, info, scans[i], o, out_axes[i])
        result = stack(graph, made[i], empty)
        _replace(o, _turned(graph, node, result, out_axes[i], out_backward[i], scans[i], info))


def _turned(graph: Graph, node: Node, v: Value, axis: int, backward: int, inner: Value, info: Subgraph) -> Value:
    """The stacked values in the order and along the axis that the Scan asked for."""
    if backward:
        one = [graph.constant(np.array([x]), TENSOR) for x in (-1, -(1 << 63) + 1, 0, -1)]
        v = graph.add("onnx::Slice", v, *one)
    if not axis:
        return v
    t = declared_type(info.info, inner.export_name or "") or inner.type
    if not isinstance(t, TensorType) or t.rank is None:
        raise _no_form(node, f"the model does not say how many dimensions its scan output '{inner.export_name}' has")
    order = list(range(1, t.rank + 1))
    order.insert(axis % (t.rank + 1), 0)
    return graph.add("onnx::Transpose", v, perm=order)


# -- SequenceMap -------------------------------------------------------------------------------------------------------


def _sequence_map(graph: Graph, node: Node) -> None:
    info, old = _info(node), node.blocks[0]
    if len(old.inputs) != len(node.inputs) or len(old.outputs) != len(node.outputs):
        raise _no_form(node, f"its body takes {len(old.inputs)} values and gives {len(old.outputs)}")
    length = graph.add("onnx::SequenceLength", node.inputs[0])
    starts = [_empty_sequence(graph, node, info, inner, o) for inner, o in zip(old.outputs, node.outputs, strict=True)]
    build = _LoopBuilder(graph, node, _number(graph, length), None)
    growing = []
    for start in starts:
        build.loop.add_input(start)
        growing.append(build.body.add_input("", start.type))
    build.place()
    with graph.inserting(next(iter(build.body.nodes), build.body.return_node)):
        for outer, inner in zip(node.inputs, old.inputs, strict=True):
            if isinstance(outer.type, ListType):
                _replace(inner, graph.add("onnx::SequenceAt", outer, build.index_tensor()))
            else:
                inner.replace_all_uses_with(outer)
    with graph.inserting(build.body):
        grown = [
            graph.add("onnx::SequenceInsert", values, v, type=values.type)
            for values, v in zip(growing, old.outputs, strict=True)
        ]
        proceed = graph.constant(True, BOOL)
    for o, new in zip(node.outputs, build.finish(proceed, grown, ()), strict=True):
        _replace(o, new)


def _empty_sequence(graph: Graph, node: Node, info: Subgraph, inner: Value, outer: Value) -> Value:
    t = declared_type(info.info, inner.export_name or "") or inner.type
    if not isinstance(t, TensorType) or t.dtype is None:
        t = outer.type.element if isinstance(outer.type, ListType) else t
    if not isinstance(t, TensorType) or t.dtype is None:
        raise _no_form(node, f"the model does not say what elements '{outer.export_name}' has")
    return graph.add("onnx::SequenceEmpty", type=ListType(TENSOR), dtype=t.dtype.onnx)


_MAKERS: dict[str, Callable[[Graph, Node], None]] = {
    "onnx::Loop": _loop,
    "onnx::Scan": _scan,
    "onnx::SequenceMap": _sequence_map,
}

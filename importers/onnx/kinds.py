"""Which values of an imported graph are tensors, lists, optionals or maps: what the file does not declare is worked out."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.importers.onnx.schemas import gives_tensors, result_types
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.types import NONE, ListType, TensorType, TupleType, Type, unify, unshaped

__all__ = ["propagate_kinds"]


def propagate_kinds(graph: Graph) -> None:
    """Give every value that is taken for a tensor, and is none, its type. ``graph.opsets`` says which operators are meant."""
    _block(graph.block, graph.opsets)


def _block(block: Block, opsets: dict[str, int]) -> None:
    for node in block.nodes:
        domain, _, name = node.kind.partition("::")
        if node.blocks or domain in _OWN or not _plain(domain, name, opsets):
            _node(node, opsets)


_OWN = ("aten", "prim", "bridge")


def _plain(domain: str, name: str, opsets: dict[str, int]) -> bool:
    """Whether all that an operator gives is tensors, which values are taken for before anything is known."""
    domain = "" if domain == "onnx" else domain
    return gives_tensors(name, domain, opsets.get(domain, 1))


def _node(node: Node, opsets: dict[str, int]) -> None:
    domain, _, name = node.kind.partition("::")
    if node.kind == "onnx::Loop":
        _enter(node.blocks[0], [None, None, *node.inputs[2:]])
    elif node.kind == "onnx::SequenceMap":
        _enter(node.blocks[0], [None if isinstance(v.type, ListType) else v for v in node.inputs])
    elif node.kind in ("onnx::Scan", "prim::Loop"):
        _enter(node.blocks[0], node.inputs[1:] if node.kind == "prim::Loop" else node.inputs)
    for b in node.blocks:
        _block(b, opsets)
    if node.kind == "prim::If":
        _refine(node.outputs, [_either(a, b) for a, b in zip(*(b.outputs for b in node.blocks), strict=True)])
    elif node.kind in ("onnx::Loop", "prim::Loop"):
        _refine(node.outputs, [v.type for v in node.blocks[0].outputs[1 : len(node.inputs) - 1]])
    elif node.kind == "prim::TupleConstruct":
        node.output.type = TupleType(*[v.type for v in node.inputs])
    elif domain not in _OWN and not _plain(domain, name, opsets):
        domain = "" if domain == "onnx" else domain
        version = opsets.get(domain, 1)
        types = [v.type for v in node.inputs]
        found = result_types(name, domain, version, types, node.attributes, len(node.outputs))
        _refine(node.outputs, found)


def _enter(block: Block, values: Iterable[Value | None]) -> None:
    for inner, outer in zip(block.inputs, values, strict=False):
        if outer is not None:
            _refine([inner], [outer.type])


def _either(a: Value, b: Value) -> Type:
    found = unify(unshaped(a.type), unshaped(b.type))
    return found if found is not None else a.type


def _refine(values: Iterable[Value], types: Iterable[Type]) -> None:
    for v, t in zip(values, types, strict=False):
        if isinstance(v.type, TensorType) and not isinstance(t, TensorType) and t is not NONE:
            v.type = t

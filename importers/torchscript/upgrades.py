"""Operators as older archives mean them: each becomes the statements that say the same today, as torch's upgraders do."""

from __future__ import annotations

import functools

from bridge.importers.script import compile_function, parse_source, source_environment, tree
from bridge.importers.script.sugared import EnvironmentResolver
from bridge.ir.graph import Graph, Node
from bridge.ir.node_schema import schema_of
from bridge.ir.op_versions import meant_otherwise
from bridge.ir.passes.constant_propagation import propagate_constants_of_immutable_types
from bridge.ir.passes.constants import must_be_none
from bridge.ir.passes.inline import inline_call

__all__ = ["upgrade"]

# Before version 4, the quotient of integers was an integer; before version 5, what `full` gave was of the default type.
_TEXT = """
def div_Tensor(self: Tensor, other: Tensor) -> Tensor:
    if self.is_floating_point() or other.is_floating_point():
        return self.true_divide(other)
    return self.divide(other, rounding_mode='trunc')

def div_Scalar(self: Tensor, other: Union[int, float, complex]) -> Tensor:
    if self.is_floating_point() or isinstance(other, float):
        return self.true_divide(other)
    return self.divide(other, rounding_mode='trunc')

def div__Tensor(self: Tensor, other: Tensor) -> Tensor:
    if self.is_floating_point() or other.is_floating_point():
        return self.true_divide_(other)
    return self.divide_(other, rounding_mode='trunc')

def div__Scalar(self: Tensor, other: Union[int, float, complex]) -> Tensor:
    if self.is_floating_point() or isinstance(other, float):
        return self.true_divide_(other)
    return self.divide_(other, rounding_mode='trunc')

def div_out(self: Tensor, other: Tensor, out: Tensor) -> Tensor:
    if self.is_floating_point() or other.is_floating_point() or out.is_floating_point():
        return self.true_divide(other, out=out)
    return self.divide(other, rounding_mode='trunc', out=out)

def full_(size: List[int], fill_value: number, dtype: Optional[int], layout: Optional[int], device: Optional[Device],
          pin_memory: Optional[bool]) -> Tensor:
    fill_value = float(fill_value)
    return torch.full(size, fill_value, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory)
"""


@functools.cache
def _definitions() -> dict[str, tree.Def]:
    return {d.name: d for d in parse_source(_TEXT) if isinstance(d, tree.Def)}


@functools.cache
def _graph(name: str) -> Graph | None:
    definition = _definitions().get(name)
    if definition is None:
        return None
    function = compile_function(definition, EnvironmentResolver(source_environment()), name, ranges=lambda _: None)
    function.ensure_defined()
    return function.graph


def upgrade(graph: Graph, version: int) -> list[Node]:
    """Rewrite the operators that meant something else in that version; returns those that there is no rewriting for."""
    left, changed = [], False
    for node in list(graph.all_nodes()):
        if "Subgraph" in node.attributes:
            left += upgrade(node["Subgraph"], version)
        if not meant_otherwise(node, version):
            continue
        for o in node.outputs:
            o.set_debug_name("")  # as torch leaves it
        if _means_the_same(node):
            continue
        schema = schema_of(node)
        body = None if schema is None else _graph(f"{node.kind.removeprefix('aten::')}_{schema.overload}")
        if body is None or len(body.inputs) != len(node.inputs):
            left.append(node)
            continue
        changed = True
        with graph.at_range(node.range):
            inline_call(node, body)
    if changed:
        propagate_constants_of_immutable_types(graph)
    return left


def _means_the_same(node: Node) -> bool:
    """``full`` into a tensor, or of a dtype that is given."""
    return node.kind == "aten::full" and not (len(node.inputs) > 3 and must_be_none(node.inputs[2]))

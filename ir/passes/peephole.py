"""Small rewrites that look at a node and its neighbours: ``x is None`` of what cannot be None, ``n * 1``, ``len([a, b])``…

Needs: a valid graph. Promises: the same results, effects and errors. ``shapes`` also uses the dtypes, ranks and devices
that the types of tensors state (they must be true then). Linear; ends with dead code elimination.
"""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.dtypes import DType
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.aliases import AliasAnalysis
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value, insert_constant, must_be_none, must_not_be_none
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.peephole_memory import simplify_memory

__all__ = ["simplify"]


@graph_pass
def simplify(graph: Graph, shapes: bool = True) -> bool:
    """Apply the rewrites; whether anything changed."""
    p = _Peephole(graph, shapes)
    p.tensor_block(graph.block)
    p.lists_and_dicts()
    p.changed |= simplify_memory(graph, shapes)
    p.plain_block(graph.block)
    if p.changed:
        eliminate_dead_code(graph)
    return p.changed


class _Peephole:
    def __init__(self, graph: Graph, shapes: bool) -> None:
        self.graph, self.shapes, self.changed = graph, shapes, False

    def replace(self, v: Value, other: Value) -> None:
        v.replace_all_uses_with(other)
        self.changed = True

    def replace_by_constant(self, v: Value, value: object) -> None:
        with self.graph.inserting(v.node):
            c = insert_constant(self.graph, value)
        assert c is not None
        self.replace(v, c)

    # -- tensors -------------------------------------------------------------------------------------------------------

    def tensor_block(self, block: Block) -> None:
        for n in block.nodes:
            for b in n.blocks:
                self.tensor_block(b)
            if n.kind == "aten::t" and n.inputs[0].node.kind == "aten::t":
                self.replace(n.output, n.inputs[0].node.inputs[0])
            elif n.kind in ("aten::Float", "aten::Int", "aten::FloatImplicit", "aten::IntImplicit"):
                made = n.inputs[0].node
                if made.kind == "prim::NumToTensor" and made.inputs[0].type == n.output.type:
                    self.replace(n.output, made.inputs[0])
            elif n.kind == "aten::ScalarImplicit" and n.inputs[0].node.kind == "prim::NumToTensor":
                self.replace(n.output, n.inputs[0].node.inputs[0])
            elif self.shapes and n.kind == "aten::size":
                self.size(n)
            elif self.shapes and len(n.inputs) == 1 and isinstance(n.inputs[0].type, T.TensorType):
                self.shape_question(n, n.inputs[0].type)

    def shape_question(self, n: Node, t: T.TensorType) -> None:
        if n.kind == "prim::dtype" and isinstance(t.dtype, DType):
            self.replace_by_constant(n.output, t.dtype.code)
        elif n.kind == "aten::dim" and t.rank is not None:
            self.replace_by_constant(n.output, t.rank)
        elif n.kind == "aten::is_floating_point" and t.dtype is not None:
            self.replace_by_constant(n.output, t.dtype.is_floating_point)
        elif n.kind == "aten::is_complex" and t.dtype is not None:
            self.replace_by_constant(n.output, t.dtype.is_complex)

    def size(self, n: Node) -> None:
        t = n.inputs[0].type
        if not isinstance(t, T.TensorType) or t.dims is None:
            return
        if len(n.inputs) == 1:
            if all(isinstance(d, int) for d in t.dims):
                self.replace_by_constant(n.output, list(t.dims))
            return
        dim = constant_value(n.inputs[1])
        if isinstance(dim, int) and -len(t.dims) <= dim < len(t.dims) and isinstance(t.dims[dim], int):
            self.replace_by_constant(n.output, t.dims[dim])

    # -- lists and dicts that nobody changes ---------------------------------------------------------------------------

    def lists_and_dicts(self) -> None:
        wanted = {"aten::len", "aten::__getitem__", "prim::ListUnpack", "aten::add", "aten::slice"}
        made = {"prim::ListConstruct", "prim::DictConstruct"}
        if any(n.kind in wanted and n.inputs and n.inputs[0].node.kind in made for n in self.graph.all_nodes()):
            aliases = AliasAnalysis(self.graph)
            constant = {
                v
                for n in self.graph.all_nodes()
                for v in n.outputs
                if isinstance(v.type, T.ListType | T.DictType) and not aliases.has_writers(v)
            }
            self.container_block(self.graph.block, constant)

    def container_block(self, block: Block, constant: set[Value]) -> None:
        for n in block.nodes:
            for b in n.blocks:
                self.container_block(b, constant)
            if not n.inputs or n.inputs[0] not in constant:
                continue
            made = n.inputs[0].node
            if made.kind == "prim::ListConstruct":
                self.of_list(n, made, constant)
            elif made.kind == "prim::DictConstruct":
                self.of_dict(n, made)

    def of_list(self, n: Node, made: Node, constant: set[Value]) -> None:
        elements = made.inputs
        if n.kind == "aten::len":
            self.replace_by_constant(n.output, len(elements))
        elif n.kind == "aten::__getitem__":
            index = constant_value(n.inputs[1])
            if isinstance(index, int) and -len(elements) <= index < len(elements):
                self.replace(n.output, elements[index])
        elif n.kind == "prim::ListUnpack":
            if len(elements) == len(n.outputs):
                for out, element in zip(n.outputs, elements, strict=True):
                    self.replace(out, element)
        elif n.kind == "aten::add" and len(n.inputs) == 2:
            other = n.inputs[1]
            if other in constant and other.node.kind == "prim::ListConstruct":
                self.new_list(n, [*elements, *other.node.inputs], constant)
        elif n.kind == "aten::slice":
            bounds = [constant_value(v) for v in n.inputs[1:]]
            if all(isinstance(b, int) or b is None for b in bounds) and bounds[2] != 0:
                self.new_list(n, list(elements[slice(*bounds)]), constant)

    def new_list(self, n: Node, elements: list[Value], constant: set[Value]) -> None:
        new = self.graph.create("prim::ListConstruct", elements)
        new.range = None
        new.output.type = n.output.type
        new.insert_before(n)
        if n.output in constant:
            constant.add(new.output)
        self.replace(n.output, new.output)

    def of_dict(self, n: Node, made: Node) -> None:
        keys = [constant_value(v) for v in made.inputs[::2]]
        if not all(isinstance(k, int | float | str) for k in keys) or len(set(keys)) != len(keys):
            return
        if n.kind == "aten::len":
            self.replace_by_constant(n.output, len(keys))
        elif n.kind == "aten::__getitem__":
            key = constant_value(n.inputs[1])
            if key is not NOT_CONSTANT and key in keys:
                self.replace(n.output, made.inputs[2 * keys.index(key) + 1])

    # -- numbers, None and casts ---------------------------------------------------------------------------------------

    def plain_block(self, block: Block) -> None:
        for n in block.nodes:
            for b in n.blocks:
                self.plain_block(b)
            if n.kind != "prim::Constant":
                for v in n.outputs:
                    if v.type is T.NONE:
                        # A value that is always None (an attribute that was None) is the constant.
                        self.replace_by_constant(v, None)
            self.plain(n)

    def plain(self, n: Node) -> None:
        if n.kind == "prim::If":
            self.of_if(n)
        elif n.kind in ("aten::__is__", "aten::__isnot__"):
            a, b = n.inputs
            if (must_be_none(a) and must_not_be_none(b)) or (must_be_none(b) and must_not_be_none(a)):
                self.replace_by_constant(n.output, n.kind == "aten::__isnot__")
        elif n.kind in ("prim::unchecked_unwrap_optional", "aten::_unwrap_optional"):
            if must_not_be_none(n.inputs[0]):
                self.replace(n.output, n.inputs[0])
        elif n.kind == "prim::unchecked_cast":
            if T.unshaped(n.inputs[0].type).is_subtype_of(T.unshaped(n.output.type)):
                self.replace(n.output, n.inputs[0])
        elif n.kind in ("aten::Int", "aten::ceil"):
            if len(n.inputs) == 1 and n.inputs[0].type is T.INT:
                self.replace(n.output, n.inputs[0])
        elif n.kind in ("aten::eq", "aten::ne"):
            if len(n.inputs) == 2 and n.inputs[0] is n.inputs[1] and _equals_itself(n.inputs[0].type):
                self.replace_by_constant(n.output, n.kind == "aten::eq")
        elif n.kind in ("aten::mul", "aten::floordiv", "aten::div"):
            if n.output.type is T.INT and self.constant_operand(n) == 1:
                self.replace(n.output, n.inputs[0])
        elif n.kind in ("aten::add", "aten::sub"):
            self.add_or_subtract(n)

    def of_if(self, n: Node) -> None:
        then, otherwise = n.blocks
        for i, v in enumerate(n.outputs):
            a, b = then.outputs[i], otherwise.outputs[i]
            if v.type is T.BOOL and constant_value(a) is True and constant_value(b) is False:
                self.replace(v, n.input)
            if isinstance(v.type, T.OptionalType):
                if not isinstance(a.type, T.OptionalType) and not isinstance(b.type, T.OptionalType):
                    unified = T.unify(a.type, b.type)
                    if unified is not None:
                        # Counts as a change even when it is none: torch cleans up after it then, and so do we.
                        v.type = unified
                        self.changed = True

    def constant_operand(self, n: Node) -> int | None:
        """The constant of integer arithmetic, which becomes the second operand."""
        if len(n.inputs) != 2 or any(v.type is not T.INT for v in n.inputs):
            return None
        if n.kind in ("aten::mul", "aten::add"):
            first = constant_value(n.inputs[0])
            if first is not NOT_CONSTANT:
                n.permute_inputs([1, 0])
                return int(first)
        second = constant_value(n.inputs[1])
        return None if second is NOT_CONSTANT else int(second)

    def add_or_subtract(self, n: Node) -> None:
        number = self.constant_operand(n)
        if number is None:
            return
        if number == 0:
            self.replace(n.output, n.inputs[0])
            return
        inner = n.inputs[0].node
        if inner.kind not in ("aten::add", "aten::sub"):
            return
        other = self.constant_operand(inner)
        if other is None:
            return
        merged = number + other if inner.kind == n.kind else number - other
        if merged == 0:
            self.replace(n.output, inner.inputs[0])
            return
        n.replace_input(0, inner.inputs[0])
        with self.graph.inserting(n):
            c = insert_constant(self.graph, merged)
        assert c is not None
        n.replace_input(1, c)
        self.changed = True


def _equals_itself(t: T.Type) -> bool:
    simple = (T.BOOL, T.INT, T.NONE)
    if isinstance(t, T.ListType):
        return t.element in simple
    if isinstance(t, T.DictType):
        return t.key in simple and t.value in simple
    return t in simple

"""From the raw trace, one graph with a block per module call, to one method per module.

A port in behaviour of torch/csrc/jit/passes/fixup_trace_scope_blocks.cpp, step for step, because the numbers and names
of values come out of the order in which the steps create them:

1. references to attributes (``prim::TracedAttr``) become ``prim::GetAttr`` in the innermost module that holds them;
2. values used outside the block that defines them become results of the block, up to where both can see them;
3. several results become one tuple, none becomes None;
4. values that a block uses from outside become parameters, and each block a graph;
5. each graph becomes a method of its module (``forward``, ``forward1``…), called with ``prim::CallMethod``.
"""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.collecting import uncollected
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.lower_tuples import lower_simple_tuples
from bridge.ir.schema import Argument, Schema
from bridge.jit.names import python_cu

__all__ = ["default_schema", "define_methods", "flatten"]

_FORWARD = "prim::TracedModuleForward"


@uncollected()
def define_methods(graph: Graph, owner: ScriptObject) -> None:
    """Turn a trace of a module into methods of its submodules' types; ``graph`` becomes the body of the traced method."""
    _Attributes(graph).convert()
    _DominateUses().run(graph.block)
    _tuple_results(graph.block)
    _lift(graph.block)
    _methods_from(graph)
    _clean_methods(owner)
    _clean(graph)


@uncollected()
def flatten(graph: Graph) -> None:
    """Turn a trace of a function into a plain graph (blocks of modules that it called are inlined)."""
    _DominateUses().run(graph.block)
    _tuple_results(graph.block)
    _inline_blocks(graph.block)
    _clean(graph)


# -- 1. attributes --------------------------------------------------------------------------------------------------


class _Attributes:
    """Replaces references to ``prim::TracedAttr`` by ``prim::GetAttr`` chains."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._by_path: dict[str, Value] = {n["scope"]: n.output for n in graph.nodes if n.kind == "prim::TracedAttr"}

    def convert(self) -> None:
        self._add_self(self._graph.block)
        self._convert(self._graph.block, "__module", self._graph.inputs[0])
        for v in self._by_path.values():
            v.node.destroy()

    def _add_self(self, block: Block) -> None:
        for n in block.nodes:
            if n.kind == _FORWARD:
                module = self._by_path[n["scope"]]
                n.add_input(module)
                n.blocks[0].add_input("self", module.type)
                self._add_self(n.blocks[0])

    def _convert(self, block: Block, prefix: str, owner: Value) -> list[Value]:
        """Convert one block; gives the attributes of outer modules that it uses, which the caller passes in."""
        missing: list[Value] = []
        local: dict[Value, Value] = {}
        for n in [*block.nodes, block.return_node]:  # a method may return a parameter as it is
            for sub in n.blocks:
                if n.kind == _FORWARD:
                    inside = self._convert(sub, n["scope"], sub.inputs[0])
                else:
                    inside = self._convert(sub, prefix, owner)
                for v in inside:
                    n.add_input(v)
            for i, v in enumerate(list(n.inputs)):
                if v in local:
                    n.replace_input(i, local[v])
                elif v.node.kind == "prim::TracedAttr":
                    local[v] = self._reference(block, n, i, prefix, owner, missing)
        return missing

    def _reference(self, block: Block, n: Node, i: int, prefix: str, owner: Value, missing: list[Value]) -> Value:
        v = n.inputs[i]
        path: str = v.node["scope"]
        if path != prefix and not path.startswith(prefix + "."):
            assert n.block is not None
            passed = n.block.add_input().copy_metadata(v)
            missing.append(v)
            n.replace_input(i, passed)
            return passed
        found = owner
        assert block.param_node.next is not None
        with self._graph.inserting(block.param_node.next):
            for atom in path[len(prefix) + 1 :].split(".") if path != prefix else ():
                found = get_attribute(self._graph, found, atom)
        n.replace_input(i, found)
        return found


def get_attribute(graph: Graph, owner: Value, name: str) -> Value:
    """A placed ``prim::GetAttr``, named after the attribute (``0`` becomes ``_0``)."""
    assert isinstance(owner.type, ClassType)
    v = graph.add("prim::GetAttr", owner, type=owner.type.attributes[name].type, name=name)
    return v.set_debug_name(f"_{name}" if name.isdigit() else name)


# -- 2. results -----------------------------------------------------------------------------------------------------


class _DominateUses:
    """Lifts values out of the blocks that define them, as far as their uses need it."""

    def __init__(self) -> None:
        self._lifted: dict[Value, Value] = {}

    def run(self, block: Block) -> None:
        self._visit(block.param_node, block)
        for n in block.nodes:
            self._visit(n, block)
        self._visit(block.return_node, block)

    def _visit(self, n: Node, block: Block) -> None:
        for i, v in enumerate(list(n.inputs)):
            used = self._lifted.get(v, v)
            if used is not v:
                n.replace_input(i, used)
            if used.node.block is not block:
                common = _common_block(n, used.node)
                at = used.node.block
                while at is not common:
                    assert at is not None
                    assert at.owner is not None
                    at.add_output(used)
                    used = at.owner.add_output(used.type)
                    at = at.owner.block
                self._lifted[v] = used
                n.replace_input(i, used)
        if n.kind == _FORWARD:
            self.run(n.blocks[0])


def _common_block(a: Node, b: Node) -> Block:
    above: set[Block] = set()
    n: Node | None = a
    while n is not None and n.block is not None:
        above.add(n.block)
        n = n.block.owner
    n = b
    while n is not None and n.block is not None:
        if n.block in above:
            return n.block
        n = n.block.owner
    raise AssertionError("the nodes are of different graphs")


def _tuple_results(block: Block) -> None:
    """Make every block return exactly one value."""
    graph = block.graph
    for n in block.nodes:
        if n.kind != _FORWARD:
            continue
        sub = n.blocks[0]
        _tuple_results(sub)
        if len(sub.outputs) > 1:
            with graph.inserting(sub):
                made = graph.add("prim::TupleConstruct", *sub.outputs, type=T.TupleType(*[v.type for v in sub.outputs]))
            sub.return_node.remove_all_inputs()
            sub.add_output(made)
            whole = n.add_output(T.TupleType(*[o.type for o in n.outputs]))
            count = len(n.outputs) - 1
            unpack = graph.create("prim::TupleUnpack", [whole], count).insert_after(n)
            for o, t in zip(unpack.outputs, n.outputs, strict=False):
                o.type = t.type
            for i in reversed(range(count)):
                n.outputs[i].replace_all_uses_with(unpack.outputs[i])
                n.remove_output(i)
        elif not sub.outputs:
            with graph.inserting(sub):
                sub.add_output(graph.constant(None))
            n.add_output(T.NONE)


# -- 3. methods -----------------------------------------------------------------------------------------------------


def _lift(block: Block) -> None:
    """Make a graph of each module's block; what it used from outside becomes a parameter and an input of the node."""
    for n in block.nodes:
        if n.kind != _FORWARD:
            continue
        _lift(n.blocks[0])
        graph = Graph()
        passed: dict[Value, Value] = {}

        def outer(v: Value, graph: Graph = graph, passed: dict[Value, Value] = passed, n: Node = n) -> Value:
            if v not in passed:
                passed[v] = graph.add_input().copy_metadata(v)
                n.add_input(v)
            return passed[v]

        graph.block.clone_from(n.blocks[0], outer)
        n["Subgraph"] = graph
        n.erase_block(0)


def _methods_from(graph: Graph) -> None:
    for n in graph.nodes:
        if n.kind != _FORWARD:
            continue
        body: Graph = n["Subgraph"]
        callee = n.inputs[0].type
        assert isinstance(callee, ClassType)
        _methods_from(body)
        name, index = "forward", 0
        while callee.find_method(name) is not None:
            index += 1
            name = f"forward{index}"
        function = Function(f"{callee.name}.{name}", body, default_schema(name, body))
        python_cu.add_function(function)
        callee.add_method(function)
        with graph.inserting(n):
            result = graph.add("prim::CallMethod", *n.inputs, type=function.schema.returns[0].type, name=name)
        n.output.replace_all_uses_with(result)
        n.destroy()


def default_schema(name: str, graph: Graph) -> Schema:
    """The schema of a graph that has no declaration: the names of its inputs, types without shapes."""
    arguments = [
        Argument(v.debug_name_base if v.has_debug_name else f"argument_{i}", T.unshaped(v.type))
        for i, v in enumerate(graph.inputs)
    ]
    return Schema(name, "", arguments, [Argument("", T.unshaped(v.type)) for v in graph.outputs])


def _inline_blocks(block: Block) -> None:
    """Without a module to hold methods: put the bodies where they are called."""
    graph = block.graph
    for n in block.nodes:
        for sub in n.blocks:
            _inline_blocks(sub)
        if n.kind == _FORWARD:
            sub = n.blocks[0]
            made: dict[Value, Value] = {}

            def known(v: Value, made: dict[Value, Value] = made) -> Value:
                return made.get(v, v)

            for inner in sub.nodes:
                copy = graph.clone_node(inner, known).insert_before(n)
                made.update(zip(inner.outputs, copy.outputs, strict=True))
            for o, v in zip(n.outputs, sub.outputs, strict=True):
                o.replace_all_uses_with(known(v))
            n.destroy()


# -- 4. cleaning ----------------------------------------------------------------------------------------------------


def _clean(graph: Graph) -> None:
    lower_simple_tuples(graph)
    eliminate_dead_code(graph)


def _clean_methods(owner: ScriptObject) -> None:
    for _, sub in owner.submodules():
        _clean_methods(sub)
    for function in owner.type.methods.values():
        _clean(function.graph)

"""ONNX nodes as statements of their own: ``onnx::Op``, with ``If`` and ``Loop`` as the ``prim::`` statements that they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnx import AttributeProto, GraphProto, NodeProto, numpy_helper

from bridge.importers.onnx.build import kind_of
from bridge.importers.onnx.raise_claims import ClaimBlock, Disbelief, StatementClaim
from bridge.importers.onnx.schemas import result_types
from bridge.ir.printer import type_text
from bridge.ir.types import TENSOR, Type

__all__ = ["Names", "RawStatements", "opsets_of"]

_READABLE = re.compile(r"[A-Za-z_]\w*(\.\d+)?")
_FOREVER = 2**63 - 1

#: Makes the statements of a call of a model-local function; None for nodes that are none.
CallOf = Callable[["RawStatements", NodeProto], "list[StatementClaim] | None"]


class Names:
    """IR names of ONNX values in one frame. Names that a person gave are kept; the rest are numbers."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self.taken = set(taken)
        self.of: dict[str, str] = {}
        self.types: dict[str, Type] = {}
        self.next = 1 + max((int(t) for t in taken if t.isdigit()), default=0)

    def fresh(self, wanted: str = "") -> str:
        """A free name: the wanted one if it is readable and free, else a number."""
        if wanted and _READABLE.fullmatch(wanted) and wanted not in self.taken:
            self.taken.add(wanted)
            return wanted
        while str(self.next) in self.taken:
            self.next += 1
        self.taken.add(str(self.next))
        return str(self.next)

    def define(self, onnx_name: str, t: Type = TENSOR, name: str | None = None) -> str:
        """The IR name of a new ONNX value."""
        if not onnx_name:
            return self.fresh()
        made = name if name is not None else self.fresh(onnx_name)
        self.of[onnx_name], self.types[made] = made, t
        return made

    def use(self, onnx_name: str) -> str:
        """The IR name of a value. Raises Disbelief when nothing visible has that name."""
        found = self.of.get(onnx_name)
        if found is None:
            raise Disbelief(f"'{onnx_name}' is used before it is made")
        return found


class RawStatements:
    """Turns nodes into statements; ``opsets`` by domain, ``call`` knows the model-local functions."""

    def __init__(self, names: Names, opsets: Mapping[str, int], call: CallOf | None = None) -> None:
        self.names, self.opsets, self.call = names, opsets, call

    def nodes(self, nodes: Sequence[NodeProto]) -> list[StatementClaim]:
        """The statements of a list of nodes in order."""
        made: list[StatementClaim] = []
        for n in nodes:
            made += self.node(n)
        return made

    def node(self, n: NodeProto) -> list[StatementClaim]:
        """The statements of one node."""
        called = self.call(self, n) if self.call is not None else None
        if called is not None:
            return called
        if n.domain in ("", "ai.onnx") and n.op_type in ("If", "Loop"):
            return self._if(n) if n.op_type == "If" else self._loop(n)
        return self._plain(n)

    def constant(self, text: str, type_name: str) -> tuple[StatementClaim, str]:
        """A ``prim::Constant`` and its name."""
        name = self.names.fresh()
        head = f"prim::Constant[value={text}]" if text else "prim::Constant"
        return StatementClaim(-1, [(name, type_name)], head, []), name

    def convert(self, kind: str, value: str, type_name: str) -> tuple[StatementClaim, str]:
        """``aten::Int``, ``aten::Bool`` of a tensor, and its name."""
        name = self.names.fresh()
        return StatementClaim(-1, [(name, type_name)], kind, [value]), name

    def operands(self, names: Sequence[str], made: list[StatementClaim]) -> list[str]:
        """The IR names of a node's inputs; omitted ones are None."""
        found = []
        for name in names:
            if name:
                found.append(self.names.use(name))
            else:
                none, value = self.constant("", "NoneType")
                made.append(none)
                found.append(value)
        return found

    def _plain(self, n: NodeProto) -> list[StatementClaim]:
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in n.attribute):
            raise Disbelief(f"{n.op_type} has subgraphs that have no form here")
        made: list[StatementClaim] = []
        operands = self.operands(n.input, made)
        domain = "" if n.domain == "ai.onnx" else n.domain
        inputs = [self.names.types.get(o, TENSOR) for o in operands]
        types = result_types(n.op_type, domain, self.opsets.get(domain, 1), inputs, {}, len(n.output))
        outputs = [(self.names.define(o, t), type_text(t)) for o, t in zip(n.output, types, strict=True)]
        made.append(StatementClaim(-1, outputs, kind_of(domain, n.op_type), operands, nodes=[n], raw=n))
        return made

    def _if(self, n: NodeProto) -> list[StatementClaim]:
        test, name = self.convert("aten::Bool", self.names.use(n.input[0]), "bool")
        graphs = {a.name: a.g for a in n.attribute if a.type == AttributeProto.GRAPH}
        blocks, types = [], []
        for which in ("then_branch", "else_branch"):
            block = ClaimBlock("", *self._body(graphs[which]))
            blocks.append(block)
            types.append([self.names.types.get(r, TENSOR) for r in block.results])
        outputs = [(self.names.define(o, a if a == b else TENSOR), type_text(a if a == b else TENSOR))
                   for o, a, b in zip(n.output, *types, strict=True)]  # fmt: skip
        return [test, StatementClaim(-1, outputs, "prim::If", [name], blocks=blocks, nodes=[n])]

    def _body(self, graph: GraphProto) -> tuple[list[StatementClaim], list[str]]:
        if graph.initializer or graph.sparse_initializer:
            raise Disbelief("a subgraph has initializers of its own")
        statements = self.nodes(graph.node)
        return statements, [self.names.use(o.name) for o in graph.output]

    def _loop(self, n: NodeProto) -> list[StatementClaim]:
        """A loop; scan outputs are lists that the body appends to and that are stacked behind it.

        A count beside a condition becomes part of the condition, as Python has loops with either.
        """
        made: list[StatementClaim] = []
        inputs = [*n.input, "", ""][: max(2, len(n.input))]
        body = next(a.g for a in n.attribute if a.type == AttributeProto.GRAPH)
        always = _always(body)
        true, yes = self.constant("1", "bool")
        made.append(true)
        count = self._step(made, "aten::Int", self.names.use(inputs[0]), "int") if inputs[0] else ""
        proceed = self._step(made, "aten::Bool", self.names.use(inputs[1]), "bool") if inputs[1] else yes
        limit = ""
        if count and (proceed != yes or not always):
            limit, count = count, ""
            zero = self._constant(made, "0", "int")
            some = self._step(made, "aten::gt", limit, "bool", zero)
            proceed = self._step(made, "aten::__and__", proceed, "bool", some)
        trip = count or self._constant(made, str(_FOREVER), "int")
        starts = [self.names.use(i) for i in inputs[2:]]
        carried = len(starts)
        lists = []
        for _ in body.output[1 + carried :]:
            lists.append(self.names.fresh())
            made.append(StatementClaim(-1, [(lists[-1], "Tensor[]")], "prim::ListConstruct", []))
        block = self._loop_body(body, starts, lists, yes, always, limit)
        types = [self.names.types.get(r, TENSOR) for r in starts]
        outputs = [(self.names.define(o, t), type_text(t)) for o, t in zip(n.output[:carried], types, strict=True)]
        nodes = [n] if isinstance(always, bool) else [n, always]
        made.append(StatementClaim(-1, outputs, "prim::Loop", [trip, proceed, *starts], blocks=[block], nodes=nodes))
        for o, held in zip(n.output[carried:], lists, strict=True):
            if o:
                zero = self._constant(made, "0", "int")
                made.append(StatementClaim(-1, [(self.names.define(o), "Tensor")], "aten::stack", [held, zero]))
        return made

    def _constant(self, made: list[StatementClaim], text: str, type_name: str) -> str:
        statement, name = self.constant(text, type_name)
        made.append(statement)
        return name

    def _step(self, made: list[StatementClaim], kind: str, value: str, type_name: str, *more: str) -> str:
        """Append a statement of one result on these values; gives the result's name."""
        name = self.names.fresh()
        made.append(StatementClaim(-1, [(name, type_name)], kind, [value, *more]))
        return name

    def _loop_body(
        self,
        body: GraphProto,
        starts: Sequence[str],
        lists: Sequence[str],
        yes: str,
        always: NodeProto | bool,
        limit: str,
    ) -> ClaimBlock:
        i = self.names.fresh()
        made: list[StatementClaim] = []
        none, no = self._constant(made, "", "NoneType"), self._constant(made, "0", "bool")
        number = self.names.define(body.input[0].name)
        made.append(StatementClaim(-1, [(number, "Tensor")], "aten::tensor", [i, none, none, no]))
        self.names.of[body.input[1].name] = yes  # inside, the condition was true
        params = [f"%{i} : int"]
        for p, start in zip(body.input[2:], starts, strict=True):
            t = self.names.types.get(start, TENSOR)
            params.append(f"%{self.names.define(p.name, t)} : {type_text(t)}")
        if body.initializer or body.sparse_initializer:
            raise Disbelief("a subgraph has initializers of its own")
        made += self.nodes([n for n in body.node if n is not always])
        results = [self.names.use(o.name) for o in body.output[1:]]
        for held, r in zip(lists, results[len(starts) :], strict=True):
            made.append(StatementClaim(-1, [(self.names.fresh(), "Tensor[]")], "aten::append", [held, r]))
        proceed = yes if always else self._step(made, "aten::Bool", self.names.use(body.output[0].name), "bool")
        if limit:
            one = self._constant(made, "1", "int")
            following = self._step(made, "aten::add", i, "int", one)
            more = self._step(made, "aten::lt", following, "bool", limit)
            proceed = self._step(made, "aten::__and__", proceed, "bool", more)
        return ClaimBlock(", ".join(params), made, [proceed, *results[: len(starts)]])


def _always(body: GraphProto) -> NodeProto | bool:
    """Whether a body always asks for another iteration; the node that says so when nothing else needs it."""
    wanted = body.output[0].name
    if wanted == body.input[1].name:
        return True
    node = next((n for n in body.node if wanted in n.output), None)
    if node is None or node.op_type not in ("Constant", "Identity") or node.domain:
        return False
    if node.op_type == "Identity" and node.input[0] != body.input[1].name:
        return False
    if node.op_type == "Constant":
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if value is None or not bool(numpy_helper.to_array(value).all()):
            return False
    used = [i for n in body.node for i in _deep_inputs(n)] + [o.name for o in body.output[1:]]
    return True if wanted in used else node


def _deep_inputs(node: NodeProto) -> list[str]:
    found = list(node.input)
    for a in node.attribute:
        if a.type == AttributeProto.GRAPH:
            found += [i for n in a.g.node for i in _deep_inputs(n)] + [o.name for o in a.g.output]
    return found


def opsets_of(proto: Any) -> dict[str, int]:
    """The opset versions by domain that a model or function imports."""
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in proto.opset_import}

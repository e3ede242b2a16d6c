"""Fills the gaps where metadata was deleted, so that what is left can still be read.

Nodes that nobody claims become statements of their own; statements that use what is not described any more become their
nodes. Names are guessed by our exporter's convention (an ONNX value has the name of its IR value); a wrong guess costs
nothing, because everything is checked by lowering afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import AttributeProto, ModelProto, NodeProto

from bridge.importers.onnx.raise_claims import ClaimedGraph, Disbelief, FrameClaim, StatementClaim, walk
from bridge.importers.onnx.raise_program import Claims, GraphKey
from bridge.importers.onnx.raise_raw import Names, RawStatements, opsets_of
from bridge.ir.types import TENSOR, Type

__all__ = ["fill_gaps"]


def fill_gaps(model: ModelProto, claims: Claims) -> None:
    """Complete the claims in place. Raises Disbelief when too much is missing."""
    for key, graph in claims.graphs.items():
        if 0 not in graph.frames:
            raise Disbelief("the description of a graph is missing")
        holder = model if key is None else next(f for f in model.functions if (f.domain, f.name, f.overload) == key)
        nodes = model.graph.node if key is None else holder.node
        _Filler(model, claims, key, graph, opsets_of(holder)).run(nodes)


class _GuessedNames(Names):
    """Names in a frame by convention."""

    def __init__(self, frame: FrameClaim, aliases: dict[str, str]) -> None:
        self.defined = set(aliases.values()) | {t.partition(" : ")[0].lstrip("%") for t in frame.inputs}
        self.missing: dict[str, str] = {}
        for s in frame.walk():
            self.defined.update(n for n, _ in s.outputs)
            for b in s.blocks:
                self.defined.update(p.partition(" : ")[0] for p in b.params.split("%") if p)
        super().__init__(sorted(self.defined))
        self.of.update(aliases)
        self.path = frame.path

    def guess(self, onnx_name: str) -> str:
        """The IR name that a value of this name has if nobody changed it."""
        base = onnx_name.partition("#")[0]
        prefix = f"{self.path}/"
        return base[len(prefix) :] if self.path and base.startswith(prefix) else base

    def use(self, onnx_name: str) -> str:
        found = self.of.get(onnx_name)
        if found is None and self.guess(onnx_name) in self.defined:
            return self.guess(onnx_name)
        return found if found is not None else super().use(onnx_name)

    def define(self, onnx_name: str, t: Type = TENSOR, name: str | None = None) -> str:
        guess = self.guess(onnx_name)
        if name is None and guess in self.missing:
            name = guess
            del self.missing[guess]
            self.defined.add(guess)
        return super().define(onnx_name, t, name)


class _Filler:
    """Fills the gaps of one main graph or function."""

    def __init__(
        self, model: ModelProto, claims: Claims, key: GraphKey, graph: ClaimedGraph, opsets: dict[str, int]
    ) -> None:
        self.model, self.claims, self.key, self.graph, self.opsets = model, claims, key, graph, opsets
        self.frames = {id(s): f for f in graph.frames.values() for s in f.walk()}
        self.frames.update((id(s), graph.frames[n]) for n, s in graph.returns.items())
        self.scopes: dict[int, _GuessedNames] = {}

    def run(self, nodes: Sequence[NodeProto]) -> None:
        if self._complete(nodes):
            return
        for n in list(_all(nodes)):
            s = self.graph.of_node.get(id(n))
            if s is not None and id(s) not in self.frames:  # the statement around it is gone
                del self.graph.of_node[id(n)]
        aliases = self._inputs()
        for f in self.graph.frames.values():
            self.scopes[f.number] = _GuessedNames(f, aliases if f.number == 0 else {})
            for name in _undefined(f):
                self.scopes[f.number].missing[name] = name
        self._adopt(nodes, None)
        self._find_results(nodes)
        for f in self.graph.frames.values():
            self._settle(f)

    def _find_results(self, nodes: Sequence[NodeProto]) -> None:
        """Where the statement of a result is gone with its node, the result is what the graph gives in its place."""
        frame = self.graph.frames[0]
        holder = self.model.graph if self.key is None else next(
            f for f in self.model.functions if (f.domain, f.name, f.overload) == self.key
        )  # fmt: skip
        outputs = [o if isinstance(o, str) else o.name for o in holder.output]
        row = frame.results
        maker = next((s for s in frame.statements if len(row) == 1 and s.outputs and s.outputs[0][0] == row[0]), None)
        if maker is not None and maker.head == "prim::TupleConstruct":
            row = maker.operands
        self._replace_results(row, outputs if self.key is None else _by_first(row, outputs), frame)
        for n in _all(nodes):
            s = self.graph.of_node.get(id(n))
            graphs = [a.g for a in n.attribute if a.type == AttributeProto.GRAPH]
            if s is not None and len(graphs) == len(s.blocks):
                for block, g in zip(s.blocks, graphs, strict=True):
                    self._replace_results(block.results, [o.name for o in g.output], self.frames[id(s)])

    def _replace_results(self, row: list[str], outputs: Sequence[str], frame: FrameClaim) -> None:
        scope = self.scopes[frame.number]
        if len(row) == len(outputs):
            for i, (name, output) in enumerate(zip(row, outputs, strict=True)):
                if name in scope.missing:
                    row[i] = self._result(output, scope) or name

    def _result(self, output: str, scope: _GuessedNames) -> str | None:
        """What the value of a graph output is called, by the statement of the node that makes it or by convention."""
        for n in _all_of(self.graph):
            if output in n.output:
                s = self.graph.of_node[id(n)]
                if len(s.outputs) == 1 and n.op_type != "Identity":
                    return s.outputs[0][0]
        guess = scope.guess(output)
        return scope.of.get(output) or (guess if guess in scope.defined and guess not in scope.missing else None)

    def _complete(self, nodes: Sequence[NodeProto]) -> bool:
        if any(id(s) not in self.frames for s in self.graph.of_node.values()):
            return False
        if any(id(n) not in self.graph.of_node for n in _all(nodes)):
            return False
        return not any(_undefined(f) for f in self.graph.frames.values())

    def _inputs(self) -> dict[str, str]:
        """IR names of the main graph's inputs, by position."""
        if self.key is not None:
            return {}
        names = [t.partition(" : ")[0].lstrip("%") for t in self.graph.frames[0].inputs]
        if self.claims.table["objects"]:
            names = names[1:]
        described = self.claims.table["arguments"]
        if len(described) != len(names):
            raise Disbelief("the described arguments are not the program's")
        return {form[1]: name for form, name in zip(described, names, strict=True) if form[0] == "in"}

    # -- nodes that nobody claims ------------------------------------------------------------------------------------------

    def _adopt(self, nodes: Sequence[NodeProto], owner: tuple[StatementClaim, int] | None) -> None:
        of = self.graph.of_node
        previous: StatementClaim | None = None
        for i, n in enumerate(nodes):
            s = of.get(id(n))
            if s is None:
                following = next((of[id(x)] for x in nodes[i + 1 :] if id(x) in of), None)
                if previous is not None and following is previous:
                    previous.nodes.insert(previous.nodes.index(nodes[i - 1]) + 1, n)
                    of[id(n)] = s = previous
                else:
                    previous = self._insert(n, previous, owner)
                    continue
            previous = s
            for block, a in enumerate(a for a in n.attribute if a.type == AttributeProto.GRAPH):
                self._adopt(a.g.node, (s, block))

    def _insert(
        self, n: NodeProto, previous: StatementClaim | None, owner: tuple[StatementClaim, int] | None
    ) -> StatementClaim:
        frame = self.graph.frames[0]
        if previous is not None:
            frame = self.frames[id(previous)]
            rows = next((r for r in _lists(frame.statements) if any(x is previous for x in r)), frame.statements)
            at = next((i for i, x in enumerate(rows) if x is previous), len(rows) - 1) + 1
        elif owner is not None and owner[1] < len(owner[0].blocks):
            frame = self.frames[id(owner[0])]
            rows, at = owner[0].blocks[owner[1]].statements, 0
        else:
            rows, at = frame.statements, 0
        made = self._statements([n], frame)
        rows[at:at] = made
        return made[-1]

    def _statements(self, nodes: Sequence[NodeProto], frame: FrameClaim) -> list[StatementClaim]:
        raw = RawStatements(self.scopes[frame.number], self.opsets, self._no_calls)
        made = raw.nodes(nodes)
        for s in walk(made):
            self.frames[id(s)] = frame
            for n in s.nodes:
                self.graph.of_node[id(n)] = s
        return made

    def _no_calls(self, raw: RawStatements, n: NodeProto) -> list[StatementClaim] | None:
        if any((f.domain, f.name) == (n.domain, n.op_type) for f in self.model.functions):
            raise Disbelief("what a call belongs to is not described")
        return None

    # -- statements that use what is gone ------------------------------------------------------------------------------------

    def _settle(self, frame: FrameClaim) -> None:
        """Turn statements that use undefined values into their nodes, until all is defined."""
        for _ in range(10_000):
            gone = _undefined(frame)
            if not gone:
                return
            user = next(
                (s for s in frame.walk() if gone & {*s.operands, *(r for b in s.blocks for r in b.results)}), None
            )
            if user is None or user.blocks or user.head.startswith(("prim::CallMethod", "prim::CallFunction")):
                raise Disbelief("values that are not described are used")
            rows = next(r for r in _lists(frame.statements) if any(x is user for x in r))
            at = next(i for i, x in enumerate(rows) if x is user)
            scope = self.scopes[frame.number]
            scope.missing.update({n: n for n, _ in user.outputs})
            rows[at : at + 1] = self._statements(user.nodes, frame) if user.raw is None else []
        raise Disbelief("values that are not described are used")


def _undefined(frame: FrameClaim) -> set[str]:
    """Names that statements of a frame use and none defines."""
    defined = {t.partition(" : ")[0].lstrip("%") for t in frame.inputs}
    used = set(frame.results)
    for s in frame.walk():
        defined.update(n for n, _ in s.outputs)
        used.update(s.operands)
        for b in s.blocks:
            defined.update(p.partition(" : ")[0] for p in b.params.split("%") if p)
            used.update(b.results)
    return used - defined


def _by_first(row: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """A function gives each value once: the outputs, repeated as the row repeats its values."""
    distinct = list(dict.fromkeys(row))
    return [outputs[distinct.index(r)] for r in row] if len(distinct) == len(outputs) else []


def _all_of(graph: ClaimedGraph) -> list[NodeProto]:
    return [n for f in graph.frames.values() for s in f.walk() for n in s.nodes]


def _all(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    found = []
    for n in nodes:
        found.append(n)
        for a in n.attribute:
            if a.type == AttributeProto.GRAPH:
                found += _all(a.g.node)
    return found


def _lists(statements: list[StatementClaim]) -> list[list[StatementClaim]]:
    found = [statements]
    for s in statements:
        for b in s.blocks:
            found += _lists(b.statements)
    return found

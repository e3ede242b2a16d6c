"""Checks claims by lowering: the program that they describe is exported again, and compared with the model node by node.

What is found different is a list of :class:`Difference` s, by statement, from which ``raise_repair`` makes a better description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from bridge.importers.onnx.raise_claims import RETURN, ClaimedGraph, StatementClaim
from bridge.importers.onnx.raise_program import Candidate, Claims, GraphKey
from bridge.ir.classes import Function, ScriptObject

__all__ = ["Difference", "GraphDifferences", "Lower", "Relowered", "compare"]


class Relowered(Protocol):
    """A candidate exported again: the model, and by graph and frame the ONNX name of each IR value."""

    model: ModelProto
    names: Mapping[GraphKey, Mapping[int, Mapping[str, str]]]


#: Exports a candidate as the model was exported. Raises BridgeError when it cannot.
Lower = Callable[["ScriptObject | None", Function], Relowered]


@dataclass(slots=True)
class Difference:
    """One thing that is not as claimed: ``kind`` is ``node`` (another operation), ``inputs`` (the same on other values),
    ``gone`` (no such node any more), ``new`` (a node that nobody claims) or ``results`` (a block gives other values).

    ``rewired`` maps the values that the statement should read to those that its node reads (by ONNX name). ``owner`` and ``block``
    say in which subgraph a new node is, ``after`` behind which statement. ``again`` is the node that lowering gave.
    """

    kind: str
    statement: StatementClaim | None
    frame: int = 0
    node: NodeProto | None = None
    again: NodeProto | None = None
    after: StatementClaim | None = None
    rewired: dict[str, str] = field(default_factory=dict)
    block: int | None = None
    owner: StatementClaim | None = None


@dataclass(slots=True)
class GraphDifferences:
    """What differs in one main graph or function. ``original`` maps names of the new lowering to the model's."""

    found: list[Difference] = field(default_factory=list)
    original: dict[str, str] = field(default_factory=dict)


def compare(
    model: ModelProto, claims: Claims, candidate: Candidate, lowered: Relowered
) -> dict[GraphKey, GraphDifferences]:
    """The differences by graph; an empty dict means that every claim is true."""
    again = lowered.model
    found: dict[GraphKey, GraphDifferences] = {}
    functions: dict[GraphKey, Any] = {(f.domain, f.name, f.overload): f for f in again.functions}
    pairs: list[tuple[GraphKey, Any, Any]] = [(None, model.graph, again.graph)]
    used = {key for f in (model.graph, *model.functions) for key in _calls(f.node)}
    key: GraphKey
    for f in model.functions:
        key = f.domain, f.name, f.overload
        if key in functions:
            pairs.append((key, f, functions[key]))
        elif key in used:
            found[key] = GraphDifferences([Difference("gone", None)])
    for key, mine, theirs in pairs:
        d = _Comparison(key, claims.graphs[key], candidate).graphs(mine, theirs)
        if d.found:
            found[key] = d
    known: set[GraphKey] = {(f.domain, f.name, f.overload) for f in model.functions}
    for key in functions.keys() - known:
        found[key] = GraphDifferences([Difference("gone", None)])
    return found


def _calls(nodes: Sequence[NodeProto]) -> set[GraphKey]:
    found: set[GraphKey] = set()
    for n in nodes:
        found.add((n.domain, n.op_type, n.overload))
        for a in n.attribute:
            if a.HasField("g"):
                found |= _calls(a.g.node)
    return found


class _Comparison:
    """Compares one graph with its new lowering, in the order of the new one."""

    def __init__(self, key: GraphKey, claimed: ClaimedGraph, candidate: Candidate) -> None:
        self.key, self.claimed = key, claimed
        self.statements = candidate.statements
        self.result = GraphDifferences()
        self.dead: set[int] = set()
        self.frame_of = {id(s): f for (k, f), rows in candidate.statements.items() if k == key for s in rows}
        self.frame_of.update((id(s), f) for f, s in claimed.returns.items())

    def graphs(self, mine: GraphProto | FunctionProto, theirs: GraphProto | FunctionProto) -> GraphDifferences:
        names = self.result.original
        a, b = _names(mine.input), _names(theirs.input)
        if len(a) != len(b):
            self.result.found.append(Difference("gone", None))
            return self.result
        names.update(zip(b, a, strict=True))
        if isinstance(mine, GraphProto):
            names.update((t.name, t.name) for t in mine.initializer)
        self.dead = _dead(mine.node, set(_names(mine.output)))
        self._nodes(mine.node, theirs.node)
        self._results(None, None, _names(mine.output), _names(theirs.output))
        return self.result

    def _origin(self, node: NodeProto) -> StatementClaim | None:
        """The statement of the candidate that a node of the new lowering came from."""
        key = _last_key(node)
        if key is None:
            return None
        if key[1] == RETURN:
            return self.claimed.returns.get(key[0])
        rows = self.statements.get((self.key, key[0]))
        return rows[key[1]] if rows is not None and key[1] < len(rows) else None

    def _nodes(
        self,
        mine: Sequence[NodeProto],
        theirs: Sequence[NodeProto],
        owner: StatementClaim | None = None,
        block: int | None = None,
    ) -> None:
        queues: dict[int, list[NodeProto]] = {}
        previous: StatementClaim | None = None
        for node in mine:
            if id(node) in self.dead:
                continue  # nothing needs it
            s = self.claimed.of_node.get(id(node))
            if s is None:
                self.result.found.append(Difference("new", None, node=node, after=previous, owner=owner, block=block))
            else:
                queues.setdefault(id(s), []).append(node)
                previous = s
        for node in theirs:
            s = self._origin(node)
            queue = queues.get(id(s))
            if s is None or not queue:
                alive = s is not None and any(id(n) not in self.dead for n in s.nodes)
                self._note("node" if alive else "gone", s, node)
                continue
            self._node(s, queue.pop(0), node)
        for rest in queues.values():
            if rest:
                self._note("node", self.claimed.of_node[id(rest[0])], rest[0])

    def _note(self, kind: str, s: StatementClaim | None, node: NodeProto, **rest: Any) -> None:
        self.result.found.append(Difference(kind, s, self.frame_of.get(id(s), 0), node, **rest))

    def _node(self, s: StatementClaim, mine: NodeProto, theirs: NodeProto) -> None:
        names = self.result.original
        same = (mine.op_type, mine.domain, mine.overload) == (theirs.op_type, theirs.domain, theirs.overload)
        if not same or len(mine.input) != len(theirs.input) or len(mine.output) != len(theirs.output):
            self._note("node", s, mine)
        else:
            rewired = {b: a for a, b in zip(mine.input, theirs.input, strict=True) if (names.get(b) if b else "") != a}
            if rewired:
                self._note("inputs" if all(rewired) and all(rewired.values()) else "node", s, mine, rewired=rewired)
            if not self._attributes(s, mine, theirs):
                self._note("node", s, mine, again=theirs)
        names.update(zip(theirs.output, mine.output, strict=False))

    def _attributes(self, s: StatementClaim, mine: NodeProto, theirs: NodeProto) -> bool:
        a = {x.name: x for x in mine.attribute}
        b = {x.name: x for x in theirs.attribute}
        if a.keys() != b.keys() or len(a) != len(mine.attribute):
            return False
        block = 0
        for name, other in b.items():
            if other.type == AttributeProto.GRAPH:
                if not self._subgraph(s, block, a[name].g, other.g):
                    return False
                block += 1
            elif _plain(a[name]) != _plain(other):
                return False
        return True

    def _subgraph(self, s: StatementClaim, block: int, mine: GraphProto, theirs: GraphProto) -> bool:
        if len(mine.input) != len(theirs.input) or len(mine.output) != len(theirs.output) or mine.initializer:
            return False
        self.result.original.update(zip(_names(theirs.input), _names(mine.input), strict=True))
        self._nodes(mine.node, theirs.node, s, block)
        self._results(s, block, _names(mine.output), _names(theirs.output))
        return True

    def _results(self, s: StatementClaim | None, block: int | None, mine: Sequence[str], theirs: Sequence[str]) -> None:
        names = self.result.original
        if len(mine) != len(theirs):
            self.result.found.append(Difference("gone", None))
            return
        rewired = {b: a for a, b in zip(mine, theirs, strict=True) if names.get(b) != a}
        if rewired:
            frame = self.frame_of.get(id(s), 0)
            self.result.found.append(Difference("results", s, frame, rewired=rewired, block=block))


def _dead(nodes: Sequence[NodeProto], needed: set[str]) -> set[int]:
    """The nodes whose results nothing needs, by ``id``; ``needed`` grows by what the others use."""
    found: set[int] = set()
    for n in reversed(nodes):
        if not needed & set(n.output):
            found.add(id(n))
            continue
        needed.update(n.input)
        for a in n.attribute:
            if a.HasField("g"):
                inner = {o.name for o in a.g.output}
                found |= _dead(a.g.node, inner)
                needed |= inner
    return found


def _names(values: Sequence[Any]) -> list[str]:
    return [v if isinstance(v, str) else v.name for v in values]


def _last_key(node: NodeProto) -> tuple[int, int] | None:
    """The (frame, statement) that a node of a fresh export names last."""
    from bridge.importers.onnx.raise_claims import metadata_of

    lines = metadata_of(node)
    if not lines:
        return None
    if lines[-1].endswith(" return"):
        return int(lines[-1].partition(" ")[0]), RETURN
    frame, _, rest = lines[-1].partition(":")
    number = rest.split("@", 1)[0].split(" ", 1)[0]
    return (int(frame), int(number)) if frame.isdigit() and number.isdigit() else None


def _plain(a: AttributeProto) -> bytes:
    """An attribute without what does not change what is computed."""
    if a.doc_string or (a.HasField("t") and (a.t.doc_string or a.t.name or not a.t.HasField("raw_data"))):
        copy = AttributeProto()
        copy.CopyFrom(a)
        copy.doc_string = ""
        if copy.HasField("t"):
            from onnx import numpy_helper

            copy.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(a.t)))
        a = copy
    data: bytes = a.SerializeToString(deterministic=True)
    return data

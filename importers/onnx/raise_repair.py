"""Makes the description of an edited model true: what a node does now, in place of what it was claimed to come from.

A statement whose node reads other values is rewired; one whose node does something else becomes that ``onnx::`` node; one
without a node goes; a node that nobody claims becomes a statement. Whether the result is right is checked again by lowering it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, numpy_helper

from bridge.importers.onnx.raise_check import Difference, GraphDifferences, Relowered
from bridge.importers.onnx.raise_claims import RETURN, ClaimedGraph, Disbelief, FrameClaim, StatementClaim, walk
from bridge.importers.onnx.raise_program import Claims, GraphKey
from bridge.importers.onnx.raise_raw import Names, RawStatements, opsets_of
from bridge.importers.onnx.source import is_external
from bridge.ir.literals import literal
from bridge.ir.types import FLOAT, TENSOR, Type

__all__ = ["repair"]

_CONVERSIONS = {"int": "aten::Int", "float": "aten::Float", "bool": "aten::Bool"}


def repair(
    model: ModelProto, claims: Claims, lowered: Relowered, differences: dict[GraphKey, GraphDifferences]
) -> bool:
    """Change the claims where they are wrong; whether that could be done."""
    changed = False
    for key, found in differences.items():
        if any(d.kind == "gone" and d.statement is None for d in found.found):
            return False
        r = _Repair(model, claims, key, lowered.names.get(key, {}), found)
        if not r.run():
            return False
        changed = changed or r.changed
    return changed


class _FrameNames(Names):
    """IR names of the model's values as one frame sees them."""

    def __init__(self, owner: _Repair, frame: int) -> None:
        claim = owner.graph.frames[frame]
        taken = {n for s in claim.walk() for n, _ in s.outputs}
        taken |= {t.partition(" : ")[0].strip("%, ") for t in claim.inputs}
        taken |= {part.split(" : ")[0] for s in claim.walk() for b in s.blocks for part in b.params.split("%")}
        super().__init__(sorted(taken))
        self.owner, self.frame = owner, frame
        self.reserved: dict[str, str] = {}

    def use(self, onnx_name: str) -> str:
        found = self.of.get(onnx_name) or self.owner.ir_name(self.frame, onnx_name)
        return found if found is not None else super().use(onnx_name)

    def define(self, onnx_name: str, t: Type = TENSOR, name: str | None = None) -> str:
        return super().define(onnx_name, t, name or self.reserved.get(onnx_name))


class _Repair:
    """Repairs the claims of one main graph or function."""

    def __init__(
        self,
        model: ModelProto,
        claims: Claims,
        key: GraphKey,
        names: Mapping[int, Mapping[str, str]],
        found: GraphDifferences,
    ) -> None:
        self.model, self.claims, self.key, self.names, self.found = model, claims, key, names, found
        self.graph: ClaimedGraph = claims.graphs[key]
        self.inverse: dict[str, set[str]] = {}
        for new, old in found.original.items():
            self.inverse.setdefault(old, set()).add(new)
        functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        if key is not None and key not in functions:
            raise Disbelief(f"there is no function {key}")
        holder = model if key is None else functions[key]
        self.opsets = opsets_of(holder)
        self.scopes = {n: _FrameNames(self, n) for n in self.graph.frames}
        self.rewritten: set[int] = set()
        self.changed = False

    def run(self) -> bool:
        order = {"new": 0, "node": 1, "inputs": 2, "results": 3, "gone": 4}
        differences = sorted(self.found.found, key=lambda d: order[d.kind])
        return all(map(self._apply, differences))  # no generator: what it raises, StopIteration too, is a doubt

    def _apply(self, d: Difference) -> bool:
        s = d.statement
        if s is not None and s.raw is not None and d.kind == "node":
            return True  # nothing used it in this description: what should use it is rewired
        self.changed = True
        if d.kind == "new":
            return self._insert(d)
        if d.kind == "results":
            return self._results(d)
        if s is None:
            return False
        if id(s) in self.rewritten:
            return True
        if s.number == RETURN:
            frame = self.graph.frames[d.frame]
            return d.kind == "inputs" and self._replace(frame.results, d, self.names.get(d.frame, {}), frame)
        if d.kind == "gone":
            return self._remove(s)
        if d.kind == "inputs" and self._rewire(s, d):
            return True
        if d.again is not None and d.node is not None and self._other_number(s, d.frame, d.node, d.again):
            return True
        return self._rewrite(s, d.frame)

    # -- looking up ----------------------------------------------------------------------------------------------------

    def ir_name(self, frame: int, onnx_name: str) -> str | None:
        """What a value of the model is called in a frame; tensors of the module are read where they are not yet."""
        again = self.inverse.get(onnx_name, set())
        for ir, name in self.names.get(frame, {}).items():
            if name in again:
                return ir
        for s in self.graph.frames[frame].walk():
            if s.raw is not None and onnx_name in s.raw.output:
                return s.outputs[list(s.raw.output).index(onnx_name)][0]
        if self.key is None and any(t.name == onnx_name for t in self.model.graph.initializer):
            return self._attribute(self.graph.frames[frame], onnx_name) if frame == 0 else None
        return None

    def _attribute(self, frame: FrameClaim, path: str) -> str | None:
        """Statements that read a tensor of the module, at the start of the frame."""
        table = self.claims.table
        parent, _, name = path.rpartition(".")
        described = table["objects"].get(parent)
        if described is None or not frame.inputs:
            return None
        table["classes"][described[0]]["attributes"].setdefault(name, ["Tensor", "parameter"])
        names = self.scopes[frame.number]
        value = frame.inputs[0].partition(" : ")[0].lstrip("%")
        made = []
        for part in path.split("."):
            new = names.fresh(part)
            made.append(StatementClaim(-1, [(new, "Tensor")], f'prim::GetAttr[name="{part}"]', [value]))
            value = new
        frame.statements[:0] = made
        names.of[path] = value
        return value

    def _place(self, s: StatementClaim) -> tuple[list[StatementClaim], int] | None:
        """The list that a statement stands in, and where."""
        for frame in self.graph.frames.values():
            for rows in _lists(frame.statements):
                for i, other in enumerate(rows):
                    if other is s:
                        return rows, i
        return None

    def _frame_of(self, s: StatementClaim) -> int:
        return next((n for n, f in self.graph.frames.items() if any(x is s for x in f.walk())), 0)

    # -- changing --------------------------------------------------------------------------------------------------------

    def _rewire(self, s: StatementClaim, d: Difference) -> bool:
        """Let a statement read what its node reads."""
        if s.rewired:
            return False
        names = self.names.get(d.frame, {})
        scope = self.scopes[d.frame]
        left = set(d.rewired)
        rows = [s.operands, *(b.results for b in s.blocks)]
        changes = []
        for row in rows:
            for i, operand in enumerate(row):
                new = d.rewired.get(names.get(operand, ""))
                if new is None:
                    continue
                ir = scope.of.get(new) or self.ir_name(d.frame, new)
                if ir is None:
                    return False
                changes.append((row, i, ir))
                left.discard(names[operand])
        if left:
            return False
        for row, i, ir in changes:
            row[i] = ir
        s.rewired = True
        return True

    def _other_number(self, s: StatementClaim, frame: int, node: NodeProto, again: NodeProto) -> bool:
        """Where only a number differs that the statement takes from a constant, let it take the other number."""
        old, new = _number(again), _number(node)
        if s.rewired or old is None or new is None or isinstance(old, bool) or isinstance(new, bool):
            return False
        constants = {
            c.outputs[0][0]: c for c in self.graph.frames[frame].walk() if c.head.startswith("prim::Constant[value=")
        }
        found = [i for i, o in enumerate(s.operands) if o in constants and _value(constants[o]) == old]
        place = self._place(s)
        if len(found) != 1 or place is None:
            return False
        t = constants[s.operands[found[0]]].outputs[0][1]
        if t == "int" and new != int(new):
            t = "float"
        text = str(int(new)) if t == "int" else literal(float(new), FLOAT)
        name = self.scopes[frame].fresh()
        place[0].insert(place[1], StatementClaim(-1, [(name, t)], f"prim::Constant[value={text}]", []))
        s.operands[found[0]] = name
        s.rewired = True
        return True

    def _results(self, d: Difference) -> bool:
        """Let a block or function return what its graph returns."""
        if d.statement is not None and id(d.statement) in self.rewritten:
            return True
        names = self.names.get(d.frame, {})
        if d.statement is not None and d.block is not None:
            results = d.statement.blocks[d.block].results
        else:
            results = self.graph.frames[0].results
        return self._replace(results, d, names, self.graph.frames[d.frame])

    def _replace(self, row: list[str], d: Difference, names: Mapping[str, str], frame: FrameClaim) -> bool:
        done = False
        for i, r in enumerate(row):
            new = d.rewired.get(names.get(r, ""))
            if new is not None:
                ir = self.scopes[d.frame].of.get(new) or self.ir_name(d.frame, new)
                if ir is None:
                    return False
                row[i], done = ir, True
                continue
            maker = next((s for s in frame.walk() if any(n == r for n, _ in s.outputs)), None)
            if maker is not None and maker.head in ("prim::TupleConstruct", "prim::ListConstruct"):
                done = self._replace(maker.operands, d, names, frame) or done
        return done

    def _remove(self, s: StatementClaim) -> bool:
        place = self._place(s)
        if place is None:
            return False
        rows, i = place
        del rows[i]
        return True

    def _insert(self, d: Difference) -> bool:
        """A node that nobody claims, behind the statement before it."""
        assert d.node is not None
        frame = self._frame_of(d.after) if d.after is not None else 0
        if d.after is not None:
            place = self._place(d.after)
            if place is None:
                return False
            rows, at = place[0], place[1] + 1
        elif d.owner is not None and d.block is not None:
            frame, rows, at = self._frame_of(d.owner), d.owner.blocks[d.block].statements, 0
        else:
            rows, at = self.graph.frames[0].statements, 0
        made = self._statements([d.node], frame)
        rows[at:at] = made
        for other in self.found.found:  # further new nodes come behind this one
            if other.kind == "new" and other is not d and other.after is d.after and other.owner is d.owner:
                other.after = made[-1]
        return True

    def _rewrite(self, s: StatementClaim, frame: int) -> bool:
        """The statement becomes the nodes that it has."""
        place = self._place(s)
        if (
            place is None
            or s.head.startswith(("prim::CallMethod", "prim::CallFunction"))
            or not s.nodes
            or s.raw is not None
        ):
            return False
        rows, at = place
        scope = self.scopes[frame]
        names = self.names.get(frame, {})
        wanted = {names[n]: (n, t) for n, t in s.outputs if n in names}
        converted: list[StatementClaim] = []
        for node in s.nodes:
            for o in node.output:
                for new in self.inverse.get(o, ()):
                    if new in wanted:
                        self._keep_name(scope, o, *wanted[new], converted)
        made = self._statements([n for n in s.nodes if not _inside_another(n, s.nodes)], frame)
        rows[at : at + 1] = [*made, *converted]
        self.rewritten.add(id(s))
        for inner in walk([b for block in s.blocks for b in block.statements]):
            self.rewritten.add(id(inner))
        return True

    def _keep_name(
        self, scope: _FrameNames, onnx_name: str, name: str, type_text: str, converted: list[StatementClaim]
    ) -> None:
        """Let a value keep the name that the statement gave to it; a number is made of the node's tensor."""
        if type_text in _CONVERSIONS:
            raw = scope.fresh()
            scope.reserved[onnx_name] = raw
            converted.append(StatementClaim(-1, [(name, type_text)], _CONVERSIONS[type_text], [raw]))
        else:
            scope.reserved[onnx_name] = name

    def _statements(self, nodes: list[NodeProto], frame: int) -> list[StatementClaim]:
        made = RawStatements(self.scopes[frame], self.opsets).nodes(nodes)
        for s in walk(made):
            for n in s.nodes:
                self.graph.of_node[id(n)] = s
        return made


def _number(node: NodeProto) -> Any:
    """The number that a Constant node holds; None for anything else."""
    value = next((a.t for a in node.attribute if a.name == "value"), None)
    if node.op_type != "Constant" or value is None or is_external(value):
        return None
    array = numpy_helper.to_array(value)
    return array.item() if array.size == 1 and array.dtype.kind in "fiu" and np.isfinite(array).all() else None


def _value(c: StatementClaim) -> Any:
    """The number of a constant statement."""
    if c.outputs[0][1] not in ("int", "float"):
        return None
    try:
        return float(c.head.partition("=")[2].rstrip("]"))
    except ValueError:
        return None


def _lists(statements: list[StatementClaim]) -> list[list[StatementClaim]]:
    """A list of statements and all lists in their blocks."""
    found = [statements]
    for s in statements:
        for b in s.blocks:
            found += _lists(b.statements)
    return found


def _inside_another(node: NodeProto, nodes: list[NodeProto]) -> bool:
    """Whether a node stands in a subgraph of another of them."""
    return any(other is not node and _holds(other, node) for other in nodes)


def _holds(owner: NodeProto, node: NodeProto) -> bool:
    for a in owner.attribute:
        if a.type == AttributeProto.GRAPH:
            for n in a.g.node:
                if n is node or _holds(n, node):
                    return True
    return False

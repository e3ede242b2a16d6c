"""Provenance: which statement each node came from, written so that lowering the statements again can check it.

Every line is one claim. A statement is ``F:N@P.B TEXT``: the N-th statement (in text order) of frame F, in block B of statement
P; ``@P.B`` is absent at the top of the function. A node carries the line of its statement; a node that is not the first of its
statement carries ``F:N`` alone. What became no node (constants, tuples, attributes) stands on the graph. Further lines: ``F = M:N@PATH NAME(INPUTS)`` opens frame F, called by statement N of frame M;
``F:N.B -> RESULTS`` ends block B of statement N; ``F return RESULTS -> TYPE`` ends a frame; a node that only
makes a result a value of its own carries ``F return``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.hierarchy import note_names
from bridge.exporters.onnx.inputs import array_of
from bridge.exporters.onnx.records import Body, Frame, Record
from bridge.exporters.onnx.values import Run
from bridge.ir.classes import FunctionType
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.literals import WRAPPED
from bridge.ir.printer import statement_text, type_text

if TYPE_CHECKING:
    from bridge.exporters.onnx.program import ProgramLowering

__all__ = ["KEY", "Claims"]

#: The metadata key of claims, on nodes, graphs, functions and the model.
KEY = "bridge.ir"


class Claims:
    """The claims of one ONNX graph with its subgraphs: by node, and by body what comes after its last node."""

    def __init__(self, program: ProgramLowering, frame: Frame, body: Body, in_order: Iterable[Record]) -> None:
        self.nodes: dict[Record, list[str]] = {}
        self.tails: dict[Body, list[str]] = {}
        self._program = program
        self._ids: dict[Frame, int] = {}
        self._numbers: dict[Graph, dict[Node, str]] = {}
        self._children = {(f.parent, f.call): f for f in program.frames if f.parent is not None}
        self._records: dict[tuple[Frame, Node], list[Record]] = {}
        for r in in_order:
            if r.origin is not None:
                self._records.setdefault((r.origin.frame, r.origin.node), []).append(r)
        lines: list[str] = [self._open(frame)]
        self._block(frame, frame.function.graph.block, lines)
        lines.append(self._close(frame))
        for r in self._records.get((frame, frame.function.graph.return_node), ()):
            self.nodes[r] = [f"{self._ids[frame]} return"]
        self.tails[body] = lines

    def value_names(self) -> dict[int, dict[str, str]]:
        """By frame: the ONNX value that each IR value is, by their names (known once the graph is written)."""
        found: dict[int, dict[str, str]] = {}
        for frame, n in self._ids.items():
            names = found[n] = {}
            for value, v in frame.env.items():
                if isinstance(v, Run) and v.root.name:
                    names[value.debug_name] = v.root.name
        return found

    # -- one line each -------------------------------------------------------------------------------------------------

    def _open(self, frame: Frame) -> str:
        self._ids[frame] = n = len(self._ids)
        graph = frame.function.graph
        for v in graph.inputs:
            note_names(self._program, v.type)
        inputs = "; ".join(f"%{v.debug_name} : {type_text(v.type)}" for v in graph.inputs)
        caller = ""
        if frame.parent is not None and frame.call is not None:
            caller = f"{self._number(frame.parent, frame.call, place=False)}@{frame.path}"
        name = frame.function.name if frame.owner is not None else frame.function.qualified_name
        return f"{n} = {caller} {name}({inputs}){_of_schema(frame)}"

    def _close(self, frame: Frame) -> str:
        returns = ", ".join(type_text(r.type) for r in _returns(frame))
        return f"{self._ids[frame]} return {_names(frame.function.graph.outputs)} -> {returns}"

    def _number(self, frame: Frame, node: Node, place: bool = True) -> str:
        numbers = self._numbers.get(node.graph)
        if numbers is None:
            numbers = self._numbers[node.graph] = {n: str(i) for i, n in enumerate(node.graph.all_nodes())}
        text = f"{self._ids[frame]}:{numbers[node]}"
        owner = node.block.owner if node.block is not None else None
        if place and owner is not None:
            assert node.block is not None
            text += f"@{numbers[owner]}.{owner.blocks.index(node.block)}"
        return text

    def _statement(self, frame: Frame, node: Node) -> str:
        text = f"{self._number(frame, node)} {_without_folder(node)}"
        for v in node.outputs:
            note_names(self._program, v.type)
        if node.kind == "prim::Constant" and isinstance(node.output.type, FunctionType):
            full = node.output.type.function.qualified_name  # the short name may stand for several
            text = text.replace(f'[name="{node["name"]}"]', f'[name="{full}"]', 1)
        for i, b in enumerate(node.blocks):
            inputs = ", ".join(f"%{v.debug_name} : {type_text(v.type)}" for v in b.inputs)
            text += f" block{i}({inputs})"
        value = node.attributes.get("value")
        if node.kind == "prim::Constant" and isinstance(value, np.ndarray) and value.ndim == 0:
            text += f" !{value.dtype.name}{'.' if WRAPPED in node.attributes else ''}:{value.tobytes().hex()}"
        return text

    # -- which line goes where -------------------------------------------------------------------------------------------

    def _block(self, frame: Frame, block: Block, pending: list[str]) -> None:
        """Give the lines of a block to nodes; those of statements without a node are added to ``pending``."""
        for node in block.nodes:
            line = self._statement(frame, node)
            records = self._records.get((frame, node), ())
            if records:
                self.nodes[records[0]] = [line]
                for r in records[1:]:
                    self.nodes[r] = [self._number(frame, node, place=False)]
            else:
                pending.append(line)
            child = self._children.get((frame, node))
            if child is not None:
                pending.append(self._open(child))
                self._block(child, child.function.graph.block, pending)
                pending.append(self._close(child))
            elif node.blocks:
                self._blocks(frame, node, records, pending)

    def _blocks(self, frame: Frame, node: Node, records: Sequence[Record], pending: list[str]) -> None:
        bodies = next((r.bodies() for r in records if r.bodies()), None)
        for i, b in enumerate(node.blocks):
            lines = pending if bodies is None else []
            self._block(frame, b, lines)
            lines.append(f"{self._number(frame, node, place=False)}.{i} -> {_names(b.outputs)}")
            if bodies is not None:
                self.tails[bodies[i]] = lines


def _without_folder(node: Node) -> str:
    """The statement; of its place only the file's name, as models travel."""
    text = statement_text(node)
    place = node.range.file_line_col() if node.range is not None else None
    if place is None:
        return text
    at = text.rfind(" # ")
    return f"{text[:at]} # {os.path.basename(place[0])}:{place[1]}:{place[2]}"


def _names(values: Sequence[Value]) -> str:
    return ", ".join(f"%{v.debug_name}" for v in values)


def _returns(frame: Frame) -> Sequence[Any]:
    from bridge.ir.errors import IRError

    try:
        return frame.function.schema.returns
    except IRError:
        return list(frame.function.graph.outputs)


def _written(default: Any) -> Any:
    """A default value as a literal that is read back; a tensor as its element type, shape and items."""
    if not isinstance(default, np.ndarray) and not hasattr(default, "detach"):
        return default
    array = array_of(default)
    return {"tensor": (array.dtype.name, array.shape, array.reshape(-1).tolist())}


def _of_schema(frame: Frame) -> str:
    """What the graph does not tell of the arguments: default values, and names where values have none."""
    from bridge.ir.errors import IRError

    try:
        arguments = frame.function.schema.arguments
    except IRError:
        return ""
    found: dict[str, Any] = {}
    defaults = {a.name: _written(a.default) for a in arguments if a.has_default}
    if defaults:
        found["defaults"] = defaults
    values = frame.function.graph.inputs
    if [a.name for a in arguments] != [v.debug_name_base for v in values]:
        found["names"] = [a.name for a in arguments]
    return f" {found!r}" if found else ""

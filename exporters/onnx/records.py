"""ONNX nodes before they are written: records that refer to values by identity, so that names can be given last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.exporters.onnx.values import Run

if TYPE_CHECKING:
    from bridge.ir.classes import Function, ScriptObject
    from bridge.ir.graph import Node, Value

__all__ = ["Body", "Frame", "FunctionRecord", "Origin", "Record"]


class Frame:
    """One run of a function's graph: where its nodes came from.

    ``path`` is the module path; ``parent`` and ``call`` the frame and the node that called it when it is written inline, None
    for the entry and for what becomes a model-local function. ``owner`` is the object whose method it is. ``decisions`` says
    which block of a statement was taken where that is known now (a loop that never runs: -1); ``env`` what each value was;
    ``called`` the frames of its calls.
    """

    __slots__ = ("call", "called", "decisions", "env", "function", "owner", "parent", "path")

    def __init__(
        self,
        function: Function,
        owner: ScriptObject | None,
        path: str,
        parent: Frame | None = None,
        call: Node | None = None,
    ) -> None:
        self.function, self.owner, self.path, self.parent, self.call = function, owner, path, parent, call
        self.decisions: dict[Node, int] = {}
        self.env: dict[Value, Any] = {}
        self.called: dict[Node, Frame] = {}

    def __repr__(self) -> str:
        return f"<Frame {self.path}.{self.function.name}>"


@dataclass(slots=True, eq=False)
class Origin:
    """The IR statement that a node was made for."""

    frame: Frame
    node: Node


@dataclass(slots=True, eq=False)
class Body:
    """The content of a graph: the main one, a function's, or a branch's or loop's."""

    params: list[Run] = field(default_factory=list)
    nodes: list[Record] = field(default_factory=list)
    outputs: list[Run] = field(default_factory=list)
    name: str = ""


@dataclass(slots=True, eq=False)
class Record:
    """One ONNX node. Attributes are Python values; a :class:`Body` is a subgraph."""

    op_type: str
    domain: str
    inputs: list[Run | None]
    outputs: list[Run]
    attributes: dict[str, Any]
    origin: Origin | None = None
    name: str = ""
    callee: FunctionRecord | None = None

    def bodies(self) -> list[Body]:
        """The subgraphs, in the order of the attributes."""
        return [a for a in self.attributes.values() if isinstance(a, Body)] if self.attributes else []


@dataclass(slots=True, eq=False)
class FunctionRecord:
    """A model-local function: one method of one class for one kind of arguments.

    ``parameters`` are the tensors of the module that it reads, by path from the module, each with its formal input. ``data``
    is the function as bytes once it is finished, with the name that it had before it was numbered.
    """

    domain: str
    name: str
    body: Body
    frame: Frame
    parameters: dict[str, Run] = field(default_factory=dict)
    claims: Any = None
    data: bytes = b""

"""Reads the provenance that our exporter writes on nodes: claims about the statements that they came from.

Nothing here is believed yet. A claim is text from a file: it is parsed, put in order, and later checked by lowering the
program that it describes again (``raise_check``). The format is described in ``bridge.exporters.onnx.claims``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto

from bridge.ir.errors import BridgeError

__all__ = [
    "DOUBTS",
    "KEY",
    "ClaimBlock",
    "ClaimedGraph",
    "Disbelief",
    "FrameClaim",
    "StatementClaim",
    "metadata_of",
    "statement_from_text",
    "walk",
]

KEY = "bridge.ir"

#: The number of what stands for the results of a frame.
RETURN = -1

_OPEN = re.compile(r"(\d+) = (?:(\d+):(\d+)@(\S*))? ([\w.<>]+)\((.*)\)( \{.*\})?", re.DOTALL)
_STATEMENT = re.compile(r"(\d+):(\d+)(?:@(\d+)\.(\d+))?(?: (.*))?", re.DOTALL)
_END = re.compile(r"(\d+):(\d+)\.(\d+) -> (.*)")
_RETURN = re.compile(r"(\d+) return(?: (.*?) -> (.*))?")
_KIND = re.compile(r" = (\^?[\w.]+::[\w.]+|\^[\w.]+)")
_VALUE = re.compile(r"%([^\s(),:;]+)")
_EXACT = re.compile(r" !(\w+)(\.?):([0-9a-f]*)$")


class Disbelief(BridgeError):
    """What the metadata says cannot be so; the nodes are taken for what they are instead."""


#: What reading nonsense may raise; whatever it is, the metadata is not believed then.
DOUBTS = (
    BridgeError, RecursionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, StopIteration,
)  # fmt: skip


@dataclass(slots=True, eq=False)
class ClaimBlock:
    """A block of a statement: parameters as text, statements, names of the results."""

    params: str
    statements: list[StatementClaim] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class StatementClaim:
    """One statement. ``outputs`` are (name, type text); ``head`` is the kind with its attributes, ``tail`` scope and place.

    ``nodes`` are the ONNX nodes that claim to come from it. ``raw`` is the node that the statement *is*, where nothing is
    claimed or the claim was wrong; ``exact`` the value of a constant that the text cannot hold, ``wrapped``
    where it promotes as a number.
    """

    number: int
    outputs: list[tuple[str, str]]
    head: str
    operands: list[str]
    tail: str = ""
    place: tuple[int, int] | None = None
    blocks: list[ClaimBlock] = field(default_factory=list)
    nodes: list[NodeProto] = field(default_factory=list)
    raw: NodeProto | None = None
    exact: np.ndarray[Any, Any] | None = None
    wrapped: bool = False
    rewired: bool = False

    def line(self) -> str:
        """The statement as graph text, without its blocks."""
        outputs = ", ".join(f"%{n} : {t}" for n, t in self.outputs)
        return f"{outputs} = {self.head}({', '.join('%' + o for o in self.operands)}){self.tail}"


@dataclass(slots=True, eq=False)
class FrameClaim:
    """One run of a function: its inputs as text, its statements, what it returns.

    ``schema`` has the default values of arguments, and their names where the graph's values have none.
    """

    number: int
    caller: tuple[int, int] | None
    path: str
    name: str
    inputs: list[str]
    schema: dict[str, Any]
    statements: list[StatementClaim] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    returns: str = ""

    def owner(self) -> str:
        """The text of the first input's type: the class whose method it is, if it is one."""
        return self.inputs[0].partition(" : ")[2] if self.inputs else ""

    def walk(self) -> Iterator[StatementClaim]:
        """All statements in the order of the text."""
        yield from walk(self.statements)

    def text(self) -> str:
        """The frame as graph text."""
        lines = [f"graph({(',' + chr(10) + '      ').join(self.inputs)}):"]
        _lines(self.statements, 1, lines)
        lines.append(f"  return ({', '.join('%' + r for r in self.results)})\n")
        return "\n".join(lines)


def walk(statements: Sequence[StatementClaim]) -> Iterator[StatementClaim]:
    """The statements and all in their blocks, in the order of the text."""
    for s in statements:
        yield s
        for b in s.blocks:
            yield from walk(b.statements)


def _lines(statements: Sequence[StatementClaim], level: int, lines: list[str]) -> None:
    for s in statements:
        lines.append("  " * level + s.line())
        for i, b in enumerate(s.blocks):
            lines.append(f"{'  ' * (level + 1)}block{i}({b.params}):")
            _lines(b.statements, level + 2, lines)
            lines.append(f"{'  ' * (level + 2)}-> ({', '.join('%' + r for r in b.results)})")


class ClaimedGraph:
    """The claims of one main graph or function, and what each of its nodes claims to come from.

    ``frames`` by number; ``of_node`` the statement of a node by ``id``; ``returns`` stand for what a frame returns. Raises Disbelief when they contradict themselves.
    """

    def __init__(self, nodes: Sequence[NodeProto], tail: Sequence[str]) -> None:
        self.frames: dict[int, FrameClaim] = {}
        self.of_node: dict[int, StatementClaim] = {}
        self.statements: dict[tuple[int, int], StatementClaim] = {}
        self.returns: dict[int, StatementClaim] = {}
        self._ends: dict[tuple[int, int, int], list[str]] = {}
        self._pending: list[tuple[NodeProto, tuple[int, int]]] = []
        self._body(nodes)
        for line in tail:
            self._line(line)
        for number, frame in self.frames.items():
            self.returns[number] = StatementClaim(RETURN, [], "prim::Return", frame.results)
        for node, key in self._pending:
            statement = self.returns.get(key[0]) if key[1] == RETURN else self.statements.get(key)
            if statement is not None:
                statement.nodes.append(node)
                self.of_node[id(node)] = statement
        self._arrange()

    def _body(self, nodes: Sequence[NodeProto]) -> None:
        for node in nodes:
            key = None
            for line in metadata_of(node):
                key = self._line(line) or key
            if key is not None:
                self._pending.append((node, key))
            for a in node.attribute:
                if a.HasField("g"):
                    self._body(a.g.node)
                    for line in metadata_of(a.g):
                        self._line(line)

    def _line(self, line: str) -> tuple[int, int] | None:
        """Read one line; gives the key of the statement that it names."""
        m = _OPEN.fullmatch(line)
        if m is not None:
            self._open(m)
            return None
        m = _END.fullmatch(line)
        if m is not None:
            self._ends[int(m[1]), int(m[2]), int(m[3])] = _VALUE.findall(m[4])
            return None
        m = _RETURN.fullmatch(line)
        if m is not None:
            if m[2] is None:
                return int(m[1]), RETURN
            frame = self.frames.get(int(m[1]))
            if frame is not None:
                frame.results[:] = _VALUE.findall(m[2])
                frame.returns = m[3]
            return None
        m = _STATEMENT.fullmatch(line)
        if m is None:
            return None
        key = int(m[1]), int(m[2])
        if m[5] is not None:
            if key in self.statements:
                raise Disbelief(f"two nodes claim statement {key[0]}:{key[1]}")
            self.statements[key] = s = statement_from_text(key[1], m[5])
            s.place = (int(m[3]), int(m[4])) if m[3] is not None else None
        return key

    def _open(self, m: re.Match[str]) -> None:
        number = int(m[1])
        if number in self.frames:
            raise Disbelief(f"two nodes open frame {number}")
        caller = (int(m[2]), int(m[3])) if m[2] is not None else None
        try:
            schema = ast.literal_eval(m[7].strip()) if m[7] else {}
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            schema = {}
        inputs = m[6].split("; ") if m[6] else []
        self.frames[number] = FrameClaim(number, caller, m[4] or "", m[5], inputs, schema)

    def _arrange(self) -> None:
        """Put every statement into its frame and block, in order."""
        for (f, number), s in sorted(self.statements.items(), key=lambda item: item[0]):
            frame = self.frames.get(f)
            if frame is None:
                raise Disbelief(f"no node opens frame {f}")
            if s.place is None:
                frame.statements.append(s)
                continue
            owner = self.statements.get((f, s.place[0]))
            if owner is None or owner.number >= number or s.place[1] >= len(owner.blocks):
                continue  # its owner is gone: so is what it claims
            owner.blocks[s.place[1]].statements.append(s)
        for (f, number, block), results in self._ends.items():
            owner = self.statements.get((f, number))
            if owner is not None and block < len(owner.blocks):
                owner.blocks[block].results = results


def metadata_of(proto: Any) -> list[str]:
    """The lines of the claims on a node, graph or function."""
    for entry in proto.metadata_props:
        if entry.key == KEY:
            return entry.value.split("\n")  # type: ignore[no-any-return]
    return []


def statement_from_text(number: int, text: str) -> StatementClaim:
    """Take a statement's text apart. Raises Disbelief when it is none."""
    exact, wrapped = None, False
    m = _EXACT.search(text)
    if m is not None:
        exact, wrapped, text = _array(m[1], m[3]), bool(m[2]), text[: m.start()]
    m = _KIND.search(text)
    if m is None:
        raise Disbelief(f"not a statement: {text[:80]}")
    outputs = _declarations(text[: m.start()])
    at = m.end()
    at = _skip_brackets(text, at) if text[at : at + 1] == "[" else at
    head = text[m.start() + 3 : at]
    close = text.find(")", at)
    if text[at : at + 1] != "(" or close < 0:
        raise Disbelief(f"not a statement: {text[:80]}")
    operands = _VALUE.findall(text[at:close])
    tail = text[close + 1 :]
    blocks: list[ClaimBlock] = []
    first = tail.find(" block0(")
    if first >= 0:
        for part in re.split(r" block\d+\(", tail[first:])[1:]:
            if not part.endswith(")"):
                raise Disbelief(f"not a statement: {text[:80]}")
            blocks.append(ClaimBlock(part[:-1]))
        tail = tail[:first]
    return StatementClaim(number, outputs, head, operands, tail, blocks=blocks, exact=exact, wrapped=wrapped)


def _declarations(text: str) -> list[tuple[str, str]]:
    if not text.strip():
        return []
    found = list(re.finditer(r"(?:^|, )%([^\s(),:;]+) : ", text))
    ends = [m.start() for m in found[1:]] + [len(text)]
    return [(m[1], text[m.end() : end]) for m, end in zip(found, ends, strict=True)]


def _skip_brackets(text: str, at: int) -> int:
    """The place after the bracket that closes the one at ``at``, strings left out."""
    depth, quoted = 0, False
    while at < len(text):
        c = text[at]
        if quoted:
            if c == "\\":
                at += 1
            quoted = c != '"'
        elif c == '"':
            quoted = True
        elif c in "[{(":
            depth += 1
        elif c in "]})":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise Disbelief(f"not a statement: {text[:80]}")


def _array(dtype: str, data: str) -> np.ndarray[Any, Any]:
    from bridge.ir.dtypes import by_name

    try:
        return np.frombuffer(bytes.fromhex(data), by_name(dtype).numpy).reshape(()).copy()
    except (KeyError, ValueError) as e:
        raise Disbelief(f"not a constant: {dtype}") from e

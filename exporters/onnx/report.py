"""What exporting found: what it decided, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bridge.ir.errors import LoweringError
from bridge.ir.source import SourceRange

__all__ = ["Entry", "ExportError", "Port", "Report", "Summary"]


@dataclass(slots=True, frozen=True)
class Entry:
    """One line of a report: ``kind`` (``branch removed``, ``dimension fixed``, ``dropped``…), text, and the place."""

    kind: str
    message: str
    range: SourceRange | None = None

    @property
    def place(self) -> str:
        """``file:line:column`` of the user's code (columns from 1, where one is known), or nothing."""
        at = self.range
        while at is not None and at.source.caller is not None:
            at = at.source.caller
        found = at.file_line_col() if at is not None else None
        if at is None or found is None:
            return ""
        return f"{found[0]}:{found[1]}:{found[2] + 1}" if at.source.text else f"{found[0]}:{found[1]}"

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.kind}: {self.message}"


@dataclass(slots=True, frozen=True)
class Port:
    """An input or output of the model: what is fixed of it, and what is free."""

    name: str
    type: str
    note: str = ""


@dataclass(slots=True)
class Summary:
    """What the model is: its name, inputs and outputs, opset, and how large it is."""

    name: str = ""
    opset: int = 0
    nodes: int = 0
    functions: int = 0
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)


#: The headings of the page, with the kinds of entries under each.
_HEADINGS = {
    "Values that are constants of the model": (
        "value captured", "attribute frozen", "argument fixed", "arguments fixed", "default used", "frozen by the trace",
    ),
    "Sizes and types": ("dimension fixed", "size assumed", "element type"),
    "Branches and loops": ("branch removed", "loop removed", "loop unrolled"),
    "State": ("state", "caller's tensor"),
    "Random numbers": ("random",),
    "What the model does not do": ("dropped", "check dropped", "message"),
}  # fmt: skip


class Report(list[Entry]):
    """Everything that exporting froze, fixed, removed or dropped, in program order. Prints one line each.

    With a ``summary`` (``export(…, report=True)``) it lists all values that became constants, too, and prints as a page.
    """

    summary: Summary | None = None

    def __init__(self) -> None:
        super().__init__()
        self._known: set[Entry] = set()

    def note(self, kind: str, message: str, range: SourceRange | None = None) -> None:
        """Add an entry unless it is there already."""
        entry = Entry(kind, message, range)
        if entry not in self._known:
            self._known.add(entry)
            self.append(entry)

    def cut(self, length: int) -> None:
        """Forget all entries but the first ``length``: what they tell of was not exported so."""
        self._known.difference_update(self[length:])
        del self[length:]

    def page(self) -> str:
        """The report as Markdown: inputs and outputs, then every decision with its place."""
        s = self.summary or Summary()
        parts = [f"# What exporting {s.name} decided".replace("  ", " ")]
        if self.summary is not None:
            parts.append(f"ONNX opset {s.opset}; nodes: {s.nodes}; functions: {s.functions}.")
            parts += [_table("input", s.inputs), _table("output", s.outputs)]
        for heading, entries in self._grouped():
            lines = [
                f"- `{e.place}`: {e.kind}: {e.message}" if e.place else f"- {e.kind}: {e.message}" for e in entries
            ]
            parts.append(f"## {heading}\n\n" + "\n".join(lines))
        if not self:
            parts.append("Nothing was decided: every value of the program is computed by the model.")
        return "\n\n".join(p for p in parts if p) + "\n"

    def _grouped(self) -> Iterator[tuple[str, list[Entry]]]:
        known = {kind for kinds in _HEADINGS.values() for kind in kinds}
        for heading, kinds in _HEADINGS.items():
            found = [e for kind in kinds for e in self if e.kind == kind]
            if found:
                yield heading, found
        rest = [e for e in self if e.kind not in known]
        if rest:
            yield "Other", rest

    def __str__(self) -> str:
        if self.summary is not None:
            return self.page()
        return "\n".join(map(str, self)) or "nothing was specialised"


def _table(what: str, ports: Sequence[Port]) -> str:
    if not ports:
        return ""
    rows = "\n".join(f"| {p.name} | `{p.type}` | {p.note} |" for p in ports)
    return f"| {what} | type | |\n|---|---|---|\n{rows}"


class ExportError(LoweringError):
    """A program cannot be exported. ``obstacles`` lists everything that stands in the way, each with its place."""

    def __init__(self, obstacles: Sequence[Entry]) -> None:
        self.obstacles = tuple(obstacles)
        first = self.obstacles[0]
        if len(self.obstacles) == 1:
            super().__init__(first.message, first.range)
            return
        lines = [f"{len(self.obstacles)} things stand in the way of exporting this program:"]
        for o in self.obstacles:
            text = o.message if o.range is None else f"{o.message}\n{o.range.highlight()}"
            lines.append("\n".join(("- " if i == 0 else "  ") + line for i, line in enumerate(text.split("\n"))))
        super().__init__("\n".join(lines))
        self.range = first.range

"""What exporting found: what it decided, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.ir.errors import LoweringError
from bridge.ir.source import SourceRange

__all__ = ["Entry", "ExportError", "Report"]


@dataclass(slots=True, frozen=True)
class Entry:
    """One line of a report: ``kind`` (``branch removed``, ``dimension fixed``, ``dropped``…), text, and the place."""

    kind: str
    message: str
    range: SourceRange | None = None

    def __str__(self) -> str:
        place = self.range.file_line_col() if self.range is not None else None
        where = f"{place[0]}:{place[1]}:{place[2] + 1}: " if place else ""
        return f"{where}{self.kind}: {self.message}"


class Report(list[Entry]):
    """Everything that exporting froze, fixed, removed or dropped, in program order. Prints one line each."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[Entry] = set()

    def note(self, kind: str, message: str, range: SourceRange | None = None) -> None:
        """Add an entry unless it is there already."""
        entry = Entry(kind, message, range)
        if entry not in self._known:
            self._known.add(entry)
            self.append(entry)

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing was specialised"


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

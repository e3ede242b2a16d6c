"""Where a node came from: a range of characters in a source text, or just a file and a line."""

from __future__ import annotations

import linecache

__all__ = ["Source", "SourceRange"]


class Source:
    """A text with a name: the whole or a part of a file.

    ``first_line`` is the 1-based line of the file at which ``text`` starts; ``indent`` how many columns were
    stripped from each of its lines (a method's source is dedented before it is parsed). ``caller`` is the place in the
    user's code that led here, when the text is library code.
    """

    __slots__ = ("_starts", "caller", "filename", "first_line", "indent", "text")

    def __init__(self, text: str, filename: str = "", first_line: int = 1, indent: int = 0) -> None:
        self.text, self.filename, self.first_line, self.indent = text, filename, first_line, indent
        self.caller: SourceRange | None = None
        self._starts: list[int] | None = None

    def line_starts(self) -> list[int]:
        """Offsets at which the lines start."""
        if self._starts is None:
            starts = [0]
            for line in self.text.splitlines(keepends=True):
                starts.append(starts[-1] + len(line))
            self._starts = starts
        return self._starts

    def offset(self, line: int, column: int) -> int:
        """Offset of a 1-based line and 0-based character column within this text."""
        starts = self.line_starts()
        return min(starts[min(line, len(starts)) - 1] + column, len(self.text))

    def line_column(self, offset: int) -> tuple[int, int]:
        """(0-based line, 0-based column) of an offset within this text."""
        import bisect

        starts = self.line_starts()
        line = bisect.bisect_right(starts, offset) - 1
        return line, offset - starts[line]


class SourceRange:
    """Characters ``start`` to ``end`` of a :class:`Source`. Immutable.

    ``printed`` is, of a program from an archive, the place in the archive's text that was printed from this one.
    """

    __slots__ = ("end", "printed", "source", "start")

    def __init__(self, source: Source, start: int, end: int, printed: SourceRange | None = None) -> None:
        self.source, self.start, self.end, self.printed = source, start, end, printed

    @classmethod
    def at(cls, filename: str, line: int, caller: SourceRange | None = None) -> SourceRange:
        """A place known only by file and 1-based line (what a tracer sees)."""
        source = Source("", filename, line)
        source.caller = caller
        return cls(source, 0, 0)

    def file_line_col(self) -> tuple[str, int, int] | None:
        """(file, 1-based line, 0-based column in the file), or None when the source has no file name."""
        if not self.source.filename:
            return None
        line, column = self.source.line_column(self.start)
        return self.source.filename, self.source.first_line + line, column + self.source.indent

    def text(self) -> str:
        """The characters of the range."""
        return self.source.text[self.start : self.end]

    def highlight(self) -> str:
        """``file:line:column`` (1-based column, as editors count), the line, and carets under the range.

        For library code it is the user's line that called it.
        """
        if self.source.caller is not None:
            return self.source.caller.highlight()
        place = self.file_line_col()
        line_no, column = self.source.line_column(self.start)
        if self.source.text:
            starts = self.source.line_starts()
            line = self.source.text[starts[line_no] :].split("\n", 1)[0]
        elif place is not None:
            line, column = linecache.getline(place[0], place[1]).rstrip("\n"), 0
            column = len(line) - len(line.lstrip())
        else:
            return ""
        length = max(1, min(self.end - self.start, len(line) - column)) if self.end > self.start else 1
        head = f"{place[0]}:{place[1]}:{place[2] + 1}\n" if place else ""
        return f"{head}{line}\n{' ' * column}{'^' * length}" if line.strip() else head.rstrip("\n")

    def __repr__(self) -> str:
        place = self.file_line_col()
        return f"<{place[0]}:{place[1]}:{place[2]}>" if place else "<unknown>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceRange):
            return NotImplemented
        return self.source is other.source and self.start == other.start and self.end == other.end

    def __hash__(self) -> int:
        return hash((id(self.source), self.start, self.end))

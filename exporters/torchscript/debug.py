"""The ``.debug_pkl`` beside each source text of an archive: where its pieces came from in the user's program.

Format, as torch writes it (``jit/serialization/source_range_serialization.cpp``): the text of every source line once, in a
table; then a row for each piece of the printed text, with its byte offset, its place (source, start and end in bytes) and a
number that is the same for the same place in all files of the archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.exporters.torchscript.opcodes import Opcodes
from bridge.ir.source import Source, SourceRange

__all__ = ["RangeTags", "pickle_ranges"]


class RangeTags:
    """Numbers the places of one archive, in the order in which they are met."""

    def __init__(self) -> None:
        self._tags: dict[SourceRange | None, int] = {}

    def of(self, place: SourceRange | None) -> int:
        """The number of a place; None is what was printed on nobody's account."""
        return self._tags.setdefault(place, len(self._tags))


def pickle_ranges(ranges: Sequence[tuple[int, SourceRange | None]], tags: RangeTags) -> bytes:
    """The record for a source text whose pieces start at these byte offsets."""
    table = _Sources()
    rows = [(offset, table.place(place), tags.of(place)) for offset, place in _simplified(ranges)]
    out = Opcodes()
    out.string("FORMAT_WITH_STRING_TABLE")
    out.raw(b"(")
    for text in table.texts:
        out.string(text)
    out.raw(b"t")
    out.put()
    _rows(out, rows)
    out.raw(b"\x87.")
    return out.data()


def _simplified(ranges: Sequence[tuple[int, SourceRange | None]]) -> Iterator[tuple[int, SourceRange | None]]:
    """The ranges with every empty place (none at all, or one that an archive gave as empty) as None, and no row twice."""
    last: SourceRange | str | None = "nothing"
    for offset, place in ranges:
        if place is not None and not (place.source.text or place.source.filename):
            place = None
        if place != last:
            yield offset, place
        last = place


_Place = tuple["_Written", int, int]


class _Written:
    """A source as the record has it; ``memo`` is where the pickle keeps it."""

    def __init__(self, lines: list[int], name: int, first_line: int) -> None:
        self.lines, self.name, self.first_line = lines, name, first_line
        self.memo: int | None = None


class _Sources:
    def __init__(self) -> None:
        self.texts = [""]
        self._index = {"": 0}
        self._sources: dict[Source | None, tuple[_Written, list[int]]] = {}

    def place(self, range_: SourceRange | None) -> _Place:
        if range_ is None:
            return self._source(None)[0], 0, 0
        written, shifts = self._source(range_.source)
        return written, _bytes(range_, range_.start, shifts), _bytes(range_, range_.end, shifts)

    def _source(self, source: Source | None) -> tuple[_Written, list[int]]:
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = self._add(source)
        return known

    def _add(self, source: Source | None) -> tuple[_Written, list[int]]:
        """A source with its file's own indentation; how many bytes each line moved."""
        if source is None:
            return _Written([], 0, 0), []
        margin = " " * source.indent
        lines, shifts, shift = [], [], 0
        pieces = source.text.split("\n")
        for i, piece in enumerate(pieces):
            added = margin if piece.strip() else ""
            shift += len(added)
            shifts.append(shift)
            lines.append(self._text(added + piece + ("\n" if i + 1 < len(pieces) else "")))
        return _Written(lines, self._text(source.filename), source.first_line), shifts if margin else []

    def _text(self, text: str) -> int:
        number = self._index.get(text)
        if number is None:
            number = self._index[text] = len(self.texts)
            self.texts.append(text)
        return number


def _bytes(range_: SourceRange, offset: int, shifts: list[int]) -> int:
    """A character offset of the source as a byte offset of the text that is written."""
    text = range_.source.text
    shift = shifts[text.count("\n", 0, offset)] if shifts else 0
    return shift + (offset if text.isascii() else len(text[:offset].encode("utf-8")))


def _rows(out: Opcodes, rows: list[tuple[int, _Place, int]]) -> None:
    closing = {0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(rows))
    if closing is None:
        out.raw(b"(")
    for offset, (source, start, end), tag in rows:
        out.integer(offset)
        if source.memo is None:
            out.int_list(source.lines)
            out.integer(source.name)
            out.integer(source.first_line)
            out.raw(b"\x87")
            source.memo = out.put()
        else:
            out.get(source.memo)
        out.integer(start)
        out.integer(end)
        out.raw(b"\x87")
        out.integer(tag)
        out.raw(b"\x87")
    out.raw(closing or b"t")
    if rows:
        out.put()

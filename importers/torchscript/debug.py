"""The ``.debug_pkl`` beside each source text of an archive: where its pieces came from in the user's program.

Format, as torch writes it (``jit/serialization/source_range_serialization.cpp``): a tuple
``("FORMAT_WITH_STRING_TABLE", texts, rows)``, a row being ``(byte offset in the source, (source, start, end), tag)`` and a
source ``(numbers of its lines in texts, number of its file name in texts, first line)``. Older archives have the rows alone,
with the texts in place. A row holds from its offset to the next row's.
"""

from __future__ import annotations

import bisect
from typing import Any

from bridge.importers.torchscript.unpickler import PickleError, unpickle
from bridge.ir.source import Source, SourceRange

__all__ = ["ByteOffsets", "DebugRanges"]

_MARKER = "FORMAT_WITH_STRING_TABLE"
#: Lines repeat from source to source; what they amount to written out is bounded.
_MAX_TEXT = 64 << 20


class DebugRanges:
    """The rows of one debug record; :meth:`at` finds the one that a byte offset of the source text belongs to."""

    def __init__(self, offsets: list[int], ranges: list[SourceRange | None]) -> None:
        self._offsets, self._ranges = offsets, ranges

    def at(self, offset: int) -> SourceRange | None:
        """The place in the user's program that the source text at ``offset`` (in bytes) was printed from; None when the
        record does not say."""
        found = bisect.bisect_right(self._offsets, offset) - 1
        return self._ranges[found] if found >= 0 else None

    @classmethod
    def parse(cls, data: bytes) -> DebugRanges:
        """Read a record. Raises :class:`PickleError` when it is not in the format above."""
        value = unpickle(data)
        texts: tuple[str, ...] | None = None
        if isinstance(value, tuple) and len(value) == 3 and value[0] == _MARKER:
            texts, value = value[1], value[2]
            if not isinstance(texts, tuple) or not all(isinstance(t, str) for t in texts):
                raise PickleError("has a table of texts that is not a tuple of strings")
        if not isinstance(value, tuple):
            raise PickleError("does not hold a tuple of source ranges")
        reader = _Rows(texts)
        rows = [reader.row(row) for row in value]
        offsets = [offset for offset, _ in rows]
        if offsets != sorted(offsets):
            raise PickleError("has source ranges that are out of order")
        return cls(offsets, [range_ for _, range_ in rows])


class ByteOffsets:
    """Offsets in a text counted in characters and in bytes of its UTF-8 form, and each as the other.

    Every so many characters the byte offset is noted, so that a look-up in a long text is as quick as in a short one.
    """

    _STEP = 1024

    def __init__(self, text: str) -> None:
        self._text = text
        self._marks: list[int] = []
        if not text.isascii():
            at = 0
            for start in range(0, len(text), self._STEP):
                self._marks.append(at)
                at += len(text[start : start + self._STEP].encode("utf-8"))
            self._marks.append(at)
        self.size = self._marks[-1] if self._marks else len(text)

    def bytes_at(self, characters: int) -> int:
        """The byte offset of a character."""
        if not self._marks:
            return characters
        mark = characters // self._STEP
        return self._marks[mark] + len(self._text[mark * self._STEP : characters].encode("utf-8"))

    def characters_at(self, offset: int) -> int:
        """The character at a byte offset (the one around it, when it is in the middle of one)."""
        if not self._marks:
            return offset
        mark = min(bisect.bisect_right(self._marks, offset) - 1, len(self._marks) - 2)
        piece = self._text[mark * self._STEP : (mark + 1) * self._STEP].encode("utf-8")
        return mark * self._STEP + len(piece[: offset - self._marks[mark]].decode("utf-8", "ignore"))


class _Rows:
    def __init__(self, texts: tuple[str, ...] | None) -> None:
        self._texts = texts
        self._sources: dict[int, tuple[Source, ByteOffsets] | None] = {}
        self._written = 0

    def row(self, row: Any) -> tuple[int, SourceRange | None]:
        if not isinstance(row, tuple) or len(row) not in (2, 3) or type(row[0]) is not int:
            raise PickleError("has a source range that is not a row of offset and place")
        place = (
            row[1] if len(row) == 3 and isinstance(row[1], tuple) else row[-1]
        )  # once the tag stood before the place
        if not isinstance(place, tuple) or len(place) != 3 or any(type(n) is not int for n in place[1:]):
            raise PickleError("has a source range without start and end")
        key = id(place[0])  # shared in the pickle, so shared here; the pickle's value outlives this object
        if key not in self._sources:
            self._sources[key] = self._source(place[0])
        found = self._sources[key]
        if found is None:
            return row[0], None
        source, offsets = found
        if not 0 <= place[1] <= place[2] <= offsets.size:
            raise PickleError("has a source range outside its source")
        return row[0], SourceRange(source, offsets.characters_at(place[1]), offsets.characters_at(place[2]))

    def _source(self, value: Any) -> tuple[Source, ByteOffsets] | None:
        """A source; None for the empty one that torch gives to what it printed on its own account."""
        if not isinstance(value, tuple) or len(value) != 3 or type(value[2]) is not int:
            raise PickleError("has a source that is not text, file and line")
        text, name, line = value
        if self._texts is not None:
            lines = text if isinstance(text, list) else [None]
            text = "".join(map(self._text, lines))
            name = self._text(name)
        if not isinstance(text, str) or not (name is None or isinstance(name, str)):
            raise PickleError("has a source that is not text, file and line")
        self._written += len(text)
        if self._written > _MAX_TEXT:
            raise PickleError(f"has source texts of more than {_MAX_TEXT} characters")
        return (Source(text, name or "", line), ByteOffsets(text)) if text or name else None

    def _text(self, index: Any) -> str:
        assert self._texts is not None
        if type(index) is not int or not 0 <= index < len(self._texts):
            raise PickleError("refers to a text that is not in its table")
        return self._texts[index]

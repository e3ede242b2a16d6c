"""Text that came out of a file, made harmless to show."""

from __future__ import annotations

__all__ = ["printable", "printable_line"]


def printable(text: str) -> str:
    """The text with control characters written as escapes, so that a file's names cannot drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def printable_line(text: str) -> str:
    """As :func:`printable`, on one line: a name cannot look like a line of its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(c: str) -> str:
    return c.encode("unicode_escape", "backslashreplace").decode()

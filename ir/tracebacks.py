"""What TorchScript says when a program fails: the calls that led there, with the source around each, and the error.

The interpreter notes on the exception, on its way out, which node it passed (:func:`passed`) and which function it left
(:func:`left`); :func:`told` makes the text of it. The layout is that of torch's ``source_range.cpp``.
"""

from __future__ import annotations

from typing import Any

from bridge.ir.source import SourceRange

__all__ = ["left", "passed", "told"]

_CALLS = frozenset({"prim::CallFunction", "prim::CallMethod"})
#: Lines of the source that are shown before and after the place.
_AROUND = 2


def passed(e: BaseException, kind: str, place: SourceRange | None) -> None:
    """A node of that kind raised the exception, or is around what did: of those, calls count."""
    frames = e.__dict__.get("__bridge_frames__")
    if frames is None:
        e.__dict__["__bridge_frames__"] = [[place, None]]
    elif kind in _CALLS and frames[-1][1] is not None:
        frames.append([place, None])


def left(e: BaseException, name: str) -> None:
    """The exception leaves the function of that name."""
    frames = e.__dict__.get("__bridge_frames__")
    if frames and frames[-1][1] is None:
        frames[-1][1] = name


def told(e: BaseException, message: str) -> str:
    """The text of the error: the calls, outermost first, then the message, which names the class of the exception."""
    frames = [(place, name) for place, name in reversed(e.__dict__.get("__bridge_frames__", ())) if place is not None]
    printed = [(place.printed, name) for place, name in frames if place.printed is not None]
    text = "The following operation failed in the TorchScript interpreter.\n"
    if printed:
        text += "Traceback of TorchScript, serialized code (most recent call last):\n" + _calls(printed)
        text += "\nTraceback of TorchScript, original code (most recent call last):\n"
    else:
        text += "Traceback of TorchScript (most recent call last):\n"
    return f"{text}{_calls(frames)}{message}\n"


def _calls(frames: list[tuple[SourceRange, Any]]) -> str:
    return "".join(_call(place, name or "") for place, name in frames)


def _call(place: SourceRange, name: str) -> str:
    where = place.file_line_col()
    if not place.source.text:  # recorded by a tracer: the line alone
        return f"{where[0]}({where[1]}): {name}\n" if where is not None and where[0] else ""
    head = f'  File "{where[0]}", line {where[1]}{", in " if name else ""}{name}\n' if where is not None else ""
    return head + context(place)


def context(place: SourceRange) -> str:
    """The lines of a range, each with a line of ``~`` below that marks it, and two lines before and after."""
    text, end = place.source.text, min(place.end, len(place.source.text))
    lines, starts = text.split("\n"), place.source.line_starts()
    first, _ = place.source.line_column(place.start)
    last, _ = place.source.line_column(max(end - 1, place.start))
    shown = lines[max(0, first - _AROUND) : first]
    for number in range(first, last + 1):
        line, at = lines[number], starts[number]
        from_ = max(place.start - at, len(line) - len(line.lstrip(" ")))
        to = min(end - at, len(line))
        shown.append(line)
        if to > from_:
            mark = " " * from_ + "~" * (to - from_)
            more = text[at + len(line) : end].strip(" \n")
            shown.append(mark if more else f"{mark} <--- HERE")
    after = lines[last + 1 : last + 1 + _AROUND]
    if after and after[-1] == "" and last + 1 + len(after) == len(lines):
        after.pop()  # what is behind the last line break is no line
    return "\n".join([*shown, *after]) + "\n"

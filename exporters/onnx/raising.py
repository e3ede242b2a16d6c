"""``raise`` and ``assert`` that depend on data: an extra output that tells what was raised.

The output is a list of int64. It is empty when the program ran to its end. Otherwise its first number says what was raised
(a code of the table in the model's metadata), and the numbers after it are those that the message shows. What is raised
later is appended behind: the first counts. The rest of the program still runs, on whatever values are there, but loops stop.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.operators import lower_operator, plain
from bridge.exporters.onnx.values import BOOL, INT64, Abstract, Run, RunList, Text
from bridge.ir import types as T
from bridge.ir.graph import Node
from bridge.ir.ops.formatting import percent_format, specifiers
from bridge.ir.value_text import value_text

__all__ = ["DOCUMENTATION", "ERRORS", "message_of", "no_error", "raise_unless"]

#: The metadata key of the table of what can be raised.
ERRORS = "bridge.errors"

#: Specifiers that show what ``str`` does.
_AS_TEXT = ("%s", "%{}", "%{!s}")

#: The doc string of the output.
DOCUMENTATION = (
    "Empty when the program ran to its end. Otherwise the other outputs mean nothing: the first number is the code of the "
    f"exception in the metadata entry '{ERRORS}', the numbers after it are the values that its message shows."
)


@handles("aten::format")
def format_text(m: Machine, node: Node) -> Abstract:
    """An f-string: text with values in it, which only an exception can carry."""
    template, *values = [_shown(m, m.get(v)) for v in node.inputs]
    if not isinstance(template, str) or not any(map(_at_run_time, values)) or template.count("{}") != len(values):
        return lower_operator(m, node)
    pieces: list[Any] = []
    for i, literal in enumerate(template.split("{}")):
        pieces.append(literal)
        if i < len(values):
            pieces.append(values[i])
    return _text(pieces)


@handles("aten::str")
def text_of(m: Machine, node: Node) -> Abstract:
    """``str(n)``, which only an exception can carry where ``n`` is known at run time alone."""
    shown = m.get(node.input)
    if isinstance(shown, Text):
        return shown
    shown = _shown(m, shown)
    return _text([shown]) if _at_run_time(shown) else lower_operator(m, node)


@handles("aten::percentFormat")
def percent_text(m: Machine, node: Node) -> Abstract:
    """``"%d of %s" % (n, m)``; of numbers in other formats (``%.2f``) an exception shows the type."""
    template, *values = [_shown(m, m.get(v)) for v in node.inputs]
    if len(values) == 1 and isinstance(values[0], tuple):
        values = list(values[0])
    if not isinstance(template, str) or not any(map(_at_run_time, values)):
        return lower_operator(m, node)
    parts = list(specifiers(template))
    if sum(count for _, _, count in parts) != len(values):
        return lower_operator(m, node)
    pieces: list[Any] = []
    for before, how, count in parts:
        taken, values = values[:count], values[count:]
        pieces += [before, _formatted(m, how, taken, node) if how else ""]
    return _text(pieces)


def _formatted(m: Machine, how: str, taken: list[Any], node: Node) -> Any:
    """Values as ``%`` shows them, where that is what ``str`` gives; known values are shown at once."""
    if not any(map(_at_run_time, taken)):
        return percent_format(how, *taken)
    v = taken[0]
    if how in _AS_TEXT or (how in ("%d", "%i") and isinstance(v, Run) and v.number is T.INT):
        return v
    what = str(v.number) if isinstance(v, Run) and v.number is not None else "value"
    m.program.report.note("message", f"the model does not carry what {how} shows of a {what}", node.range)
    return f"<{what}>"


def _shown(m: Machine, v: Abstract) -> Any:
    if isinstance(v, tuple):
        return tuple(_shown(m, x) for x in v)
    return v if isinstance(v, Text) or (isinstance(v, Run) and v.number is T.STR) else plain(m, v)


def _at_run_time(v: Any) -> bool:
    return any(map(_at_run_time, v)) if isinstance(v, list | tuple) else isinstance(v, Run | Text)


def _text(pieces: list[Any]) -> Text:
    """Pieces as one text; those that are texts are opened."""
    flat = [x for p in pieces for x in (p.pieces if isinstance(p, Text) else [p])]
    return Text([p for p in flat if not (isinstance(p, str) and not p)])


@handles("prim::RaiseException")
def raise_exception(m: Machine, node: Node) -> Abstract:
    """Append to the list of what was raised."""
    message, *rest = [m.get(v) for v in node.inputs]
    if not m.program.raises:
        m.program.report.note("check dropped", "the model does not tell when this is raised", node.range)
        return []
    e = m.emitter
    shown: list[Run] = []
    pieces = message.pieces if isinstance(message, Text) else [message if isinstance(message, Run) else str(message)]
    parts = [p if isinstance(p, str) else _carried(m, p, shown, node) for p in pieces]
    code = m.program.error_code(_row(rest[0] if rest else None, parts))
    here = e.constant(np.array([code], np.int64))
    m.heap[m.error] = e.op("Concat", m.current(m.error), here, *shown, axis=0, dtype=INT64, dims=(None,))
    return []


def raise_unless(m: Machine, holds: Abstract, message: str) -> None:
    """Append an exception to the list of what was raised, unless a run-time bool holds."""
    e = m.emitter
    code = e.constant(np.array([m.program.error_code(_row(None, [message]))], np.int64))
    failed = e.op("Reshape", e.op("Not", e.scalar(holds, BOOL), dims=()), np.array([1], np.int64), dims=(1,))
    here = e.op("Compress", code, failed, axis=0, dims=(None,))
    m.heap[m.error] = e.op("Concat", m.current(m.error), here, axis=0, dtype=INT64, dims=(None,))


def _carried(m: Machine, v: Any, shown: list[Run], node: Node) -> Any:
    """How a value in a message is told: ints and bools, and lists of them, are carried; others are named only."""
    e = m.emitter
    if isinstance(v, list | tuple):
        inside = [_carried(m, x, shown, node) for x in v]
        return {"list" if isinstance(v, list) else "tuple": inside}
    if not isinstance(v, Run):
        return value_text(v)
    if not isinstance(v, RunList) and v.number in (T.INT, T.BOOL):
        shown.append(e.op("Reshape", e.cast(v, INT64), np.array([1], np.int64), dims=(1,)))
        return {"bool" if v.number is T.BOOL else "int": 1}
    what = str(v.number) if v.number is not None else "tensor"
    m.program.report.note(
        "message", f"the model does not carry a {what} that the message of an exception shows", node.range
    )
    return f"<{what}>"


def _row(name: str | None, message: list[Any]) -> dict[str, Any]:
    """An entry of the table. TorchScript leaves the class of an assertion in the message."""
    first = message[0] if message else ""
    if name is None and isinstance(first, str) and first.startswith("AssertionError: "):
        return {"exception": "AssertionError", "message": [first.removeprefix("AssertionError: "), *message[1:]]}
    return {"exception": (name or "RuntimeError").removeprefix("builtins."), "message": message}


def code_of(row: Mapping[str, Any]) -> int:
    """The number of an exception: the same in every model that has it."""
    return zlib.crc32(json.dumps(row, sort_keys=True).encode()) or 1


def no_error(m: Machine) -> Run:
    """Whether nothing was raised so far, as a run-time bool."""
    e = m.emitter
    size = e.op("Size", m.current(m.error), dtype=INT64, dims=())
    made: Run = e.op("Equal", size, np.array(0, np.int64), dtype=BOOL, dims=())
    return made.seen_as(T.BOOL)


def message_of(values: Sequence[int] | None, table: Mapping[str, Any]) -> tuple[str, str] | None:
    """(exception, message) that the error output of a run tells; None when nothing was raised.

    ``table`` is the metadata entry ``bridge.errors``, read as JSON.
    """
    if values is None or not len(values):  # onnxruntime gives None for a constant of no elements in nested branches
        return None
    row, rest = table[str(int(values[0]))], iter(values[1:])

    def text(p: Any) -> str:
        if isinstance(p, str):
            return p
        ((kind, inside),) = p.items()
        if kind in ("list", "tuple"):
            shown = ", ".join(map(text, inside))
            return f"[{shown}]" if kind == "list" else f"({shown}{',' if len(inside) == 1 else ''})"
        number = int(next(rest))
        return str(bool(number)) if kind == "bool" else str(number)

    return row["exception"], "".join(map(text, row["message"]))

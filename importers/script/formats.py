"""Formatted text: f-strings with format specs and conversions, and ``str.format`` beyond ``{}``.

They become ``%`` formats. ``%{…}`` in one is a field of Python's ``str.format``, which TorchScript loads and refuses to
run: it has nothing of the kind.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["FormatMixin"]

_FLOAT_SPEC = re.compile(r"[-+ ]?0?\d*(\.\d+)?[fFeEgG]")
_INT_SPEC = re.compile(r"[-+ ]?0?\d*[dxXo]")


class FormatMixin(EmitterCore):
    """The part of the emitter for formatted text."""

    def formatted(self, e: X.Formatted) -> Value:
        values: list[Value] = []
        text = "".join(self._part(p, values) for p in e.parts)
        return self._percent(text, values, e.range)

    def known_text(self, e: X.Expr) -> str | None:
        """The text of an expression that is known when the program is compiled; None where it is not."""
        if isinstance(e, X.StringLit):
            return e.value
        known, text = _folded(self.expr(e))
        return text if known and isinstance(text, str) else None

    def _part(self, part: str | X.Field, values: list[Value]) -> str:
        if isinstance(part, str):
            return part.replace("%", "%%")
        value = self.expr(part.value)
        values.append(value)
        spec = ""
        for p in part.spec:
            if isinstance(p, str):
                spec += p
                continue
            if p.spec or p.conversion:
                raise CompileError("fields in a format spec must be plain: {n}", p.range)
            values.append(self.expr(p.value))
            spec += "{}"
        return _specifier(value, part.conversion, spec, part.range)

    def _percent(self, text: str, values: Sequence[Value], range: SourceRange) -> Value:
        format = insert_constant(self.graph, text, range)
        given = values[0] if len(values) == 1 else matching.make_tuple(self.graph, values)
        return matching.insert(self.graph, "aten::percentFormat", [format, given], range=range)

    def joined_text(self, values: Sequence[Value], separator: str, range: SourceRange) -> Value:
        """The texts of values with another between them."""
        between = separator.replace("%", "%%")
        return self._percent(between.join(_specifier(v, "", "", range) for v in values), values, range)

    def format_call(
        self, text: str, args: Sequence[Named], keywords: Sequence[Named], range: SourceRange
    ) -> Value | None:
        """``text.format(…)`` of a text that says more than ``{}``; None for one that does not."""
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as e:
            raise CompileError(f"not a format string: {e}", range) from None
        fields = [p for p in parts if p[1] is not None]
        if (
            not any(name or spec or conversion for _, name, spec, conversion in fields)
            and "{{" not in text
            and "}}" not in text
        ):
            return None
        given = {str(i): a for i, a in enumerate(args)} | {k.name: k for k in keywords}
        values: list[Value] = []
        out, following = "", 0
        for literal, name, spec, conversion in parts:
            out += literal.replace("%", "%%")
            if name is None:
                continue
            if not name:
                name, following = str(following), following + 1
            if name not in given or "{" in (spec or ""):
                raise CompileError(f"the format string has a field '{name}' that is no plain argument", range)
            values.append(given[name].get(self.graph))
            out += _specifier(values[-1], conversion or "", spec or "", range)
        return self._percent(out, values, range)


def _folded(value: Value) -> tuple[bool, Any]:
    """(True, the constant) of a constant and of a text that is put together of constants."""
    from bridge.importers.script.statics import known_constant

    known, found = known_constant(value)
    if known:
        return True, found
    parts = [_folded(v) for v in value.node.inputs] if value.node.kind in _PUT_TOGETHER else [(False, None)]
    if not all(k and isinstance(p, str | int) for k, p in parts):
        return False, None
    first, *others = [p for _, p in parts]
    if value.node.kind == "aten::format":
        return True, str(first).format(*others)
    return True, str(first) if value.node.kind == "aten::str" else first + others[0]  # type: ignore[operator]


_PUT_TOGETHER = ("aten::format", "aten::add", "aten::str")


def _specifier(value: Value, conversion: str, spec: str, range: SourceRange) -> str:
    """The specifier that formats the value as Python does; a plain ``%`` one where that is the same."""
    t = value.type
    if isinstance(t, T.TensorType) and not spec and not conversion:
        return "%s"
    if not _has_text(t, bool(spec)):
        raise CompileError(f"a value of type {t.annotation()} has no text of this form in a program", range)
    if not conversion:
        if _FLOAT_SPEC.fullmatch(spec) and t in (T.FLOAT, T.INT):
            return f"%{spec}"
        if (_INT_SPEC.fullmatch(spec) and t is T.INT) or (not spec and t in (T.INT, T.STR, T.BOOL)):
            return f"%{spec or 's'}"
    return "%{" + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"


def _has_text(t: T.Type, has_spec: bool) -> bool:
    if has_spec and isinstance(t, T.TensorType):
        return True
    if isinstance(t, T.ListType | T.TupleType | T.DictType | T.OptionalType):
        return all(_has_text(x, False) for x in t.contained())
    return t in (T.INT, T.FLOAT, T.BOOL, T.STR, T.NONE, T.COMPLEX)

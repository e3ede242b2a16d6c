"""Function schemas: the strings that declare operators, in ATen's notation.

``aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor``. The same classes describe the arguments
of script functions. ``(a!)`` marks an argument that is written to, ``(a)`` an aliased one, ``int[2]`` a list that a
single int may stand for.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.errors import ParseError

__all__ = ["REQUIRED", "Argument", "Schema", "parse_schema"]


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


#: Marks an argument without default.
REQUIRED: Any = _Required()


class Argument:
    """One argument or result. ``size`` is the N of ``int[N]``; ``alias``/``writes`` the alias set and its ``!``.

    ``inferred``: a Tensor because the program does not say its type. ``gathers``: a list that takes the remaining
    positional arguments of a call, as ``*args`` does.
    """

    __slots__ = ("alias", "default", "gathers", "inferred", "kwarg_only", "name", "size", "type", "writes")

    def __init__(
        self,
        name: str,
        type: T.Type,
        default: Any = REQUIRED,
        kwarg_only: bool = False,
        size: int | None = None,
        alias: str | None = None,
        writes: bool = False,
    ) -> None:
        self.name, self.type, self.default, self.kwarg_only = name, type, default, kwarg_only
        self.size, self.alias, self.writes, self.inferred = size, alias, writes, False
        self.gathers = False

    @property
    def has_default(self) -> bool:
        return self.default is not REQUIRED

    def __str__(self) -> str:
        text = _type_text(self)
        if self.name:
            text += f" {self.name}"
        return text if self.default is REQUIRED else f"{text}={_default_text(self.default)}"

    __repr__ = __str__


class Schema:
    """Name (``aten::add``), overload (``Tensor``), arguments and results of an operator or function."""

    __slots__ = ("arguments", "index", "is_vararg", "is_varret", "name", "overload", "returns")

    def __init__(
        self,
        name: str,
        overload: str,
        arguments: Sequence[Argument],
        returns: Sequence[Argument],
        is_vararg: bool = False,
        is_varret: bool = False,
    ) -> None:
        self.name, self.overload = name, overload
        self.arguments, self.returns = tuple(arguments), tuple(returns)
        self.is_vararg, self.is_varret = is_vararg, is_varret
        self.index = {a.name: i for i, a in enumerate(self.arguments)}

    @property
    def full_name(self) -> str:
        """``aten::add.Tensor``."""
        return f"{self.name}.{self.overload}" if self.overload else self.name

    @property
    def is_mutable(self) -> bool:
        """Whether an argument is written to."""
        return any(a.writes for a in self.arguments)

    def is_subtype_of(self, other: Schema, as_method: bool = False) -> bool:
        """Whether a function of this schema may stand where ``other`` is asked for (interfaces)."""
        skip = 1 if as_method else 0
        mine, theirs = self.arguments[skip:], other.arguments[skip:]
        if len(mine) < len(theirs) or len(self.returns) != len(other.returns):
            return False
        for a, b in zip(mine, theirs, strict=False):
            if a.name != b.name or not b.type.is_subtype_of(a.type):
                return False
        if any(not a.has_default for a in mine[len(theirs) :]):
            return False
        return all(a.type.is_subtype_of(b.type) for a, b in zip(self.returns, other.returns, strict=True))

    def __str__(self) -> str:
        parts: list[str] = []
        starred = False
        for a in self.arguments:
            if a.kwarg_only and not starred:
                parts.append("*")
                starred = True
            parts.append(str(a))
        if self.is_vararg:
            parts.append("...")
        if self.is_varret:
            result = "..."
        elif len(self.returns) == 1 and not str(self.returns[0]).startswith("("):
            result = str(self.returns[0])
        else:
            result = f"({', '.join(map(str, self.returns))})"
        return f"{self.full_name}({', '.join(parts)}) -> {result}"

    def __repr__(self) -> str:
        return f"<Schema {self}>"


_SIMPLE: dict[str, T.Type] = {
    "Tensor": T.TENSOR, "int": T.INT, "SymInt": T.INT, "float": T.FLOAT, "bool": T.BOOL, "str": T.STR,
    "complex": T.COMPLEX, "Scalar": T.NUMBER, "number": T.NUMBER, "Device": T.DEVICE, "Generator": T.GENERATOR,
    "ScalarType": T.INT, "Layout": T.INT, "MemoryFormat": T.INT, "NoneType": T.NONE, "Any": T.ANY, "None": T.NONE,
    "AnyList": T.VarType("AnyList"), "AnyEnumType": T.VarType("AnyEnum"),
    "AnyTuple": T.VarType("AnyTuple"), "AnyClassType": T.VarType("AnyClass"),
}  # fmt: skip

_TOKEN = re.compile(
    r"\s*(->|\.\.\.|\d+\.?\d*(?:e[+-]?\d+)?(?![\w:])|[\w:]+(?:\.\w+)*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[()\[\],*=!?|-])"
)


class _Parser:
    """Recursive descent over the tokens of one schema string."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            m = _TOKEN.match(text, at)
            if m is None:
                raise ParseError(f"bad schema at column {at + 1}: {text}")
            self.tokens.append(m.group(1))
            at = m.end()
        self.at = 0

    @property
    def token(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        t = self.token
        self.at += 1
        return t

    def accept(self, token: str) -> bool:
        if self.token == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ParseError(f"expected '{token}' but found '{self.token}' in schema: {self.text}")

    def schema(self) -> Schema:
        name, _, overload = self.take().partition(".")
        self.expect("(")
        arguments: list[Argument] = []
        vararg = kwarg_only = False
        while not self.accept(")"):
            if self.accept("..."):
                vararg = True
            elif self.accept("*"):
                kwarg_only = True
            else:
                a = self.argument(named=True)
                a.kwarg_only = kwarg_only
                arguments.append(a)
            if self.token != ")":
                self.expect(",")
        self.expect("->")
        returns: list[Argument] = []
        varret = False
        if self.accept("..."):
            varret = True
        elif self.token == "(":
            self.take()
            while not self.accept(")"):
                returns.append(self.argument(named=False))
                if self.token != ")":
                    self.expect(",")
        else:
            returns.append(self.argument(named=False))
        if self.token:
            raise ParseError(f"unexpected '{self.token}' after schema: {self.text}")
        return Schema(name, overload, arguments, returns, vararg, varret)

    def argument(self, named: bool) -> Argument:
        t, size, alias, writes = self.type()
        name, default = "", REQUIRED
        if named or (self.token and (self.token[0].isalpha() or self.token[0] == "_")):
            name = self.take()
        if self.accept("="):
            default = self.default(t)
            if size is not None and isinstance(default, int | float):  # int[2] padding=0
                default = [default] * size
        return Argument(name, t, default, size=size, alias=alias, writes=writes)

    def type(self) -> tuple[T.Type, int | None, str | None, bool]:
        size: int | None = None
        alias: str | None = None
        writes = False
        word = self.take()
        if word == "(":  # a tuple
            inside = []
            while not self.accept(")"):
                inside.append(self.type()[0])
                if self.token != ")":
                    self.expect(",")
            t: T.Type = T.TupleType(*inside)
        elif word in ("Dict", "Future", "Await"):
            self.expect("(")
            first = self.type()[0]
            if word == "Dict":
                self.expect(",")
                t = T.DictType(first, self.type()[0])
            else:
                t = (T.FutureType if word == "Future" else T.AwaitType)(first)
            self.expect(")")
        elif word in _SIMPLE:
            t = _SIMPLE[word]
        elif re.fullmatch(r"t[A-Z]?\w*", word):
            t = T.VarType(word)
        else:
            raise ParseError(f"unknown type '{word}' in schema: {self.text}")
        while True:
            if self.token == "[":
                self.take()
                if self.token != "]":
                    size = int(self.take())
                self.expect("]")
                t = T.ListType(t)
            elif self.token == "?":
                self.take()
                t = T.OptionalType(t)
            elif self.token == "(":  # an alias annotation: (a), (a!), (a -> *), (*)
                self.take()
                alias = self.take()
                while self.token == "|":
                    self.take()
                    alias += "|" + self.take()
                writes = self.accept("!") or writes
                if self.accept("->"):  # after the call it may be anything: append(t[](a!) self, t(c -> *) el)
                    alias += f" -> {self.take()}"
                self.expect(")")
            else:
                return t, size, alias, writes

    def default(self, t: T.Type) -> Any:
        word = self.take()
        if word == "-":
            value = self.default(t)
            return -value
        if word == "[":
            values = []
            element = t.element if isinstance(t, T.ListType) else t
            while not self.accept("]"):
                values.append(self.default(element))
                if self.token != "]":
                    self.expect(",")
            return values
        if word[0] in "\"'":
            return ast.literal_eval(word)
        words = {"None": None, "True": True, "False": False, "Mean": 1, "contiguous_format": 0, "strided": 0,
                 "long": 4, "float": 6, "inf": float("inf")}  # fmt: skip
        if word in words:
            return words[word]
        number = float(word) if any(c in word for c in ".e") else int(word)
        base = t.element if isinstance(t, T.OptionalType) else t
        return float(number) if base is T.FLOAT else number


def _type_text(a: Argument) -> str:
    text = "Scalar" if a.type is T.NUMBER else str(a.type)
    if a.size is not None and text.endswith("[]"):
        text = f"{text[:-2]}[{a.size}]"
    return f"{text}({a.alias}{'!' if a.writes else ''})" if a.alias else text


def _default_text(v: Any) -> str:
    if isinstance(v, list):
        return f"[{', '.join(map(_default_text, v))}]"
    if isinstance(v, float):  # as torch prints them: 1. and 0.10000000000000001
        return f"{int(v)}." if math.isfinite(v) and abs(v) < 1e10 and v == int(v) else f"{v:.17g}"
    return f'"{v}"' if isinstance(v, str) else str(v)


@functools.cache
def parse_schema(text: str) -> Schema:
    """Parse a schema string. Raises ParseError naming the schema."""
    return _Parser(text).schema()

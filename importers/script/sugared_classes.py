"""Classes of Python that programs name: exceptions, enums and slices, as sugared values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import matching
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
from bridge.importers.script.sugared import SugaredValue


class ExceptionMessage(SugaredValue):
    """An exception that was made and may be raised."""

    __slots__ = ("class_name", "message")
    kind = "exception message"

    def __init__(self, message: Value, class_name: Value | None = None) -> None:
        self.message, self.class_name = message, class_name


class ExceptionValue(SugaredValue):
    """An exception class; ``qualified_name`` is None for AssertionError of ``assert``."""

    __slots__ = ("message_name", "qualified_name")
    kind = "exception"

    def __init__(self, name: str, qualified_name: str | None = None) -> None:
        self.message_name, self.qualified_name = name, qualified_name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if self.qualified_name is None:
            text = insert_constant(m.graph, f"{self.message_name}: ", range)
            for a in args:
                part = a.get(m.graph)
                if part.type is not T.STR:
                    part = matching.insert(m.graph, "aten::str", [part], range=range)
                text = matching.insert(m.graph, "aten::add", [text, part], range=range)
            return ExceptionMessage(text)
        if not args:
            message = insert_constant(m.graph, "", range)
        elif len(args) == 1:
            message = args[0].get(m.graph)
        else:
            message = matching.make_tuple(m.graph, [a.get(m.graph) for a in (*args, *keywords)])
        return ExceptionMessage(message, insert_constant(m.graph, self.qualified_name, range))


class EnumClass(SugaredValue):
    """An enum class: ``Color.RED``, ``Color(1)``, iteration over the members."""

    __slots__ = ("type",)
    is_function = True

    def __init__(self, type: T.EnumType) -> None:
        self.type = type

    @property
    def kind(self) -> str:  # type: ignore[override]
        return f"Enum<{self.type.name}>"

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        if name not in {n for n, _ in self.type.members}:
            raise CompileError(f"{self.type.annotation()}' has no attribute '{name}'", range)
        return SimpleValue(insert_constant(m.graph, T.EnumValue(self.type, name), range))

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return insert_constant(m.graph, len(self.type.members), range)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.choices import by_key
        from bridge.importers.script.values import SimpleValue

        if len(args) != 1 or keywords or args[0].type is not self.type.value:
            raise CompileError(f"{self.kind} takes the value of a member, {self.type.value.annotation()}", range)
        members: dict[Any, SugaredValue] = {
            v: SimpleValue(insert_constant(m.graph, T.EnumValue(self.type, n), range)) for n, v in self.type.members
        }
        text = f"this is not a value of {self.type.name.rpartition('.')[2]}"
        return SimpleValue(by_key(members, args[0].get(m.graph), range, m, ("ValueError", text)).as_value(range, m))

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        members = [T.EnumValue(self.type, n) for n, _ in self.type.members]
        return SimpleValue(insert_constant(m.graph, members, range, T.ListType(self.type)))


class SliceValue(SugaredValue):
    """A slice object as an index."""

    __slots__ = ("start", "step", "stop")
    kind = "Python slice value"
    is_function = True  # a tuple may hold it

    def __init__(self, start: Value, stop: Value, step: Value) -> None:
        self.start, self.stop, self.step = start, stop, step


class SliceClass(SugaredValue):
    """Python's ``slice``."""

    __slots__ = ()
    kind = "Python slice class"

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if keywords or not 1 <= len(args) <= 3:
            if keywords:
                raise CompileError("Slice does not accept any keyword arguments", range)
            raise CompileError("slice takes 1, 2 or 3 arguments", range)

        def value_or(given: Named | None, default: int) -> Value:
            v = given.get(m.graph) if given is not None else None
            return v if v is not None and v.type is not T.NONE else insert_constant(m.graph, default, range)

        start = value_or(args[0] if len(args) > 1 else None, 0)
        stop = value_or(args[1] if len(args) > 1 else args[0], (1 << 63) - 1)
        return SliceValue(start, stop, value_or(args[2] if len(args) == 3 else None, 1))

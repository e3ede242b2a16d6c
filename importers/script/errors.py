"""What the compiler raises: the message, ``file:line:column``, the line, a caret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.importers.script.calls import trail
from bridge.ir.errors import BridgeError

if TYPE_CHECKING:
    from bridge.ir.classes import ClassType
    from bridge.ir.source import SourceRange
    from bridge.ir.types import Type

__all__ = ["VARIADIC", "AttributeType", "CompileError", "FrontendError", "NotSupportedError", "StartsAsNone"]

VARIADIC = "Compiled functions can't take a variable number of keyword arguments, except where a program calls them: take a dict"


class CompileError(BridgeError):
    """A program is not valid script: wrong types, unknown names, values undefined on a path.

    Behind the place, the text says which definitions are being compiled, and from where.
    """

    def __init__(self, message: str, range: SourceRange | None = None) -> None:
        super().__init__(message, range)
        #: Whether the definition that it was raised in has been left.
        self.passed_on = False
        called = trail()
        if called:
            self.args = (f"{self}\n{called}",)


class StartsAsNone(CompileError):
    """A variable that is None first gets a value of another type: its first assignment needs an Optional type.

    ``place`` is that assignment (None when it is not known), ``value_type`` the type of the value.
    """

    def __init__(self, message: str, range: SourceRange, place: object, value_type: Type) -> None:
        super().__init__(message, range)
        self.place, self.value_type = place, value_type


class StartsEmpty(CompileError):
    """A list or dict that starts empty, without a type, gets something in it: its first assignment needs a type."""

    def __init__(self, message: str, range: SourceRange | None, place: object, type: Type) -> None:
        super().__init__(message, range)
        self.place, self.type = place, type


class AttributeType(CompileError):
    """An attribute of a module is used as what its value at first, None or an empty list, does not tell.

    ``owner`` is the class, ``type`` what the attribute would have to be (None when that is not known).
    """

    def __init__(self, message: str, range: SourceRange, owner: ClassType, name: str, type: Type | None) -> None:
        super().__init__(message, range)
        self.owner, self.name, self.type = owner, name, type


class Configured(CompileError):
    """A program does not compile for every value of some attributes of its modules, which are to be constants of it.

    ``attributes`` are pairs of a class and a name.
    """

    def __init__(self, refusal: CompileError, attributes: frozenset[tuple[ClassType, str]]) -> None:
        super().__init__(refusal.message, refusal.range)
        self.args, self.attributes = refusal.args, attributes


class LoopVariable(CompileError):
    """A variable that a loop assigns first is used behind it. ``place`` is the loop, ``type`` what the variable is."""

    def __init__(self, message: str, range: SourceRange, place: object, name: str, type: Type) -> None:
        super().__init__(message, range)
        self.place, self.name, self.type = place, name, type


class NeedsOperand(CompileError):
    """``and``, ``or`` of what TorchScript makes no bool of: they give one of the operands, as in Python."""


class FrontendError(CompileError):
    """The source cannot be read as script."""


class NotSupportedError(FrontendError):
    """A construct of Python that script does not have; the message says which and what to write instead."""

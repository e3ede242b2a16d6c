"""Errors that the IR raises. Every one names the user's line where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.ir.source import SourceRange

__all__ = [
    "BridgeError",
    "Error",
    "IRError",
    "LoweringError",
    "ParseError",
    "SchemaError",
    "UnsupportedError",
    "VerifyError",
]


class BridgeError(RuntimeError):
    """Base of all errors that the product raises on purpose.

    ``message`` is the plain text; ``range`` the place in the user's program or None. ``str(error)`` is the message,
    then ``file:line:column``, the line and a caret.
    """

    def __init__(self, message: str, range: SourceRange | None = None) -> None:
        self.message, self.range = message, range
        super().__init__(message if range is None else f"{message}\n{range.highlight()}")


class IRError(BridgeError):
    """A graph was used against its rules."""


class VerifyError(IRError):
    """The structural verifier found a graph that breaks an invariant."""


class ParseError(BridgeError):
    """A graph text or schema string is not well formed."""


class SchemaError(BridgeError):
    """No overload of an operator takes these arguments."""


class UnsupportedError(BridgeError):
    """What was asked for is known, and not supported."""


class LoweringError(UnsupportedError):
    """A program cannot be expressed in the target format; the message says why."""


class Error(Exception):
    """What a program raises. It is also of the class that the program names, so that either can be caught."""

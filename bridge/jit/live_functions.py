"""Live Python functions as programs call them: compiled once by their signature, or for the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import CompileError, FunctionValue, SugaredValue
from bridge.importers.script.templates import Template, call_open
from bridge.ir.classes import Function
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.matching import Named

__all__ = ["LiveFunction", "live_function", "may_be_open", "template_of"]

_templates: dict[Any, Template] = {}


def template_of(fn: Any) -> Template:
    """The template of a Python function. Raises CompileError for a function whose source is no script."""
    from bridge.jit.names import qualified_name
    from bridge.jit.resolve import ClosureResolver, captured, python_to_sugared
    from bridge.jit.sources import default_values, definition_of, lambda_definition

    found = _templates.get(fn)
    if found is None:
        defaults, resolver = default_values(fn), ClosureResolver(fn)

        def default(name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
            if name not in defaults:
                return None
            return captured(defaults[name], m, range) or python_to_sugared(defaults[name], m, range)

        d = lambda_definition(fn) if fn.__name__ == "<lambda>" else definition_of(fn)
        found = _templates[fn] = Template(d, resolver, qualified_name(fn), default)
    return found


def live_function(fn: Any, compile: Callable[[], Function]) -> SugaredValue:
    """What a Python function means in a program. Raises CompileError when no call of it can be compiled."""
    try:
        return LiveFunction(fn, compile(), None)
    except CompileError as e:
        if not may_be_open(fn):
            raise
        return LiveFunction(fn, None, e)


def may_be_open(fn: Any) -> bool:
    """Whether calls of a function may be compiled although the function as declared cannot."""
    try:
        return template_of(fn).is_open
    except CompileError:
        return False


class LiveFunction(FunctionValue):
    """A function; ``error`` is why it cannot be compiled as declared (then calls decide)."""

    __slots__ = ("error", "fn")

    def __init__(self, fn: Any, function: Function | None, error: CompileError | None) -> None:
        super().__init__([function] if function is not None else [])
        self.fn, self.error = fn, error

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        plain = super().call
        declared = self.error if self.error is not None else lambda: plain(range, m, args, keywords, binders)
        return call_open(lambda: template_of(self.fn), declared, range, m, args, keywords)

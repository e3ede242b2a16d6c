"""Live Python functions as programs call them: compiled once by their signature, or for the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import CompileError, FunctionValue, SugaredValue
from bridge.importers.script.templates import Template
from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.matching import Named

__all__ = ["LiveFunction", "live_function"]

_templates: dict[Any, Template] = {}


def template_of(fn: Any) -> Template:
    """The template of a Python function. Raises CompileError for a function whose source is no script."""
    from bridge.jit.names import qualified_name
    from bridge.jit.resolve import ClosureResolver, captured, python_to_sugared
    from bridge.jit.sources import default_values, definition_of

    found = _templates.get(fn)
    if found is None:
        defaults, resolver = default_values(fn), ClosureResolver(fn)

        def default(name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
            if name not in defaults:
                return None
            return captured(defaults[name], m, range) or python_to_sugared(defaults[name], m, range)

        found = _templates[fn] = Template(definition_of(fn), resolver, qualified_name(fn), default)
    return found


def live_function(fn: Any, compile: Callable[[], Function]) -> SugaredValue:
    """What a Python function means in a program. Raises CompileError when no call of it can be compiled."""
    try:
        return LiveFunction(fn, compile(), None)
    except CompileError as e:
        try:
            open = _may_fit_others(template_of(fn))
        except CompileError:
            open = False
        if not open:
            raise
        return LiveFunction(fn, None, e)


def _may_fit_others(template: Template) -> bool:
    """Whether a call may give a parameter something that its declaration does not say."""
    return any(p.keywords or p.gathers or p.type is None for p in template.definition.params)


class LiveFunction(FunctionValue):
    """A function; ``error`` is why it cannot be compiled as declared (then calls decide)."""

    __slots__ = ("error", "fn")

    def __init__(self, fn: Any, function: Function | None, error: CompileError | None) -> None:
        super().__init__([function] if function is not None else [])
        self.fn, self.error = fn, error

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        as_declared = self.error
        if as_declared is None:
            try:
                return super().call(range, m, args, keywords, binders)
            except CompileError as e:
                as_declared = e
        template = template_of(self.fn)
        special = any(not a.is_value for a in (*args, *keywords)) or any(p.keywords for p in template.definition.params)
        if not special and self.error is None and not (_may_fit_others(template) and _differs(args, keywords)):
            raise as_declared
        try:
            return template.call(range, m, args, keywords)
        except CompileError as e:
            raise (e if special else as_declared) from None


def _differs(args: Sequence[Named], keywords: Sequence[Named]) -> bool:
    """Whether something that is no tensor is given."""
    return any(not isinstance(a.type, T.TensorType) for a in (*args, *keywords))
